//! One request and its answer between a client and an upstream, both HTTP/1: a machine that is polled.
//!
//! Upload and answer run at once: an upstream may answer, or refuse, before the upload ends. A kept connection that
//! dies before the first byte of an answer is replaced once, if that is safe. Boxed, pooled, and absent between
//! requests. Not here: reading the request's head and keeping the client's connection (`server.rs`).

mod acquire;
mod answer_head;
mod hedge;
mod waiting;

use self::answer_head::Answered;
use self::hedge::Hedge;
use super::body::{BodyFlow, FlowError, Framing, Outgoing, REPLAY};
use super::server::ServerConfig;
use crate::answer::Answer;
use crate::pool::{Pool, Upstream, UpstreamConnection};
use crate::service::{Attempt, Failed, Next, Service, Settled};
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::clock;
use shoalway_net::connect::{Connect, ConnectError, Connected, LocalFuture};
use shoalway_net::limits::Pace;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1::compose::{Edits, RequestLine, write_request};
use shoalway_wire::http1::framing::{BodyLength, Version};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::refusal::Refusal;
use shoalway_wire::http1::request::{RequestHead, RequestView};
use shoalway_wire::http1::response::{Asked, ResponseHead};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Interim answers that may wait for a slow client, in bytes.
const INTERIM: usize = 64 << 10;
/// A client that ended its direction is waited upon for this long.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// How an exchange ended for the client's connection.
pub(super) enum Ended {
    /// It may serve the next request.
    Kept,
    /// It is to be closed in good order.
    Close,
    /// It is to be reset: what was sent is not the whole.
    Reset,
    /// It became a tunnel to this stream.
    Tunnel(Stream, SocketAddr, u16),
}

