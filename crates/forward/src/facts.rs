//! What is told about a tunnel, a BIND or an association: collected while it lives, written once when it is dropped.
//!
//! However a session ends, its facts are dropped, so every end reaches the access log and the counters exactly once.
//! They hold the decision and nothing of the configuration that made it. Not here: requests over HTTP, which settle
//! without an allocation (`inbound/http`); formats and privacy of the log (`app`).

use shoalway_net::admission::Admitted;
use shoalway_net::clock;
use shoalway_net::counters::VerbLabel;
use shoalway_net::shard::Shard;
use shoalway_types::{Protocol, Record, Target};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The facts of one session. No `Debug`: they are sensitive.
pub struct Facts {
    /// Where it lives.
    pub shard: Rc<Shard>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// What the client spoke.
    pub protocol: Protocol,
    /// The client's address.
    pub client: SocketAddr,
    /// Who logged in.
    pub user: Option<Rc<str>>,
    /// HTTP method or SOCKS command.
    pub method: Rc<str>,
    /// Where to; none for an association and for what was refused before that was known.
    pub target: Option<Rc<Target>>,
    /// Verb of the decision as the log has it; empty when none was made.
    pub verb: Arc<str>,
    /// The same as a label.
    pub label: VerbLabel,
    /// The rule that decided.
    pub rule: u32,
    /// When it began.
    pub started: Instant,
    /// Wall-clock time of that, milliseconds since 1970.
    pub started_ms: u64,
    /// How it went.
    pub told: Told,
    /// Counts the connection.
    pub admitted: Admitted,
}

/// How a session went; filled while it does.
#[derive(Default)]
pub struct Told {
    /// Code sent to the client: HTTP status or SOCKS reply.
    pub status: Cell<u16>,
    /// The same as HTTP would say it, for the counters.
    pub class: Cell<u16>,
    /// Address that was connected to.
    pub upstream: Cell<Option<SocketAddr>>,
    /// Bytes from the client.
    pub up: Cell<u64>,
    /// Bytes to the client.
    pub down: Cell<u64>,
    /// A stable word; `aborted` until there is a better one.
    pub outcome: Cell<Option<&'static str>>,
}

impl Facts {
    /// The method as rules see it: with SOCKS there is none.
    #[must_use]
    pub fn rule_method(&self) -> &str {
        match self.protocol {
            Protocol::Http | Protocol::Connect | Protocol::Upgrade => &self.method,
            Protocol::Socks4
            | Protocol::Socks5
            | Protocol::Udp
            | Protocol::StreamTcp
            | Protocol::StreamTls
            | Protocol::StreamUdp => "",
        }
    }

    /// How long it has lasted.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        clock::now().saturating_duration_since(self.started)
    }

    /// The code the client was told, and its equal in HTTP.
    pub fn say(&self, status: u16, class: u16) {
        self.told.status.set(status);
        self.told.class.set(class);
    }

    /// How it ended.
    pub fn end(&self, outcome: &'static str) {
        self.told.outcome.set(Some(outcome));
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        let (told, elapsed) = (&self.told, self.elapsed());
        let counters = self.admitted.counters();
        counters.request(self.label, told.class.get());
        counters.bytes_up.add(told.up.get());
        counters.bytes_down.add(told.down.get());
        counters.durations.observe(elapsed);
        self.shard.journal().write(&Record {
            started_ms: self.started_ms,
            elapsed,
            listener: &self.listener,
            protocol: self.protocol,
            client: self.client,
            user: self.user.as_deref(),
            method: &self.method,
            host: self.target.as_ref().map(|target| &target.host),
            port: self.target.as_ref().map_or(0, |target| target.port),
            path: &[],
            status: told.status.get(),
            bytes_up: told.up.get(),
            bytes_down: told.down.get(),
            verb: &self.verb,
            rule: self.rule,
            upstream: told.upstream.get(),
            outcome: told.outcome.get().unwrap_or("aborted"),
            user_agent: &[],
            referer: &[],
        });
    }
}
