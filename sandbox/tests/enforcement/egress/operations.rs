//! What the program of a case does inside: one operation with sockets each.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect,
    getpeername, getsockname, listen, recv, send, sendmsg, sendto, setsockopt, socket, socketpair,
    sockopt,
};

/// Does one operation in the sandbox.
pub(crate) fn operate(operation: &[&str]) -> io::Result<()> {
    match *operation {
        ["connect", to] => drop(TcpStream::connect(parsed(to))?),
        ["connect-without-waiting", to] => match begin(to) {
            Ok(_) | Err(nix::Error::EINPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        },
        ["begin", to] => drop(begin(to)?),
        ["connect-and-poll", to] => {
            let socket = stream(to, SockFlag::SOCK_NONBLOCK)?;
            match join(&socket, to) {
                Ok(()) | Err(nix::Error::EINPROGRESS) => {}
                Err(errno) => return Err(errno.into()),
            }
            let mut events = [nix::poll::PollFd::new(
                std::os::fd::AsFd::as_fd(&socket),
                nix::poll::PollFlags::POLLOUT,
            )];
            nix::poll::poll(&mut events, nix::poll::PollTimeout::NONE)?;
            getpeername::<SockaddrStorage>(socket.as_raw_fd())?;
            print!("connected");
        }
        ["connect-all", ref all @ ..] => {
            for to in all {
                let _ = TcpStream::connect(parsed(to));
            }
        }
        ["connect-ports", to] => {
            for port in 1000..1032 {
                let _ = TcpStream::connect((to, port));
            }
        }
        ["connect-beside", waits, to] => {
            let waits = parsed(waits);
            thread::spawn(move || TcpStream::connect(waits));
            thread::sleep(Duration::from_millis(200));
            TcpStream::connect(parsed(to))?;
        }
        ["flood", to] => {
            let refused = Arc::new(AtomicUsize::new(0));
            for _ in 0..80 {
                let (to, refused) = (parsed(to), Arc::clone(&refused));
                thread::spawn(move || match TcpStream::connect(to) {
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    other => panic!("{other:?}"),
                });
            }
            let started = Instant::now();
            while refused.load(Ordering::Relaxed) < 16
                && started.elapsed() < Duration::from_secs(20)
            {
                thread::sleep(Duration::from_millis(10));
            }
            thread::sleep(Duration::from_millis(300));
            print!("{} refused", refused.load(Ordering::Relaxed));
        }
        ["change-address", one, other] => change_address(one, other)?,
        ["reconnect", first, then] => {
            let socket = stream(first, SockFlag::empty())?;
            join(&socket, first)?;
            disconnect(&socket)?;
            join(&socket, then)?;
        }
        ["ask", to] => {
            let socket = datagrams_to(to)?;
            ask(&socket)?;
        }
        ["ask-after-another", first, then] => {
            let socket = datagrams_to(first)?;
            disconnect(&socket)?;
            join(&socket, then)?;
            ask(&socket)?;
        }
        ["source-address", to] => {
            let socket = datagrams_to(to)?;
            print!("{}", getsockname::<SockaddrStorage>(socket.as_raw_fd())?);
        }
        ["send-to", to] => {
            let socket = new(to, SockType::Datagram, SockFlag::empty())?;
            sendto(
                socket.as_raw_fd(),
                b"x",
                &SockaddrStorage::from(parsed(to)),
                MsgFlags::empty(),
            )?;
        }
        ["message-to", to] => {
            let socket = new(to, SockType::Datagram, SockFlag::empty())?;
            let address = SockaddrStorage::from(parsed(to));
            sendmsg(
                socket.as_raw_fd(),
                &[IoSlice::new(b"x")],
                &[],
                MsgFlags::empty(),
                Some(&address),
            )?;
        }
        ["message-past", to] => {
            let socket = new(to, SockType::Datagram, SockFlag::empty())?;
            let address = SockaddrStorage::from(parsed(to));
            let parts = [IoSlice::new(b"x")];
            let flags = MsgFlags::from_bits_retain(0x10);
            sendmsg(socket.as_raw_fd(), &parts, &[], flags, Some(&address))?;
        }
        ["many-to", to] => {
            let socket = new(to, SockType::Datagram, SockFlag::empty())?;
            send_many(&socket, &[&[b"x"]], Some(SockaddrStorage::from(parsed(to))))?;
        }
        ["many", to] => {
            let socket = datagrams_to(to)?;
            let sent = send_many(&socket, &[&[b"on", b"e"], &[b"and", b" ", b"the"]], None)?;
            let mut answers = [[0; 16]; 2];
            let first = recv(socket.as_raw_fd(), &mut answers[0], MsgFlags::empty())?;
            let then = recv(socket.as_raw_fd(), &mut answers[1], MsgFlags::empty())?;
            let text = |answer: &[u8]| String::from_utf8_lossy(answer).into_owned();
            print!(
                "{} {} {} {},{}",
                sent.len(),
                sent[0],
                sent[1],
                text(&answers[0][..first]),
                text(&answers[1][..then]),
            );
        }
        ["message", to] => {
            let mut stream = TcpStream::connect(parsed(to))?;
            let parts = [
                IoSlice::new(b"two "),
                IoSlice::new(b""),
                IoSlice::new(b"one"),
            ];
            let sent = sendmsg::<()>(stream.as_raw_fd(), &parts, &[], MsgFlags::empty(), None)?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer)?;
            print!("{sent} {}", String::from_utf8_lossy(&answer));
        }
        ["long-message"] => long_message()?,
        ["pair"] => {
            let (ours, theirs) = pair()?;
            sendmsg::<()>(
                ours.as_raw_fd(),
                &[IoSlice::new(b"x")],
                &[],
                MsgFlags::empty(),
                None,
            )?;
            recv(theirs.as_raw_fd(), &mut [0], MsgFlags::empty())?;
        }
        ["pass-descriptor"] => {
            let (ours, _theirs) = pair()?;
            let descriptors = [ours.as_raw_fd()];
            let rights = [nix::sys::socket::ControlMessage::ScmRights(&descriptors)];
            sendmsg::<()>(
                ours.as_raw_fd(),
                &[IoSlice::new(b"x")],
                &rights,
                MsgFlags::empty(),
                None,
            )?;
        }
        ["socket", family, kind, protocol] => make_socket(family, kind, protocol)?,
        ["source-route"] => {
            let socket = new("127.0.0.1:1", SockType::Stream, SockFlag::empty())?;
            // No options at all, which the kernel takes.
            // SAFETY: setsockopt(2) reads no bytes of an empty value.
            let result = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::IPPROTO_IP,
                    libc::IP_OPTIONS,
                    std::ptr::null(),
                    0,
                )
            };
            nix::errno::Errno::result(result)?;
        }
        ["bind"] => drop(TcpListener::bind("127.0.0.1:0")?),
        ["listen"] => {
            let socket = stream("127.0.0.1:0", SockFlag::empty())?;
            setsockopt(&socket, sockopt::ReuseAddr, &true)?;
            listen(&socket, Backlog::new(1)?)?;
        }
        ["fast-open", to] => {
            let socket = stream(to, SockFlag::empty())?;
            let flags = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
            sendto(
                socket.as_raw_fd(),
                b"x",
                &SockaddrStorage::from(parsed(to)),
                flags,
            )?;
        }
        ref unknown => panic!("unknown operation {unknown:?}"),
    }
    Ok(())
}

