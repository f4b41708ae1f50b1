//! What is told about one stream or one session of datagrams: collected while it lives, written once when it is dropped.
//!
//! However it ends, its facts are dropped, so every end reaches the access log and the counters exactly once. A session
//! keeps its decision here, and nothing of the plan that made it. Not here: formats and privacy of the log (`app`).

use shoalway_net::admission::Admitted;
use shoalway_net::clock;
use shoalway_net::counters::{ListenerCounters, VerbLabel};
use shoalway_net::shard::Shard;
use shoalway_types::{Host, Protocol, Record};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// What counts a session as open.
enum Counted {
    /// A connection that the listener let in.
    Connection(Admitted),
    /// A session of datagrams.
    Datagrams(Arc<ListenerCounters>),
}

impl Counted {
    const fn counters(&self) -> &Arc<ListenerCounters> {
        match self {
            Self::Connection(admitted) => admitted.counters(),
            Self::Datagrams(counters) => counters,
        }
    }
}

/// The facts of one session. No `Debug`: they are sensitive.
pub(crate) struct Facts {
    shard: Rc<Shard>,
    listener: Arc<str>,
    protocol: Protocol,
    counted: Counted,
    started: Instant,
    started_ms: u64,
    tunnel: bool,
    /// The client, as a believed header tells it.
    pub(crate) client: SocketAddr,
    /// `TCP`, `TLS` or `UDP`: what was seen of it.
    pub(crate) method: &'static str,
    /// The name of the hello.
    pub(crate) host: Option<Host>,
    /// The upstream's name.
    pub(crate) upstream: Option<Arc<str>>,
    /// The endpoint's address.
    pub(crate) addr: Option<SocketAddr>,
    /// Bytes from the client.
    pub(crate) up: u64,
    /// Bytes to the client.
    pub(crate) down: u64,
    /// How it ended: a stable word; `aborted` until there is a better one.
    pub(crate) outcome: &'static str,
}

impl Facts {
    pub(crate) fn stream(
        shard: &Rc<Shard>,
        listener: &Arc<str>,
        client: SocketAddr,
        admitted: Admitted,
    ) -> Self {
        Self::new(shard, listener, client, Protocol::StreamTcp, "TCP", Counted::Connection(admitted))
    }

    pub(crate) fn datagrams(
        shard: &Rc<Shard>,
        listener: &Arc<str>,
        client: SocketAddr,
        counters: &Arc<ListenerCounters>,
    ) -> Self {
        counters.accepted.add(1);
        counters.open.add(1);
        Self::new(
            shard,
            listener,
            client,
            Protocol::StreamUdp,
            "UDP",
            Counted::Datagrams(Arc::clone(counters)),
        )
    }

    fn new(
        shard: &Rc<Shard>,
        listener: &Arc<str>,
        client: SocketAddr,
        protocol: Protocol,
        method: &'static str,
        counted: Counted,
    ) -> Self {
        Self {
            shard: Rc::clone(shard),
            listener: Arc::clone(listener),
            protocol,
            counted,
            started: clock::now(),
            started_ms: clock::wall_ms(),
            tunnel: false,
            client,
            method,
            host: None,
            upstream: None,
            addr: None,
            up: 0,
            down: 0,
            outcome: "aborted",
        }
    }

    /// Its TLS hello was read.
    pub(crate) fn saw_hello(&mut self, name: Option<Host>) {
        (self.protocol, self.method, self.host) = (Protocol::StreamTls, "TLS", name);
    }

    /// An endpoint is connected: counted as a tunnel until the end.
    pub(crate) fn connected(&mut self, upstream: &Arc<str>, addr: Option<SocketAddr>) {
        self.upstream = Some(Arc::clone(upstream));
        self.addr = addr;
        if !std::mem::replace(&mut self.tunnel, true) {
            self.counted.counters().tunnels.add(1);
        }
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        let elapsed = clock::now().saturating_duration_since(self.started);
        let counters = self.counted.counters();
        if self.tunnel {
            counters.tunnels.sub(1);
        }
        if let Counted::Datagrams(counters) = &self.counted {
            counters.open.sub(1);
        }
        counters.request(if self.tunnel { VerbLabel::Direct } else { VerbLabel::None }, 0);
        counters.bytes_up.add(self.up);
        counters.bytes_down.add(self.down);
        counters.durations.observe(elapsed);
        if self.shard.journal().is_on() {
            self.tell(elapsed);
        }
    }
}

impl Facts {
    fn tell(&self, elapsed: std::time::Duration) {
        let addr_host = self.addr.map(|addr| Host::from(addr.ip()));
        self.shard.journal().write(&Record {
            started_ms: self.started_ms,
            elapsed,
            listener: &self.listener,
            protocol: self.protocol,
            client: self.client,
            user: None,
            method: self.method,
            host: self.host.as_ref().or(addr_host.as_ref()),
            port: self.addr.map_or(0, |addr| addr.port()),
            path: &[],
            status: 0,
            bytes_up: self.up,
            bytes_down: self.down,
            verb: self.upstream.as_deref().unwrap_or_default(),
            rule: 0,
            upstream: self.addr,
            outcome: self.outcome,
            user_agent: &[],
            referer: &[],
        });
    }
}
