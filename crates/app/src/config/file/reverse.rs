//! The sections of the reverse proxy: `[sites."HOST"]` speaks HTTP with clients, `[streams.NAME]` carries bytes.
//!
//! The doc comments here are the text of `config schema` and `config explain`. Not here: whether a value makes sense
//! (`check/sites`, `check/streams`).

use super::{
    At, BreakerSection, CompressSection, HedgeSection, Many, OutlierSection, QueueSection, RetrySection,
    SiteAcmeSection, SiteTlsSection, StreamRetrySection, StreamTlsSection,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One site of the reverse proxy: what is answered for one host name.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteSection {
    /// Addresses to listen on, each `ADDRESS:PORT`. Sites with other names may share an address; all of them then
    /// have `tls` or `acme`, or none, with the same `client_ca`. Required.
    pub listen: Many,
    /// Upstreams that take what no route takes, each `http://HOST[:PORT]`, `https://HOST[:PORT]`,
    /// `h2c://HOST[:PORT]` or `unix:/PATH`; after it may stand `weight=1` (0 to 65535), `priority=0` (0 to 15, 0 first)
    /// and `zone=NAME`. `dns:` before the scheme takes every address of the name as an upstream of its own,
    /// `srv:http://NAME` the places of a service. Required unless there are `routes`.
    pub to: Many,
    /// Routes, one line each, the first that matches decides: `PATH -> UPSTREAM...`, `PATH => redirect:TARGET [STATUS]`,
    /// `PATH => files:DIRECTORY` or `PATH => answer:STATUS TEXT`. A `*` in a path takes any characters, and `$1` to `$9`
    /// in a target stand for them. Before the arrow may stand `method:GET,HEAD` and `header:NAME=VALUE`. Options behind
    /// an upstream: `strip:/PATH`, `prefix:/PATH`, `rewrite:/PATH/$1`, `host:NAME`, `max:10MiB`, `set:NAME=VALUE`,
    /// `add:NAME=VALUE`, `remove:NAME`; behind anything but `answer:` also `answer-set:`, `answer-add:`, `answer-remove:`.
    pub routes: Many,
    /// How requests are shared: `p2c` (of two by chance the faster and less busy), `round-robin`, `weighted`,
    /// `least-conn`, or `hash:client`, `hash:uri`, `hash:header:NAME`, `hash:cookie:NAME` (the same to the same).
    pub balance: At<String>,
    /// Name of a cookie that keeps a client with the upstream it had. Without this key there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<At<String>>,
    /// How long an upstream that joins or comes back works up to its full share. 0 s to 1 h.
    #[schemars(extend("format" = "time"))]
    pub slow_start: At<String>,
    /// How the upstreams are asked whether they are well. Without this key only the requests themselves tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSection>,
    /// When an upstream is put aside for its failures.
    pub outliers: OutlierSection,
    /// With fewer of the upstreams well than this, all of them are used: so many failures at once are more likely a fault
    /// of the checks. Only where there are four or more. 0%: never.
    #[schemars(extend("format" = "share"))]
    pub panic_below: At<String>,
    /// How much of these upstreams may be under way at once.
    pub breaker: BreakerSection,
    /// How long requests wait where `breaker` lets no more through. Without this key they are answered with 503 at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSection>,
    /// What is tried again, and how often.
    pub retries: RetrySection,
    /// Ask a second upstream where the first is slow. Without this key none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<HedgeSection>,
    /// What becomes of new connections while none of the upstreams behind the address is well: `serve`, `refuse` or `hold`.
    /// Sites that share an address say the same.
    pub gate: At<GateWord>,
    /// Who answers when none of the upstreams can: other upstreams, written as in `to`, or `answer:STATUS TEXT`, or
    /// `page:FILE` (its status is 503). Without this key the answer is 502, 503 or 504.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Many>,
    /// Speak TLS with clients, HTTP/2 included. Without this key and without `acme` the site is plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<SiteTlsSection>,
    /// Let the site's certificate be had and renewed by itself: `true`, or a table. Without this key it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<SiteAcmeSection>,
    /// Compress answers for clients that take it: `true`, a list of codings, or a table. Without this key files are and what
    /// comes from upstreams is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<CompressSection>,
    /// TLS towards `https` upstreams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamTlsSection>,
    /// Times of this site alone; what is not set here is as in [limits].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<SiteTimeouts>,
    /// Most requests of one client network (an IPv4 address or an IPv6 /64): `100/s`, `600/m` or `1000/h`, and behind it
    /// perhaps `burst=200` for how many may come at once. More is answered with 429. Without this key there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<At<String>>,
    /// Whether clients (other proxies) must begin with a PROXY protocol header, version 1 or 2.
    pub proxy_protocol: At<bool>,
    /// Version of the PROXY protocol header that connections to upstreams begin with. It names one client, so each client's
    /// connection then has upstream connections of its own, over HTTP/1.1.
    pub to_proxy_protocol: At<ProxyHeader>,
    /// Networks of proxies in front of this one, which are believed: their `X-Forwarded-For` fields and their PROXY headers
    /// say who the client is. Without this key nobody's fields are believed, and PROXY headers of
    /// loopback and private networks; other peers are then refused where a header is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Many>,
}

impl Default for SiteSection {
    fn default() -> Self {
        Self {
            listen: Many::default(),
            to: Many::default(),
            routes: Many::default(),
            balance: At::default_of("p2c"),
            sticky: None,
            slow_start: At::default_of("0s"),
            health: None,
            outliers: OutlierSection::default(),
            panic_below: At::default_of("50%"),
            breaker: BreakerSection::default(),
            queue: None,
            retries: RetrySection::default(),
            hedge: None,
            gate: At::default_of(GateWord::Serve),
            fallback: None,
            tls: None,
            acme: None,
            compress: None,
            upstream: None,
            timeouts: None,
            rate: None,
            proxy_protocol: At::default_of(false),
            to_proxy_protocol: At::default_of(ProxyHeader::Off),
            trusted: None,
        }
    }
}

/// One stream of the reverse proxy: connections or datagrams carried as they are.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSection {
    /// Addresses to listen on, each `ADDRESS:PORT`, or `udp://ADDRESS:PORT` for datagrams; all of one kind. Required.
    pub listen: Many,
    /// Upstreams, each `HOST:PORT` or `unix:/PATH`, with `weight`, `priority` and `zone` as in a site. Required
    /// unless there is `sni`.
    pub to: Many,
    /// Upstreams by the name a TLS client asks for, which is read without opening the connection: a name,
    /// `*.example.com`, or `*` for all others, names that are missing included.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sni: BTreeMap<String, Many>,
    /// TLS with clients, which ends here. Without this key connections are carried as they are. Not together with `sni`, which
    /// passes TLS on unopened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<StreamTlsSection>,
    /// How connections are shared: `p2c`, `round-robin`, `weighted`, `least-conn`, or `hash:client`.
    pub balance: At<String>,
    /// How long an upstream that joins or comes back works up to its full share. 0 s to 1 h.
    #[schemars(extend("format" = "time"))]
    pub slow_start: At<String>,
    /// How the upstreams are asked whether they are well. Without this key only the connections themselves tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSection>,
    /// When an upstream is put aside for its failures.
    pub outliers: OutlierSection,
    /// With fewer of the upstreams well than this, all of them are used: so many failures at once are more likely a fault
    /// of the checks. Only where there are four or more. 0%: never.
    #[schemars(extend("format" = "share"))]
    pub panic_below: At<String>,
    /// How much of these upstreams may be under way at once. Of connections only `connections`, `pending` and `retries`
    /// count, of datagrams none.
    pub breaker: BreakerSection,
    /// How often another upstream is tried.
    pub retries: StreamRetrySection,
    /// What becomes of new connections while none of the upstreams is well: `serve`, `refuse` or `hold`.
    pub gate: At<GateWord>,
    /// Times of this stream alone; what is not set here is as in [limits].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<StreamTimeouts>,
    /// Most connections one client network (an IPv4 address or an IPv6 /64) may open: `10/s`, `600/m` or `1000/h`, and
    /// behind it perhaps `burst=50` for how many may come at once. Without this key there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<At<String>>,
    /// Whether clients (other proxies) must begin with a PROXY protocol header, version 1 or 2.
    pub proxy_protocol: At<bool>,
    /// Networks of proxies in front of this one, whose PROXY headers are believed. Without this key those of loopback
    /// and private networks; other peers are refused where a header is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Many>,
    /// Version of the PROXY protocol header that connections to upstreams begin with.
    pub to_proxy_protocol: At<ProxyHeader>,
    /// When a connection is taken and its upstream called.
    pub accept: At<AcceptMode>,
}