enum Stage {
    /// The service wants something first.
    Deciding(LocalFuture<'static, ()>),
    Connecting(LocalFuture<'static, Result<UpstreamConnection, ConnectError>>),
    Tunnelling(LocalFuture<'static, Result<Connected, ConnectError>>),
    Flowing,
    /// Our own answer is on its way.
    Replying,
    Over,
}

/// Where a request goes.
struct Way {
    upstream: Rc<Upstream>,
    connect: Rc<dyn Connect>,
}

/// What is known for the log.
#[derive(Clone, Copy)]
struct Account {
    started: Instant,
    started_ms: u64,
    status: u16,
    addr: Option<SocketAddr>,
    outcome: &'static str,
}

/// What an exchange works with; handed in at each poll.
pub(super) struct Around<'a> {
    pub(super) shard: &'a Rc<Shard>,
    pub(super) config: &'a ServerConfig,
    pub(super) client: &'a mut Stream,
    pub(super) service: &'a mut dyn Service,
    /// The client's buffer: the head stays at its front until the exchange is over.
    pub(super) head: &'a mut Option<Buffer>,
}

/// One exchange.
pub(super) struct Exchange {
    pub(super) request: RequestHead,
    /// Length of the request's head; 0 while it is not complete.
    pub(super) head_len: usize,
    response: ResponseHead,
    edits: Edits,
    stage: Stage,
    way: Option<Way>,
    connection: Option<UpstreamConnection>,
    /// A second try beside this one; almost always there is none.
    hedge: Hedge,
    /// How often it was sent anew to the upstream it is for.
    renewed: u8,
    up: BodyFlow,
    up_out: Outgoing,
    up_over: bool,
    up_broken: bool,
    down: BodyFlow,
    down_out: Outgoing,
    /// The final answer's head was composed.
    answered: bool,
    /// The client's connection may serve another request.
    keep: bool,
    /// The upstream's connection may serve another request.
    reusable: bool,
    asked: Asked,
    version: Version,
    account: Account,
    pace: Pace,
    pace_bytes: u64,
    waiting_since: Option<Instant>,
    client_ended: bool,
    /// The client's connection is broken: nobody waits for the answer.
    client_gone: bool,
    /// Bytes of a body that was made here.
    replied: u64,
    moved: u64,
}

impl Exchange {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let idle = || BodyFlow::new(BodyLength::None, &config.http, Framing::Kept);
        Self {
            request: RequestHead::new(),
            head_len: 0,
            response: ResponseHead::new(),
            edits: Edits::new(),
            stage: Stage::Over,
            way: None,
            connection: None,
            hedge: Hedge::default(),
            renewed: 0,
            up: idle(),
            up_out: Outgoing::default(),
            up_over: false,
            up_broken: false,
            down: idle(),
            down_out: Outgoing::default(),
            answered: false,
            keep: false,
            reusable: false,
            asked: Asked { method: Method::Other, upgrade: false },
            version: Version::Http11,
            account: Account {
                started: clock::now(),
                started_ms: 0,
                status: 0,
                addr: None,
                outcome: "aborted",
            },
            pace: Pace::default(),
            pace_bytes: 0,
            waiting_since: None,
            client_ended: false,
            client_gone: false,
            replied: 0,
            moved: 0,
        }
    }

    /// Forgets one request, ready for the next; keeps the memory.
    pub(super) fn clear(&mut self) {
        self.request.clear();
        self.head_len = 0;
        self.response.clear();
        self.edits.clear();
        self.stage = Stage::Over;
        self.way = None;
        self.connection = None;
        self.hedge.clear();
        self.renewed = 0;
        self.up_out.clear();
        self.down_out.clear();
        self.up_over = false;
        self.up_broken = false;
        self.answered = false;
        self.reusable = false;
        self.up.reset();
        self.down.reset();
        self.replied = 0;
        self.pace = Pace::default();
        self.pace_bytes = 0;
        self.waiting_since = None;
        self.client_ended = false;
        self.client_gone = false;
        self.moved = 0;
    }

    /// Begins with a request whose head is complete at the front of the client's buffer.
    pub(super) fn begin(
        &mut self,
        around: &mut Around<'_>,
        head_len: usize,
        started: Instant,
        started_ms: u64,
    ) {
        self.head_len = head_len;
        self.account = Account { started, started_ms, status: 0, addr: None, outcome: "aborted" };
        self.decide(around);
    }

    /// Begins with a head that is refused.
    pub(super) fn refuse(
        &mut self,
        around: &mut Around<'_>,
        refusal: Refusal,
        started: Instant,
        started_ms: u64,
    ) {
        self.head_len = 0;
        self.account = Account { started, started_ms, status: 0, addr: None, outcome: "aborted" };
        self.keep = false;
        self.up = BodyFlow::new(BodyLength::None, &around.config.http, Framing::Kept);
        self.down = BodyFlow::new(BodyLength::None, &around.config.http, Framing::Kept);
        self.fail(around, &Failed::Refused(refusal));
    }

    fn decide(&mut self, around: &mut Around<'_>) {
        let Some(view) = request_view(&self.request, around.head.as_ref(), self.head_len) else { return };
        self.asked = Asked::from(view);
        self.version = view.version();
        self.keep = view.keep_alive() && !around.shard.is_draining();
        let next = around.service.decide(around.shard, view);
        match next {
            Next::Wait(work) => self.stage = Stage::Deciding(work),
            Next::Answer(answer) => self.reply(around, &answer, "ok"),
            Next::Tunnel(connect) => {
                let session = around.service.session();
                self.split_body(around, BodyLength::None);
                self.stage = Stage::Tunnelling(Box::pin(async move { connect.connect(&session).await }));
            }
            Next::Upstream { upstream, connect, line } => {
                self.compose(around, line);
                self.way = Some(Way { upstream, connect });
                self.arm_hedge(around);
                self.acquire(around, true);
            }
        }
        if around.service.keeps_uploads() {
            self.up.keep = REPLAY;
        }
    }

    fn compose(&mut self, around: &mut Around<'_>, line: RequestLine) {
        let Some(view) = request_view(&self.request, around.head.as_ref(), self.head_len) else { return };
        let length = view.body();
        around.service.edit_request(view, &mut self.edits);
        // A far side that was not asked to change the protocol may not do it.
        self.asked.upgrade &= view.get_all(Known::Upgrade).any(|field| !self.edits.is_dropped(field.index));
        write_request(&mut self.up_out.bytes, view, line, &self.edits);
        self.edits.clear();
        self.split_body(around, length);
        if length == BodyLength::Chunked {
            self.up.at_most(around.service.content_limit());
        }
    }

    /// Moves what follows the head into the upload's own buffer, when there is a body.
    fn split_body(&mut self, around: &mut Around<'_>, length: BodyLength) {
        self.up = BodyFlow::new(length, &around.config.http, Framing::Kept);
        self.down = BodyFlow::new(BodyLength::None, &around.config.http, Framing::Kept);
        if self.up.is_read() {
            return;
        }
        let Some(head) = around.head.as_mut() else { return };
        let rest = head.filled().get(self.head_len..).unwrap_or_default();
        if !rest.is_empty() {
            let class = Class::holding(rest.len()).unwrap_or(Class::Huge).max(Class::Medium);
            let mut body = around.shard.buffers().take(class);
            body.append(rest);
            self.up.buffer = Some(body);
            head.truncate(self.head_len);
        }
    }

    fn flow_over(&mut self, connection: UpstreamConnection) {
        self.account.addr = Some(connection.addr);
        if connection.reused || self.way.as_ref().is_some_and(|way| way.connect.multiplexes()) {
            self.up.keep = REPLAY;
        }
        self.connection = Some(connection);
        self.stage = Stage::Flowing;
    }

    /// Drives the exchange. Pending leaves wakers with both peers.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, around: &mut Around<'_>) -> Poll<Ended> {
        self.count_wait();
        loop {
            let polled = self.poll_stage(cx, around);
            if polled.is_ready() || !self.hedge.is_on() || !self.poll_hedge(cx, around) {
                return polled;
            }
        }
    }

