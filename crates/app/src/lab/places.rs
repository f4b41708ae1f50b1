//! Who is in the lab, under which names and addresses of this machine.
//!
//! All addresses are loopback ones, all names are below `.internal` (reserved for private use), so nothing of the lab can
//! meet anything else. Pure. Not here: ports, which are found at the start (`ground`).

use std::net::{IpAddr, Ipv4Addr};

/// Entries; one has its own, the others stand by.
pub const ENTRIES: u8 = 3;
/// Middle nodes, for paths of three hops.
pub const MIDDLES: u8 = 3;
/// Exits.
pub const EXITS: u8 = 12;
/// Objects of the demo page, each on a host and a domain of its own.
pub const OBJECTS: u8 = 42;
/// The host of the demo page.
pub const PAGE: &str = "demo.internal";
/// Registered domains that belong together in the lab's directory, as those of one shop do.
pub const AFFINITY: &str = "shop.internal login.internal pay.internal\n";
/// Where the demo page is.
pub const ORIGIN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 2, 1));

/// A node of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An entry, from 1.
    Entry(u8),
    /// A middle node, from 1.
    Middle(u8),
    /// An exit, from 1.
    Exit(u8),
}

impl Part {
    /// All nodes of a lab whose paths have so many hops.
    pub fn all(hops: u8) -> impl Iterator<Item = Self> {
        let middles = if hops > 2 { MIDDLES } else { 0 };
        let entries = (1..=ENTRIES).map(Self::Entry);
        entries.chain((1..=middles).map(Self::Middle)).chain((1..=EXITS).map(Self::Exit))
    }

    /// Where it listens, and from where an exit connects.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        let (net, host) = match self {
            Self::Entry(n) => (0, n),
            Self::Exit(n) => (1, n),
            Self::Middle(n) => (3, n),
        };
        IpAddr::V4(Ipv4Addr::new(127, 77, net, host))
    }

    /// What people are shown.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Entry(n) => format!("entry {n}"),
            Self::Middle(n) => format!("middle {n}"),
            Self::Exit(n) => format!("exit {n}"),
        }
    }

    /// The name of its site.
    #[must_use]
    pub fn site(self) -> String {
        match self {
            Self::Entry(n) => format!("entry{n}.lab.internal"),
            Self::Middle(n) => format!("middle{n}.lab.internal"),
            Self::Exit(n) => format!("exit{n}.lab.internal"),
        }
    }
}

/// The host of an object, from 1.
#[must_use]
pub fn object_host(object: u8) -> String {
    format!("h{object:02}.lab{object:02}.internal")
}

/// The exit that has an address, if one has.
#[must_use]
pub fn exit_at(address: IpAddr) -> Option<u8> {
    (1..=EXITS).find(|exit| Part::Exit(*exit).address() == address)
}

/// All names that the exits know, with where they are.
pub fn names() -> impl Iterator<Item = String> {
    let shop = AFFINITY.split_whitespace().map(str::to_owned);
    std::iter::once(PAGE.to_owned()).chain((1..=OBJECTS).map(object_host)).chain(shop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_overlay_proto::spread::{Affinity, registered_domain};
    use shoalway_types::Host;
    use std::collections::BTreeSet;

    #[test]
    fn every_object_is_of_a_site_of_its_own() {
        let hosts: Vec<String> = (1..=OBJECTS).map(object_host).collect();
        let sites: BTreeSet<String> =
            hosts.iter().map(|host| registered_domain(&Host::parse(host).unwrap())).collect();
        assert_eq!(sites.len(), 42);
        assert_eq!(sites.first().map(String::as_str), Some("lab01.internal"));
    }

    #[test]
    fn no_two_nodes_share_an_address_and_an_exit_is_known_by_its() {
        let all: BTreeSet<IpAddr> = Part::all(3).map(Part::address).collect();
        assert_eq!(all.len(), usize::from(ENTRIES + MIDDLES + EXITS));
        assert_eq!(Part::all(2).count(), usize::from(ENTRIES + EXITS));
        assert!(all.iter().all(IpAddr::is_loopback) && !all.contains(&ORIGIN));
        assert_eq!(exit_at(Part::Exit(7).address()), Some(7));
        assert_eq!(exit_at(Part::Entry(1).address()), None);
    }

    #[test]
    fn the_shop_is_one_group() {
        let groups = Affinity::parse(AFFINITY).unwrap();
        assert_eq!(groups.group_of("pay.internal"), groups.group_of("login.internal"));
        assert_eq!(groups.len(), 3);
    }
}
