//! Installing a seccomp filter: seccomp(2).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use libc::{
    SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    SECCOMP_SET_MODE_FILTER, c_ulong, sock_filter, sock_fprog,
};

/// Installs `program` for the calling thread, for good, and returns the descriptor on which its notifications arrive
/// when `want_listener` asks for one.
///
/// The thread must have set `no_new_privs`, or be root of its user namespace. Where the kernel can (5.19), only a
/// fatal signal interrupts a call that the listener has received, so that no call is made twice.
///
/// # Errors
///
/// EBUSY when a filter of the thread has a listener already, EINVAL for a program that the kernel refuses.
pub fn install(program: &[sock_filter], want_listener: bool) -> io::Result<Option<OwnedFd>> {
    if !want_listener {
        set_filter(program, 0)?;
        return Ok(None);
    }
    let flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let descriptor = match set_filter(program, flags) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            set_filter(program, SECCOMP_FILTER_FLAG_NEW_LISTENER)
        }
        other => other,
    }?;
    // SAFETY: with NEW_LISTENER the call returns a new descriptor, which nothing else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

fn set_filter(program: &[sock_filter], flags: c_ulong) -> io::Result<RawFd> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let description = sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: seccomp(2) reads `len` instructions at `filter`, which is the slice that outlives the call; it does not
    // write there, so that the cast to mutable is never used.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const description,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(RawFd::try_from(result).expect("descriptors and 0 fit in an int"))
}
