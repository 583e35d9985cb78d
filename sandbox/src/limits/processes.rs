//! How many processes a pid namespace takes.

use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::write;

use crate::kernel;

/// What the kernel lets a sandbox have beyond its limit, so that the watch sees it exceeded rather than programs failing
/// for reasons that nobody knows. It holds init too.
pub(crate) const SLACK: u64 = 64;

/// The kernel does not use the ids below again, once the largest was reached (`RESERVED_PIDS`).
const NEVER_AGAIN: u64 = 300;

/// `PID_MAX_LIMIT` of 64-bit kernels.
const LARGEST_ID: u64 = 4 << 20;

/// Bounds the ids of the calling process's pid namespace, and tells whether it did. `proc` is a proc of it.
///
/// Since Linux 6.14 each namespace has its own (commit 7863dcc72d0f). Before, this would be the host's, which root
/// could change: so it is the version that decides.
pub(crate) fn bound_namespace(proc: BorrowedFd<'_>, processes: u64) -> bool {
    let is_own = kernel::release().is_ok_and(|(_, version)| version >= (6, 14));
    let largest = processes + SLACK + NEVER_AGAIN;
    if !is_own || largest > LARGEST_ID {
        return false;
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let Ok(file) = openat(proc, "sys/kernel/pid_max", flags, Mode::empty()) else {
        return false;
    };
    // The launcher looks at the number of processes as well, whatever comes of it.
    write(file.as_fd(), largest.to_string().as_bytes()).is_ok()
}