impl Default for StreamSection {
    fn default() -> Self {
        Self {
            listen: Many::default(),
            to: Many::default(),
            sni: BTreeMap::new(),
            tls: None,
            balance: At::default_of("p2c"),
            slow_start: At::default_of("0s"),
            health: None,
            outliers: OutlierSection::default(),
            panic_below: At::default_of("50%"),
            breaker: BreakerSection::default(),
            retries: StreamRetrySection::default(),
            gate: At::default_of(GateWord::Serve),
            timeouts: None,
            rate: None,
            proxy_protocol: At::default_of(false),
            trusted: None,
            to_proxy_protocol: At::default_of(ProxyHeader::Off),
            accept: At::default_of(AcceptMode::Eager),
        }
    }
}

/// How upstreams are asked whether they are well.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSection {
    /// Path of a `GET` whose answer tells. Without this key a connection that is taken is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<At<String>>,
    /// Name of a service that is asked about by gRPC's own health protocol over HTTP/2; empty: the whole server. Not together
    /// with `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<At<String>>,
    /// `Host` of the `GET`. Without this key the upstream's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<At<String>>,
    /// Statuses of the answer that mean well, such as `200` or `200-299`.
    pub status: Many,
    /// Text the body of the answer must begin with. Without this key any body will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<At<String>>,
    /// Port to ask on, 1 to 65535. Without this key the upstream's own; for datagrams it must be written, and is TCP.
    #[schemars(range(min = 1, max = 65_535))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<At<i64>>,
    /// Time between two checks. 100 ms to 1 h.
    #[schemars(extend("format" = "time"))]
    pub every: At<String>,
    /// Longest wait for an answer. 10 ms to 10 m.
    #[schemars(extend("format" = "time"))]
    pub timeout: At<String>,
    /// Good answers in a row after which an upstream is used again.
    #[schemars(range(min = 1, max = 100))]
    pub rise: At<i64>,
    /// Bad answers in a row after which an upstream is no longer used.
    #[schemars(range(min = 1, max = 100))]
    pub fall: At<i64>,
}

