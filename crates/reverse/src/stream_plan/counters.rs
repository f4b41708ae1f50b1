//! What one shard counts for one listener of streams, beside what every listener counts.
//!
//! Not here: connections, bytes, durations (`net/counters`), how endpoints fare (`upstream/state.rs`).

use shoalway_net::counters::Counter;
use std::sync::Arc;

/// What one shard counts for one listener of streams.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Closed at once: the client's network opened too many in a time.
    pub rate_limited: Counter,
    /// Closed at once: a header is asked for, and this peer's would not be believed.
    pub untrusted: Counter,
    /// Closed: PROXY header or hello were wrong, cut off, or too slow.
    pub bad_heads: Counter,
    /// Closed: no rule is for this hello.
    pub unrouted: Counter,
    /// Closed: no endpoint could be used, or none could be reached.
    pub no_endpoint: Counter,
    /// Closed: a circuit breaker was open.
    pub breaker_open: Counter,
    /// Another endpoint was tried after one that could not be reached.
    pub retries: Counter,
    /// Connections opened early for nothing: the hello said otherwise, or the client left.
    pub eager_unused: Counter,
    /// Streams that got a connection which was open already.
    pub preconnect_used: Counter,
    /// Connections opened before they were needed that ended, or grew old, before they were.
    pub preconnect_stale: Counter,
}

impl StreamCounters {
    /// Counters for so many shards, all at nothing.
    #[must_use]
    pub fn for_shards(shards: usize) -> Arc<[Self]> {
        (0..shards.max(1)).map(|_| Self::default()).collect()
    }
}
