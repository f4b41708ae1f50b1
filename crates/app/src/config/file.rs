//! What users may write: the sections and keys of this version, with their defaults.
//!
//! The doc comments here are the text of `config schema` and `config explain`, so they speak to users. Keys of
//! later versions stand in [`super::structure`], where they get their own clear error. Not here: whether a value
//! makes sense ([`super::check`]) and what it means at run time ([`super::settings`]).
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the doc comments are what users read in help and schema: brackets in them are theirs"
)]

mod bounds;
mod certificates;
mod compress;
mod overlay;
mod reverse;
mod trace;

pub use bounds::{
    BreakerSection, HedgeSection, OutlierSection, QueueSection, RetrySection, StreamRetrySection,
};
pub use certificates::{AcmeSection, SiteAcmeSection, SiteTlsSection, StreamTlsSection};
pub use compress::CompressSection;
pub use overlay::{
    CoverSection, NodeSection, NodeTlsSection, OverlayExitsSection, OverlaySection, PublishSection,
    SpreadWord,
};
pub use reverse::{
    AcceptMode, GateWord, HealthSection, ProxyHeader, SiteSection, SiteTimeouts, StreamSection,
    StreamTimeouts, UpstreamProtocol, UpstreamTlsSection,
};

pub use trace::{ParentWord, TraceSection};

use super::at::{At, Many};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Configuration of Shoalway.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// Version of the file format. Always 1; each file must say it.
    #[schemars(range(min = 1, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<At<i64>>,
    /// Further files, as paths or patterns with `*` and `?` in the last part, relative to this file; a pattern's
    /// files are read in order of their names. Tables are merged, rules are appended, and no other key may be set
    /// twice. An included file includes no others.
    /// Nothing is substituted in here.
    #[serde(skip_serializing_if = "is_empty")]
    pub include: Many,
    /// Rules, one line each: `VERB MATCH... OPTION...`. A space means and, a comma means or, `!` means not. The
    /// first rule that matches decides; when none does, the implied last rule `direct all` holds.
    pub rules: Many,
    /// How the program runs.
    pub runtime: RuntimeSection,
    /// The forward proxy: HTTP, CONNECT, SOCKS4, SOCKS4a and SOCKS5 on each of its listeners. A file that has sites or
    /// streams and no [proxy] has no forward proxy.
    pub proxy: ProxySection,
    /// Sites of the reverse proxy, by host name: a name, `*.example.com` for every name below it, or `*` for any host
    /// that no other site names.
    pub sites: BTreeMap<String, SiteSection>,
    /// Streams of the reverse proxy, by a name of your choice: connections and datagrams carried as they are.
    pub streams: BTreeMap<String, StreamSection>,
    /// How certificates of sites with `acme` are had.
    pub acme: AcmeSection,
    /// Ways out through other proxies, by name. A rule uses one as `via:NAME`.
    pub exits: BTreeMap<String, ExitSection>,
    /// Lists of domain names, by name. A rule uses one as `list:NAME`.
    pub lists: BTreeMap<String, ListSection>,
    /// The local part of the overlay: what rules that say `overlay` go through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<OverlaySection>,
    /// The remote part of the overlay: this program is a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeSection>,
    /// How names are resolved.
    pub dns: DnsSection,
    /// Times and sizes no peer may exceed.
    pub limits: LimitsSection,
    /// The access log and the program's own messages.
    pub log: LogSection,
    /// Spans of requests, for a collector of traces.
    pub trace: TraceSection,
    /// State, metrics and control of the running program.
    pub admin: AdminSection,
}

fn is_empty(list: &Many) -> bool {
    list.items().is_empty()
}

/// How the program runs.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeSection {
    /// Number of shards: threads that each carry their own share of the connections. 1 to 1024; without this key
    /// one for each processor core the program may use.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<At<i64>>,
}

/// The forward proxy.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxySection {
    /// Addresses to listen on, each `ADDRESS:PORT`. Every one speaks HTTP and SOCKS.
    pub listen: Many,
    /// Networks whose clients may use the proxy, such as `192.168.1.0/24`; loopback always may. Empty: no limit by
    /// network, which is accepted only on loopback or together with `auth`.
    pub clients: Many,
    /// How clients log in. `basic` asks for a name and password of the file in `users`, over HTTP and SOCKS5.
    /// Empty: nobody is asked.
    pub auth: Many,
    /// What a request tells the far side about the proxy and its client.
    pub level: At<Level>,
    /// Speak TLS on the listeners. Without this key they are plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSection>,
    /// What clients may reach: any of `public`, `private` (networks such as 10.0.0.0/8) and `loopback`. Without
    /// this key clients on loopback reach everything, others only what is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Many>,
    /// File of users in htpasswd form, for `auth = "basic"`. Relative to the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<At<String>>,
    /// The name clients are shown when they are asked to log in.
    pub realm: At<String>,
}

impl Default for ProxySection {
    fn default() -> Self {
        Self {
            listen: Many::default_of(&["127.0.0.1:3128"]),
            clients: Many::default(),
            auth: Many::default(),
            level: At::default_of(Level::Elite),
            tls: None,
            reach: None,
            users: None,
            realm: At::default_of("Shoalway"),
        }
    }
}

/// What a request tells the far side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Adds `Via` and the client's address.
    Transparent,
    /// Says that it is a proxy, hides the client.
    Anonymous,
    /// Adds nothing: no trace of a proxy.
    Elite,
}