fn parsed(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn new(to: &str, kind: SockType, flags: SockFlag) -> nix::Result<OwnedFd> {
    let family = match parsed(to) {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    socket(family, kind, flags, None)
}

fn stream(to: &str, flags: SockFlag) -> nix::Result<OwnedFd> {
    new(to, SockType::Stream, flags)
}

fn join(socket: &OwnedFd, to: &str) -> nix::Result<()> {
    connect(socket.as_raw_fd(), &SockaddrStorage::from(parsed(to)))
}

fn begin(to: &str) -> nix::Result<OwnedFd> {
    let socket = stream(to, SockFlag::SOCK_NONBLOCK)?;
    join(&socket, to).map(|()| socket)
}

fn datagrams_to(to: &str) -> nix::Result<OwnedFd> {
    let socket = new(to, SockType::Datagram, SockFlag::empty())?;
    join(&socket, to).map(|()| socket)
}

fn ask(socket: &OwnedFd) -> nix::Result<()> {
    send(socket.as_raw_fd(), b"question", MsgFlags::MSG_NOSIGNAL)?;
    recv(socket.as_raw_fd(), &mut [0; 16], MsgFlags::empty()).map(drop)
}

fn disconnect(socket: &OwnedFd) -> io::Result<()> {
    let nothing = [0_u16; 8];
    // SAFETY: connect(2) reads one address of 16 bytes, which lives through the call; zero is AF_UNSPEC.
    let result = unsafe { libc::connect(socket.as_raw_fd(), nothing.as_ptr().cast(), 16) };
    nix::errno::Errno::result(result)
        .map(drop)
        .map_err(Into::into)
}

fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::empty(),
    )
}