    fn poll_stage(&mut self, cx: &mut Context<'_>, around: &mut Around<'_>) -> Poll<Ended> {
        loop {
            match &mut self.stage {
                Stage::Deciding(work) => {
                    ready!(work.as_mut().poll(cx));
                    self.decide(around);
                }
                Stage::Connecting(work) => match ready!(work.as_mut().poll(cx)) {
                    Ok(connection) if connection.reused && !around.service.permits(connection.addr) => {
                        self.acquire(around, false);
                    }
                    Ok(connection) => self.flow_over(connection),
                    Err(error) => self.fail(around, &Failed::Connect(error)),
                },
                Stage::Tunnelling(work) => match ready!(work.as_mut().poll(cx)) {
                    Ok(connected) => return Poll::Ready(self.tunnel(around, connected)),
                    Err(error) => self.fail(around, &Failed::Connect(error)),
                },
                Stage::Flowing => {
                    if let Some(ended) = ready!(self.flow(cx, around)) {
                        return Poll::Ready(ended);
                    }
                }
                Stage::Replying => {
                    let sent = ready!(self.down_out.poll_send(cx, around.client));
                    let pushed = sent.is_ok() && ready!(around.client.poll_push(cx)).is_ok();
                    self.stage = Stage::Over;
                    if !pushed {
                        self.account.outcome = "client_reset";
                    }
                    return Poll::Ready(if pushed && self.keep { Ended::Kept } else { Ended::Close });
                }
                Stage::Over => return Poll::Ready(Ended::Close),
            }
        }
    }

    /// CONNECT: the far side is connected, so now and not before the client is told.
    fn tunnel(&mut self, around: &mut Around<'_>, connected: Connected) -> Ended {
        self.account.status = 200;
        self.account.addr = Some(connected.addr);
        let mut upstream = connected.stream;
        upstream.unread(b"HTTP/1.1 200 Connection established\r\n\r\n");
        if let Some(head) = around.head.as_ref() {
            around.client.unread(head.filled().get(self.head_len..).unwrap_or_default());
        }
        self.stage = Stage::Over;
        Ended::Tunnel(upstream, connected.addr, 200)
    }

