//! Reaching into another process: process_vm_readv(2), pidfd_getfd(2), prlimit(2).

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::c_long;
use nix::errno::Errno;
use nix::sys::resource::Resource;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// `PIDFD_THREAD` of `linux/pidfd.h` (6.9), which libc lacks.
const PIDFD_THREAD: libc::c_int = libc::O_EXCL;

/// Reads a thread's memory into `buffer` and returns how many bytes could be read.
pub(crate) fn read_memory(thread: i32, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let remote = RemoteIoVec {
        base: usize::try_from(address).map_err(|_| Errno::EFAULT)?,
        len: buffer.len(),
    };
    process_vm_readv(
        Pid::from_raw(thread),
        &mut [IoSliceMut::new(buffer)],
        &[remote],
    )
}

/// Opens a thread for [`fetch_descriptor`]. EINVAL before 6.9, which knows processes only.
pub(crate) fn open_thread(thread: i32) -> Result<OwnedFd, Errno> {
    open_pid(thread, PIDFD_THREAD)
}

/// Opens a process by its first thread for [`fetch_descriptor`].
pub(crate) fn open_process(process: i32) -> Result<OwnedFd, Errno> {
    open_pid(process, 0)
}

fn open_pid(pid: i32, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open(2) takes two integers and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    Errno::result(result).map(own)
}

/// Duplicates a descriptor of another thread: the same open file description. EBADF when it has none by the number.
pub(crate) fn fetch_descriptor(thread: &OwnedFd, number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_getfd(2) takes three integers and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_getfd, thread.as_raw_fd(), number, 0) };
    Errno::result(result).map(own)
}

/// Reads the soft and hard limit of a resource of a thread's process.
pub(crate) fn read_limit(thread: i32, resource: Resource) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: prlimit(2) reads no new limit through a null pointer, and writes one `rlimit64` through the other.
    let result = unsafe {
        libc::prlimit64(
            thread,
            resource as libc::__rlimit_resource_t,
            std::ptr::null(),
            &raw mut limit,
        )
    };
    Errno::result(result).map(|_| (limit.rlim_cur, limit.rlim_max))
}

/// Changes the limits of a resource of a thread's process.
pub(crate) fn set_limit(
    thread: i32,
    resource: Resource,
    soft: u64,
    hard: u64,
) -> Result<(), Errno> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: prlimit(2) reads one `rlimit64` through the pointer to a local, and returns no old limit through null.
    let result = unsafe {
        libc::prlimit64(
            thread,
            resource as libc::__rlimit_resource_t,
            &raw const limit,
            std::ptr::null_mut(),
        )
    };
    Errno::result(result).map(drop)
}

fn own(descriptor: c_long) -> OwnedFd {
    let descriptor = RawFd::try_from(descriptor).expect("descriptors fit in an int");
    // SAFETY: both callers pass what a successful call that makes a new descriptor has returned; nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
