//! Closing descriptors that a process must not keep or hand on.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::checked;

/// Turns a descriptor that the kernel just returned into an owned one.
pub(super) fn own(result: libc::c_long) -> OwnedFd {
    let fd = RawFd::try_from(result).expect("descriptors are ints");
    // SAFETY: the callers pass the result of a successful system call that returns a new descriptor, which nothing
    // else owns yet.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Closes every descriptor above standard error but `kept`.
///
/// The init process needs it because it never executes a program, so close-on-exec does nothing for it.
pub(crate) fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut numbers: Vec<u32> = kept
        .iter()
        .map(|fd| fd.as_raw_fd().unsigned_abs())
        .collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers {
        if number > first {
            close_range(first, number - 1, 0)?;
        }
        first = first.max(number + 1);
    }
    close_range(first, u32::MAX, 0)
}

/// Marks every descriptor above standard error close-on-exec.
pub(crate) fn set_all_close_on_exec() -> io::Result<()> {
    close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: close_range(2) takes three integers. The descriptors it closes are owned by frames of the process that
    // was cloned; the launcher's children leave by `process::exit_now`, so no destructor uses them again.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })?;
    Ok(())
}
