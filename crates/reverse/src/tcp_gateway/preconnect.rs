//! Connections to endpoints that are open before anybody needs them: `accept = preconnect`.
//!
//! Each shard keeps a few for every healthy endpoint. One that is taken is looked at first: ended ones are thrown away, and
//! what a server has said already (a banner) is kept for the client. Those that grow old are replaced. An endpoint that
//! cannot be reached is asked again at the next sweep only. Not here: the choice of the endpoint (`link.rs`).

use super::TcpGateway;
use super::link::Opened;
use crate::stream_plan::{AcceptMode, Preconnect};
use crate::upstream::{Address, Endpoint};
use shoalway_net::buffers::Class;
use shoalway_net::clock;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// The idle connections of one listener on one shard, by the id of the endpoint's state.
pub(super) struct Ready {
    config: Option<Preconnect>,
    endpoints: RefCell<HashMap<u64, Idle>>,
}

#[derive(Default)]
struct Idle {
    open: Vec<(Instant, Opened)>,
    opening: usize,
}

impl Ready {
    pub(super) fn new(accept: AcceptMode) -> Self {
        let config = match accept {
            AcceptMode::Preconnect(config) => {
                Some(Preconnect { idle: config.idle.clamp(1, MOST_IDLE), ..config })
            }
            AcceptMode::Lazy | AcceptMode::Eager | AcceptMode::Defer => None,
        };
        Self { config, endpoints: RefCell::default() }
    }
}

/// Opens the first connections, and keeps them fresh for as long as the gateway lives.
pub(super) fn begin(gateway: &Rc<TcpGateway>, shard: &Rc<Shard>) {
    let Some(config) = gateway.ready.config else { return };
    let (weak, own) = (Rc::downgrade(gateway), Rc::clone(shard));
    shard.tasks().spawn(async move {
        let pause = (config.age / 4).max(SHORTEST_PAUSE);
        while let Some(gateway) = weak.upgrade().filter(|_| !own.is_draining()) {
            gateway.sweep(&own, config);
            drop(gateway);
            tokio::time::sleep(pause).await;
        }
    });
}

impl TcpGateway {
    /// An idle connection to this endpoint that is still alive; another one is opened in its place.
    pub(super) fn take_ready(self: &Rc<Self>, shard: &Rc<Shard>, endpoint: &Endpoint) -> Option<Opened> {
        let config = self.ready.config?;
        let id = endpoint.state().id();
        let found = self.pop_alive(shard, id);
        if let (Some(_), Some(counters)) = (&found, self.counters(shard)) {
            counters.preconnect_used.add(1);
        }
        self.refill(shard, id, &endpoint.key().address, config);
        found
    }

    fn pop_alive(&self, shard: &Rc<Shard>, id: u64) -> Option<Opened> {
        loop {
            let (_, (mut stream, addr)) = self.ready.endpoints.borrow_mut().get_mut(&id)?.open.pop()?;
            if is_alive(shard, &mut stream) {
                return Some((stream, addr));
            }
            self.count_stale(shard, 1);
        }
    }

    fn count_stale(&self, shard: &Shard, n: usize) {
        if let Some(counters) = self.counters(shard) {
            counters.preconnect_stale.add(n as u64);
        }
    }

    /// Opens as many as are missing for one endpoint.
    fn refill(self: &Rc<Self>, shard: &Rc<Shard>, id: u64, address: &Address, config: Preconnect) {
        let mut endpoints = self.ready.endpoints.borrow_mut();
        let idle = endpoints.entry(id).or_default();
        let missing = config.idle.saturating_sub(idle.open.len() + idle.opening);
        idle.opening += missing;
        drop(endpoints);
        for _ in 0..missing {
            let opening = Opening { gateway: Rc::downgrade(self), id };
            shard.tasks().spawn(opening.run(Rc::clone(shard), address.clone()));
        }
    }

    /// Throws away what is dead, old, or of endpoints that are gone; fills up what healthy ones lack.
    fn sweep(self: &Rc<Self>, shard: &Rc<Shard>, config: Preconnect) {
        let now = self.plan.now();
        let sets: Vec<_> = self.plan.route.upstreams().into_iter().map(|upstream| upstream.set()).collect();
        let wanted: HashMap<u64, &Endpoint> = sets
            .iter()
            .flat_map(|set| set.endpoints())
            .filter(|endpoint| endpoint.is_available() && endpoint.state().is_healthy(now))
            .map(|endpoint| (endpoint.state().id(), endpoint))
            .collect();
        let mut stale = 0;
        self.ready.endpoints.borrow_mut().retain(|id, idle| {
            let before = idle.open.len();
            let still = wanted.contains_key(id);
            idle.open.retain_mut(|(since, (stream, _))| {
                still
                    && clock::now().saturating_duration_since(*since) < config.age
                    && is_alive(shard, stream)
            });
            stale += before - idle.open.len();
            still || idle.opening > 0
        });
        self.count_stale(shard, stale);
        for (id, endpoint) in wanted {
            self.refill(shard, id, &endpoint.key().address, config);
        }
    }
}

/// One connection being opened; counted as such until dropped.
struct Opening {
    gateway: Weak<TcpGateway>,
    id: u64,
}

impl Opening {
    async fn run(self, shard: Rc<Shard>, address: Address) {
        let Some(gateway) = self.gateway.upgrade() else { return };
        let deadline = shard.now() + gateway.plan.limits.connect;
        match gateway.open.open(&address, deadline).await {
            Ok(opened) => {
                shard.counters().upstream_connects.add(1);
                if let Some(idle) = gateway.ready.endpoints.borrow_mut().get_mut(&self.id) {
                    idle.open.push((clock::now(), opened));
                }
            }
            // Whoever needs the endpoint finds out for itself, and writes it down.
            Err(_unreachable) => shard.counters().upstream_failures.add(1),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Some(gateway) = self.gateway.upgrade() else { return };
        if let Some(idle) = gateway.ready.endpoints.borrow_mut().get_mut(&self.id) {
            idle.opening = idle.opening.saturating_sub(1);
        }
    }
}

/// Whether the far side has neither ended nor broken; what it has said stands in front of the stream afterwards.
fn is_alive(shard: &Shard, stream: &mut Stream) -> bool {
    if stream.early().len() >= MOST_SAID {
        return true;
    }
    let said = stream.early().len();
    let mut buffer = shard.buffers().take(Class::Medium);
    let mut cx = Context::from_waker(Waker::noop());
    while buffer.len() < said + MOST_SAID && !buffer.space().is_empty() {
        match stream.poll_fill(&mut cx, buffer.space()) {
            Poll::Pending => {
                stream.unread(buffer.filled());
                return true;
            }
            Poll::Ready(Ok(n)) if n > 0 => buffer.commit(n),
            Poll::Ready(_) => return false,
        }
    }
    stream.unread(buffer.filled());
    true
}

const MOST_IDLE: usize = 64;
/// Bytes of a banner after which no more is read before there is a client.
const MOST_SAID: usize = 4 << 10;
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
