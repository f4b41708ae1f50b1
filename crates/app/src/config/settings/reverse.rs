//! The checked form of sites and streams.
//!
//! Endpoints, finders, balancing and health checks are already what `reverse` wants to know. Not here: files of
//! certificates that are read again while the program runs (wiring).

use crate::cert::{Authority, CertName};
use crate::config::file::{AcceptMode, ProxyHeader};
use shoalway_policy::{Cidr, Rate};
use shoalway_reverse::attempt::HedgeAfter;
use shoalway_reverse::balance::Algorithm;
use shoalway_reverse::breaker::BreakerLimits;
use shoalway_reverse::budget::BudgetConfig;
use shoalway_reverse::compress::Compression;
use shoalway_reverse::discovery::Finder;
use shoalway_reverse::health::HealthConfig;
use shoalway_reverse::health::probe::Probe;
use shoalway_reverse::line::LineConfig;
use shoalway_reverse::outlier::OutlierConfig;
use shoalway_reverse::retry::RetryPolicy;
use shoalway_reverse::routes::{FieldEdit, HostPattern, HostPolicy, PathPattern, Redirect, Rewrite, When};
use shoalway_reverse::site_plan::Protocol;
use shoalway_reverse::tcp_gateway::gate::GateMode;
use shoalway_reverse::upstream::{EndpointSpec, Percent};
use shoalway_types::{ByteCount, Host};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One site.
#[derive(Clone)]
pub struct SiteSettings {
    /// As it is written: the label in metrics, and the name of its upstream.
    pub name: String,
    /// What requests it takes.
    pub host: HostPattern,
    /// Addresses, at least one. Sites that share one agree on `tls.is_some()`, its `client_ca`, `proxy_protocol`
    /// and `trusted`.
    pub listen: Vec<SocketAddr>,
    /// TLS with clients; none: plain.
    pub tls: Option<SiteTls>,
    /// What takes all that no route takes; none when routes are all there is.
    pub to: Option<UpstreamSettings>,
    /// Routes, the first that matches decides.
    pub routes: Vec<RouteSettings>,
    /// What its listeners do while none of their upstreams is healthy.
    pub gate: GateMode,
    /// Who answers when none of its upstreams can; none: an error does.
    pub fallback: Option<Fallback>,
    /// Times.
    pub timeouts: SiteTimes,
    /// What is compressed; none when nobody said.
    pub compress: Option<Compression>,
    /// Most requests of one client network.
    pub rate: Option<Rate>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Networks of proxies that are believed; none when nobody wrote any.
    pub trusted: Option<Vec<Cidr>>,
}

/// TLS of a site.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteTls {
    /// What is shown.
    pub certificate: SiteCertificate,
    /// Authorities for client certificates, which are then required.
    pub client_ca: Option<PathBuf>,
}

/// TLS of a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamTls {
    /// What is shown.
    pub files: CertFiles,
    /// Authorities for client certificates, which are then required.
    pub client_ca: Option<PathBuf>,
    /// What is spoken inside, best first; empty: nothing is agreed.
    pub alpn: Vec<String>,
}

/// Where a site's certificate comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SiteCertificate {
    /// From files.
    Files(CertFiles),
    /// It is ordered and renewed.
    Kept {
        /// For which name.
        name: CertName,
        /// By whom, and how it is proven.
        authority: Arc<Authority>,
    },
}

/// Files of a site's certificate; those of PEM were readable and of the right kind when checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// OCSP answer, DER.
    pub ocsp: Option<PathBuf>,
}

/// Who answers when no upstream can.
#[derive(Clone)]
pub enum Fallback {
    /// Other upstreams.
    To(Box<UpstreamSettings>),
    /// This answer.
    Answer {
        /// 200 to 599.
        status: u16,
        /// Its Content-Type.
        content_type: &'static str,
        /// Its content.
        text: String,
    },
}

/// Upstreams and how they are used.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Unique in the process: the label in metrics, the name in `shoalway upstream`.
    pub name: String,
    /// Those that are written out.
    pub endpoints: Vec<EndpointSpec>,
    /// Those that are found.
    pub finders: Vec<Finder>,
    /// Which one of them.
    pub balance: Balance,
    /// Checks; none: the requests tell.
    pub checks: Option<Check>,
    /// TLS towards `https` endpoints.
    pub tls: UpstreamTls,
    /// Bounds and second chances.
    pub bounds: Bounds,
    /// The header that connections begin with, those of checks included.
    pub header: ProxyHeader,
}

