//! Windows: bytes one side may send before the other grants more (section 8). The same for the hops of a circuit, for
//! a circuit from end to end, and for a stream.
//!
//! A receiver grants again what was handed on, in parts of a quarter of the window, and makes the window larger while
//! a whole one of it is handed on in under a quarter of a second: then the way is long, or the window is what limits.

use crate::Moment;
use std::time::Duration;

/// What may still be sent.
#[derive(Debug, Clone)]
pub(crate) struct SendWindow {
    left: u32,
    most: u32,
}

impl SendWindow {
    /// So many bytes at the start, and at most `most` at any time.
    pub(crate) const fn new(start: u32, most: u32) -> Self {
        Self { left: start, most }
    }

    /// Bytes that may be sent now.
    pub(crate) const fn left(&self) -> usize {
        self.left as usize
    }

    /// Takes what is sent. The caller asked [`left`](Self::left).
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Adds a grant; `false` when it is none, or more than the neighbour may grant.
    #[must_use]
    pub(crate) const fn grant(&mut self, bytes: u32) -> bool {
        match self.left.checked_add(bytes) {
            Some(left) if left <= self.most && bytes > 0 => {
                self.left = left;
                true
            }
            Some(_) | None => false,
        }
    }
}

/// What may still come. Always `left + held + owed == size`.
#[derive(Debug, Clone)]
pub(crate) struct ReceiveWindow {
    size: u32,
    most: u32,
    /// Granted, not received.
    left: u32,
    /// Received, not handed on.
    held: u32,
    /// Handed on, not granted again.
    owed: u32,
    /// Handed on since `turn`.
    turned: u32,
    turn: Moment,
}

impl ReceiveWindow {
    /// So many bytes at the start, `most` at the end.
    pub(crate) fn new(start: u32, most: u32, now: Moment) -> Self {
        Self { size: start, most: most.max(start), left: start, held: 0, owed: 0, turned: 0, turn: now }
    }

    /// Bytes came; `false` when they are more than was granted.
    #[must_use]
    pub(crate) fn receive(&mut self, bytes: usize) -> bool {
        let Some((bytes, left)) =
            u32::try_from(bytes).ok().and_then(|bytes| Some((bytes, self.left.checked_sub(bytes)?)))
        else {
            return false;
        };
        self.left = left;
        self.held += bytes;
        true
    }

    /// Bytes received and not handed on.
    pub(crate) const fn held(&self) -> usize {
        self.held as usize
    }

    /// Bytes were handed on (never more than are held). `true` when a grant is due.
    pub(crate) fn release(&mut self, bytes: usize, now: Moment) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.held);
        self.held -= bytes;
        self.owed += bytes;
        self.turned = self.turned.saturating_add(bytes);
        if self.turned >= self.size {
            if now.since(self.turn) < FAST {
                let more = self.size.min(self.most - self.size);
                self.size += more;
                self.owed += more;
            }
            self.turned = 0;
            self.turn = now;
        }
        self.is_due()
    }

    /// Bytes were dropped with what they belonged to: they are granted again, and the window does not grow for it.
    pub(crate) fn reclaim(&mut self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.held);
        self.held -= bytes;
        self.owed += bytes;
        self.is_due()
    }

    const fn is_due(&self) -> bool {
        self.owed >= self.size / 4 && self.owed > 0
    }

    /// Grants what is owed.
    pub(crate) const fn grant(&mut self) -> u32 {
        let owed = self.owed;
        self.left += owed;
        self.owed = 0;
        owed
    }
}

/// A window that is handed on faster than this grows.
const FAST: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_grant_of_nothing_or_over_the_most_is_refused() {
        let mut window = SendWindow::new(100, 150);
        assert!(!window.grant(0));
        assert!(window.grant(50));
        assert!(!window.grant(1));
        window.spend(150);
        assert_eq!(window.left(), 0);
        assert!(!window.grant(u32::MAX));
        assert!(window.grant(150));
        assert!(!window.grant(u32::MAX));
    }

    #[test]
    fn a_window_grows_while_it_is_handed_on_fast_and_not_beyond_its_most() {
        let mut window = ReceiveWindow::new(1000, 3000, Moment(0));
        let mut turn = |size: usize, now| {
            assert!(window.receive(size));
            assert!(!window.receive(1), "over the window");
            assert!(window.release(size, now));
            window.grant()
        };
        let slow = Duration::from_millis(300);
        let mut now = Moment(0) + slow;
        assert_eq!(turn(1000, now), 1000);
        assert_eq!(turn(1000, now), 2000);
        assert_eq!(turn(2000, now), 3000);
        assert_eq!(turn(3000, now), 3000);
        now = now + slow;
        assert_eq!(turn(3000, now), 3000);
    }

    proptest! {
        #[test]
        fn what_is_granted_is_what_was_handed_on_and_the_sender_never_waits_for_ever(
            steps in proptest::collection::vec((0_usize..5000, 0_usize..5000, 0_u64..400_000), 1..200),
        ) {
            let mut sender = SendWindow::new(4000, 16_000);
            let mut receiver = ReceiveWindow::new(4000, 16_000, Moment(0));
            let mut now = Moment(0);
            for (send, release, time) in steps {
                now = now + Duration::from_micros(time);
                let sent = send.min(sender.left());
                sender.spend(sent);
                prop_assert!(receiver.receive(sent));
                if receiver.release(release, now) {
                    prop_assert!(sender.grant(receiver.grant()));
                }
                prop_assert_eq!(sender.left(), receiver.left as usize);
                prop_assert!(sender.left() + receiver.held() <= 16_000);
                if receiver.held() == 0 {
                    prop_assert!(sender.left() >= 3000);
                }
            }
        }
    }
}
