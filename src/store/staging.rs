//! Directories for work in progress.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use uuid::Uuid;

use super::{Error, Lock, remove_tree};

/// A directory for work in progress. It is removed on drop; when the process is killed, the next build removes it,
/// because the lock beside it is free then.
#[derive(Debug)]
pub struct Staging {
    directory: PathBuf,
    lock_path: PathBuf,
    _lock: Lock,
}

impl Staging {
    /// Makes a staging directory below `parent`.
    ///
    /// # Errors
    /// [`Error::Stage`] or [`Error::Lock`] when it cannot be made.
    pub fn create(parent: &Path) -> Result<Self, Error> {
        let name = random_name();
        let (directory, lock_path) = (parent.join(&name), lock_path(parent, &name));
        // The lock comes first: a directory without a held lock would be taken for abandoned.
        let lock = Lock::acquire(&lock_path)?;
        fs::create_dir(&directory).map_err(|source| Error::Stage {
            root: parent.into(),
            source,
        })?;
        Ok(Self {
            directory,
            lock_path,
            _lock: lock,
        })
    }

    /// Removes the staging directories below `parent` whose processes are gone, and returns why some stay.
    ///
    /// What stays only takes space: nothing ever reads it. So it stops no build, and the next one tries again.
    pub fn remove_abandoned(parent: &Path) -> Vec<Error> {
        let names = match staged_names(parent) {
            Ok(names) => names,
            Err(source) => {
                let path = parent.into();
                return vec![Error::RemoveStaging { path, source }];
            }
        };
        names
            .iter()
            .filter_map(|name| remove_if_abandoned(parent, name).err())
            .collect()
    }

    /// Removes the directory, as dropping does, and tells whether that worked.
    ///
    /// # Errors
    /// [`Error::RemoveStaging`] when something stays; the next build tries again.
    pub fn remove(self) -> Result<(), Error> {
        remove_tree(&self.directory).map_err(|source| Error::RemoveStaging {
            path: self.directory.clone(),
            source,
        })
    }

    /// Returns the directory itself.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Makes and returns the empty subdirectory `name`, with mode 0755 whatever the caller's umask is: it may become
    /// the root of a layer, whose mode is part of an image.
    ///
    /// # Errors
    /// [`Error::Stage`] when it cannot be made.
    pub fn subdirectory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.directory.join(name);
        let made = fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(0o755)));
        made.map_err(|source| Error::Stage {
            root: self.directory.clone(),
            source,
        })?;
        Ok(path)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is tried again by the next build; the build's own outcome matters more.
        if remove_tree(&self.directory).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Returns the names below `parent` that [`Staging::create`] may have given. Nothing else is touched: what lies in an
/// output directory came with a recipe that strangers wrote.
fn staged_names(parent: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(parent)? {
        let name = entry?.file_name();
        let name = name
            .to_str()
            .and_then(|name| name.strip_suffix(LOCK_SUFFIX));
        names.extend(name.filter(|name| is_random_name(name)).map(str::to_owned));
    }
    Ok(names)
}

fn remove_if_abandoned(parent: &Path, name: &str) -> Result<(), Error> {
    let lock_path = lock_path(parent, name);
    let Some(_lock) = Lock::try_acquire(&lock_path)? else {
        return Ok(());
    };
    let directory = parent.join(name);
    remove_tree(&directory).map_err(|source| Error::RemoveStaging {
        path: directory,
        source,
    })?;
    fs::remove_file(&lock_path).map_err(|source| Error::RemoveStaging {
        path: lock_path,
        source,
    })
}

const LOCK_SUFFIX: &str = ".lock";

fn lock_path(parent: &Path, name: &str) -> PathBuf {
    parent.join(format!("{name}{LOCK_SUFFIX}"))
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
