//! Directories for work in progress.

use std::path::Path;

use rustix::fs::Mode;
use uuid::Uuid;

use super::{Error, Lock};
use crate::beneath::{self, Directory};

/// A directory for work in progress. It is removed on drop; when the process is killed, the next build removes it,
/// because the lock beside it is free then.
#[derive(Debug)]
pub struct Staging {
    parent: Directory,
    name: String,
    directory: Directory,
    _lock: Lock,
}

impl Staging {
    /// Makes a staging directory below `parent`.
    ///
    /// # Errors
    /// [`Error::Stage`] or [`Error::Lock`] when it cannot be made.
    pub fn create(parent: &Directory) -> Result<Self, Error> {
        let unstaged = |error: beneath::Error| Error::Stage {
            root: parent.host_path().into(),
            source: error.into(),
        };
        let name = random_name();
        // The lock comes first: a directory without a held lock would be taken for abandoned.
        let lock = Lock::acquire(parent, &lock_name(&name))?;
        let directory = parent
            .make_directory(&name, Mode::from_raw_mode(0o777))
            .map_err(unstaged)?;
        Ok(Self {
            parent: parent.try_clone().map_err(unstaged)?,
            name,
            directory,
            _lock: lock,
        })
    }

    /// Removes the staging directories below `parent` whose processes are gone, and returns why some stay.
    ///
    /// What stays only takes space: nothing ever reads it. So it stops no build, and the next one tries again.
    pub fn remove_abandoned(parent: &Directory) -> Vec<Error> {
        match parent.names() {
            Ok(names) => staged_names(&names)
                .filter_map(|name| remove_if_abandoned(parent, name).err())
                .collect(),
            Err(error) => vec![unremoved(error)],
        }
    }

    /// Removes the directory, as dropping does, and tells whether that worked.
    ///
    /// # Errors
    /// [`Error::RemoveStaging`] when something stays; the next build tries again.
    pub fn remove(self) -> Result<(), Error> {
        self.parent.remove(&self.name).map_err(unremoved)
    }

    /// Returns where the directory is, for mounting what is in it.
    pub fn path(&self) -> &Path {
        self.directory.host_path()
    }

    /// Returns the directory itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Makes and returns the empty subdirectory `name`, with mode 0755 whatever the caller's umask is: it may become
    /// the root of a layer, whose mode is part of an image.
    ///
    /// # Errors
    /// [`Error::Stage`] when it cannot be made.
    pub fn subdirectory(&self, name: &str) -> Result<Directory, Error> {
        let made = self.directory.make_directory(name, Mode::RWXU);
        made.and_then(|made| {
            made.set_own_mode(Mode::from_raw_mode(0o755))?;
            Ok(made)
        })
        .map_err(|error| Error::Stage {
            root: self.path().into(),
            source: error.into(),
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is tried again by the next build; the build's own outcome matters more.
        if self.parent.remove(&self.name).is_ok() {
            let _ = self.parent.remove_file(lock_name(&self.name));
        }
    }
}

/// Returns the names that [`Staging::create`] may have given. Nothing else is touched: what lies in an output directory
/// came with a recipe that strangers wrote.
fn staged_names(names: &[Vec<u8>]) -> impl Iterator<Item = &str> {
    names
        .iter()
        .filter_map(|name| std::str::from_utf8(name).ok()?.strip_suffix(LOCK_SUFFIX))
        .filter(|name| is_random_name(name))
}

fn remove_if_abandoned(parent: &Directory, name: &str) -> Result<(), Error> {
    let lock_name = lock_name(name);
    let Some(_lock) = Lock::try_acquire(parent, &lock_name)? else {
        return Ok(());
    };
    parent
        .remove(name)
        .and_then(|()| parent.remove_file(&lock_name))
        .map_err(unremoved)
}

fn unremoved(error: beneath::Error) -> Error {
    Error::RemoveStaging {
        path: error.path().into(),
        source: error.into_cause(),
    }
}

const LOCK_SUFFIX: &str = ".lock";

fn lock_name(name: &str) -> String {
    format!("{name}{LOCK_SUFFIX}")
}

fn is_random_name(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn random_name() -> String {
    let mut bytes = [0; 16];
    openssl::rand::rand_bytes(&mut bytes)
        .expect("the random generator of OpenSSL works once it is seeded");
    Uuid::from_bytes(bytes).simple().to_string()
}
