//! What the host's package manager works with on an image.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::local::LocalPackages;
use super::policy::Places;
use super::stack::Stack;

use crate::beneath::Directory;
use crate::packages::apt;
use crate::plan::KeyBuilder;

/// What a package manager's steps are given besides the host's programs.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// apt's configuration file.
    pub(super) configuration: String,
    /// The list of repositories.
    pub(super) sources: String,
    /// More files of its configuration, by their paths inside.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
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
    /// Adds the files of the configuration to a key, if there are any.
    pub(super) fn files_in_key(files: &[(PathBuf, Vec<u8>)], key: KeyBuilder) -> KeyBuilder {
        if files.is_empty() {
            return key;
        }
        let parts = files
            .iter()
            .flat_map(|(path, content)| [path.as_os_str().as_bytes(), content]);
        key.list("files", parts)
    }

    /// Returns the places of a step that works on what is above `below`.
    pub(super) fn places(&self, below: Option<&Stack>) -> Places {
        let mut files = self.files.clone();
        if !self.local.is_empty() {
            let (path, text) = apt::LOCAL_PREFERENCE;
            files.retain(|(other, _)| other != Path::new(path));
            files.push((path.into(), text.into()));
        }
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
