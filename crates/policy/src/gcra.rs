//! Rates by the generic cell rate algorithm (ITU-T I.371 Annex A, virtual scheduling), and a bounded table of them.
//!
//! One number a client: when, at the agreed pace, its next event would be due (the theoretical arrival time). An event
//! that comes too far ahead of that is refused and costs the client nothing. Time is an argument: how long it is since
//! any fixed start. Not here: counts of what is open now (`net/admission`), what an event is, who asks.
//!
//! ```text
//! due - burst allowance <= now -> admitted, due = max(due, now) + interval
//!                         else -> refused, for (due - burst allowance - now) longer
//! ```

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A pace with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds from one event to the next at the agreed pace, at least 1.
    interval: u64,
    /// Nanoseconds an event may be early.
    allowance: u64,
}

impl Rate {
    /// `count` events in every `period`, of which `burst` may come at once.
    ///
    /// Intervals are whole nanoseconds, at least one: more than 10^9 events a second are not told apart.
    #[must_use]
    pub fn new(count: NonZeroU32, period: Duration, burst: NonZeroU32) -> Self {
        let interval = (nanos(period) / u64::from(count.get())).max(1);
        Self { interval, allowance: interval.saturating_mul(u64::from(burst.get()) - 1) }
    }

    /// Asks for one event at `now` when the next is due at `due` (0 for a client never seen). The new `due`.
    ///
    /// # Errors
    /// How long the client must wait until one would be admitted; `due` stays as it was.
    pub fn admit(self, due: u64, now: Duration) -> Result<u64, Duration> {
        let now = nanos(now);
        let earliest = due.saturating_sub(self.allowance);
        if now < earliest {
            return Err(Duration::from_nanos(earliest - now));
        }
        Ok(due.max(now).saturating_add(self.interval))
    }
}

/// The network a client counts by: an IPv4 address, or an IPv6 /64, which is one household. IPv4-mapped addresses
/// count as IPv4.
#[must_use]
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

/// One rate for every client network, in memory that never grows. Shared by all shards.
///
/// A network has a place in one of many small groups. A full group gives up the place that is due first, which is that of
/// whoever has been quiet for longest; a place that is due already is as good as empty. So a flood from more networks
/// than there are places can make the table forget somebody's debt, never make it larger or slower.
#[derive(Debug)]
pub struct RateTable {
    rate: Rate,
    stripes: Box<[Mutex<Box<[Group]>>]>,
    groups: usize,
    hasher: RandomState,
}

type Group = [Place; WAYS];

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    network: Option<IpAddr>,
    due: u64,
}

impl RateTable {
    /// A table with room for at least `networks` (1 to 2^24; 32 bytes each).
    #[must_use]
    pub fn new(rate: Rate, networks: usize) -> Self {
        let groups = networks.clamp(1, MOST_NETWORKS).div_ceil(WAYS * STRIPES);
        let stripe = || Mutex::new(vec![Group::default(); groups].into_boxed_slice());
        Self { rate, stripes: (0..STRIPES).map(|_| stripe()).collect(), groups, hasher: RandomState::new() }
    }

    /// The rate it holds clients to.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Networks it has room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        STRIPES * WAYS * self.groups
    }

    /// Asks for one event of this client's network at `now`.
    ///
    /// # Errors
    /// How long its network must wait.
    pub fn admit(&self, client: IpAddr, now: Duration) -> Result<(), Duration> {
        let network = network(client);
        let hash = self.hasher.hash_one(network);
        let at = |bits: u64, of: usize| usize::try_from(bits % of as u64).unwrap_or(0);
        // The table has a stripe and a group for every hash: without them nobody is limited, rather than all refused.
        let Some(stripe) = self.stripes.get(at(hash, STRIPES)) else { return Ok(()) };
        // A panic under this lock is impossible: there is nothing but arithmetic.
        let mut groups = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(group) = groups.get_mut(at(hash >> 32, self.groups)) else { return Ok(()) };
        let place = place_of(group, network, nanos(now));
        let due = if place.network == Some(network) { place.due } else { 0 };
        let due = self.rate.admit(due, now)?;
        *place = Place { network: Some(network), due };
        Ok(())
    }
}

