//! Layers: captured upper directories with what describes them.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::directory::{is_directory_below, read_own};
use super::{Error, Staging};
use crate::capture::EntryOwner;
use crate::plan::Key;

/// A captured upper directory that the store keeps.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The directory with the files, whiteouts and ownership attributes.
    pub tree: PathBuf,
    pub metadata: LayerMetadata,
}

/// What a layer's tree does not say itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct LayerMetadata {
    /// Owners of the entries that cannot carry extended attributes.
    // The key is part of the store's format: another name needs a new format version.
    #[serde(rename = "symlink_owners")]
    pub entry_owners: Vec<EntryOwner>,
    /// The packages that the step installed, sorted by name.
    pub packages: Vec<InstalledPackage>,
    /// The newest build time among those packages, in seconds since 1970; files made while installing get it.
    pub epoch_seconds: u64,
}

/// A package that a layer installed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InstalledPackage {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// The SHA-256 digest of the package file, in hexadecimal.
    pub sha256: String,
}

const DESCRIPTION: &str = "layer.json";
/// A description names each package and each link with an owner; this is many times what a distribution has.
const DESCRIPTION_LIMIT_BYTES: u64 = 256 << 20;
const TREE: &str = "tree";

pub(super) fn read(root: &Path, key: &Key) -> Result<Option<Layer>, Error> {
    let relative = Path::new("layers").join(key.as_str());
    let directory = root.join(&relative);
    let description = directory.join(DESCRIPTION);
    let text = match read_own(&description, DESCRIPTION_LIMIT_BYTES) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(source) => {
            return Err(Error::ReadLayer {
                path: directory,
                source,
            });
        }
    };
    // A link in its place would show another directory's files in an image.
    if !is_directory_below(root, &relative.join(TREE)) {
        return Err(Error::NotDirectory {
            path: directory.join(TREE),
        });
    }
    match serde_json::from_slice(&text) {
        Ok(metadata) => Ok(Some(Layer {
            tree: directory.join(TREE),
            metadata,
        })),
        Err(source) => Err(Error::ParseLayer {
            path: directory,
            source,
        }),
    }
}

pub(super) fn add(
    directory: &Path,
    staging: Staging,
    metadata: &LayerMetadata,
) -> Result<Layer, Error> {
    let failed = |source| Error::AddLayer {
        path: directory.into(),
        source,
    };
    let parcel = staging.subdirectory("layer")?;
    fs::rename(staging.path().join(TREE), parcel.join(TREE)).map_err(failed)?;
    let text = serde_json::to_vec_pretty(metadata).map_err(|source| Error::ParseLayer {
        path: directory.into(),
        source,
    })?;
    fs::write(parcel.join(DESCRIPTION), text).map_err(failed)?;
    // Steps run without syncing. After a power failure a layer must be whole or absent, never half under its key.
    let parcel_directory = fs::File::open(&parcel).map_err(failed)?;
    nix::unistd::syncfs(parcel_directory.file()).map_err(|errno| failed(errno.into()))?;
    match fs::rename(&parcel, directory) {
        Ok(()) => {}
        // Another build was faster; both made the same layer, and the staged one goes with its staging directory.
        Err(_) if directory.join(DESCRIPTION).exists() => {}
        Err(source) => return Err(failed(source)),
    }
    drop(staging);
    Ok(Layer {
        tree: directory.join(TREE),
        metadata: metadata.clone(),
    })
}
