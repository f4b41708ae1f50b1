//! How many openers are opened: 4 a connection, 20 a minute an address, 200 a second in all (section 12).
//!
//! Over it an opener is treated like one that no gate knows. One for the process, in bounded memory. Not here: the
//! gates themselves (`overlay-proto`).

use shoalway_policy::gcra::{Rate, RateTable};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Openers of one connection.
const CONNECTION: u32 = 4;
/// Openers of one IPv4 address or IPv6 /56 in a minute.
const NETWORK: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Openers of everybody in a second.
const ALL: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Networks that are told apart.
const NETWORKS: usize = 16_384;

/// The budget of a process.
pub struct Budget {
    networks: RateTable,
    all: RateTable,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            networks: RateTable::new(Rate::new(NETWORK, Duration::from_secs(60), NETWORK), NETWORKS),
            all: RateTable::new(Rate::new(ALL, Duration::from_secs(1), ALL), 1),
        }
    }
}

impl Budget {
    /// Takes one opener out of the budget; false when it is spent. `spent` is of the connection, `now` any fixed time ago.
    #[must_use]
    pub fn take(&self, client: IpAddr, spent: &Cell<u32>, now: Duration) -> bool {
        if spent.get() >= CONNECTION {
            return false;
        }
        spent.set(spent.get() + 1);
        self.networks.admit(network(client), now).is_ok()
            && self.all.admit(IpAddr::V4(Ipv4Addr::UNSPECIFIED), now).is_ok()
    }
}

/// The address a client counts by: IPv4 whole, IPv6 by its /56.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !((1 << 72) - 1)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_connection_has_four_openers() {
        let (budget, spent) = (Budget::default(), Cell::new(0));
        let client = IpAddr::from([192, 0, 2, 1]);
        let taken = (0..6).filter(|_| budget.take(client, &spent, SECOND)).count();
        assert_eq!(taken, 4);
    }

    #[test]
    fn an_address_has_twenty_a_minute_and_an_ipv6_household_counts_as_one() {
        for addresses in [["192.0.2.1", "192.0.2.1"], ["2001:db8::1", "2001:db8:0:ff:2::9"]] {
            let budget = Budget::default();
            let client = |n: usize| addresses[n % 2].parse().unwrap();
            let mut taken = (0..40).filter(|n| budget.take(client(*n), &Cell::new(0), SECOND)).count();
            assert_eq!(taken, 20, "{addresses:?}");
            taken = (0..40).filter(|n| budget.take(client(*n), &Cell::new(0), SECOND * 31)).count();
            assert_eq!(taken, 10, "half a minute later: {addresses:?}");
        }
    }

    #[test]
    fn all_addresses_together_have_two_hundred_a_second() {
        let budget = Budget::default();
        let client = |n: u8| IpAddr::from([10, 0, 0, n]);
        let taken = (0..=255).filter(|n| budget.take(client(*n), &Cell::new(0), SECOND)).count();
        assert_eq!(taken, 200);
    }
}
