//! What a program with a scoped network may reach.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::address::is_public;

/// The port of name servers.
const DOMAIN: u16 = 53;

/// What a program may connect to; nothing, when it is empty.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NetworkScope {
    /// The TCP ports of public addresses, which are those of no private network, not of this host and of no cloud's
    /// metadata service.
    pub ports: BTreeSet<u16>,
    /// Name servers, at port 53, over UDP and TCP.
    pub name_servers: BTreeSet<IpAddr>,
    /// Addresses that a person named, over TCP, public or not.
    pub trusted: BTreeSet<SocketAddr>,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Transport {
    Stream,
    Datagrams,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Connect,
    /// Connect a socket that is shut for sending.
    ConnectMute,
    Refuse,
}

impl NetworkScope {
    /// Judges a connection; `is_own` tells whether an address is one of this host, which leads to all that listens on it.
    pub(super) fn judge(
        &self,
        to: SocketAddr,
        transport: Transport,
        is_own: impl FnOnce(IpAddr) -> bool,
    ) -> Verdict {
        let (address, port) = (to.ip().to_canonical(), to.port());
        if port == DOMAIN && self.name_servers.contains(&address) {
            return Verdict::Connect;
        }
        // Only the address and the port count; an IPv6 address may come with more.
        let is_trusted = self
            .trusted
            .iter()
            .any(|trusted| trusted.ip().to_canonical() == address && trusted.port() == port);
        let is_reachable =
            is_trusted || self.ports.contains(&port) && is_public(address) && !is_own(address);
        match transport {
            _ if !is_reachable => Verdict::Refuse,
            Transport::Stream => Verdict::Connect,
            Transport::Datagrams => Verdict::ConnectMute,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{NetworkScope, Transport, Verdict};

    fn scope() -> NetworkScope {
        NetworkScope {
            ports: [80, 443].into(),
            name_servers: ["127.0.0.53".parse().unwrap(), "fe80::1".parse().unwrap()].into(),
            trusted: ["10.0.0.1:3142".parse().unwrap()].into(),
        }
    }

    fn verdict(to: &str, transport: Transport) -> Verdict {
        let own: SocketAddr = "198.51.100.7:0".parse().unwrap();
        scope().judge(to.parse().unwrap(), transport, |address| {
            address == own.ip()
        })
    }

    #[test]
    fn streams_reach_the_scope() {
        for (to, expected) in [
            ("203.0.113.80:80", Verdict::Connect),
            ("203.0.113.80:443", Verdict::Connect),
            ("203.0.113.80:22", Verdict::Refuse),
            ("198.51.100.7:80", Verdict::Refuse),
            ("[2a04:4e42::644]:80", Verdict::Connect),
            ("[::ffff:203.0.113.80]:80", Verdict::Connect),
            ("127.0.0.1:80", Verdict::Refuse),
            ("[::ffff:127.0.0.1]:80", Verdict::Refuse),
            ("169.254.169.254:80", Verdict::Refuse),
            ("10.0.0.1:3142", Verdict::Connect),
            ("[::ffff:10.0.0.1]:3142", Verdict::Connect),
            ("10.0.0.1:80", Verdict::Refuse),
            ("10.0.0.2:3142", Verdict::Refuse),
            ("127.0.0.53:53", Verdict::Connect),
            ("127.0.0.53:80", Verdict::Refuse),
            ("[fe80::1%2]:53", Verdict::Connect),
            ("127.0.0.54:53", Verdict::Refuse),
            ("203.0.113.80:53", Verdict::Refuse),
        ] {
            assert_eq!(verdict(to, Transport::Stream), expected, "{to}");
        }
    }

    #[test]
    fn datagrams_reach_name_servers_alone() {
        for (to, expected) in [
            ("127.0.0.53:53", Verdict::Connect),
            ("[::ffff:127.0.0.53]:53", Verdict::Connect),
            ("203.0.113.80:443", Verdict::ConnectMute),
            ("10.0.0.1:3142", Verdict::ConnectMute),
            ("203.0.113.80:53", Verdict::Refuse),
            ("127.0.0.1:80", Verdict::Refuse),
        ] {
            assert_eq!(verdict(to, Transport::Datagrams), expected, "{to}");
        }
    }

    #[test]
    fn an_empty_scope_reaches_nothing() {
        for to in ["203.0.113.80:80", "127.0.0.53:53", "0.0.0.0:0"] {
            let to = to.parse().unwrap();
            let verdict = NetworkScope::default().judge(to, Transport::Stream, |_| false);
            assert_eq!(verdict, Verdict::Refuse, "{to}");
        }
    }
}
