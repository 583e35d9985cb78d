//! Cloning the launcher into new namespaces, leaving without destructors, and signal dispositions.

use std::convert::Infallible;
use std::io;
use std::os::raw::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Starts a process that executes a program, and returns when it does or has ended: `until_execution` runs in the memory
/// of the calling process, which waits. So nothing is copied that the program throws away.
///
/// The caller must be single-threaded, as for [`clone_process`]. What `until_execution` allocates and does not free stays
/// allocated here.
pub(crate) fn clone_for_execution(until_execution: impl FnOnce() -> Infallible) -> io::Result<Pid> {
    let stack = Stack::map()?;
    let mut given = Some(until_execution);
    let result = {
        let argument = (&raw mut given).cast::<c_void>();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let enter = enter_given(&given);
        // SAFETY: clone(2) calls `enter` with `argument`, which it was made for, on a stack that nothing else uses. With
        // CLONE_VFORK this process, which has no other thread, does nothing until the new one has ended or executed a
        // program, so that no two use the memory at a time, and `given` and the stack outlive all use of them.
        unsafe { libc::clone(enter, stack.top(), flags, argument) }
    };
    checked(libc::c_long::from(result))?;
    Ok(Pid::from_raw(result))
}

/// Returns what calls a function that [`clone_for_execution`] was given; the value is there to name its type.
fn enter_given<F: FnOnce() -> Infallible>(
    _given: &Option<F>,
) -> extern "C" fn(*mut c_void) -> libc::c_int {
    extern "C" fn enter<F: FnOnce() -> Infallible>(given: *mut c_void) -> libc::c_int {
        // SAFETY: the caller of clone(2) passes a pointer to an `Option<F>` that it does not touch meanwhile.
        let given = unsafe { &mut *given.cast::<Option<F>>() };
        if let Some(until_execution) = given.take() {
            // There is no frame above that could be unwound.
            let _ = catch_unwind(AssertUnwindSafe(until_execution));
        }
        exit_now(libc::EXIT_FAILURE)
    }
    enter::<F>
}

/// The stack of a process that runs in the memory of another.
struct Stack {
    lowest: *mut c_void,
}

impl Stack {
    /// As large as that of a thread; pages that are not used take no memory.
    const BYTES: usize = 2 << 20;
    /// Touching it is a fault. It is larger than any frame.
    const GUARD_BYTES: usize = 64 << 10;

    fn map() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: without MAP_FIXED, mmap(2) of anonymous memory changes no mapping that there is.
        let lowest = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::BYTES,
                libc::PROT_NONE,
                flags,
                -1,
                0,
            )
        };
        if lowest == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { lowest };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let size = Self::BYTES - Self::GUARD_BYTES;
        // SAFETY: the pages are of the mapping that was just made, which nothing uses yet.
        checked(libc::c_long::from(unsafe {
            libc::mprotect(stack.lowest.byte_add(Self::GUARD_BYTES), size, protection)
        }))?;
        Ok(stack)
    }

    fn top(&self) -> *mut c_void {
        self.lowest.wrapping_byte_add(Self::BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and its user has ended or has memory of its own.
        unsafe { libc::munmap(self.lowest, Self::BYTES) };
    }
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
