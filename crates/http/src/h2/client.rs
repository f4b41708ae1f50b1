//! HTTP/2 connections to one upstream, shared by many exchanges: to the engine each stream is a connection of its own.
//!
//! A way out that is put over another way out: the inner one connects (TCP, or TLS with ALPN `h2`), this one opens
//! streams on what it gave. A second connection is opened when the streams of the first run out; when those of both have,
//! callers wait in line for as long as they may take to connect. One a shard and upstream, for sessions that may share a
//! connection: the inner way must not depend on who asks. Where TLS may agree on either version, connections of HTTP/1.1
//! are handed on as they are. Not here: which versions an upstream is offered (products).

mod driver;
mod stream;

use self::driver::{Driver, Link};
use self::stream::ClientStream;
use super::flush::{LazyFlush, Wire};
use super::settings::{self, UPSTREAM_CONNECTIONS};
use http::uri::Scheme;
use shoalway_net::connect::{Connect, ConnectError, ConnectErrorKind, Connected, LocalFuture, Session};
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::Notify;

/// The shard's HTTP/2 connections to one upstream. As a [`Connect`], it gives a stream of its own to every session.
pub struct H2Upstream {
    shard: Rc<Shard>,
    inner: Rc<dyn Connect>,
    scheme: UpstreamScheme,
    net: Limits,
    http: http1::limits::Limits,
    /// The last connection had agreed on HTTP/1.1: the next ones are opened side by side.
    old: Cell<bool>,
    links: RefCell<Vec<Rc<Link>>>,
    /// A connection is being opened.
    opening: Cell<bool>,
    /// A stream or a connection has become free, or there is no connection any more.
    freed: Rc<Notify>,
}

/// Which `:scheme` requests carry, RFC 9113 section 8.3.1, and what else may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamScheme {
    /// `http`: prior knowledge over cleartext.
    Http,
    /// `https`: the inner way is TLS, and HTTP/2 has to be agreed upon.
    Https,
    /// `https`: the inner way is TLS, and HTTP/1.1 will do as well.
    HttpsOrOlder,
}

impl UpstreamScheme {
    const fn name(self) -> Scheme {
        match self {
            Self::Http => Scheme::HTTP,
            Self::Https | Self::HttpsOrOlder => Scheme::HTTPS,
        }
    }
}

impl H2Upstream {
    /// Connections that `inner` opens. `net.upstream_idle` is how long one without streams is kept.
    #[must_use]
    pub fn new(
        shard: &Rc<Shard>,
        inner: Rc<dyn Connect>,
        scheme: UpstreamScheme,
        net: Limits,
        http: http1::limits::Limits,
    ) -> Rc<Self> {
        Rc::new(Self {
            shard: Rc::clone(shard),
            inner,
            scheme,
            net,
            http,
            old: Cell::new(false),
            links: RefCell::default(),
            opening: Cell::new(false),
            freed: Rc::new(Notify::new()),
        })
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.links.borrow().iter().filter(|link| !link.is_closed()).count()
    }

    /// A stream on a connection that has room, or what a connection turns out to speak that is opened for it.
    async fn open(&self, session: &Session) -> Result<Opened, ConnectError> {
        loop {
            if let Some(link) = self.roomiest() {
                return Ok(Opened::Newer(link));
            }
            if self.is_old() {
                if let Some(older) = self.connect(session).await? {
                    return Ok(Opened::Older(older));
                }
            } else if !self.opening.get() && self.connections() < UPSTREAM_CONNECTIONS {
                let _opening = Opening::new(&self.opening, &self.freed);
                if let Some(older) = self.connect(session).await? {
                    return Ok(Opened::Older(older));
                }
            } else {
                self.freed.notified().await;
            }
        }
    }

    /// The same, for as long as the session may take.
    async fn open_in_time(&self, session: &Session) -> Result<Opened, ConnectError> {
        let opened = tokio::time::timeout(session.limit, self.open(session)).await;
        opened.unwrap_or_else(|_late| Err(ConnectError::timeout(session.limit)))
    }

    /// Whether the upstream is known to speak HTTP/1.1, as it may.
    fn is_old(&self) -> bool {
        self.old.get() && self.scheme == UpstreamScheme::HttpsOrOlder
    }

    /// The connection that has most room.
    fn roomiest(&self) -> Option<Rc<Link>> {
        let mut links = self.links.borrow_mut();
        links.retain(|link| !link.is_closed());
        links.iter().filter(|link| link.room() > 0).max_by_key(|link| link.room()).map(Rc::clone)
    }

