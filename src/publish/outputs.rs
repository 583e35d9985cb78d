//! The outputs of one run, staged until all are done.

mod scripted;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Error;
use super::hidden::HiddenDirectory;
use super::place::{put, size_of};
use crate::beneath::{self, Directory, Place};
use crate::store::{self, Staging};

/// A directory for outputs, with those of this build that are not yet in place.
#[derive(Debug)]
pub struct OutputDirectory {
    staging: Staging,
    staged: Vec<Staged>,
    left_behind: Vec<store::Error>,
    // After `staging`, which is dropped first and lies in it.
    hidden: HiddenDirectory,
}

/// An output that waits for its place.
#[derive(Debug)]
struct Staged {
    image: String,
    name: String,
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
        let left_behind = Staging::remove_abandoned(hidden.directory());
        let staging = Staging::create(hidden.directory()).map_err(|source| Error::Stage {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            staging,
            staged: Vec::new(),
            left_behind,
            hidden,
        })
    }

    /// Returns why something that killed builds left behind could not be removed.
    pub fn left_behind(&self) -> &[store::Error] {
        &self.left_behind
    }

    /// Has `write` make the output `name` of `image` at the place that it is given, where nothing exists yet.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn add<T, E>(
        &mut self,
        image: &str,
        name: &str,
        mode: Option<u32>,
        started: Instant,
        write: impl FnOnce(&Place<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let written = write(&Place::new(self.staging.directory(), name.as_ref()))?;
        self.staged.push(Staged {
            image: image.into(),
            name: name.into(),
            kind: Kind::Image { mode },
            elapsed: started.elapsed(),
        });
        Ok(written)
    }

    /// Returns the place for the file `name` that is needed while outputs are made and is none itself.
    pub fn scratch<'a>(&'a self, name: &'a str) -> Place<'a> {
        Place::new(self.staging.directory(), name.as_ref())
    }

    /// Removes a file that was needed no longer than this.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_scratch(&self, name: &str) -> std::io::Result<()> {
        let removed = self.staging.directory().remove_file(name);
        removed.map_err(beneath::Error::into_cause)
    }

    /// Returns the place where the output `name` is or will be.
    pub fn place_of<'a>(&'a self, name: &'a str) -> Place<'a> {
        Place::new(self.hidden.output(), name.as_ref())
    }

    /// Leaves the output `name` of `image` as it is.
    pub fn keep(&mut self, image: &str, name: &str, started: Instant) {
        self.staged.push(Staged {
            image: image.into(),
            name: name.into(),
            kind: Kind::Unchanged,
            elapsed: started.elapsed(),
        });
    }

    /// Adds the symbolic link `name` to the output `target`.
    ///
    /// # Errors
    /// [`Error::Place`] when it cannot be made.
    pub fn add_link(&mut self, image: &str, name: &str, target: &str) -> Result<(), Error> {
        self.staging
            .directory()
            .make_symlink(name, target)
            .map_err(|error| Error::Place {
                path: error.path().into(),
                source: error.into_cause(),
            })?;
        self.staged.push(Staged {
            image: image.into(),
            name: name.into(),
            kind: Kind::Link,
            elapsed: Duration::ZERO,
        });
        Ok(())
    }

    /// Returns where the output that will be at `path` is now, `None` when this build makes none there.
    pub fn staged(&self, path: &Path) -> Option<PathBuf> {
        self.staged
            .iter()
            .find(|staged| self.place_of(&staged.name).host_path() == path)
            .map(|staged| self.directory_of(staged).path_of(&staged.name))
    }

    /// Returns the directory that an output is in until it takes its place.
    fn directory_of(&self, staged: &Staged) -> &Directory {
        match staged.kind {
            Kind::Unchanged => self.hidden.output(),
            Kind::Image { .. } | Kind::Link => self.staging.directory(),
        }
    }

    /// Removes the directory `name` of this directory by one rename, so that nobody ever sees a part of it.
    pub(super) fn remove(self, name: &OsStr) -> Result<(), Error> {
        let output = self.hidden.output();
        let path = output.path_of(name.as_bytes());
        output
            .rename(name.as_bytes(), self.staging.directory(), "removed")
            .map_err(|error| Error::Remove {
                path: path.clone(),
                source: error.into_cause(),
            })?;
        let Self {
            staging,
            hidden: _hidden,
            ..
        } = self;
        staging
            .remove()
            .map_err(|source| Error::Stage { path, source })
    }

    /// Puts everything in place.
    ///
    /// # Errors
    /// [`Error::Place`] for the first output that cannot be moved; those before it are in place then.
    pub fn publish(self) -> Result<Vec<Published>, Error> {
        let mut published = Vec::new();
        for staged in &self.staged {
            let place = self.place_of(&staged.name);
            let from = Place::new(self.staging.directory(), staged.name.as_ref());
            put(&from, staged.kind, &place)?;
            if staged.kind != Kind::Link {
                published.push(Published {
                    image: staged.image.clone(),
                    path: place.host_path(),
                    size_bytes: size_of(&place),
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
