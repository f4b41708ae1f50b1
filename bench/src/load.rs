//! The load generator: closed loops over a fixed number of connections, or a fixed rate; bounded in count and in time.
//!
//! Every answer is checked; a wrong one is a failure and never part of the count of work done.

mod body;
mod bulk;
mod exchange;
mod get;
mod handshake;
mod idle;
mod paced;
mod reply;
mod round_trips;
mod source;
mod tunnel;
mod websocket;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::command_line::Flags;
use crate::outcome::Outcome;
use crate::wire::TargetForm;
use crate::{origin, wire};
use source::Sources;
use tunnel::Via;

/// What every mode needs to know.
#[derive(Debug)]
struct Plan {
    /// Where connections go: the proxy, or a relay or the origin itself.
    proxy: SocketAddrV4,
    /// How the far side is asked for, where each unit does not say itself who asks ([`Plan::via`]).
    via: Via,
    /// Users that SOCKS5 tunnels are asked for by, in turn; 0 is without log-in.
    users: u64,
    /// Port of the origin that tunnels lead to; its addresses are cycled through.
    port: u16,
    /// Connections open at once.
    workers: usize,
    /// Units of work: requests, tunnels or downloads.
    count: u64,
    /// Whether connections carry more than one plain request.
    reuse: Reuse,
    /// What becomes of a request whose kept-alive connection closes before any byte of the answer.
    unanswered: Unanswered,
    /// Bytes of one download or body; 0 is the ordinary page.
    bytes: u64,
    /// Units due each second; only where load comes at a fixed rate.
    rate: f64,
    /// Name of the site that is asked for; else the origin's address.
    host: String,
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

/// What a client makes of a kept-alive connection that ends under its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unanswered {
    /// A failure: nothing ends connections in this measurement.
    Fails,
    /// It is sent once more on a new connection (RFC 9112 section 9.3.1) and counted as such.
    IsSentAgain,
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
    let plan = Plan::read(flags)?;
    let start = Instant::now();
    let mode: String = flags.value("mode")?;
    let mut outcome = match mode.as_str() {
        "get" => get::run(&plan)?,
        "paced" => paced::run(&plan)?,
        "body" => body::run(&plan)?,
        "round-trips" => round_trips::run(&plan)?,
        "first-byte" => round_trips::first_byte(&plan)?,
        "handshake" => handshake::run(&plan)?,
        "exchange" => exchange::run(&plan)?,
        "bulk" => bulk::run(&plan),
        "idle" => idle::run(&plan, idle::tunnel)?,
        "idle-get" => idle::run(&plan, idle::page)?,
        "websocket" => websocket::run(&plan)?,
        other => {
            bail!(
                "--mode {other}: get, paced, body, handshake, exchange, round-trips, first-byte, bulk, idle, idle-get or websocket"
            )
        }
    };
    outcome.elapsed = start.elapsed();
    Ok(outcome)
}

impl Plan {
    fn read(flags: &Flags) -> anyhow::Result<Self> {
        let via: String = flags.value_or("via", "direct".to_owned())?;
        let port: u16 = flags.value("port")?;
        Ok(Self {
            proxy: flags.value("proxy")?,
            via: match via.as_str() {
                "direct" => Via::Direct,
                "connect" => Via::Connect,
                "socks5" => Via::Socks5,
                other => bail!("--via {other}: direct, connect or socks5"),
            },
            users: flags.value_or("users", 0)?,
            port,
            workers: flags.value_or("workers", 1)?,
            count: flags.value("count")?,
            reuse: match flags.value_or("reuse", "yes".to_owned())?.as_str() {
                "yes" => Reuse::UntilToldOtherwise,
                "no" => Reuse::Never,
                other => bail!("--reuse {other}: yes or no"),
            },
            unanswered: match flags.value_or("again", "no".to_owned())?.as_str() {
                "yes" => Unanswered::IsSentAgain,
                "no" => Unanswered::Fails,
                other => bail!("--again {other}: yes or no"),
            },
            bytes: flags.value_or("bytes", 0)?,
            rate: flags.value_or("rate", 0.0)?,
            host: flags.value_or("host", SocketAddrV4::new(origin::address(0), port).to_string())?,
            sources: Sources::new(),
            until: Instant::now() + Duration::from_secs(flags.value_or("max-seconds", 60)?),
        })
    }

    /// How the far side of the unit of this number is asked for.
    const fn via(&self, index: u64) -> Via {
        match self.via {
            Via::Socks5 if self.users > 0 => Via::Socks5As(index % self.users),
            Via::Direct | Via::Connect | Via::Socks5 | Via::Socks5As(_) => self.via,
        }
    }

    /// The GET of this plan, and the length of the body it asks for.
    fn request(&self) -> (Vec<u8>, u64) {
        let form = if self.via == Via::Connect { TargetForm::Absolute } else { TargetForm::Origin };
        let body = if self.bytes == 0 { wire::BODY } else { self.bytes };
        (wire::get_request(&self.host, &wire::path(self.bytes), form), body)
    }
}
