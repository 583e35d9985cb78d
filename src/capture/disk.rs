//! Reading directories and inodes by descriptor.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use overcoat_sandbox::ownership::attributes::{self, Owner};
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::{Error, overlay};
use crate::tree::{TreePath, TreeRoot};

/// Largest attribute value and list of names that Linux passes (XATTR_SIZE_MAX and XATTR_LIST_MAX, linux/limits.h).
const XATTR_MAX_BYTES: usize = 65536;
/// Room for a few hundred names at each getdents64(2); its size changes nothing but the number of calls.
const LISTING_BUFFER_BYTES: usize = 32 * 1024;

/// A directory of one layer, open for listing.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    fd: OwnedFd,
    root: Arc<TreeRoot>,
    path: TreePath,
    /// Whether empty files marked `user.overlay.whiteout` are whiteouts here: `user.overlay.opaque` is `x`.
    pub(super) marked_whiteouts: bool,
    /// What the directory's own record says of entries that carry none.
    pub(super) entry_owners: BTreeMap<Vec<u8>, Owner>,
}

/// An inode of one layer, held by an `O_PATH` descriptor so that whatever is read is of that one inode.
#[derive(Debug)]
pub(super) struct Inode {
    fd: OwnedFd,
    root: Arc<TreeRoot>,
    path: TreePath,
    pub(super) status: Statx,
}

/// What tells one inode of a layer from another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct InodeNumber {
    device: (u32, u32),
    inode: u64,
}

impl OpenDirectory {
    pub(super) fn open(root: &Arc<TreeRoot>, path: &TreePath) -> Result<Self, Error> {
        let host_path = || root.host_path().join(path.as_path());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let fd = root
            .open_beneath(path, flags)
            .map_err(|source| Error::OpenDirectory {
                path: host_path(),
                source,
            })?;
        let attribute = |name: &str| {
            let value = read_value(|buffer| rustix::fs::fgetxattr(&fd, name, buffer));
            value.map_err(|source| Error::ReadAttribute {
                path: host_path(),
                attribute: name.to_owned(),
                source,
            })
        };
        let marked_whiteouts = attribute(overlay::OPAQUE)?.as_deref() == Some(b"x");
        let entries = attributes::ENTRIES.to_str().expect("our names are ASCII");
        let entry_owners = match attribute(entries)? {
            // Overlayfs copied this directory up with its attributes, and the entries they speak of stayed below.
            Some(_) if attribute(overlay::ORIGIN)?.is_some() => BTreeMap::new(),
            Some(value) => attributes::entries_from_bytes(&value).map_err(|malformed| {
                Error::CorruptAttribute {
                    path: host_path(),
                    attribute: entries.to_owned(),
                    reason: malformed.reason(),
                }
            })?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            root: root.clone(),
            path: path.clone(),
            fd,
            marked_whiteouts,
            entry_owners,
        })
    }

    /// Returns the names in the directory, in no order.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER_BYTES];
        let mut listing = RawDir::new(&self.fd, &mut buffer);
        let mut names = Vec::new();
        while let Some(listed) = listing.next() {
            let listed = listed.map_err(|errno| Error::ListDirectory {
                path: self.root.host_path().join(self.path.as_path()),
                source: errno.into(),
            })?;
            let name = listed.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }

    /// Opens the entry `name`, whatever its type, without following or triggering it.
    pub(super) fn inode(&self, name: &[u8]) -> Result<Inode, Error> {
        let path = self
            .path
            .join(name)
            .expect("a directory lists only file names");
        // NO_SYMLINKS still opens a link itself, because O_PATH and O_NOFOLLOW are given (openat2(2)).
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), resolve).map_err(
            |errno| {
                let path = self.root.host_path().join(path.as_path());
                match errno {
                    Errno::XDEV => Error::MountPoint { path },
                    errno => Error::OpenEntry {
                        path,
                        source: errno.into(),
                    },
                }
            },
        )?;
        Inode::new(fd, &self.root, path)
    }
}

