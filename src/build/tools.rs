//! What the host's package manager works with on an image.

use std::sync::Arc;

use super::local::LocalPackages;
use super::policy::Places;
use super::stack::Stack;

use crate::beneath::Directory;
use crate::packages::apt;

/// What a package manager's steps are given besides the host's programs.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// apt's configuration file.
    pub(super) configuration: String,
    /// The list of repositories.
    pub(super) sources: String,
    /// The directory with the repositories' metadata, on the host.
    pub(super) lists: Arc<Directory>,
    /// The directory with downloaded packages, on the host.
    pub(super) archives: Arc<Directory>,
    /// The recipe's own packages, whose index is among the metadata.
    pub(super) local: Arc<LocalPackages>,
    /// Directories of others with downloaded packages, in which nothing is changed.
    pub(super) readable_archives: Vec<Arc<Directory>>,
}

impl Tools {
    /// Returns the places of a step that works on what is above `below`.
    pub(super) fn places(&self, below: Option<&Stack>) -> Places {
        let (path, text) = apt::LOCAL_PREFERENCE;
        let files = match self.local.is_empty() {
            true => Vec::new(),
            false => vec![(path.into(), text.into())],
        };
        Places {
            files,
            configuration: self.configuration.clone(),
            repositories: self.sources.clone(),
            lists: Some(self.lists.host_path().into()),
            archives: Some(self.archives.host_path().into()),
            below: below.into_iter().flat_map(Stack::lowers).collect(),
            ..Places::default()
        }
    }
}
