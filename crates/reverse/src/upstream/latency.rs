//! How long most answers of one upstream take: a histogram that forgets, over atomics, and its 95th percentile.
//!
//! Four buckets to each doubling from 16 us up, so a percentile is at most a quarter too high. After [`FORGET`] answers all
//! counts are halved: what was an hour ago counts for nothing. Shards that halve and count at once may lose an answer or two
//! of it. Not here: averages of single endpoints (`ewma.rs`), what the percentile is for (`attempt`).

use crate::moment::micros;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// Answers after which the past is halved.
const FORGET: u32 = 2_048;
/// Answers before which nothing is said.
const ENOUGH: u32 = 100;
/// Answers after which the percentile is looked for again.
const EVERY: u32 = 32;
/// 24 doublings: 16 us to 268 s.
const BUCKETS: usize = 96;
const FIRST: u32 = 4;

/// Latencies of one upstream, all its endpoints together.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: [AtomicU32; BUCKETS],
    total: AtomicU32,
    seen: AtomicU32,
    /// Microseconds; 0: not enough is known.
    p95: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU32::new(0) }; BUCKETS],
            total: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            p95: AtomicU64::new(0),
        }
    }
}

impl Latencies {
    /// An answer took so long.
    pub(crate) fn observe(&self, latency: Duration) {
        if let Some(bucket) = self.buckets.get(place(micros(latency))) {
            bucket.fetch_add(1, Relaxed);
        }
        let total = self.total.fetch_add(1, Relaxed) + 1;
        if total == FORGET {
            self.halve();
        }
        if self.seen.fetch_add(1, Relaxed).is_multiple_of(EVERY) && total >= ENOUGH {
            self.p95.store(self.look(), Relaxed);
        }
    }

    /// What 95 of 100 answers are faster than; nothing while too few have come.
    pub(crate) fn p95(&self) -> Option<Duration> {
        match self.p95.load(Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    fn halve(&self) {
        let mut left = 0;
        for bucket in &self.buckets {
            let half = bucket.load(Relaxed) / 2;
            left += bucket.load(Relaxed).saturating_sub(half);
            bucket.fetch_sub(half, Relaxed);
        }
        self.total.store(left, Relaxed);
    }

    /// The upper end of the bucket that the percentile is in.
    fn look(&self) -> u64 {
        let counts = self.buckets.each_ref().map(|bucket| u64::from(bucket.load(Relaxed)));
        let (total, mut slower) = (counts.iter().sum::<u64>(), 0);
        let found = counts.iter().enumerate().rev().find(|(_, count)| {
            slower += **count;
            slower * 20 > total
        });
        found.map_or(0, |(place, _)| upper(place))
    }
}

/// The bucket of a latency.
fn place(micros: u64) -> usize {
    let micros = micros.max(1 << FIRST);
    let doublings = micros.ilog2();
    let quarter = (micros >> (doublings - 2)) & 3;
    let place = u64::from(doublings - FIRST) * 4 + quarter;
    usize::try_from(place).map_or(BUCKETS - 1, |place| place.min(BUCKETS - 1))
}

/// The first latency above a bucket, in microseconds.
const fn upper(place: usize) -> u64 {
    let (doublings, quarter) = (FIRST as usize + place / 4, place as u64 % 4);
    (5 + quarter) << (doublings - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn every_latency_is_in_the_bucket_below_its_upper_end() {
        for micros in (0..100_000).chain([1_000_000, 60_000_000, 200_000_000]) {
            let place = place(micros);
            assert!(micros < upper(place), "{micros} {place}");
            let lower = if place == 0 { 0 } else { upper(place - 1) };
            assert!(micros >= lower, "{micros} {place}");
        }
        assert_eq!(place(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn little_is_known_from_few_answers() {
        let latencies = Latencies::default();
        (0..90).for_each(|_| latencies.observe(ms(10)));
        assert_eq!(latencies.p95(), None);
        (0..90).for_each(|_| latencies.observe(ms(10)));
        assert_eq!(latencies.p95().map(|p95| p95 >= ms(10) && p95 < ms(13)), Some(true));
    }

    #[test]
    fn one_slow_answer_in_a_hundred_is_above_it_and_one_in_ten_is_not() {
        for (every, slow) in [(100, false), (10, true)] {
            let latencies = Latencies::default();
            for n in 0..1_000 {
                latencies.observe(if n % every == 0 { ms(900) } else { ms(4) });
            }
            let p95 = latencies.p95().unwrap();
            assert_eq!(p95 > ms(100), slow, "{p95:?}");
        }
    }

    #[test]
    fn what_was_is_forgotten() {
        let latencies = Latencies::default();
        (0..10_000).for_each(|_| latencies.observe(ms(500)));
        (0..20_000).for_each(|_| latencies.observe(ms(2)));
        assert!(latencies.p95().unwrap() < ms(3), "{:?}", latencies.p95());
    }
}
