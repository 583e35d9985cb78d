//! The descriptor-based mount calls: fsopen(2), open_tree(2), mount_setattr(2) and move_mount(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::NixPath;

use super::checked;
use super::fds::own;

/// Attributes of a mount, as `MOUNT_ATTR_*` (linux/mount.h).
pub(crate) const READ_ONLY: u64 = 0x1;
pub(crate) const NO_SUID: u64 = 0x2;
pub(crate) const NO_DEVICES: u64 = 0x4;
pub(crate) const NO_EXECUTE: u64 = 0x8;

// linux/mount.h; libc does not name these.
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttributes {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Opens a configuration context for a file system type.
pub(crate) fn open_file_system(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: fsopen(2) reads the NUL-terminated `name`, which lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), FSOPEN_CLOEXEC) };
    checked(result).map(own)
}

/// Sets an option that has no value.
pub(crate) fn set_flag(context: BorrowedFd<'_>, key: &CStr) -> io::Result<()> {
    // SAFETY: fsconfig(2) with FSCONFIG_SET_FLAG reads only the NUL-terminated `key`; the value must be null.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_SET_FLAG,
            key.as_ptr(),
            std::ptr::null::<libc::c_void>(),
            0,
        )
    })?;
    Ok(())
}

/// Sets an option that has a value. The kernel takes at most 255 bytes.
pub(crate) fn set_string(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> io::Result<()> {
    // SAFETY: fsconfig(2) with FSCONFIG_SET_STRING reads the two NUL-terminated strings, which live through the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_SET_STRING,
            key.as_ptr(),
            value.as_ptr(),
            0,
        )
    })?;
    Ok(())
}

/// Makes the configured file system, and returns it as a mount that is attached nowhere.
pub(crate) fn create(context: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    // SAFETY: fsconfig(2) with FSCONFIG_CMD_CREATE takes no key and no value; both must be null.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            std::ptr::null::<libc::c_void>(),
            std::ptr::null::<libc::c_void>(),
            0,
        )
    })?;
    // SAFETY: fsmount(2) takes three integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            attributes,
        )
    };
    checked(result).map(own)
}

/// Copies the mounts at and below `path` into a tree that is attached nowhere.
pub(crate) fn clone_tree(directory: Option<BorrowedFd<'_>>, path: &Path) -> io::Result<OwnedFd> {
    let directory = directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    let flags = OPEN_TREE_CLONE
        | libc::O_CLOEXEC.unsigned_abs()
        | libc::AT_RECURSIVE.unsigned_abs()
        | libc::AT_EMPTY_PATH.unsigned_abs();
    let result = path.with_nix_path(|path| {
        // SAFETY: open_tree(2) reads the NUL-terminated `path`, which lives through the call.
        unsafe { libc::syscall(libc::SYS_open_tree, directory, path.as_ptr(), flags) }
    })?;
    checked(result).map(own)
}

/// Adds attributes to all mounts of a tree, and cuts them off from mount events of the host.
pub(crate) fn set_attributes(
    tree: BorrowedFd<'_>,
    attributes: u64,
    recursion: Recursion,
) -> io::Result<()> {
    let change = MountAttributes {
        attr_set: attributes,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    change_attributes(tree, &change, recursion)
}

/// Takes attributes away from one mount.
pub(crate) fn clear_attributes(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let change = MountAttributes {
        attr_set: 0,
        attr_clr: attributes,
        propagation: 0,
        userns_fd: 0,
    };
    change_attributes(mount, &change, Recursion::One)
}

fn change_attributes(
    tree: BorrowedFd<'_>,
    change: &MountAttributes,
    recursion: Recursion,
) -> io::Result<()> {
    let flags = match recursion {
        Recursion::Tree => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
        Recursion::One => libc::AT_EMPTY_PATH,
    };
    // SAFETY: mount_setattr(2) reads the empty path and `size_of::<MountAttributes>()` bytes of `change`.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(change),
            size_of::<MountAttributes>(),
        )
    })?;
    Ok(())
}

/// How far [`set_attributes`] reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Recursion {
    One,
    Tree,
}

/// Attaches a detached mount on the file or directory that `target` is open on.
pub(crate) fn attach(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    // SAFETY: move_mount(2) reads two empty NUL-terminated strings; the descriptors are borrowed for the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            target.as_fd().as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// Returns the kernel's explanation of the last failure on a configuration context, when it left one.
pub(crate) fn explanation(context: BorrowedFd<'_>) -> Option<String> {
    let mut lines = Vec::new();
    let mut buffer = [0; 512];
    // Each read gives one message, and ENODATA when there are no more.
    while let Ok(count) = nix::unistd::read(context, &mut buffer) {
        if count == 0 || lines.len() == 16 {
            break;
        }
        let line = String::from_utf8_lossy(&buffer[..count]);
        // The first letter is the level: error, warning or information.
        let line = line.get(2..).unwrap_or_default();
        lines.push(line.trim().to_owned());
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}
