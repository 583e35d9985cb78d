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
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use overcoat_sandbox::ownership::acl::{self, Acl};
use overcoat_sandbox::ownership::attributes::{self, Owner};
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use crate::capture::{EntryOwner, capability, descriptor_path};
use crate::format::directory;
use crate::tree::{ContentError, Entry, FileTree, TreePath, TreeRoot};

/// Largest attribute value and list of names that Linux passes (XATTR_SIZE_MAX and XATTR_LIST_MAX, linux/limits.h).
const XATTR_MAX_BYTES: usize = 65536;

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

/// Gives the new directory `path` to the caller's own user and group. Its parent may have passed on another group.
pub(super) fn own(path: &Path) -> Result<(), Error> {
    let (user, group) = (Some(Uid::ROOT), Some(Gid::ROOT));
    rustix::fs::chownat(
        rustix::fs::CWD,
        path,
        user,
        group,
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(|errno| Error::Entry {
        operation: "taking possession of",
        path: path.into(),
        source: errno.into(),
    })
}

/// Writes what a step must see with real owners and ACLs of `tree` into the new directory `destination`, with the
/// directories above.
pub(super) fn make_real(tree: FileTree, destination: &Path) -> Result<(), Error> {
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

/// Records the owners and ACLs in the layer at `directory`, gives everything in it to the caller, and returns the owners
/// of what cannot carry a record.
pub(super) fn record(directory: &Path) -> Result<Vec<EntryOwner>, Error> {
    let root = TreeRoot::open(directory).map_err(|source| Error::Open {
        path: directory.into(),
        source,
    })?;
    let mut walk = Walk {
        root,
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

struct Walk {
    root: TreeRoot,
    /// Inodes with several names that are done: the second time, their record would be taken for the step's own doing.
    linked: HashSet<(u64, u64)>,
    owners: Vec<EntryOwner>,
}

/// An inode of the layer, held by an `O_PATH` descriptor.
struct Inode<'a> {
    fd: OwnedFd,
    /// For errors, and for the owner of what cannot carry it.
    path: &'a TreePath,
    root: &'a TreeRoot,
    status: Stat,
}

impl Walk {
    fn record_root(&mut self) -> Result<(), Error> {
        let path = TreePath::root();
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let fd = self.open(&path, flags)?;
        Inode::new(fd, &path, &self.root)?.record()?;
        Ok(())
    }

    fn open(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Error> {
        self.root
            .open_beneath(path, flags)
            .map_err(|source| Error::Open {
                path: self.root.host_path().join(path.as_path()),
                source,
            })
    }

    fn visit(&mut self, path: &TreePath, pending: &mut Vec<TreePath>) -> Result<(), Error> {
        let failed = |path: &TreePath, errno: Errno| Error::Entry {
            operation: "reading",
            path: self.root.host_path().join(path.as_path()),
            source: errno.into(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let directory = self.open(path, flags)?;
        let listing = Dir::read_from(&directory).map_err(|errno| failed(path, errno))?;
        for listed in listing {
            let listed = listed.map_err(|errno| failed(path, errno))?;
            let name = listed.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let path = path
                .join(name.to_bytes())
                .expect("a directory lists only file names");
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&directory, name, flags, Mode::empty())
                .map_err(|errno| failed(&path, errno))?;
            let inode = Inode::new(fd, &path, &self.root)?;
            let number = (inode.status.st_dev, inode.status.st_ino);
            let is_directory = inode.file_type() == FileType::Directory;
            let shared = inode.status.st_nlink > 1 && !is_directory;
            if shared && !self.linked.insert(number) {
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

impl<'a> Inode<'a> {
    fn new(fd: OwnedFd, path: &'a TreePath, root: &'a TreeRoot) -> Result<Self, Error> {
        let status = rustix::fs::fstat(&fd).map_err(|errno| Error::Entry {
            operation: "reading",
            path: root.host_path().join(path.as_path()),
            source: errno.into(),
        })?;
        Ok(Self {
            fd,
            path,
            root,
            status,
        })
    }

    fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.status.st_mode)
    }

    /// Makes records of this inode's owner and ACLs, and gives it to the caller. Returns the owner if it can carry none.
    fn record(&self) -> Result<Option<EntryOwner>, Error> {
        let owner = Owner {
            uid: self.status.st_uid,
            gid: self.status.st_gid,
        };
        match self.file_type() {
            FileType::RegularFile | FileType::Directory => {
                self.remove_foreign_records()?;
                self.record_acl(acl::ACCESS, Some(attributes::ACCESS_ACL))?;
                self.record_acl(acl::DEFAULT, Some(attributes::DEFAULT_ACL))?;
                if owner != Owner::ROOT {
                    self.set(attributes::OWNER, &owner.to_bytes())?;
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
        let path = descriptor_path(&self.fd);
        let mut names = Vec::with_capacity(XATTR_MAX_BYTES);
        match rustix::fs::listxattr(&path, spare_capacity(&mut names)) {
            Ok(_) | Err(Errno::NOTSUP) => {}
            Err(errno) => return Err(self.failed("listing the attributes of", errno)),
        }
        let foreign = names
            .split(|byte| *byte == 0)
            .filter(|name| attributes::is_reserved(name))
            .filter(|name| *name != attributes::DEVICE.to_bytes());
        for name in foreign {
            let name = CString::new(name).expect("it was split at NUL");
            self.remove(&name)?;
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
                path: self.host_path(),
            });
        };
        self.set(record, &value)?;
        // The mode keeps the bits that the ACL gave it.
        let name = CString::new(name).expect("names of attributes hold no NUL");
        self.remove(&name)
    }

    /// Makes the owner 0:0, and restores what the kernel clears on the way: set-id bits and file capabilities.
    fn give_to_caller(&self) -> Result<(), Error> {
        let is_file = self.file_type() == FileType::RegularFile;
        let held = match is_file {
            true => self.get(capability::ATTRIBUTE)?,
            false => None,
        };
        let (user, group) = (Some(Uid::ROOT), Some(Gid::ROOT));
        rustix::fs::chownat(&self.fd, c"", user, group, AtFlags::EMPTY_PATH)
            .map_err(|errno| self.failed("taking possession of", errno))?;
        let mode = Mode::from_raw_mode(self.status.st_mode);
        if self.file_type() != FileType::Symlink && mode.intersects(Mode::SUID | Mode::SGID) {
            rustix::fs::chmod(descriptor_path(&self.fd), mode)
                .map_err(|errno| self.failed("restoring the mode of", errno))?;
        }
        match held {
            Some(value) => {
                let name = CString::new(capability::ATTRIBUTE).expect("it holds no NUL");
                self.set(&name, &value)
            }
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut value = Vec::with_capacity(XATTR_MAX_BYTES);
        match rustix::fs::getxattr(descriptor_path(&self.fd), name, spare_capacity(&mut value)) {
            Ok(_) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(errno) => Err(self.failed("reading an attribute of", errno)),
        }
    }

    fn set(&self, name: &CStr, value: &[u8]) -> Result<(), Error> {
        rustix::fs::setxattr(descriptor_path(&self.fd), name, value, XattrFlags::empty())
            .map_err(|errno| self.failed("setting an attribute of", errno))
    }

    fn remove(&self, name: &CStr) -> Result<(), Error> {
        rustix::fs::removexattr(descriptor_path(&self.fd), name)
            .map_err(|errno| self.failed("removing an attribute of", errno))
    }

    fn failed(&self, operation: &'static str, errno: Errno) -> Error {
        Error::Entry {
            operation,
            path: self.host_path(),
            source: errno.into(),
        }
    }

    fn host_path(&self) -> PathBuf {
        self.root.host_path().join(self.path.as_path())
    }
}

impl std::fmt::Debug for Inode<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inode")
            .field("fd", &self.fd.as_fd().as_raw_fd())
            .field("path", self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
