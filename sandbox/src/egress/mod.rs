//! Lets a program that downloads reach what it downloads from, and nothing else.
//!
//! A program with a [scoped network](crate::Network::Scoped) is in the caller's network namespace, because an ordinary
//! user can give it no other that reaches anything. It makes no connection itself: the seccomp filter sends connect(2) to
//! a supervisor outside the program's pid namespace, which judges the address by the [`NetworkScope`] and connects the
//! program's socket in its place.
//!
//! | calls | answered |
//! |---|---|
//! | connect | made on the caller's socket when the scope has the address, else EACCES |
//! | sendmsg, sendmmsg | the data is sent on the caller's socket; EACCES with an address or with control data |
//! | sendto with an address, bind, listen, accept | refused by the filter |
//! | TCP Fast Open, which connects while it sends | refused by the filter |
//! | sockets that are neither TCP nor UDP, among them those of Unix and netlink | refused by the filter |
//!
//! The filter's listener itself is passed with sendmsg, by a flag that a second filter then refuses.
//!
//! Where the kernel can (Landlock ABI 4), the program's own domain refuses all TCP besides, so that a call which got past
//! the supervisor would still be refused.
//!
//! # Invariants, whoever the caller is
//!
//! - An address is read once. What is judged is what is connected to, and the socket is the one that the supervisor holds
//!   itself: another thread may change the memory or the descriptor meanwhile, and changes nothing. No call of these goes
//!   on in the kernel (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
//! - Nothing is done before the kernel has confirmed that the call still waits, as in [`ownership`](crate::ownership).
//! - Every length is bounded before memory is allocated.
//! - A call that blocks holds up its caller alone: each is made by a thread of its own, of which there are few.
//! - UDP carries data to the name servers of the scope only. To another address of the scope a datagram socket can be
//!   connected, since getaddrinfo(3) finds out in that way which source address the kernel would choose, but it is shut for
//!   sending first.
//!
//! What differs for the program: a signal does not interrupt a call that waits for the supervisor, and sending on a
//! connection that is gone raises no SIGPIPE where sendmsg is used.

mod address;
mod message;
mod scope;
mod supervisor;

pub use self::scope::NetworkScope;
pub(crate) use self::supervisor::answer;
