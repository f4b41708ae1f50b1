//! A client's HTTP/1 connection: reads heads, runs one exchange after the other, leaves in good order.
//!
//! Pipelined requests wait in the client's buffer and are answered in order. Between requests the connection owns no
//! buffer and no exchange. Not here: what happens within an exchange (`exchange.rs`), what is decided (`service`).

use super::exchange::{Around, Ended, Exchange, request_view};
use super::seat::{MakeService, Seat};
use crate::service::{Failed, Service, Tunnel};
use shoalway_net::admission::Admitted;
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::clock;
use shoalway_net::deadline::{Deadline, Expiry, Wait};
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// After its last answer a client may still send this much before the connection is closed on it.
const LINGER_BYTES: u32 = 64 << 10;
/// And take this long.
const LINGER: Duration = Duration::from_secs(1);
/// Exchanges that a shard keeps for the next request.
const KEPT: usize = 256;

/// What all HTTP connections of a listener share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerConfig {
    /// Deadlines.
    pub net: Limits,
    /// Sizes of messages.
    pub http: http1::limits::Limits,
}

/// Exchanges that wait for a request; one a shard.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "an exchange is kept where it is: boxes move, a kilobyte does not")]
struct Spare(RefCell<Vec<Box<Exchange>>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for a head, or in the middle of one.
    Head,
    /// A request is being served.
    Exchange,
    /// The last answer was sent: our end is being told.
    Ending,
    /// Reading what the client still sends, to drop it.
    Lingering,
}

/// A client's connection; a future that ends with it.
pub struct ServerConnection {
    shard: Rc<Shard>,
    config: Rc<ServerConfig>,
    client: Option<Stream>,
    service: Option<Box<dyn Service>>,
    /// Where the service is between requests; none: it stays here.
    seat: Option<Box<Seat>>,
    admitted: Option<Admitted>,
    deadline: Deadline,
    phase: Phase,
    served: bool,
    heading: bool,
    lingered: u32,
    buffer: Option<Buffer>,
    exchange: Option<Box<Exchange>>,
    started: (tokio::time::Instant, u64),
}

impl ServerConnection {
    /// A connection on which nothing was served yet. `client` may have early bytes.
    #[must_use]
    pub fn new(
        shard: Rc<Shard>,
        config: Rc<ServerConfig>,
        client: Stream,
        service: Box<dyn Service>,
        admitted: Admitted,
    ) -> Self {
        Self::with(shard, config, client, admitted, Some(service), None)
    }

    /// The same, with a service that is not kept between requests when others need the room: then `make` makes another.
    #[must_use]
    pub fn with_seat(
        shard: Rc<Shard>,
        config: Rc<ServerConfig>,
        client: Stream,
        make: MakeService,
        admitted: Admitted,
    ) -> Self {
        let seat = Box::new(Seat::new(&shard, make));
        Self::with(shard, config, client, admitted, None, Some(seat))
    }

    fn with(
        shard: Rc<Shard>,
        config: Rc<ServerConfig>,
        client: Stream,
        admitted: Admitted,
        service: Option<Box<dyn Service>>,
        seat: Option<Box<Seat>>,
    ) -> Self {
        let deadline = shard.deadline();
        deadline.after(config.net.head, Wait::Busy);
        Self {
            shard,
            config,
            client: Some(client),
            service,
            seat,
            admitted: Some(admitted),
            deadline,
            phase: Phase::Head,
            served: false,
            heading: false,
            lingered: 0,
            buffer: None,
            exchange: None,
            started: (clock::now(), 0),
        }
    }

