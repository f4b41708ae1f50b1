//! What one listener is configured to do. Built by `app`, immutable, shared by all shards.
//!
//! Not here: reading it from a file (`app`), what a shard makes of it ([`crate::forward`]).

use crate::forward::Forward;
use shoalway_http::level::Level;
use shoalway_net::connect::Outbound;
use shoalway_net::dialer::Dialer;
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use shoalway_net::tls_server::TlsServer;
use shoalway_policy::{Cidr, ExitId, RuleSet, Users};
use shoalway_wire::http1;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Whether clients must say who they are.
#[derive(Clone)]
pub enum Auth {
    /// Nobody is asked.
    None,
    /// Everybody: Basic over HTTP, name and password over SOCKS5. SOCKS4 has neither and is refused.
    Users {
        /// Who may come in.
        users: Arc<Users>,
        /// What they are shown when they are asked.
        realm: Arc<str>,
    },
}

/// A way out with its name.
#[derive(Clone)]
pub struct Way {
    /// Name of the exit; `direct` for the way straight out.
    pub name: Arc<str>,
    /// Hash of its configuration: connections of ways that differ are never shared.
    pub identity: u64,
    /// The way itself.
    pub outbound: Arc<dyn Outbound>,
}

/// One listener of the forward proxy.
pub struct ForwardPlan {
    /// Name of the listener, for logs and metrics.
    pub listener: Arc<str>,
    /// Networks whose clients are let in, besides loopback; empty: everyone.
    pub clients: Vec<Cidr>,
    /// Whether clients must say who they are.
    pub auth: Auth,
    /// What a request tells the far side.
    pub level: Level,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Straight out.
    pub direct: Way,
    /// The exits, by [`ExitId`]: in the order of the names the rules were read with.
    pub exits: Vec<Way>,
    /// The overlay, by [`OverlayId`](shoalway_policy::OverlayId): a way for each wish of the rules. Empty: there is none.
    pub overlay: Vec<Way>,
    /// What `allow` takes; none: straight out.
    pub default_exit: Option<ExitId>,
    /// Resolver and egress guard, for what has no connection: datagrams, BIND, kept connections. Its guard must know
    /// all listeners of the process, or requests could come back.
    pub dialer: Dialer,
    /// Deadlines and bounds.
    pub limits: Limits,
    /// Sizes of HTTP messages.
    pub http: http1::limits::Limits,
    /// TLS with clients; none: plain.
    pub tls: Option<TlsServer>,
}

impl ForwardPlan {
    /// The plan on one shard: what is put behind its listener. From now on it also counts for the connections of
    /// the same listener that are open on this shard: their next request, association target or
    /// [`Forward::recheck`] asks this plan. So it is to be called in the same turn as `set_inbound` or `listen`.
    #[must_use]
    pub fn on(self: &Arc<Self>, shard: &Rc<Shard>) -> Rc<Forward> {
        Forward::new(Arc::clone(self), shard)
    }

    /// Whether a client may use this listener.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        self.clients.is_empty()
            || client.to_canonical().is_loopback()
            || self.clients.iter().any(|net| net.contains(client))
    }

    /// Whether a user who logged in once still may: it is there, and log-ins are asked for.
    #[must_use]
    pub fn knows(&self, user: Option<&str>) -> bool {
        match (&self.auth, user) {
            (Auth::None, _) => true,
            (Auth::Users { users, .. }, Some(user)) => users.contains(user),
            (Auth::Users { .. }, None) => false,
        }
    }
}
