//! What the scripts of one image hand to each other, for as long as the image is built.

use std::path::Path;

use super::super::policy::HandedPlaces;
use super::super::{Builder, Error};
use super::helpers;
use super::sources::digest_of;
use crate::beneath::Directory;
use crate::plan::{Key, KeyBuilder};
use crate::store::Staging;
use crate::tree::FileTree;

/// The directories of one image's scripts.
#[derive(Debug)]
pub(in crate::build) struct Workshop {
    _staging: Staging,
    packages: Directory,
    artifacts: Directory,
    /// What scripts add to the outputs.
    output: Directory,
    helpers: Directory,
    /// What build scripts have made for the image.
    pub(in crate::build) built: Option<FileTree>,
}

impl Workshop {
    pub(in crate::build) fn open(builder: &Builder<'_>) -> Result<Self, Error> {
        let staging = builder.store.stage()?;
        let helpers = staging.subdirectory("scripts")?;
        helpers::write(&helpers)?;
        Ok(Self {
            packages: staging.subdirectory("packages")?,
            artifacts: staging.subdirectory("artifacts")?,
            output: staging.subdirectory("out")?,
            helpers,
            _staging: staging,
            built: None,
        })
    }

    pub(super) fn handed(&self) -> HandedPlaces {
        HandedPlaces {
            packages: self.packages.host_path().into(),
            artifacts: self.artifacts.host_path().into(),
        }
    }

    pub(super) fn output(&self) -> &Path {
        self.output.host_path()
    }

    pub(super) fn helpers(&self) -> &Path {
        self.helpers.host_path()
    }

    /// Returns the directory with what scripts have added to the outputs.
    pub(in crate::build) fn added(&self) -> &Directory {
        &self.output
    }

    /// Returns a digest of everything that scripts have put here.
    pub(super) fn digest(&self) -> Result<Key, Error> {
        let directories = [
            ("packages", &self.packages),
            ("artifacts", &self.artifacts),
            ("output", &self.output),
        ];
        let mut key = KeyBuilder::new("handed");
        for (name, directory) in directories {
            key = key.field(name, digest_of(directory)?.as_str());
        }
        Ok(key.finish())
    }
}
