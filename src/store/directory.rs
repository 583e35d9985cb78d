//! Directories below a place that others may have prepared.
//!
//! A recipe from a stranger may come with a cache or an output directory of its own, in which a symbolic link stands
//! where we would make a directory. Following it would write, or clear, somewhere else.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use nix::fcntl::OFlag;
use rustix::fs::{CWD, Mode, OFlags};

use super::Error;

/// Makes the directory `relative` below `base`, with those between, and returns its path.
///
/// # Errors
/// [`Error::NotDirectory`] when a symbolic link or anything else that is no directory is in the way,
/// [`Error::ForeignDirectory`] when a directory belongs to somebody else, [`Error::Prepare`] when a directory cannot be made.
pub fn directory_below(base: &Path, relative: &Path) -> Result<PathBuf, Error> {
    let mut path = base.to_owned();
    let mut directory = open(CWD, base, OFlags::empty()).map_err(|errno| failed(base, errno))?;
    for name in relative {
        path.push(name);
        match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(failed(&path, errno)),
        }
        directory = open(&directory, Path::new(name), OFlags::NOFOLLOW)
            .map_err(|errno| failed(&path, errno))?;
        let status = rustix::fs::fstat(&directory).map_err(|errno| failed(&path, errno))?;
        if status.st_uid != own_id() {
            return Err(Error::ForeignDirectory { path });
        }
    }
    Ok(path)
}

/// Returns the owner that files made by this process have, as it sees them.
fn own_id() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Reads a file that this program wrote, `None` when there is none.
///
/// # Errors
/// The kernel's error; `ELOOP` for a symbolic link, and [`std::io::ErrorKind::InvalidData`] when it is no regular file
/// or longer than `limit_bytes`.
pub(super) fn read_own(path: &Path, limit_bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let opened = fs_err::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > limit_bytes {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    file.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Tells whether `relative` below `base` is a directory that is reached without any symbolic link.
pub(super) fn is_directory_below(base: &Path, relative: &Path) -> bool {
    let Ok(mut directory) = open(CWD, base, OFlags::empty()) else {
        return false;
    };
    for name in relative {
        match open(&directory, Path::new(name), OFlags::NOFOLLOW) {
            Ok(next) => directory = next,
            Err(_) => return false,
        }
    }
    true
}

fn open(
    directory: impl std::os::fd::AsFd,
    path: &Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, path, flags, Mode::empty())
}

fn failed(path: &Path, errno: rustix::io::Errno) -> Error {
    let path = path.to_owned();
    match errno {
        // With O_PATH, O_DIRECTORY and O_NOFOLLOW together, a symbolic link gives ENOTDIR.
        rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => Error::NotDirectory { path },
        errno => Error::Prepare {
            root: path,
            source: errno.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;

    use super::{directory_below, is_directory_below, read_own};
    use crate::store::Error;

    #[test]
    fn directories_are_made_and_found_again() {
        let base = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let made = directory_below(base.path(), Path::new("a/b")).unwrap();
            assert_eq!(made, base.path().join("a/b"));
        }
        assert!(is_directory_below(base.path(), Path::new("a/b")));
        assert!(!is_directory_below(base.path(), Path::new("a/c")));
    }

    #[test]
    fn planted_links_and_files_are_refused_at_every_level() {
        let base = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(elsewhere.path().join("b")).unwrap();
        fs::create_dir(base.path().join("real")).unwrap();
        fs::os::unix::fs::symlink(elsewhere.path(), base.path().join("a")).unwrap();
        fs::os::unix::fs::symlink(elsewhere.path(), base.path().join("real/b")).unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        for planted in ["a", "a/b", "real/b", "file"] {
            let refused = directory_below(base.path(), Path::new(planted));
            assert!(
                matches!(refused, Err(Error::NotDirectory { .. })),
                "{planted}: {refused:?}"
            );
            assert!(
                !is_directory_below(base.path(), Path::new(planted)),
                "{planted}"
            );
        }
    }

    #[test]
    fn only_regular_files_of_a_fair_size_are_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "12345").unwrap();
        fs::os::unix::fs::symlink(&file, place.path().join("link")).unwrap();
        assert_eq!(read_own(&file, 5).unwrap().unwrap(), b"12345");
        assert!(read_own(&file, 4).is_err());
        assert!(read_own(&place.path().join("link"), 5).is_err());
        assert!(read_own(place.path(), 5).is_err());
        assert!(read_own(&place.path().join("none"), 5).unwrap().is_none());
    }
}
