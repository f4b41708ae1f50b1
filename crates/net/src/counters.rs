//! Counters and histograms: written by one shard, read by whoever renders metrics.
//!
//! Only the owning shard writes, so an addition is a load and a store, never a locked instruction. Labels are
//! resolved to these places when a listener is set up, never per request. Not here: the text format (`app`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number only its shard changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).saturating_sub(n), Relaxed);
    }

    /// Puts `n` in its place.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The number now, from any thread.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the duration buckets in microseconds; OpenTelemetry's for request durations, and one below.
pub const BOUNDS_US: [u64; 15] = [
    1_000, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
    5_000_000, 7_500_000, 10_000_000,
];

/// Durations in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let index = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.sum_us.add(us);
    }

    /// Counts per bucket, the last one without an upper bound.
    #[must_use]
    pub fn buckets(&self) -> [u64; BOUNDS_US.len() + 1] {
        std::array::from_fn(|n| self.buckets.get(n).map_or(0, Counter::get))
    }

    /// All durations together, in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us.get()
    }
}

/// What was decided about a request, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerbLabel {
    /// No decision was reached.
    None,
    /// Refused by a rule.
    Block,
    /// Straight out.
    Direct,
    /// Through a named exit.
    Via,
    /// Through the overlay.
    Overlay,
}

/// All verb labels with their words, in the order of the counters.
pub const VERBS: [(VerbLabel, &str); 5] = [
    (VerbLabel::None, "none"),
    (VerbLabel::Block, "block"),
    (VerbLabel::Direct, "direct"),
    (VerbLabel::Via, "via"),
    (VerbLabel::Overlay, "overlay"),
];
/// Words of the status classes, in the order of the counters: by the first digit of the status.
pub const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What one shard counts for one listener.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections open now.
    pub open: Counter,
    /// Connections refused before a byte was read, by a limit.
    pub refused: Counter,
    /// Tunnels open now.
    pub tunnels: Counter,
    /// Bytes from clients to the far side.
    pub bytes_up: Counter,
    /// Bytes from the far side to clients.
    pub bytes_down: Counter,
    /// How long requests and tunnels took.
    pub durations: Histogram,
    requests: [[Counter; STATUS_CLASSES.len()]; VERBS.len()],
}

impl ListenerCounters {
    /// Counts one finished request or tunnel. `status` is an HTTP status, or 0.
    pub fn request(&self, verb: VerbLabel, status: u16) {
        let class = usize::from(status / 100);
        let class = if class < STATUS_CLASSES.len() { class } else { 0 };
        if let Some(counter) = self.requests.get(verb as usize).and_then(|row| row.get(class)) {
            counter.add(1);
        }
    }

    /// Requests with this verb and class (an index into [`STATUS_CLASSES`]).
    #[must_use]
    pub fn requests(&self, verb: VerbLabel, class: usize) -> u64 {
        self.requests.get(verb as usize).and_then(|row| row.get(class)).map_or(0, Counter::get)
    }
}

/// What one shard counts, whatever the listener.
#[derive(Debug, Default)]
pub struct ShardCounters {
    /// Connections open now; what the accept balance compares.
    pub connections: Counter,
    /// Fresh connections moved to another shard.
    pub moved: Counter,
    /// Bytes in I/O buffers in use.
    pub buffer_bytes: Counter,
    /// Tasks that ended by a panic.
    pub panics: Counter,
    /// Access-log lines dropped because the writer was behind.
    pub log_dropped: Counter,
    /// Times that accepting paused because no descriptor was left.
    pub accept_pauses: Counter,
    /// Connections to upstreams opened.
    pub upstream_connects: Counter,
    /// Connection attempts that failed.
    pub upstream_failures: Counter,
    /// Requests sent over a kept upstream connection.
    pub upstream_reused: Counter,
    /// Idle upstream connections taken over from another shard.
    pub upstream_taken_over: Counter,
    /// Idle upstream connections now.
    pub upstream_idle: Counter,
    /// Bytes moved by splice.
    pub spliced_bytes: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let histogram = Histogram::default();
        for ms in [0, 1, 2, 60, 20_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let buckets = histogram.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[5], buckets[15]), (2, 1, 1, 1));
        assert_eq!(histogram.sum_us(), 20_063_000);
    }

    #[test]
    fn requests_are_counted_by_verb_and_class() {
        let counters = ListenerCounters::default();
        for status in [200, 204, 403, 0, 999] {
            counters.request(VerbLabel::Direct, status);
        }
        assert_eq!(counters.requests(VerbLabel::Direct, 2), 2);
        assert_eq!(counters.requests(VerbLabel::Direct, 4), 1);
        assert_eq!(counters.requests(VerbLabel::Direct, 0), 2);
        assert_eq!(counters.requests(VerbLabel::Block, 2), 0);
    }
}
