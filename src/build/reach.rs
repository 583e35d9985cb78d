//! What the steps that download may reach.
//!
//! The mirror of a recipe is a stranger's word: it is reached at public addresses only, whatever its name or a redirect of
//! it leads to. What a person named is reached wherever it is: a mirror at the command line, the mirrors of the host's own
//! lists, the proxies of the environment. Their names are resolved here, and the step is given the addresses in its
//! `/etc/hosts`, so that it reaches what was resolved and no other.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use overcoat_sandbox::{Network, NetworkScope};

use super::policy::Host;
use super::{Error, apt_error, sandbox_trees};
use crate::packages::apt::Stanza;
use crate::recipe::{Origin, Recipe};

/// The variables that name proxies.
const PROXIES: [&str; 2] = ["http_proxy", "https_proxy"];
/// The variable that names what is reached without one.
const NO_PROXY: &str = "no_proxy";
/// The file that names name servers (resolv.conf(5)).
const RESOLVER: &str = "/etc/resolv.conf";

/// What a step that downloads may reach; nothing by default.
#[derive(Clone, Debug)]
pub struct Reach {
    pub(super) network: Network,
    /// Lines of `/etc/hosts`, besides those of loopback.
    pub(super) hosts: String,
    /// The recipe's mirror, if it is a stranger's word.
    foreign: Option<Foreign>,
    /// A repository of a sandbox tree, if those are.
    listed: Option<Listed>,
}

/// A repository that a list of the recipe names.
#[derive(Clone, Debug)]
struct Listed {
    uri: String,
    origin: String,
}

/// A mirror that nobody vouched for.
#[derive(Clone, Debug)]
struct Foreign {
    setting: &'static str,
    uri: String,
    origin: Origin,
}

/// The host and port of an address, as it was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Endpoint<'a> {
    host: &'a str,
    /// `None` for the scheme's own.
    port: Option<u16>,
}

impl Default for Reach {
    fn default() -> Self {
        Self::of_scope(NetworkScope::default())
    }
}

impl Reach {
    /// Returns what steps reach that a person gave the network to.
    pub(super) fn of_host() -> Self {
        Self {
            network: Network::Host,
            hosts: String::new(),
            foreign: None,
            listed: None,
        }
    }

    /// Returns the scope of public mirrors at the usual ports.
    pub(super) fn of_public_mirrors() -> Self {
        Self::of_scope(NetworkScope {
            ports: [80, 443].into(),
            ..NetworkScope::default()
        })
    }

    fn of_scope(scope: NetworkScope) -> Self {
        Self {
            network: Network::Scoped(scope),
            hosts: String::new(),
            foreign: None,
            listed: None,
        }
    }

    /// Returns what it takes to download from `repositories`, which are those of `recipe`, and from those at `listed`, which
    /// its sandbox trees name.
    pub(super) fn of(
        recipe: &Recipe,
        repositories: &[Stanza],
        listed: &[&str],
        host: &Host,
    ) -> Self {
        let foreign = Foreign::of(recipe);
        let mut scope = NetworkScope {
            name_servers: name_servers(&fs_err::read_to_string(RESOLVER).unwrap_or_default()),
            ..NetworkScope::default()
        };
        let mut named: Vec<Endpoint<'_>> = Vec::new();
        let proxies: Vec<String> = PROXIES
            .iter()
            .filter_map(|name| host.variable(name))
            .collect();
        // A proxy resolves names itself, and they may mean nothing here.
        let is_direct = proxies.is_empty() || host.variable(NO_PROXY).is_some();
        for endpoint in repositories
            .iter()
            .filter_map(|stanza| Endpoint::of(&stanza.uri))
        {
            scope.ports.extend(endpoint.ports());
            if foreign.is_none() && is_direct && !named.contains(&endpoint) {
                named.push(endpoint);
            }
        }
        for endpoint in listed.iter().filter_map(|uri| Endpoint::of(uri)) {
            scope.ports.extend(endpoint.ports());
            if sandbox_trees::are_personal(recipe) && is_direct && !named.contains(&endpoint) {
                named.push(endpoint);
            }
        }
        named.extend(proxies.iter().filter_map(|proxy| Endpoint::of_proxy(proxy)));
        let mut hosts = String::new();
        for endpoint in named {
            let addresses = endpoint.resolve();
            for address in &addresses {
                scope
                    .trusted
                    .extend(endpoint.ports().map(|port| SocketAddr::new(*address, port)));
            }
            if endpoint.host.parse::<IpAddr>().is_err() {
                let line = |address| format!("{address} {}\n", endpoint.host);
                hosts.extend(addresses.iter().map(line));
            }
        }
        Self {
            network: Network::Scoped(scope),
            hosts,
            foreign,
            listed: listed.first().map(|uri| Listed {
                uri: (*uri).to_owned(),
                origin: sandbox_trees::origin(recipe),
            }),
        }
    }

    /// Replaces the failure of a step that could not download by what it was refused, if that is why.
    pub(super) fn classify(&self, error: Error) -> Error {
        match &error {
            Error::ProgramFailed {
                refused,
                stderr_tail,
                ..
            } if !refused.is_empty() && apt_error::could_not_fetch(stderr_tail) => {
                self.explain(refused)
            }
            _ => error,
        }
    }

