//! Giving files to ids, and reading what was recorded.

use std::ffi::CStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{Gid, Uid, chown, fchownat};
use overcoat_sandbox::ownership::attributes::{OWNER, Owner};

use crate::raw;

pub(crate) const CAPABILITY: &CStr = c"security.capability";
/// `cap_net_raw+ep`, version 2 of `struct vfs_cap_data`.
pub(crate) const CAP_NET_RAW: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// An access ACL with one named user.
pub(crate) fn acl(user: u32) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1u16, 6u16, u32::MAX),
        (2, 7, user),
        (4, 4, u32::MAX),
        (0x10, 5, u32::MAX),
        (0x20, 1, u32::MAX),
    ] {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

pub(crate) fn own(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).unwrap();
}

pub(crate) fn own_link(path: &Path, uid: u32, gid: u32) -> Result<(), Errno> {
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    fchownat(
        AT_FDCWD.as_fd(),
        path,
        owner.0,
        owner.1,
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )
}

pub(crate) fn owner_on_disk(path: &Path) -> Option<(u32, u32)> {
    let Owner { uid, gid } = Owner::from_bytes(&raw::get(path, OWNER)?).unwrap();
    Some((uid, gid))
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}
