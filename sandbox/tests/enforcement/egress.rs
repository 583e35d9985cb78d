//! What a program with a scoped network reaches.
//!
//! Each case runs in a network of its own, in which every address leads to the servers of the case: so what is refused is
//! refused by the scope, and not for want of a server. The case is this program executed again.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
    connect, getpeername, getsockname, listen, recv, send, sendmsg, sendto, setsockopt, socket,
    socketpair, sockopt,
};
use overcoat_sandbox::{
    Error, Network, NetworkScope, OwnershipRecording, ProgramStatus, Spec, enter_user_namespace,
};

use crate::harness::{require, tests};
use crate::support::{assert_errno, probe, run, this_program, with_network_of_host};

tests![
    streams_reach_the_scope_and_nothing_else,
    refused_addresses_are_told,
    datagrams_reach_the_name_servers_and_nobody_else,
    messages_go_where_the_socket_is_connected,
    no_other_sockets_are_made,
    nothing_is_served,
    a_connection_that_waits_holds_up_nobody,
    too_many_connections_at_once_are_refused,
    an_address_that_changes_meanwhile_gains_nothing,
    older_landlocks_change_nothing,
    recording_and_sysfs_are_refused,
];

type Case = (&'static str, fn());

const CASES: &[Case] = &[
    ("streams", streams),
    ("told", told),
    ("datagrams", datagrams),
    ("messages", messages),
    ("sockets", sockets),
    ("serving", serving),
    ("waiting", waiting),
    ("flood", flood),
    ("change", change),
    ("older", older),
];

fn streams_reach_the_scope_and_nothing_else() {
    in_network("streams");
}

fn refused_addresses_are_told() {
    in_network("told");
}

fn datagrams_reach_the_name_servers_and_nobody_else() {
    in_network("datagrams");
}

fn messages_go_where_the_socket_is_connected() {
    in_network("messages");
}

fn no_other_sockets_are_made() {
    in_network("sockets");
}

fn nothing_is_served() {
    in_network("serving");
}

fn a_connection_that_waits_holds_up_nobody() {
    in_network("waiting");
}

fn too_many_connections_at_once_are_refused() {
    in_network("flood");
}

fn an_address_that_changes_meanwhile_gains_nothing() {
    in_network("change");
}

fn older_landlocks_change_nothing() {
    in_network("older");
}

fn in_network(case: &str) {
    require!(
        ["/usr/sbin/ip", "/sbin/ip"]
            .iter()
            .any(|path| std::path::Path::new(path).exists()),
        "ip of iproute2"
    );
    let output = Command::new(this_program())
        .args(["in-network", case])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a case in a network in which all addresses are this host's, though its interface has only one besides loopback's.
pub(crate) fn run_case(name: &str) -> ExitCode {
    enter_user_namespace().unwrap();
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    for arguments in [
        "link set lo up",
        &format!("address add {OWN}/32 dev lo"),
        "route add local 0.0.0.0/1 dev lo",
        "route add local 128.0.0.0/1 dev lo",
        "-6 route add local ::/1 dev lo",
        "-6 route add local 8000::/1 dev lo",
    ] {
        let status = Command::new("ip")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(arguments.split(' '))
            .status();
        assert!(status.unwrap().success(), "ip {arguments}");
    }
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).unwrap();
    case();
    ExitCode::SUCCESS
}

/// A public address that an interface has.
const OWN: &str = "198.51.100.7";

fn scope() -> NetworkScope {
    NetworkScope {
        ports: [80].into(),
        name_servers: ["127.0.0.53".parse().unwrap()].into(),
        trusted: addresses(&["10.0.0.1:8080", "127.0.0.1:8080"]),
    }
}

fn addresses(texts: &[&str]) -> BTreeSet<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn egress<const N: usize>(operation: [&str; N]) -> Spec {
    // Both need the length to be known.
    let operation: Vec<&str> = ["/probe", "probe", "egress"]
        .into_iter()
        .chain(operation)
        .collect();
    let mut spec = probe([]);
    let process = spec.oci.process_mut().as_mut().unwrap();
    process.set_args(Some(operation.into_iter().map(str::to_owned).collect()));
    spec.network(Network::Scoped(scope()))
}

/// Serves every address at the ports, over TCP: accepts, and says the port.
fn serve(ports: &[u16]) {
    for &port in ports {
        let listener = TcpListener::bind(("::", port)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = (&stream).write_all(port.to_string().as_bytes());
            }
        });
    }
}

