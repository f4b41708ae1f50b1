//! Ways out: [`Outbound`] is the plan (shared by all shards), [`Connect`] the shard's own worker made from it.
//!
//! A worker turns a [`Session`] into a [`Connected`] stream and says truthfully why when it cannot. Workers stay on
//! their shard, so they need no locks and their futures need not be `Send`. Not here: which way out is taken
//! (`forward/dispatch`, later `reverse/attempt`), the ways themselves (`forward/outbound`).

use crate::shard::Shard;
use crate::stream::Stream;
use shoalway_types::{Failure, Retry, Side, Target};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A boxed future that stays on its shard.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Who wants to go where: what a way out may know.
#[derive(Clone)]
pub struct Session {
    /// The client's address.
    pub client: SocketAddr,
    /// The authenticated user, if any.
    pub user: Option<Rc<str>>,
    /// Where to.
    pub target: Rc<Target>,
    /// How long establishing may take.
    pub limit: Duration,
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

    /// How plain HTTP requests leave by this way. The default connects per target and sends origin-form.
    fn plain_http(&self) -> PlainHttp<'_> {
        PlainHttp::ByTarget
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
    },
}

/// An established way to a target.
pub struct Connected {
    /// Bytes to and from the target.
    pub stream: Stream,
    /// The address that was connected to: the target's, or the upstream proxy's.
    pub addr: SocketAddr,
    /// Local address of the connection, for SOCKS replies; unspecified when unknown.
    pub local: SocketAddr,
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