    /// Moves both directions. `None`: the stage has changed.
    fn flow(&mut self, cx: &mut Context<'_>, around: &mut Around<'_>) -> Poll<Option<Ended>> {
        if !self.up_over
            && let Poll::Ready(result) = self.poll_upload(cx, around)
        {
            match result {
                Ok(()) => self.up_over = true,
                // Perhaps it has answered early: what it sent is read before anything is given up.
                Err(FlowError::Sink) => (self.up_over, self.up_broken) = (true, true),
                Err(FlowError::Source) => return Poll::Ready(Some(self.broken("client_closed"))),
                Err(FlowError::Bad(refusal)) if !self.answered => {
                    self.fail(around, &Failed::Refused(refusal));
                    return Poll::Ready(None);
                }
                Err(FlowError::Bad(_)) => return Poll::Ready(Some(self.broken("http_request_error"))),
                // Uploads have none.
                Err(FlowError::Filter) => return Poll::Ready(Some(self.broken("proxy_internal_error"))),
            }
        }
        if !self.answered {
            match ready!(self.poll_answer(cx, around)) {
                Answered::Final => {}
                Answered::Switched(ended) => return Poll::Ready(Some(ended)),
                Answered::Failed => return Poll::Ready(None),
            }
        }
        let Some(connection) = &mut self.connection else { return Poll::Ready(Some(Ended::Close)) };
        let down =
            self.down.poll(cx, around.shard, &mut connection.stream, around.client, &mut self.down_out);
        if down.is_pending() {
            self.watch_client(cx, around);
            if self.client_gone {
                return Poll::Ready(Some(self.broken("client_reset")));
            }
        }
        match ready!(down) {
            Ok(()) => Poll::Ready(Some(self.finish(around))),
            Err(FlowError::Sink) => Poll::Ready(Some(self.broken("client_reset"))),
            Err(FlowError::Source) => Poll::Ready(Some(self.broken("http_response_incomplete"))),
            Err(FlowError::Bad(_)) => Poll::Ready(Some(self.broken("http_protocol_error"))),
            Err(FlowError::Filter) => Poll::Ready(Some(self.broken("proxy_internal_error"))),
        }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>, around: &mut Around<'_>) -> Poll<Result<(), FlowError>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Err(FlowError::Sink)) };
        self.up.poll(cx, around.shard, around.client, &mut connection.stream, &mut self.up_out)
    }

    /// The answer was sent whole.
    fn finish(&mut self, around: &mut Around<'_>) -> Ended {
        self.account.outcome = "ok";
        self.stage = Stage::Over;
        let quiet = self.down.buffer.as_ref().is_none_or(Buffer::is_empty);
        if let (Some(connection), Some(way)) = (self.connection.take(), &self.way)
            && self.reusable
            && self.up_over
            && !self.up_broken
            && quiet
        {
            let pool = around.shard.local(Pool::default);
            way.upstream.put(around.shard, &pool, connection);
        }
        // An upload that was not read to its end cannot be told from the next request.
        if self.keep && self.up_over && self.up.is_read() { Ended::Kept } else { Ended::Close }
    }

    fn broken(&mut self, outcome: &'static str) -> Ended {
        self.account.outcome = outcome;
        self.stage = Stage::Over;
        self.connection = None;
        Ended::Reset
    }

