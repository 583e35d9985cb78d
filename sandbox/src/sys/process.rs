//! Cloning the launcher into new namespaces, leaving without destructors, and signal dispositions.

use std::io;

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::checked;

/// `_NSIG` of the kernel, on every architecture but MIPS.
const HIGHEST_SIGNAL: libc::c_int = 64;

/// Which side of a clone this is.
#[derive(Debug)]
pub(crate) enum Fork {
    Parent { child: Pid },
    Child,
}

/// Clones this process, like fork(2), into new namespaces.
///
/// The caller must be single-threaded: the launcher checks it when it starts, before its first call.
pub(crate) fn clone_process(namespaces: CloneFlags) -> io::Result<Fork> {
    let flags = libc::c_long::from(namespaces.bits()) | libc::c_long::from(libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with a null stack, clone(2) copies the address space and continues on a copy of
    // the stack, as fork(2) does. No lock of another thread can be left held, since there is no other thread.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    let pid = checked(result)?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    let pid = libc::pid_t::try_from(pid).expect("process ids are ints");
    Ok(Fork::Parent {
        child: Pid::from_raw(pid),
    })
}

/// Leaves the process at once, running no destructor and flushing nothing.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no precondition and does not return.
    unsafe { libc::_exit(code) }
}

/// Tells whether this process ignores a signal.
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction(2) with a null new action changes nothing and writes the present one to `action`, which has its
    // type and outlives the call; all zero is a value of it.
    let action = unsafe {
        libc::sigaction(signal as libc::c_int, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Gives every signal its default disposition and unblocks all: Rust ignores SIGPIPE, and a caller may ignore others,
/// which a program would inherit.
pub(crate) fn reset_signals() -> io::Result<()> {
    // `struct sigaction` of the kernel (handler, flags, restorer, mask), all zero: SIG_DFL. The C library's own call
    // would refuse the two signals that it keeps to itself, and those may be ignored as well.
    let default = [0_u64; 4];
    for number in 1..=HIGHEST_SIGNAL {
        // SAFETY: rt_sigaction(2) reads one kernel `sigaction`, which is at most as long as `default`, and writes
        // nothing where the old action is null. SIG_DFL installs no handler. SIGKILL and SIGSTOP give EINVAL, which
        // is harmless.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                size_of::<u64>(),
            )
        };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}
