//! Files with the same bytes, which an image holds once.
//!
//! Only files of equal lengths are read, once more than they are for the image; SHA-256 stands for their bytes.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use openssl::sha::Sha256;

use super::pipeline;
use crate::tree::{Content, ContentError};

/// How many files, or bytes of them, are one job: many small files are worth a change of threads together.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 1 << 20;
/// How much of a file is read at once.
const CHUNK_LENGTH: usize = 128 * 1024;

/// A file could not be read to compare it.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) source: ContentError,
}

/// The hashes of a batch of files.
#[derive(Default)]
struct Hashed {
    files: Vec<usize>,
    digests: Vec<[u8; 32]>,
    failure: Option<Unreadable>,
}

/// Returns for each of `files` the first that has the same bytes, which may be itself.
///
/// # Errors
/// [`Unreadable`], for the first file that cannot be read or has another length than it should.
pub(super) fn originals(
    files: &[&Content],
    workers: NonZeroUsize,
) -> Result<Vec<usize>, Unreadable> {
    let mut originals: Vec<usize> = (0..files.len()).collect();
    let mut first_of_length: HashMap<u64, (usize, bool)> = HashMap::new();
    for (index, content) in files.iter().enumerate() {
        let length = first_of_length.entry(content.size_bytes());
        length
            .and_modify(|(_, is_only)| *is_only = false)
            .or_insert((index, true));
    }
    let is_only = |length: u64| first_of_length[&length].1;
    let candidates = (0..files.len()).filter(|index| {
        let length = files[*index].size_bytes();
        length > 0 && !is_only(length)
    });
    let mut known: HashMap<(u64, [u8; 32]), usize> = HashMap::new();
    pipeline::in_order(
        workers,
        Batches {
            files,
            candidates: candidates.peekable(),
        },
        || vec![0; CHUNK_LENGTH + 1],
        |chunk, batch, hashed: &mut Hashed| hash(files, chunk, batch, hashed),
        |hashed| {
            if let Some(failure) = hashed.failure.take() {
                return Err(failure);
            }
            for (file, digest) in hashed.files.iter().zip(&hashed.digests) {
                let original = known.entry((files[*file].size_bytes(), *digest));
                originals[*file] = *original.or_insert(*file);
            }
            Ok(())
        },
    )?;
    Ok(originals)
}

/// Cuts the candidates into jobs.
struct Batches<'a, I: Iterator<Item = usize>> {
    files: &'a [&'a Content],
    candidates: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = usize>> Iterator for Batches<'_, I> {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let mut batch = vec![self.candidates.next()?];
        let mut batch_bytes = self.files[batch[0]].size_bytes();
        while batch.len() < BATCH_FILES {
            let fits = |next: &usize| {
                let total = batch_bytes.saturating_add(self.files[*next].size_bytes());
                total <= BATCH_BYTES
            };
            let Some(next) = self.candidates.next_if(fits) else {
                break;
            };
            batch_bytes += self.files[next].size_bytes();
            batch.push(next);
        }
        Some(batch)
    }
}

fn hash(files: &[&Content], chunk: &mut [u8], batch: Vec<usize>, hashed: &mut Hashed) {
    hashed.digests.clear();
    hashed.files = batch;
    for file in &hashed.files {
        match digest_of(files[*file], chunk) {
            Ok(digest) => hashed.digests.push(digest),
            Err(source) => {
                hashed.failure = Some(Unreadable {
                    file: *file,
                    source,
                });
                return;
            }
        }
    }
}

fn digest_of(content: &Content, chunk: &mut [u8]) -> Result<[u8; 32], ContentError> {
    let mut hash = Sha256::new();
    let mut offset = 0;
    while offset < content.size_bytes() {
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
