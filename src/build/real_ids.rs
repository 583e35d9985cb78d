//! Owners and ACLs as records and for real: a step whose sandbox maps a range of ids works on real ones, and what is
//! kept of it has the same form as that of any other step.
//!
//! Before the step the entries of the layers below that have an owner or an ACL are written once more, with real ones,
//! into a directory that lies above these layers and lives as long as the step. After it, everything in the step's own
//! layer goes back to the caller, and what it belonged to is recorded ([`attributes`]). So no layer and no output holds
//! a file of another id, which its owner could not remove, and it does not matter to later steps which mapping made it.
//!
//! The layer was written by untrusted code. It is reached by descriptor alone and no link is followed, as in `capture`.

use std::collections::{BTreeSet, HashSet};
use std::ffi::CStr;
use std::path::PathBuf;

use overcoat_sandbox::ownership::acl::{self, Acl};
use overcoat_sandbox::ownership::attributes::{self, Owner};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use crate::beneath::{self, Directory, InodeNumber, Place};
use crate::capture::{EntryOwner, capability};
use crate::format::directory;
use crate::tree::{ContentError, Entry, FileTree, TreePath};

/// The ids of a step could not be made real, or could not be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("writing the owners of the layers below")]
    Write(#[from] directory::Error),
    #[error("opening `{path}`")]
    Open { path: PathBuf, source: ContentError },
    #[error("{operation} `{path}`")]
    Entry {
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the ACL of `{path}` names ids, which cannot be recorded for such a file")]
    AclWithoutRecord { path: PathBuf },
}

/// Gives the new directory `directory` to the caller's own user and group. Its parent may have passed on another group.
pub(super) fn own(directory: &Directory) -> Result<(), Error> {
    give(&directory.inode(&TreePath::root()).map_err(unopened)?)
}

fn give(inode: &beneath::Inode) -> Result<(), Error> {
    inode
        .set_owner(Owner::ROOT.uid, Owner::ROOT.gid)
        .map_err(|errno| Error::Entry {
            operation: "taking possession of",
            path: inode.host_path().into(),
            source: errno.into(),
        })
}

/// Tells which operation on an entry could not be done.
fn failed(operation: &'static str, error: beneath::Error) -> Error {
    Error::Entry {
        operation,
        path: error.path().into(),
        source: error.into_cause(),
    }
}

fn unopened(error: beneath::Error) -> Error {
    Error::Open {
        path: error.path().into(),
        source: error.into(),
    }
}

/// Writes what a step must see with real owners and ACLs of `tree` into the new directory `destination`, with the
/// directories above.
pub(super) fn make_real(tree: FileTree, destination: &Place<'_>) -> Result<(), Error> {
    let mut wanted = BTreeSet::new();
    for (path, _) in tree.iter().filter(|(_, entry)| has_records(entry)) {
        let parents = std::iter::successors(Some(path.clone()), TreePath::parent);
        wanted.extend(parents);
    }
    wanted.insert(TreePath::root());
    let narrowed = tree.retain(|path, _| wanted.contains(path));
    Ok(directory::write_with_real_ids(&narrowed, destination)?)
}

/// Tells whether a layer may hold records about an entry. Devices stay placeholders, whose mark is copied with them.
fn has_records(entry: &Entry) -> bool {
    let is_recorded = |name: &str| entry.xattrs.contains_key(name.as_bytes());
    (entry.uid, entry.gid) != (0, 0)
        || [acl::ACCESS, acl::DEFAULT, capability::ATTRIBUTE]
            .into_iter()
            .any(is_recorded)
}

/// Records the owners and ACLs in the layer `directory`, gives everything in it to the caller, and returns the owners
/// of what cannot carry a record.
pub(super) fn record(directory: &Directory) -> Result<Vec<EntryOwner>, Error> {
    let mut walk = Walk {
        root: directory,
        linked: HashSet::new(),
        owners: Vec::new(),
    };
    // Directories are reopened by path when their turn comes, so that it does not depend on descriptors how deep
    // untrusted code nests them.
    let mut pending = vec![TreePath::root()];
    walk.record_root()?;
    while let Some(path) = pending.pop() {
        walk.visit(&path, &mut pending)?;
    }
    walk.owners.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.owners)
}

struct Walk<'a> {
    root: &'a Directory,
    /// Inodes with several names that are done: the second time, their record would be taken for the step's own doing.
    linked: HashSet<InodeNumber>,
    owners: Vec<EntryOwner>,
}

/// An inode of the layer.
#[derive(Debug)]
struct Inode<'a> {
    inode: beneath::Inode,
    /// For the owner of what cannot carry it.
    path: &'a TreePath,
}

