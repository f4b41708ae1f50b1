//! Deadlines: how long a test waits, and the one loop that waits for what makes no event.
//!
//! Whatever can wake the waiter (a socket, a channel, a child's output) is waited for directly and not here.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far above what a loaded machine needs, so that only a real
/// fault reaches it, and below the 30 s after which the test runner ends a test without a word.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// So many seconds.
#[must_use]
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many milliseconds.
#[must_use]
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Asks `look` until it has an answer, every few milliseconds, and gives that answer.
///
/// # Panics
/// When `within` has passed; the text is `what` it waited for.
#[track_caller]
pub fn eventually<T>(within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {within:?} in vain: {what}");
        thread::sleep(millis(5));
    }
}

/// A moment in the future that several waits share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    /// What is left, never zero: a socket takes a zero time-out for "wait for ever".
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_wait() {
        let mut asked = 0;
        let answer = eventually(PATIENCE, "the third question", || {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!((answer, asked), ("yes", 3));
    }

    #[test]
    #[should_panic(expected = "in vain: rain")]
    fn a_vain_wait_names_what_it_waited_for() {
        eventually(millis(20), "rain", || None::<()>);
    }
}
