//! What one listener for datagrams is configured to do, and what is counted of it.
//!
//! Not here: reading it from a file (`app`), what a shard makes of it (`udp_gateway.rs`).

use super::{Networks, UdpGateway};
use crate::moment::{Epoch, Moment};
use crate::upstream::Upstream;
use shoalway_net::clock;
use shoalway_net::counters::{Counter, ListenerCounters};
use shoalway_net::dialer::Dialer;
use shoalway_net::shard::Shard;
use shoalway_policy::RateTable;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One listener for datagrams. Built by `app`, immutable, shared by all shards.
pub struct DatagramPlan {
    /// Name of the listener, for logs and metrics.
    pub listener: Arc<str>,
    /// Where datagrams go; its endpoints are addresses or names, no Unix sockets.
    pub upstream: Arc<Upstream>,
    /// Deadlines and bounds.
    pub limits: DatagramLimits,
    /// How many sessions a client network may begin in a time; `None`: any number. Kept over reloads.
    pub rate: Option<Arc<RateTable>>,
    /// Its resolver looks endpoints' names up.
    pub dialer: Dialer,
    /// Where moments count from: the upstreams' registry knows.
    pub epoch: Epoch,
    /// Sessions by client network, of all shards. Kept over reloads.
    pub networks: Arc<Networks>,
    /// What is counted, one a shard. Kept over reloads.
    pub counters: Arc<[DatagramCounters]>,
}

/// Deadlines and bounds of one listener for datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatagramLimits {
    /// Sessions of all clients on all shards; each has a descriptor. Default 4,096.
    pub sessions: usize,
    /// Sessions of one client network, IPv4 address or IPv6 /64; 0: no bound of its own. Default 256.
    pub per_network: usize,
    /// Silence in both directions of a session that was answered. Default 60 s.
    pub idle: Duration,
    /// The same before the first answer, so that senders who invent their address hold little. Default 10 s.
    pub unanswered: Duration,
    /// Largest datagram, both ways, 1 to 65,507. Default 65,507.
    pub size: usize,
    /// Datagrams of one session that wait for its socket, 1 to 256; all but the first in 16 KiB. Default 16.
    pub waiting: usize,
    /// Endpoints tried for one session while none has answered, the first included, 1 to 16. Default 3.
    pub tries: u8,
}

impl Default for DatagramLimits {
    fn default() -> Self {
        Self {
            sessions: 4_096,
            per_network: 256,
            idle: Duration::from_mins(1),
            unanswered: Duration::from_secs(10),
            size: 65_507,
            waiting: 16,
            tries: 3,
        }
    }
}

impl DatagramPlan {
    /// A plan with every default.
    #[must_use]
    pub fn new(
        listener: impl Into<Arc<str>>,
        upstream: Arc<Upstream>,
        dialer: Dialer,
        epoch: Epoch,
        shards: usize,
    ) -> Self {
        Self {
            listener: listener.into(),
            upstream,
            limits: DatagramLimits::default(),
            rate: None,
            dialer,
            epoch,
            networks: Arc::default(),
            counters: DatagramCounters::for_shards(shards),
        }
    }

    /// Begins to serve one shard's socket, which [`shoalway_net::udp::bind_shared`] has opened.
    ///
    /// # Errors
    /// When the runtime does not take the socket.
    pub fn on(
        self: &Arc<Self>,
        shard: &Rc<Shard>,
        socket: std::net::UdpSocket,
        counters: Arc<ListenerCounters>,
    ) -> io::Result<Rc<UdpGateway>> {
        UdpGateway::start(Arc::clone(self), shard, socket, counters)
    }

    /// The moment of this turn.
    pub(crate) fn now(&self) -> Moment {
        self.epoch.moment(clock::now())
    }
}

/// What one shard counts for one listener of datagrams, beside what every listener counts.
#[derive(Debug, Default)]
pub struct DatagramCounters {
    /// No session: the client's network began too many in a time.
    pub rate_limited: Counter,
    /// No session: the client's network has as many as it may.
    pub network_full: Counter,
    /// No session: there are as many as there may be.
    pub full: Counter,
    /// Datagrams over the size limit, either way.
    pub oversized: Counter,
    /// Datagrams dropped because a socket or a session's queue was full.
    pub dropped: Counter,
    /// Another endpoint was taken after one that refused.
    pub retries: Counter,
}

impl DatagramCounters {
    /// Counters for so many shards, all at nothing.
    #[must_use]
    pub fn for_shards(shards: usize) -> Arc<[Self]> {
        (0..shards.max(1)).map(|_| Self::default()).collect()
    }
}
