//! Files with the same bytes, which an image holds once.
//!
//! Only files of equal lengths are read, once more than they are for the image, and of large ones first their
//! beginnings; SHA-256 stands for their bytes.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use openssl::sha::Sha256;

use super::pipeline;
use crate::tree::{Content, ContentError};

/// How much is read at once, and of larger files before anything else is known.
const CHUNK_LENGTH: usize = 64 * 1024;
/// How many files, or bytes of them, are one job: many small files are worth a change of threads together.
const JOB_FILES: usize = 128;
const JOB_BYTES: u64 = 1 << 20;

type Digest = [u8; 32];

/// A file could not be read to compare it.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) source: ContentError,
}

/// Returns for each of `files` the first that has the same bytes, which may be itself; empty ones are left alone.
///
/// # Errors
/// [`Unreadable`] for a file that cannot be read or has changed its length.
pub(super) fn originals(
    files: &[&Content],
    workers: NonZeroUsize,
) -> Result<Vec<usize>, Unreadable> {
    let mut by_length: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, content) in files.iter().enumerate() {
        if content.size_bytes() > 0 {
            by_length
                .entry(content.size_bytes())
                .or_default()
                .push(index);
        }
    }
    let mut originals: Vec<usize> = (0..files.len()).collect();
    let candidates = in_order(by_length.into_values().filter(|group| group.len() > 1));
    let groups = alike(files, &candidates, workers, CHUNK_LENGTH as u64)?;
    let (short, long): (Vec<_>, Vec<_>) = groups
        .into_iter()
        .partition(|group| files[group[0]].size_bytes() <= CHUNK_LENGTH as u64);
    note(&short, &mut originals);
    let candidates = in_order(long.into_iter());
    note(
        &alike(files, &candidates, workers, u64::MAX)?,
        &mut originals,
    );
    Ok(originals)
}

/// Returns the members of `groups` in the order of the files, in which they are read fastest.
fn in_order(groups: impl Iterator<Item = Vec<usize>>) -> Vec<usize> {
    let mut found: Vec<_> = groups.flatten().collect();
    found.sort_unstable();
    found
}

fn note(groups: &[Vec<usize>], originals: &mut [usize]) {
    for group in groups {
        for file in group {
            originals[*file] = group[0];
        }
    }
}

/// Returns the groups of `candidates` that are of equal lengths and alike in their first `limit_bytes`.
fn alike(
    files: &[&Content],
    candidates: &[usize],
    workers: NonZeroUsize,
    limit_bytes: u64,
) -> Result<Vec<Vec<usize>>, Unreadable> {
    let mut found: HashMap<(u64, Digest), Vec<usize>> = HashMap::new();
    let mut known = candidates.iter();
    let work =
        |chunk: &mut Vec<u8>, job: &[usize], digests: &mut Vec<Result<Digest, Unreadable>>| {
            digests.clear();
            digests.extend(job.iter().map(|file| {
                digest_of(files[*file], limit_bytes, chunk).map_err(|source| Unreadable {
                    file: *file,
                    source,
                })
            }));
        };
    pipeline::in_order(
        workers,
        jobs(files, candidates, limit_bytes),
        || vec![0; CHUNK_LENGTH + 1],
        work,
        |digests| {
            for (digest, file) in digests.drain(..).zip(&mut known) {
                let key = (files[*file].size_bytes(), digest?);
                found.entry(key).or_default().push(*file);
            }
            Ok(())
        },
    )?;
    Ok(found
        .into_values()
        .filter(|group| group.len() > 1)
        .collect())
}

/// Cuts up `candidates`, so that each job is about as much to read.
fn jobs<'c>(
    files: &[&Content],
    candidates: &'c [usize],
    limit_bytes: u64,
) -> impl Iterator<Item = &'c [usize]> {
    let mut rest = candidates;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(JOB_FILES)
            .take_while(|file| {
                let is_first_or_fits = bytes < JOB_BYTES;
                bytes += files[**file].size_bytes().min(limit_bytes);
                is_first_or_fits
            })
            .count();
        let (job, later) = rest.split_at(count);
        rest = later;
        (count > 0).then_some(job)
    })
}

fn digest_of(
    content: &Content,
    limit_bytes: u64,
    chunk: &mut [u8],
) -> Result<Digest, ContentError> {
    let mut hash = Sha256::new();
    let end = content.size_bytes().min(limit_bytes);
    let mut offset = 0;
    while offset < end {
        // The byte more than a chunk is for noticing that a file has grown.
        let room = match content.size_bytes() - offset > CHUNK_LENGTH as u64 {
            true => &mut chunk[..CHUNK_LENGTH],
            false => &mut *chunk,
        };
        let count = content.read_part(offset, room)?;
        hash.update(&room[..count]);
        offset += count as u64;
    }
    Ok(hash.finish())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::originals;
    use crate::beneath::Directory;
    use crate::tree::{Content, TreePath};

    fn found(files: &[&[u8]]) -> Vec<usize> {
        let files: Vec<_> = files
            .iter()
            .map(|bytes| Content::from_bytes(*bytes))
            .collect();
        let files: Vec<_> = files.iter().collect();
        let one = originals(&files, NonZeroUsize::MIN).unwrap();
        let many = originals(&files, NonZeroUsize::new(8).unwrap()).unwrap();
        assert_eq!(one, many);
        one
    }

    #[test]
    fn the_first_of_equal_files_stands_for_all() {
        assert_eq!(
            found(&[b"a", b"b", b"a", b"aa", b"b", b"a"]),
            [0, 1, 0, 3, 1, 0]
        );
        assert_eq!(found(&[]), Vec::<usize>::new());
    }

    #[test]
    fn empty_files_are_left_alone() {
        assert_eq!(found(&[b"", b"", b""]), [0, 1, 2]);
    }

    #[test]
    fn long_files_are_compared_to_their_ends() {
        let mut other = vec![7; 3_000_000];
        let same = other.clone();
        *other.last_mut().unwrap() = 8;
        assert_eq!(found(&[&same, &other, &same, &other]), [0, 1, 0, 1]);
    }

    #[test]
    fn a_file_that_changed_its_length_is_an_error_and_a_lone_one_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        for (name, length) in [("grew", 6), ("kept", 5), ("shrank", 4)] {
            fs_err::write(directory.path().join(name), vec![0; length]).unwrap();
        }
        let root = std::sync::Arc::new(Directory::open(directory.path()).unwrap());
        let content = |name: &str, size_bytes| {
            Content::from_file(root.clone(), TreePath::new(name).unwrap(), size_bytes)
        };
        let (kept, lone) = (content("kept", 5), content("absent", 99));
        let outcome = |other: &Content| originals(&[&kept, other, &lone], NonZeroUsize::MIN);
        assert_eq!(outcome(&content("kept", 5)).unwrap(), [0, 0, 2]);
        for name in ["grew", "shrank", "absent"] {
            assert_eq!(outcome(&content(name, 5)).unwrap_err().file, 1, "{name}");
        }
    }
}