/// Answers the datagrams to an address with what they hold, and counts them.
fn echo(address: &str) -> Arc<AtomicUsize> {
    let socket = UdpSocket::bind(address).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    count
}

fn streams() {
    serve(&[53, 80, 8080]);
    for (to, allowed) in [
        ("203.0.113.80:80", true),
        ("[::ffff:203.0.113.80]:80", true),
        ("[2a04:4e42::644]:80", true),
        ("10.0.0.1:8080", true),
        ("127.0.0.1:8080", true),
        ("127.0.0.53:53", true),
        // Public, at another port.
        ("203.0.113.80:8080", false),
        ("203.0.113.80:53", false),
        // Trusted, at another port or address.
        ("10.0.0.1:80", false),
        ("10.0.0.2:8080", false),
        ("127.0.0.1:80", false),
        ("127.0.0.53:80", false),
        ("127.0.0.54:53", false),
        // This host in other words.
        ("0.0.0.0:80", false),
        ("[::]:80", false),
        ("[::1]:80", false),
        ("[::ffff:127.0.0.1]:80", false),
        ("198.51.100.7:80", false),
        // Its neighbours, and clouds' metadata services.
        ("100.64.0.1:80", false),
        ("169.254.169.254:80", false),
        ("172.16.0.1:80", false),
        ("192.168.0.1:80", false),
        ("[fd00:ec2::254]:80", false),
        ("[64:ff9b::a9fe:a9fe]:80", false),
        ("[::ffff:169.254.169.254]:80", false),
    ] {
        println!("{to}");
        let errno = if allowed { 0 } else { libc::EACCES };
        assert_errno(&egress(["connect", to]), errno);
        assert_errno(&egress(["connect-without-waiting", to]), errno);
        // The twin: all are there.
        assert_errno(&with_network_of_host(egress(["connect", to])), 0);
        assert_errno(
            &egress(["connect", to]).network(Network::Scoped(NetworkScope::default())),
            libc::EACCES,
        );
    }
}

fn told() {
    serve(&[80]);
    let refused = |spec: &Spec| run(spec).outcome.refused;
    assert_eq!(refused(&egress(["connect", "203.0.113.80:80"])), []);
    let found = refused(&egress([
        "connect-all",
        "[::ffff:127.0.0.1]:80",
        "10.0.0.1:80",
        "203.0.113.80:80",
        "10.0.0.1:80",
        "[fe80::1%1]:80",
    ]));
    let expected = addresses(&["10.0.0.1:80", "127.0.0.1:80", "[fe80::1]:80"]);
    assert_eq!(found, Vec::from_iter(expected));
    // As many as a person reads.
    assert_eq!(refused(&egress(["connect-ports", "127.0.0.1"])).len(), 16);
    assert_eq!(refused(&probe(["exit", "0"])), []);
}

