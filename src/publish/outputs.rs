//! The outputs of one run, staged until all are done.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::Error;
use super::hidden::HiddenDirectory;
use super::place::{place, size_of};
use crate::store::{self, Staging};

/// A directory for outputs, with those of this build that are not yet in place.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    staging: Staging,
    staged: Vec<Staged>,
    left_behind: Vec<store::Error>,
    // After `staging`, which is dropped first and lies in it.
    _hidden: HiddenDirectory,
}

/// An output that waits for its place.
#[derive(Debug)]
struct Staged {
    image: String,
    name: String,
    path: PathBuf,
    kind: Kind,
    elapsed: Duration,
}

/// What an output is, as far as taking its place goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Image {
        mode: Option<u32>,
    },
    /// What was there already is what this build would make.
    Unchanged,
    Link,
}

/// An output that is in its place.
#[derive(Clone, Debug)]
pub struct Published {
    pub image: String,
    pub path: PathBuf,
    /// The size of a file; for a directory, of all files below it.
    pub size_bytes: u64,
    /// How long the image took.
    pub elapsed: Duration,
}

/// How often the hidden directory is made again when somebody removes it.
const ATTEMPTS: u32 = 1000;

impl OutputDirectory {
    /// Opens the directory at `path`, making it when it does not exist, and removes what killed builds left in it.
    ///
    /// # Errors
    /// [`Error::Prepare`] or [`Error::Stage`] when nothing can be written there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::try_open(path) {
                // Another build that ended has removed the directory that we did not use yet. That cannot happen
                // for ever: a file system that says so every time has another reason.
                Err(Error::Stage { source, .. }) if is_gone(&source) && attempts < ATTEMPTS => {}
                Err(Error::Stage {
                    path,
                    source: store::Error::Prepare { source, .. },
                }) => return Err(Error::Prepare { path, source }),
                done => return done,
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, Error> {
        let hidden = HiddenDirectory::make(path)?;
        let left_behind = Staging::remove_abandoned(&hidden.path());
        let staging = Staging::create(&hidden.path()).map_err(|source| Error::Stage {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            staging,
            staged: Vec::new(),
            left_behind,
            _hidden: hidden,
        })
    }

    /// Returns why something that killed builds left behind could not be removed.
    pub fn left_behind(&self) -> &[store::Error] {
        &self.left_behind
    }

    /// Has `write` make the output `name` of `image` at the path that it is given, where nothing exists yet.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn add<T, E>(
        &mut self,
        image: &str,
        name: &str,
        mode: Option<u32>,
        started: Instant,
        write: impl FnOnce(&Path) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.staging.path().join(name);
        let written = write(&path)?;
        let kind = Kind::Image { mode };
        let (image, name, elapsed) = (image.into(), name.into(), started.elapsed());
        self.staged.push(Staged {
            image,
            name,
            path,
            kind,
            elapsed,
        });
        Ok(written)
    }

    /// Returns where the output `name` is or will be.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Leaves the output `name` of `image` as it is.
    pub fn keep(&mut self, image: &str, name: &str, started: Instant) {
        self.staged.push(Staged {
            image: image.into(),
            name: name.into(),
            path: self.path.join(name),
            kind: Kind::Unchanged,
            elapsed: started.elapsed(),
        });
    }

    /// Adds the symbolic link `name` to the output `target`.
    ///
    /// # Errors
    /// [`Error::Place`] when it cannot be made.
    pub fn add_link(&mut self, image: &str, name: &str, target: &str) -> Result<(), Error> {
        let path = self.staging.path().join(name);
        fs::os::unix::fs::symlink(target, &path).map_err(|source| Error::Place {
            path: path.clone(),
            source,
        })?;
        let (image, name) = (image.into(), name.into());
        self.staged.push(Staged {
            image,
            name,
            path,
            kind: Kind::Link,
            elapsed: Duration::ZERO,
        });
        Ok(())
    }

    /// Returns where the output that will be at `path` is now, `None` when this build makes none there.
    pub fn staged(&self, path: &Path) -> Option<PathBuf> {
        self.staged
            .iter()
            .find(|staged| self.path.join(&staged.name) == path)
            .map(|staged| staged.path.clone())
    }

    /// Removes the directory `path` of this directory by one rename, so that nobody ever sees a part of it.
    pub(super) fn remove(self, path: &Path) -> Result<(), Error> {
        fs::rename(path, self.staging.path().join("removed")).map_err(|source| Error::Remove {
            path: path.into(),
            source,
        })?;
        let Self {
            staging, _hidden, ..
        } = self;
        staging.remove().map_err(|source| Error::Stage {
            path: path.into(),
            source,
        })
    }

    /// Puts everything in place.
    ///
    /// # Errors
    /// [`Error::Place`] for the first output that cannot be moved; those before it are in place then.
    pub fn publish(self) -> Result<Vec<Published>, Error> {
        let mut published = Vec::new();
        for staged in &self.staged {
            let path = self.path.join(&staged.name);
            place(&staged.path, staged.kind, &path)?;
            if staged.kind != Kind::Link {
                let size_bytes = size_of(&path);
                published.push(Published {
                    image: staged.image.clone(),
                    path,
                    size_bytes,
                    elapsed: staged.elapsed,
                });
            }
        }
        Ok(published)
    }
}

fn is_gone(error: &store::Error) -> bool {
    let (store::Error::Lock { source, .. }
    | store::Error::Prepare { source, .. }
    | store::Error::Stage { source, .. }) = error
    else {
        return false;
    };
    source.kind() == std::io::ErrorKind::NotFound
}
