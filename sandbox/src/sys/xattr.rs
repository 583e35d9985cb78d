//! Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their variants for descriptors.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_char, c_int, c_void, size_t, ssize_t};
use nix::errno::Errno;

/// Names the inode whose attributes are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At<'a> {
    /// A path, followed through a symbolic link at its end.
    Path(&'a CStr),
    /// A descriptor that was opened for more than its path.
    Descriptor(BorrowedFd<'a>),
}

/// Sets an attribute; `flags` as in setxattr(2).
pub(crate) fn set(at: At<'_>, name: &CStr, value: &[u8], flags: c_int) -> Result<(), Errno> {
    let (bytes, length) = (value.as_ptr().cast::<c_void>(), value.len());
    let name = name.as_ptr();
    // SAFETY: the calls read two NUL-terminated strings and `length` bytes at `bytes`, all of which are borrowed for
    // longer than the call.
    let result = unsafe {
        match at {
            At::Path(path) => libc::setxattr(path.as_ptr(), name, bytes, length, flags),
            At::Descriptor(fd) => libc::fsetxattr(fd.as_raw_fd(), name, bytes, length, flags),
        }
    };
    Errno::result(result).map(drop)
}

/// Reads an attribute into `value` and returns its length. ERANGE when it is longer.
pub(crate) fn get(at: At<'_>, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
    let (bytes, length) = (value.as_mut_ptr().cast::<c_void>(), value.len());
    let name = name.as_ptr();
    // SAFETY: the calls read two NUL-terminated strings and write at most `length` bytes at `bytes`, which is
    // borrowed mutably.
    let result: ssize_t = unsafe {
        match at {
            At::Path(path) => libc::getxattr(path.as_ptr(), name, bytes, length),
            At::Descriptor(fd) => libc::fgetxattr(fd.as_raw_fd(), name, bytes, length),
        }
    };
    let length = Errno::result(result)?;
    Ok(size_t::try_from(length).expect("a successful call returns a length"))
}

/// Reads the names of all attributes, each with a NUL, into `names`, and returns their length. ERANGE when it is longer.
pub(crate) fn list(at: At<'_>, names: &mut [u8]) -> Result<usize, Errno> {
    let (bytes, length) = (names.as_mut_ptr().cast::<c_char>(), names.len());
    // SAFETY: the calls read a NUL-terminated string, if any, and write at most `length` bytes at `bytes`, which is
    // borrowed mutably.
    let result: ssize_t = unsafe {
        match at {
            At::Path(path) => libc::listxattr(path.as_ptr(), bytes, length),
            At::Descriptor(fd) => libc::flistxattr(fd.as_raw_fd(), bytes, length),
        }
    };
    let length = Errno::result(result)?;
    Ok(size_t::try_from(length).expect("a successful call returns a length"))
}

/// Removes an attribute. ENODATA when there is none.
pub(crate) fn remove(at: At<'_>, name: &CStr) -> Result<(), Errno> {
    let name: *const c_char = name.as_ptr();
    // SAFETY: the calls read two NUL-terminated strings that are borrowed for longer than the call.
    let result = unsafe {
        match at {
            At::Path(path) => libc::removexattr(path.as_ptr(), name),
            At::Descriptor(fd) => libc::fremovexattr(fd.as_raw_fd(), name),
        }
    };
    Errno::result(result).map(drop)
}
