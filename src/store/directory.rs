//! Directories below a place that others may have prepared.
//!
//! A recipe from a stranger may come with a cache or an output directory of its own, in which a symbolic link stands
//! where we would make a directory. Following it would write, or clear, somewhere else.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use super::Error;

/// Makes the directory `relative` below `base`, with those between, and returns its path.
///
/// # Errors
/// [`Error::NotDirectory`] when a symbolic link or anything else that is no directory is in the way,
/// [`Error::Prepare`] when a directory cannot be made.
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
    }
    Ok(path)
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

    use super::{directory_below, is_directory_below};
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
}
