//! Layers, packages and repository metadata by key, safe under concurrent builds and kill -9.
//!
//! Everything a build reuses lives below one directory:
//!
//! ```text
//! layers/<key>/tree            the captured upper directory of a step
//! layers/<key>/layer.json      what it holds: records, packages, epoch
//! metadata/<key>/lists         repository metadata as the package manager keeps it
//! metadata/<key>/refreshed     an empty file, once that was complete
//! resolutions/<key>.json       the packages that a package manager chose from metadata
//! records/<key>.json           what an output was made of
//! packages/<target>/archives   downloaded packages
//! staging/<name>               work in progress, held by a lock that dies with its process
//! locks/<name>                 one empty file a lock
//! untrusted/                   all of it once more, of builds that are not trusted
//! ```
//!
//! An entry appears by one rename, is never changed afterwards, and disappears by one rename, so a reader needs no lock.
//! Work in progress whose process died is removed by the next build that opens the store; what cannot be removed is
//! reported and left. `place` says which directory it is, and why others cannot fill it.

mod directory;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod layer;
mod lock;
mod place;
mod records;
mod staging;
mod trusted;

pub use self::directory::own_directory;
pub use self::layer::{InstalledPackage, Layer, LayerMetadata};
pub use self::lock::Lock;
pub use self::place::{Place, PlaceError, Trust};
pub use self::staging::Staging;
pub use self::trusted::TrustedStore;
pub(crate) use self::trusted::copy_if_it_is;

use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use self::directory::unprepared;
use crate::Hint;
use crate::beneath::{self, Directory};
use crate::packages::apt::ResolvedPackage;
use crate::plan::Key;

/// A directory that builds share.
#[derive(Debug)]
pub struct Store {
    root: Directory,
    locks: Directory,
    in_use: Lock,
    left_behind: Vec<Error>,
}

/// The packages of a whole distribution need a tenth of it.
const RESOLUTION_LIMIT_BYTES: u64 = 64 << 20;

const STAGING: &str = "staging";
const RECORDS: &str = "records";
/// The lock in `locks` that every build shares, and that who clears the store holds alone.
const IN_USE: &str = "in-use";

/// What [`Store::clear`] removes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contents {
    LayersAndMetadata,
    /// Also the downloaded packages.
    Everything,
}

/// The store could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("preparing the store `{root}`")]
    Prepare {
        root: PathBuf,
        source: std::io::Error,
    },
    #[error("`{path}` belongs to another user")]
    ForeignDirectory { path: PathBuf },
    #[error("`{path}` is not a directory of its own")]
    NotDirectory { path: PathBuf },
    #[error("locking `{path}`")]
    Lock {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("making a staging directory below `{root}`")]
    Stage {
        root: PathBuf,
        source: std::io::Error,
    },
    #[error("removing the abandoned staging directory `{path}`")]
    RemoveStaging {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading the layer `{path}`")]
    ReadLayer {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the layer `{path}` has a description that cannot be understood")]
    ParseLayer {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("adding the layer `{path}`")]
    AddLayer {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("keeping the chosen packages in `{path}`")]
    KeepResolution {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("keeping what was built in `{path}`")]
    KeepRecord {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("another build uses the store `{root}`")]
    InUse { root: PathBuf },
    #[error("removing `{path}`")]
    Clear {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Prepare { .. } | Self::Stage { .. } => {
                Some("name a directory that you can write to with `CacheDirectory=`".into())
            }
            Self::ParseLayer { path, .. } => Some(format!(
                "remove `{}`; the next build makes it again",
                path.display()
            )),
            Self::ForeignDirectory { .. } => Some(
                "use a directory of your own, with `CacheDirectory=` or `OutputDirectory=`".into(),
            ),
            Self::NotDirectory { .. } => Some(
                "a symbolic link or file is where builds keep what they make; see who put it there, and remove it"
                    .into(),
            ),
            Self::InUse { .. } => Some("wait for it to end".into()),
            Self::RemoveStaging { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Some(
                    "a build with `--userns=range` that was killed leaves files of subordinate ids; `overcoat clean` \
                     removes them where `overcoat doctor` finds that range"
                        .into(),
                )
            }
            _ => None,
        }
    }
}

