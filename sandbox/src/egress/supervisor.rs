//! The loop: receive a call, copy what it names, confirm that it still waits, judge, and have it made and answered.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    MsgFlags, Shutdown, SockType, SockaddrStorage, connect, getsockopt, send, shutdown, sockopt,
};

use super::message::{Destination, HEADER, HEADER_OF_MANY, LONGEST_MESSAGE, read_message};
use super::scope::{NetworkScope, Transport, Verdict};
use crate::listener::{self, Listener};
use crate::ownership::Tracee;
use crate::sys::net::disconnect;
use crate::sys::notify::{Notification, Reply};

/// How many calls are made at once; more fail. Package managers make a handful.
const MOST_AT_ONCE: usize = 64;
/// How many messages of one sendmmsg(2) are sent; callers send the rest in their next call. Resolvers send two.
const MOST_MESSAGES: u32 = 16;
/// How many refused addresses are remembered.
const MOST_REFUSED: usize = 16;
/// The threads do nothing but one system call.
const STACK: usize = 128 << 10;

/// The flags of send(2) that direct nothing.
const SEND_FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT
    .union(MsgFlags::MSG_NOSIGNAL)
    .union(MsgFlags::MSG_EOR)
    .union(MsgFlags::from_bits_retain(libc::MSG_MORE));

/// Answers the calls of a program whose network is `scope` until every task under the filter is gone, and returns the
/// addresses that it was refused.
///
/// `host_proc` is an `O_PATH` descriptor of a procfs mount of the pid namespace in which the calling process runs. The
/// process needs `CAP_SYS_PTRACE` in the program's user namespace, and nothing else.
pub(crate) fn answer(
    scope: &NetworkScope,
    listener: OwnedFd,
    host_proc: OwnedFd,
) -> Result<Vec<SocketAddr>, listener::Error> {
    let mut supervisor = Supervisor {
        scope,
        listener: Arc::new(Listener::new(listener)?),
        host_proc: Rc::new(host_proc),
        at_once: Arc::default(),
        refused: BTreeSet::new(),
    };
    while let Some(notification) = supervisor.listener.next()? {
        if let Err(errno) = supervisor.process(&notification) {
            let reply = Reply::Error(errno);
            supervisor.listener.answer(notification.id, reply)?;
        }
    }
    Ok(supervisor.refused.into_iter().collect())
}

#[derive(Debug)]
struct Supervisor<'a> {
    scope: &'a NetworkScope,
    listener: Arc<Listener>,
    host_proc: Rc<OwnedFd>,
    at_once: Arc<AtomicUsize>,
    refused: BTreeSet<SocketAddr>,
}

impl Supervisor<'_> {
    /// Has a call made, by a thread that answers it. On an error nothing was done, and nobody has answered.
    fn process(&mut self, notification: &Notification) -> Result<(), Errno> {
        let id = notification.id;
        let tracee = Tracee::new(&self.host_proc, notification.thread);
        let [_, address, ..] = notification.arguments;
        let socket = tracee.descriptor(notification.int(0));
        match libc::c_long::from(notification.number) {
            libc::SYS_connect => {
                let to = Destination::read(&tracee, address, notification.int(2));
                self.listener.confirm(id)?;
                let (socket, to) = (socket?, to?);
                let mute = self.permit(&socket, to)?;
                self.perform(id, move || connect_to(&socket, to, mute).map(|()| 0))
            }
            libc::SYS_sendmsg => {
                let data = read_message(&tracee, address);
                self.listener.confirm(id)?;
                let (socket, data) = (socket?, data?);
                let flags = send_flags(notification.int(2))?;
                self.perform(id, move || send_data(&socket, &data, flags))
            }
            libc::SYS_sendmmsg => {
                let count = notification.int(2).cast_unsigned().min(MOST_MESSAGES);
                let messages = Messages::read(&tracee, address, count);
                let memory = tracee.memory();
                self.listener.confirm(id)?;
                let (socket, messages, memory) = (socket?, messages?, memory?);
                let flags = send_flags(notification.int(3))?;
                self.perform(id, move || messages.send(&socket, flags, &memory))
            }
            // The filter sends no others.
            _ => Err(Errno::ENOSYS),
        }
    }

    /// Fails unless the scope has the connection; true for one that must not send.
    fn permit(&mut self, socket: &OwnedFd, to: Destination) -> Result<bool, Errno> {
        let Destination::Address(to) = to else {
            return Ok(false);
        };
        let transport = match getsockopt(socket, sockopt::SockType)? {
            SockType::Stream => Transport::Stream,
            SockType::Datagram => Transport::Datagrams,
            _ => return Err(Errno::EACCES),
        };
        match self.scope.judge(to, transport, is_own) {
            Verdict::Connect => Ok(false),
            Verdict::ConnectMute => Ok(true),
            Verdict::Refuse => {
                if self.refused.len() < MOST_REFUSED {
                    self.refused
                        .insert(SocketAddr::new(to.ip().to_canonical(), to.port()));
                }
                Err(Errno::EACCES)
            }
        }
    }

    /// Makes a call in a thread of its own, which answers it. The descriptors that it took are closed before, because the
    /// caller may close its own and expect that to have an effect.
    fn perform(
        &self,
        id: u64,
        call: impl FnOnce() -> Result<i64, Errno> + Send + 'static,
    ) -> Result<(), Errno> {
        let at_once = Arc::clone(&self.at_once);
        let leave = |at_once: &AtomicUsize| at_once.fetch_sub(1, Ordering::Relaxed);
        if at_once.fetch_add(1, Ordering::Relaxed) >= MOST_AT_ONCE {
            leave(&at_once);
            return Err(Errno::ENOBUFS);
        }
        let listener = Arc::clone(&self.listener);
        let work = move || {
            let reply = match call() {
                Ok(value) => Reply::Value(value),
                Err(errno) => Reply::Error(errno),
            };
            leave(&at_once);
            // A call that cannot be answered is one whose caller is gone: the kernel knows the reply's form from others.
            let _ = listener.answer(id, reply);
        };
        match thread::Builder::new().stack_size(STACK).spawn(work) {
            Ok(_) => Ok(()),
            Err(error) => {
                leave(&self.at_once);
                Err(Errno::from_raw(
                    error.raw_os_error().unwrap_or(libc::EAGAIN),
                ))
            }
        }
    }
}

