//! The access log: one line for each finished request, tunnel or association, in one of four forms.
//!
//! ```text
//! Record -> Shown: what the privacy level lets through -> a form: one line -> journal (net) -> writer: file, stdout
//! ```
//! Lines are composed on the shard, by hand and without allocation; a form sees only what [`shown`] hands out. The
//! writer has a thread of its own. The forms are described in docs/logging.md. Not here: buffers between shard and
//! writer (`net/journal`), the program's own messages (`run/messages`).

mod combined;
mod json;
mod logfmt;
mod shown;
mod squid;
mod text;
mod time;

pub mod writer;

#[cfg(test)]
mod tests;

pub use shown::masked;
pub use time::Moment;

use crate::config::file::{LogFormat, LogPrivacy};
use shoalway_net::journal::LineFormat;
use shoalway_types::Record;
use shown::Shown;

/// How lines look and how much they tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The form of a line.
    pub form: LogFormat,
    /// What it may tell.
    pub privacy: LogPrivacy,
}

impl LineFormat for Format {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let shown = Shown::of(record, self.privacy);
        match self.form {
            LogFormat::Json => json::write(&shown, out),
            LogFormat::Combined => combined::write(&shown, out),
            LogFormat::Squid => squid::write(&shown, out),
            LogFormat::Logfmt => logfmt::write(&shown, out),
        }
        out.push(b'\n');
    }
}
