//! Networks in CIDR notation, and sets of them: merged, sorted ranges, searched by halves.
//!
//! RFC 4632 section 3.1 for IPv4, RFC 4291 section 2.3 for IPv6. IPv4-mapped IPv6 addresses and networks
//! (RFC 4291 section 2.5.5.2) count as IPv4, so that no rule can be walked around by writing one as the other.
//! Not here: which networks a client may reach at all (`net/egress_guard`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address whose bits past the prefix are zero, and the length of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// A network of `prefix` bits around `ip`; bits past the prefix must be zero.
    ///
    /// # Errors
    /// [`CidrError`] when the prefix is too long or bits past it are set.
    pub fn new(ip: IpAddr, prefix: u8) -> Result<Self, CidrError> {
        let (ip, prefix) = match (ip, ip.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if (96..=128).contains(&prefix) => {
                (mapped.into(), prefix - 96)
            }
            _ => (ip, prefix),
        };
        let width = width(ip);
        if prefix > width {
            return Err(CidrError::Prefix { width });
        }
        let base = first(ip, prefix);
        if base != ip {
            return Err(CidrError::HostBits { meant: Self { base, prefix } });
        }
        Ok(Self { base, prefix })
    }

    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or a single address.
    ///
    /// # Errors
    /// [`CidrError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().ok().ok_or(CidrError::Address)?;
        let width = width(ip);
        let prefix = match prefix {
            None => width,
            Some(digits) => parse_prefix(digits).ok_or(CidrError::Prefix { width })?,
        };
        Self::new(ip, prefix)
    }

    /// Whether `ip` lies in the network.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.base.is_ipv4() && first(ip, self.prefix) == self.base
    }

    /// The first address.
    #[must_use]
    pub const fn base(&self) -> IpAddr {
        self.base
    }

    /// Length of the prefix: 0 to 32 for IPv4, 0 to 128 for IPv6.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

const fn width(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// `ip` with the bits past `prefix` cleared. A shift by the whole width is no shift in Rust, hence `checked`.
fn first(ip: IpAddr, prefix: u8) -> IpAddr {
    let host_bits = u32::from(width(ip).saturating_sub(prefix));
    match ip {
        IpAddr::V4(ip) => {
            Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
        IpAddr::V6(ip) => {
            Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
    }
}

fn parse_prefix(digits: &str) -> Option<u8> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// The part before the slash is no address.
    #[error("this is not an IP address")]
    Address,
    /// The part after the slash is no number, or more than the address has bits.
    #[error("the prefix must be a number from 0 to {width}")]
    Prefix {
        /// 32 or 128.
        width: u8,
    },
    /// Bits past the prefix are set: either the address or the prefix is a slip.
    #[error("the address has bits set beyond its prefix")]
    HostBits {
        /// The network around the address.
        meant: Cidr,
    },
}

/// A set of networks; looking an address up takes a binary search in merged ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CidrSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl CidrSet {
    /// Whether any network of the set holds `ip`.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.contains(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.contains(ip.to_bits()),
        }
    }

    /// Whether no address is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.v4.starts.is_empty() && self.v6.starts.is_empty()
    }

    /// How many ranges are left after merging.
    #[must_use]
    pub const fn ranges(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }
}

impl FromIterator<Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = Cidr>>(networks: I) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for Cidr { base, prefix } in networks {
            match base {
                IpAddr::V4(ip) => {
                    let ip = ip.to_bits();
                    v4.push((ip, ip | u32::MAX.checked_shr(prefix.into()).unwrap_or(0)));
                }
                IpAddr::V6(ip) => {
                    let ip = ip.to_bits();
                    v6.push((ip, ip | u128::MAX.checked_shr(prefix.into()).unwrap_or(0)));
                }
            }
        }
        Self { v4: Ranges::merge(v4), v6: Ranges::merge(v6) }
    }
}

/// Ranges that do not overlap, in order; firsts apart from lasts, so that a search reads half the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ranges<T> {
    starts: Box<[T]>,
    ends: Box<[T]>,
}

impl<T: Copy + Ord> Ranges<T> {
    fn contains(&self, value: T) -> bool {
        let after = self.starts.partition_point(|start| *start <= value);
        after.checked_sub(1).and_then(|at| self.ends.get(at)).is_some_and(|end| value <= *end)
    }

