//! Locks that the kernel releases when their holder dies.

use std::fs::File;
use std::path::Path;

use fs_err::OpenOptions;
use fs_err::os::unix::fs::OpenOptionsExt;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::Error;

/// A lock (flock(2)) on a file, held until it is dropped or its process dies.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Waits for the lock on `path`, making the file when it does not exist.
    ///
    /// # Errors
    /// [`Error::Lock`] when the file cannot be opened or locked.
    pub fn acquire(path: &Path) -> Result<Self, Error> {
        Self::wait(path, FlockArg::LockExclusive)
    }

    /// Waits for a lock on `path` that others may share, but nobody can hold alone.
    pub(super) fn acquire_shared(path: &Path) -> Result<Self, Error> {
        Self::wait(path, FlockArg::LockShared)
    }

    fn wait(path: &Path, how: FlockArg) -> Result<Self, Error> {
        Self::take(path, how)?.ok_or_else(|| Error::Lock {
            path: path.into(),
            source: nix::errno::Errno::EWOULDBLOCK.into(),
        })
    }

    /// Takes the lock on `path` unless somebody holds it.
    ///
    /// # Errors
    /// [`Error::Lock`] when the file cannot be opened or locked.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>, Error> {
        Self::take(path, FlockArg::LockExclusiveNonblock)
    }

    fn take(path: &Path, how: FlockArg) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Lock {
            path: path.into(),
            source,
        };
        loop {
            // A link planted in its place must not make a file elsewhere.
            let opened = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                // An output directory comes with a recipe that strangers wrote: no link may choose another file, and
                // no pipe may make us wait for its reader.
                .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
                .open(path)
                .map_err(failed)?;
            let (file, _) = opened.into_parts();
            match Flock::lock(file, how) {
                // Whoever held it before may have removed the file; a lock on a removed file excludes nobody.
                Ok(file) if is_at(&file, path) => return Ok(Some(Self { _file: file })),
                Ok(_) => {}
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, nix::errno::Errno::EINTR)) => {}
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(locked), Ok(named)) = (nix::sys::stat::fstat(file), nix::sys::stat::stat(path)) else {
        return false;
    };
    (locked.st_dev, locked.st_ino) == (named.st_dev, named.st_ino)
}
