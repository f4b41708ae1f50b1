//! The cases: what is measured, and how much work one round is.

use super::super::load::OriginPorts;
use super::super::options::Choice;
use super::super::peer::Peer;
use super::super::rounds::{Job, Unit};

/// One measurement, one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Case {
    /// One download of several GiB through one tunnel.
    Bulk,
    /// The same, each of our processes for itself.
    Parts,
    /// SOCKS5 connect, exchange, close; 16 at once.
    Streams,
    /// A flow on a circuit that has to be made for it, and one on a circuit that stands.
    Circuit,
    /// 64 bytes there and back through a tunnel that stands.
    RoundTrip,
    /// A new flow over a long path.
    FirstByte,
    /// Memory of circuits at the entry, and of a client.
    Memory,
}

/// SOCKS5 users of the streams: a circuit takes 64 streams at once and 20 more each second, and each user has its own circuit.
/// A multiple of the origin's 16 addresses, so that a user always asks for the same one.
const USERS: u64 = 96;

impl Choice for Case {
    const ALL: &'static [Self] = &[
        Self::Bulk,
        Self::Parts,
        Self::Streams,
        Self::Circuit,
        Self::RoundTrip,
        Self::FirstByte,
        Self::Memory,
    ];
    const PEERS: &'static [Peer] = &Peer::OVERLAY;

    fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Parts => "parts",
            Self::Streams => "streams",
            Self::Circuit => "circuit",
            Self::RoundTrip => "round-trip",
            Self::FirstByte => "first-byte",
            Self::Memory => "memory",
        }
    }
}

impl Case {
    /// Headline of its table.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Bulk => "`bulk`: one download of several GiB through one tunnel, all processes together",
            Self::Parts => "`parts`: the same, each of our processes for itself",
            Self::Streams => {
                "`streams`: SOCKS5 connect, 100 B each way, close; 16 at once, all processes together"
            }
            Self::Circuit => {
                "`circuit`: one flow after the other, each on a circuit made for it, or on one that stands"
            }
            Self::RoundTrip => {
                "`round-trip`: 64 bytes there and back through a tunnel that stands, idle otherwise"
            }
            Self::FirstByte => "`first-byte`: a new flow over a path of 20 ms there and back",
            Self::Memory => "`memory`: idle circuits at the entry, and a client",
        }
    }

    /// What its rounds need to know.
    pub(super) const fn job(self) -> Job {
        let unit = if matches!(self, Self::Bulk) { Unit::Gib } else { Unit::Tunnel };
        let warm_up = if matches!(self, Self::Bulk) { 512 } else { 2_000 };
        let against: &[(&str, f64)] = match self {
            Self::Bulk => &[("shadowsocks-rust", 0.5), ("tor", 8.0)],
            Self::Streams => &[("shadowsocks-libev", 1.0)],
            Self::Parts | Self::Circuit | Self::RoundTrip | Self::FirstByte | Self::Memory => &[],
        };
        Job { name: "overlay", title: self.title(), unit, warm_up, target: None, against, pairs: 0 }
    }

    /// The most units of one round.
    pub(super) fn most(self, peer: Peer) -> u64 {
        match (self, peer) {
            (Self::Bulk, _) => 16 << 10,
            // What the circuits of all users take at once, with a third in reserve.
            (_, Peer::Shoalway) => USERS * 42,
            (_, _) => 40_000,
        }
    }

    /// One load run: `amount` units of this case.
    pub(super) fn load(self, origin: OriginPorts, amount: u64) -> Vec<(&'static str, String)> {
        let (mode, port, workers, count, bytes) = match self {
            Self::Bulk | Self::Parts => ("bulk", origin.source, 1, 1, amount << 20),
            Self::Streams => ("exchange", origin.echo, 16, amount, 0),
            Self::Circuit => ("exchange", origin.echo, 1, amount, 0),
            Self::RoundTrip => ("round-trips", origin.echo, 1, amount, 0),
            Self::FirstByte => ("first-byte", origin.echo, 1, amount, 0),
            Self::Memory => ("idle", origin.echo, 1, amount, 0),
        };
        vec![
            ("mode", mode.to_owned()),
            ("port", port.to_string()),
            ("workers", workers.to_string()),
            ("count", count.to_string()),
            ("bytes", bytes.to_string()),
        ]
    }
}

/// What keeps the flows of our streams apart; peers know one user.
pub(super) fn users(case: Case, peer: Peer) -> u64 {
    if (case, peer) == (Case::Streams, Peer::Shoalway) { USERS } else { 0 }
}

/// One exchange: does anything pass at all?
pub(super) fn one_exchange(origin: OriginPorts) -> Vec<(&'static str, String)> {
    Case::Circuit.load(origin, 1)
}
