//! What an exit may carry in 30 days, over restarts.
//!
//! The count stands in a file that is written every few minutes; what a crash loses of it is little. When all is carried
//! the exit takes no new streams until the 30 days are over. Not here: counting (`overlay/exit`).

use shoalway_overlay::exit::ExitPlan;
use shoalway_overlay::keys::files::{self, FileError};
use shoalway_overlay_proto::UnixTime;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

const WINDOW_SECONDS: u64 = 30 * 86_400;
const WRITE_SECONDS: u64 = 300;

/// The count of one exit.
pub struct Monthly {
    most: u64,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    since: UnixTime,
    used: u64,
    /// What the counters said when we looked last.
    seen: u64,
    written: UnixTime,
}

impl Monthly {
    /// At most so many bytes; goes on with what the file says.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open(path: &Path, most: u64, now: UnixTime) -> Result<Self, FileError> {
        let (since, used) = match files::read_text(path)? {
            None => (now, 0),
            Some(text) => parse(&text).ok_or_else(|| FileError::damaged(path, "it is not two numbers"))?,
        };
        let state = State { since, used, seen: 0, written: now };
        Ok(Self { most, path: path.to_owned(), state: Mutex::new(state) })
    }

    /// Counts what was carried since the last look, and closes or opens the exit.
    pub fn look(&self, exit: &ExitPlan, now: UnixTime) {
        let total = exit.counters.bytes_up.load(Relaxed) + exit.counters.bytes_down.load(Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let was_over = state.used >= self.most;
        *state = state.after(total, now);
        let is_over = state.used >= self.most;
        if was_over != is_over {
            exit.closed.store(is_over, Relaxed);
            tracing::warn!(is_over, "the exit's bytes of this month");
        } else if is_over {
            exit.closed.store(true, Relaxed);
        }
        if was_over != is_over || state.written.plus(WRITE_SECONDS) <= now {
            state.written = now;
            let text = format!("{} {}\n", state.since.0, state.used);
            if let Err(error) = files::replace(&self.path, text.as_bytes()) {
                tracing::warn!(%error, "what the exit has carried was not written down");
            }
        }
    }

    /// How much was carried since when, and how much may be.
    #[must_use]
    pub fn used(&self) -> (u64, UnixTime, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.used, state.since, self.most)
    }
}

impl State {
    fn after(self, total: u64, now: UnixTime) -> Self {
        let more = total.saturating_sub(self.seen);
        if self.since.plus(WINDOW_SECONDS) <= now {
            return Self { since: now, used: more, seen: total, ..self };
        }
        Self { used: self.used.saturating_add(more), seen: total, ..self }
    }
}

fn parse(text: &str) -> Option<(UnixTime, u64)> {
    let (since, used) = text.trim_end().split_once(' ')?;
    Some((UnixTime(since.parse().ok()?), used.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_thirty_days_are_over() {
        const NOW: UnixTime = UnixTime(1_800_000_000);
        let mut state = State { since: NOW, used: 5, seen: 0, written: NOW };
        for (total, days, used, why) in [
            (10, 0, 15, "what the file said, and ten more"),
            (10, 1, 15, "nothing more"),
            (30, 29, 35, "twenty more"),
            (31, 30, 1, "a new month"),
            (40, 31, 10, "and on"),
        ] {
            state = state.after(total, NOW.plus(days * 86_400));
            assert_eq!(state.used, used, "{why}");
        }
    }

    #[test]
    fn the_file_is_two_numbers() {
        for (text, wanted) in
            [("12 34\n", Some((UnixTime(12), 34))), ("12\n", None), ("", None), ("a 1\n", None)]
        {
            assert_eq!(parse(text), wanted, "{text}");
        }
    }
}
