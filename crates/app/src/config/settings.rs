//! The checked configuration: typed, complete, and impossible to be invalid. Wiring turns it into what each crate
//! wants to know.
//!
//! No raw strings but names, no relative paths, no defaults left open. It has no `Debug`: it holds secrets, users
//! and destinations. Not here: how it is read ([`super::load`]) and checked ([`super::check`]).

mod overlay;
mod reverse;

pub use overlay::{NodeSettings, OverlaySettings, PublishSettings};
pub use reverse::{
    Balance, Bounds, CertFiles, Check, Fallback, HashBy, Limit, RouteAction, RouteSettings, SiteCertificate,
    SiteSettings, SiteTimes, SiteTls, StreamSettings, StreamTimes, StreamTls, Transport, UpstreamSettings,
    UpstreamTls,
};

use super::file::{Level, LogFormat, LogPrivacy, MessageLevel};
use shoalway_policy::{RuleSet, Users};
use shoalway_types::{ByteCount, Host};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything the program needs to know to run.
#[derive(Clone)]
pub struct Settings {
    /// Number of shards, 1 to 1024; none means one for each core.
    pub shards: Option<usize>,
    /// Listeners of the forward proxy, no two on the same address; none when there is no forward proxy.
    pub listeners: Vec<ListenerSettings>,
    /// Sites of the reverse proxy.
    pub sites: Vec<SiteSettings>,
    /// Streams of the reverse proxy.
    pub streams: Vec<StreamSettings>,
    /// Directory of certificates that are had by themselves.
    pub certificates: PathBuf,
    /// Networks whose clients are admitted besides loopback, as address and prefix length; empty: everyone.
    pub clients: Vec<(IpAddr, u8)>,
    /// Users who may log in. Present exactly when a log-in is required.
    pub users: Option<Arc<Users>>,
    /// The name clients are shown when they are asked to log in: printable ASCII without quotes or backslash.
    pub realm: String,
    /// What a request tells the far side.
    pub level: Level,
    /// What clients may reach.
    pub reach: Reach,
    /// The rules with their lists.
    pub rules: Arc<RuleSet>,
    /// Ways out, by name.
    pub exits: Vec<ExitSettings>,
    /// The local part of the overlay.
    pub overlay: Option<Arc<OverlaySettings>>,
    /// The remote part of the overlay.
    pub node: Option<Arc<NodeSettings>>,
    /// Servers to ask for names, in order; never empty.
    pub dns: Vec<DnsServer>,
    /// Times and sizes.
    pub limits: LimitSettings,
    /// Access log and messages.
    pub log: LogSettings,
    /// Spans of requests; none: no collector.
    pub trace: Option<TraceSettings>,
    /// Admin port and control socket.
    pub admin: AdminSettings,
    /// What tells a changed part from one that stayed.
    pub fingerprints: Fingerprints,
}

/// One listener of the forward proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// For logs and metrics: the address as text.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// TLS, or plain.
    pub tls: Option<TlsSettings>,
    /// Whether clients must log in here.
    pub auth: bool,
}

/// The files of a TLS listener of the forward proxy; each was readable and PEM of the right kind when checked.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Authorities for client certificates, which are then required.
    pub client_ca: Option<PathBuf>,
}

/// What clients may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Clients on loopback everything, others what is public.
    Default,
    /// Every client the same.
    Only(ReachSet),
}

/// Kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReachSet {
    /// Addresses of the Internet.
    pub public: bool,
    /// Private networks: RFC 1918, RFC 4193, link-local.
    pub private: bool,
    /// This machine.
    pub loopback: bool,
}

/// A text that is never shown: no `Debug`, no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// How an exit is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitScheme {
    /// An HTTP proxy in plain text.
    Http,
    /// An HTTP proxy inside TLS.
    Https,
    /// SOCKS4a.
    Socks4a,
    /// SOCKS5, names resolved at the far end.
    Socks5,
}

