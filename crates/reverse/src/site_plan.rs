//! What a listener of sites does, as configured: checked, immutable, shared by all shards.
//!
//! [`SitePlan::on`] makes a shard's worker of it; a reload makes another plan and puts its workers in their place, by
//! [`shoalway_net::shard::Shard::set_inbound`]. Open connections find the newest one at their next request. Not here: the
//! configuration file (`app`), carrying it out (`http_gateway`).

use crate::attempt::HedgeAfter;
use crate::http_gateway::Gateway;
use crate::line::LineConfig;
use crate::retry::RetryPolicy;
use crate::routes::{FieldName, FixedAnswer, HostPattern, Hosts, PathPattern, Route, Then, ToUpstream};
use crate::stream_plan::ProxyOut;
use crate::tcp_gateway::gate::GateMode;
use crate::trusted::Trusted;
use crate::upstream::{EndpointError, EndpointSpec, Registry, Scheme, Upstream, UpstreamConfig};
use shoalway_http::h2::claim::Claim;
use shoalway_net::acme_challenges::AcmeChallenges;
use shoalway_net::dialer::Dialer;
use shoalway_net::limits::Limits;
use shoalway_net::listener::Inbound;
use shoalway_net::shard::Shard;
use shoalway_net::tls_client::TlsClient;
use shoalway_net::tls_server::TlsServer;
use shoalway_policy::CidrSet;
use shoalway_types::Host;
use shoalway_wire::http1;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A group of endpoints, with how sites use it. Shared by all sites and shards.
pub struct Backend {
    /// Who there is and how they fare.
    pub upstream: Arc<Upstream>,
    /// Opens connections.
    pub dialer: Dialer,
    /// TLS towards `https` endpoints. It must offer what `protocol` says: `h2`, `h2` and `http/1.1`, or for
    /// [`Protocol::H1`] nothing or `http/1.1`.
    pub tls: Option<TlsClient>,
    /// The same, offering HTTP/1.1 alone: for WebSockets that an endpoint does not take over HTTP/2. Default: `tls`.
    pub tls_older: Option<TlsClient>,
    /// The name that certificates are checked against, and that is asked for. Default: the endpoint's own.
    pub tls_name: Option<Host>,
    /// What is spoken to `https` endpoints; to `http` ones it is HTTP/1.1, to `h2c` ones HTTP/2.
    pub protocol: Protocol,
    /// Two backends of the same number and endpoint share connections: a hash of `tls`, `tls_name` and `protocol`.
    pub identity: u64,
    /// Whether endpoints are told by a PROXY header who is connected, of version 2 with its checksum alone. Connections then
    /// belong to one client's connection and speak HTTP/1.1. Default: no.
    pub proxy_out: ProxyOut,
    /// What may be tried again.
    pub retry: RetryPolicy,
    /// When a request that is not answered is sent to another endpoint too. Default: never.
    pub hedge: Option<HedgeAfter>,
    /// How long requests wait where a breaker lets no more through. Default: not at all.
    pub line: Option<LineConfig>,
    /// What requests are spread by, where the balancing asks for a key.
    pub key: Key,
    /// The cookie that names an endpoint, where the balancing is sticky.
    pub sticky: Option<StickyCookie>,
    /// Who serves when nobody here can. Default: nobody, the answer is 503.
    pub fallback: Option<Arc<Self>>,
    /// What is answered when neither here nor there anybody can: in place of a 502, 503 or 504 that says so. Not in place
    /// of one for too much at once. Default: that error.
    pub fixed: Option<Arc<FixedAnswer>>,
    /// Seconds in Retry-After of a 503. Default 5.
    pub retry_after: u32,
    /// Whether requests that belong to no trace begin one. Default: no.
    pub begins_traces: bool,
}

/// What is spoken to an endpoint inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1. The default.
    #[default]
    H1,
    /// HTTP/2, or no connection.
    H2,
    /// What the endpoint chooses by ALPN (RFC 7301), HTTP/2 where it can.
    Either,
}

/// What requests are spread by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Key {
    /// Chance. The default.
    #[default]
    Chance,
    /// The client's address.
    Client,
    /// The value of a field.
    Field(FieldName),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// Path and query, as sent.
    Uri,
}

/// The cookie of sticky sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name: a token. Default `shoalway`.
    pub name: Box<str>,
    /// How long browsers keep it. Default: until they are closed.
    pub max_age: Option<Duration>,
}

impl Default for StickyCookie {
    fn default() -> Self {
        Self { name: "shoalway".into(), max_age: None }
    }
}

impl Backend {
    /// A backend of these endpoints with every default.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, dialer: Dialer) -> Self {
        Self {
            upstream,
            dialer,
            tls: None,
            tls_older: None,
            tls_name: None,
            protocol: Protocol::H1,
            identity: 0,
            proxy_out: ProxyOut::Off,
            retry: RetryPolicy::default(),
            hedge: None,
            line: None,
            key: Key::Chance,
            sticky: None,
            fallback: None,
            fixed: None,
            retry_after: 5,
            begins_traces: false,
        }
    }
}

/// One site: some hosts and what becomes of their requests.
#[derive(Clone)]
pub struct Site {
    /// Its name in logs and `status`.
    pub name: Arc<str>,
    /// Which hosts are meant, at least one.
    pub hosts: Vec<HostPattern>,
    /// The first that fits counts; a request that none fits is answered with 404.
    pub routes: Vec<Route>,
    /// Asked for each of its requests over HTTP/2 before any route; what it claims never was a request of the site. None:
    /// nobody is asked.
    pub claim: Option<Arc<dyn Claim>>,
}

