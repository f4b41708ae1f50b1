//! Peak-sensitive moving average of latency in one atomic word.
//!
//! A slower answer than the average takes its place at once, a faster one pulls it down with a time constant of
//! [`DECAY`]; without answers it sinks likewise, so that an endpoint that was slow is tried again. After the peak
//! EWMA of Finagle's balancers. The word holds the average (f32, microseconds) and its time (milliseconds, 32 bits:
//! it wraps after 49 days, which costs one wrong reading of an endpoint that was idle for that long).

use crate::moment::{Moment, micros};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Time in which an average sinks to 1/e without answers.
pub const DECAY: Duration = Duration::from_secs(10);

/// An average, or nothing yet.
#[derive(Debug, Default)]
pub(crate) struct PeakEwma(AtomicU64);

impl PeakEwma {
    /// Takes one answer into account. Lost when four others come in the same instant: it is an average.
    pub(crate) fn observe(&self, latency: Duration, now: Moment) {
        #[expect(clippy::cast_precision_loss, reason = "an average needs no more than 52 bits")]
        let sample = (micros(latency) as f64).max(1.0);
        let mut before = self.0.load(Relaxed);
        for _ in 0..TRIES {
            let average = match decayed(before, now) {
                Some((average, weight)) if sample < average => average + sample * (1.0 - weight),
                Some(_) | None => sample,
            };
            let after = pack(average, now);
            match self.0.compare_exchange_weak(before, after, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => before = other,
            }
        }
    }

    /// The average at `now` in microseconds; nothing before the first answer.
    pub(crate) fn estimate(&self, now: Moment) -> Option<f64> {
        decayed(self.0.load(Relaxed), now).map(|(average, _)| average)
    }
}

/// The average sunk to `now`, and by how much it sank.
fn decayed(word: u64, now: Moment) -> Option<(f64, f64)> {
    if word == 0 {
        return None;
    }
    let [average, stamp] = [(word >> 32) as u32, (word & u64::from(u32::MAX)) as u32];
    let elapsed = stamp_of(now).wrapping_sub(stamp);
    // A clock that is a turn behind another shard's is not 49 days ahead.
    let elapsed = if elapsed > u32::MAX / 2 { 0 } else { elapsed };
    let weight = (-f64::from(elapsed) / DECAY_MS).exp();
    Some((f64::from(f32::from_bits(average)) * weight, weight))
}

fn pack(average: f64, now: Moment) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the average is kept to 24 bits")]
    let bits = (average.max(f64::from(f32::MIN_POSITIVE)) as f32).to_bits();
    u64::from(bits) << 32 | u64::from(stamp_of(now))
}

const fn stamp_of(now: Moment) -> u32 {
    (now.as_micros() / 1_000 % (1 << 32)) as u32
}

const TRIES: usize = 4;
const DECAY_MS: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    fn ms(average: Option<f64>) -> u64 {
        (average.unwrap() / 1_000.0).round() as u64
    }

    #[test]
    fn a_peak_counts_at_once_and_sinks_with_time() {
        let ewma = PeakEwma::default();
        assert_eq!(ewma.estimate(at(0)), None);
        ewma.observe(Duration::from_millis(10), at(0));
        ewma.observe(Duration::from_millis(200), at(1));
        assert_eq!(ms(ewma.estimate(at(1))), 200);
        assert_eq!(ms(ewma.estimate(at(10_001))), 74); // 200 / e
        ewma.observe(Duration::from_millis(10), at(10_001));
        assert_eq!(ms(ewma.estimate(at(10_001))), 80); // 74 + 10 (1 - 1/e)
    }

    #[test]
    fn answers_without_pause_converge_to_what_they_are() {
        let ewma = PeakEwma::default();
        ewma.observe(Duration::from_secs(1), at(0));
        for n in 1..=100_000 {
            ewma.observe(Duration::from_millis(20), at(n));
        }
        assert_eq!(ms(ewma.estimate(at(100_000))), 20);
    }

    #[test]
    fn a_clock_that_is_behind_does_not_age_the_average() {
        let ewma = PeakEwma::default();
        ewma.observe(Duration::from_millis(50), at(5_000));
        assert_eq!(ms(ewma.estimate(at(4_900))), 50);
        ewma.observe(Duration::from_millis(1), at(4_900));
        assert_eq!(ms(ewma.estimate(at(5_000))), 50);
    }

    #[test]
    fn nothing_measured_is_never_mistaken_for_a_measurement() {
        let ewma = PeakEwma::default();
        ewma.observe(Duration::ZERO, at(0));
        assert!(ewma.estimate(at(0)).is_some());
        assert!(ewma.estimate(at(600_000)).unwrap() < 1.0);
    }
}