/// TLS of a listener. All files are PEM and relative to the file that names them.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// Certificate chain, the listener's own certificate first. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<At<String>>,
    /// Private key of the certificate, readable by its owner alone. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<At<String>>,
    /// Certificates of the authorities whose client certificates are accepted. With it, clients must show one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<At<String>>,
}

/// One way out.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExitSection {
    /// `SCHEME://[USER:PASSWORD@]HOST[:PORT]` with the schemes `http`, `https`, `socks4a`, `socks5` and
    /// `socks5h` (the last two are the same: names are resolved at the far end). Default ports: 80, 443, 1080.
    /// Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<At<String>>,
}

/// One list of domain names.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListSection {
    /// File with one domain name a line, or in hosts form; `#` begins a comment. Relative to the file that names
    /// it. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<At<String>>,
}

/// How names are resolved.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DnsSection {
    /// Servers to ask, in order: `system` (those of this computer), `ADDRESS` or `udp://ADDRESS[:53]`,
    /// `tcp://ADDRESS[:53]`, `tls://NAME@ADDRESS[:853]` (DNS over TLS; NAME is what the certificate must hold), or
    /// `https://HOST[:443]/PATH` (DNS over HTTPS).
    pub upstream: Many,
}

impl Default for DnsSection {
    fn default() -> Self {
        Self { upstream: Many::default_of(&["system"]) }
    }
}

/// Times and sizes no peer may exceed. Times need a unit: `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Longest wait for a whole request head or SOCKS handshake. 100 ms to 10 m.
    #[schemars(extend("format" = "time"))]
    pub head_timeout: At<String>,
    /// Longest silence of a kept-alive client between requests. 100 ms to 1 d.
    #[schemars(extend("format" = "time"))]
    pub idle_timeout: At<String>,
    /// Longest silence of a tunnel, both directions together. 1 s to 30 d, or `off`.
    #[schemars(extend("format" = "time or off"))]
    pub tunnel_idle: At<String>,
    /// Longest wait for a connection to the far side, name look-up included. 100 ms to 10 m.
    #[schemars(extend("format" = "time"))]
    pub connect_timeout: At<String>,
    /// Longest wait for the first byte of an answer. 100 ms to 1 d.
    #[schemars(extend("format" = "time"))]
    pub first_byte: At<String>,
    /// Slowest pace accepted of a client's head, upload or reading, after 10 s of grace. `0 B/s` to `1 GB/s`.
    #[schemars(extend("format" = "rate"))]
    pub min_rate: At<String>,
    /// Largest request or response head. 1 KiB to 1 MiB.
    #[schemars(extend("format" = "size"))]
    pub head_size: At<String>,
    /// Memory for buffers: a share of what the machine or its control group has (1% to 90%), or a size of at least
    /// 16 MiB. Above it new connections are refused.
    #[schemars(extend("format" = "memory"))]
    pub memory: At<String>,
    /// Most connections of clients at a time, 1 to 10,000,000. Without this key the limit of open files decides.
    #[schemars(range(min = 1, max = 10_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<At<i64>>,
    /// Most connections of one client at a time (an IPv4 address or an IPv6 /64), 1 to 10,000,000. Without this key
    /// there is no limit for one client.
    #[schemars(range(min = 1, max = 10_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_client: Option<At<i64>>,
    /// Longest wait for open work when the program is asked to end. 0 s to 1 d.
    #[schemars(extend("format" = "time"))]
    pub drain: At<String>,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            head_timeout: At::default_of("10s"),
            idle_timeout: At::default_of("60s"),
            tunnel_idle: At::default_of("10m"),
            connect_timeout: At::default_of("10s"),
            first_byte: At::default_of("60s"),
            min_rate: At::default_of("64 B/s"),
            head_size: At::default_of("64 KiB"),
            memory: At::default_of("50%"),
            connections: None,
            connections_per_client: None,
            drain: At::default_of("30s"),
        }
    }
}

/// The access log and the program's own messages.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Where one line for each request goes: `off`, `stdout`, or a file, relative to the file that names it.
    pub access: At<String>,
    /// Form of these lines.
    pub format: At<LogFormat>,
    /// How much these lines may tell.
    pub privacy: At<LogPrivacy>,
    /// Least important of the program's own messages that is shown.
    pub level: At<MessageLevel>,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            access: At::default_of("off"),
            format: At::default_of(LogFormat::Json),
            privacy: At::default_of(LogPrivacy::Masked),
            level: At::default_of(MessageLevel::Info),
        }
    }
}

/// Form of an access log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// The combined format of web servers.
    Combined,
    /// The native format of Squid.
    Squid,
    /// `key=value` pairs.
    Logfmt,
}

/// How much an access log may tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogPrivacy {
    /// Verdicts, sizes and times; no client, no user, no destination.
    Counts,
    /// Networks of clients and hosts without paths; no user.
    Masked,
    /// Everything but credentials.
    Full,
}

/// Importance of the program's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageLevel {
    /// The operator must act.
    Error,
    /// Something is wrong.
    Warn,
    /// Rare and normal events.
    Info,
    /// One line and more for each session.
    Debug,
    /// One line and more for each message.
    Trace,
}

/// State, metrics and control of the running program.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSection {
    /// Address for metrics and health, on loopback, or `off`.
    pub listen: At<String>,
    /// Unix socket for `status`, `reload` and `drain`. Without this key `$XDG_RUNTIME_DIR/shoalway.sock`, for root
    /// `/run/shoalway/shoalway.sock`, else `/tmp/shoalway-UID/shoalway.sock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<At<String>>,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self { listen: At::default_of("127.0.0.1:3131"), socket: None }
    }
}
