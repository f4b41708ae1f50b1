//! Opens connections to Unix sockets of this machine that the operator configured. Guard and rules do not apply.

use super::{DialError, Dialer};
use std::path::Path;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

impl Dialer {
    /// Opens a connection to the Unix socket at `path`.
    ///
    /// # Errors
    /// [`DialError`]; nothing has been sent. A socket that is not there is a refusal of the far side.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was begun.
    pub async fn dial_unix(&self, path: &Path, deadline: Instant) -> Result<UnixStream, DialError> {
        let started = Instant::now();
        match timeout_at(deadline, UnixStream::connect(path)).await {
            Ok(done) => done.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    DialError::Connect(std::io::ErrorKind::ConnectionRefused.into())
                }
                _ => DialError::from_io(error),
            }),
            Err(_elapsed) => Err(DialError::Timeout { after: deadline.saturating_duration_since(started) }),
        }
    }
}
