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
    /// Payload bytes received.
    pub bytes: u64,
    /// Wall-clock time of the run.
    pub elapsed: Duration,
    /// What went wrong first; empty when nothing did.
    pub first_error: String,
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
        let Self { done, failed, bytes, elapsed, first_error } = self;
        let error = first_error.replace('\n', " ");
        write!(
            f,
            "outcome done={done} failed={failed} bytes={bytes} ms={} error={error}",
            elapsed.as_millis()
        )
    }
}
