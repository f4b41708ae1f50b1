//! The running program: everything is opened or nothing is, then clients are served until told to end.
//!
//! ```text
//! load, check -> limits of the system -> listeners, admin port, control socket, access log -> plans
//!             -> shards, one thread each -> listening -> control loop (`control`) -> end
//! ```
//! The main thread becomes the control thread: an ordinary runtime for all that wants `Send` futures. Nothing slow
//! stands before listening: no name is looked up and no trust anchor read unless the configuration needs it. Not here:
//! reload and drain (`reload`, `control`), what the parts are made of (`wiring`).

pub mod board;
pub mod events;
pub mod exporting;
pub mod failure;
pub mod gates;
pub mod holder;
pub mod keeping;
pub mod listeners;
pub mod messages;
pub mod notify;
pub mod opening;
pub mod resources;
pub mod shards;
pub mod watchers;

use crate::cli::{Exit, Output, show_report};
use crate::config::{Ending, Loaded, Request, load};
use crate::control;
use events::Events;
use failure::StartError;
use messages::Messages;
use notify::Notify;
use opening::Running;
use std::ffi::OsStr;
use std::io;

/// How the program says that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// By messages, or events with `--json`.
    Plain,
    /// With a few words about what to try.
    Banner,
}

/// Runs the proxy to its end.
///
/// # Errors
/// When the report of a bad configuration cannot be written.
pub fn run(request: Request, output: Output, greeting: Greeting) -> io::Result<Exit> {
    let loaded = match load(&request) {
        Ok(loaded) => loaded,
        Err(report) => {
            show_report(&report, Ending::Start, &output)?;
            if output.is_json() {
                output.complain(&report.to_text(Ending::Start))?;
            }
            return Ok(Exit::BadConfig);
        }
    };
    let events = Events::new(output.is_json());
    Ok(match serve(request, loaded, events, greeting) {
        Ok(exit) => exit,
        Err(error) => {
            events.failed(error.code(), &error.to_string(), &error.hint());
            error.exit()
        }
    })
}

fn serve(request: Request, loaded: Loaded, events: Events, greeting: Greeting) -> Result<Exit, StartError> {
    let level = match greeting {
        Greeting::Plain => loaded.settings.log.level,
        // The banner has said it already.
        Greeting::Banner => quieter(loaded.settings.log.level),
    };
    let messages = Messages::start(level, events.is_json(), &request.surroundings)
        .map_err(|error| StartError::System { what: "messages", source: io::Error::other(error) })?;
    if loaded.report.warnings() > 0 {
        events.warnings(&loaded.report.to_json(), &loaded.report.to_text(Ending::Start));
    }
    let notify = Notify::new(request.surroundings.filled("NOTIFY_SOCKET").map(OsStr::new));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::System { what: "runtime", source })?;
    runtime.block_on(async {
        let signals =
            control::Signals::new().map_err(|source| StartError::System { what: "signals", source })?;
        // Boxed: both are as long as the program, and large.
        let opening = Box::pin(Running::open(request, loaded, events, notify, messages));
        let (running, commands) = opening.await?;
        if greeting == Greeting::Banner && !events.is_json() {
            crate::start::banner(&running);
        }
        Ok(Box::pin(control::control(running, signals, commands)).await)
    })
}

const fn quieter(level: crate::config::file::MessageLevel) -> crate::config::file::MessageLevel {
    use crate::config::file::MessageLevel as Level;
    match level {
        Level::Info => Level::Warn,
        Level::Error | Level::Warn | Level::Debug | Level::Trace => level,
    }
}
