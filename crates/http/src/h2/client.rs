//! HTTP/2 connections to one upstream, shared by many exchanges: to the engine each stream is a connection of its own.
//!
//! A way out that is put over another way out: the inner one connects (TCP, or TLS with ALPN `h2`), this one opens
//! streams on what it gave. A second connection is opened when the streams of the first run out; when those of both have,
//! callers wait in line for as long as they may take to connect. One a shard and upstream, for sessions that may share a
//! connection: the inner way must not depend on who asks. Not here: whether an upstream speaks HTTP/2 (products).

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
    scheme: Scheme,
    net: Limits,
    http: http1::limits::Limits,
    links: RefCell<Vec<Rc<Link>>>,
    /// A connection is being opened.
    opening: Cell<bool>,
    /// A stream or a connection has become free, or there is no connection any more.
    freed: Rc<Notify>,
}

/// Which `:scheme` requests carry, RFC 9113 section 8.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamScheme {
    /// `http`: prior knowledge over cleartext.
    Http,
    /// `https`: the inner way is TLS.
    Https,
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
        let scheme = match scheme {
            UpstreamScheme::Http => Scheme::HTTP,
            UpstreamScheme::Https => Scheme::HTTPS,
        };
        Rc::new(Self {
            shard: Rc::clone(shard),
            inner,
            scheme,
            net,
            http,
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

    /// A stream on a connection that has room, or opens one.
    async fn open(&self, session: &Session) -> Result<Connected, ConnectError> {
        loop {
            if let Some(connected) = self.stream() {
                return Ok(connected);
            }
            if !self.opening.get() && self.connections() < UPSTREAM_CONNECTIONS {
                let _opening = Opening::new(&self.opening, &self.freed);
                self.connect(session).await?;
                continue;
            }
            self.freed.notified().await;
        }
    }

    /// A stream on the connection that has most room.
    fn stream(&self) -> Option<Connected> {
        let mut links = self.links.borrow_mut();
        links.retain(|link| !link.is_closed());
        let link = links.iter().filter(|link| link.room() > 0).max_by_key(|link| link.room())?;
        let stream = ClientStream::new(link, &self.scheme, self.http);
        Some(Connected { stream: Stream::other(stream), addr: link.addr, local: link.local })
    }

    async fn connect(&self, session: &Session) -> Result<(), ConnectError> {
        let Connected { stream, addr, local } = self.inner.connect(session).await?;
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

impl Connect for H2Upstream {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(async move {
            // The usual case waits for nothing, and needs no timer.
            if let Some(connected) = self.stream() {
                return Ok(connected);
            }
            let opened = tokio::time::timeout(session.limit, self.open(session)).await;
            opened.unwrap_or_else(|_late| Err(ConnectError::timeout(session.limit)))
        })
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
