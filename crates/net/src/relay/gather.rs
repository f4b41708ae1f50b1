//! Lets the bytes of a very fast stream gather for a millisecond instead of being woken for each little part.
//!
//! A sender on a fast link makes its receiver runnable for every few segments; a relay that keeps up is then woken a
//! hundred thousand times a GiB, and waking costs more than moving. When a direction that is spliced has run dry
//! after more than half a gigabyte a second, its source leaves the runtime for one tick of the timer: the kernel goes
//! on receiving into the socket's buffer, and one splice takes it all. Slower streams are never delayed, nor are short
//! ones; a long and fast one's last bytes are, by one to two milliseconds. What network cards do with their interrupts.

use crate::clock;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// How long bytes gather: one tick of the timer.
const TICK: Duration = Duration::from_millis(1);
/// A direction is fast when it moves this many bytes a microsecond.
const FAST: u64 = 512;
/// A direction that has carried less is not delayed, however fast: most transfers are over by then.
const LONG: u64 = 16 << 20;
/// Less than this since it ran dry the last time says nothing about a direction's speed.
const ENOUGH: u64 = 512 << 10;

/// The speed of one direction, and the pause when it is taken.
pub(super) struct Gather {
    since: Instant,
    moved: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Gather {
    /// For a direction that has moved so many bytes.
    pub(super) fn new(moved: u64) -> Self {
        Self { since: clock::now(), moved, pause: None }
    }

    /// The direction has run dry after `moved` bytes in all: whether it is fast enough for a pause, which then begins.
    pub(super) fn begin(&mut self, moved: u64) -> bool {
        let (now, bytes) = (clock::now(), moved.saturating_sub(self.moved));
        let elapsed =
            u64::try_from(now.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX);
        let fast = moved >= LONG && bytes >= ENOUGH && bytes / FAST >= elapsed;
        if fast || bytes >= ENOUGH || elapsed > 10_000 {
            (self.since, self.moved) = (now, moved);
        }
        if fast {
            self.pause = Some(Box::pin(sleep(TICK)));
        }
        fast
    }

    /// Ready when there is no pause, or it is over.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Shard;

    #[test]
    fn a_short_transfer_is_never_delayed() {
        Shard::test(async |_shard| {
            let mut gather = Gather::new(0);
            tokio::time::advance(Duration::from_micros(100)).await;
            clock::new_turn();
            assert!(!gather.begin(LONG - 1));
        });
    }

    #[test]
    fn only_a_direction_faster_than_half_a_gigabyte_a_second_pauses() {
        Shard::test(async |_shard| {
            for (bytes, micros, pauses) in [
                (1 << 20, 1_000, true),
                (1 << 20, 4_000, false),
                (100 << 10, 10, false),
                (8 << 20, 20_000, false),
            ] {
                let mut gather = Gather::new(LONG);
                tokio::time::advance(Duration::from_micros(micros)).await;
                clock::new_turn();
                assert_eq!(gather.begin(LONG + bytes), pauses, "{bytes} in {micros}");
            }
        });
    }
}
