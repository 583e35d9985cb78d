//! System calls that the safe crates lack, one file per family. Thin: no policy is decided here.
#![expect(
    unsafe_code,
    reason = "the only module of the workspace that may; each block says why it is sound"
)]

pub(crate) mod fds;
pub(crate) mod landlock;
pub(crate) mod mount;
pub(crate) mod net;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod seccomp;
pub(crate) mod socket;
pub(crate) mod status;
pub(crate) mod tracee;
pub(crate) mod xattr;

use std::io;

/// Turns the result of a raw system call into a `Result`.
pub(crate) fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