/// Its own place, else the best to give up: one that is due already, or is due first.
fn place_of(group: &mut Group, network: IpAddr, now: u64) -> &mut Place {
    let own = group.iter().position(|place| place.network == Some(network));
    let [first, rest @ ..] = group;
    match own {
        Some(0) => first,
        Some(place) => rest.get_mut(place - 1).unwrap_or(first),
        None => rest
            .iter_mut()
            .fold(first, |best, place| if place.due.max(now) < best.due.max(now) { place } else { best }),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

const STRIPES: usize = 64;
const WAYS: usize = 8;
const MOST_NETWORKS: usize = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    fn rate(count: u32, period: Duration, burst: u32) -> Rate {
        Rate::new(NonZeroU32::new(count).unwrap(), period, NonZeroU32::new(burst).unwrap())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_admitted_and_then_the_pace_holds() {
        let rate = rate(10, SECOND, 3);
        let mut due = 0;
        for (ms, wanted) in [
            (1_000, Ok(())),
            (1_000, Ok(())),
            (1_000, Ok(())),
            (1_000, Err(100)),
            (1_050, Err(50)), // a refusal has cost nothing
            (1_100, Ok(())),
            (1_199, Err(1)),
            (9_000, Ok(())),
            (9_000, Ok(())),
            (9_000, Ok(())), // quiet saves up one burst, not more
            (9_000, Err(100)),
        ] {
            let now = Duration::from_millis(ms);
            let told = rate.admit(due, now).map(|next| due = next).map_err(|wait| wait.as_millis());
            assert_eq!(told, wanted, "at {ms} ms");
        }
    }

    #[test]
    fn time_that_runs_backwards_or_ends_does_no_harm() {
        let rate = rate(1, SECOND, 1);
        let due = rate.admit(0, SECOND * 10).unwrap();
        assert_eq!(rate.admit(due, SECOND), Err(SECOND * 10));
        assert_eq!(rate.admit(0, Duration::MAX), Ok(u64::MAX));
        assert_eq!(Rate::new(NonZeroU32::MAX, Duration::ZERO, NonZeroU32::MIN).interval, 1);
    }

    #[test]
    fn a_household_shares_one_rate_and_its_neighbour_has_another() {
        let table = RateTable::new(rate(1, SECOND, 2), 1_000);
        let admit = |ip: &str| table.admit(ip.parse().unwrap(), SECOND).is_ok();
        assert!(admit("2001:db8::1") && admit("2001:db8::2") && !admit("2001:db8::3"));
        assert!(admit("2001:db8:0:1::1"));
        assert!(admit("192.0.2.1") && admit("::ffff:192.0.2.1") && !admit("192.0.2.1"));
        assert!(admit("192.0.2.2"));
    }

    #[test]
    fn a_flood_of_networks_neither_grows_the_table_nor_frees_who_is_in_debt_while_there_is_room() {
        let table = RateTable::new(rate(1, SECOND * 3_600, 5), 4_096);
        let capacity = table.capacity();
        assert!((4_096..=4_096 + STRIPES * WAYS).contains(&capacity));
        let debtor: IpAddr = "198.51.100.7".parse().unwrap();
        while table.admit(debtor, SECOND).is_ok() {}
        // As long as each of them has used less of its rate, they give up their places to each other.
        for n in 0..100_000_u32 {
            table.admit(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), SECOND).unwrap();
        }
        assert!(table.admit(debtor, SECOND).is_err());
        assert_eq!(table.capacity(), capacity);
    }

    #[test]
    fn shards_that_ask_at_once_get_no_more_than_the_burst() {
        let table = RateTable::new(rate(1, SECOND * 60, 100), 64);
        let ask = || (0..1_000).filter(|_| table.admit([192, 0, 2, 1].into(), SECOND).is_ok()).count();
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 100);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_pace_allow(waits in proptest::collection::vec(any::<u16>(), 1..500)) {
            let rate = rate(100, SECOND, 7);
            let (mut due, mut now, mut admitted) = (0, SECOND, 0_u64);
            for wait in waits {
                now += Duration::from_micros(u64::from(wait));
                if let Ok(next) = rate.admit(due, now) {
                    due = next;
                    admitted += 1;
                }
                let allowed = 7 + (now.saturating_sub(SECOND)).as_millis() / 10;
                prop_assert!(u128::from(admitted) <= allowed, "{admitted} of {allowed}");
            }
        }
    }
}
