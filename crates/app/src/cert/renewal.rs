//! When a certificate is renewed, and when something that failed is tried again. Pure: no clock, no chance.
//!
//! The authority's window (RFC 9773 section 4.2) decides where there is one, else two thirds of the certificate's time.
//! Where in a window is taken from the certificate's own octets: evenly spread, and the same after a restart.

use super::chain::Validity;
use super::{moment, seconds};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// When the authority wants a certificate renewed. Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Not before.
    pub start: u64,
    /// Not after.
    pub end: u64,
}

/// How long to wait after so many failures in a row; the last for all more. The first steps together stay below the
/// five failed validations an hour that Let's Encrypt allows a name.
const WAITS: [Duration; 6] = [
    Duration::from_mins(2),
    Duration::from_mins(15),
    Duration::from_mins(45),
    Duration::from_hours(3),
    Duration::from_hours(8),
    Duration::from_hours(12),
];

/// When to renew a certificate that is there.
pub(super) fn when(validity: Validity, window: Option<Window>, seed: u64) -> SystemTime {
    let life = validity.until.duration_since(validity.from).unwrap_or_default();
    // An authority that names a time after the end, or shortly before, is not believed.
    let latest = validity.from + life * 9 / 10;
    match window.filter(|window| window.start < window.end) {
        Some(window) => {
            let length = Duration::from_secs(window.end - window.start);
            (moment(window.start) + share(length, seed)).min(latest)
        }
        // Some days on either side in 90, so that many certificates of one day part.
        None => validity.from + life * 19 / 30 + share(life / 15, seed),
    }
}

/// How long to wait after the attempt that was the `failures`th in a row to fail.
pub(super) fn wait(failures: u32, lasting: bool, seed: u64) -> Duration {
    let [.., longest] = WAITS;
    let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let base = if lasting { longest } else { WAITS.get(at).copied().unwrap_or(longest) };
    base + share(base / 5, seed.wrapping_add(u64::from(failures)))
}

/// When the authority is asked about renewal again: as it said, but at least once a day and at most once a minute
/// (RFC 9773 section 4.3.2).
pub(super) fn ask_again(now: SystemTime, said: Duration) -> u64 {
    seconds(now + said.clamp(Duration::from_mins(1), Duration::from_hours(24)))
}

/// A part of `length`, from 0 to all of it, spread evenly over seeds.
fn share(length: Duration, seed: u64) -> Duration {
    // Fibonacci hashing: neighbouring seeds lie far apart.
    let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let scaled = (u128::from(mixed) * length.as_millis()) >> 32;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(days: u64) -> SystemTime {
        moment(days * DAY)
    }

    #[test]
    fn without_a_window_it_is_around_two_thirds() {
        let validity = Validity { from: at(1000), until: at(1090) };
        let all: Vec<SystemTime> = (0..100).map(|seed| when(validity, None, seed)).collect();
        assert!(all.iter().all(|time| (at(1057)..=at(1063)).contains(time)));
        let (first, last) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(last.duration_since(*first).unwrap() > Duration::from_hours(5 * 24));
        assert_eq!(when(validity, None, 7), when(validity, None, 7));
    }

    #[test]
    fn the_authority_s_window_is_obeyed_within_reason() {
        let validity = Validity { from: at(1000), until: at(1090) };
        for (start, end, earliest, latest) in [
            (1030, 1031, 1030, 1031), // sooner than usual, as after a mistake of the authority
            (900, 901, 900, 901),     // in the past: at once
            (1200, 1300, 1081, 1081), // after the end: not believed
            (1031, 1030, 1057, 1063), // no window at all
        ] {
            let window = Some(Window { start: start * DAY, end: end * DAY });
            for seed in 0..20 {
                let time = when(validity, window, seed);
                assert!((at(earliest)..=at(latest)).contains(&time), "{start} {end} {seed}");
            }
        }
    }

    #[test]
    fn waits_grow_and_stay_below_the_limits_of_authorities() {
        let within_an_hour = |seed| {
            let mut sum = Duration::ZERO;
            let ends = (1..).map(|failures| {
                sum += wait(failures, false, seed);
                sum
            });
            ends.take_while(|end| *end <= Duration::from_hours(1)).count() + 1
        };
        assert!((0..50).all(|seed| within_an_hour(seed) < 5));
        assert!(wait(1, true, 0) >= Duration::from_hours(12));
        assert!(wait(u32::MAX, false, 3) <= Duration::from_hours(15));
    }

    #[test]
    fn the_authority_is_asked_neither_too_often_nor_never() {
        for (said, wanted) in [(0, 60), (21_600, 21_600), (10 * DAY, DAY)] {
            assert_eq!(ask_again(at(1), Duration::from_secs(said)), DAY + wanted);
        }
    }
}
