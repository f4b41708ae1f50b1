//! One port for all: the first bytes of a client say whether it speaks HTTP, SOCKS4 or SOCKS5.
//!
//! Polled by hand, so that a client that says nothing costs a few hundred bytes and no buffer. Each protocol is then
//! spawned fresh, with the bytes in front of its stream. On a TLS listener the handshake comes first. Not here: the
//! bytes themselves (`wire/first_bytes`), which clients are let in (the plan).

use super::{Client, http, leave, socks4, socks5};
use crate::forward::Forward;
use shoalway_http::answer::Answer;
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::deadline::{Deadline, Expiry, Wait};
use shoalway_net::listener::Accepted;
use shoalway_net::shard::Shard;
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls_server::TlsServer;
use shoalway_wire::first_bytes::{Verdict, detect};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Takes a fresh connection, or closes it at once when its client has no business here.
pub(crate) fn accept(forward: &Rc<Forward>, shard: &Rc<Shard>, accepted: Accepted) {
    let Accepted { stream, peer, admitted } = accepted;
    if !forward.plan().admits(peer.ip()) {
        admitted.counters().refused.add(1);
        return;
    }
    let (shard, forward) = (Rc::clone(shard), Rc::clone(forward));
    match forward.plan().tls.clone() {
        None => serve(Client { shard, forward, stream: Stream::tcp(stream), peer, admitted }),
        Some(tls) => {
            let tasks = shard.tasks().clone();
            tasks.spawn(async move {
                match handshake(&forward, &tls, stream).await {
                    Some((stream, Spoken::Http2)) => {
                        http::spawn_h2(Client { shard, forward, stream, peer, admitted });
                    }
                    Some((stream, Spoken::FirstBytes)) => {
                        serve(Client { shard, forward, stream, peer, admitted });
                    }
                    None => {}
                }
            });
        }
    }
}

/// Finds out what a client speaks, then speaks it.
pub(crate) fn serve(client: Client) {
    let tasks = client.shard.tasks().clone();
    tasks.spawn(Sniff::new(client));
}

/// What was agreed on by ALPN (RFC 7301).
enum Spoken {
    Http2,
    /// Nothing, or HTTP/1.1: the first bytes decide, so SOCKS inside TLS works too.
    FirstBytes,
}

async fn handshake(forward: &Forward, tls: &TlsServer, tcp: TcpStream) -> Option<(Stream, Spoken)> {
    let deadline = Instant::now() + forward.plan().limits.head;
    match tls.accept(tcp, deadline).await {
        Ok(stream) => {
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let spoken = if is_h2 { Spoken::Http2 } else { Spoken::FirstBytes };
            Some((Stream::new(Io::TlsServer(Box::new(stream))), spoken))
        }
        Err(error) => {
            tracing::debug!(%error, "TLS handshake with a client failed");
            None
        }
    }
}

/// Waits for the first bytes.
pub(super) struct Sniff {
    client: Option<Client>,
    deadline: Deadline,
    buffer: Option<Buffer>,
}

impl Sniff {
    pub(super) fn new(client: Client) -> Self {
        let deadline = client.shard.deadline();
        deadline.after(client.forward.plan().limits.head, Wait::Idle);
        Self { client: Some(client), deadline, buffer: None }
    }

    /// What the client speaks; none when it has left.
    fn poll_verdict(&mut self, cx: &mut Context<'_>) -> Poll<Option<Verdict>> {
        let Some(client) = &mut self.client else { return Poll::Ready(None) };
        loop {
            let mut buffer = match self.buffer.take() {
                Some(buffer) => buffer,
                None => client.shard.buffers().take(Class::Small),
            };
            match client.stream.poll_fill(cx, buffer.space()) {
                Poll::Pending => {
                    self.buffer = (!buffer.is_empty()).then_some(buffer);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(n)) if n > 0 => {
                    buffer.commit(n);
                    let verdict = detect(buffer.filled());
                    self.buffer = Some(buffer);
                    if verdict != Verdict::NeedMore {
                        return Poll::Ready(Some(verdict));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(None),
            }
        }
    }

    fn go_on(&mut self, verdict: Verdict) {
        let Some(mut client) = self.client.take() else { return };
        if let Some(buffer) = self.buffer.take() {
            client.stream.unread(buffer.filled());
        }
        let tasks = client.shard.tasks().clone();
        match verdict {
            Verdict::Http => http::spawn(client),
            Verdict::Socks4 => tasks.spawn(Box::pin(socks4::serve(client))),
            Verdict::Socks5 => tasks.spawn(Box::pin(socks5::serve(client))),
            Verdict::Http2Preface => refuse(client, 505, "http_protocol_error", H2),
            Verdict::Tls => refuse(client, 400, "http_protocol_error", TLS),
            Verdict::Unknown | Verdict::NeedMore => refuse(client, 400, "http_protocol_error", UNKNOWN),
        }
    }
}

impl Future for Sniff {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(verdict) = self.poll_verdict(cx) {
            if let Some(verdict) = verdict {
                self.go_on(verdict);
            }
            return Poll::Ready(());
        }
        // Nobody is told: who has not said which language it speaks understands no answer.
        let (Expiry::Time | Expiry::Ended) = ready!(self.deadline.poll(cx));
        Poll::Ready(())
    }
}

/// In words of HTTP, which most programs and people can read.
fn refuse(client: Client, status: u16, word: &'static str, sentence: &'static str) {
    let Client { shard, stream, admitted, .. } = client;
    let tasks = shard.tasks().clone();
    tasks.spawn(async move {
        let mut message = Vec::new();
        Answer::error(status, word, "", sentence).write(&mut message, false, true);
        leave::leave(&shard, stream, &message).await;
        drop(admitted);
    });
}

const H2: &str = "This port speaks HTTP/1.1 and SOCKS; HTTP/2 needs TLS here.";
const TLS: &str = "This port speaks HTTP and SOCKS without TLS: use http:// in the proxy's address.";
const UNKNOWN: &str = "This port speaks HTTP/1.1, SOCKS4 and SOCKS5.";
