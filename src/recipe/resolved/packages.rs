//! Which packages an image is made of besides those of `Packages=`, and where they come from besides the mirrors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::recipe::TreeSource;

/// What a recipe says about packages that are not simply installed from a mirror.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PackageSources {
    /// Only build scripts see them. Sorted as the image's own packages, like those below.
    pub build_packages: Vec<String>,
    /// They are installed after build scripts.
    pub volatile_packages: Vec<String>,
    /// They are removed at the end.
    pub removed_packages: Vec<String>,
    /// The state of the mirror's archives at a time.
    pub snapshot: Option<String>,
    /// Directories of package files.
    pub directories: Vec<PathBuf>,
    /// The same; nothing depends on whether they change often.
    pub volatile_directories: Vec<PathBuf>,
    /// The package files that are named where packages are, by the word that names each.
    pub files: BTreeMap<String, PathBuf>,
    /// Configuration for the package manager.
    pub sandbox_trees: Vec<TreeSource>,
}