impl Inode {
    /// Takes what `open_beneath` gave for `path` with `O_PATH`.
    pub(super) fn new(fd: OwnedFd, root: &Arc<TreeRoot>, path: TreePath) -> Result<Self, Error> {
        let status = rustix::fs::statx(
            &fd,
            c"",
            AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT,
            StatxFlags::BASIC_STATS,
        )
        .map_err(|errno| Error::ReadMetadata {
            path: root.host_path().join(path.as_path()),
            source: errno.into(),
        })?;
        Ok(Self {
            root: root.clone(),
            path,
            fd,
            status,
        })
    }

    pub(super) fn root(&self) -> &Arc<TreeRoot> {
        &self.root
    }

    pub(super) fn path(&self) -> &TreePath {
        &self.path
    }

    pub(super) fn host_path(&self) -> PathBuf {
        self.root.host_path().join(self.path.as_path())
    }

    pub(super) fn number(&self) -> InodeNumber {
        InodeNumber {
            device: (self.status.stx_dev_major, self.status.stx_dev_minor),
            inode: self.status.stx_ino,
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.status.stx_mode.into())
    }

    pub(super) fn mode(&self) -> u16 {
        self.status.stx_mode & 0o7777
    }

    pub(super) fn link_target(&self) -> Result<Vec<u8>, Error> {
        rustix::fs::readlinkat(&self.fd, c"", Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| Error::ReadLink {
                path: self.host_path(),
                source: errno.into(),
            })
    }

    /// Tells whether overlayfs takes this for a deletion mark in a directory with `marked_whiteouts`.
    pub(super) fn is_whiteout(&self, marked_whiteouts: bool) -> Result<bool, Error> {
        match self.file_type() {
            FileType::CharacterDevice => {
                Ok(self.status.stx_rdev_major == 0 && self.status.stx_rdev_minor == 0)
            }
            FileType::RegularFile if marked_whiteouts && self.status.stx_size == 0 => {
                Ok(self.attribute(overlay::WHITEOUT)?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// Tells whether this directory hides what the layers below have at its path.
    pub(super) fn is_opaque(&self) -> Result<bool, Error> {
        Ok(self.attribute(overlay::OPAQUE)?.as_deref() == Some(b"y"))
    }

    pub(super) fn attribute(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = descriptor_path(&self.fd);
        read_value(|buffer| rustix::fs::getxattr(&path, name, buffer)).map_err(|source| {
            Error::ReadAttribute {
                path: self.host_path(),
                attribute: name.to_owned(),
                source,
            }
        })
    }

    /// Returns the extended attributes for whose names `wanted` answers true.
    pub(super) fn attributes(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        let path = descriptor_path(&self.fd);
        let mut names = Vec::with_capacity(XATTR_MAX_BYTES);
        match rustix::fs::listxattr(&path, spare_capacity(&mut names)) {
            Ok(_) | Err(Errno::NOTSUP) => {}
            Err(errno) => {
                return Err(Error::ListAttributes {
                    path: self.host_path(),
                    source: errno.into(),
                });
            }
        }
        let mut attributes = BTreeMap::new();
        for name in names.split(|byte| *byte == 0) {
            if name.is_empty() || !wanted(name) {
                continue;
            }
            let value = read_value(|buffer| rustix::fs::getxattr(&path, name, buffer));
            let value = value.map_err(|source| Error::ReadAttribute {
                path: self.host_path(),
                attribute: String::from_utf8_lossy(name).into_owned(),
                source,
            })?;
            if let Some(value) = value {
                attributes.insert(name.to_vec(), value);
            }
        }
        Ok(attributes)
    }
}

/// Returns a path that reaches the inode of an `O_PATH` descriptor, on which fgetxattr(2) is refused with `EBADF`.
///
/// It is a magic link: the kernel jumps to the inode and resolves no name, also when that inode is a symbolic link.
pub(crate) fn descriptor_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn read_value(
    read: impl FnOnce(rustix::buffer::SpareCapacity<'_, u8>) -> Result<usize, Errno>,
) -> Result<Option<Vec<u8>>, std::io::Error> {
    let mut value = Vec::with_capacity(XATTR_MAX_BYTES);
    match read(spare_capacity(&mut value)) {
        Ok(_) => {
            value.shrink_to_fit();
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
