//! What a program with a scoped network reaches.
//!
//! Each case runs in a network of its own, in which every address leads to the servers of the case: so what is refused is
//! refused by the scope, and not for want of a server. The case is this program executed again.

mod operations;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, socket,
};
use overcoat_sandbox::{
    Error, Network, NetworkScope, OwnershipRecording, ProgramStatus, Spec, enter_user_namespace,
};

pub(crate) use self::operations::operate;
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
