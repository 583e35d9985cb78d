//! Answering system calls of other processes: seccomp_unotify(2).

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use libc::{
    Ioctl, SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_IOCTL_NOTIF_ID_VALID, SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_SEND, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FLAG_CONTINUE,
    c_int, seccomp_data, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp,
    seccomp_notif_sizes,
};
use nix::errno::Errno;

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of `linux/seccomp.h` (6.6), which libc lacks.
const SYNC_WAKE_UP: u64 = 1;

/// A system call whose caller waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    /// Names the call to the listener until it is answered.
    pub(crate) id: u64,
    /// The calling thread, in the pid namespace of the receiver.
    pub(crate) thread: i32,
    pub(crate) number: c_int,
    pub(crate) arguments: [u64; 6],
}

impl Notification {
    /// Returns an argument that is an `int` to the kernel, which ignores its high half.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the kernel ignores the high half"
    )]
    pub(crate) fn int(&self, index: usize) -> c_int {
        (self.arguments[index] as u32).cast_signed()
    }
}

/// Room for the structures of a later kernel, which writes or reads as many bytes as it knows of.
const ROOM: usize = 256;

#[repr(C)]
struct Roomy<T> {
    known: T,
    room: [u8; ROOM],
}

/// Returns whether this kernel's structures fit into what [`receive`] and [`answer`] pass.
pub(crate) fn structures_fit() -> Result<bool, Errno> {
    let mut sizes = seccomp_notif_sizes {
        seccomp_notif: 0,
        seccomp_notif_resp: 0,
        seccomp_data: 0,
    };
    // SAFETY: SECCOMP_GET_NOTIF_SIZES writes one `seccomp_notif_sizes`, for which the pointer has room.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0,
            &raw mut sizes,
        )
    };
    Errno::result(result)?;
    Ok(
        usize::from(sizes.seccomp_notif) <= size_of::<Roomy<seccomp_notif>>()
            && usize::from(sizes.seccomp_notif_resp) <= size_of::<Roomy<seccomp_notif_resp>>(),
    )
}

/// Has callers woken on the processor of the receiver, which halves the cost of a call. EINVAL before 6.6.
pub(crate) fn wake_synchronously(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: SECCOMP_IOCTL_NOTIF_SET_FLAGS takes the flags by value and touches no memory of ours.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP,
        )
    };
    Errno::result(result).map(drop)
}

/// Waits for the next call. ENOENT when its caller died meanwhile.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    // The kernel insists on zeroed memory, for later extensions.
    let mut buffer = Roomy {
        known: seccomp_notif {
            id: 0,
            pid: 0,
            flags: 0,
            data: seccomp_data {
                nr: 0,
                arch: 0,
                instruction_pointer: 0,
                args: [0; 6],
            },
        },
        room: [0; ROOM],
    };
    control(listener, SECCOMP_IOCTL_NOTIF_RECV, &mut buffer)?;
    let seccomp_notif { id, pid, data, .. } = buffer.known;
    Ok(Notification {
        id,
        thread: i32::try_from(pid).map_err(|_| Errno::ESRCH)?,
        number: data.nr,
        arguments: data.args,
    })
}

/// Returns whether the call still waits, so that its thread id was not given to another process.
pub(crate) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    let mut buffer = Roomy {
        known: id,
        room: [0; ROOM],
    };
    control(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &mut buffer).is_ok()
}

/// What a call returns to its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    /// The kernel does not make the call.
    Value(i64),
    /// The kernel does not make the call.
    Error(Errno),
    /// The kernel makes the call, and reads its caller's memory anew to do so.
    Continue,
}

/// Lets a call return. ENOENT when its caller died.
pub(crate) fn answer(listener: BorrowedFd<'_>, id: u64, reply: Reply) -> Result<(), Errno> {
    let (val, error, flags) = match reply {
        Reply::Value(value) => (value, 0, 0),
        Reply::Error(errno) => (0, -(errno as c_int), 0),
        Reply::Continue => (0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE),
    };
    let flags = u32::try_from(flags).expect("the flag is the lowest bit");
    let mut buffer = Roomy {
        known: seccomp_notif_resp {
            id,
            val,
            error,
            flags,
        },
        room: [0; ROOM],
    };
    control(listener, SECCOMP_IOCTL_NOTIF_SEND, &mut buffer).map(drop)
}

/// Gives the caller, which goes on waiting, a copy of `descriptor`, and returns its number.
///
/// `flags` may be `O_CLOEXEC`. ENOENT when the caller died.
pub(crate) fn add_descriptor(
    listener: BorrowedFd<'_>,
    id: u64,
    descriptor: BorrowedFd<'_>,
    flags: c_int,
) -> Result<RawFd, Errno> {
    let bits = |value: c_int| u32::try_from(value).expect("descriptors and flags are not negative");
    let mut buffer = Roomy {
        known: seccomp_notif_addfd {
            id,
            flags: 0,
            srcfd: bits(descriptor.as_raw_fd()),
            newfd: 0,
            newfd_flags: bits(flags),
        },
        room: [0; ROOM],
    };
    control(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &mut buffer)
}

fn control<T>(
    listener: BorrowedFd<'_>,
    request: Ioctl,
    buffer: &mut Roomy<T>,
) -> Result<c_int, Errno> {
    // SAFETY: each of the requests reads and writes one structure of the kernel at the pointer, which `structures_fit`
    // has shown to be no longer than the buffer; any bytes are valid for the structures' integers.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw mut *buffer) };
    Errno::result(result)
}