fn datagrams() {
    let counts = ["127.0.0.53:53", "127.0.0.54:53", "203.0.113.80:80"].map(echo);
    let counted = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_errno(&egress(["ask", "127.0.0.53:53"]), 0);
    assert_eq!(counted(), [1, 0, 0]);
    assert_errno(&egress(["ask", "127.0.0.54:53"]), libc::EACCES);
    assert_errno(&egress(["ask", "10.0.0.1:80"]), libc::EACCES);
    // As getaddrinfo, which sends nothing.
    let ran = run(&egress(["source-address", "203.0.113.80:80"]));
    assert_ne!(ran.stdout, "", "{}", ran.stderr);
    assert_errno(&egress(["ask", "203.0.113.80:80"]), libc::EPIPE);
    assert_errno(
        &egress(["ask-after-another", "203.0.113.80:80", "127.0.0.53:53"]),
        libc::EPIPE,
    );
    // Without a connection, also to whom it could be connected.
    for to in ["127.0.0.53:53", "127.0.0.54:53", "203.0.113.80:80"] {
        assert_errno(&egress(["send-to", to]), libc::EACCES);
        assert_errno(&egress(["message-to", to]), libc::EACCES);
        assert_errno(&egress(["many-to", to]), libc::EACCES);
    }
    assert_eq!(counted(), [1, 0, 0]);
    // The twins.
    for (sent, operation) in ["ask", "send-to", "message-to", "many-to"]
        .into_iter()
        .enumerate()
    {
        for to in ["127.0.0.54:53", "203.0.113.80:80"] {
            assert_errno(&with_network_of_host(egress([operation, to])), 0);
        }
        thread::sleep(Duration::from_millis(50));
        assert_eq!(counted(), [1, sent + 1, sent + 1], "{operation}");
    }
}

fn messages() {
    echo("127.0.0.53:53");
    serve(&[80]);
    // Two datagrams of several parts in one call, as resolvers send them.
    let ran = run(&egress(["many", "127.0.0.53:53"]));
    assert_eq!(ran.stdout, "2 3 7 one,and the", "{}", ran.stderr);
    let ran = run(&egress(["message", "203.0.113.80:80"]));
    assert_eq!(ran.stdout, "7 80", "{}", ran.stderr);
    // The flag with which the launcher's own message passed.
    assert_errno(&egress(["message-past", "10.0.0.2:80"]), libc::EOPNOTSUPP);
    assert_errno(
        &with_network_of_host(egress(["message-past", "10.0.0.2:80"])),
        0,
    );
    // Descriptors are control data.
    assert_errno(&egress(["pass-descriptor"]), libc::EACCES);
    assert_errno(&egress(["pass-descriptor"]).network(Network::None), 0);
    assert_errno(&egress(["pair"]), 0);
    // More than the supervisor sends at once, on a socket that is not read meanwhile.
    let ran = run(&egress(["long-message"]));
    assert_eq!(ran.stdout, "1000000", "{}", ran.stderr);
}

fn sockets() {
    for (family, kind, protocol, errno) in [
        ("inet", "stream", "0", 0),
        ("inet6", "stream", "tcp", 0),
        ("inet", "datagram", "udp", 0),
        ("unix", "stream", "0", libc::EAFNOSUPPORT),
        ("unix", "datagram", "0", libc::EAFNOSUPPORT),
        ("netlink", "raw", "0", libc::EAFNOSUPPORT),
        ("inet", "datagram", "icmp", libc::EPROTONOSUPPORT),
        ("inet", "stream", "mptcp", libc::EPROTONOSUPPORT),
        ("inet", "seqpacket", "0", libc::ESOCKTNOSUPPORT),
    ] {
        let spec = egress(["socket", family, kind, protocol]);
        println!("{family} {kind} {protocol}");
        assert_errno(&spec, errno);
        // Whether the kernel has the last three depends on its configuration.
        if !matches!(protocol, "icmp" | "mptcp") && kind != "seqpacket" {
            assert_errno(&with_network_of_host(spec), 0);
        }
    }
    assert_errno(&egress(["source-route"]), libc::EPERM);
    assert_errno(&with_network_of_host(egress(["source-route"])), 0);
}

