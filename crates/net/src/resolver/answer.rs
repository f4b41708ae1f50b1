//! The addresses of a name, shared by all who asked. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Addresses of one name, in the order the name server gave them. Cheap to clone. `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer(Arc<Addresses>);

#[derive(PartialEq, Eq)]
struct Addresses {
    v4: Box<[Ipv4Addr]>,
    v6: Box<[Ipv6Addr]>,
}

impl Answer {
    /// An answer of these addresses; of each family the first 32 are kept.
    #[must_use]
    pub fn new(v4: impl IntoIterator<Item = Ipv4Addr>, v6: impl IntoIterator<Item = Ipv6Addr>) -> Self {
        Self(Arc::new(Addresses {
            v4: v4.into_iter().take(MAX_PER_FAMILY).collect(),
            v6: v6.into_iter().take(MAX_PER_FAMILY).collect(),
        }))
    }

    pub(super) fn of(addresses: &[IpAddr]) -> Self {
        let v4 = addresses.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None });
        let v6 = addresses.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None });
        Self::new(v4, v6)
    }

    /// The IPv4 addresses.
    #[must_use]
    pub fn v4(&self) -> &[Ipv4Addr] {
        &self.0.v4
    }

    /// The IPv6 addresses.
    #[must_use]
    pub fn v6(&self) -> &[Ipv6Addr] {
        &self.0.v6
    }

    /// All addresses, IPv6 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let v6 = self.0.v6.iter().copied().map(IpAddr::V6);
        v6.chain(self.0.v4.iter().copied().map(IpAddr::V4))
    }

    /// How many addresses there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.v4.len() + self.0.v6.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// More addresses than any dialer tries; bounds what one answer can cost.
const MAX_PER_FAMILY: usize = 32;
