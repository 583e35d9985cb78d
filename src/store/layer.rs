//! Layers: captured upper directories with what describes them.

use std::io::Write;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode};
use serde::{Deserialize, Serialize};

use super::{Error, Staging};
use crate::beneath::{self, Directory};
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

pub(super) fn read(layers: &Directory, key: &Key) -> Result<Option<Layer>, Error> {
    let unreadable = |error: beneath::Error| Error::ReadLayer {
        path: layers.path_of(key.as_str()),
        source: error.into(),
    };
    let directory = match layers.subdirectory(key.as_str()) {
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) if error.is_not_directory() => {
            let path = error.path().into();
            return Err(Error::NotDirectory { path });
        }
        opened => opened.map_err(unreadable)?,
    };
    let text = match directory.read(DESCRIPTION, DESCRIPTION_LIMIT_BYTES) {
        Ok(None) => return Ok(None),
        read => read.map_err(unreadable)?.unwrap_or_default(),
    };
    // A link in its place would show another directory's files in an image.
    if directory.file_type(TREE).map_err(unreadable)? != Some(FileType::Directory) {
        return Err(Error::NotDirectory {
            path: directory.path_of(TREE),
        });
    }
    match serde_json::from_slice(&text) {
        Ok(metadata) => Ok(Some(Layer {
            tree: directory.path_of(TREE),
            metadata,
        })),
        Err(source) => Err(Error::ParseLayer {
            path: directory.host_path().into(),
            source,
        }),
    }
}

pub(super) fn add(
    layers: &Directory,
    key: &Key,
    staging: Staging,
    metadata: &LayerMetadata,
) -> Result<Layer, Error> {
    let path = layers.path_of(key.as_str());
    let failed = |source| Error::AddLayer {
        path: path.clone(),
        source,
    };
    let not_added = |error: beneath::Error| failed(error.into());
    let parcel = staging.subdirectory("layer")?;
    staging
        .directory()
        .rename(TREE, &parcel, TREE)
        .map_err(not_added)?;
    let text = serde_json::to_vec_pretty(metadata).map_err(|source| Error::ParseLayer {
        path: path.clone(),
        source,
    })?;
    parcel
        .create_file(DESCRIPTION, Mode::from_raw_mode(0o666))
        .map_err(not_added)?
        .write_all(&text)
        .map_err(failed)?;
    // Steps run without syncing. After a power failure a layer must be whole or absent, never half under its key.
    rustix::fs::syncfs(&parcel).map_err(|errno| failed(errno.into()))?;
    match staging.directory().rename("layer", layers, key.as_str()) {
        Ok(()) => {}
        // Another build was faster; both made the same layer, and the staged one goes with its staging directory.
        Err(_) if is_layer(layers, key) => {}
        Err(error) => return Err(not_added(error)),
    }
    drop(staging);
    Ok(Layer {
        tree: path.join(TREE),
        metadata: metadata.clone(),
    })
}

fn is_layer(layers: &Directory, key: &Key) -> bool {
    let description = layers
        .subdirectory(key.as_str())
        .and_then(|layer| layer.file_type(DESCRIPTION));
    description.is_ok_and(|found| found == Some(FileType::RegularFile))
}