    fn explain(&self, refused: &[SocketAddr]) -> Error {
        let addresses = refused.iter().map(ToString::to_string).collect::<Vec<_>>();
        let addresses = addresses.join(", ");
        match &self.foreign {
            Some(Foreign {
                setting,
                uri,
                origin,
            }) => Error::MirrorOutOfReach {
                setting,
                uri: uri.clone(),
                origin: origin.to_string(),
                addresses,
            },
            None => match &self.listed {
                Some(Listed { uri, origin }) => Error::RepositoryOutOfReach {
                    uri: uri.clone(),
                    origin: origin.clone(),
                    addresses,
                },
                None => Error::AddressOutOfReach { addresses },
            },
        }
    }
}

impl Foreign {
    /// Returns the mirror of a recipe, unless a person named it.
    fn of(recipe: &Recipe) -> Option<Self> {
        let (setting, uri) = match (&recipe.local_mirror, &recipe.mirror) {
            (Some(uri), _) => ("LocalMirror", uri),
            (None, Some(uri)) => ("Mirror", uri),
            (None, None) => return None,
        };
        let origin = recipe.origin(setting)?;
        (!origin.is_personal()).then(|| Self {
            setting,
            uri: uri.clone(),
            origin: origin.clone(),
        })
    }
}

impl<'a> Endpoint<'a> {
    /// Takes an address of HTTP apart; `None` for those of other schemes, for which there is no port.
    fn of(uri: &'a str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return None;
        }
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit('@').next()?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None | Some("") => None,
            Some(port) => Some(port.parse().ok()?),
        };
        (!host.is_empty()).then_some(Self { host, port })
    }

    /// The same for a proxy, which may be named without a scheme.
    fn of_proxy(text: &'a str) -> Option<Self> {
        if text.contains("://") {
            return Self::of(text);
        }
        let (host, port) = text.trim_end_matches('/').rsplit_once(':')?;
        Some(Self {
            host,
            port: Some(port.parse().ok()?),
        })
    }

    /// Returns the ports that are reached: a mirror at a scheme's own port may redirect to the other scheme.
    fn ports(self) -> impl Iterator<Item = u16> {
        let ports = match self.port {
            Some(port) => vec![port],
            None => vec![80, 443],
        };
        ports.into_iter()
    }

    /// Returns the addresses of the host; none when it is unknown, which the step will tell.
    fn resolve(self) -> BTreeSet<IpAddr> {
        let found = (self.host, 0).to_socket_addrs();
        found
            .into_iter()
            .flatten()
            .map(|address| address.ip())
            .collect()
    }
}

/// Returns the name servers of a resolv.conf; where there are none, the resolver asks loopback.
fn name_servers(text: &str) -> BTreeSet<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words
            .next()
            .filter(|word| *word == "nameserver")
            .and(words.next())?;
        // A link-local address has its interface behind it.
        address.split('%').next()?.parse().ok()
    });
    let servers: BTreeSet<IpAddr> = servers.collect();
    match servers.is_empty() {
        true => [Ipv4Addr::LOCALHOST.into()].into(),
        false => servers,
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, name_servers};

    #[test]
    fn endpoints_are_taken_from_addresses() {
        for (uri, expected) in [
            ("http://m/debian", Some(("m", None))),
            ("https://m:8443/debian", Some(("m", Some(8443)))),
            ("HTTP://m", Some(("m", None))),
            ("http://user:word@m:81/x@y", Some(("m", Some(81)))),
            ("http://[fd00::1]:81/", Some(("fd00::1", Some(81)))),
            ("http://[fd00::1]", Some(("fd00::1", None))),
            ("http://127.0.0.1:1?x", Some(("127.0.0.1", Some(1)))),
            ("http://m:/", Some(("m", None))),
            ("http://m:99999/", None),
            ("http:///debian", None),
            ("file:///srv/debian", None),
            ("ssh://m/debian", None),
            ("m/debian", None),
        ] {
            let found = Endpoint::of(uri).map(|endpoint| (endpoint.host, endpoint.port));
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[test]
    fn proxies_may_lack_a_scheme() {
        for (proxy, expected) in [
            ("http://proxy:3128/", Some(("proxy", Some(3128)))),
            ("proxy:3128", Some(("proxy", Some(3128)))),
            ("DIRECT", None),
            ("", None),
        ] {
            let found = Endpoint::of_proxy(proxy).map(|endpoint| (endpoint.host, endpoint.port));
            assert_eq!(found, expected, "{proxy}");
        }
    }

    #[test]
    fn a_mirror_at_the_usual_port_may_redirect_to_the_other() {
        let ports = |uri| Endpoint::of(uri).unwrap().ports().collect::<Vec<_>>();
        assert_eq!(ports("http://m/"), [80, 443]);
        assert_eq!(ports("https://m/"), [80, 443]);
        assert_eq!(ports("http://m:8080/"), [8080]);
    }

    #[test]
    fn name_servers_are_read_as_by_the_resolver() {
        for (text, expected) in [
            (
                "# comment\nnameserver 127.0.0.53\noptions edns0\nnameserver\tfe80::1%eth0\nnameservers 9.9.9.9\n",
                &["127.0.0.53", "fe80::1"][..],
            ),
            ("search example\n", &["127.0.0.1"]),
            ("", &["127.0.0.1"]),
        ] {
            let found: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