    /// Runs until the connection has to wait (`Pending`) or is over (`Ready`).
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.phase {
                Phase::Head => match ready!(self.read_head(cx)) {
                    Head::Complete => self.phase = Phase::Exchange,
                    Head::Over => return Poll::Ready(()),
                },
                Phase::Exchange => {
                    let ended = ready!(self.run_exchange(cx));
                    if self.after_exchange(ended) {
                        return Poll::Ready(());
                    }
                }
                Phase::Ending => {
                    self.deadline.after(LINGER, Wait::Busy);
                    let ended = self.client.as_mut().map(|client| client.poll_end(cx));
                    match ended {
                        Some(Poll::Pending) => return Poll::Pending,
                        Some(Poll::Ready(Ok(()))) => self.phase = Phase::Lingering,
                        Some(Poll::Ready(Err(_))) | None => return Poll::Ready(()),
                    }
                }
                Phase::Lingering => return self.linger(cx),
            }
        }
    }

    fn read_head(&mut self, cx: &mut Context<'_>) -> Poll<Head> {
        loop {
            if self.buffer.as_ref().is_some_and(|buffer| !buffer.is_empty()) && self.parse_head() {
                return Poll::Ready(Head::Complete);
            }
            let Some(client) = &mut self.client else { return Poll::Ready(Head::Over) };
            let mut buffer = match self.buffer.take() {
                Some(buffer) => buffer,
                None => self.shard.buffers().take(Class::Small),
            };
            // A full largest buffer is far over the limit of a head: the parser has refused it before.
            let _room = buffer.make_room();
            match client.poll_fill(cx, buffer.space()) {
                Poll::Pending => {
                    self.buffer = (!buffer.is_empty()).then_some(buffer);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(n)) if n > 0 => {
                    buffer.commit(n);
                    self.buffer = Some(buffer);
                    self.heard();
                }
                Poll::Ready(_) => return Poll::Ready(Head::Over),
            }
        }
    }

    /// The first bytes of a head came: from now on it has its own deadline, which further bytes do not move.
    fn heard(&mut self) {
        if !self.heading {
            self.heading = true;
            self.started = (clock::now(), clock::wall_ms());
            if self.service.is_none() {
                self.service = self.seat.as_ref().map(|seat| seat.take());
            }
            if self.served {
                self.deadline.after(self.config.net.head, Wait::Busy);
            }
        }
    }

    /// Whether an exchange has begun.
    fn parse_head(&mut self) -> bool {
        self.heard();
        let mut exchange = self.exchange.take().unwrap_or_else(|| self.spare_exchange());
        let bytes = self.buffer.as_ref().map(Buffer::filled).unwrap_or_default();
        let parsed = exchange.request.parse(bytes, &self.config.http);
        let (started, started_ms) = self.started;
        let begun = match (parsed, self.around()) {
            (Ok(Some(len)), Some(mut around)) => {
                exchange.begin(&mut around, len, started, started_ms);
                true
            }
            (Err(refusal), Some(mut around)) => {
                exchange.refuse(&mut around, refusal, started, started_ms);
                true
            }
            (Ok(None), _) | (_, None) => false,
        };
        self.exchange = Some(exchange);
        begun
    }

    fn around(&mut self) -> Option<Around<'_>> {
        Some(Around {
            shard: &self.shard,
            config: &self.config,
            client: self.client.as_mut()?,
            service: self.service.as_deref_mut()?,
            head: &mut self.buffer,
        })
    }

    fn run_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let Some(mut exchange) = self.exchange.take() else { return Poll::Ready(Ended::Close) };
        let polled = match self.around() {
            Some(mut around) => exchange.poll(cx, &mut around),
            None => Poll::Ready(Ended::Close),
        };
        let patience = self.service.as_ref().and_then(|service| service.patience());
        if polled.is_pending()
            && let Some(limit) = exchange.limit(&self.config, patience)
        {
            self.deadline.after(limit, Wait::Busy);
        }
        self.exchange = Some(exchange);
        polled
    }

    /// Settles the request and goes on as it ended. True: the connection is over.
    fn after_exchange(&mut self, ended: Ended) -> bool {
        match ended {
            Ended::Tunnel(upstream, addr, status) => {
                self.become_tunnel(upstream, addr, status);
                return true;
            }
            Ended::Kept => self.settle(),
            Ended::Close => {
                self.settle();
                self.buffer = None;
                self.phase = Phase::Ending;
                return false;
            }
            Ended::Reset => {
                self.settle();
                self.phase = Phase::Ending;
                if let Some(client) = &self.client {
                    client.reset_on_close();
                }
                return true;
            }
        }
        self.phase = Phase::Head;
        self.heading = false;
        self.served = true;
        if self.buffer.is_none() {
            self.give_back_exchange();
            self.rest();
            if self.shard.is_draining() {
                self.phase = Phase::Ending;
            }
            self.deadline.after(self.config.net.idle, Wait::Idle);
        } else {
            self.deadline.after(self.config.net.head, Wait::Busy);
        }
        false
    }

    /// Tells the service how the request ended, and makes way for the next one in the buffer.
    fn settle(&mut self) {
        let (Some(exchange), Some(service)) = (&mut self.exchange, &mut self.service) else { return };
        let view = request_view(&exchange.request, self.buffer.as_ref(), exchange.head_len);
        service.settle(&self.shard, view, &exchange.settled());
        let rest = exchange.take_rest();
        if let Some(buffer) = &mut self.buffer {
            buffer.consume(exchange.head_len);
        }
        if rest.is_some() {
            self.buffer = rest;
        }
        if self.buffer.as_ref().is_some_and(Buffer::is_empty) {
            self.buffer = None;
        }
        exchange.clear();
    }

    fn become_tunnel(&mut self, upstream: Stream, addr: std::net::SocketAddr, status: u16) {
        let (Some(client), Some(service), Some(exchange), Some(admitted)) =
            (self.client.take(), self.service.take(), self.exchange.take(), self.admitted.take())
        else {
            return;
        };
        let (started, started_ms) = exchange.started();
        self.buffer = None;
        service.tunnel(&self.shard, Tunnel { client, upstream, addr, started, started_ms, status, admitted });
        self.exchange = Some(exchange);
        self.give_back_exchange();
    }

    fn spare_exchange(&self) -> Box<Exchange> {
        let spare = self.shard.local(Spare::default).0.borrow_mut().pop();
        spare.unwrap_or_else(|| Box::new(Exchange::new(&self.config)))
    }

    fn give_back_exchange(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.clear();
            let spare = self.shard.local(Spare::default);
            let mut spare = spare.0.borrow_mut();
            if spare.len() < KEPT {
                spare.push(exchange);
            }
        }
    }

    /// Makes room until the next request.
    fn rest(&mut self) {
        if let Some(seat) = &mut self.seat
            && let Some(service) = self.service.take()
        {
            seat.put(service);
        }
    }

    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(client) = &mut self.client else { return Poll::Ready(()) };
        let mut buffer = self.shard.buffers().take(Class::Small);
        loop {
            match ready!(client.poll_fill(cx, buffer.space())) {
                Ok(n) if n > 0 && self.lingered < LINGER_BYTES => {
                    self.lingered = self.lingered.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
                }
                Ok(_) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// The deadline came. True: the connection is over.
    fn expired(&mut self, expiry: Expiry) -> bool {
        self.deadline.clear();
        match self.phase {
            Phase::Ending | Phase::Lingering => true,
            Phase::Head if !self.heading => self.leave_idle(),
            Phase::Head => {
                self.late_head();
                false
            }
            Phase::Exchange => {
                let Some(mut exchange) = self.exchange.take() else { return true };
                let ended = match (expiry, self.around()) {
                    (Expiry::Time, Some(mut around)) => exchange.timed_out(&mut around),
                    (Expiry::Ended, _) | (_, None) => Some(exchange.end()),
                };
                self.exchange = Some(exchange);
                ended.is_some_and(|ended| self.after_exchange(ended))
            }
        }
    }

    /// Nothing was asked for: a kept connection ends quietly, a fresh one as well.
    fn leave_idle(&mut self) -> bool {
        self.phase = Phase::Ending;
        false
    }

    /// Half a head, and the client takes too long with the rest.
    fn late_head(&mut self) {
        let mut exchange = self.exchange.take().unwrap_or_else(|| self.spare_exchange());
        let (started, started_ms) = self.started;
        exchange.set_started(started, started_ms);
        if let Some(mut around) = self.around() {
            exchange.fail(&mut around, &Failed::ClientTimeout);
        }
        self.exchange = Some(exchange);
        self.phase = Phase::Exchange;
    }
}

enum Head {
    /// An exchange has begun.
    Complete,
    /// The client has left.
    Over,
}

impl Future for ServerConnection {
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

impl Drop for ServerConnection {
    /// A request that is under way when the connection goes is settled too: every end is told once.
    fn drop(&mut self) {
        if self.phase == Phase::Exchange && self.service.is_some() && self.exchange.is_some() {
            self.settle();
        }
    }
}
