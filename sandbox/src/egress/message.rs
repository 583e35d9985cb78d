//! Decodes what connect(2), sendmsg(2) and sendmmsg(2) have in the caller's memory. It is copied once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use libc::c_int;
use nix::errno::Errno;

use crate::ownership::Tracee;

/// The longest socket address: `struct __kernel_sockaddr_storage`.
const LONGEST_ADDRESS: c_int = 128;
/// `SIN6_LEN_RFC2133` of the kernel: an IPv6 address without its scope.
const SHORTEST_V6: usize = 24;
/// `UIO_MAXIOV`, the most parts of a message.
const MOST_PARTS: u64 = 1024;
/// How much is sent at once. A stream takes the rest in the caller's next call; datagrams are shorter.
pub(super) const LONGEST_MESSAGE: usize = 64 << 10;

/// Sizes and offsets of `struct user_msghdr` and `struct mmsghdr`, which are the same on all 64-bit architectures.
pub(super) const HEADER: usize = 56;
pub(super) const HEADER_OF_MANY: usize = 64;

/// What connect(2) was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Destination {
    /// `AF_UNSPEC`: the socket is to be connected to nothing.
    Nothing,
    Address(SocketAddr),
}

impl Destination {
    pub(super) fn read(tracee: &Tracee, address: u64, length: c_int) -> Result<Self, Errno> {
        if !(0..=LONGEST_ADDRESS).contains(&length) {
            return Err(Errno::EINVAL);
        }
        let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
        Self::decode(&tracee.read_bytes(address, length)?)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Errno> {
        let family = field(bytes, 0).map(u16::from_ne_bytes)?;
        // Ports and IPv4 addresses are in network order.
        let port = || field(bytes, 2).map(u16::from_be_bytes);
        match c_int::from(family) {
            libc::AF_UNSPEC => Ok(Self::Nothing),
            libc::AF_INET if bytes.len() < size_of::<libc::sockaddr_in>() => Err(Errno::EINVAL),
            libc::AF_INET => {
                let ip = IpAddr::V4(Ipv4Addr::from_octets(field(bytes, 4)?));
                Ok(Self::Address(SocketAddr::new(ip, port()?)))
            }
            libc::AF_INET6 if bytes.len() < SHORTEST_V6 => Err(Errno::EINVAL),
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from_octets(field(bytes, 8)?);
                let scope = field(bytes, 24).map_or(0, u32::from_ne_bytes);
                // The flow is left out: it routes nothing that a program here could have set up.
                let address = SocketAddrV6::new(ip, port()?, 0, scope);
                Ok(Self::Address(SocketAddr::V6(address)))
            }
            _ => Err(Errno::EACCES),
        }
    }
}

/// Reads the data of the message whose header is at `address`.
///
/// # Errors
///
/// EACCES for one that names where it goes, or has control data, which can do so too.
pub(super) fn read_message(tracee: &Tracee, address: u64) -> Result<Vec<u8>, Errno> {
    let header = tracee.read_bytes(address, HEADER)?;
    let word = |at| field(&header, at).map(u64::from_ne_bytes);
    let name_length = field(&header, 8).map(u32::from_ne_bytes)?;
    let (name, parts, count, control_length) = (word(0)?, word(16)?, word(24)?, word(40)?);
    if name != 0 && name_length != 0 || control_length != 0 {
        return Err(Errno::EACCES);
    }
    if count > MOST_PARTS {
        return Err(Errno::EMSGSIZE);
    }
    let count = usize::try_from(count).map_err(|_| Errno::EMSGSIZE)?;
    let parts = tracee.read_bytes(parts, 16 * count)?;
    let mut data = Vec::new();
    for part in parts.chunks_exact(16) {
        let (start, length) = (field(part, 0)?, field(part, 8)?);
        let length = usize::try_from(u64::from_ne_bytes(length)).map_err(|_| Errno::EINVAL)?;
        let room = LONGEST_MESSAGE - data.len();
        data.extend(tracee.read_bytes(u64::from_ne_bytes(start), length.min(room))?);
    }
    Ok(data)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Errno> {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
    field.copied().ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::Destination;

    fn v4(port: u16, octets: [u8; 4]) -> Vec<u8> {
        let mut bytes = 2_u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(octets);
        bytes.resize(16, 0xff);
        bytes
    }

    fn v6(port: u16, last: u8, scope: u32) -> Vec<u8> {
        let mut bytes = 10_u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(7_u32.to_be_bytes());
        bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        bytes.extend(scope.to_ne_bytes());
        bytes
    }

    #[test]
    fn addresses_are_decoded_as_by_the_kernel() {
        let address = |text: &str| Ok(Destination::Address(text.parse().unwrap()));
        let long = [v4(80, [203, 0, 113, 80]), vec![0; 112]].concat();
        for (bytes, expected) in [
            (v4(80, [203, 0, 113, 80]), address("203.0.113.80:80")),
            (long, address("203.0.113.80:80")),
            (v6(53, 1, 2), address("[fe80::1%2]:53")),
            (v6(53, 1, 2)[..24].to_vec(), address("[fe80::1]:53")),
            (vec![0, 0], Ok(Destination::Nothing)),
            (v4(80, [203, 0, 113, 80])[..15].to_vec(), Err(Errno::EINVAL)),
            (v6(53, 1, 2)[..23].to_vec(), Err(Errno::EINVAL)),
            (vec![2], Err(Errno::EINVAL)),
            (Vec::new(), Err(Errno::EINVAL)),
            // AF_UNIX, AF_NETLINK.
            (b"\x01\x00/run/socket".to_vec(), Err(Errno::EACCES)),
            (
                vec![16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                Err(Errno::EACCES),
            ),
        ] {
            assert_eq!(Destination::decode(&bytes), expected, "{bytes:?}");
        }
    }
}