    fn stream(&self, link: &Rc<Link>) -> Connected {
        let stream = ClientStream::new(link, &self.scheme.name(), self.http);
        Connected { stream: Stream::other(stream), addr: link.addr, local: link.local }
    }

    /// Opens one more connection. One that speaks HTTP/1.1 is the caller's.
    async fn connect(&self, session: &Session) -> Result<Option<Connected>, ConnectError> {
        let connected = self.inner.connect(session).await?;
        let newer = match self.scheme {
            UpstreamScheme::Http => true,
            UpstreamScheme::Https | UpstreamScheme::HttpsOrOlder => connected.stream.alpn() == Some(b"h2"),
        };
        self.old.set(!newer);
        match (newer, self.scheme) {
            (true, _) => self.link(connected).await.map(|()| None),
            (false, UpstreamScheme::HttpsOrOlder) => Ok(Some(connected)),
            (false, UpstreamScheme::Http | UpstreamScheme::Https) => Err(no_http2()),
        }
    }

    async fn link(&self, connected: Connected) -> Result<(), ConnectError> {
        let Connected { stream, addr, local } = connected;
        self.shard.counters().upstream_connects.add(1);
        let wire = Wire::of_server(&self.shard, stream);
        let handshake = settings::client().handshake(LazyFlush(Rc::clone(&wire)));
        let (sender, connection) = handshake.await.map_err(|_error| no_http2())?;
        let link = Link::new(sender, addr, local, &self.freed);
        let limit = self.net.upstream_idle;
        self.shard.tasks().spawn(Driver::new(&self.shard, wire, connection, Rc::clone(&link), limit));
        if !link.settled().await {
            return Err(no_http2());
        }
        self.links.borrow_mut().push(link);
        Ok(())
    }
}

fn no_http2() -> ConnectError {
    let detail = "the upstream did not take up HTTP/2";
    ConnectError::new(ConnectErrorKind::Reset, "connection_terminated", detail)
}

/// What there is for a session.
enum Opened {
    /// A connection that has room for a stream.
    Newer(Rc<Link>),
    /// A connection of its own, for HTTP/1.1.
    Older(Connected),
}

impl Connect for H2Upstream {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(async move {
            // The usual case waits for nothing, and needs no timer.
            if let Some(link) = self.roomiest() {
                return Ok(self.stream(&link));
            }
            match self.open_in_time(session).await? {
                Opened::Newer(link) => Ok(self.stream(&link)),
                Opened::Older(connected) => Ok(connected),
            }
        })
    }

    fn multiplexes(&self) -> bool {
        !self.is_old()
    }
}

/// The way for requests that ask for another protocol: a stream where the upstream takes it as one (RFC 8441), else a
/// connection of its own that speaks HTTP/1.1.
pub struct ForUpgrades {
    shared: Rc<H2Upstream>,
    own: Rc<dyn Connect>,
}

impl ForUpgrades {
    /// `own` opens connections that speak HTTP/1.1.
    #[must_use]
    pub fn new(shared: &Rc<H2Upstream>, own: Rc<dyn Connect>) -> Rc<Self> {
        Rc::new(Self { shared: Rc::clone(shared), own })
    }
}

impl Connect for ForUpgrades {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(async move {
            if !self.shared.is_old() {
                // Only the upstream's SETTINGS tell: a connection that is opened for them serves others later.
                match self.shared.open_in_time(session).await? {
                    Opened::Older(connected) => {
                        self.shared.shard.counters().upstream_connects.add(1);
                        return Ok(connected);
                    }
                    Opened::Newer(link) if link.takes_websocket() => return Ok(self.shared.stream(&link)),
                    Opened::Newer(_link) => {}
                }
            }
            let connected = self.own.connect(session).await?;
            self.shared.shard.counters().upstream_connects.add(1);
            Ok(connected)
        })
    }

    fn multiplexes(&self) -> bool {
        true
    }
}

/// Marks that a connection is being opened, also when whoever opens it goes away.
struct Opening<'a> {
    opening: &'a Cell<bool>,
    freed: &'a Notify,
}

impl<'a> Opening<'a> {
    fn new(opening: &'a Cell<bool>, freed: &'a Notify) -> Self {
        opening.set(true);
        Self { opening, freed }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.opening.set(false);
        self.freed.notify_waiters();
    }
}
