//! Why a stream came to nothing, with its word and its counter.

use super::TcpGateway;
use super::head::HeadError;
use crate::breaker::Open;
use crate::stream_plan::StreamCounters;
use shoalway_net::counters::Counter;
use shoalway_net::deadline::Expiry;
use shoalway_net::dialer::DialError;
use shoalway_net::shard::Shard;
use shoalway_net::tls::TlsError;
use shoalway_types::Failure as _;

/// Why a stream came to nothing. Nothing of the client's has been sent to anybody.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The client left before it had said enough.
    #[error("the client left")]
    ClientGone,
    /// It said too little in the time it had.
    #[error("no whole header or hello in time")]
    HeadTimeout,
    /// Ended from outside: a drain.
    #[error("ended from outside")]
    Ended,
    /// What it said was wrong.
    #[error(transparent)]
    Head(HeadError),
    /// TLS was not agreed upon.
    #[error(transparent)]
    Tls(TlsError),
    /// Its network, which the PROXY header has told, opens too many.
    #[error("too many new connections")]
    Rate,
    /// No rule is for its hello.
    #[error("no rule for this hello")]
    Unrouted,
    /// As much is under way as may be.
    #[error(transparent)]
    Breaker(#[from] Open),
    /// No endpoint is healthy, or each was tried.
    #[error("no endpoint can be used")]
    NoEndpoint,
    /// The last endpoint that was tried could not be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
}

impl Refusal {
    /// Its stable word in the log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::HeadTimeout => "head_timeout",
            Self::Ended => "ended",
            Self::Head(error) => error.word(),
            Self::Tls(error) => error.word(),
            Self::Rate => "rate_limited",
            Self::Unrouted => "no_route",
            Self::Breaker(Open(bound)) => bound.word(),
            Self::NoEndpoint => "no_endpoint",
            Self::Dial(error) => error.word(),
        }
    }

    /// Whether the client should see a reset: to it, nobody answers on this port now.
    pub(super) const fn resets(&self) -> bool {
        match self {
            Self::Breaker(_) | Self::NoEndpoint | Self::Dial(_) | Self::Rate => true,
            Self::ClientGone
            | Self::HeadTimeout
            | Self::Ended
            | Self::Head(_)
            | Self::Tls(_)
            | Self::Unrouted => false,
        }
    }

    /// Counts it.
    pub(super) fn count(&self, gateway: &TcpGateway, shard: &Shard) {
        if let Some(counter) = gateway.counters(shard).and_then(|counters| self.counter(counters)) {
            counter.add(1);
        }
    }

    const fn counter<'a>(&self, counters: &'a StreamCounters) -> Option<&'a Counter> {
        match self {
            Self::ClientGone | Self::Ended => None,
            Self::HeadTimeout | Self::Head(_) | Self::Tls(_) => Some(&counters.bad_heads),
            Self::Rate => Some(&counters.rate_limited),
            Self::Unrouted => Some(&counters.unrouted),
            Self::Breaker(_) => Some(&counters.breaker_open),
            Self::NoEndpoint | Self::Dial(_) => Some(&counters.no_endpoint),
        }
    }
}

impl From<Expiry> for Refusal {
    fn from(expiry: Expiry) -> Self {
        match expiry {
            Expiry::Time => Self::HeadTimeout,
            Expiry::Ended => Self::Ended,
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Gone => Self::ClientGone,
            HeadError::Proxy(_) | HeadError::Hello(_) => Self::Head(error),
        }
    }
}
