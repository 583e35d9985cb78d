//! What stat(2) and statx(2) say of a descriptor, as the bytes that a program gets.

use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use libc::{AT_EMPTY_PATH, c_int, c_uint};
use nix::errno::Errno;

/// The bytes of a `struct stat`, which is the kernel's and the C library's alike for 64-bit programs.
pub(crate) type StatBytes = [u8; size_of::<libc::stat>()];
/// The bytes of a `struct statx`.
pub(crate) type StatxBytes = [u8; size_of::<libc::statx>()];

/// Returns what stat(2) says of the descriptor, which may be an `O_PATH` one.
pub(crate) fn stat(descriptor: BorrowedFd<'_>) -> Result<StatBytes, Errno> {
    let mut bytes = [0; size_of::<StatBytes>()];
    // SAFETY: newfstatat(2) reads the empty C string, and writes one `struct stat`, which is as long as `bytes`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_newfstatat,
            descriptor.as_raw_fd(),
            c"".as_ptr(),
            bytes.as_mut_ptr(),
            AT_EMPTY_PATH,
        )
    };
    Errno::result(result).map(|_| bytes)
}

/// Returns what statx(2) says of the descriptor, which may be an `O_PATH` one; `flags` choose how it is synchronised.
pub(crate) fn statx(
    descriptor: BorrowedFd<'_>,
    flags: c_int,
    mask: c_uint,
) -> Result<StatxBytes, Errno> {
    let mut bytes = [0; size_of::<StatxBytes>()];
    // SAFETY: statx(2) reads the empty C string, and writes one `struct statx`, which is as long as `bytes`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_statx,
            descriptor.as_raw_fd(),
            c"".as_ptr(),
            flags | AT_EMPTY_PATH,
            mask,
            bytes.as_mut_ptr(),
        )
    };
    Errno::result(result).map(|_| bytes)
}
