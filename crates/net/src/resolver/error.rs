//! Why a name has no address, or none could be found out.

use hickory_resolver::net::NetError;
use shoalway_types::{Failure, Retry, Side};
use std::sync::Arc;
use std::time::Duration;

/// Why a look-up gave no address. The texts never name the name.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// There is no such name (NXDOMAIN, RFC 8020).
    #[error("no such name")]
    NotFound,
    /// The name exists and has neither an IPv4 nor an IPv6 address (NODATA, RFC 2308 section 2.2).
    #[error("the name has no address")]
    NoAddress,
    /// The name server answered, but with a failure.
    #[error("the name server answered with code {code}")]
    ServerFailure {
        /// The response code of RFC 6895 section 2.3: 2 is SERVFAIL, 5 is REFUSED.
        code: u16,
    },
    /// No answer in time.
    #[error("no answer from the name server after {after:?}")]
    Timeout {
        /// `timeout` times `attempts`.
        after: Duration,
    },
    /// The name server could not be reached, or what it said makes no sense.
    #[error("the name server cannot be asked")]
    Unreachable(#[source] Arc<NetError>),
    /// Too many questions are under way (1,024).
    #[error("too many names are being resolved")]
    Busy,
    /// The resolver is shutting down.
    #[error("the resolver is shutting down")]
    Closed,
}

impl ResolveError {
    /// Whether this is what the name server says about the name, and not a failure to find out.
    pub(super) const fn is_negative(&self) -> bool {
        match self {
            Self::NotFound | Self::NoAddress => true,
            Self::ServerFailure { .. }
            | Self::Timeout { .. }
            | Self::Unreachable(_)
            | Self::Busy
            | Self::Closed => false,
        }
    }

    /// The error type for a `Proxy-Status` field, RFC 9209 section 2.3.
    #[must_use]
    pub const fn proxy_status(&self) -> &'static str {
        match self {
            Self::NotFound | Self::NoAddress | Self::ServerFailure { .. } | Self::Unreachable(_) => {
                "dns_error"
            }
            Self::Timeout { .. } => "dns_timeout",
            Self::Busy | Self::Closed => "proxy_internal_error",
        }
    }
}

impl Failure for ResolveError {
    fn side(&self) -> Side {
        match self {
            Self::NotFound
            | Self::NoAddress
            | Self::ServerFailure { .. }
            | Self::Timeout { .. }
            | Self::Unreachable(_) => Side::Upstream,
            Self::Busy | Self::Closed => Side::Local,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotFound | Self::NoAddress | Self::Closed => Retry::Never,
            Self::ServerFailure { .. } | Self::Timeout { .. } | Self::Unreachable(_) | Self::Busy => {
                Retry::Safe
            }
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::NotFound => "dns_not_found",
            Self::NoAddress => "dns_no_address",
            Self::ServerFailure { .. } => "dns_server_failure",
            Self::Timeout { .. } => "dns_timeout",
            Self::Unreachable(_) => "dns_unreachable",
            Self::Busy => "dns_busy",
            Self::Closed => "dns_closed",
        }
    }
}