impl Default for HealthSection {
    fn default() -> Self {
        Self {
            path: None,
            grpc: None,
            host: None,
            status: Many::default_of(&["200-399"]),
            body: None,
            port: None,
            every: At::default_of("5s"),
            timeout: At::default_of("2s"),
            rise: At::default_of(2),
            fall: At::default_of(3),
        }
    }
}

/// TLS towards upstreams. All files are PEM and relative to the file that names them.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTlsSection {
    /// Certificates of the authorities that upstreams are trusted by, instead of those of this computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<At<String>>,
    /// Name that is asked for and that the certificate must hold. Without this key the upstream's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<At<String>>,
    /// Certificate that is shown to upstreams, together with `client_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<At<String>>,
    /// Private key of `client_cert`, readable by its owner alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<At<String>>,
    /// Which HTTP is spoken. WebSockets go over HTTP/1.1 where an upstream does not take them over HTTP/2.
    pub protocol: At<UpstreamProtocol>,
}

impl Default for UpstreamTlsSection {
    fn default() -> Self {
        Self {
            ca: None,
            sni: None,
            client_cert: None,
            client_key: None,
            protocol: At::default_of(UpstreamProtocol::Http1),
        }
    }
}

/// Which HTTP is spoken to `https` upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; an upstream that does not take it up cannot be reached.
    H2,
    /// What the upstream chooses, HTTP/2 where it can.
    Auto,
}

/// Times of one site.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteTimeouts {
    /// Longest wait for a connection to an upstream. 10 ms to 10 m. Without this key `limits.connect_timeout`.
    #[schemars(extend("format" = "time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<At<String>>,
    /// Longest wait for the first byte of an answer, for each try. 10 ms to 1 d. Without this key `limits.first_byte`.
    #[schemars(extend("format" = "time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<At<String>>,
    /// Longest silence of a kept-alive client between requests. 100 ms to 1 d. Without this key `limits.idle_timeout`.
    #[schemars(extend("format" = "time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<At<String>>,
    /// Longest time from a request's head to the end of its answer, all tries together. 10 ms to 1 d, or `off`. Without
    /// this key there is no limit.
    #[schemars(extend("format" = "time or off"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<At<String>>,
}

/// Times of one stream.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamTimeouts {
    /// Longest wait for a connection to an upstream. 10 ms to 10 m. Without this key `limits.connect_timeout`.
    #[schemars(extend("format" = "time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<At<String>>,
    /// Longest silence of a connection, both directions together, or of a client's datagrams. 100 ms to 30 d, or `off`.
    /// Without this key `limits.tunnel_idle`, for datagrams 60 s.
    #[schemars(extend("format" = "time or off"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<At<String>>,
    /// Longest life of a connection. 1 s to 30 d, or `off`. Without this key there is no limit.
    #[schemars(extend("format" = "time or off"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<At<String>>,
}

/// Version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyHeader {
    /// No header.
    Off,
    /// One line of text.
    V1,
    /// Binary, with a checksum.
    V2,
}

/// What becomes of new connections while nobody is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateWord {
    /// They are taken; a request is answered with 503 or by the fallback, a stream is reset.
    Serve,
    /// The address is closed, so that clients with another address to try do so at once.
    Refuse,
    /// They are neither taken nor refused: clients wait and come through when an upstream is well again.
    Hold,
}

/// When a connection is taken and its upstream called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcceptMode {
    /// The upstream is called when it is known which: after the client's hello where `sni` chooses, else at once.
    Lazy,
    /// The upstream is called at once: for protocols in which the server speaks first.
    Eager,
    /// Connections to upstreams are kept ready before any client comes.
    Preconnect,
    /// The upstream is called when the client has sent its first byte: one that says nothing costs no upstream.
    Defer,
}
