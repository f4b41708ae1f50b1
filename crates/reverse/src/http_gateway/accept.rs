//! Takes connections: the PROXY header where one is due, TLS, and which HTTP is spoken.
//!
//! A header is read to its last byte and no further, so that TLS finds its own first byte. It is required of everybody or
//! of nobody (PROXY protocol, section 2): a listener that took it as it comes would let clients choose their address.
//! Whoever fails before HTTP is closed without a word. Not here: requests (`service.rs`).

use super::Gateway;
use super::service::{Arrival, SiteService};
use crate::proxy_header::{self, NoHeader};
use shoalway_http::h1::ServerConnection;
use shoalway_http::h2::{Form, ServerH2};
use shoalway_http::service::Service;
use shoalway_net::admission::Admitted;
use shoalway_net::buffers::Class;
use shoalway_net::deadline::Wait;
use shoalway_net::listener::Accepted;
use shoalway_net::shard::Shard;
use shoalway_net::stream::{Io, Stream};
use shoalway_wire::first_bytes::{Verdict, detect};
use shoalway_wire::proxy_protocol::Header;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Takes a fresh connection.
pub(super) fn accept(gateway: Rc<Gateway>, shard: &Rc<Shard>, accepted: Accepted) {
    let Accepted { stream, peer, admitted } = accepted;
    let settings = gateway.plan.settings();
    // Asked of the system only where upstreams are told.
    let local = if gateway.plan.tells() { stream.local_addr().ok() } else { None };
    if settings.proxy_protocol.is_none() && settings.tls.is_none() && !settings.http2 {
        let arrival = arrival(&gateway, peer, Transport::Plain, &admitted);
        local.into_iter().for_each(|local| arrival.tell(shard, local));
        return serve_h1(&gateway, shard, Stream::tcp(stream), arrival, admitted);
    }
    let tasks = shard.tasks().clone();
    let shard = Rc::clone(shard);
    tasks.spawn(async move {
        let opened = Box::pin(open(&gateway, &shard, stream, peer)).await;
        let Some(Opened { stream, peer, destination, transport, version }) = opened else { return };
        let arrival = arrival(&gateway, peer, transport, &admitted);
        local.into_iter().for_each(|local| arrival.tell(&shard, destination.unwrap_or(local)));
        match version {
            Version::H1 => serve_h1(&gateway, &shard, stream, arrival, admitted),
            Version::H2 => serve_h2(gateway, &shard, stream, arrival, admitted),
        }
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Plain,
    Tls,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    H1,
    H2,
}

struct Opened {
    stream: Stream,
    peer: SocketAddr,
    /// What the client was connected to, as its PROXY header says.
    destination: Option<SocketAddr>,
    transport: Transport,
    version: Version,
}

fn arrival(
    gateway: &Rc<Gateway>,
    peer: SocketAddr,
    transport: Transport,
    admitted: &Admitted,
) -> Rc<Arrival> {
    Arrival::new(gateway, peer, transport == Transport::Tls, Arc::clone(admitted.counters()))
}

async fn open(
    gateway: &Gateway,
    shard: &Rc<Shard>,
    mut tcp: TcpStream,
    mut peer: SocketAddr,
) -> Option<Opened> {
    let settings = gateway.plan.settings();
    let deadline = Instant::now() + settings.limits.head;
    let mut destination = None;
    if let Some(senders) = &settings.proxy_protocol {
        if !senders.contains(peer.ip()) {
            tracing::debug!("a connection without the right to a PROXY header");
            return None;
        }
        let header = timeout_at(deadline, read_header(&mut tcp)).await.ok()?;
        let ends = header.ok()?;
        peer = ends.0.unwrap_or(peer);
        destination = ends.1;
    }
    let Some(tls) = &settings.tls else {
        let mut stream = Stream::tcp(tcp);
        let version = if settings.http2 { sniff(gateway, shard, &mut stream).await? } else { Version::H1 };
        return Some(Opened { stream, peer, destination, transport: Transport::Plain, version });
    };
    match tls.accept(tcp, deadline).await {
        Ok(stream) => {
            let is_h2 = settings.http2 && stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let version = if is_h2 { Version::H2 } else { Version::H1 };
            let stream = Stream::new(Io::TlsServer(Box::new(stream)));
            Some(Opened { stream, peer, destination, transport: Transport::Tls, version })
        }
        Err(error) => {
            tracing::debug!(%error, "TLS handshake with a client failed");
            None
        }
    }
}

/// Reads a PROXY header: whom it speaks for and where that one is connected; none where the proxy speaks for itself.
async fn read_header(tcp: &mut TcpStream) -> Result<(Option<SocketAddr>, Option<SocketAddr>), NoHeader> {
    let usual = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let ends = |header: &Header<'_>| (header.endpoints.client(), header.endpoints.destination());
    let (client, destination) = proxy_header::read(tcp, ends).await?;
    Ok((client.map(usual), destination.map(usual)))
}

/// Waits for as many bytes as tell HTTP/2 from all else, and puts them back.
async fn sniff(gateway: &Gateway, shard: &Rc<Shard>, stream: &mut Stream) -> Option<Version> {
    let deadline = shard.deadline();
    deadline.after(gateway.plan.settings().limits.head, Wait::Idle);
    let mut held = None;
    let verdict = poll_fn(|cx| match poll_verdict(cx, shard, stream, &mut held) {
        Poll::Ready(verdict) => Poll::Ready(verdict),
        Poll::Pending => deadline.poll(cx).map(|_expired| None),
    })
    .await?;
    if let Some(buffer) = held {
        stream.unread(buffer.filled());
    }
    match verdict {
        Verdict::Http2Preface => Some(Version::H2),
        // What is no HTTP at all is told so by the engine.
        Verdict::Http
        | Verdict::Socks4
        | Verdict::Socks5
        | Verdict::Tls
        | Verdict::Unknown
        | Verdict::NeedMore => Some(Version::H1),
    }
}

fn poll_verdict(
    cx: &mut Context<'_>,
    shard: &Shard,
    stream: &mut Stream,
    held: &mut Option<shoalway_net::buffers::Buffer>,
) -> Poll<Option<Verdict>> {
    loop {
        let mut buffer = match held.take() {
            Some(buffer) => buffer,
            None => shard.buffers().take(Class::Small),
        };
        let filled = stream.poll_fill(cx, buffer.space());
        match filled {
            Poll::Pending => {
                *held = (!buffer.is_empty()).then_some(buffer);
                return Poll::Pending;
            }
            Poll::Ready(_) => {
                let n = ready!(filled).unwrap_or_default();
                if n == 0 {
                    return Poll::Ready(None);
                }
                buffer.commit(n);
                let verdict = detect(buffer.filled());
                *held = Some(buffer);
                if verdict != Verdict::NeedMore {
                    return Poll::Ready(Some(verdict));
                }
            }
        }
    }
}

fn serve_h1(gateway: &Gateway, shard: &Rc<Shard>, stream: Stream, arrival: Rc<Arrival>, admitted: Admitted) {
    let config = Rc::clone(&gateway.server);
    let make =
        move || -> Box<dyn Service> { Box::new(SiteService::new(arrival.gateway(), Rc::clone(&arrival))) };
    let connection = ServerConnection::with_seat(Rc::clone(shard), config, stream, Box::new(make), admitted);
    shard.tasks().spawn(connection);
}

fn serve_h2(
    gateway: Rc<Gateway>,
    shard: &Rc<Shard>,
    stream: Stream,
    arrival: Rc<Arrival>,
    admitted: Admitted,
) {
    let config = Rc::clone(&gateway.server);
    arrival.lend(shard);
    let peer = arrival.peer;
    let current = {
        let slot = Rc::clone(&gateway.slot);
        move || slot.current().unwrap_or_else(|| Rc::clone(&gateway))
    };
    let claim_of = {
        let current = current.clone();
        move |authority: &str| current().plan.claim_of(authority)
    };
    let make = move || -> Box<dyn Service> { Box::new(SiteService::new(current(), Rc::clone(&arrival))) };
    let connection = ServerH2::new(Rc::clone(shard), config, stream, Form::Origin, Box::new(make), admitted);
    shard.tasks().spawn(connection.with_claims(peer, Box::new(claim_of)));
}
