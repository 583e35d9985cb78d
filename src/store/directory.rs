//! Directories below a place that others may have prepared.
//!
//! A recipe from a stranger may come with a cache or an output directory of its own, in which a symbolic link stands
//! where we would make a directory. Following it would write, or clear, somewhere else.

use rustix::fs::Mode;
use rustix::io::Errno;

use super::Error;
use crate::beneath::{self, Directory};

/// Makes the directory `name` in `parent` if it is not there, and opens it.
///
/// # Errors
/// [`Error::NotDirectory`] when a symbolic link or anything else that is no directory is in the way,
/// [`Error::ForeignDirectory`] when it belongs to somebody else, [`Error::Prepare`] when it cannot be made.
pub fn own_directory(parent: &Directory, name: &str) -> Result<Directory, Error> {
    let made = parent.make_directory(name, Mode::from_raw_mode(0o777));
    let directory = match made {
        Err(error) if error.errno() == Some(Errno::EXIST) => parent.subdirectory(name),
        made => made,
    };
    let directory = directory.map_err(unprepared)?;
    let owner = directory.own_status().map_err(unprepared)?.stx_uid;
    // As files made by this process have it, as it sees them.
    if owner != nix::unistd::geteuid().as_raw() {
        let path = directory.host_path().into();
        return Err(Error::ForeignDirectory { path });
    }
    Ok(directory)
}

pub(super) fn unprepared(error: beneath::Error) -> Error {
    let path = error.path().to_owned();
    match error.is_not_directory() {
        true => Error::NotDirectory { path },
        false => Error::Prepare {
            root: path,
            source: error.into_cause(),
        },
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::own_directory;
    use crate::beneath::Directory;
    use crate::store::Error;

    #[test]
    fn directories_are_made_and_found_again() {
        let base = tempfile::tempdir().unwrap();
        let opened = Directory::open(base.path()).unwrap();
        for _ in 0..2 {
            let made = own_directory(&opened, "a").unwrap();
            assert_eq!(made.host_path(), base.path().join("a"));
        }
    }

    #[test]
    fn planted_links_and_files_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::os::unix::fs::symlink(elsewhere.path(), base.path().join("link")).unwrap();
        fs::os::unix::fs::symlink("none", base.path().join("dangling")).unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let opened = Directory::open(base.path()).unwrap();
        for planted in ["link", "dangling", "file"] {
            let refused = own_directory(&opened, planted);
            assert!(
                matches!(refused, Err(Error::NotDirectory { .. })),
                "{planted}: {refused:?}"
            );
        }
        for path in ["", ".", "..", "a/b", "/tmp"] {
            assert!(own_directory(&opened, path).is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 3);
    }
}
