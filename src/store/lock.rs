//! Locks that the kernel releases when their holder dies.

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};
use rustix::fs::Mode;

use super::Error;
use crate::beneath::{self, Directory};
use crate::tree::TreePath;

/// A lock (flock(2)) on a file, held until it is dropped or its process dies.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Waits for the lock on the file `name` in `directory`, making it when it does not exist.
    ///
    /// # Errors
    /// [`Error::Lock`] when the file cannot be opened or locked.
    pub fn acquire(directory: &Directory, name: &str) -> Result<Self, Error> {
        Self::wait(directory, name, FlockArg::LockExclusive)
    }

    /// Waits for a lock on `name` that others may share, but nobody can hold alone.
    pub(super) fn acquire_shared(directory: &Directory, name: &str) -> Result<Self, Error> {
        Self::wait(directory, name, FlockArg::LockShared)
    }

    /// Waits for a lock on `name` that others may share, `None` when there is no such file. Nothing is written.
    pub(super) fn share_existing(directory: &Directory, name: &str) -> Result<Option<Self>, Error> {
        let path = TreePath::new(name.as_bytes()).expect("locks have plain names");
        let open = || match directory.file(&path) {
            Err(error) if error.is_not_found() => Ok(None),
            opened => opened.map(Some),
        };
        Self::lock_opened(directory, name, FlockArg::LockShared, open)
    }

    fn wait(directory: &Directory, name: &str, how: FlockArg) -> Result<Self, Error> {
        Self::take(directory, name, how)?.ok_or_else(|| Error::Lock {
            path: directory.path_of(name),
            source: nix::errno::Errno::EWOULDBLOCK.into(),
        })
    }

    /// Takes the lock on the file `name` in `directory` unless somebody holds it.
    ///
    /// # Errors
    /// [`Error::Lock`] when the file cannot be opened or locked.
    pub fn try_acquire(directory: &Directory, name: &str) -> Result<Option<Self>, Error> {
        Self::take(directory, name, FlockArg::LockExclusiveNonblock)
    }

    fn take(directory: &Directory, name: &str, how: FlockArg) -> Result<Option<Self>, Error> {
        // An output directory comes with a recipe that strangers wrote: no link may choose another file, and no pipe
        // may make us wait for its reader.
        let open = || {
            directory
                .open_or_create_file(name, Mode::from_raw_mode(0o666))
                .map(Some)
        };
        Self::lock_opened(directory, name, how, open)
    }

    /// Locks what `open` opens, `None` when there is nothing or somebody else holds it.
    fn lock_opened(
        directory: &Directory,
        name: &str,
        how: FlockArg,
        open: impl Fn() -> Result<Option<File>, beneath::Error>,
    ) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Lock {
            path: directory.path_of(name),
            source,
        };
        loop {
            let Some(file) = open().map_err(|error| failed(error.into()))? else {
                return Ok(None);
            };
            match Flock::lock(file, how) {
                // Whoever held it before may have removed the file; a lock on a removed file excludes nobody.
                Ok(file) if directory.holds(name, &*file) => return Ok(Some(Self { _file: file })),
                Ok(_) => {}
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, nix::errno::Errno::EINTR)) => {}
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
    }
}
