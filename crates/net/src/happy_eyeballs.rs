//! When to try which address of a destination: Happy Eyeballs version 2, RFC 8305. No I/O, no clock.
//!
//! The families take turns (section 4), a further attempt starts after the attempt delay (section 5) or at once
//! when one fails. Both families arrive together from `resolver`, so there is no resolution delay (section 3).
//! Not here: connecting, the deadline of the whole (`dialer.rs`).
//!
//! ```text
//! new -> next: Attempt* -> WaitUntil | WaitAny -> (failed) -> next ... -> Failed
//! ```
//! The race is won by dropping it: the caller keeps the first connection and drops the other attempts.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Most addresses tried for one destination; more do not make success likelier, only failure slower.
pub const MAX_ADDRESSES: usize = 8;

/// Which family goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// IPv4 first.
    V4,
    /// IPv6 first, as RFC 8305 section 4 wants it.
    #[default]
    V6,
}

/// How a race is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaceConfig {
    /// Which family goes first. Default IPv6.
    pub first: Family,
    delay: Duration,
    concurrent: usize,
}

impl RaceConfig {
    /// The connection attempt delay: 10 ms to 2 s, moved into that range; default 250 ms (RFC 8305 section 8).
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay: delay.clamp(Duration::from_millis(10), Duration::from_secs(2)), ..self }
    }

    /// The most attempts under way at once: 1 to 8, moved into that range; default 4.
    #[must_use]
    pub fn with_concurrent(self, concurrent: usize) -> Self {
        Self { concurrent: concurrent.clamp(1, MAX_ADDRESSES), ..self }
    }
}

impl Default for RaceConfig {
    fn default() -> Self {
        Self { first: Family::default(), delay: Duration::from_millis(250), concurrent: 4 }
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// Begin to connect to this address, then ask again.
    Attempt(SocketAddr),
    /// Wait for the end of an attempt or for this instant, whichever comes first, then ask again.
    WaitUntil(Instant),
    /// Wait for the end of an attempt, then ask again.
    WaitAny,
    /// Every address failed; this is the last error. `None` when there was no address at all.
    Failed(Option<E>),
}

/// The race for one destination. `E` is the error of an attempt.
#[derive(Debug)]
pub struct Race<E> {
    waiting: VecDeque<SocketAddr>,
    running: usize,
    next_at: Option<Instant>,
    last_error: Option<E>,
    config: RaceConfig,
}

impl<E> Race<E> {
    /// A race over `addrs`, of which the first [`MAX_ADDRESSES`] in race order take part.
    #[must_use]
    pub fn new(addrs: impl IntoIterator<Item = SocketAddr>, config: RaceConfig) -> Self {
        let waiting = interleaved(addrs, config.first);
        Self { waiting, running: 0, next_at: None, last_error: None, config }
    }

    /// The next instruction at `now`.
    pub fn next(&mut self, now: Instant) -> Step<E> {
        if self.waiting.is_empty() && self.running == 0 {
            return Step::Failed(self.last_error.take());
        }
        if self.waiting.is_empty() || self.running >= self.config.concurrent {
            return Step::WaitAny;
        }
        if let Some(at) = self.next_at.filter(|at| *at > now) {
            return Step::WaitUntil(at);
        }
        let Some(addr) = self.waiting.pop_front() else { return Step::WaitAny };
        self.running += 1;
        self.next_at = Some(now + self.config.delay);
        Step::Attempt(addr)
    }

    /// An attempt ended with `error`: the next address need not wait any longer.
    pub fn failed(&mut self, error: E) {
        self.running = self.running.saturating_sub(1);
        self.next_at = None;
        self.last_error = Some(error);
    }
}

/// The addresses with families taking turns, in the order given within a family, without doubles.
fn interleaved(addrs: impl IntoIterator<Item = SocketAddr>, first: Family) -> VecDeque<SocketAddr> {
    let (mut v4, mut v6) = (VecDeque::new(), VecDeque::new());
    for addr in addrs {
        let family = if matches!(addr.ip(), IpAddr::V4(_)) { &mut v4 } else { &mut v6 };
        if family.len() < MAX_ADDRESSES && !family.contains(&addr) {
            family.push_back(addr);
        }
    }
    let (mut ahead, mut behind) = match first {
        Family::V4 => (v4, v6),
        Family::V6 => (v6, v4),
    };
    let mut order = VecDeque::with_capacity(MAX_ADDRESSES);
    while order.len() < MAX_ADDRESSES {
        match ahead.pop_front() {
            Some(addr) => order.push_back(addr),
            None if behind.is_empty() => break,
            None => {}
        }
        std::mem::swap(&mut ahead, &mut behind);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(250);

    fn v4(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 443))
    }