    /// CIDR blocks nest or are apart, so overlapping ones share their first block's end.
    fn merge(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut starts = Vec::with_capacity(ranges.len());
        let mut ends: Vec<T> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match ends.last_mut() {
                Some(last) if start <= *last => *last = (*last).max(end),
                _ => {
                    starts.push(start);
                    ends.push(end);
                }
            }
        }
        Self { starts: starts.into(), ends: ends.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(networks: &[&str]) -> CidrSet {
        networks.iter().map(|text| Cidr::parse(text).unwrap()).collect()
    }

    #[test]
    fn networks_are_read_and_shown() {
        for (text, shown) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_reason() {
        for (text, why) in [
            ("", CidrError::Address),
            ("10.0.0/8", CidrError::Address),
            ("example.com", CidrError::Address),
            ("10.0.0.0/33", CidrError::Prefix { width: 32 }),
            ("10.0.0.0/", CidrError::Prefix { width: 32 }),
            ("10.0.0.0/+8", CidrError::Prefix { width: 32 }),
            ("10.0.0.0/08", CidrError::Prefix { width: 32 }),
            ("::/129", CidrError::Prefix { width: 128 }),
            ("::/300", CidrError::Prefix { width: 128 }),
            ("10.1.0.0/8", CidrError::HostBits { meant: Cidr::parse("10.0.0.0/8").unwrap() }),
        ] {
            assert_eq!(Cidr::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn nested_networks_merge_and_edges_belong() {
        let set = set(&["10.0.0.0/8", "10.2.0.0/16", "192.0.2.1", "2001:db8::/32", "255.255.255.255/32"]);
        assert_eq!(set.ranges(), 4);
        for (ip, inside) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("::ffff:10.1.2.3", true),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("255.255.255.255", true),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db9::", false),
            ("::", false),
        ] {
            assert_eq!(set.contains(ip.parse().unwrap()), inside, "{ip}");
        }
    }

    #[test]
    fn the_whole_of_one_family_leaves_the_other_out() {
        assert!(set(&["0.0.0.0/0"]).contains("255.255.255.255".parse().unwrap()));
        assert!(!set(&["0.0.0.0/0"]).contains("::1".parse().unwrap()));
        assert!(set(&["::/0"]).contains("ffff::1".parse().unwrap()));
        assert!(!set(&["::/0"]).contains("1.2.3.4".parse().unwrap()));
        assert!(CidrSet::default().is_empty());
    }

    fn any_network() -> impl Strategy<Value = Cidr> {
        // Few distinct leading bits, so that networks often nest, touch or meet the addresses asked for.
        let v4 = (0..4_u32, any::<u32>(), 0..=32_u8).prop_map(|(high, low, prefix)| {
            (IpAddr::V4(Ipv4Addr::from_bits(high << 30 | low >> 24)), prefix)
        });
        let v6 = (0..4_u128, any::<u8>(), 0..=128_u8).prop_map(|(high, low, prefix)| {
            (IpAddr::V6(Ipv6Addr::from_bits(high << 126 | u128::from(low))), prefix)
        });
        prop_oneof![v4, v6].prop_map(|(ip, prefix)| Cidr::new(first(ip, prefix), prefix).unwrap())
    }

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_networks_holds(
            networks in prop::collection::vec(any_network(), 0..20),
            asked in prop::collection::vec(any_network(), 0..20),
        ) {
            let set: CidrSet = networks.iter().copied().collect();
            for ip in asked.iter().chain(&networks).map(Cidr::base) {
                prop_assert_eq!(set.contains(ip), networks.iter().any(|network| network.contains(ip)));
            }
        }

        #[test]
        fn a_network_holds_its_own_range_and_no_more(network in any_network(), other in any::<u32>()) {
            if let IpAddr::V4(base) = network.base() {
                let same = network.prefix() == 0 || other >> (32 - network.prefix()) == base.to_bits() >> (32 - network.prefix());
                prop_assert_eq!(network.contains(Ipv4Addr::from_bits(other).into()), same);
            }
            prop_assert_eq!(Cidr::parse(&network.to_string()), Ok(network));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f:./]{0,40}|.*") {
            if let Ok(network) = Cidr::parse(&text) {
                prop_assert!(network.contains(network.base()));
            }
        }
    }
}
