//! What one listener for byte streams is configured to do. Built by `app`, immutable, shared by all shards.
//!
//! Not here: reading it from a file (`app`), what a shard makes of it (`tcp_gateway.rs`), datagrams (`udp_gateway.rs`).
//!
//! `TCP_DEFER_ACCEPT` and TCP Fast Open (RFC 7413) are not offered: no library that we use sets them without `unsafe`. What
//! [`AcceptMode::Defer`] does instead is done here: nothing is spent on a client that has said nothing.

mod counters;
mod facts;

pub use counters::StreamCounters;
pub(crate) use facts::Facts;

use crate::moment::{Epoch, Moment};
use crate::sni::SniMap;
use crate::tcp_gateway::TcpGateway;
use crate::tcp_gateway::gate::GateMode;
use crate::upstream::Upstream;
use shoalway_net::clock;
use shoalway_net::dialer::Dialer;
use shoalway_net::listener::Inbound;
use shoalway_net::shard::Shard;
use shoalway_net::tls_server::TlsServer;
use shoalway_policy::{CidrSet, RateTable};
use shoalway_wire::client_hello;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One listener for byte streams.
pub struct StreamPlan {
    /// Name of the listener, for logs and metrics.
    pub listener: Arc<str>,
    /// Where streams go.
    pub route: Route,
    /// When the connection to an endpoint is opened.
    pub accept: AcceptMode,
    /// What the listener does while no endpoint is healthy; whoever opens it runs [`crate::tcp_gateway::gate::watch`].
    pub gate: GateMode,
    /// Whether connections begin with a PROXY header.
    pub proxy_in: ProxyIn,
    /// TLS with clients, which ends here: the endpoint gets what is inside. Not together with [`Route::Sni`], which looks at
    /// hellos of connections that stay closed; there it is not used. Default: none, what comes is carried as it is.
    pub tls: Option<TlsServer>,
    /// Whether endpoints are told who the client is.
    pub proxy_out: ProxyOut,
    /// Deadlines and bounds.
    pub limits: StreamLimits,
    /// How many connections a client network may open in a time; `None`: any number. Kept over reloads by whoever
    /// builds the plan.
    pub rate: Option<Arc<RateTable>>,
    /// Opens connections to endpoints.
    pub dialer: Dialer,
    /// Where moments count from: the upstreams' registry knows.
    pub epoch: Epoch,
    /// What is counted, one a shard. Kept over reloads by whoever builds the plan.
    pub counters: Arc<[StreamCounters]>,
}

/// Where streams go.
pub enum Route {
    /// All to one upstream, unseen.
    One(Arc<Upstream>),
    /// By what a TLS hello asks for.
    Sni(SniMap<Arc<Upstream>>),
}

impl Route {
    /// Where a stream goes of which nothing is known yet, and may stay so.
    pub(crate) fn unseen(&self) -> Option<&Arc<Upstream>> {
        match self {
            Self::One(upstream) => Some(upstream),
            Self::Sni(map) => map.without_hello(),
        }
    }

    /// All upstreams, some perhaps more than once.
    pub fn upstreams(&self) -> Vec<&Arc<Upstream>> {
        match self {
            Self::One(upstream) => vec![upstream],
            Self::Sni(map) => map.all().collect(),
        }
    }

    pub(crate) const fn reads_hello(&self) -> bool {
        matches!(self, Self::Sni(_))
    }
}

/// When the connection to an endpoint is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptMode {
    /// When it is known where the stream goes: at once where all go to one upstream, else after the hello.
    Lazy,
    /// At once, while the PROXY header and the hello are still awaited: to where streams go of which nothing is known.
    /// When the endpoint speaks first, the stream goes there, so a protocol in which the server begins never waits. When
    /// the hello says otherwise, the connection is given up and another opened.
    Eager,
    /// As [`AcceptMode::Lazy`], but with connections that are open already where there are some.
    Preconnect(Preconnect),
    /// When the client has sent something: a connection that says nothing costs no endpoint anything. Not for protocols
    /// in which the server begins.
    Defer,
}