impl Store {
    /// Opens the store at `root`, making it when it does not exist, and clears what killed builds left behind.
    ///
    /// # Errors
    /// [`Error::Prepare`] when the directories cannot be made, [`Error::Lock`] when the store cannot be locked. What
    /// killed builds left and cannot be removed is no error: see [`Self::left_behind`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        let prepare = |source| Error::Prepare {
            root: root.into(),
            source,
        };
        // The person names this directory, or the recipe one inside its own; what is below is reached from it.
        fs_err::create_dir_all(root).map_err(prepare)?;
        // Absolute, because overlay directories are opened by the launcher, whose working directory is another one.
        let root = fs_err::canonicalize(root).map_err(prepare)?;
        let root = Directory::open(&root).map_err(unprepared)?;
        let locks = own_directory(&root, "locks")?;
        // Before the others are made: who clears the store removes them.
        let in_use = Lock::acquire_shared(&locks, IN_USE)?;
        for name in [
            "layers",
            "metadata",
            "resolutions",
            RECORDS,
            "packages",
            STAGING,
        ] {
            // Set-id programs in a layer belong to the person who builds, so nobody else may reach them.
            own_directory(&root, name)?
                .set_own_mode(Mode::RWXU)
                .map_err(unprepared)?;
        }
        let left_behind = Staging::remove_abandoned(&own_directory(&root, STAGING)?);
        Ok(Self {
            root,
            locks,
            in_use,
            left_behind,
        })
    }

    /// Tells whether at `root` is a store.
    pub fn is_at(root: &Path) -> bool {
        Directory::open(root).is_ok_and(|root| root.subdirectory(STAGING).is_ok())
    }

    /// Returns why something that killed builds left behind could not be removed.
    pub fn left_behind(&self) -> &[Error] {
        &self.left_behind
    }

    /// Tells whether nothing is left of killed builds.
    ///
    /// # Errors
    /// Why something could not be removed when the store was opened.
    pub fn into_swept(mut self) -> Result<(), Error> {
        self.left_behind.pop().map_or(Ok(()), Err)
    }

    /// Returns the directory that holds everything.
    pub fn root(&self) -> &Path {
        self.root.host_path()
    }

    /// Removes `contents` and what killed builds left behind, unless another build uses the store.
    ///
    /// # Errors
    /// [`Error::InUse`] when one does, [`Error::Clear`] or [`Error::RemoveStaging`] when something cannot be removed.
    pub fn clear(self, contents: Contents) -> Result<(), Error> {
        let Self {
            root,
            locks,
            in_use,
            ..
        } = self;
        drop(in_use);
        let Some(alone) = Lock::try_acquire(&locks, IN_USE)? else {
            let root = root.host_path().into();
            return Err(Error::InUse { root });
        };
        let staging_directory = own_directory(&root, STAGING)?;
        let staging = Staging::create(&staging_directory)?;
        let directories: &[&str] = match contents {
            Contents::LayersAndMetadata => &["layers", "metadata", "resolutions", RECORDS],
            Contents::Everything => &["layers", "metadata", "resolutions", RECORDS, "packages"],
        };
        for name in directories {
            // By one rename: a removal that is killed halfway would leave layers that look whole.
            match root.rename(name, staging.directory(), name) {
                Err(error) if error.is_not_found() => {}
                done => done.map_err(|error| Error::Clear {
                    path: error.path().into(),
                    source: error.into_cause(),
                })?,
            }
        }
        drop(alone);
        staging.remove()?;
        match Staging::remove_abandoned(&staging_directory).pop() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Returns the layer of `key`, `None` when no build has made it yet.
    ///
    /// # Errors
    /// [`Error::ReadLayer`] or [`Error::ParseLayer`] when it is there but unreadable.
    pub fn layer(&self, key: &Key) -> Result<Option<Layer>, Error> {
        layer::read(&own_directory(&self.root, "layers")?, key)
    }

    /// Returns the exclusive right to make the layer of `key`, unless another build has it.
    ///
    /// # Errors
    /// [`Error::Lock`] when the lock file cannot be made or locked.
    pub fn try_lock_layer(&self, key: &Key) -> Result<Option<Lock>, Error> {
        Lock::try_acquire(&self.locks, &format!("layer-{key}"))
    }

    /// Makes a directory for work in progress, which is removed when the value is dropped or its process dies.
    ///
    /// # Errors
    /// [`Error::Stage`] when it cannot be made.
    pub fn stage(&self) -> Result<Staging, Error> {
        Staging::create(&own_directory(&self.root, STAGING)?)
    }

    /// Turns the `tree` directory of `staging` into the layer of `key`.
    ///
    /// When another build has added the same key in the meantime, that layer is returned and the staged one dropped.
    ///
    /// # Errors
    /// [`Error::AddLayer`] when the layer cannot be moved into place.
    pub fn add_layer(
        &self,
        key: &Key,
        staging: Staging,
        metadata: &LayerMetadata,
    ) -> Result<Layer, Error> {
        let layers = own_directory(&self.root, "layers")?;
        layer::add(&layers, key, staging, metadata)
    }

    /// Returns the exclusive right to change the repository metadata of `key`, unless another build has it.
    ///
    /// # Errors
    /// [`Error::Lock`] when the lock file cannot be made or locked.
    pub fn try_lock_metadata(&self, key: &Key) -> Result<Option<Lock>, Error> {
        Lock::try_acquire(&self.locks, &format!("metadata-{key}"))
    }

    /// Returns the directory for the repository metadata of `key`.
    ///
    /// # Errors
    /// [`Error::Prepare`] or [`Error::NotDirectory`].
    pub fn repository_metadata(&self, key: &Key) -> Result<Directory, Error> {
        own_directory(&own_directory(&self.root, "metadata")?, key.as_str())
    }

    /// Returns the packages that were chosen for `key`, `None` when none are known or what is kept cannot be read.
    pub fn resolution(&self, key: &Key) -> Option<Vec<ResolvedPackage>> {
        let resolutions = own_directory(&self.root, "resolutions").ok()?;
        let text = resolutions.read(resolution_name(key), RESOLUTION_LIMIT_BYTES);
        let text = text.ok()??;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps the packages that were chosen for `key`.
    ///
    /// # Errors
    /// [`Error::KeepResolution`] when they cannot be written.
    pub fn keep_resolution(
        &self,
        key: &Key,
        packages: &[ResolvedPackage],
        staging: &Staging,
    ) -> Result<(), Error> {
        let resolutions = own_directory(&self.root, "resolutions")?;
        let name = resolution_name(key);
        let failed = |source| Error::KeepResolution {
            path: resolutions.path_of(&name),
            source,
        };
        let not_kept = |error: beneath::Error| failed(error.into());
        let text = serde_json::to_vec(packages).expect("texts and numbers can be serialised");
        staging
            .directory()
            .create_file(&name, Mode::from_raw_mode(0o666))
            .map_err(not_kept)?
            .write_all(&text)
            .map_err(failed)?;
        staging
            .directory()
            .rename(&name, &resolutions, &name)
            .map_err(not_kept)
    }

    /// Returns the directory for downloaded packages of `target`, such as `debian~bookworm~x86-64`.
    ///
    /// # Errors
    /// [`Error::Prepare`] or [`Error::NotDirectory`].
    pub fn package_directory(&self, target: &str) -> Result<Directory, Error> {
        let packages = own_directory(&self.root, "packages")?;
        own_directory(&own_directory(&packages, target)?, "archives")
    }
}

fn resolution_name(key: &Key) -> String {
    format!("{key}.json")
}

#[cfg(test)]
mod tests;
