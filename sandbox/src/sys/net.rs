//! The loopback interface of a new network namespace, and sockets that are connected to nothing.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Brings the loopback interface up; a new network namespace has it down.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: ifreq is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = libc::c_char::from_ne_bytes([*byte]);
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(flags).expect("both flags are below 2^15");
    // SAFETY: SIOCSIFFLAGS reads one ifreq (netdevice(7)), which lives through the call.
    if unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    } < 0
    {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes a socket's connection back, by connecting it to `AF_UNSPEC`.
pub(crate) fn disconnect(socket: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: sockaddr is plain data for which all zeroes is a value, and means AF_UNSPEC.
    let nothing: libc::sockaddr = unsafe { std::mem::zeroed() };
    let length = libc::socklen_t::try_from(size_of_val(&nothing)).expect("addresses are short");
    // SAFETY: connect(2) reads one address of that length, which lives through the call.
    let result = unsafe { libc::connect(socket.as_raw_fd(), &raw const nothing, length) };
    Errno::result(result).map(drop)
}
