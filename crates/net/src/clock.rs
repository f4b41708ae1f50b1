//! The shard's clock: one reading a turn, shared by all that runs in it.
//!
//! The runtime's unpark hook forgets the reading, the deadline wheel's tick does too (the hook does not run while
//! the queue never empties), and a reading serves at most [`USES`] times. So a time is at worst one turn old.
//! The source is `tokio::time::Instant`: paused time works in tests. Not here: deadlines (`deadline.rs`).

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How often one reading may be used before the next.
const USES: u32 = 64;
/// How long the wall clock is derived from one reading of the system's.
const WALL_AGE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    left: u32,
}

thread_local! {
    static TURN: Cell<Option<Reading>> = const { Cell::new(None) };
    static WALL: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// The time of this turn.
#[must_use]
pub fn now() -> Instant {
    TURN.with(|turn| match turn.get() {
        Some(Reading { at, left }) if left > 0 => {
            turn.set(Some(Reading { at, left: left - 1 }));
            at
        }
        _ => {
            let at = Instant::now();
            turn.set(Some(Reading { at, left: USES }));
            at
        }
    })
}

/// Forgets the reading: the next [`now`] asks the system.
pub fn new_turn() {
    TURN.with(|turn| turn.set(None));
}

/// Wall-clock time, milliseconds since 1970-01-01T00:00:00Z; follows the system's clock within a second.
#[must_use]
pub fn wall_ms() -> u64 {
    let now = now();
    WALL.with(|wall| match wall.get() {
        Some((at, ms)) if now.saturating_duration_since(at) < WALL_AGE => {
            ms + millis(now.saturating_duration_since(at))
        }
        _ => {
            let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis);
            wall.set(Some((now, ms)));
            ms
        }
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_serves_a_turn_and_no_longer() {
        new_turn();
        let first = now();
        assert_eq!(now(), first);
        new_turn();
        assert!(now() >= first);
        for _ in 0..=USES {
            assert!(now() >= first);
        }
        assert!(now() >= first);
    }

    #[test]
    fn wall_time_is_after_this_program_was_written() {
        assert!(wall_ms() > 1_700_000_000_000);
    }
}
