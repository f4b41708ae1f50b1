//! What a flow belongs to: its unit.
//!
//! Two flows share an exit, and may share a circuit, only when they are of one unit. Not here: the choice of an exit.

use super::affinity::Affinity;
use crate::codec::Put;
use aws_lc_rs::digest;
use shoalway_types::Host;
use std::fmt;
use std::str::FromStr;

/// How finely flows are spread over exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spread {
    /// One exit for a registered domain and those that belong together with it.
    #[default]
    Site,
    /// One exit for a host name.
    Host,
    /// An exit for each connection.
    Connection,
    /// An exit for each request of plain HTTP; for tunnels the same as [`Spread::Connection`].
    Request,
}

/// A word that is no way to spread.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to spread: site, host, connection or request")]
pub struct SpreadError(String);

impl FromStr for Spread {
    type Err = SpreadError;

    fn from_str(text: &str) -> Result<Self, SpreadError> {
        match text {
            "site" => Ok(Self::Site),
            "host" => Ok(Self::Host),
            "connection" => Ok(Self::Connection),
            "request" => Ok(Self::Request),
            other => Err(SpreadError(other.to_owned())),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Site => "site",
            Self::Host => "host",
            Self::Connection => "connection",
            Self::Request => "request",
        })
    }
}

/// Who asks, as far as flows are kept apart by it: a listener and what a client logged in with. Any credentials count,
/// also those that nobody checks, so that a program can keep its pages apart by a SOCKS user for each.
#[derive(Clone, Copy, Default)]
pub struct Isolation<'a> {
    /// Where the client came in.
    pub listener: &'a str,
    /// The SOCKS user, or the proxy log-in.
    pub user: &'a [u8],
    /// The SOCKS password, where one was sent.
    pub password: &'a [u8],
}

/// A unit, as a number nobody can turn back into a host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub [u8; 32]);

impl fmt::Debug for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[unit]")
    }
}

/// The registered domain of a host: `example.co.uk` of `www.example.co.uk`. Addresses, and names that are themselves
/// public suffixes, stand for themselves.
#[must_use]
pub fn registered_domain(host: &Host) -> String {
    match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => psl::domain_str(name.as_str()).unwrap_or_else(|| name.as_str()).to_owned(),
    }
}

/// The unit of a flow to a host. `serial` is the number of the connection or request, used where those are the unit.
#[must_use]
pub fn unit(
    spread: Spread,
    isolation: &Isolation<'_>,
    host: &Host,
    serial: u64,
    affinity: &Affinity,
) -> UnitId {
    let mut text = b"ovl1 unit\0".to_vec();
    text.put_v16(isolation.listener.as_bytes());
    text.put_v16(isolation.user);
    text.put_v16(isolation.password);
    match spread {
        Spread::Site => {
            text.push(0);
            let domain = registered_domain(host);
            text.put_v16(affinity.group_of(&domain).unwrap_or(&domain).as_bytes());
        }
        Spread::Host => {
            text.push(1);
            text.put_v16(host.to_string().as_bytes());
        }
        Spread::Connection => {
            text.push(2);
            text.extend_from_slice(&serial.to_be_bytes());
        }
        Spread::Request => {
            text.push(3);
            text.extend_from_slice(&serial.to_be_bytes());
        }
    }
    let hash = digest::digest(&digest::SHA256, &text);
    UnitId(<[u8; 32]>::try_from(hash.as_ref()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spread: Spread, isolation: &Isolation<'_>, host: &str, serial: u64) -> UnitId {
        let affinity = Affinity::parse("example.com example-static.net\n").unwrap();
        unit(spread, isolation, &Host::parse(host).unwrap(), serial, &affinity)
    }

    #[test]
    fn a_site_is_its_registered_domain() {
        for (host, domain) in [
            ("www.example.co.uk", "example.co.uk"),
            ("example.co.uk", "example.co.uk"),
            ("a.b.example.org", "example.org"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
            ("h01.demo.internal", "demo.internal"),
            ("192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(registered_domain(&Host::parse(host).unwrap()), domain, "{host}");
        }
    }

    #[test]
    fn flows_are_of_one_unit_as_the_way_to_spread_says() {
        let open = Isolation::default();
        for (spread, one, other, same) in [
            (Spread::Site, ("a.example.org", 1), ("b.example.org", 2), true),
            (Spread::Site, ("a.example.org", 1), ("a.example.net", 1), false),
            (Spread::Site, ("www.example.com", 1), ("img.example-static.net", 2), true),
            (Spread::Host, ("a.example.org", 1), ("b.example.org", 1), false),
            (Spread::Host, ("a.example.org", 1), ("a.example.org", 2), true),
            (Spread::Connection, ("a.example.org", 1), ("a.example.org", 2), false),
            (Spread::Request, ("a.example.org", 7), ("a.example.org", 7), true),
        ] {
            let (left, right) = (of(spread, &open, one.0, one.1), of(spread, &open, other.0, other.1));
            assert_eq!(left == right, same, "{spread} {one:?} {other:?}");
        }
    }

    #[test]
    fn whoever_logs_in_differently_is_of_another_unit() {
        let parts = [
            Isolation { listener: "a", user: b"", password: b"" },
            Isolation { listener: "", user: b"a", password: b"" },
            Isolation { listener: "", user: b"", password: b"a" },
            Isolation { listener: "", user: b"", password: b"" },
        ];
        let mut units: Vec<UnitId> =
            parts.iter().map(|part| of(Spread::Site, part, "example.org", 0)).collect();
        units.sort();
        units.dedup();
        assert_eq!(units.len(), 4);
    }

    #[test]
    fn a_way_to_spread_is_read_as_it_is_written() {
        for spread in [Spread::Site, Spread::Host, Spread::Connection, Spread::Request] {
            assert_eq!(spread.to_string().parse(), Ok(spread));
        }
        assert_eq!("page".parse::<Spread>(), Err(SpreadError("page".to_owned())));
    }
}
