//! Sorts addresses into classes, after the special-purpose registries of RFC 6890 and IANA.
//!
//! Pure. Two deliberate choices: the benchmarking nets (RFC 2544, RFC 5180) count as private, since they carry
//! real traffic inside laboratories and local tunnels; cloud metadata services are link-local wherever
//! their address lies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reachable over the Internet.
    Public,
    /// Of a network of somebody's own: RFC 1918, RFC 6598, RFC 4193, RFC 3879, RFC 2544.
    Private,
    /// This machine.
    Loopback,
    /// The link, and the metadata services of clouds.
    LinkLocal,
    /// A group.
    Multicast,
    /// `255.255.255.255`.
    Broadcast,
    /// `0.0.0.0/8` and `::`.
    Unspecified,
    /// For documentation, for future use, or never assigned.
    Reserved,
}

/// The class of an address. One that embeds an IPv4 address has the class of that address.
#[must_use]
pub fn class(ip: IpAddr) -> Class {
    match ip.to_canonical() {
        IpAddr::V4(ip) => class_v4(ip),
        IpAddr::V6(ip) => match embedded(IpAddr::V6(ip)) {
            // RFC 8215: translation inside one network; what is behind it is that network's own.
            Some(inner) if is_local_nat64(ip) && class_v4(inner) == Class::Public => Class::Private,
            Some(inner) => class_v4(inner),
            None => class_v6(ip),
        },
    }
}

/// The IPv4 address that packets to `ip` end at, when `ip` is IPv6 and carries one: mapped (RFC 4291),
/// translated (RFC 7915, RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380).
#[must_use]
pub fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let tail = || from_segments(g, h);
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(tail()),
        (0x64, 0xff9b, 1, _, _, _) => Some(tail()),
        (0x2002, ..) => Some(from_segments(b, c)),
        (0x2001, 0, ..) => Some(from_segments(!g, !h)),
        _ => None,
    }
}

fn from_segments(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

const fn is_local_nat64(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x64, 0xff9b, 1, ..])
}

