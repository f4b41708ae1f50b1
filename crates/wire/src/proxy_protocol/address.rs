//! Who is connected with whom: the addresses of a header, PROXY protocol sections 2.1 and 2.2.
//!
//! Not here: how they are written (`v1.rs`, `v2.rs`), whether they are believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Whether the relayed thing is a stream of bytes or of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP, or a stream over a Unix socket.
    Stream,
    /// UDP, or datagrams over a Unix socket.
    Datagram,
}

/// The two ends of the connection a header speaks of. `Debug` hides the addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Endpoints<'a> {
    /// The sender speaks for itself, as for a health check: the real connection's ends are meant. Version 2 only.
    Local,
    /// The sender cannot tell: the real connection's ends are all there is.
    Unknown,
    /// IPv4.
    Inet {
        /// What is relayed; version 1 has streams only.
        transport: Transport,
        /// The client.
        source: SocketAddrV4,
        /// What the client connected to.
        destination: SocketAddrV4,
    },
    /// IPv6. An IPv4-mapped address is left as sent; see [`Endpoints::client`].
    Inet6 {
        /// What is relayed; version 1 has streams only.
        transport: Transport,
        /// The client. Flow and scope are not transmitted, and 0.
        source: SocketAddrV6,
        /// What the client connected to.
        destination: SocketAddrV6,
    },
    /// Unix sockets, version 2 only.
    Unix {
        /// What is relayed.
        transport: Transport,
        /// The client, mostly without a name.
        source: UnixAddress<'a>,
        /// What the client connected to.
        destination: UnixAddress<'a>,
    },
}

impl Endpoints<'_> {
    /// The form in which two addresses are told: IPv4 when both are, mapped or not; otherwise IPv6, an IPv4
    /// address then being mapped (RFC 4291 section 2.5.5.2). Scopes and flows are dropped.
    #[must_use]
    pub fn between(transport: Transport, source: SocketAddr, destination: SocketAddr) -> Self {
        match (source.ip().to_canonical(), destination.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Self::Inet {
                transport,
                source: SocketAddrV4::new(from, source.port()),
                destination: SocketAddrV4::new(to, destination.port()),
            },
            (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => {
                Self::Inet6 { transport, source: as_v6(source), destination: as_v6(destination) }
            }
        }
    }

    /// The client's address, which rules and logs may use in place of the peer's; an IPv4-mapped one as IPv4, so
    /// that no rule can be walked around. `None` when the real connection's is meant, or there is none.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        match self {
            Self::Local | Self::Unknown | Self::Unix { .. } => None,
            Self::Inet { source, .. } => Some(SocketAddr::V4(*source)),
            Self::Inet6 { source, .. } => Some(canonical(*source)),
        }
    }

    /// The address the client connected to, in the same form as [`Endpoints::client`].
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        match self {
            Self::Local | Self::Unknown | Self::Unix { .. } => None,
            Self::Inet { destination, .. } => Some(SocketAddr::V4(*destination)),
            Self::Inet6 { destination, .. } => Some(canonical(*destination)),
        }
    }
}

fn as_v6(addr: SocketAddr) -> SocketAddrV6 {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip),
        IpAddr::V6(ip) => ip,
    };
    SocketAddrV6::new(ip, addr.port(), 0, 0)
}

fn canonical(addr: SocketAddrV6) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

impl fmt::Debug for Endpoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("Local"),
            Self::Unknown => f.write_str("Unknown"),
            Self::Inet { transport, .. } => write!(f, "Inet({transport:?}, [hidden])"),
            Self::Inet6 { transport, .. } => write!(f, "Inet6({transport:?}, [hidden])"),
            Self::Unix { transport, .. } => write!(f, "Unix({transport:?}, [hidden])"),
        }
    }
}

/// The name of a Unix socket: a path, an abstract name (which begins with a zero byte), or nothing.
/// Zero bytes at its end are not part of it, since the field of 108 bytes is filled with them. `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UnixAddress<'a>(&'a [u8]);

impl<'a> UnixAddress<'a> {
    /// Width of the field.
    pub(crate) const WIDTH: usize = 108;

    /// The name without what fills the field; `None` when it is longer than 108 bytes.
    #[must_use]
    pub fn new(name: &'a [u8]) -> Option<Self> {
        let end = name.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        name.get(..end).filter(|name| name.len() <= Self::WIDTH).map(Self)
    }

    /// The name.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for UnixAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