    fn v6(last: u16) -> SocketAddr {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 443))
    }

    fn race(addrs: &[SocketAddr]) -> Race<&'static str> {
        Race::new(addrs.iter().copied(), RaceConfig::default())
    }

    #[test]
    fn families_take_turns() {
        for (first, given, wanted) in [
            (Family::V6, vec![v4(1), v4(2), v6(1), v6(2)], vec![v6(1), v4(1), v6(2), v4(2)]),
            (Family::V4, vec![v6(1), v6(2), v4(1)], vec![v4(1), v6(1), v6(2)]),
            (Family::V6, vec![v4(1), v4(2)], vec![v4(1), v4(2)]),
            (Family::V6, vec![v6(1), v6(1), v4(1), v4(1)], vec![v6(1), v4(1)]),
            (Family::V6, vec![], vec![]),
        ] {
            assert_eq!(interleaved(given.clone(), first), wanted, "{given:?}");
        }
    }

    #[test]
    fn at_most_eight_addresses_take_part_and_no_family_is_crowded_out() {
        let many = (1..=20).map(v4).chain((1..=20).map(v6));
        let order = interleaved(many, Family::V6);
        assert_eq!(order.len(), MAX_ADDRESSES);
        assert_eq!(order.iter().filter(|addr| addr.is_ipv4()).count(), 4);
    }

    #[test]
    fn a_silent_address_gives_the_next_one_its_chance_after_the_delay() {
        let start = Instant::now();
        let mut race = race(&[v6(1), v4(1), v6(2)]);
        assert_eq!(race.next(start), Step::Attempt(v6(1)));
        assert_eq!(race.next(start), Step::WaitUntil(start + DELAY));
        assert_eq!(race.next(start + DELAY / 2), Step::WaitUntil(start + DELAY));
        assert_eq!(race.next(start + DELAY), Step::Attempt(v4(1)));
        assert_eq!(race.next(start + DELAY), Step::WaitUntil(start + DELAY * 2));
        assert_eq!(race.next(start + DELAY * 2), Step::Attempt(v6(2)));
        assert_eq!(race.next(start + DELAY * 2), Step::WaitAny);
    }

    #[test]
    fn a_failed_address_gives_the_next_one_its_chance_at_once() {
        let start = Instant::now();
        let mut race = race(&[v6(1), v4(1)]);
        assert_eq!(race.next(start), Step::Attempt(v6(1)));
        race.failed("refused");
        assert_eq!(race.next(start), Step::Attempt(v4(1)));
        assert_eq!(race.next(start), Step::WaitAny);
        race.failed("unreachable");
        assert_eq!(race.next(start), Step::Failed(Some("unreachable")));
    }

    #[test]
    fn a_race_without_addresses_has_failed() {
        assert_eq!(race(&[]).next(Instant::now()), Step::Failed(None));
    }

    #[test]
    fn no_more_attempts_run_at_once_than_allowed() {
        let start = Instant::now();
        let config = RaceConfig::default().with_concurrent(2).with_delay(Duration::ZERO);
        let mut race = Race::<&str>::new((1..=4).map(v4), config);
        let tick = Duration::from_millis(10);
        assert_eq!(race.next(start), Step::Attempt(v4(1)));
        assert_eq!(race.next(start), Step::WaitUntil(start + tick));
        assert_eq!(race.next(start + tick), Step::Attempt(v4(2)));
        assert_eq!(race.next(start + tick * 9), Step::WaitAny);
        race.failed("refused");
        assert_eq!(race.next(start + tick * 9), Step::Attempt(v4(3)));
        assert_eq!(race.next(start + tick * 9), Step::WaitAny);
    }
}