fn serving() {
    serve(&[80]);
    assert_errno(&egress(["bind"]), libc::EACCES);
    assert_errno(&with_network_of_host(egress(["bind"])), 0);
    assert_errno(&egress(["listen"]), libc::EACCES);
    assert_errno(&with_network_of_host(egress(["listen"])), 0);
    assert_errno(&egress(["fast-open", "127.0.0.1:80"]), libc::EACCES);
    assert_errno(&egress(["fast-open", "203.0.113.80:80"]), libc::EACCES);
    assert_errno(
        &with_network_of_host(egress(["fast-open", "203.0.113.80:80"])),
        0,
    );
    // What is connected already stays so, and can be taken back and connected anew.
    assert_errno(
        &egress(["reconnect", "203.0.113.80:80", "203.0.113.81:80"]),
        0,
    );
    assert_errno(
        &egress(["reconnect", "203.0.113.80:80", "127.0.0.1:80"]),
        libc::EACCES,
    );
}

/// Returns a server to which further connections wait, without an answer.
fn full_server() -> (OwnedFd, Vec<TcpStream>) {
    let listener = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    let address = SockaddrStorage::from("127.0.0.1:8080".parse::<SocketAddr>().unwrap());
    bind(listener.as_raw_fd(), &address).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let taken = TcpStream::connect("127.0.0.1:8080").unwrap();
    (listener, vec![taken])
}

fn waiting() {
    serve(&[80]);
    let _full = full_server();
    let started = Instant::now();
    assert_errno(
        &egress(["connect-beside", "127.0.0.1:8080", "203.0.113.80:80"]),
        0,
    );
    assert!(started.elapsed() < Duration::from_secs(10));
    // A connection that does not wait is begun by the same call, and ends by itself.
    let spec = egress(["connect-and-poll", "203.0.113.80:80"]);
    assert_eq!(run(&spec).stdout, "connected");
    let spec = egress(["begin", "127.0.0.1:8080"]);
    assert_errno(&spec, libc::EINPROGRESS);
    // Whoever waits can be killed.
    let spec = egress(["connect", "127.0.0.1:8080"]).wall_clock_limit(Duration::from_millis(500));
    let started = Instant::now();
    assert_eq!(run(&spec).outcome.status, ProgramStatus::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(10));
}

fn flood() {
    let _full = full_server();
    let ran = run(&egress(["flood", "127.0.0.1:8080"]));
    assert_eq!(ran.stdout, "16 refused", "{}", ran.stderr);
}

fn change() {
    serve(&[80]);
    let ran = run(&egress(["change-address", "203.0.113.80", "127.0.0.1"]));
    assert_eq!(ran.stdout, "203.0.113.80", "{}", ran.stderr);
}

fn older() {
    serve(&[80]);
    for abi in [2, 3, 4, 5, 6, 7] {
        let with = |spec: Spec| spec.pretend_landlock_abi(abi);
        assert_errno(&with(egress(["connect", "203.0.113.80:80"])), 0);
        assert_errno(&with(egress(["connect", "127.0.0.1:80"])), libc::EACCES);
        assert_errno(&with(egress(["bind"])), libc::EACCES);
        let ran = run(&with(egress(["socket", "unix", "stream", "0"])));
        assert_eq!(ran.outcome.enforcement.missing, Vec::<String>::new());
        assert_eq!(ran.outcome.status, ProgramStatus::Exited(97)); // EAFNOSUPPORT
    }
}

fn recording_and_sysfs_are_refused() {
    for recording in [
        OwnershipRecording::Record,
        OwnershipRecording::RecordAndAnswer,
        OwnershipRecording::Devices,
    ] {
        let error = egress(["bind"]).ownership(recording).spawn().unwrap_err();
        assert!(
            matches!(error, Error::RecordingWithScopedNetwork),
            "{error:?}"
        );
    }
    let error = egress(["bind"]).sysfs("/sys").spawn().unwrap_err();
    assert!(matches!(error, Error::SysfsWithHostNetwork), "{error:?}");
}

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