/// Connections that are open before anybody needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preconnect {
    /// Idle ones a shard keeps for one endpoint, 1 to 64. Default 2.
    pub idle: usize,
    /// After this an idle one is replaced, 1 s to 1 h; below the endpoint's own patience. Default 20 s.
    pub age: Duration,
}

impl Default for Preconnect {
    fn default() -> Self {
        Self { idle: 2, age: Duration::from_secs(20) }
    }
}

/// Whether connections begin with a PROXY header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyIn {
    /// No: what comes is payload.
    Off,
    /// Each must, and only these peers may connect: whoever may send a header may choose its own address.
    From(CidrSet),
}

/// Whether endpoints are told who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyOut {
    /// No.
    Off,
    /// By the line of version 1.
    V1,
    /// By the binary form of version 2.
    V2(Additions),
}

/// What else a version 2 header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Additions {
    /// CRC32C over the header.
    pub checksum: bool,
    /// The name of the hello, where it was read before the header is sent, or that the incoming header tells.
    pub authority: bool,
    /// Of TLS that has ended here: its version and cipher, whether the client has shown a certificate, and what was agreed to
    /// be spoken inside (SSL and ALPN).
    pub tls: bool,
    /// The incoming header's id of the connection, or a new one of 32 hexadecimal digits.
    pub unique_id: bool,
}

/// Deadlines and bounds of one listener for streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// From the accept to the end of PROXY header and hello, or to the first byte that [`AcceptMode::Defer`] awaits.
    /// Default 10 s.
    pub head: Duration,
    /// One try to connect to an endpoint. Default 5 s.
    pub connect: Duration,
    /// Silence in both directions. Default 10 min.
    pub idle: Duration,
    /// The whole stream; `None`, the default: no limit.
    pub total: Option<Duration>,
    /// Endpoints that are tried for one stream, the first included, 1 to 16. Default 3; the retry budget holds too.
    pub tries: u8,
    /// Bytes a hello may take, 512 to 16,384. Default 16,384.
    pub hello: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            idle: Duration::from_mins(10),
            total: None,
            tries: 3,
            hello: client_hello::DEFAULT_LIMIT,
        }
    }
}

impl StreamPlan {
    /// A plan with every default.
    #[must_use]
    pub fn new(
        listener: impl Into<Arc<str>>,
        route: Route,
        dialer: Dialer,
        epoch: Epoch,
        shards: usize,
    ) -> Self {
        Self {
            listener: listener.into(),
            route,
            accept: AcceptMode::Lazy,
            gate: GateMode::default(),
            proxy_in: ProxyIn::Off,
            tls: None,
            proxy_out: ProxyOut::Off,
            limits: StreamLimits::default(),
            rate: None,
            dialer,
            epoch,
            counters: StreamCounters::for_shards(shards),
        }
    }

    /// The plan on one shard: what is put behind its listener. Streams that are open keep what was decided for them.
    #[must_use]
    pub fn on(self: &Arc<Self>, shard: &Rc<Shard>) -> Rc<dyn Inbound> {
        TcpGateway::inbound(Arc::clone(self), shard)
    }

    /// The moment of this turn.
    pub(crate) fn now(&self) -> Moment {
        self.epoch.moment(clock::now())
    }

    /// Whether a client may open one more connection now.
    pub(crate) fn keeps_rate(&self, client: IpAddr) -> bool {
        keeps_rate(self.rate.as_deref(), client, self.now())
    }
}

/// Whether a client is within its network's rate.
pub(crate) fn keeps_rate(rate: Option<&RateTable>, client: IpAddr, now: Moment) -> bool {
    rate.is_none_or(|rate| rate.admit(client, Duration::from_micros(now.as_micros())).is_ok())
}
