//! The rows for programs whose network is scoped: what connects is judged by a supervisor, and what connects without
//! being asked for it is refused. They come after the table, which no network widens.

use libc::c_int;

use super::table::{Action, Group, Row, Scope, SystemCall, Test, calls, equal};

const EACCES: Action = Action::Errno(libc::EACCES);

/// `MSG_FASTOPEN`, which connects while it sends.
const FAST_OPEN: u32 = libc::MSG_FASTOPEN.cast_unsigned();

const NO_OTHER_SOCKET: &str =
    "the supervisor judges addresses of TCP and UDP; what listens on other sockets is the host's";
const NO_SERVER: &str = "who downloads serves nobody";
const NO_FAST_OPEN: &str =
    "it connects while it sends, past the supervisor; programs fall back to connect";
const NO_SOURCE_ROUTE: &str =
    "a route in the packets leads them through other hosts than the judged one";

/// A flag of sendmsg(2) without a meaning (`MSG_PROXY` of `linux/socket.h`). With it the launcher's own message gets past
/// the filter, which brings the supervisor the listener: nobody could answer it before. [`SEAL`] refuses it afterwards.
pub(crate) const PASSING: u32 = 0x10;

/// The row of the filter that is installed when the listener has been passed.
pub(super) const SEAL: Row = Row {
    call: SENDMSG[0],
    tests: &[any_bit(2, PASSING)],
    action: Action::Errno(libc::EOPNOTSUPP),
    scope: Scope::ScopedNetwork,
    reason: "the launcher's message is sent; a program's must not get past the supervisor in the same way",
};

const SENDMSG: &[SystemCall] = calls![SYS_sendmsg];

/// Returns a group in force while the network is scoped.
const fn scoped(
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    reason: &'static str,
) -> Group {
    Group {
        calls,
        tests,
        action,
        scope: Scope::ScopedNetwork,
        reason,
    }
}

const fn any_bit(argument: u8, mask: u32) -> Test {
    Test::AnyBit { argument, mask }
}

/// Returns the type of a socket with the flags that socket(2) takes with it, in every combination.
const fn with_flags(kind: c_int) -> [u32; 4] {
    let (kind, wait, close) = (
        kind.cast_unsigned(),
        libc::SOCK_NONBLOCK.cast_unsigned(),
        libc::SOCK_CLOEXEC.cast_unsigned(),
    );
    [kind, kind | wait, kind | close, kind | wait | close]
}

const STREAM: [u32; 4] = with_flags(libc::SOCK_STREAM);
const DATAGRAM: [u32; 4] = with_flags(libc::SOCK_DGRAM);

pub(super) static TABLE: &[Group] = &[
    scoped(
        calls![SYS_connect],
        &[],
        Action::Notify,
        "made by the supervisor on the program's socket, if the scope has the address",
    ),
    scoped(
        calls![SYS_socket],
        &[Test::OtherThan {
            argument: 0,
            values: &[
                libc::AF_INET.cast_unsigned(),
                libc::AF_INET6.cast_unsigned(),
            ],
        }],
        Action::Errno(libc::EAFNOSUPPORT),
        NO_OTHER_SOCKET,
    ),
    scoped(
        calls![SYS_socket],
        &[Test::OtherThan {
            argument: 1,
            values: &[
                STREAM[0],
                STREAM[1],
                STREAM[2],
                STREAM[3],
                DATAGRAM[0],
                DATAGRAM[1],
                DATAGRAM[2],
                DATAGRAM[3],
            ],
        }],
        Action::Errno(libc::ESOCKTNOSUPPORT),
        NO_OTHER_SOCKET,
    ),
    scoped(
        calls![SYS_socket],
        &[Test::OtherThan {
            argument: 2,
            // The type's own protocol, TCP, UDP. Not among them is multipath TCP, which Landlock does not know.
            values: &[0, 6, 17],
        }],
        Action::Errno(libc::EPROTONOSUPPORT),
        NO_OTHER_SOCKET,
    ),
    scoped(
        calls![SYS_bind SYS_listen SYS_accept SYS_accept4],
        &[],
        EACCES,
        NO_SERVER,
    ),
    scoped(
        calls![SYS_sendto],
        // The length of the address: without it an address is none, and the pointer has more bits than are tested.
        &[any_bit(5, u32::MAX)],
        EACCES,
        "a datagram with an address goes there, past the supervisor",
    ),
    scoped(
        calls![SYS_sendto SYS_sendmmsg],
        &[any_bit(3, FAST_OPEN)],
        Action::Errno(libc::EOPNOTSUPP),
        NO_FAST_OPEN,
    ),
    scoped(
        calls![SYS_sendmsg],
        &[any_bit(2, FAST_OPEN)],
        Action::Errno(libc::EOPNOTSUPP),
        NO_FAST_OPEN,
    ),
    scoped(
        SENDMSG,
        &[any_bit(2, PASSING)],
        Action::Allow,
        "the launcher's last message before the program is executed; refused from then on",
    ),
    scoped(
        calls![SYS_sendmsg SYS_sendmmsg],
        &[],
        Action::Notify,
        "their addresses are in memory, where a filter cannot read them; the supervisor sends the data",
    ),
    scoped(
        calls![SYS_setsockopt],
        &[equal(1, libc::IPPROTO_IP.cast_unsigned()), equal(2, 4)], // IP_OPTIONS
        Action::Errno(libc::EPERM),
        NO_SOURCE_ROUTE,
    ),
    scoped(
        calls![SYS_setsockopt],
        &[equal(1, libc::IPPROTO_IPV6.cast_unsigned()), equal(2, 57)], // IPV6_RTHDR
        Action::Errno(libc::EPERM),
        NO_SOURCE_ROUTE,
    ),
    scoped(
        calls![SYS_setsockopt],
        &[equal(1, libc::IPPROTO_IPV6.cast_unsigned()), equal(2, 6)], // IPV6_2292PKTOPTIONS
        Action::Errno(libc::EPERM),
        NO_SOURCE_ROUTE,
    ),
];