/// What a listener of sites does.
pub struct SiteSettings {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// All sites behind it.
    pub sites: Vec<Site>,
    /// TLS with clients; none: in the clear.
    pub tls: Option<TlsServer>,
    /// Who must begin each connection with a PROXY header; others are not let in then. None: nobody may.
    pub proxy_protocol: Option<CidrSet>,
    /// What the listener does while no endpoint of any site is healthy; whoever opens it sees to that.
    pub gate: GateMode,
    /// Whom to believe about clients.
    pub trusted: Trusted,
    /// Answers to authorities that check names, given in the clear before anything else. None: there are none.
    pub challenges: Option<Arc<AcmeChallenges>>,
    /// Whether HTTP/2 is spoken: over TLS as ALPN says, in the clear by prior knowledge.
    pub http2: bool,
    /// Deadlines and bounds.
    pub limits: Limits,
    /// Sizes of messages.
    pub http: http1::limits::Limits,
}

impl SiteSettings {
    /// A listener with these sites and every default.
    #[must_use]
    pub fn new(listener: impl Into<Arc<str>>, sites: Vec<Site>) -> Self {
        Self {
            listener: listener.into(),
            sites,
            tls: None,
            proxy_protocol: None,
            gate: GateMode::default(),
            trusted: Trusted::default(),
            challenges: None,
            http2: true,
            limits: Limits::default(),
            http: http1::limits::Limits::default(),
        }
    }
}

/// Why settings make no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// One host in two sites.
    #[error("a host of site {site} is another site's already")]
    HostTwice {
        /// The later one.
        site: Arc<str>,
    },
    /// The endpoint of the one-line form.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// HTTP is not spoken to it.
    #[error("a site's endpoint begins with http://, https:// or h2c://")]
    NotHttp,
}

/// A listener's plan.
pub struct SitePlan {
    settings: SiteSettings,
    hosts: Hosts,
    has_claims: bool,
    tells: bool,
}

impl SitePlan {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`PlanError`]
    pub fn new(settings: SiteSettings) -> Result<Self, PlanError> {
        let mut hosts = Hosts::default();
        for (place, site) in settings.sites.iter().enumerate() {
            for pattern in &site.hosts {
                if !hosts.insert(pattern, place) {
                    return Err(PlanError::HostTwice { site: Arc::clone(&site.name) });
                }
            }
        }
        let has_claims = settings.sites.iter().any(|site| site.claim.is_some());
        let tells = settings.sites.iter().flat_map(|site| &site.routes).any(tells);
        Ok(Self { settings, hosts, has_claims, tells })
    }

    /// The plan of `shoalway reverse --from ADDR --to URL`: every host, every path, one endpoint. `tls` is for `https`.
    ///
    /// # Errors
    /// [`PlanError`] when `to` is no endpoint that speaks HTTP.
    pub fn one(
        listener: impl Into<Arc<str>>,
        to: &str,
        dialer: Dialer,
        tls: Option<TlsClient>,
        registry: &Registry,
    ) -> Result<Self, PlanError> {
        let endpoint = EndpointSpec::parse(to, Scheme::Http)?;
        match endpoint.key.scheme {
            Scheme::Http | Scheme::Https | Scheme::H2c => {}
            Scheme::Tcp | Scheme::Udp => return Err(PlanError::NotHttp),
        }
        let listener = listener.into();
        let config = UpstreamConfig::new(Arc::clone(&listener), vec![endpoint]);
        let now = registry.epoch().moment(Instant::now());
        let upstream = Arc::new(Upstream::new(registry, config, now));
        let backend = Arc::new(Backend { tls, ..Backend::new(upstream, dialer) });
        let then = Then::Upstream(Arc::new(ToUpstream::new(backend)));
        let route = Route::new(PathPattern::any(), then);
        let site = Site {
            name: Arc::clone(&listener),
            hosts: vec![HostPattern::Any],
            routes: vec![route],
            claim: None,
        };
        Self::new(SiteSettings::new(listener, vec![site]))
    }

    /// What it was made of.
    #[must_use]
    pub const fn settings(&self) -> &SiteSettings {
        &self.settings
    }

    /// Finds a host's site.
    #[must_use]
    pub const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Whether any endpoint is told of connections by a PROXY header.
    pub(crate) const fn tells(&self) -> bool {
        self.tells
    }

    /// The claim of an authority's site.
    pub(crate) fn claim_of(&self, authority: &str) -> Option<Arc<dyn Claim>> {
        if !self.has_claims {
            return None;
        }
        let site = if authority.is_empty() { self.hosts.any() } else { self.hosts.find(authority) };
        self.settings.sites.get(site?)?.claim.clone()
    }

    /// The shard's worker.
    #[must_use]
    pub fn on(self: &Arc<Self>, shard: &Rc<Shard>) -> Rc<dyn Inbound> {
        Gateway::new(self, shard)
    }
}

fn tells(route: &Route) -> bool {
    match &route.then {
        Then::Upstream(to) => {
            let fallback = to.backend.fallback.as_deref();
            [Some(&*to.backend), fallback]
                .into_iter()
                .flatten()
                .any(|backend| backend.proxy_out != ProxyOut::Off)
        }
        Then::Redirect(_) | Then::Files(_) | Then::Answer(_) => false,
    }
}
