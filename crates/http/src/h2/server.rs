//! A client's HTTP/2 connection: one task that moves frames, and one a stream that is an HTTP/1 connection of its own.
//!
//! ```text
//! Handshake ──> Open ──> Lingering ──> over
//!                 └─ idle or drained: GOAWAY twice, streams finish (RFC 9113 section 6.8)
//! ```
//! A head that begins has the time of an HTTP/1 head to become whole, whatever else goes on. What a client does to make
//! work (`flood`), and requests that have no single meaning (`request`), end the connection or
//! the stream before anything behind it hears of them. A stream that is claimed (`claim`) leaves the engine's way for good.
//! Not here: deadlines within an exchange, which the engine keeps.

mod claimed;
mod stream;

use self::claimed::Claimed;
use self::stream::{Answer, Asking, Common, ServerStream};
use super::claim::ClaimOf;
use super::fields::Malformed;
use super::flush::{LazyFlush, Wire};
use super::incoming::Incoming;
use super::request::{Form, Kind, Written, write_request};
use super::settings;
use crate::h1::{MakeService, ServerConfig, ServerConnection};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::server::{Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use shoalway_net::admission::Admitted;
use shoalway_net::deadline::{Deadline, Expiry, Wait};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::response::ResponseHead;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A client that was told to go may take this long to leave when it has no streams.
const LEAVE: Duration = Duration::from_secs(5);
/// After the last frame a client may still send this much before the connection is closed on it.
const LINGER_BYTES: usize = 64 << 10;
/// And take this long.
const LINGER: Duration = Duration::from_secs(1);

enum Phase {
    Handshake(Box<Handshake<LazyFlush, Bytes>>),
    Open(Box<Connection<LazyFlush, Bytes>>),
    /// Reading what the client still sends, to drop it.
    Lingering,
    Over,
}

/// What the connection's deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// There is no stream.
    Idle,
    /// There are streams, which have deadlines of their own.
    Streams,
    /// There are streams that were claimed, which have none.
    Claimed,
    /// A header block has begun, after so many others.
    Head(u64),
}

/// Whether the client was told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// Streams finish.
    Asked,
    /// Nothing is waited for but the last frame.
    Made,
}

/// A client's connection; a future that ends with it. Streams that were opened on it are tasks of the shard.
pub struct ServerH2 {
    shard: Rc<Shard>,
    config: Rc<ServerConfig>,
    form: Form,
    make: MakeService,
    admitted: Admitted,
    wire: Rc<Wire>,
    common: Rc<Common>,
    deadline: Deadline,
    phase: Phase,
    watched: Watched,
    leaving: Leaving,
    lingered: usize,
    keys: RandomState,
    claimed: Claimed,
}

impl ServerH2 {
    /// A connection on which nothing was read but what `client` has as early bytes, which begin with the preface.
    /// `make` is called once for each request; `form` is how targets are written for the service.
    #[must_use]
    pub fn new(
        shard: Rc<Shard>,
        config: Rc<ServerConfig>,
        client: Stream,
        form: Form,
        make: MakeService,
        admitted: Admitted,
    ) -> Self {
        let wire = Wire::of_client(&shard, client);
        let handshake = settings::server().handshake(LazyFlush(Rc::clone(&wire)));
        let deadline = shard.deadline();
        deadline.after(config.net.head, Wait::Busy);
        let common = Common {
            head: RefCell::new(ResponseHead::new()),
            limits: config.http,
            open: Cell::new(0),
            driver: RefCell::new(None),
        };
        Self {
            shard,
            config,
            form,
            make,
            admitted,
            wire,
            common: Rc::new(common),
            deadline,
            phase: Phase::Handshake(Box::new(handshake)),
            watched: Watched::Idle,
            leaving: Leaving::No,
            lingered: 0,
            keys: RandomState::new(),
            claimed: Claimed::default(),
        }
    }

