//! Values that must not reach a log, and the level that says how much an access log may tell.
//!
//! Always sensitive: destinations, client addresses, users, wallet addresses, paths through the network.
//! Secrets (passwords, keys) are not wrapped here: their types have no `Debug` at all.

use std::fmt;
use std::net::IpAddr;

/// A value whose `Debug` and `Display` print `[hidden]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sensitive<T>(pub T);

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl<T> fmt::Display for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// How much of a request the access log may tell. Default: [`Privacy::Masked`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privacy {
    /// Verdicts, sizes and times; no client, no user, no destination.
    Counts,
    /// Client networks (IPv4 /24, IPv6 /48), destination hosts without paths; no user.
    #[default]
    Masked,
    /// Everything but credentials.
    Full,
}

/// The network that stands for an address in a masked log: IPv4 /24, IPv6 /48.
#[must_use]
pub fn masked(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_value_never_prints() {
        assert_eq!(format!("{:?} {}", Sensitive("bank.example"), Sensitive(7)), "[hidden] [hidden]");
    }

    #[test]
    fn masking_keeps_the_network_only() {
        for (ip, shown) in [
            ("192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2::9", "2001:db8:1::"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
        ] {
            assert_eq!(masked(ip.parse().unwrap()).to_string(), shown);
        }
    }
}
