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
//! packages/<target>/archives   downloaded packages
//! staging/<name>               work in progress, held by a lock that dies with its process
//! locks/<name>                 one empty file a lock
//! ```
//!
//! An entry appears by one rename, is never changed afterwards, and disappears by one rename, so a reader needs no lock.
//! Work in progress whose process died is removed by the next build that opens the store; what cannot be removed is
//! reported and left.

mod directory;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod layer;
mod lock;
mod removal;
mod staging;

pub use self::directory::directory_below;
pub use self::layer::{InstalledPackage, Layer, LayerMetadata};
pub use self::lock::Lock;
pub(crate) use self::removal::remove_tree;
pub use self::staging::Staging;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use self::directory::read_own;
use crate::Hint;
use crate::packages::apt::ResolvedPackage;
use crate::plan::Key;

/// A directory that builds share.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    in_use: Lock,
    left_behind: Vec<Error>,
}

/// The packages of a whole distribution need a tenth of it.
const RESOLUTION_LIMIT_BYTES: u64 = 64 << 20;

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
        let shown = root;
        let prepare = |source| Error::Prepare {
            root: shown.into(),
            source,
        };
        fs::create_dir_all(root).map_err(prepare)?;
        directory_below(root, Path::new("locks"))?;
        // Absolute, because overlay directories are opened by the launcher, whose working directory is another one.
        let root = fs::canonicalize(root).map_err(prepare)?;
        // Before the others are made: who clears the store removes them.
        let in_use = Lock::acquire_shared(&root.join("locks/in-use"))?;
        for name in ["layers", "metadata", "resolutions", "packages", "staging"] {
            let directory = directory_below(&root, Path::new(name))?;
            // Set-id programs in a layer belong to the person who builds, so nobody else may reach them.
            fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).map_err(prepare)?;
        }
        let left_behind = Staging::remove_abandoned(&root.join("staging"));
        Ok(Self {
            root,
            in_use,
            left_behind,
        })
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
        &self.root
    }

    /// Removes `contents` and what killed builds left behind, unless another build uses the store.
    ///
    /// # Errors
    /// [`Error::InUse`] when one does, [`Error::Clear`] or [`Error::RemoveStaging`] when something cannot be removed.
    pub fn clear(self, contents: Contents) -> Result<(), Error> {
        let Self { root, in_use, .. } = self;
        drop(in_use);
        let Some(alone) = Lock::try_acquire(&root.join("locks/in-use"))? else {
            return Err(Error::InUse { root });
        };
        let staging_directory = root.join("staging");
        let staging = Staging::create(&staging_directory)?;
        let directories: &[&str] = match contents {
            Contents::LayersAndMetadata => &["layers", "metadata", "resolutions"],
            Contents::Everything => &["layers", "metadata", "resolutions", "packages"],
        };
        for name in directories {
            let path = root.join(name);
            // By one rename: a removal that is killed halfway would leave layers that look whole.
            match fs::rename(&path, staging.path().join(name)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => done.map_err(|source| Error::Clear { path, source })?,
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
        layer::read(&self.root, key)
    }

    /// Returns the exclusive right to make the layer of `key`, unless another build has it.
    ///
    /// # Errors
    /// [`Error::Lock`] when the lock file cannot be made or locked.
    pub fn try_lock_layer(&self, key: &Key) -> Result<Option<Lock>, Error> {
        Lock::try_acquire(&self.root.join("locks").join(format!("layer-{key}")))
    }

    /// Makes a directory for work in progress, which is removed when the value is dropped or its process dies.
    ///
    /// # Errors
    /// [`Error::Stage`] when it cannot be made.
    pub fn stage(&self) -> Result<Staging, Error> {
        Staging::create(&self.root.join("staging"))
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
        layer::add(
            &self.root.join("layers").join(key.as_str()),
            staging,
            metadata,
        )
    }

    /// Returns the exclusive right to change the repository metadata of `key`, unless another build has it.
    ///
    /// # Errors
    /// [`Error::Lock`] when the lock file cannot be made or locked.
    pub fn try_lock_metadata(&self, key: &Key) -> Result<Option<Lock>, Error> {
        Lock::try_acquire(&self.root.join("locks").join(format!("metadata-{key}")))
    }

    /// Returns the directory for the repository metadata of `key`.
    ///
    /// # Errors
    /// [`Error::Prepare`] or [`Error::NotDirectory`].
    pub fn repository_metadata(&self, key: &Key) -> Result<PathBuf, Error> {
        directory_below(&self.root, &Path::new("metadata").join(key.as_str()))
    }

    /// Returns the packages that were chosen for `key`, `None` when none are known or what is kept cannot be read.
    pub fn resolution(&self, key: &Key) -> Option<Vec<ResolvedPackage>> {
        let text = read_own(&self.resolution_path(key), RESOLUTION_LIMIT_BYTES).ok()??;
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
        let path = self.resolution_path(key);
        let staged = staging.path().join(format!("resolution-{key}"));
        let text = serde_json::to_vec(packages).expect("texts and numbers can be serialised");
        fs::write(&staged, text)
            .and_then(|()| fs::rename(&staged, &path))
            .map_err(|source| Error::KeepResolution { path, source })
    }

    fn resolution_path(&self, key: &Key) -> PathBuf {
        self.root.join("resolutions").join(format!("{key}.json"))
    }

    /// Returns the directory for downloaded packages of `target`, such as `debian~bookworm~x86-64`.
    ///
    /// # Errors
    /// [`Error::Prepare`] or [`Error::NotDirectory`].
    pub fn package_directory(&self, target: &str) -> Result<PathBuf, Error> {
        directory_below(
            &self.root,
            &Path::new("packages").join(target).join("archives"),
        )
    }
}

#[cfg(test)]
mod tests;
