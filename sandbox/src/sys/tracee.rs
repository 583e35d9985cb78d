//! Reaching into another process: process_vm_readv(2), pidfd_getfd(2).

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::c_long;
use nix::errno::Errno;
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

fn own(descriptor: c_long) -> OwnedFd {
    let descriptor = RawFd::try_from(descriptor).expect("descriptors fit in an int");
    // SAFETY: both callers pass what a successful call that makes a new descriptor has returned; nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
