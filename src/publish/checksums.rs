//! Checksums that are made right again after an image has changed in place.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use super::Error;
use crate::beneath::{self, Directory, Place};
use crate::digest::sha256_of_file;

const CHECKSUMS: &[u8] = b".SHA256SUMS";
const SIGNATURE: &[u8] = b".gpg";
/// A line takes some hundred bytes.
const LIMIT_BYTES: u64 = 16 << 20;

/// What was done to the checksums beside an image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refreshed {
    /// The files of checksums that have the image's new one.
    pub checksums: Vec<PathBuf>,
    /// Signatures of these files, which are of what was in them before.
    pub stale_signatures: Vec<PathBuf>,
}

/// Gives the files of checksums beside `image` that name it its present digest.
///
/// # Errors
/// [`Error::Prepare`] when the directory cannot be read, [`Error::Place`] when a file of checksums cannot be replaced.
pub fn refresh_checksums(image: &Path) -> Result<Refreshed, Error> {
    let unprepared = |source| Error::Prepare {
        path: image.into(),
        source,
    };
    // The person named the image, and its checksums are where it really is.
    let real = fs_err::canonicalize(image).map_err(unprepared)?;
    let (parent, name) = Place::split(&real).map_err(|error| unprepared(error.into()))?;
    let directory = Directory::open(parent).map_err(|error| unprepared(error.into()))?;
    let mut names = directory
        .names()
        .map_err(|error| unprepared(error.into()))?;
    names.sort();
    let mut refreshed = Refreshed::default();
    let mut digest = None;
    for checksums in names.iter().filter(|name| name.ends_with(CHECKSUMS)) {
        let Ok(Some(text)) = directory.read(checksums, LIMIT_BYTES) else {
            continue;
        };
        if !lines(&text).any(|line| named(line) == Some(name.as_bytes())) {
            continue;
        }
        let digest = match &digest {
            Some(digest) => digest,
            None => {
                let entry = directory.entry(name.as_bytes());
                let file = entry.and_then(|entry| entry.open_file());
                let file = file.map_err(|error| unprepared(error.into()))?;
                &*digest.insert(sha256_of_file(file).map_err(unprepared)?)
            }
        };
        let updated = updated(&text, name.as_bytes(), digest);
        if updated == text {
            continue;
        }
        replace(&directory, checksums, &updated)?;
        refreshed.checksums.push(shown(image, checksums));
        let signature = [checksums, SIGNATURE].concat();
        if names.contains(&signature) {
            refreshed.stale_signatures.push(shown(image, &signature));
        }
    }
    Ok(refreshed)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// Returns the name in a line as sha256sum(1) writes it, after the digest and a mark.
fn named(line: &[u8]) -> Option<&[u8]> {
    let (digest, rest) = line.split_at_checked(64)?;
    let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
    let name = rest.strip_prefix(b" *").or(rest.strip_prefix(b"  "))?;
    digest.iter().all(u8::is_ascii_hexdigit).then_some(name)
}

fn updated(text: &[u8], name: &[u8], digest: &str) -> Vec<u8> {
    lines(text)
        .flat_map(|line| match named(line) == Some(name) {
            true => [digest.as_bytes(), &line[64..]].concat(),
            false => line.to_vec(),
        })
        .collect()
}

/// Puts a new file in the place of another one, so that at every moment it is the old one or the new one.
fn replace(directory: &Directory, name: &[u8], text: &[u8]) -> Result<(), Error> {
    let unplaced = |error: beneath::Error| Error::Place {
        path: directory.path_of(name),
        source: error.into(),
    };
    let old = directory.entry(name).map_err(unplaced)?;
    let new = [b".", name, b".new"].concat();
    let file = directory
        .create_file(&new, Mode::from_raw_mode(0o600))
        .map_err(unplaced)?;
    let mode = Mode::from_raw_mode(old.mode().into());
    let written = (&file)
        .write_all(text)
        .and_then(|()| Ok(rustix::fs::fchmod(&file, mode)?))
        .and_then(|()| file.sync_all())
        .map_err(|source| Error::Place {
            path: directory.path_of(name),
            source,
        })
        .and_then(|()| directory.rename(&new, directory, name).map_err(unplaced));
    // The first error is the one that is told.
    written.inspect_err(|_| drop(directory.remove_file(&new)))
}

/// Returns a name beside the image, as the person named that.
fn shown(image: &Path, name: &[u8]) -> PathBuf {
    image.with_file_name(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const OLD: &str = "1111111111111111111111111111111111111111111111111111111111111111";
    /// The digest of `x`.
    const NEW: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

    #[test]
    fn checksum_of_a_changed_image_is_replaced_where_it_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let sums = |digest: &str| format!("{digest} *a.raw\n{OLD} *a.raw.more\n{OLD}  b\n");
        fs_err::write(path("a.raw"), "x").unwrap();
        std::os::unix::fs::symlink("a.raw", path("a")).unwrap();
        fs_err::write(path("a.SHA256SUMS"), sums(OLD)).unwrap();
        let mode = std::fs::Permissions::from_mode(0o640);
        fs_err::set_permissions(path("a.SHA256SUMS"), mode).unwrap();
        fs_err::write(path("a.SHA256SUMS.gpg"), "").unwrap();
        fs_err::write(path("b.SHA256SUMS"), format!("{OLD} *b\n")).unwrap();
        fs_err::write(path("c.SHA256SUMS"), "a.raw").unwrap();

        let refreshed = refresh_checksums(&path("a")).unwrap();

        let expected = Refreshed {
            checksums: vec![path("a.SHA256SUMS")],
            stale_signatures: vec![path("a.SHA256SUMS.gpg")],
        };
        assert_eq!(refreshed, expected);
        let read = |name: &str| fs_err::read_to_string(path(name)).unwrap();
        assert_eq!(read("a.SHA256SUMS"), sums(NEW));
        let mode = fs_err::metadata(path("a.SHA256SUMS")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o7777, 0o640);
        assert_eq!(read("b.SHA256SUMS"), format!("{OLD} *b\n"));
        assert_eq!(
            refresh_checksums(&path("a.raw")).unwrap(),
            Refreshed::default()
        );
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 6);
    }
}
