//! Why no connection was opened, and what that is called in logs and in `Proxy-Status` (RFC 9209).

use crate::egress_guard::GuardRule;
use crate::resolver::ResolveError;
use rustix::io::Errno;
use shoalway_types::{Failure, Retry, Side};
use std::borrow::Cow;
use std::io;
use std::time::Duration;

/// Why no connection to a target was made. Nothing has been sent to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The name has no address, or none could be found out.
    #[error("the name could not be resolved")]
    Resolve(#[source] ResolveError),
    /// No connection before the deadline.
    #[error("no connection after {after:?}")]
    Timeout {
        /// The time that was given.
        after: Duration,
    },
    /// The egress guard or the operator's rules refuse every address.
    #[error("address refused by {rule}")]
    Refused {
        /// The name of the rule: [`GuardRule::word`], or what the operator calls it.
        rule: Cow<'static, str>,
    },
    /// The far side or the network on the way refused.
    #[error("connect")]
    Connect(#[source] io::Error),
    /// This process or machine has no descriptors or no memory for sockets.
    #[error("no descriptor or memory for another connection")]
    NoDescriptors(#[source] io::Error),
    /// No local address or port to leave from: all ports to this destination are in use, or the address to
    /// leave from is not ours.
    #[error("no local address or port for another connection")]
    NoLocalAddress(#[source] io::Error),
}

impl DialError {
    pub(crate) fn from_io(error: io::Error) -> Self {
        if is_exhausted(&error) {
            return Self::NoDescriptors(error);
        }
        match error.kind() {
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Self::NoLocalAddress(error),
            _ => Self::Connect(error),
        }
    }

    /// The error type for a `Proxy-Status` field, RFC 9209 section 2.3.
    #[must_use]
    pub fn proxy_status(&self) -> &'static str {
        match self {
            Self::Resolve(error) => error.proxy_status(),
            Self::Timeout { .. } => "connection_timeout",
            Self::Refused { .. } => "destination_ip_prohibited",
            Self::Connect(error) => connect_word(error.kind()),
            Self::NoDescriptors(_) | Self::NoLocalAddress(_) => "proxy_internal_error",
        }
    }
}

impl Failure for DialError {
    fn side(&self) -> Side {
        match self {
            Self::Resolve(error) => error.side(),
            Self::Timeout { .. } | Self::Connect(_) => Side::Upstream,
            Self::Refused { .. } => Side::Policy,
            Self::NoDescriptors(_) | Self::NoLocalAddress(_) => Side::Local,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Resolve(error) => error.retry(),
            Self::Refused { .. } => Retry::Never,
            Self::Timeout { .. } | Self::Connect(_) | Self::NoDescriptors(_) | Self::NoLocalAddress(_) => {
                Retry::Safe
            }
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Resolve(ResolveError::Busy) => "dns_busy",
            Self::Resolve(error) => error.proxy_status(),
            Self::Timeout { .. } | Self::Refused { .. } | Self::Connect(_) => self.proxy_status(),
            Self::NoDescriptors(_) => "no_descriptors",
            Self::NoLocalAddress(_) => "no_local_address",
        }
    }
}

/// The guard's rule as an error.
pub(super) const fn prohibited(rule: GuardRule) -> DialError {
    DialError::Refused { rule: Cow::Borrowed(rule.word()) }
}

/// Whether it is this machine that has run out.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

fn connect_word(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => "connection_refused",
        // The kernel's own patience, ETIMEDOUT.
        io::ErrorKind::TimedOut => "connection_timeout",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "connection_terminated",
        // Unreachable, forbidden by a firewall of this machine, or of a family it does not have.
        _ => "destination_ip_unroutable",
    }
}
