//! The program's own messages: where they go, which are shown, and what a panic says.
//!
//! They go to standard error, one line each, with `--json` one JSON object each. Other people's crates are silent
//! below `debug`: they do not know what is sensitive here. Not here: the access log (`log`), events for the program
//! that started us (`run/events`).

use crate::config::Surroundings;
use crate::config::file::MessageLevel;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The variable that sets the level over the configuration: a word such as `debug`, or directives of `tracing`.
pub const VARIABLE: &str = "SHOALWAY_LOG";

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics of this process so far.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Relaxed)
}

/// Changes the level while the program runs.
pub struct Messages {
    filter: reload::Handle<EnvFilter, Registry>,
    fixed: bool,
}

impl Messages {
    /// Begins to show messages. To be called once a process.
    ///
    /// # Errors
    /// When messages are shown already.
    pub fn start(level: MessageLevel, json: bool, surroundings: &Surroundings) -> Result<Self, TryInitError> {
        let wanted = surroundings.filled(VARIABLE);
        let filter = match wanted {
            Some(text) => EnvFilter::new(word(text).map_or_else(|| text.to_owned(), directives)),
            None => EnvFilter::new(directives(level)),
        };
        let (filter, handle) = reload::Layer::new(filter);
        let registry = tracing_subscriber::registry().with(filter);
        if json {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()?;
        } else {
            let colours = std::io::stderr().is_terminal() && surroundings.filled("NO_COLOR").is_none();
            let layer = fmt::layer().with_target(false).with_ansi(colours).with_writer(std::io::stderr);
            registry.with(layer).try_init()?;
        }
        std::panic::set_hook(Box::new(tell_panic));
        Ok(Self { filter: handle, fixed: wanted.is_some() })
    }

    /// Shows messages from this level on, unless the environment says another.
    pub fn set_level(&self, level: MessageLevel) {
        if !self.fixed && self.filter.reload(EnvFilter::new(directives(level))).is_err() {
            tracing::warn!("the level of messages could not be changed");
        }
    }
}

/// The place alone: a panic's text may hold what a peer sent.
fn tell_panic(info: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Relaxed);
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(at, thread = thread.name().unwrap_or_default(), "a fault of this program ended a task");
}

fn directives(level: MessageLevel) -> String {
    let (others, ours) = match level {
        MessageLevel::Error => ("off", "error"),
        MessageLevel::Warn => ("off", "warn"),
        MessageLevel::Info => ("off", "info"),
        MessageLevel::Debug => ("warn", "debug"),
        MessageLevel::Trace => ("debug", "trace"),
    };
    format!("{others},shoalway={ours}")
}

fn word(text: &str) -> Option<MessageLevel> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Some(MessageLevel::Error),
        "warn" => Some(MessageLevel::Warn),
        "info" => Some(MessageLevel::Info),
        "debug" => Some(MessageLevel::Debug),
        "trace" => Some(MessageLevel::Trace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_silent_at_info() {
        assert_eq!(directives(MessageLevel::Info), "off,shoalway=info");
        assert_eq!(word("Debug").map(directives).as_deref(), Some("warn,shoalway=debug"));
        assert_eq!(word("shoalway_net=trace").map(directives), None);
    }
}