impl Walk<'_> {
    fn record_root(&mut self) -> Result<(), Error> {
        let path = TreePath::root();
        let inode = self.root.inode(&path).map_err(unopened)?;
        let inode = Inode { inode, path: &path };
        inode.record()?;
        Ok(())
    }

    fn visit(&mut self, path: &TreePath, pending: &mut Vec<TreePath>) -> Result<(), Error> {
        let directory = self.root.directory(path).map_err(unopened)?;
        for name in directory
            .names()
            .map_err(|error| failed("reading", error))?
        {
            let path = path.join(&name).expect("a directory lists only file names");
            let inode = directory
                .entry(&name)
                .map_err(|error| failed("reading", error))?;
            let inode = Inode { inode, path: &path };
            let is_directory = inode.file_type() == FileType::Directory;
            let shared = inode.inode.status().stx_nlink > 1 && !is_directory;
            if shared && !self.linked.insert(inode.inode.number()) {
                continue;
            }
            self.owners.extend(inode.record()?);
            if is_directory {
                pending.push(path);
            }
        }
        Ok(())
    }
}

impl Inode<'_> {
    fn file_type(&self) -> FileType {
        self.inode.file_type()
    }

    /// Makes records of this inode's owner and ACLs, and gives it to the caller. Returns the owner if it can carry none.
    fn record(&self) -> Result<Option<EntryOwner>, Error> {
        let owner = Owner {
            uid: self.inode.status().stx_uid,
            gid: self.inode.status().stx_gid,
        };
        match self.file_type() {
            FileType::RegularFile | FileType::Directory => {
                self.remove_foreign_records()?;
                self.record_acl(acl::ACCESS, Some(attributes::ACCESS_ACL))?;
                self.record_acl(acl::DEFAULT, Some(attributes::DEFAULT_ACL))?;
                if owner != Owner::ROOT {
                    self.set(attributes::OWNER.to_bytes(), &owner.to_bytes())?;
                    self.give_to_caller()?;
                }
                Ok(None)
            }
            file_type => {
                if file_type != FileType::Symlink {
                    self.record_acl(acl::ACCESS, None)?;
                }
                if owner == Owner::ROOT {
                    return Ok(None);
                }
                self.give_to_caller()?;
                // The only devices are whiteouts, which stand for no file.
                let is_whiteout = file_type == FileType::CharacterDevice;
                Ok((!is_whiteout).then(|| EntryOwner {
                    path: self.path.clone(),
                    uid: owner.uid,
                    gid: owner.gid,
                }))
            }
        }
    }

    /// Removes what the step, of which the recorder watches only devices, set itself under our names: a program that is
    /// not root could else give what it makes to others.
    fn remove_foreign_records(&self) -> Result<(), Error> {
        let names = self
            .inode
            .attribute_names()
            .map_err(|error| failed("listing the attributes of", error))?;
        let foreign = names
            .iter()
            .filter(|name| attributes::is_reserved(name))
            .filter(|name| *name != attributes::DEVICE.to_bytes());
        for name in foreign {
            self.remove(name)?;
        }
        Ok(())
    }

    /// Turns an ACL that names other ids than root into `record`.
    fn record_acl(&self, name: &str, record: Option<&CStr>) -> Result<(), Error> {
        let Some(value) = self.get(name)? else {
            return Ok(());
        };
        // What the kernel returns is well-formed, and what cannot be read is left for `capture` to tell.
        if !Acl::from_bytes(&value).is_ok_and(|acl| acl.names_other_ids()) {
            return Ok(());
        }
        let Some(record) = record else {
            return Err(Error::AclWithoutRecord {
                path: self.inode.host_path().into(),
            });
        };
        self.set(record.to_bytes(), &value)?;
        // The mode keeps the bits that the ACL gave it.
        self.remove(name.as_bytes())
    }

    /// Makes the owner 0:0, and restores what the kernel clears on the way: set-id bits and file capabilities.
    fn give_to_caller(&self) -> Result<(), Error> {
        let is_file = self.file_type() == FileType::RegularFile;
        let held = match is_file {
            true => self.get(capability::ATTRIBUTE)?,
            false => None,
        };
        give(&self.inode)?;
        let mode = Mode::from_raw_mode(self.inode.status().stx_mode.into());
        if self.file_type() != FileType::Symlink && mode.intersects(Mode::SUID | Mode::SGID) {
            self.inode
                .set_mode(mode)
                .map_err(|errno| self.failed("restoring the mode of", errno))?;
        }
        match held {
            Some(value) => self.set(capability::ATTRIBUTE.as_bytes(), &value),
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.inode
            .attribute(name.as_bytes())
            .map_err(|error| failed("reading an attribute of", error))
    }

    fn set(&self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        self.inode
            .set_attribute(name, value)
            .map_err(|errno| self.failed("setting an attribute of", errno))
    }

    fn remove(&self, name: &[u8]) -> Result<(), Error> {
        self.inode
            .remove_attribute(name)
            .map_err(|error| failed("removing an attribute of", error))
    }

    fn failed(&self, operation: &'static str, errno: Errno) -> Error {
        Error::Entry {
            operation,
            path: self.inode.host_path().into(),
            source: errno.into(),
        }
    }
}

#[cfg(test)]
mod tests;