/// Tells whether an address is one of this host. When the kernel does not tell, it is taken for one.
fn is_own(address: IpAddr) -> bool {
    let Ok(interfaces) = getifaddrs() else {
        return true;
    };
    interfaces
        .filter_map(|interface| interface.address)
        .any(|own| {
            let v4 = own.as_sockaddr_in().map(|own| IpAddr::V4(own.ip()));
            let v6 = own.as_sockaddr_in6().map(|own| IpAddr::V6(own.ip()));
            v4.or(v6) == Some(address)
        })
}

fn connect_to(socket: &OwnedFd, to: Destination, mute: bool) -> Result<(), Errno> {
    let Destination::Address(to) = to else {
        return disconnect(socket);
    };
    if mute {
        // It fails, since nothing is connected yet, and has its effect all the same: sending is EPIPE from now on.
        match shutdown(socket.as_raw_fd(), Shutdown::Write) {
            Ok(()) | Err(Errno::ENOTCONN) => {}
            Err(errno) => return Err(errno),
        }
    }
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))
}

fn send_flags(flags: libc::c_int) -> Result<MsgFlags, Errno> {
    let flags = MsgFlags::from_bits_retain(flags);
    if SEND_FLAGS.contains(flags) {
        // The signal would be the supervisor's.
        Ok(flags | MsgFlags::MSG_NOSIGNAL)
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

fn send_data(socket: &OwnedFd, data: &[u8], flags: MsgFlags) -> Result<i64, Errno> {
    let sent = send(socket.as_raw_fd(), data, flags)?;
    Ok(i64::try_from(sent).expect("messages are short"))
}

/// The messages of one sendmmsg(2), each with where its header is.
#[derive(Debug)]
struct Messages(Vec<(u64, Vec<u8>)>);

impl Messages {
    /// Reads messages up to the first that is no good, which fails only where it is the first.
    fn read(tracee: &Tracee, address: u64, count: u32) -> Result<Self, Errno> {
        let mut messages = Vec::new();
        for index in 0..u64::from(count) {
            let header = address
                .checked_add(index * HEADER_OF_MANY as u64)
                .ok_or(Errno::EFAULT)?;
            match read_message(tracee, header) {
                Ok(data) => messages.push((header, data)),
                Err(errno) if messages.is_empty() => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(Self(messages))
    }

    /// Sends them one by one and writes how much was sent into their headers, as far as it goes; returns how many.
    fn send(&self, socket: &OwnedFd, flags: MsgFlags, memory: &File) -> Result<i64, Errno> {
        let mut count = 0;
        for (header, data) in &self.0 {
            let sent = match send_data(socket, data, flags) {
                Ok(sent) => u32::try_from(sent).expect("messages are short"),
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => break,
            };
            memory
                .write_all_at(&sent.to_ne_bytes(), header + HEADER as u64)
                .map_err(|_| Errno::EFAULT)?;
            count += 1;
        }
        Ok(count)
    }
}

const _: () = assert!(LONGEST_MESSAGE < i32::MAX as usize);
