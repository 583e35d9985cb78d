//! Reading directories and inodes by descriptor.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;
use std::sync::Arc;

use overcoat_sandbox::ownership::attributes::{self, Owner};
use rustix::fs::{FileType, Statx};
use rustix::io::Errno;

use super::{Error, overlay};
use crate::beneath::{self, Directory, InodeNumber};
use crate::tree::TreePath;

/// A directory of one layer, open for listing.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    directory: Directory,
    root: Arc<Directory>,
    path: TreePath,
    /// Whether empty files marked `user.overlay.whiteout` are whiteouts here: `user.overlay.opaque` is `x`.
    pub(super) marked_whiteouts: bool,
    /// What the directory's own record says of entries that carry none.
    pub(super) entry_owners: BTreeMap<Vec<u8>, Owner>,
}

/// An inode of one layer.
#[derive(Debug)]
pub(super) struct Inode {
    inode: beneath::Inode,
    root: Arc<Directory>,
    path: TreePath,
}

impl OpenDirectory {
    pub(super) fn open(root: &Arc<Directory>, path: &TreePath) -> Result<Self, Error> {
        let directory = root.directory(path).map_err(|error| Error::OpenDirectory {
            path: error.path().into(),
            source: error.into(),
        })?;
        let attribute = |name: &CStr| {
            let value = directory.own_attribute(name);
            value.map_err(|error| unreadable(&name.to_string_lossy(), error))
        };
        let marked_whiteouts = attribute(overlay::OPAQUE)?.as_deref() == Some(b"x");
        let entry_owners = match attribute(attributes::ENTRIES)? {
            // Overlayfs copied this directory up with its attributes, and the entries they speak of stayed below.
            Some(_) if attribute(overlay::ORIGIN)?.is_some() => BTreeMap::new(),
            Some(value) => attributes::entries_from_bytes(&value).map_err(|malformed| {
                Error::CorruptAttribute {
                    path: directory.host_path().into(),
                    attribute: attributes::ENTRIES.to_string_lossy().into_owned(),
                    reason: malformed.reason(),
                }
            })?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            directory,
            root: root.clone(),
            path: path.clone(),
            marked_whiteouts,
            entry_owners,
        })
    }

    /// Returns the names in the directory, in no order.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.directory
            .names()
            .map_err(|error| Error::ListDirectory {
                path: error.path().into(),
                source: error.into_cause(),
            })
    }

    /// Reaches the entry `name`, whatever its type, without following or triggering it.
    pub(super) fn inode(&self, name: &[u8]) -> Result<Inode, Error> {
        let inode = self.directory.entry(name).map_err(|error| {
            let path = error.path().into();
            match error.errno() {
                Some(Errno::XDEV) => Error::MountPoint { path },
                _ => Error::OpenEntry {
                    path,
                    source: error.into_cause(),
                },
            }
        })?;
        let path = self
            .path
            .join(name)
            .expect("a directory lists only file names");
        Ok(Inode {
            inode,
            root: self.root.clone(),
            path,
        })
    }
}

impl Inode {
    /// Reaches `path` in the layer `root`.
    pub(super) fn open(root: &Arc<Directory>, path: TreePath) -> Result<Self, beneath::Error> {
        Ok(Self {
            inode: root.inode(&path)?,
            root: root.clone(),
            path,
        })
    }

    pub(super) fn root(&self) -> &Arc<Directory> {
        &self.root
    }

    pub(super) fn path(&self) -> &TreePath {
        &self.path
    }

    pub(super) fn host_path(&self) -> &Path {
        self.inode.host_path()
    }

    pub(super) fn status(&self) -> &Statx {
        self.inode.status()
    }

    pub(super) fn number(&self) -> InodeNumber {
        self.inode.number()
    }

    pub(super) fn file_type(&self) -> FileType {
        self.inode.file_type()
    }

    pub(super) fn mode(&self) -> u16 {
        self.inode.mode()
    }

    pub(super) fn link_target(&self) -> Result<Vec<u8>, Error> {
        self.inode.link_target().map_err(|error| Error::ReadLink {
            path: error.path().into(),
            source: error.into_cause(),
        })
    }

    /// Tells whether overlayfs takes this for a deletion mark in a directory with `marked_whiteouts`.
    pub(super) fn is_whiteout(&self, marked_whiteouts: bool) -> Result<bool, Error> {
        match self.file_type() {
            FileType::CharacterDevice => {
                Ok(self.status().stx_rdev_major == 0 && self.status().stx_rdev_minor == 0)
            }
            FileType::RegularFile if marked_whiteouts && self.status().stx_size == 0 => {
                Ok(self.attribute(overlay::WHITEOUT)?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// Tells whether this directory hides what the layers below have at its path.
    pub(super) fn is_opaque(&self) -> Result<bool, Error> {
        Ok(self.attribute(overlay::OPAQUE)?.as_deref() == Some(b"y"))
    }

    fn attribute(&self, name: &CStr) -> Result<Option<Vec<u8>>, Error> {
        self.inode
            .attribute(name.to_bytes())
            .map_err(|error| unreadable(&name.to_string_lossy(), error))
    }

    /// Returns the extended attributes for whose names `wanted` answers true.
    pub(super) fn attributes(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        let names = self
            .inode
            .attribute_names()
            .map_err(|error| Error::ListAttributes {
                path: error.path().into(),
                source: error.into_cause(),
            })?;
        let mut attributes = BTreeMap::new();
        for name in names.into_iter().filter(|name| wanted(name)) {
            let value = self.inode.attribute(&name);
            let value =
                value.map_err(|error| unreadable(&String::from_utf8_lossy(&name), error))?;
            if let Some(value) = value {
                attributes.insert(name, value);
            }
        }
        Ok(attributes)
    }
}

fn unreadable(attribute: &str, error: beneath::Error) -> Error {
    Error::ReadAttribute {
        path: error.path().into(),
        attribute: attribute.to_owned(),
        source: error.into_cause(),
    }
}
