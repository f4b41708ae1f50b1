//! A shard's clock as the protocol's machines take it.
//!
//! Moments of all shards have one origin, so that a session may move. Not here: clocks (`net/clock`).

use shoalway_net::clock;
use shoalway_overlay_proto::{Moment, UnixTime};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// This turn's moment. An hour lies before the first one, so that earlier moments can be said too.
#[must_use]
pub fn moment() -> Moment {
    let now = clock::now();
    let origin = *ORIGIN.get_or_init(|| now);
    let since = now.saturating_duration_since(origin) + Duration::from_secs(3_600);
    Moment(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// The wall clock.
#[must_use]
pub fn unix() -> UnixTime {
    UnixTime(clock::wall_ms() / 1_000)
}

/// The wall clock, for threads that are no shards: they have no turns, and may sleep for hours between two looks.
#[must_use]
pub fn unix_now() -> UnixTime {
    clock::new_turn();
    unix()
}

/// How long it is until a moment; zero when it has passed.
#[must_use]
pub fn until(at: Moment) -> Duration {
    at.since(moment())
}
