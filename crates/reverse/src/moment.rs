//! Time as the balancers see it: microseconds since the upstreams' registry began, in one word.
//!
//! Atomics hold numbers, not `Instant`s; and simulations make moments without a clock. Not here: reading the clock
//! (`net/clock.rs`): the caller hands a time in.

use std::time::Duration;
use tokio::time::Instant;

/// A point in time, in microseconds since its [`Epoch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(u64);

impl Moment {
    /// The moment so many microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment `by` later; at the end of time it stays there.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// How long ago `earlier` was; nothing when it is yet to come.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Where moments are counted from: one a process, kept by the registry.
#[derive(Debug, Clone, Copy)]
pub struct Epoch(Instant);

impl Epoch {
    /// Counts from `start`.
    #[must_use]
    pub const fn new(start: Instant) -> Self {
        Self(start)
    }

    /// The moment of an instant: a minute after the beginning for the epoch's own, so that there is a past to
    /// reckon with. Instants before the epoch count as the epoch.
    #[must_use]
    pub fn moment(self, at: Instant) -> Moment {
        Moment(PAST).plus(at.saturating_duration_since(self.0))
    }
}

/// A minute, in microseconds.
const PAST: u64 = 60_000_000;

/// Whole microseconds, at most 2^64 - 1.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_from_the_epoch_and_never_run_backwards() {
        let start = Instant::now();
        let epoch = Epoch::new(start);
        let later = epoch.moment(start + Duration::from_millis(3));
        assert_eq!(later.as_micros(), 60_003_000);
        assert_eq!(later.since(Moment::from_micros(60_001_000)), Duration::from_millis(2));
        assert_eq!(Moment::default().since(later), Duration::ZERO);
        assert_eq!(later.plus(Duration::MAX), Moment::from_micros(u64::MAX));
    }
}
