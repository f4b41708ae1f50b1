//! Ways out: [`Outbound`] is the plan (shared by all shards), [`Connect`] the shard's own worker made from it.
//!
//! A worker turns a [`Session`] into a [`Connected`] stream and says truthfully why when it cannot. Workers stay on
//! their shard, so they need no locks and their futures need not be `Send`. Not here: which way out is taken
//! (`forward/dispatch`, later `reverse/attempt`), the ways themselves (`forward/outbound`).

use crate::dialer::DialError;
use crate::egress_guard::GuardRule;
use crate::resolver::ResolveError;
use crate::shard::Shard;
use crate::stream::Stream;
use shoalway_types::{Failure, Retry, Side, Target};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A boxed future that stays on its shard.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Asked for every address a name resolved to here; the error is the name of the rule that refuses it.
pub type Permit = Rc<dyn Fn(SocketAddr) -> Result<(), String>>;

/// What keeps flows apart that a way out must not let share anything: where the client came in, and as whom.
///
/// Any credentials count, also those that nobody checked. Never sent to anybody.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Isolation {
    /// Name of the listener.
    pub listener: Option<Arc<str>>,
    /// The SOCKS user, or the proxy log-in.
    pub user: Option<Rc<[u8]>>,
    /// The SOCKS password.
    pub password: Option<Rc<[u8]>>,
}

/// Who wants to go where: what a way out may know.
#[derive(Clone)]
pub struct Session {
    /// The client's address.
    pub client: SocketAddr,
    /// The authenticated user, if any.
    pub user: Option<Rc<str>>,
    /// What the flow must be kept apart by.
    pub isolation: Isolation,
    /// Where to.
    pub target: Rc<Target>,
    /// How long establishing may take.
    pub limit: Duration,
    /// The operator's rules about addresses, when there are any. For ways that resolve names here.
    pub permit: Option<Permit>,
}

/// A way out, as configured. Shared by all shards.
pub trait Outbound: Send + Sync {
    /// The shard's worker for this way out.
    fn on(&self, shard: &Rc<Shard>) -> Rc<dyn Connect>;
}

/// A shard's worker for one way out.
pub trait Connect {
    /// Establishes a byte stream to the session's target. Nothing of the client's has been sent when it fails.
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>>;

    /// Whether several sessions share a connection: it then counts the connections that it opens itself, and a session
    /// may be told that nothing of it was looked at. The default: each session has a connection of its own.
    fn multiplexes(&self) -> bool {
        false
    }

    /// How plain HTTP requests leave by this way. The default connects per target and sends origin-form.
    fn plain_http(&self) -> PlainHttp<'_> {
        PlainHttp::ByTarget
    }

    /// Which kept connections may be used again: those of an equal number. The default: by all alike. None: by nobody,
    /// each exchange has a connection of its own.
    fn shares(&self, _isolation: &Isolation) -> Option<u64> {
        Some(0)
    }
}

/// How plain HTTP requests leave by a way out.
#[derive(Clone, Copy)]
pub enum PlainHttp<'a> {
    /// One connection a target; requests in origin-form.
    ByTarget,
    /// Any target over one connection to this proxy; requests in absolute-form, with these credentials.
    ToProxy {
        /// The proxy's own address.
        proxy: &'a Target,
        /// Value for `Proxy-Authorization`.
        authorization: Option<&'a str>,
        /// Opens a connection to the proxy itself, whatever the session's target.
        connect: &'a Rc<dyn Connect>,
    },
}

/// An established way to a target.
pub struct Connected {
    /// Bytes to and from the target.
    pub stream: Stream,
    /// The address that was connected to: the target's, or the upstream proxy's.
    pub addr: SocketAddr,
    /// Local address of the connection, for SOCKS replies; unspecified: [`Connected::bound`] asks the system.
    pub local: SocketAddr,
}

impl Connected {
    /// A stream over a socket of ours, whose local address nobody has asked for yet.
    #[must_use]
    pub const fn new(stream: Stream, addr: SocketAddr) -> Self {
        Self { stream, addr, local: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0) }
    }

    /// Local address of the connection; unspecified when there is none.
    #[must_use]
    pub fn bound(&self) -> SocketAddr {
        match self.stream.socket() {
            Some(socket) if self.local.ip().is_unspecified() => socket.local_addr().unwrap_or(self.local),
            Some(_) | None => self.local,
        }
    }
}

/// What kind of failure it was, for the tables that make replies of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// The name could not be looked up (server failure, time-out).
    Dns,
    /// The name does not exist.
    NameNotFound,
    /// No connection in time.
    Timeout,
    /// The far side refused.
    Refused,
    /// No way to the network or host.
    Unreachable,
    /// The far side broke the connection while it was being set up.
    Reset,
    /// The egress guard, or a rule about addresses.
    Forbidden,
    /// TLS with the far side or an upstream proxy failed.
    Tls,
    /// An upstream proxy wants other credentials.
    ProxyAuth,
    /// An upstream proxy said no, or spoke nonsense.
    Proxy,
    /// This machine lacks descriptors, ports or memory.
    Local,
}

/// Why there is no connection to a target. Nothing has been sent to it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct ConnectError {
    /// What kind of failure.
    pub kind: ConnectErrorKind,
    /// RFC 9209 error type, such as `connection_refused`.
    pub word: &'static str,
    /// One sentence without any destination in it.
    pub detail: Arc<str>,
}

