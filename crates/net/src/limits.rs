//! Limits on peers: how long each wait may last, how slow a client may be, how much it may hold.
//!
//! Every default stands here and nowhere else; `config show --defaults` prints them.

use std::time::Duration;

/// Deadlines and bounds of one listener. All have a default ([`Limits::default`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// First byte of a connection to the end of its first head or handshake (default 10 s).
    pub head: Duration,
    /// A kept-alive client that says nothing (default 60 s).
    pub idle: Duration,
    /// Silence of a peer in the middle of a body (default 60 s).
    pub body_idle: Duration,
    /// An upstream's silence before its answer begins (default 60 s).
    pub first_byte: Duration,
    /// Establishing a connection to the far side (default 10 s).
    pub connect: Duration,
    /// Silence in both directions of a tunnel (default 10 min).
    pub tunnel_idle: Duration,
    /// An idle upstream connection is closed after this (default 30 s).
    pub upstream_idle: Duration,
    /// What is under way may take this long after a drain begins (default 30 s).
    pub drain: Duration,
    /// Average a client must keep while we wait for it, after [`PACE_GRACE`]; bytes a second (default 64).
    pub min_rate: u64,
    /// Open connections of this process (default: from the descriptor limit).
    pub connections: usize,
    /// Open connections of one client network, IPv4 address or IPv6 /64 (default 0: no cap of its own).
    pub per_client: usize,
    /// Idle upstream connections a shard keeps for one upstream (default 256).
    pub idle_per_upstream: usize,
    /// Idle upstream connections a shard keeps (default 4,096).
    pub idle_upstreams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_idle: Duration::from_secs(60),
            first_byte: Duration::from_secs(60),
            connect: Duration::from_secs(10),
            tunnel_idle: Duration::from_secs(600),
            upstream_idle: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            min_rate: 64,
            connections: usize::MAX,
            per_client: 0,
            idle_per_upstream: 256,
            idle_upstreams: 4_096,
        }
    }
}

/// A client's pace is judged only after it was waited for this long.
pub const PACE_GRACE: Duration = Duration::from_secs(10);

/// The average rate of one client in one phase, counted only over the time we waited for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// `bytes` came (or went) after a wait of `waited`.
    pub fn moved(&mut self, bytes: u64, waited: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.waited = self.waited.saturating_add(waited);
    }

    /// How long the next wait may last before the average falls below `min_rate` bytes a second.
    #[must_use]
    pub fn patience(&self, min_rate: u64) -> Duration {
        if min_rate == 0 {
            return Duration::MAX;
        }
        let earned = Duration::from_millis(self.bytes.saturating_mul(1_000) / min_rate);
        PACE_GRACE.max(earned).saturating_sub(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_every_two_seconds_is_not_waited_for_longer_than_the_grace() {
        let mut pace = Pace::default();
        let mut waited = Duration::ZERO;
        while pace.patience(64) > Duration::from_secs(2) {
            pace.moved(1, Duration::from_secs(2));
            waited += Duration::from_secs(2);
        }
        assert!(waited <= PACE_GRACE, "{waited:?}");
    }

    #[test]
    fn a_client_that_keeps_the_rate_is_waited_for() {
        let mut pace = Pace::default();
        for _ in 0..1_000 {
            assert!(pace.patience(64) >= Duration::from_secs(1));
            pace.moved(100, Duration::from_secs(1));
        }
    }
}
