//! Which network is reachable.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use overcoat_sandbox::{Error, Network};

use crate::harness::{require, tests};
use crate::support::{
    assert_errno, host_directory, probe, refused_write, run, with_network_of_host,
};

tests![
    no_network_is_reachable_by_default,
    loopback_works_without_a_network,
    a_listener_of_the_host_is_reachable_only_with_its_network,
    abstract_sockets_of_the_host_are_unreachable,
    sockets_in_the_file_system_are_reachable_only_when_bound,
    sysfs_shows_only_the_own_network,
];

fn no_network_is_reachable_by_default() {
    // 192.0.2.0/24 is for documentation (RFC 5737).
    assert_errno(&probe(["connect", "192.0.2.1:80"]), libc::ENETUNREACH);
    assert_errno(&probe(["send-datagram", "192.0.2.1:53"]), libc::ENETUNREACH);
}

fn loopback_works_without_a_network() {
    assert_errno(&probe(["connect-to-itself"]), 0);
}

fn a_listener_of_the_host_is_reachable_only_with_its_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let spec = probe(["connect", &address]);
    assert_errno(&spec, libc::ECONNREFUSED);
    assert_errno(&with_network_of_host(spec), 0);
}

fn abstract_sockets_of_the_host_are_unreachable() {
    let name = format!("overcoat-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    assert_errno(&probe(["connect-abstract", &name]), libc::ECONNREFUSED);
    let own = format!("{name}-own");
    assert_errno(&probe(["connect-own-abstract", &own]), 0);
    let scoped = run(&probe(["exit", "0"]))
        .outcome
        .enforcement
        .landlock_scopes;
    require!(scoped, "Landlock ABI 6, which scopes abstract sockets");
    let with_network = probe(["connect-abstract", &name]).network(Network::Host);
    assert_errno(&with_network, libc::EPERM);
    let own_with_network = probe(["connect-own-abstract", &own]).network(Network::Host);
    assert_errno(&own_with_network, 0);
}

fn sockets_in_the_file_system_are_reachable_only_when_bound() {
    let host = host_directory();
    let path = host.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let path = path.to_str().unwrap();
    assert_errno(&probe(["read", path]), libc::ENOENT);
    // ENXIO is what opening a socket gives: it is there.
    let bound = probe(["read", "/sockets/socket"]).bind_read_only(host.path(), "/sockets");
    assert_errno(&bound, libc::ENXIO);
}

fn sysfs_shows_only_the_own_network() {
    let ran = run(&probe(["list", "/sys/class/net"]).sysfs("/sys"));
    assert_eq!(ran.stdout, "lo", "{}", ran.stderr);
    let write = probe(["write", "/sys/class/net/lo/ifalias"]).sysfs("/sys");
    assert_errno(&write, refused_write());
    let error = probe(["exit", "0"]).sysfs("/sys").network(Network::Host);
    assert!(matches!(error.spawn(), Err(Error::SysfsWithHostNetwork)));
}
