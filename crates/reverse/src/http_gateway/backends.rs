//! Backends on one shard: for each endpoint its idle connections and a worker that opens more.
//!
//! Found by the number of the endpoint's state, so that a change of the endpoints' list costs nothing until one of them
//! is picked. Not here: the choice (`balance`), tries (`attempt.rs`).

use crate::breaker::Bound;
use crate::http_gateway::endpoint::EndpointConnect;
use crate::site_plan::{Backend, Protocol};
use crate::upstream::{Address, Endpoint, Picked, Scheme, Upstream};
use shoalway_http::h2::{H2Upstream, UpstreamScheme};
use shoalway_http::pool::{self, Pool, UpstreamKey};
use shoalway_net::connect::Connect;
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use shoalway_types::{Host, Target};
use shoalway_wire::http1;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

/// Where a try goes.
#[derive(Clone)]
pub struct Way {
    /// Idle connections.
    pub upstream: Rc<pool::Upstream>,
    /// Opens another one.
    pub connect: Rc<dyn Connect>,
}

/// A backend as one shard sees it.
pub struct BackendOnShard {
    plan: Arc<Backend>,
    fallback: Option<Rc<Self>>,
    net: Limits,
    http: http1::limits::Limits,
    ways: RefCell<HashMap<u64, Way>>,
}

impl BackendOnShard {
    pub(super) fn new(plan: &Arc<Backend>, net: Limits, http: http1::limits::Limits) -> Rc<Self> {
        let fallback = plan.fallback.as_ref().map(|fallback| Self::new(fallback, net, http));
        Rc::new(Self { plan: Arc::clone(plan), fallback, net, http, ways: RefCell::default() })
    }

    /// What it was made of.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Backend> {
        &self.plan
    }

    /// Who there is and how they fare.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.plan.upstream
    }

    /// Who serves when nobody here can.
    #[must_use]
    pub const fn fallback(&self) -> Option<&Rc<Self>> {
        self.fallback.as_ref()
    }

    /// The way to an endpoint that was picked.
    #[must_use]
    pub fn way(&self, shard: &Rc<Shard>, picked: &Picked) -> Way {
        let id = picked.endpoint().state().id();
        if let Some(way) = self.ways.borrow().get(&id) {
            return way.clone();
        }
        let way = self.make(shard, picked.endpoint());
        let mut ways = self.ways.borrow_mut();
        let endpoints = picked.set().endpoints();
        if ways.len() >= 2 * endpoints.len() + SPARE {
            ways.retain(|known, _| endpoints.iter().any(|endpoint| endpoint.state().id() == *known));
        }
        ways.insert(id, way.clone());
        way
    }

    fn make(&self, shard: &Rc<Shard>, endpoint: &Endpoint) -> Way {
        let key = endpoint.key();
        let target = match &key.address {
            Address::Net(target) => target.clone(),
            Address::Unix(_) => Target::new(Host::Ip(Ipv4Addr::UNSPECIFIED.into()), 1),
        };
        let mut way = DefaultHasher::new();
        (self.plan.identity, key).hash(&mut way);
        let upstream = shard.local(Pool::default).upstream(shard, &UpstreamKey { way: way.finish(), target });
        let plain: Rc<dyn Connect> = EndpointConnect::new(&self.plan, key, self.net.connect);
        let over_h2 = |scheme| -> Rc<dyn Connect> {
            H2Upstream::new(shard, Rc::clone(&plain), scheme, self.net, self.http)
        };
        let connect = match (key.scheme, self.plan.protocol) {
            (Scheme::H2c, _) | (Scheme::Http, Protocol::H2) => over_h2(UpstreamScheme::Http),
            (Scheme::Https, Protocol::H2) => over_h2(UpstreamScheme::Https),
            (Scheme::Http | Scheme::Https, Protocol::H1) | (Scheme::Tcp | Scheme::Udp, _) => plain,
        };
        Way { upstream, connect }
    }
}

/// Ways to endpoints that are gone may stay until there are so many of them.
const SPARE: usize = 16;

/// Holds a place among those who wait for a connection.
pub(super) fn wait_in_line(
    upstream: &Upstream,
) -> Result<crate::breaker::Permit, shoalway_net::connect::ConnectError> {
    use shoalway_net::connect::{ConnectError, ConnectErrorKind};
    upstream.enter(Bound::Pending).map_err(|open| {
        ConnectError::new(ConnectErrorKind::Local, "connection_limit_reached", open.to_string())
    })
}
