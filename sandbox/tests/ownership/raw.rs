//! Calls without a safe wrapper, with the arguments that a hostile program would use.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;

pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

pub(crate) fn open_path(path: &Path) -> File {
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)
        .unwrap()
}

/// Makes any system call.
///
/// The arguments may be wild on purpose: a pointer must be null, unmapped, or to memory that the call may use.
pub(crate) fn call(number: libc::c_long, arguments: [u64; 6]) -> Result<(), Errno> {
    let [a0, a1, a2, a3, a4, a5] = arguments;
    // SAFETY: the calls made through here read their caller's memory and do not write to it; the kernel answers
    // pointers to nothing with EFAULT.
    Errno::result(unsafe { libc::syscall(number, a0, a1, a2, a3, a4, a5) }).map(drop)
}

pub(crate) fn address(string: &CStr) -> u64 {
    string.as_ptr().addr() as u64
}

pub(crate) fn set(path: &Path, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
    let path = c_path(path);
    let length = value.len();
    // SAFETY: two C strings and `length` readable bytes, all of which outlive the call.
    let result = unsafe {
        libc::lsetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            length,
            flags,
        )
    };
    Errno::result(result).map(drop)
}

pub(crate) fn set_by_descriptor(file: &File, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let length = value.len();
    // SAFETY: a C string and `length` readable bytes, which outlive the call.
    let result = unsafe {
        libc::fsetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            length,
            0,
        )
    };
    Errno::result(result).map(drop)
}

pub(crate) fn get(path: &Path, name: &CStr) -> Option<Vec<u8>> {
    let path = c_path(path);
    let mut value = vec![0u8; 65536];
    // SAFETY: two C strings, and writable room for as many bytes as stated.
    let result = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    value.truncate(usize::try_from(result).ok()?);
    Some(value)
}

pub(crate) fn remove(path: &Path, name: &CStr) -> Result<(), Errno> {
    let path = c_path(path);
    // SAFETY: two C strings that outlive the call.
    Errno::result(unsafe { libc::lremovexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// Sets an attribute by setxattrat of Linux 6.13, whose value is in a structure.
pub(crate) fn set_at(path: &Path, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let path = c_path(path);
    let length = u64::try_from(value.len()).unwrap();
    let structure = [value.as_ptr().addr() as u64, length];
    let structure = structure.as_ptr().addr() as u64;
    let cwd = libc::AT_FDCWD.cast_unsigned().into();
    let flags = libc::AT_SYMLINK_NOFOLLOW.cast_unsigned().into();
    let arguments = [cwd, address(&path), flags, address(name), structure, 16];
    call(463, arguments)
}

/// Removes an attribute by removexattrat of Linux 6.13.
pub(crate) fn remove_at(path: &Path, name: &CStr) -> Result<(), Errno> {
    let path = c_path(path);
    let cwd = libc::AT_FDCWD.cast_unsigned().into();
    let flags = libc::AT_SYMLINK_NOFOLLOW.cast_unsigned().into();
    call(466, [cwd, address(&path), flags, address(name), 0, 0])
}

/// Writes to memory that another thread passes to the kernel, which is the race to be tested.
pub(crate) fn write_volatile(address: usize, bytes: &[u8]) {
    let target = std::ptr::with_exposed_provenance_mut::<u8>(address);
    for (index, &byte) in bytes.iter().enumerate() {
        // SAFETY: the scope of the caller keeps the buffer of at least as many bytes alive; only the kernel reads it
        // meanwhile.
        unsafe { target.add(index).write_volatile(byte) };
    }
}

/// Lists attributes, with room for as many bytes.
pub(crate) fn list(path: &Path, room: usize) -> Result<Vec<u8>, Errno> {
    let path = c_path(path);
    let mut names = vec![0u8; room];
    // SAFETY: a C string, and writable room for as many bytes as stated.
    let result = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), room) };
    let length = Errno::result(result)?;
    names.truncate(usize::try_from(length).unwrap());
    Ok(names)
}

/// Asks how long the list of attributes is.
pub(crate) fn length_of_list(path: &Path) -> Result<isize, Errno> {
    let path = c_path(path);
    // SAFETY: a C string; nothing is written to a buffer without length.
    Errno::result(unsafe { libc::llistxattr(path.as_ptr(), std::ptr::null_mut(), 0) })
}
