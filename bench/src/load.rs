//! The load generator: closed loops over a fixed number of connections, bounded in count and in time.
//!
//! Every answer is checked; a wrong one is a failure and never part of the count of work done.

mod bulk;
mod exchange;
mod get;
mod idle;
mod source;
mod tunnel;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::command_line::Flags;
use crate::outcome::Outcome;
use source::Sources;
use tunnel::Via;

/// What every mode needs to know.
#[derive(Debug)]
struct Plan {
    /// Where connections go: the proxy, or a relay or the origin itself.
    proxy: SocketAddrV4,
    /// How the far side is asked for.
    via: Via,
    /// Port of the origin that tunnels lead to; its addresses are cycled through.
    port: u16,
    /// Connections open at once.
    workers: usize,
    /// Units of work: requests, tunnels or downloads.
    count: u64,
    /// Whether connections carry more than one plain request.
    reuse: Reuse,
    /// Bytes of one download.
    bytes: u64,
    /// Where connections come from.
    sources: Sources,
    /// No new unit is started after this.
    until: Instant,
}

/// What a client does with a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reuse {
    /// Sends the next request on it, unless the answer says that it closes.
    UntilToldOtherwise,
    /// Opens another: for a proxy that closes without saying so.
    Never,
}

/// How long units under way at the end may take to finish before they count as failed.
const GRACE: Duration = Duration::from_secs(3);
/// A run that failed this often says no more by going on.
const FAILURES: u64 = 200;

/// Runs the load that `flags` describe.
///
/// # Errors
/// When the flags are not understood or the system refuses an epoll instance; what the proxy does wrong is
/// counted in the outcome.
pub fn run(flags: &Flags) -> anyhow::Result<Outcome> {
    let via: String = flags.value_or("via", "direct".to_owned())?;
    let plan = Plan {
        proxy: flags.value("proxy")?,
        via: match via.as_str() {
            "direct" => Via::Direct,
            "connect" => Via::Connect,
            "socks5" => Via::Socks5,
            other => bail!("--via {other}: direct, connect or socks5"),
        },
        port: flags.value("port")?,
        workers: flags.value_or("workers", 1)?,
        count: flags.value("count")?,
        reuse: match flags.value_or("reuse", "yes".to_owned())?.as_str() {
            "yes" => Reuse::UntilToldOtherwise,
            "no" => Reuse::Never,
            other => bail!("--reuse {other}: yes or no"),
        },
        bytes: flags.value_or("bytes", 0)?,
        sources: Sources::new(),
        until: Instant::now() + Duration::from_secs(flags.value_or("max-seconds", 60)?),
    };
    let start = Instant::now();
    let mode: String = flags.value("mode")?;
    let mut outcome = match mode.as_str() {
        "get" => get::run(&plan)?,
        "exchange" => exchange::run(&plan)?,
        "bulk" => bulk::run(&plan),
        "idle" => idle::run(&plan)?,
        other => bail!("--mode {other}: get, exchange, bulk or idle"),
    };
    outcome.elapsed = start.elapsed();
    Ok(outcome)
}
