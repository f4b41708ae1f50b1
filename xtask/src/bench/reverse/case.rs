//! The cases of `bench reverse`: what is measured, through which door, and how much work one round is.

use super::super::options::Choice;
use super::super::peer::Peer;
use super::super::rounds::{Job, Unit};
use super::super::site::Door;

/// One measurement, one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Case {
    /// Small answers over kept-alive connections.
    H1Small,
    /// The same with 10 KiB.
    H1Middle,
    /// Bodies of 1 MiB.
    BodySmall,
    /// Bodies of 100 MiB.
    BodyLarge,
    /// HTTP/2 to clients, small answers.
    H2,
    /// HTTP/2 to clients, bodies of 1 MiB.
    H2Bulk,
    /// Full handshake, one request, close.
    TlsHandshake,
    /// Bodies of 16 MiB over HTTP/1.1 with TLS.
    TlsBulk,
    /// One download through a relay.
    L4Bulk,
    /// Connections through a relay, one small exchange each.
    L4Connect,
    /// Memory of idle kept-alive clients.
    Idle,
    /// Time to answer at a fixed rate.
    Latency,
    /// What reloads break.
    Reload,
}

/// Peers with a target of their own.
type Against = &'static [(&'static str, f64)];

impl Case {
    /// Headline of its table.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::H1Small => "`h1-100`: HTTP/1.1 GET, keep-alive, 100 B bodies, 64 connections",
            Self::H1Middle => "`h1-10k`: HTTP/1.1 GET, keep-alive, 10 KiB bodies, 64 connections",
            Self::BodySmall => "`body-1m`: HTTP/1.1 bodies of 1 MiB, keep-alive, 8 connections",
            Self::BodyLarge => "`body-100m`: HTTP/1.1 bodies of 100 MiB, keep-alive, 4 connections",
            Self::H2 => "`h2`: HTTP/2 with TLS, 8 connections x 32 streams, 100 B bodies, HTTP/1.1 behind",
            Self::H2Bulk => {
                "`h2-bulk`: HTTP/2 with TLS, 4 connections x 8 streams, bodies of 1 MiB, HTTP/1.1 behind"
            }
            Self::TlsHandshake => {
                "`tls-handshake`: TLS 1.3 full handshake (ECDSA P-256, X25519), request, close; 16 at once"
            }
            Self::TlsBulk => {
                "`tls-bulk`: HTTP/1.1 with TLS 1.3 (AES-128-GCM), bodies of 16 MiB, 4 connections"
            }
            Self::L4Bulk => "`l4-bulk`: relay of TCP, one download of several GiB",
            Self::L4Connect => "`l4-connect`: relay of TCP, connect, 100 B each way, close; 16 at once",
            Self::Idle => "`idle`: own memory of idle kept-alive clients",
            Self::Latency => "`latency`: time to answer at 80 % of saturation",
            Self::Reload => "`reload`: reloads under load with WebSockets open",
        }
    }

    /// What the table says a peer does.
    pub(super) const fn role(self) -> &'static str {
        match self {
            Self::L4Bulk | Self::L4Connect => "relay of TCP",
            Self::H2 | Self::H2Bulk => "reverse proxy, h2",
            Self::TlsHandshake | Self::TlsBulk => "reverse proxy, TLS",
            Self::H1Small
            | Self::H1Middle
            | Self::BodySmall
            | Self::BodyLarge
            | Self::Idle
            | Self::Latency
            | Self::Reload => "reverse proxy",
        }
    }

    /// Where the load knocks.
    pub(super) const fn door(self) -> Door {
        match self {
            Self::H2 | Self::H2Bulk | Self::TlsHandshake | Self::TlsBulk => Door::Tls,
            Self::L4Bulk => Door::RelaySource,
            Self::L4Connect => Door::RelayEcho,
            Self::H1Small
            | Self::H1Middle
            | Self::BodySmall
            | Self::BodyLarge
            | Self::Idle
            | Self::Latency
            | Self::Reload => Door::Proxy,
        }
    }

    /// Who can do it: Caddy has no relay of TCP without a plugin.
    pub(super) const fn peers(self) -> &'static [Peer] {
        match self {
            Self::L4Bulk | Self::L4Connect => &[Peer::Shoalway, Peer::Haproxy, Peer::Nginx, Peer::Envoy],
            Self::H1Small
            | Self::H1Middle
            | Self::BodySmall
            | Self::BodyLarge
            | Self::H2
            | Self::H2Bulk
            | Self::TlsHandshake
            | Self::TlsBulk
            | Self::Idle
            | Self::Latency
            | Self::Reload => &Peer::REVERSE,
        }
    }

    /// Bytes of one body; 0 is the ordinary page of 100.
    pub(super) const fn bytes(self) -> u64 {
        match self {
            Self::H1Middle => 10 << 10,
            Self::BodySmall | Self::H2Bulk => 1 << 20,
            Self::BodyLarge => 100 << 20,
            Self::TlsBulk => 16 << 20,
            Self::H1Small
            | Self::H2
            | Self::TlsHandshake
            | Self::L4Bulk
            | Self::L4Connect
            | Self::Idle
            | Self::Latency
            | Self::Reload => 0,
        }
    }

    /// Whether its load is the one of nghttp2.
    pub(super) const fn needs_h2load(self) -> bool {
        matches!(self, Self::H2 | Self::H2Bulk | Self::TlsBulk)
    }

    /// What its rounds need to know.
    pub(super) fn job(self) -> Job {
        let (unit, warm_up) = match self {
            Self::H1Small | Self::H1Middle | Self::H2 | Self::Latency | Self::Idle | Self::Reload => {
                (Unit::Request, 20_000)
            }
            Self::BodySmall | Self::H2Bulk => (Unit::Gib, 256),
            Self::BodyLarge | Self::TlsBulk => (Unit::Gib, 20),
            Self::TlsHandshake => (Unit::Handshake, 1_000),
            Self::L4Bulk => (Unit::Gib, 1_024),
            Self::L4Connect => (Unit::Tunnel, 2_000),
        };
        let (target, against) = self.targets();
        // Rows whose target is within a few per cent of the best peer are measured in pairs as well.
        let pairs = if matches!(self, Self::BodySmall | Self::BodyLarge | Self::L4Bulk) { 7 } else { 0 };
        Job { name: self.name(), title: self.title(), unit, warm_up, target, against, pairs }
    }

    /// Work per CPU second that ours should reach: as a multiple of the best peer's, and of single ones'.
    const fn targets(self) -> (Option<f64>, Against) {
        match self {
            Self::H1Small | Self::H1Middle => (None, &[("haproxy", 1.08), ("nginx", 1.08)]),
            Self::BodySmall | Self::BodyLarge => (None, &[("haproxy", 1.0)]),
            Self::H2 => (None, &[("nginx", 1.3), ("haproxy", 1.0)]),
            Self::H2Bulk => (Some(1.0), &[]),
            Self::TlsHandshake => (Some(1.1), &[]),
            Self::TlsBulk => (Some(1.0), &[("nginx", 1.25)]),
            Self::L4Bulk => (None, &[("haproxy", 1.05)]),
            Self::L4Connect => (None, &[("nginx", 1.05)]),
            Self::Idle | Self::Latency | Self::Reload => (None, &[]),
        }
    }

    /// The most units of one round: requests, connections, bodies or (relay) MiB.
    pub(super) const fn most(self) -> u64 {
        match self {
            Self::H1Small | Self::H1Middle | Self::H2 | Self::Latency | Self::Idle | Self::Reload => 500_000,
            Self::BodySmall | Self::H2Bulk => 16 << 10,
            Self::BodyLarge => 200,
            Self::TlsHandshake => 40_000,
            Self::TlsBulk => 500,
            Self::L4Bulk => 32 << 10,
            Self::L4Connect => 80_000,
        }
    }
}

impl Choice for Case {
    const ALL: &'static [Self] = &[
        Self::H1Small,
        Self::H1Middle,
        Self::BodySmall,
        Self::BodyLarge,
        Self::H2,
        Self::H2Bulk,
        Self::TlsHandshake,
        Self::TlsBulk,
        Self::L4Bulk,
        Self::L4Connect,
        Self::Idle,
        Self::Latency,
        Self::Reload,
    ];
    const PEERS: &'static [Peer] = &Peer::REVERSE;

    fn name(self) -> &'static str {
        match self {
            Self::H1Small => "h1-100",
            Self::H1Middle => "h1-10k",
            Self::BodySmall => "body-1m",
            Self::BodyLarge => "body-100m",
            Self::H2 => "h2",
            Self::H2Bulk => "h2-bulk",
            Self::TlsHandshake => "tls-handshake",
            Self::TlsBulk => "tls-bulk",
            Self::L4Bulk => "l4-bulk",
            Self::L4Connect => "l4-connect",
            Self::Idle => "idle",
            Self::Latency => "latency",
            Self::Reload => "reload",
        }
    }
}
