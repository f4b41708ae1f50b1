//! What one load run did, and the one line that tells the runner.

use std::fmt;
use std::time::Duration;

/// Result of one load run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Units of work whose answer was checked and right: requests, tunnels, downloads.
    pub done: u64,
    /// Units that failed or were answered wrongly.
    pub failed: u64,
    /// Requests sent again because a kept-alive connection closed before any byte of the answer, as clients do
    /// (RFC 9112 section 9.3.1); their second answer counts as done or failed.
    pub again: u64,
    /// Time from when a unit was due until its answer was complete, in microseconds; only at a fixed rate.
    pub latency: Latency,
    /// Payload bytes received.
    pub bytes: u64,
    /// Wall-clock time of the run.
    pub elapsed: Duration,
    /// What went wrong first; empty when nothing did.
    pub first_error: String,
}

/// Some quantiles, in microseconds; zero when nothing was timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half of all were faster.
    pub p50: u64,
    /// 99 of 100 were faster.
    pub p99: u64,
    /// 999 of 1000 were faster.
    pub p999: u64,
}

impl Latency {
    /// The quantiles of `micros`, which it sorts.
    #[must_use]
    pub fn of(micros: &mut [u32]) -> Self {
        micros.sort_unstable();
        let at = |thousandth: usize| {
            let rank = (micros.len() * thousandth).div_ceil(1000).saturating_sub(1);
            micros.get(rank).map_or(0, |value| u64::from(*value))
        };
        Self { p50: at(500), p99: at(990), p999: at(999) }
    }
}

impl Outcome {
    /// Counts one failure and keeps the first cause.
    pub fn fail(&mut self, cause: impl fmt::Display) {
        self.failed += 1;
        if self.first_error.is_empty() {
            self.first_error = cause.to_string();
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, failed, again, latency, bytes, elapsed, first_error } = self;
        let Latency { p50, p99, p999 } = latency;
        let error = first_error.replace('\n', " ");
        write!(
            f,
            "outcome done={done} failed={failed} again={again} p50={p50} p99={p99} p999={p999} bytes={bytes} ms={} error={error}",
            elapsed.as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut micros: Vec<u32> = (1..=1000).rev().collect();
        assert_eq!(Latency::of(&mut micros), Latency { p50: 500, p99: 990, p999: 999 });
        assert_eq!(Latency::of(&mut [7]), Latency { p50: 7, p99: 7, p999: 7 });
        assert_eq!(Latency::of(&mut []), Latency::default());
    }
}