/// Sends messages of parts in one call, and returns how much of each was sent.
fn send_many(
    socket: &OwnedFd,
    messages: &[&[&[u8]]],
    to: Option<SockaddrStorage>,
) -> nix::Result<Vec<usize>> {
    let parts: Vec<Vec<IoSlice<'_>>> = messages
        .iter()
        .map(|parts| parts.iter().map(|part| IoSlice::new(part)).collect())
        .collect();
    let mut headers = nix::sys::socket::MultiHeaders::preallocate(messages.len(), None);
    let addresses = vec![to; messages.len()];
    let sent = nix::sys::socket::sendmmsg(
        socket.as_raw_fd(),
        &mut headers,
        &parts,
        addresses,
        [],
        MsgFlags::empty(),
    )?;
    Ok(sent.map(|message| message.bytes).collect())
}

fn make_socket(family: &str, kind: &str, protocol: &str) -> nix::Result<()> {
    let number = |name, table: &[(&str, i32)]| {
        let found = table.iter().find(|(known, _)| *known == name);
        found.unwrap().1
    };
    let family = number(
        family,
        &[
            ("inet", libc::AF_INET),
            ("inet6", libc::AF_INET6),
            ("unix", libc::AF_UNIX),
            ("netlink", libc::AF_NETLINK),
        ],
    );
    let kind = number(
        kind,
        &[
            ("stream", libc::SOCK_STREAM),
            ("datagram", libc::SOCK_DGRAM),
            ("raw", libc::SOCK_RAW),
            ("seqpacket", libc::SOCK_SEQPACKET),
        ],
    );
    let protocol = number(
        protocol,
        &[
            ("0", 0),
            ("tcp", SockProtocol::Tcp as i32),
            ("udp", SockProtocol::Udp as i32),
            ("icmp", libc::IPPROTO_ICMP),
            ("mptcp", libc::IPPROTO_MPTCP),
        ],
    );
    for flags in [
        0,
        libc::SOCK_NONBLOCK,
        libc::SOCK_CLOEXEC,
        libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
    ] {
        // SAFETY: socket(2) takes three integers and touches no memory.
        let result = unsafe { libc::socket(family, kind | flags, protocol) };
        nix::errno::Errno::result(result)?;
    }
    Ok(())
}

/// Sends a megabyte in one message to a reader that begins late.
fn long_message() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        let mut count = 0;
        while let Ok(read @ 1..) = recv(theirs.as_raw_fd(), &mut [0; 65536], MsgFlags::empty()) {
            count += read;
        }
        count
    });
    let data = vec![0; 1_000_000];
    let mut rest = &data[..];
    while !rest.is_empty() {
        let sent = sendmsg::<()>(
            ours.as_raw_fd(),
            &[IoSlice::new(rest)],
            &[],
            MsgFlags::empty(),
            None,
        )?;
        rest = &rest[sent..];
    }
    drop(ours);
    print!("{}", reader.join().unwrap());
    Ok(())
}

/// Connects many times while another thread writes one address over the other, and prints all that were connected to.
fn change_address(one: &str, other: &str) -> io::Result<()> {
    let bits = |text: &str| {
        text.parse::<std::net::Ipv4Addr>()
            .unwrap()
            .to_bits()
            .to_be()
    };
    let (one, other) = (bits(one), bits(other));
    // Family and port, address, and padding of a `sockaddr_in`.
    let family_and_port = u32::from_ne_bytes([2, 0, 0, 80]);
    let address: &'static [AtomicU32; 4] = Box::leak(Box::new([
        AtomicU32::new(family_and_port),
        AtomicU32::new(one),
        AtomicU32::new(0),
        AtomicU32::new(0),
    ]));
    thread::spawn(move || {
        loop {
            address[1].store(other, Ordering::Relaxed);
            address[1].store(one, Ordering::Relaxed);
        }
    });
    let (mut reached, mut refused) = (BTreeSet::new(), 0);
    for _ in 0..3000 {
        let socket = stream("127.0.0.1:80", SockFlag::empty())?;
        // SAFETY: connect(2) reads 16 bytes that live for ever; that they change meanwhile is what is tried.
        let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), 16) };
        if result == 0 {
            let peer = getpeername::<SockaddrStorage>(socket.as_raw_fd())?;
            reached.insert(peer.as_sockaddr_in().unwrap().ip());
        } else {
            refused += 1;
        }
    }
    assert!(refused > 0);
    let reached: Vec<String> = reached.iter().map(ToString::to_string).collect();
    print!("{}", reached.join(" "));
    Ok(())
}
