//! What the running program tells about itself: read by the admin port at any time, changed by the control thread.
//!
//! Nothing here names a client, a user or a destination. Not here: how it is shown (`metrics`, `admin/status`).

use super::listeners::{Listening, Role};
use crate::config::Settings;
use crate::config::settings::{AccessLog, Transport};
use crate::log::writer::LogControl;
use arc_swap::ArcSwap;
use shoalway_net::counters::{ListenerCounters, STATUS_CLASSES, VERBS, VerbLabel};
use shoalway_net::fleet::Fleet;
use shoalway_reverse::trace::SpanCounters;
use shoalway_reverse::upstream::Upstream;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What the program is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Listeners are being set up.
    Starting,
    /// Clients are served.
    Ready,
    /// No new work is taken.
    Draining,
}

impl State {
    /// As `status` shows it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// The board.
pub struct Board {
    /// All shards, for their counters.
    pub fleet: Arc<Fleet>,
    /// The access log, for lines lost.
    pub log: LogControl,
    /// What became of spans.
    pub traces: Arc<SpanCounters>,
    /// When the program started.
    pub started: Instant,
    /// The same in seconds since 1970-01-01T00:00:00Z.
    pub started_s: u64,
    /// Reloads that took effect.
    pub reloads: AtomicU64,
    /// Reloads that were refused.
    pub reloads_refused: AtomicU64,
    state: AtomicU8,
    in_force: ArcSwap<InForce>,
}

/// What a configuration in force says.
#[derive(Default)]
pub struct InForce {
    /// All listeners.
    pub listeners: Vec<ListenerFacts>,
    /// All upstreams.
    pub upstreams: Vec<Arc<Upstream>>,
    /// All sites, with the addresses they are configured on.
    pub sites: Vec<(String, Vec<SocketAddr>)>,
    /// Counters of all listeners there ever were, by name.
    pub counters: Vec<Counted>,
    /// Rules, the implied one not counted.
    pub rules: usize,
    /// Exits.
    pub exits: usize,
    /// The file, if any.
    pub file: Option<PathBuf>,
    /// When it was loaded, in seconds since 1970-01-01T00:00:00Z.
    pub loaded_s: u64,
    /// The admin port, if any.
    pub admin: Option<SocketAddr>,
    /// Where the access log goes: `off`, `stdout` or `file`.
    pub access_log: &'static str,
    /// Most connections of clients at a time.
    pub connections: usize,
    /// Bytes buffers may take.
    pub memory: u64,
}

/// A listener as it is shown.
pub struct ListenerFacts {
    /// Where it really listens.
    pub address: SocketAddr,
    /// What it is for.
    pub role: Role,
    /// Connections or datagrams.
    pub transport: Transport,
}

impl ListenerFacts {
    /// Whether it speaks TLS.
    #[must_use]
    pub const fn tls(&self) -> bool {
        match &self.role {
            Role::Forward(settings) => settings.tls.is_some(),
            Role::Sites { tls } => *tls,
            Role::Stream(_) => false,
        }
    }
}

/// The counters of one listener, one for each shard.
#[derive(Clone)]
pub struct Counted {
    /// Its configured name, the label in metrics.
    pub name: Arc<str>,
    /// By shard.
    pub shards: Arc<[Arc<ListenerCounters>]>,
}

impl Counted {
    /// Fresh counters for a listener.
    #[must_use]
    pub fn new(name: &str, shards: usize) -> Self {
        Self { name: name.into(), shards: (0..shards).map(|_| Arc::default()).collect() }
    }

    /// The sum over all shards.
    #[must_use]
    pub fn sum(&self, of: impl Fn(&ListenerCounters) -> u64) -> u64 {
        self.shards.iter().map(|counters| of(counters)).sum()
    }

    /// Requests of all verbs and classes.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests_where(|_| true)
    }

    /// Requests of the verbs that fit.
    #[must_use]
    pub fn requests_where(&self, fits: impl Fn(VerbLabel) -> bool) -> u64 {
        let verbs = VERBS.iter().map(|(verb, _)| *verb).filter(|verb| fits(*verb));
        let places = verbs.flat_map(|verb| (0..STATUS_CLASSES.len()).map(move |class| (verb, class)));
        places.map(|(verb, class)| self.sum(|counters| counters.requests(verb, class))).sum()
    }
}

impl Board {
    /// A board for a program that is starting now.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, log: LogControl) -> Self {
        Self {
            fleet,
            log,
            traces: Arc::default(),
            started: Instant::now(),
            started_s: now_s(),
            reloads: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            state: AtomicU8::new(State::Starting as u8),
            in_force: ArcSwap::default(),
        }
    }

    /// What the program is doing.
    #[must_use]
    pub fn state(&self) -> State {
        match self.state.load(SeqCst) {
            0 => State::Starting,
            1 => State::Ready,
            _ => State::Draining,
        }
    }

    /// Says what the program does from now on.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, SeqCst);
    }

    /// What is in force.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Says what is in force from now on.
    pub fn set_in_force(&self, in_force: InForce) {
        self.in_force.store(Arc::new(in_force));
    }
}

impl InForce {
    /// What these settings and listeners say. Counters of listeners that are gone are those of `before`.
    #[must_use]
    pub fn new(
        settings: &Settings,
        listening: &[Listening],
        upstreams: &[Arc<Upstream>],
        before: &Self,
    ) -> Self {
        let mut counters = before.counters.clone();
        for one in listening {
            if !counters.iter().any(|known| Arc::ptr_eq(&known.shards, &one.counted.shards)) {
                counters.push(one.counted.clone());
            }
        }
        let facts = |one: &Listening| ListenerFacts {
            address: one.address,
            role: one.binding.role.clone(),
            transport: one.binding.transport,
        };
        Self {
            listeners: listening.iter().map(facts).collect(),
            upstreams: upstreams.to_vec(),
            sites: settings.sites.iter().map(|site| (site.name.clone(), site.listen.clone())).collect(),
            counters,
            rules: settings.rules.len(),
            exits: settings.exits.len(),
            loaded_s: now_s(),
            access_log: match settings.log.access {
                AccessLog::Off => "off",
                AccessLog::Stdout => "stdout",
                AccessLog::File(_) => "file",
            },
            ..Self::default()
        }
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
