//! The cases: what is measured, who takes part and by which door, and how much work one round is.

use super::super::options::Choice;
use super::super::peer::Peer;
use super::super::rounds::{Job, Unit};
use super::super::site::Door;

/// One measurement, one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Case {
    /// Plain GET, keep-alive, 64 connections.
    Get,
    /// CONNECT, exchange of 100 bytes, close; 16 at once.
    Connect,
    /// The same through SOCKS5.
    Socks5,
    /// One download of several GiB through one tunnel.
    Bulk,
    /// Downloads of 1 MiB, a tunnel each.
    BulkSmall,
    /// Memory of idle tunnels.
    Idle,
    /// Time from exec to listening.
    Start,
}

/// How the load asks a peer for the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Not at all: a reverse proxy or relay knows it.
    Direct,
    /// Absolute-form or CONNECT.
    Http,
    /// SOCKS5.
    Socks5,
}

impl Via {
    /// The load generator's word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Http => "connect",
            Self::Socks5 => "socks5",
        }
    }
}

/// One line of a case's table: a peer in a role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) peer: Peer,
    pub(super) via: Via,
    pub(super) door: Door,
    /// What the table says it does.
    pub(super) role: &'static str,
    /// It does less than a forward proxy must: shown, not the mark to beat (but in bulk).
    pub(super) reference: bool,
}

impl Case {
    /// Headline of its table.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Get => "`get`: plain GET, keep-alive, 100 B bodies, 64 connections",
            Self::Connect => "`connect`: CONNECT, 100 B each way, close; 16 at once",
            Self::Socks5 => "`socks5`: SOCKS5 connect, 100 B each way, close; 16 at once",
            Self::Bulk => "`bulk`: one download of several GiB through one tunnel",
            Self::BulkSmall => "`bulk-1m`: downloads of 1 MiB, one after the other, a tunnel each",
            Self::Idle => "`idle`: own memory of an idle tunnel",
            Self::Start => "`start`: exec to listening",
        }
    }

    /// Work per CPU second that ours should reach, as a multiple of the best peer's.
    pub(super) const fn target(self) -> Option<f64> {
        match self {
            Self::Get => Some(1.6),
            Self::Connect | Self::Socks5 => Some(1.3),
            Self::Bulk => Some(1.0),
            Self::BulkSmall | Self::Idle | Self::Start => None,
        }
    }

    /// Whether a relay that need not read a target is the mark to beat as well.
    pub(super) const fn counts_references(self) -> bool {
        matches!(self, Self::Bulk | Self::BulkSmall)
    }

    /// What one costs is told in this.
    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Get | Self::Start => Unit::Request,
            Self::Connect | Self::Socks5 | Self::Idle => Unit::Tunnel,
            Self::Bulk | Self::BulkSmall => Unit::Gib,
        }
    }

    /// What its rounds need to know.
    pub(super) fn job(self) -> Job {
        // The two best lines of bulk lie within a few per cent.
        let pairs = if self == Self::Bulk { 7 } else { 0 };
        let (name, title, unit) = (self.name(), self.title(), self.unit());
        Job { name, title, unit, warm_up: self.warm_up(), target: self.target(), against: &[], pairs }
    }

    /// Who takes part.
    pub(super) fn rows(self) -> Vec<Row> {
        let http = Peer::FORWARD_HTTP.map(|peer| row(peer, Via::Http, Door::Proxy));
        let socks = Peer::FORWARD_SOCKS.map(|peer| row(peer, Via::Socks5, Door::Proxy));
        match self {
            Self::Get => {
                http.into_iter().chain(references(Door::Proxy, "reverse proxy, for reference")).collect()
            }
            Self::Connect => {
                http.into_iter().chain(references(Door::RelayEcho, "TCP relay, for reference")).collect()
            }
            Self::Socks5 => socks.into_iter().collect(),
            Self::Bulk | Self::BulkSmall => {
                http.into_iter().chain(socks).chain(references(Door::RelaySource, "TCP relay")).collect()
            }
            Self::Idle => http
                .into_iter()
                .chain(socks)
                .chain(references(Door::RelayEcho, "TCP relay, for reference"))
                .collect(),
            Self::Start => Peer::FORWARD.map(|peer| row(peer, Via::Direct, Door::Proxy)).into(),
        }
    }

    /// Units of a warm-up after which a fast peer is warm: requests, tunnels or MiB.
    pub(super) const fn warm_up(self) -> u64 {
        match self {
            Self::Get => 20_000,
            Self::Connect | Self::Socks5 => 2_000,
            Self::Bulk => 1_024,
            Self::BulkSmall => 256,
            Self::Idle | Self::Start => 1,
        }
    }

    /// The most units of one round.
    pub(super) const fn most(self) -> u64 {
        match self {
            Self::Get => 500_000,
            Self::Connect | Self::Socks5 => 80_000,
            Self::Bulk => 32 << 10,
            Self::BulkSmall => 8 << 10,
            Self::Idle | Self::Start => 1,
        }
    }
}

const fn row(peer: Peer, via: Via, door: Door) -> Row {
    let role = match via {
        Via::Http if matches!(peer, Peer::Tinyproxy) => "HTTP proxy, no keep-alive",
        Via::Http => "HTTP proxy",
        Via::Socks5 => "SOCKS5 proxy",
        Via::Direct => "",
    };
    Row { peer, via, door, role, reference: false }
}

fn references(door: Door, role: &'static str) -> [Row; 2] {
    [Peer::Haproxy, Peer::Nginx].map(|peer| Row { peer, via: Via::Direct, door, role, reference: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_in_every_case_and_every_peer_in_some() {
        for case in Case::ALL.iter().copied() {
            assert!(case.rows().iter().any(|row| row.peer == Peer::Shoalway), "{}", case.name());
        }
        for peer in Peer::FORWARD {
            let measured = Case::ALL.iter().copied().filter(|case| *case != Case::Start);
            assert!(measured.flat_map(Case::rows).any(|row| row.peer == peer), "{}", peer.name());
        }
    }
}
