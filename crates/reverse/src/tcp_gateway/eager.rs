//! `accept = eager`: the endpoint is connected to while the client's hello is awaited, and whoever speaks first decides.
//!
//! ```text
//! client's hello -> its upstream is this one -> this connection      -> another one -> given up, a fresh one there
//! endpoint's first byte ---------------------> this connection
//! ```
//! So a protocol in which the server begins waits for nothing on a port that also takes TLS. The PROXY header leaves before
//! the hello is read, since an endpoint that asks for one says nothing before it; the hello's name is then not in it.
//! What is lost here (the endpoint refused, or closed) is a refusal only when the hello leads to the same upstream. Not here:
//! the modes without a race (`establish.rs`).

use super::establish::{header, route, to};
use super::head::{HeadError, HeadReader, Hello};
use super::link::{Link, link};
use super::origin::Origin;
use super::refusal::Refusal;
use super::{Session, TcpGateway};
use crate::upstream::Upstream;
use shoalway_net::buffers::Class;
use shoalway_net::connect::LocalFuture;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Connects to `upstream` and listens to both sides.
pub(super) async fn eager(
    gateway: &Rc<TcpGateway>,
    session: &mut Session,
    reader: &mut HeadReader,
    origin: &Origin,
    upstream: &Arc<Upstream>,
) -> Result<Link, Refusal> {
    let client = session.facts.client.ip();
    let opening = link(Rc::clone(gateway), Rc::clone(&session.shard), Arc::clone(upstream), client);
    let only = gateway.plan.route.upstreams().into_iter().all(|other| Arc::ptr_eq(other, upstream));
    let early = Early::Opening(Box::pin(opening));
    let mut race = Race { gateway, session, reader, origin, early, only };
    let decided = poll_fn(|cx| race.poll(cx)).await;
    let early = std::mem::replace(&mut race.early, Early::Lost(None));
    let hello = match decided? {
        Decided::Spoke(link) => return Ok(*link),
        Decided::Hello(hello) => hello?,
    };
    let routed = route(&gateway.plan.route, session, &hello).ok_or(Refusal::Unrouted)?;
    if !Arc::ptr_eq(routed, upstream) {
        if let Some(counters) = gateway.counters(&session.shard) {
            counters.eager_unused.add(1);
        }
        drop(early);
        return to(gateway, session, routed).await;
    }
    session.deadline.clear();
    match early {
        Early::Open(link) => Ok(*link),
        Early::Opening(opening) => opening.await,
        Early::Lost(Some(refusal)) => Err(refusal),
        Early::Lost(None) => to(gateway, session, routed).await,
    }
}

/// The connection that was begun early.
enum Early {
    Opening(LocalFuture<'static, Result<Link, Refusal>>),
    Open(Box<Link>),
    /// It could not be opened, or ended without a word.
    Lost(Option<Refusal>),
}

enum Decided {
    /// The client has begun.
    Hello(Result<Hello, HeadError>),
    /// The endpoint has; its words stand in front of the stream.
    Spoke(Box<Link>),
}

struct Race<'a> {
    gateway: &'a Rc<TcpGateway>,
    session: &'a mut Session,
    reader: &'a mut HeadReader,
    origin: &'a Origin,
    early: Early,
    /// Every hello leads here: nothing is to be waited for when it is lost.
    only: bool,
}

impl Race<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decided, Refusal>> {
        let Session { shard, stream, .. } = &mut *self.session;
        let limit = self.gateway.plan.limits.hello;
        if let Poll::Ready(hello) = self.reader.poll_hello(cx, shard, stream, limit) {
            return Poll::Ready(Ok(Decided::Hello(hello)));
        }
        if let Poll::Ready(spoke) = self.poll_early(cx) {
            return Poll::Ready(spoke.map(Decided::Spoke));
        }
        self.session.deadline.poll(cx).map(|expiry| Err(expiry.into()))
    }

    /// Ready when the endpoint has spoken, or is lost and there is no other.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<Link>, Refusal>> {
        loop {
            self.early = match std::mem::replace(&mut self.early, Early::Lost(None)) {
                Early::Opening(mut opening) => match opening.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.early = Early::Opening(opening);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(mut link)) => {
                        link.header = Some(header(self.gateway, self.session, self.origin));
                        Early::Open(Box::new(link))
                    }
                    Poll::Ready(Err(refusal)) if self.only => return Poll::Ready(Err(refusal)),
                    Poll::Ready(Err(refusal)) => Early::Lost(Some(refusal)),
                },
                Early::Open(mut link) => match self.poll_spoken(cx, &mut link) {
                    Poll::Pending => {
                        self.early = Early::Open(link);
                        return Poll::Pending;
                    }
                    Poll::Ready(true) => return Poll::Ready(Ok(link)),
                    Poll::Ready(false) => Early::Lost(None),
                },
                lost @ Early::Lost(_) => {
                    self.early = lost;
                    return Poll::Pending;
                }
            };
        }
    }

    /// Sends what is left of the header, then waits for the first word; false when the connection has ended.
    fn poll_spoken(&self, cx: &mut Context<'_>, link: &mut Link) -> Poll<bool> {
        while let Some(header) = link.header.as_mut().filter(|header| !header.is_empty()) {
            match ready!(link.stream.poll_send(cx, header)) {
                Ok(n) if n > 0 => drop(header.drain(..n.min(header.len()))),
                Ok(_) | Err(_) => return Poll::Ready(false),
            }
        }
        let mut buffer = self.session.shard.buffers().take(Class::Small);
        match ready!(link.stream.poll_fill(cx, buffer.space())) {
            Ok(n) if n > 0 => {
                buffer.commit(n);
                link.stream.unread(buffer.filled());
                Poll::Ready(true)
            }
            Ok(_) | Err(_) => Poll::Ready(false),
        }
    }
}