/// How much may be under way, what is tried again, who is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How much may be under way.
    pub breaker: BreakerLimits,
    /// How long requests wait for that; none: not at all.
    pub line: Option<LineConfig>,
    /// What is tried again; of streams only how often.
    pub retry: RetryPolicy,
    /// How much of that.
    pub budget: BudgetConfig,
    /// When another is asked too, and how often; none: never.
    pub hedge: Option<(HedgeAfter, BudgetConfig)>,
    /// Who is put aside.
    pub outlier: OutlierConfig,
    /// With fewer healthy, health is not believed.
    pub panic_below: Percent,
}

/// Checks of endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// When.
    pub health: HealthConfig,
}

/// How requests are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Which endpoint.
    pub algorithm: Algorithm,
    /// What the hash is of; exactly with [`Algorithm::ConsistentHash`].
    pub hash: Option<HashBy>,
    /// Name of the cookie of sticky clients.
    pub sticky: Option<String>,
    /// How long a new endpoint warms up.
    pub slow_start: Duration,
}

/// What requests that belong together share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashBy {
    /// The client's address.
    Client,
    /// Path and query.
    Uri,
    /// A field of the request.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// TLS towards upstreams; each file was readable and PEM of the right kind when checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// Whom to believe; none: those the computer believes.
    pub ca: Option<PathBuf>,
    /// The name to ask for; none: the endpoint's own.
    pub sni: Option<Host>,
    /// Certificate and key to show.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Which HTTP is spoken.
    pub protocol: Protocol,
}

/// One route.
#[derive(Clone)]
pub struct RouteSettings {
    /// The paths it takes.
    pub path: PathPattern,
    /// What else it asks of a request.
    pub when: When,
    /// What becomes of it.
    pub does: RouteAction,
    /// Edits of the request's fields.
    pub request: Vec<FieldEdit>,
    /// Edits of the answer's fields.
    pub response: Vec<FieldEdit>,
    /// Largest content of a request; none: no limit.
    pub max_content: Option<ByteCount>,
}

/// What becomes of what a route takes.
#[derive(Clone)]
pub enum RouteAction {
    /// It goes to these upstreams.
    To {
        /// The upstreams.
        upstream: Box<UpstreamSettings>,
        /// What becomes of the path.
        rewrite: Rewrite,
        /// What `Host` they are sent.
        host: HostPolicy,
    },
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// A file of this directory.
    Files(PathBuf),
    /// This answer.
    Answer {
        /// 200 to 599.
        status: u16,
        /// Plain text; may be empty.
        text: String,
    },
}

/// Times of one site; none: what [`super::LimitSettings`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SiteTimes {
    /// To connect.
    pub connect: Option<Duration>,
    /// To the first byte of an answer.
    pub first_byte: Option<Duration>,
    /// Of a kept-alive client between requests.
    pub idle: Option<Duration>,
    /// Of a whole exchange; none: no limit.
    pub total: Option<Duration>,
}

/// One stream.
#[derive(Clone)]
pub struct StreamSettings {
    /// As it is written: the label in metrics, and the name of its upstream.
    pub name: String,
    /// Connections or datagrams.
    pub transport: Transport,
    /// Addresses, at least one.
    pub listen: Vec<SocketAddr>,
    /// What takes all that `sni` does not take; none when it takes all there is.
    pub to: Option<UpstreamSettings>,
    /// Upstreams by the name a TLS client asks for.
    pub sni: Vec<(HostPattern, UpstreamSettings)>,
    /// TLS with clients, which ends here; never together with `sni`.
    pub tls: Option<StreamTls>,
    /// Times.
    pub timeouts: StreamTimes,
    /// Most connections one client network may open.
    pub rate: Option<Rate>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Networks of proxies that are believed; none when nobody wrote any.
    pub trusted: Option<Vec<Cidr>>,
    /// What its listeners do while none of its upstreams is healthy.
    pub gate: GateMode,
    /// The header connections to upstreams begin with.
    pub to_proxy_protocol: ProxyHeader,
    /// When a connection is taken.
    pub accept: AcceptMode,
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Times of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamTimes {
    /// To connect; none: what [`super::LimitSettings`] says.
    pub connect: Option<Duration>,
    /// Silence; none: what [`super::LimitSettings`] says, for datagrams 60 s.
    pub idle: Option<Limit>,
    /// Life; none: no limit.
    pub total: Option<Duration>,
}

/// A limit that may be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No limit.
    Off,
    /// This long.
    After(Duration),
}
