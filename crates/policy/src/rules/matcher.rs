//! Whether one match of a rule takes a query. Reads only, allocates nothing.
//!
//! Private networks: RFC 1918, RFC 6598 (shared), RFC 3927 and RFC 4291 section 2.5.6 (link-local), RFC 4193 (unique
//! local), loopback, and 0.0.0.0/8 and `::`, which systems take for themselves (RFC 1122 section 3.2.1.3). Private
//! names: RFC 6761 (`localhost`), RFC 6762 (`local`), RFC 8375 (`home.arpa`), ICANN's reserved `internal`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use shoalway_types::Host;

use crate::cidr_set::CidrSet;
use crate::decision::Query;
use crate::domain_set::{DomainPattern, DomainSet};

/// One match of a rule.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    pub(super) negated: bool,
    pub(super) subject: Subject,
}

/// What a match looks at.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    All,
    Private,
    Address(CidrSet),
    Domain(Domains),
    List(Box<[Arc<DomainSet>]>),
    Port(Box<[RangeInclusive<u16>]>),
    Method(Box<[Box<str>]>),
    Client(CidrSet),
    User(Box<[Box<str>]>),
}

/// Names of a `domain:` match: comparing a few is quicker than hashing the host.
#[derive(Debug, Clone)]
pub(super) enum Domains {
    Few(Box<[DomainPattern]>),
    Many(DomainSet),
}

impl Matcher {
    /// Whether it takes the query.
    pub(super) fn matches(&self, q: &Query<'_>) -> bool {
        self.subject.matches(q) != self.negated
    }

    /// Whether it takes everything.
    pub(super) const fn is_all(&self) -> bool {
        matches!(self.subject, Subject::All) && !self.negated
    }

    /// Whether its answer may change once a name is resolved.
    pub(super) const fn by_address(&self) -> bool {
        match self.subject {
            Subject::Private | Subject::Address(_) => true,
            Subject::All
            | Subject::Domain(_)
            | Subject::List(_)
            | Subject::Port(_)
            | Subject::Method(_)
            | Subject::Client(_)
            | Subject::User(_) => false,
        }
    }
}

impl Subject {
    fn matches(&self, q: &Query<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Private => q.host.name().is_some_and(is_private_name) || by_ip(q, is_private),
            Self::Address(networks) => by_ip(q, |ip| networks.contains(ip)),
            Self::Domain(domains) => q.host.name().is_some_and(|name| domains.cover(name)),
            Self::List(lists) => {
                q.host.name().is_some_and(|name| lists.iter().any(|list| list.contains(name)))
            }
            Self::Port(ranges) => ranges.iter().any(|range| range.contains(&q.port)),
            Self::Method(methods) => methods.iter().any(|method| method.eq_ignore_ascii_case(q.method)),
            Self::Client(networks) => networks.contains(q.client),
            Self::User(users) => q.user.is_some_and(|user| users.iter().any(|known| **known == *user)),
        }
    }
}

/// Whether `test` holds for the host that is an address, or for what the host resolved to.
fn by_ip(q: &Query<'_>, test: impl Fn(IpAddr) -> bool) -> bool {
    match q.host {
        Host::Ip(ip) => test(*ip),
        Host::Name(_) => q.resolved.is_some_and(test),
    }
}

impl Domains {
    pub(super) fn new(patterns: Vec<DomainPattern>) -> Self {
        if patterns.len() <= FEW { Self::Few(patterns.into()) } else { Self::Many(patterns.iter().collect()) }
    }

    fn cover(&self, name: &str) -> bool {
        match self {
            Self::Few(patterns) => patterns.iter().any(|pattern| pattern.covers(name)),
            Self::Many(set) => set.contains(name),
        }
    }
}

/// Up to so many patterns a walk through all is quicker than the look-up in a set.
const FEW: usize = 16;

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            a == 0 || shared || ip.is_private() || ip.is_loopback() || ip.is_link_local()
        }
        IpAddr::V6(ip) => {
            ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || is_translated_private(ip)
        }
    }
}

/// A private IPv4 address behind a translator: 64:ff9b::/96 (RFC 6052) with one inside, or the prefix for local use,
/// 64:ff9b:1::/48 (RFC 8215).
fn is_translated_private(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        [0x64, 0xff9b, 1, ..] => true,
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_private(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into())
        }
        _ => false,
    }
}

/// Lower case and without a final dot, as [`Host`] has names.
fn is_private_name(name: &str) -> bool {
    match name.rsplit_once('.') {
        None => true,
        Some((_, "localhost" | "internal" | "local")) => true,
        Some((above, "arpa")) => above == "home" || above.ends_with(".home"),
        Some(_) => false,
    }
}
