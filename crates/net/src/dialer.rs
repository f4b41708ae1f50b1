//! Opens TCP connections: resolve, ask guard and rules for every address, race the rest, before a deadline.
//!
//! ```text
//! name -> resolver -> addresses -> guard, rules -> none left: Refused
//!                                               -> one: connect     -> several: happy_eyeballs
//! ```
//! Works on a shard: the futures need no `Send`. Names meant for an upstream proxy never come here (the far end
//! resolves them); only the proxy's own name does. Not here: TLS (`tls_client.rs`), pools, retries.

mod attempts;
mod error;
mod unix;

pub use error::DialError;

use crate::egress_guard::EgressGuard;
use crate::happy_eyeballs::RaceConfig;
use crate::resolver::{Answer, ResolveError, Resolver};
use attempts::{Connector, race};
use error::prohibited;
use shoalway_types::{Host, Target};
use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How connections are opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct DialConfig {
    /// How several addresses of one name are tried.
    pub race: RaceConfig,
    /// Silence after which the kernel probes the far side; then every 15 s, 4 times. `None`, the default: never.
    /// Every wait for a peer has its deadline anyway, and the four options cost four calls a connection.
    pub keepalive: Option<Duration>,
}

/// Opens connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dialer {
    resolver: Resolver,
    guard: Arc<EgressGuard>,
    config: DialConfig,
}

/// One connection to open for a client.
pub struct Dial<'a> {
    /// Who asks: the guard lets clients of this machine reach more.
    pub client: IpAddr,
    /// Where to.
    pub target: &'a Target,
    /// The operator's rules, asked for every address the name resolved to; the error is the name of the rule.
    pub allow: &'a dyn Fn(SocketAddr) -> Result<(), String>,
    /// When to give up, resolution included.
    pub deadline: Instant,
    /// The local address to leave from. Addresses of the other family are then not tried.
    pub bind: Option<IpAddr>,
}

/// An open connection. `TCP_NODELAY` is set.
#[derive(Debug)]
pub struct Dialed {
    /// The connection.
    pub stream: TcpStream,
    /// The address that answered.
    pub addr: SocketAddr,
}

impl Dialer {
    /// A dialer that resolves with `resolver` and obeys `guard`.
    #[must_use]
    pub const fn new(resolver: Resolver, guard: Arc<EgressGuard>, config: DialConfig) -> Self {
        Self { resolver, guard, config }
    }

    /// The resolver, for those who need addresses without a connection (UDP).
    #[must_use]
    pub const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The guard, for those who send without a connection (UDP).
    #[must_use]
    pub const fn guard(&self) -> &Arc<EgressGuard> {
        &self.guard
    }

    /// Opens a connection for a client.
    ///
    /// # Errors
    /// [`DialError`]; nothing has been sent to the target.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was begun.
    pub async fn dial(&self, dial: Dial<'_>) -> Result<Dialed, DialError> {
        let wanted = Wanted {
            target: dial.target,
            permit: &|addr| self.permit(&dial, addr),
            deadline: dial.deadline,
            bind: dial.bind,
        };
        // Boxed: opening a connection costs many times this, and sessions stay small.
        Box::pin(self.open(wanted)).await
    }

    /// Opens a connection to an upstream the operator configured: guard and rules do not apply, names are
    /// resolved here.
    ///
    /// # Errors
    /// [`DialError`]; nothing has been sent to the upstream.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was begun.
    pub async fn dial_configured(&self, target: &Target, deadline: Instant) -> Result<Dialed, DialError> {
        let wanted = Wanted { target, permit: &|_addr| Ok(()), deadline, bind: None };
        Box::pin(self.open(wanted)).await
    }

    /// Opens a connection to exactly this address; guard and rules do not apply.
    ///
    /// # Errors
    /// [`DialError`]; nothing has been sent.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was begun.
    pub async fn dial_socket(&self, addr: SocketAddr, deadline: Instant) -> Result<Dialed, DialError> {
        let target = Target::new(Host::from(addr.ip()), addr.port());
        self.dial_configured(&target, deadline).await
    }

    /// One timer for all: resolving, the rules, every attempt.
    async fn open(&self, wanted: Wanted<'_>) -> Result<Dialed, DialError> {
        let started = Instant::now();
        let resolving = Cell::new(false);
        let work = async {
            match &wanted.target.host {
                Host::Ip(ip) => self.open_address(&wanted, *ip).await,
                Host::Name(name) => {
                    resolving.set(true);
                    let answer = self.resolver.look_up(name).await.map_err(DialError::Resolve)?;
                    resolving.set(false);
                    self.open_answer(&wanted, &answer).await
                }
            }
        };
        match timeout_at(wanted.deadline, work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                let after = wanted.deadline.saturating_duration_since(started);
                if resolving.get() {
                    Err(DialError::Resolve(ResolveError::Timeout { after }))
                } else {
                    Err(DialError::Timeout { after })
                }
            }
        }
    }

    async fn open_address(&self, wanted: &Wanted<'_>, ip: IpAddr) -> Result<Dialed, DialError> {
        let addr = SocketAddr::new(ip, wanted.target.port);
        (wanted.permit)(addr)?;
        self.connector(wanted).connect(addr).await.map_err(DialError::from_io)
    }

    async fn open_answer(&self, wanted: &Wanted<'_>, answer: &Answer) -> Result<Dialed, DialError> {
        let connector = self.connector(wanted);
        let addrs = permitted(wanted, answer)?;
        match addrs.as_slice() {
            [] => Err(DialError::from_io(io::ErrorKind::NetworkUnreachable.into())),
            [addr] => connector.connect(*addr).await.map_err(DialError::from_io),
            [..] => Box::pin(race(addrs, self.config.race, &connector)).await.map_err(DialError::from_io),
        }
    }

    const fn connector(&self, wanted: &Wanted<'_>) -> Connector {
        Connector { bind: wanted.bind, keepalive: self.config.keepalive }
    }

    fn permit(&self, dial: &Dial<'_>, addr: SocketAddr) -> Result<(), DialError> {
        self.guard.check(dial.client, addr).map_err(prohibited)?;
        (dial.allow)(addr).map_err(|rule| DialError::Refused { rule: rule.into() })
    }
}

/// What both kinds of dialing have in common.
struct Wanted<'a> {
    target: &'a Target,
    permit: &'a dyn Fn(SocketAddr) -> Result<(), DialError>,
    deadline: Instant,
    bind: Option<IpAddr>,
}

/// The addresses that may be tried; the first refusal when there are some and none may.
fn permitted(wanted: &Wanted<'_>, answer: &Answer) -> Result<Vec<SocketAddr>, DialError> {
    let mut refusal = None;
    let mut addrs = Vec::with_capacity(answer.len());
    for ip in answer.iter() {
        if wanted.bind.is_some_and(|bind| bind.is_ipv4() != ip.is_ipv4()) {
            continue;
        }
        let addr = SocketAddr::new(ip, wanted.target.port);
        match (wanted.permit)(addr) {
            Ok(()) => addrs.push(addr),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    match refusal {
        Some(error) if addrs.is_empty() => Err(error),
        Some(_) | None => Ok(addrs),
    }
}

#[cfg(test)]
mod tests;
