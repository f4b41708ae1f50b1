//! The line of requests that wait until a breaker lets them through, and how long they may.
//!
//! A short line smooths a burst; one that never empties only makes everybody late. So a request may wait `longest` while
//! the line was empty of late, and no more than `target` once it has stood for [`STANDING`] on end: after CoDel (RFC 8289),
//! in the form of Maurer's "Fail at Scale" (2015). Who comes next is the one that waits longest. One a process and upstream.
//! Not here: how much is let through (`breaker.rs`).

use crate::moment::Moment;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A line that has had somebody in it for so long is a standing one.
pub const STANDING: Duration = Duration::from_millis(100);

/// How long a request may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineConfig {
    /// In a burst. Default 1 s.
    pub longest: Duration,
    /// In a line that does not empty. Default 50 ms.
    pub target: Duration,
}

impl Default for LineConfig {
    fn default() -> Self {
        Self { longest: Duration::from_secs(1), target: Duration::from_millis(50) }
    }
}

/// Those who wait.
#[derive(Debug, Default)]
pub struct Line {
    waiting: Mutex<VecDeque<Arc<Notify>>>,
    count: AtomicU32,
    /// Since when there is always somebody, in microseconds.
    since: AtomicU64,
}

impl Line {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.count.load(SeqCst)
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes to the end of the line; how long to stay there at most. `free`: whether there is room after all, asked once the
    /// place is taken, so that nobody sleeps through the last one who leaves.
    pub fn join(
        self: &Arc<Self>,
        config: LineConfig,
        now: Moment,
        free: impl FnOnce() -> bool,
    ) -> (Place, Duration) {
        let notify = Arc::new(Notify::new());
        {
            let mut waiting = self.lock();
            if waiting.is_empty() {
                self.since.store(now.as_micros(), Relaxed);
            }
            waiting.push_back(Arc::clone(&notify));
            self.count.fetch_add(1, SeqCst);
        }
        let stood = now.since(Moment::from_micros(self.since.load(Relaxed)));
        if free() {
            self.next();
        }
        let limit = if stood >= STANDING { config.target.min(config.longest) } else { config.longest };
        (Place { line: Arc::clone(self), notify, called: false }, limit)
    }

    /// Somebody has left: calls the next one.
    pub fn next(&self) {
        if self.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        if let Some(first) = waiting.pop_front() {
            self.count.fetch_sub(1, SeqCst);
            first.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        // A panic under this lock leaves a list that is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line. Dropped, whoever is behind moves up.
#[derive(Debug)]
#[must_use = "dropped at once the place is given up"]
pub struct Place {
    line: Arc<Line>,
    notify: Arc<Notify>,
    called: bool,
}

impl Place {
    /// Waits to be called.
    pub async fn called(&mut self) {
        self.notify.notified().await;
        self.called = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.called {
            return;
        }
        let left = {
            let mut waiting = self.line.lock();
            let place = waiting.iter().position(|other| Arc::ptr_eq(other, &self.notify));
            place.and_then(|place| waiting.remove(place)).is_some()
        };
        if left {
            self.line.count.fetch_sub(1, SeqCst);
        } else {
            // The call came when nobody was there to hear it.
            self.line.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::at;
    use std::task::{Context, Poll, Waker};

    fn is_called(place: &mut Place) -> bool {
        let mut called = std::pin::pin!(place.called());
        matches!(called.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()))
    }

    fn join(line: &Arc<Line>, ms: u64) -> (Place, Duration) {
        line.join(LineConfig::default(), at(ms), || false)
    }

    #[test]
    fn who_waits_longest_is_called_first() {
        let line = Arc::new(Line::default());
        let ((mut one, _), (mut two, _)) = (join(&line, 0), join(&line, 0));
        line.next();
        assert!(is_called(&mut one) && !is_called(&mut two));
        assert_eq!(line.len(), 1);
        line.next();
        assert!(is_called(&mut two) && line.is_empty());
    }

    #[test]
    fn a_burst_may_wait_and_a_standing_line_may_not() {
        let line = Arc::new(Line::default());
        let (first, limit) = join(&line, 0);
        assert_eq!(limit, Duration::from_secs(1));
        for (ms, limit) in [(50, 1_000), (99, 1_000), (100, 50), (5_000, 50)] {
            assert_eq!(join(&line, ms).1, Duration::from_millis(limit), "{ms}");
        }
        drop(first);
        assert!(line.is_empty());
        // Once empty it is a new line.
        assert_eq!(join(&line, 6_000).1, Duration::from_secs(1));
    }

    #[test]
    fn a_call_to_one_who_has_left_goes_to_the_next() {
        let line = Arc::new(Line::default());
        let ((one, _), (mut two, _)) = (join(&line, 0), join(&line, 0));
        line.next();
        drop(one);
        assert!(is_called(&mut two));
        let ((one, _), (mut two, _)) = (join(&line, 0), join(&line, 0));
        drop(one);
        line.next();
        assert!(is_called(&mut two));
    }

    #[test]
    fn room_that_came_while_the_place_was_taken_is_not_slept_through() {
        let line = Arc::new(Line::default());
        let (mut place, _) = line.join(LineConfig::default(), at(0), || true);
        assert!(is_called(&mut place));
    }
}