    /// Sends the request to another upstream, when the service has one and all of it can be sent again.
    fn try_again(&mut self, around: &mut Around<'_>, failure: &Failed) -> bool {
        let ours = matches!(failure, Failed::Refused(_) | Failed::ClientTimeout | Failed::Ended);
        if ours || self.way.is_none() || !self.is_repeatable() {
            return false;
        }
        if self.goes_on_with_hedge(around, failure) {
            return true;
        }
        let sent = self.up_out.sent > 0;
        let Some(view) = request_view(&self.request, around.head.as_ref(), self.head_len) else {
            return false;
        };
        let attempt = Attempt::Failed { failure, sent };
        let Some((upstream, connect)) = around.service.again(around.shard, view, attempt) else {
            return false;
        };
        self.go_to(around, upstream, connect);
        true
    }

    /// Whether the whole request is still here, and nothing of an answer has left.
    const fn is_repeatable(&self) -> bool {
        !self.answered && !self.up.gone && self.down_out.bytes.is_empty()
    }

    fn go_to(&mut self, around: &mut Around<'_>, upstream: Rc<Upstream>, connect: Rc<dyn Connect>) {
        self.connection = None;
        self.renewed = 0;
        self.rewind();
        self.down.reset();
        self.response.clear();
        self.edits.clear();
        self.way = Some(Way { upstream, connect });
        // Another attempt waits anew, even where the same bytes were sent to the one before.
        self.moved = 0;
        self.acquire(around, true);
    }

    /// Answers with an error, when nothing was answered yet.
    pub(super) fn fail(&mut self, around: &mut Around<'_>, failed: &Failed) {
        if self.try_again(around, failed) {
            return;
        }
        let view = request_view(&self.request, around.head.as_ref(), self.head_len);
        let answer = around.service.failed(view, failed);
        // What is left of the request's body is unknown: the connection cannot serve another one.
        self.keep &= self.head_len > 0 && self.up.is_read() && view_has_no_body(view);
        self.reply(around, &answer, failed.word());
    }

    fn reply(&mut self, around: &mut Around<'_>, answer: &Answer, outcome: &'static str) {
        let view = request_view(&self.request, around.head.as_ref(), self.head_len);
        self.keep &= view_has_no_body(view) && !answer.close();
        self.connection = None;
        self.account.status = answer.status();
        self.account.outcome = outcome;
        self.replied = answer.body().len() as u64;
        // Bytes of an interim answer may still wait: ours stands behind them.
        answer.write(&mut self.down_out.bytes, self.asked.method == Method::Head, !self.keep);
        self.stage = Stage::Replying;
    }

    /// Ends the exchange from outside.
    pub(super) fn end(&mut self) -> Ended {
        self.broken("ended")
    }

    /// What is known for the log at this moment.
    pub(super) fn settled(&self) -> Settled {
        Settled {
            status: self.account.status,
            bytes_up: self.up.content,
            bytes_down: self.down.content + self.replied,
            upstream: self.account.addr,
            elapsed: clock::now().saturating_duration_since(self.account.started),
            started_ms: self.account.started_ms,
            outcome: self.account.outcome,
        }
    }

    /// When the request began, for one that never became whole.
    pub(super) const fn set_started(&mut self, started: Instant, started_ms: u64) {
        self.account = Account { started, started_ms, status: 0, addr: None, outcome: "aborted" };
        self.keep = false;
    }

    pub(super) const fn started(&self) -> (Instant, u64) {
        (self.account.started, self.account.started_ms)
    }

    /// What the client sent behind this request.
    pub(super) fn take_rest(&mut self) -> Option<Buffer> {
        self.up.buffer.take().filter(|buffer| !buffer.is_empty())
    }
}

fn view_has_no_body(view: Option<RequestView<'_>>) -> bool {
    view.is_some_and(|view| matches!(view.body(), BodyLength::None | BodyLength::Length(0)))
}

/// The request over the bytes in the client's buffer. `None` while the head is not complete.
pub(super) fn request_view<'a>(
    request: &'a RequestHead,
    head: Option<&'a Buffer>,
    head_len: usize,
) -> Option<RequestView<'a>> {
    match head_len {
        0 => None,
        len => head?.filled().get(..len).map(|bytes| request.view(bytes)),
    }
}