    /// The same, where requests may be claimed: `of` is asked for each, by its authority; `client` is where the
    /// connection came from.
    #[must_use]
    pub fn with_claims(mut self, client: SocketAddr, of: ClaimOf) -> Self {
        self.claimed.ask(client, of, &self.wire);
        self
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.phase {
                Phase::Handshake(handshake) => match Pin::new(handshake.as_mut()).poll(cx) {
                    Poll::Ready(Ok(connection)) => {
                        self.phase = Phase::Open(Box::new(connection));
                        self.deadline.after(self.config.net.idle, Wait::Idle);
                    }
                    Poll::Ready(Err(_)) => self.linger(),
                    Poll::Pending => return self.flush(cx),
                },
                Phase::Open(_) => {
                    if self.turn(cx) {
                        self.linger();
                    } else if self.leaving != Leaving::Made
                        && let Some(reason) = self.wire.fault()
                    {
                        self.go_away(reason);
                    } else {
                        return self.flush(cx);
                    }
                }
                Phase::Lingering => return self.poll_linger(cx),
                Phase::Over => return Poll::Ready(()),
            }
        }
    }

    /// Moves frames and takes new streams. True: the connection is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        if self.shard.is_draining() {
            self.leave();
        }
        loop {
            let Phase::Open(connection) = &mut self.phase else { return true };
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.open(cx, request, respond),
                Poll::Ready(Some(Err(_)) | None) => return true,
                Poll::Pending if self.claimed.widen(connection) => {}
                Poll::Pending => break,
            }
        }
        self.claimed.sweep();
        if self.leaving != Leaving::Made {
            self.watch(cx);
        }
        false
    }

    /// Sends what has gathered; more than once when frames waited for room.
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.wire.poll_flush(cx) {
            Poll::Ready(Ok(false)) | Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(true)) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Err(_)) => {
                self.phase = Phase::Over;
                Poll::Ready(())
            }
        }
    }

    /// Sets the deadline by what is waited for: a head that has begun, a first stream, or nothing.
    fn watch(&mut self, cx: &Context<'_>) {
        let watched = match self.wire.unfinished_head() {
            Some(before) => Watched::Head(before),
            None if self.claimed.is_any() => Watched::Claimed,
            None if self.common.open.get() == 0 => Watched::Idle,
            None => Watched::Streams,
        };
        if watched == self.watched {
            return;
        }
        self.watched = watched;
        if self.common.open.get() > 0 {
            *self.common.driver.borrow_mut() = Some(cx.waker().clone());
        }
        match watched {
            Watched::Idle if self.leaving == Leaving::No => {
                self.deadline.after(self.config.net.idle, Wait::Idle)
            }
            Watched::Idle => self.deadline.after(LEAVE, Wait::Busy),
            Watched::Head(_) => self.deadline.after(self.config.net.head, Wait::Busy),
            Watched::Streams => self.deadline.clear(),
            Watched::Claimed => self.deadline.after(claimed::LOOK, Wait::Busy),
        }
    }

    /// Hands a request to an engine of its own, or refuses it.
    fn open(
        &mut self,
        cx: &Context<'_>,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        let (parts, body) = request.into_parts();
        if let Some(accepted) = self.claimed.claim(&parts, &self.wire) {
            return self.claimed.hand_over(&self.shard, cx.waker(), accepted, respond, body);
        }
        let mut incoming = Incoming::new();
        let key =
            if parts.extensions.get::<h2::ext::Protocol>().is_some() { self.key() } else { String::new() };
        incoming.lead().reserve(256);
        let Written { kind, framing } =
            match write_request(&parts, body.is_end_stream(), self.form, &key, incoming.lead()) {
                Ok(written) => written,
                Err(Malformed::Protocol) => return refuse_protocol(&mut respond),
                Err(_malformed) => return respond.send_reset(Reason::PROTOCOL_ERROR),
            };
        let method = match kind {
            Kind::WebSocket => Method::Get,
            Kind::Connect | Kind::Exchange => Method::of(parts.method.as_str().as_bytes()),
        };
        let answer = Rc::new(Answer::new(respond));
        let asking = Asking { method, kind, framing, key };
        let stream = ServerStream::new(&self.common, &answer, asking, incoming, body);
        let connection = ServerConnection::new(
            Rc::clone(&self.shard),
            Rc::clone(&self.config),
            Stream::other(stream),
            (self.make)(),
            self.admitted.within(),
        );
        self.shard.tasks().spawn(Serving { connection, answer });
    }

    /// A key for a WebSocket that asks in our name: RFC 6455 section 4.1 wants 16 octets that a cache has not seen.
    fn key(&self) -> String {
        let (first, second) = (self.keys.hash_one(self.shard.now()), RandomState::new().hash_one(0));
        STANDARD.encode([first.to_be_bytes(), second.to_be_bytes()].concat())
    }

    /// Tells the client to open no more streams; those that are open finish.
    fn leave(&mut self) {
        if let Phase::Open(connection) = &mut self.phase
            && self.leaving == Leaving::No
        {
            self.leaving = Leaving::Asked;
            connection.graceful_shutdown();
            self.claimed.leave();
            if self.common.open.get() == 0 && !self.claimed.is_any() {
                self.deadline.after(LEAVE, Wait::Busy);
            }
        }
    }

    /// Ends the connection and all its streams.
    fn go_away(&mut self, reason: Reason) {
        if let Phase::Open(connection) = &mut self.phase {
            self.leaving = Leaving::Made;
            self.deadline.after(LINGER, Wait::Busy);
            connection.abrupt_shutdown(reason);
        }
    }

    fn linger(&mut self) {
        self.phase = Phase::Lingering;
        self.deadline.after(LINGER, Wait::Busy);
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.wire.poll_end(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(());
        }
        loop {
            match self.wire.poll_drop(cx) {
                Poll::Ready(Ok(octets)) if octets > 0 && self.lingered < LINGER_BYTES => {
                    self.lingered += octets
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The deadline came. True: the connection is over.
    fn expired(&mut self, _expiry: Expiry) -> bool {
        self.deadline.clear();
        match (&self.phase, self.leaving) {
            (Phase::Open(_), Leaving::No | Leaving::Asked) if self.watched == Watched::Claimed => {
                // Time to see whether the shard drains, which [`ServerH2::turn`] does next.
                self.deadline.after(claimed::LOOK, Wait::Busy);
                false
            }
            (Phase::Handshake(_) | Phase::Lingering | Phase::Over, _) | (Phase::Open(_), Leaving::Made) => {
                true
            }
            (Phase::Open(_), Leaving::Asked) => {
                self.go_away(Reason::NO_ERROR);
                false
            }
            (Phase::Open(_), Leaving::No) => {
                match self.watched {
                    Watched::Head(_) => self.go_away(Reason::ENHANCE_YOUR_CALM),
                    Watched::Idle | Watched::Streams | Watched::Claimed => self.leave(),
                }
                false
            }
        }
    }
}

/// RFC 9220 section 3 and RFC 8441 section 4 leave the status to us; 501 is what extended CONNECT has come to use.
fn refuse_protocol(respond: &mut SendResponse<Bytes>) {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::NOT_IMPLEMENTED;
    // The stream may be gone already: then nobody waits for this.
    drop(respond.send_response(response, true));
}

impl Future for ServerH2 {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            if this.run(cx).is_ready() {
                return Poll::Ready(());
            }
            match this.deadline.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(expiry) => {
                    if this.expired(expiry) {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}

/// One exchange, until it is over or its client has no more interest in it.
struct Serving {
    connection: ServerConnection,
    answer: Rc<Answer>,
}

impl Future for Serving {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.answer.poll_gone(cx).is_ready() {
            return Poll::Ready(());
        }
        Pin::new(&mut this.connection).poll(cx)
    }
}
