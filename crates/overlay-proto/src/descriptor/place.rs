//! Which addresses may stand in an endpoint outside a lab (ovl1 section 5, DIR_GET).
//!
//! Not here: which destinations an exit may reach (`policy`), what a name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether this can be the address of a node that others reach: not private, loopback, link-local, multicast or
/// reserved, nor an address that embeds another one. Ranges for documentation pass: nobody has them.
pub(super) const fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// RFC 6890: what is not of one network, one host or one link only.
const fn is_public_v4(ip: Ipv4Addr) -> bool {
    !matches!(
        ip.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
    )
}

/// Of 2000::/3, where public addresses are (RFC 4291), all but Teredo (RFC 4380) and 6to4 (RFC 3056), which embed an
/// IPv4 address that may be anything.
const fn is_public_v6(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x2000..=0x3fff, ..]) && !matches!(ip.segments(), [0x2001, 0, ..] | [0x2002, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_one_network_host_or_link_are_not_public() {
        for (text, public) in [
            ("0.0.0.0", false),
            ("1.1.1.1", true),
            ("9.255.255.255", true),
            ("10.0.0.1", false),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.128.0.0", true),
            ("127.0.0.1", false),
            ("169.253.0.1", true),
            ("169.254.169.254", false),
            ("172.15.0.1", true),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.0.0.8", false),
            ("192.167.0.1", true),
            ("192.168.0.1", false),
            ("198.17.0.1", true),
            ("198.19.0.1", false),
            ("203.0.113.7", true),
            ("223.255.255.255", true),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:1.1.1.1", false),
            ("64:ff9b::1.1.1.1", false),
            ("1fff::1", false),
            ("2000::1", true),
            ("2001:0:1::1", false),
            ("2001:db8::1", true),
            ("2002:7f00:1::1", false),
            ("3fff::1", true),
            ("fc00::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), public, "{text}");
        }
    }
}
