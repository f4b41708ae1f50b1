//! The facts of one finished request, tunnel or association, as the access log sees them.
//!
//! Borrowed and plain: it is made on the shard when the work ends, turned into a line, and dropped. What of it
//! may be written is the log's privacy level, applied by the formats in `app/log`, nowhere else.

use crate::host::Host;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What the client spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A plain HTTP request with an absolute target.
    Http,
    /// A CONNECT tunnel.
    Connect,
    /// An upgraded HTTP connection (WebSocket).
    Upgrade,
    /// SOCKS4 or SOCKS4a.
    Socks4,
    /// SOCKS5, CONNECT or BIND.
    Socks5,
    /// A SOCKS5 UDP association.
    Udp,
    /// A stream of the reverse proxy over TCP.
    StreamTcp,
    /// The same, and its TLS hello was read.
    StreamTls,
    /// A session of datagrams of the reverse proxy.
    StreamUdp,
}

impl Protocol {
    /// A stable lower-case word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Connect => "connect",
            Self::Upgrade => "upgrade",
            Self::Socks4 => "socks4",
            Self::Socks5 => "socks5",
            Self::Udp => "udp",
            Self::StreamTcp => "stream-tcp",
            Self::StreamTls => "stream-tls",
            Self::StreamUdp => "stream-udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One line of the access log, before it is one.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Wall-clock time of the start, milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: u64,
    /// From the first byte of the request to the last byte of the answer.
    pub elapsed: Duration,
    /// Configured name of the listener.
    pub listener: &'a str,
    /// What the client spoke.
    pub protocol: Protocol,
    /// The client's address.
    pub client: SocketAddr,
    /// The authenticated user, if any.
    pub user: Option<&'a str>,
    /// HTTP method or SOCKS command; for logs only, at most 32 octets.
    pub method: &'a str,
    /// Where it wanted to go; none when the request was refused before that was known.
    pub host: Option<&'a Host>,
    /// Port of the target, 0 when unknown.
    pub port: u16,
    /// Path and query of a plain HTTP request, else empty. May hold bytes that are no UTF-8.
    pub path: &'a [u8],
    /// HTTP status sent to the client, or the SOCKS reply code; 0 when nothing was sent.
    pub status: u16,
    /// Bytes from the client to the far side (bodies and tunnel payload).
    pub bytes_up: u64,
    /// Bytes from the far side to the client (bodies and tunnel payload).
    pub bytes_down: u64,
    /// Verb of the decision: `direct`, `allow`, `block`, `via:NAME`, or empty when none was made.
    pub verb: &'a str,
    /// 1-based number of the rule that decided, 0 for the implied last rule or none.
    pub rule: u32,
    /// Address that was connected to, if any.
    pub upstream: Option<SocketAddr>,
    /// Stable word for how it ended: `ok`, or a reason such as `connect_refused`.
    pub outcome: &'static str,
    /// `User-Agent` and `Referer` of a plain HTTP request, for the combined format; empty when absent.
    pub user_agent: &'a [u8],
    /// See [`Record::user_agent`].
    pub referer: &'a [u8],
}