impl ConnectError {
    /// An error of the kind with its sentence.
    #[must_use]
    pub fn new(kind: ConnectErrorKind, word: &'static str, detail: impl Into<Arc<str>>) -> Self {
        Self { kind, word, detail: detail.into() }
    }

    /// The time for connecting is over.
    #[must_use]
    pub fn timeout(after: Duration) -> Self {
        Self::new(ConnectErrorKind::Timeout, "connection_timeout", format!("no connection after {after:?}"))
    }
}

impl From<DialError> for ConnectError {
    fn from(error: DialError) -> Self {
        let word = error.proxy_status();
        match error {
            DialError::Resolve(error) => {
                let kind = match error {
                    ResolveError::NotFound | ResolveError::NoAddress => ConnectErrorKind::NameNotFound,
                    ResolveError::Timeout { .. } => ConnectErrorKind::Timeout,
                    ResolveError::Busy | ResolveError::Closed => ConnectErrorKind::Local,
                    ResolveError::ServerFailure { .. } | ResolveError::Unreachable(_) => {
                        ConnectErrorKind::Dns
                    }
                };
                Self::new(kind, word, error.to_string())
            }
            DialError::Timeout { after } => Self::timeout(after),
            DialError::Refused { rule } if rule == GuardRule::OwnListener.word() => {
                Self::new(ConnectErrorKind::Forbidden, "proxy_loop_detected", GuardRule::OwnListener.text())
            }
            DialError::Refused { rule } => {
                Self::new(ConnectErrorKind::Forbidden, word, format!("the address is refused by {rule}"))
            }
            DialError::Connect(error) => {
                let (kind, text) = connect_kind(error.kind());
                Self::new(kind, word, text)
            }
            error @ (DialError::NoDescriptors(_) | DialError::NoLocalAddress(_)) => {
                Self::new(ConnectErrorKind::Local, word, error.to_string())
            }
        }
    }
}

fn connect_kind(kind: io::ErrorKind) -> (ConnectErrorKind, &'static str) {
    match kind {
        io::ErrorKind::ConnectionRefused => {
            (ConnectErrorKind::Refused, "the far side refused the connection")
        }
        io::ErrorKind::TimedOut => (ConnectErrorKind::Timeout, "the far side did not answer in time"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            (ConnectErrorKind::Reset, "the far side broke the connection while it was being set up")
        }
        _ => (ConnectErrorKind::Unreachable, "there is no way to the far side"),
    }
}

impl Failure for ConnectError {
    fn side(&self) -> Side {
        match self.kind {
            ConnectErrorKind::Forbidden => Side::Policy,
            ConnectErrorKind::Local => Side::Local,
            ConnectErrorKind::Dns
            | ConnectErrorKind::NameNotFound
            | ConnectErrorKind::Timeout
            | ConnectErrorKind::Refused
            | ConnectErrorKind::Unreachable
            | ConnectErrorKind::Reset
            | ConnectErrorKind::Tls
            | ConnectErrorKind::ProxyAuth
            | ConnectErrorKind::Proxy => Side::Upstream,
        }
    }

    fn retry(&self) -> Retry {
        match self.kind {
            ConnectErrorKind::Forbidden | ConnectErrorKind::NameNotFound | ConnectErrorKind::ProxyAuth => {
                Retry::Never
            }
            ConnectErrorKind::Dns
            | ConnectErrorKind::Local
            | ConnectErrorKind::Timeout
            | ConnectErrorKind::Refused
            | ConnectErrorKind::Unreachable
            | ConnectErrorKind::Reset
            | ConnectErrorKind::Tls
            | ConnectErrorKind::Proxy => Retry::Safe,
        }
    }

    fn word(&self) -> &'static str {
        self.word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dialer_says_keeps_its_kind_and_word() {
        use ConnectErrorKind as Kind;
        let refused = |rule: &'static str| DialError::Refused { rule: rule.into() };
        let io = |kind: io::ErrorKind| DialError::Connect(kind.into());
        for (error, kind, word) in [
            (DialError::Resolve(ResolveError::NotFound), Kind::NameNotFound, "dns_error"),
            (DialError::Resolve(ResolveError::ServerFailure { code: 2 }), Kind::Dns, "dns_error"),
            (
                DialError::Resolve(ResolveError::Timeout { after: Duration::ZERO }),
                Kind::Timeout,
                "dns_timeout",
            ),
            (DialError::Resolve(ResolveError::Busy), Kind::Local, "proxy_internal_error"),
            (DialError::Timeout { after: Duration::ZERO }, Kind::Timeout, "connection_timeout"),
            (refused("own_listener"), Kind::Forbidden, "proxy_loop_detected"),
            (refused("loopback"), Kind::Forbidden, "destination_ip_prohibited"),
            (io(io::ErrorKind::ConnectionRefused), Kind::Refused, "connection_refused"),
            (io(io::ErrorKind::ConnectionReset), Kind::Reset, "connection_terminated"),
            (io(io::ErrorKind::TimedOut), Kind::Timeout, "connection_timeout"),
            (io(io::ErrorKind::HostUnreachable), Kind::Unreachable, "destination_ip_unroutable"),
            (DialError::NoDescriptors(io::ErrorKind::Other.into()), Kind::Local, "proxy_internal_error"),
        ] {
            let error = ConnectError::from(error);
            assert_eq!((error.kind, error.word), (kind, word));
        }
    }
}
