//! Backends on one shard: for each endpoint its idle connections and a worker that opens more.
//!
//! Found by the number of the endpoint's state, so that a change of the endpoints' list costs nothing until one of them
//! is picked. Not here: the choice (`balance`), tries (`attempt.rs`).

use crate::breaker::Bound;
use crate::http_gateway::endpoint::EndpointConnect;
use crate::site_plan::{Backend, Protocol};
use crate::upstream::{Address, Endpoint, EndpointKey, Picked, Scheme, Upstream};
use shoalway_http::h2::{ForUpgrades, H2Upstream, UpstreamScheme};
use shoalway_http::pool::{self, Pool, UpstreamKey};
use shoalway_net::connect::Connect;
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use shoalway_net::tls_client::TlsClient;
use shoalway_types::{Host, Target};
use shoalway_wire::http1;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

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
    ways: RefCell<HashMap<u64, Ways>>,
}

/// The ways to one endpoint.
struct Ways {
    usual: Way,
    /// For requests that change the protocol, where that is another.
    upgrade: Option<Way>,
}

impl Ways {
    fn of(&self, upgrade: bool) -> Way {
        self.upgrade.as_ref().filter(|_| upgrade).unwrap_or(&self.usual).clone()
    }
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

    /// The way to an endpoint that was picked; `upgrade`: for a request that changes the protocol.
    #[must_use]
    pub fn way(&self, shard: &Rc<Shard>, picked: &Picked, upgrade: bool) -> Way {
        let id = picked.endpoint().state().id();
        if let Some(ways) = self.ways.borrow().get(&id) {
            return ways.of(upgrade);
        }
        let made = self.make(shard, picked.endpoint());
        let way = made.of(upgrade);
        let mut ways = self.ways.borrow_mut();
        let endpoints = picked.set().endpoints();
        if ways.len() >= 2 * endpoints.len() + SPARE {
            ways.retain(|known, _| endpoints.iter().any(|endpoint| endpoint.state().id() == *known));
        }
        ways.insert(id, made);
        way
    }

    fn make(&self, shard: &Rc<Shard>, endpoint: &Endpoint) -> Ways {
        let (key, plan) = (endpoint.key(), &self.plan);
        let connect = |tls: Option<&TlsClient>| -> Rc<dyn Connect> {
            EndpointConnect::new(plan, key, tls, self.net.connect)
        };
        let usual = connect(plan.tls.as_ref());
        let scheme = match (key.scheme, plan.protocol) {
            (Scheme::H2c, _) => UpstreamScheme::Http,
            (Scheme::Https, Protocol::H2) => UpstreamScheme::Https,
            (Scheme::Https, Protocol::Either) => UpstreamScheme::HttpsOrOlder,
            (Scheme::Https, Protocol::H1) | (Scheme::Http | Scheme::Tcp | Scheme::Udp, _) => {
                let upstream = self.pool(shard, key, Version::Usual);
                return Ways { usual: Way { upstream, connect: usual }, upgrade: None };
            }
        };
        let shared = H2Upstream::new(shard, usual, scheme, self.net, self.http);
        let own = connect(plan.tls_older.as_ref().or(plan.tls.as_ref()));
        let upgrade = ForUpgrades::new(&shared, own);
        Ways {
            usual: Way { upstream: self.pool(shard, key, Version::Usual), connect: shared },
            upgrade: Some(Way { upstream: self.pool(shard, key, Version::Older), connect: upgrade }),
        }
    }

    /// How long a connection may take to be opened.
    pub(super) const fn limit(&self) -> Duration {
        self.net.connect
    }

    /// What makes HTTP/1.1 connections to an endpoint interchangeable.
    pub(super) fn key(&self, key: &EndpointKey) -> UpstreamKey {
        self.key_of(key, Version::Older)
    }

    /// Idle connections to an endpoint.
    fn pool(&self, shard: &Rc<Shard>, key: &EndpointKey, version: Version) -> Rc<pool::Upstream> {
        shard.local(Pool::default).upstream(shard, &self.key_of(key, version))
    }

    fn key_of(&self, key: &EndpointKey, version: Version) -> UpstreamKey {
        let target = match &key.address {
            Address::Net(target) => target.clone(),
            Address::Unix(_) => Target::new(Host::Ip(Ipv4Addr::UNSPECIFIED.into()), 1),
        };
        let mut way = DefaultHasher::new();
        (self.plan.identity, key, version).hash(&mut way);
        UpstreamKey { way: way.finish(), target }
    }
}

/// Which connections of one endpoint are interchangeable.
#[derive(Hash)]
enum Version {
    /// Those of usual requests.
    Usual,
    /// HTTP/1.1 beside HTTP/2.
    Older,
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