fn class_v4(ip: Ipv4Addr) -> Class {
    if METADATA_V4.contains(&ip) {
        return Class::LinkLocal;
    }
    match ip.octets() {
        [0, ..] => Class::Unspecified,
        [127, ..] => Class::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => {
            Class::Private
        }
        [169, 254, ..] => Class::LinkLocal,
        // PCP and TURN anycast, the two addresses of their block that are routed (RFC 7723, RFC 8155).
        [192, 0, 0, 9 | 10] => Class::Public,
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => Class::Reserved,
        [224..=239, ..] => Class::Multicast,
        [255, 255, 255, 255] => Class::Broadcast,
        [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

fn class_v6(ip: Ipv6Addr) -> Class {
    if METADATA_V6.contains(&ip) {
        return Class::LinkLocal;
    }
    if ip == Ipv6Addr::UNSPECIFIED {
        return Class::Unspecified;
    }
    if ip == Ipv6Addr::LOCALHOST {
        return Class::Loopback;
    }
    let [a, b, c, ..] = ip.segments();
    match (a, b, c) {
        (0xff00..=0xffff, ..) => Class::Multicast,
        (0xfe80..=0xfebf, ..) => Class::LinkLocal,
        // Site-local (RFC 3879) is deprecated, yet some networks still route it.
        (0xfc00..=0xfdff | 0xfec0..=0xfeff, ..) => Class::Private,
        (0x2001, 2, 0) => Class::Private,
        (0x2001, 0x10..=0x3f | 0xdb8, _) | (0x3fff, 0..=0xfff, _) => Class::Reserved,
        (0x2000..=0x3fff, ..) => Class::Public,
        _ => Class::Reserved,
    }
}

/// Metadata services outside 169.254.0.0/16: Alibaba Cloud, Azure's host agent, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Metadata services outside fe80::/10: AWS (instance, containers, time), Google Cloud, Oracle Cloud, Scaleway.
const METADATA_V6: [Ipv6Addr; 7] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: Class, addresses: &[&str]) {
        for ip in addresses {
            assert_eq!(class(ip.parse().unwrap()), wanted, "{ip}");
        }
    }

    #[test]
    fn ipv4_ranges_end_where_the_registry_says() {
        check(Class::Unspecified, &["0.0.0.0", "0.255.255.255"]);
        check(Class::Loopback, &["127.0.0.0", "127.0.0.1", "127.255.255.255"]);
        check(
            Class::Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "198.18.0.0",
                "198.19.255.255",
            ],
        );
        check(
            Class::LinkLocal,
            &[
                "169.254.0.0",
                "169.254.169.254",
                "169.254.255.255",
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
            ],
        );
        check(Class::Multicast, &["224.0.0.0", "239.255.255.255"]);
        check(Class::Broadcast, &["255.255.255.255"]);
        check(
            Class::Reserved,
            &[
                "192.0.0.1",
                "192.0.0.170",
                "192.0.2.1",
                "198.51.100.1",
                "203.0.113.1",
                "192.88.99.1",
                "240.0.0.0",
                "255.255.255.254",
            ],
        );
        check(
            Class::Public,
            &[
                "1.0.0.0",
                "9.255.255.255",
                "11.0.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.167.255.255",
                "192.169.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "192.0.1.1",
                "192.0.3.1",
                "192.0.0.9",
                "192.0.0.10",
                "198.51.99.255",
                "198.51.101.0",
                "203.0.112.255",
                "203.0.114.0",
                "223.255.255.255",
            ],
        );
    }

    #[test]
    fn ipv6_ranges_end_where_the_registry_says() {
        check(Class::Unspecified, &["::"]);
        check(Class::Loopback, &["::1"]);
        check(Class::Private, &["fc00::", "fdff:ffff::1", "fec0::1", "feff::1", "2001:2::1"]);
        check(Class::LinkLocal, &["fe80::1", "febf::1", "fd00:ec2::254", "fd20:ce::254"]);
        check(Class::Multicast, &["ff00::", "ff02::1", "ffff:ffff::1"]);
        check(
            Class::Reserved,
            &[
                "::2",
                "::127.0.0.1",
                "100::1",
                "2001:10::1",
                "2001:20::1",
                "2001:3f:ffff::1",
                "2001:db8::1",
                "3fff::1",
                "3fff:fff::1",
                "4000::1",
                "5f00::1",
                "fe00::1",
                "64:ff9b:2::1",
            ],
        );
        check(
            Class::Public,
            &[
                "2000::1",
                "2001:1::1",
                "2001:200::1",
                "2001:4860:4860::8888",
                "2606:4700::1111",
                "3fff:1000::1",
            ],
        );
    }

    #[test]
    fn an_embedded_address_decides() {
        for (ip, inner, wanted) in [
            ("::ffff:10.1.2.3", "10.1.2.3", Class::Private),
            ("::ffff:0:127.0.0.1", "127.0.0.1", Class::Loopback),
            ("64:ff9b::169.254.169.254", "169.254.169.254", Class::LinkLocal),
            ("64:ff9b::8.8.8.8", "8.8.8.8", Class::Public),
            ("64:ff9b:1::8.8.8.8", "8.8.8.8", Class::Private),
            ("64:ff9b:1:2:3:4:127.0.0.1", "127.0.0.1", Class::Loopback),
            ("2002:7f00:1::1", "127.0.0.1", Class::Loopback),
            ("2002:c0a8:101::1", "192.168.1.1", Class::Private),
            ("2002:808:808::1", "8.8.8.8", Class::Public),
            ("2002:e000:1::1", "224.0.0.1", Class::Multicast),
            ("2001:0:808:808::80ff:fffe", "127.0.0.1", Class::Loopback),
            ("2001:0:7f00:1::f7f7:f7f7", "8.8.8.8", Class::Public),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(embedded(ip), Some(inner.parse().unwrap()), "{ip}");
            assert_eq!(class(ip), wanted, "{ip}");
        }
        assert_eq!(embedded("2600::1".parse().unwrap()), None);
        assert_eq!(embedded("10.0.0.1".parse().unwrap()), None);
    }
}