/// A way out through another proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ExitSettings {
    /// As rules name it.
    pub name: String,
    /// How it is spoken to.
    pub scheme: ExitScheme,
    /// Where it is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// User and password, or nothing. SOCKS4a knows a user alone: the password is then empty. For SOCKS5 each has
    /// 1 to 255 octets.
    pub credentials: Option<(String, Secret)>,
}

/// A server for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsServer {
    /// Those the computer is set to.
    System,
    /// Plain, over UDP with TCP for long answers.
    Udp(SocketAddr),
    /// Plain, over TCP.
    Tcp(SocketAddr),
    /// DNS over TLS, RFC 7858.
    Tls {
        /// Where it is.
        addr: SocketAddr,
        /// The name its certificate must hold.
        name: String,
    },
    /// DNS over HTTPS, RFC 8484.
    Https {
        /// Name or address of the server; a name is resolved by the system's servers.
        host: Host,
        /// Its port.
        port: u16,
        /// Path, beginning with a slash.
        path: String,
    },
}

/// Times and sizes no peer may exceed. Ranges and defaults stand at the keys of [`super::file::LimitsSection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Longest wait for a whole head or handshake.
    pub head_timeout: Duration,
    /// Longest silence between requests.
    pub idle_timeout: Duration,
    /// Longest silence of a tunnel; none: no limit.
    pub tunnel_idle: Option<Duration>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the first byte of an answer.
    pub first_byte: Duration,
    /// Slowest pace of a client in bytes a second; 0: no limit.
    pub min_rate: ByteCount,
    /// Largest head.
    pub head_size: ByteCount,
    /// Memory for buffers.
    pub memory: Memory,
    /// Most connections of clients; none: what the limit of open files allows.
    pub connections: Option<u64>,
    /// Most connections of one client; none: no limit.
    pub connections_per_client: Option<u64>,
    /// Longest wait for open work at the end.
    pub drain: Duration,
}

/// How much memory buffers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Percent of what the machine or the control group has, 1 to 90.
    Share(u8),
    /// This much.
    Size(ByteCount),
}

/// Access log and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Where access lines go.
    pub access: AccessLog,
    /// Their form.
    pub format: LogFormat,
    /// How much they tell.
    pub privacy: LogPrivacy,
    /// Least important message shown.
    pub level: MessageLevel,
}

/// Where access lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To a file, appended.
    File(PathBuf),
}

/// Spans of requests.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// URL of the collector, `http` or `https`.
    pub collector: http::Uri,
    /// How many of a million requests are sampled, 0 to 1,000,000.
    pub per_million: u32,
    /// Whose `traceparent` says so instead.
    pub follow: shoalway_reverse::trace::Follow,
    /// Name of this service in traces.
    pub service: String,
}

/// Admin port and control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// The admin port, always on loopback; none: off.
    pub listen: Option<SocketAddr>,
    /// Whether somebody wrote that address. If nobody did, a port in use is a warning and no failure.
    pub explicit: bool,
    /// The control socket.
    pub socket: PathBuf,
    /// Whether the program makes the socket's directory (mode 0700) when it is missing.
    pub make_socket_dir: bool,
}

/// One number for each part: equal when its checked content is, files included. Not stable over versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprints {
    /// Listeners, with the content of their certificates.
    pub listeners: u64,
    /// Clients, users, realm, level, reach.
    pub access: u64,
    /// Rules and lists.
    pub rules: u64,
    /// Sites and streams, with the content of their certificates.
    pub reverse: u64,
    /// Exits.
    pub exits: u64,
    /// The local part of the overlay, with the invitations.
    pub overlay: u64,
    /// The remote part of the overlay, with the files it names; its site is in `reverse`.
    pub node: u64,
    /// Name servers.
    pub dns: u64,
    /// Limits.
    pub limits: u64,
    /// Logs.
    pub log: u64,
    /// Admin.
    pub admin: u64,
}
