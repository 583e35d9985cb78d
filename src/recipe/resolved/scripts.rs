//! The scripts of an image, and what they are given.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::values::TreeSource;

/// A program of the recipe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// The file, absolute.
    pub path: PathBuf,
    /// The file as messages show it: relative to the recipe's directory.
    pub shown: PathBuf,
    /// Where the recipe names it, for messages.
    pub origin: String,
}

impl Script {
    /// Tells whether the script runs with the image as its root.
    pub fn is_inside(&self) -> bool {
        self.path.extension().is_some_and(|end| end == "chroot")
    }
}

/// What becomes of what scripts write to the sources.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SourceChanges {
    #[default]
    Discarded,
    /// The next build finds what build scripts have written, in the build directory.
    InBuildDirectory,
}

/// Every script of an image, each kind in the order of its runs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scripts {
    pub sync: Vec<Script>,
    pub prepare: Vec<Script>,
    pub build: Vec<Script>,
    pub postinst: Vec<Script>,
    pub finalize: Vec<Script>,
    pub postoutput: Vec<Script>,
    pub clean: Vec<Script>,
    /// Directories that scripts see as their sources; targets are relative to the first one's place.
    pub sources: Vec<TreeSource>,
    pub source_changes: SourceChanges,
    /// The directory that build scripts find again.
    pub build_directory: Option<PathBuf>,
    /// Paths that no script may see, though they may lie in the sources. They need not exist.
    pub hidden: BTreeSet<PathBuf>,
    pub profiles: Vec<String>,
    pub with_tests: bool,
    /// Whether the recipe asks for a network for scripts that do not have it anyway.
    pub with_network: bool,
    /// Whether a script that nobody may run is run all the same.
    pub make_executable: bool,
}

impl Scripts {
    /// Tells whether there are none, but those that run when outputs are removed.
    pub fn is_empty(&self) -> bool {
        let kinds = [
            &self.sync,
            &self.prepare,
            &self.build,
            &self.postinst,
            &self.finalize,
            &self.postoutput,
        ];
        kinds.iter().all(|scripts| scripts.is_empty())
    }
}
