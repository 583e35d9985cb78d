//! Which addresses are public: those that every host of the internet reaches alike.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that are not public, and why: the registries of IANA for special-purpose addresses (RFC 6890), and what
/// clouds put elsewhere. Networks for documentation (RFC 5737) and benchmarks (RFC 2544) reach nobody, and are public
/// here: some gateways use them for names of the internet.
struct Range<Address> {
    network: Address,
    prefix_length: u32,
    #[expect(dead_code, reason = "for people who audit the table")]
    reason: &'static str,
}

const fn v4(octets: [u8; 4], prefix_length: u32, reason: &'static str) -> Range<Ipv4Addr> {
    Range {
        network: Ipv4Addr::from_octets(octets),
        prefix_length,
        reason,
    }
}

const fn v6(segments: [u16; 8], prefix_length: u32, reason: &'static str) -> Range<Ipv6Addr> {
    Range {
        network: Ipv6Addr::from_segments(segments),
        prefix_length,
        reason,
    }
}

const NOT_PUBLIC_V4: &[Range<Ipv4Addr>] = &[
    v4(
        [0, 0, 0, 0],
        8,
        "this host (RFC 1122); Linux takes 0.0.0.0 for loopback",
    ),
    v4([10, 0, 0, 0], 8, "private (RFC 1918)"),
    v4(
        [100, 64, 0, 0],
        10,
        "behind a provider's NAT (RFC 6598); metadata of a cloud, and overlay networks",
    ),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4(
        [168, 63, 129, 16],
        32,
        "metadata of a cloud, in a network that is public otherwise",
    ),
    v4(
        [169, 254, 0, 0],
        16,
        "link-local (RFC 3927); metadata of most clouds",
    ),
    v4([172, 16, 0, 0], 12, "private (RFC 1918)"),
    v4(
        [192, 0, 0, 0],
        24,
        "protocol assignments (RFC 6890); metadata of a cloud",
    ),
    v4([192, 168, 0, 0], 16, "private (RFC 1918)"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([240, 0, 0, 0], 4, "reserved, and the broadcast address"),
];

const NOT_PUBLIC_V6: &[Range<Ipv6Addr>] = &[
    v6(
        [0; 8],
        96,
        "unspecified, loopback, and the deprecated form of IPv4 addresses (RFC 4291)",
    ),
    v6(
        [0x64, 0xff9b, 1, 0, 0, 0, 0, 0],
        48,
        "local translation to IPv4 (RFC 8215)",
    ),
    v6(
        [0x2001, 0, 0, 0, 0, 0, 0, 0],
        32,
        "tunnels to IPv4 hosts behind NAT (RFC 4380)",
    ),
    v6(
        [0xfc00, 0, 0, 0, 0, 0, 0, 0],
        7,
        "private (RFC 4193); metadata of clouds",
    ),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    v6(
        [0xfec0, 0, 0, 0, 0, 0, 0, 0],
        10,
        "site-local (deprecated by RFC 3879)",
    ),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// Tells whether an address is public.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            !NOT_PUBLIC_V6.iter().any(|range| range.holds(address))
                && embedded(address).is_none_or(is_public_v4)
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|range| range.holds(address))
}

/// Returns the IPv4 address that packets for `address` are translated or tunnelled to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = match address.segments() {
        // NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => 12,
        // 6to4 (RFC 3056).
        [0x2002, ..] => 2,
        _ => return None,
    };
    let embedded = octets[at..].first_chunk()?;
    Some(Ipv4Addr::from_octets(*embedded))
}

impl Range<Ipv4Addr> {
    fn holds(&self, address: Ipv4Addr) -> bool {
        let shift = Ipv4Addr::BITS - self.prefix_length;
        address.to_bits() >> shift == self.network.to_bits() >> shift
    }
}

impl Range<Ipv6Addr> {
    fn holds(&self, address: Ipv6Addr) -> bool {
        let shift = Ipv6Addr::BITS - self.prefix_length;
        address.to_bits() >> shift == self.network.to_bits() >> shift
    }
}

#[cfg(test)]
mod tests {
    use super::is_public;

    #[test]
    fn addresses_that_lead_into_a_network_are_not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2001::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn their_neighbours_are_public() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "203.0.113.80",
            "223.255.255.255",
            "::ffff:203.0.113.80",
            "64:ff9b::203.0.113.80",
            "2001:1::1",
            "2002:cb00:7150::1",
            "2a04:4e42::644",
            "fbff::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
