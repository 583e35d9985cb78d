//! An inode that a call acts on, by descriptor.

use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat, fstat};
use nix::unistd::{Gid, Uid, fchownat};

use super::call::OwnerChange;
use crate::sys::xattr;

/// An inode, and the descriptor that names it.
#[derive(Debug)]
pub(super) struct Inode {
    descriptor: OwnedFd,
    /// Its number for a descriptor that may be an `O_PATH` one, which the calls for attributes refuse (setxattrat with
    /// `AT_EMPTY_PATH` of Linux 6.13 too). It is a link in the directory of its descriptors, where the supervisor stands.
    detour: Option<CString>,
}

/// What tells inodes apart while a descriptor holds them.
pub(super) type Key = (libc::dev_t, libc::ino_t);

impl Inode {
    /// Takes a descriptor that may be good for its path only.
    pub(super) fn by_path(descriptor: OwnedFd) -> Self {
        let detour = Some(link_of(&descriptor));
        Self { descriptor, detour }
    }

    /// Takes a descriptor that is not an `O_PATH` one.
    pub(super) fn by_open_file(descriptor: OwnedFd) -> Self {
        Self {
            descriptor,
            detour: None,
        }
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    pub(super) fn status(&self) -> Result<FileStat, Errno> {
        fstat(&self.descriptor)
    }

    /// Changes the owner to 0, the only mapped id, where `change` changes it at all.
    ///
    /// Copy-up, EROFS, EPERM, the change time and the clearing of set-id bits and file capabilities are the kernel's.
    pub(super) fn change_owner(&self, change: OwnerChange) -> Result<(), Errno> {
        let uid = change.uid.map(|_| Uid::from_raw(0));
        let gid = change.gid.map(|_| Gid::from_raw(0));
        fchownat(&self.descriptor, c"", uid, gid, AtFlags::AT_EMPTY_PATH)
    }

    pub(super) fn change_mode(&self, mode: u32) -> Result<(), Errno> {
        let link = link_of(&self.descriptor);
        let mode = Mode::from_bits_truncate(mode);
        fchmodat(
            AT_FDCWD,
            link.as_c_str(),
            mode,
            FchmodatFlags::FollowSymlink,
        )
    }

    /// Returns the length of one of our records, and its bytes in `room`; only the length when there is no room at all.
    ///
    /// `None` without a record, where there can be none, and for one that is longer than the room, which is malformed.
    pub(super) fn record(&self, name: &CStr, room: &mut [u8]) -> Result<Option<usize>, Errno> {
        match xattr::get(self.at(), name, room) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ERANGE) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Returns the length of the names of all attributes, and these in `names`.
    pub(super) fn attributes(&self, names: &mut [u8]) -> Result<usize, Errno> {
        xattr::list(self.at(), names)
    }

    pub(super) fn set_attribute(
        &self,
        name: &CStr,
        value: &[u8],
        flags: c_int,
    ) -> Result<(), Errno> {
        xattr::set(self.at(), name, value, flags)
    }

    pub(super) fn remove_attribute(&self, name: &CStr) -> Result<(), Errno> {
        xattr::remove(self.at(), name)
    }

    /// Opens the inode for its path only, so that holding it keeps no pipe, socket or lock open.
    pub(super) fn hold(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        openat(
            AT_FDCWD,
            link_of(&self.descriptor).as_c_str(),
            flags,
            Mode::empty(),
        )
    }

    /// Returns the inode's path in the supervisor's present root.
    pub(super) fn path(&self) -> Result<OsString, Errno> {
        readlinkat(AT_FDCWD, link_of(&self.descriptor).as_c_str())
    }

    fn at(&self) -> xattr::At<'_> {
        match &self.detour {
            Some(link) => xattr::At::Path(link),
            None => xattr::At::Descriptor(self.descriptor.as_fd()),
        }
    }
}

fn link_of(descriptor: &OwnedFd) -> CString {
    CString::new(descriptor.as_raw_fd().to_string()).expect("digits are not NUL")
}

/// Returns the key of a status.
pub(super) fn key_of(status: &FileStat) -> Key {
    (status.st_dev, status.st_ino)
}

/// Returns whether inodes of this type can have our attributes.
pub(super) fn carries_attributes(status: &FileStat) -> bool {
    matches!(status.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR)
}

/// Returns whether an inode may stand for a device.
pub(super) fn has_no_contents(status: &FileStat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFREG && status.st_size == 0
}
