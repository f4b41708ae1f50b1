//! One request of a client's as the engine sees it: a byte stream on which an HTTP/1.1 request comes and its answer goes.
//!
//! ```text
//! read:  head ─> content ─> end            write: head(s) ─> content ─> END_STREAM
//! CONNECT, WebSocket: bytes are read only after the answer has opened the tunnel, so that what a client sends ahead
//! is never taken for a second request.
//! ```
//! A stream that is dropped before its answer was whole is reset; one whose answer was whole needs nothing more, the
//! `h2` crate then tells a client that still uploads to stop (RFC 9113 section 8.1).

use crate::h2::incoming::Incoming;
use crate::h2::outgoing::{Outgoing, gone};
use crate::h2::request::{Framing, Kind};
use crate::h2::response::{Question, read_response};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use shoalway_wire::http1::body::BodyReader;
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::response::{Asked, ResponseHead};
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What all streams of a connection use in turn, and how many there are.
pub(super) struct Common {
    /// Index of the head that is being read; never kept over a turn.
    pub(super) head: RefCell<ResponseHead>,
    pub(super) limits: Limits,
    pub(super) open: Cell<usize>,
    /// The connection, to be woken when its last stream is gone.
    pub(super) driver: RefCell<Option<Waker>>,
}

/// The sending side of a stream, in its two states.
enum Reply {
    Asked(SendResponse<Bytes>),
    Answering(SendStream<Bytes>),
}

/// The sending side, shared by the stream and the watch over it.
pub(super) struct Answer(RefCell<Reply>);

impl Answer {
    pub(super) const fn new(respond: SendResponse<Bytes>) -> Self {
        Self(RefCell::new(Reply::Asked(respond)))
    }

    /// Ready when the client has no more interest in the answer, or the connection is gone.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.0.borrow_mut() {
            Reply::Asked(respond) => respond.poll_reset(cx).map(drop),
            Reply::Answering(stream) => stream.poll_reset(cx).map(drop),
        }
    }

    fn reset(&self, reason: Reason) {
        match &mut *self.0.borrow_mut() {
            Reply::Asked(respond) => respond.send_reset(reason),
            Reply::Answering(stream) => stream.send_reset(reason),
        }
    }
}

/// Whether bytes of a tunnel may pass.
enum Gate {
    Open,
    /// The answer will tell.
    Waiting(Option<Waker>),
    /// There is no tunnel.
    Shut,
}

/// The byte stream.
pub(super) struct ServerStream {
    common: Rc<Common>,
    answer: Rc<Answer>,
    incoming: Incoming,
    outgoing: Outgoing,
    gate: Gate,
    method: Method,
    kind: Kind,
    key: String,
    /// The engine has ended its direction.
    closed: bool,
}

impl ServerStream {
    /// For a request whose head was written into `incoming`.
    pub(super) fn new(
        common: &Rc<Common>,
        answer: &Rc<Answer>,
        request: Asking,
        mut incoming: Incoming,
        body: RecvStream,
    ) -> Self {
        let Asking { method, kind, framing, key } = request;
        let gate = if framing == Framing::Raw { Gate::Waiting(None) } else { Gate::Open };
        incoming.begin(framing, body);
        common.open.set(common.open.get() + 1);
        Self {
            common: Rc::clone(common),
            answer: Rc::clone(answer),
            incoming,
            outgoing: Outgoing::new(),
            gate,
            method,
            kind,
            key,
            closed: false,
        }
    }

    /// Takes heads off what was written, and sends what can be sent.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.outgoing.wants_head() {
            if !self.send_head()? {
                return Poll::Ready(Ok(()));
            }
        }
        match &mut *self.answer.0.borrow_mut() {
            Reply::Asked(_) => Poll::Ready(Ok(())),
            Reply::Answering(stream) => self.outgoing.poll_send(cx, stream),
        }
    }

    /// Sends one head, when a whole one is there.
    fn send_head(&mut self) -> io::Result<bool> {
        let common = Rc::clone(&self.common);
        let mut head = common.head.borrow_mut();
        head.clear();
        let asked = Asked { method: self.method, upgrade: self.kind == Kind::WebSocket };
        let written = self.outgoing.written();
        if written.is_empty() {
            return Ok(false);
        }
        let parsed = head.parse(written, &common.limits, asked).map_err(|_bad| io::ErrorKind::InvalidData)?;
        let Some(octets) = parsed else { return Ok(false) };
        let bytes = self.outgoing.split_head(octets);
        let view = head.view(&bytes);
        let question = Question { method: self.method, kind: self.kind, key: &self.key };
        let response = match read_response(view, &bytes, &question) {
            Ok(response) => response,
            Err(_malformed) => return self.refuse(),
        };
        if view.is_interim() {
            if let Reply::Asked(respond) = &mut *self.answer.0.borrow_mut() {
                respond.send_informational(response).map_err(gone)?;
            }
            return Ok(true);
        }
        let opens = self.kind != Kind::Exchange && response.status().is_success();
        let reader = BodyReader::new(view.body(), &common.limits);
        let ended = !opens && reader.is_done();
        self.send(response, ended)?;
        match (opens, ended) {
            (true, _) => self.outgoing.begin_raw(),
            (false, true) => self.outgoing.end(),
            (false, false) => self.outgoing.begin_body(reader),
        }
        self.set_gate(opens);
        Ok(true)
    }

    /// The answer means something over HTTP/1.1 that it cannot mean here.
    fn refuse(&mut self) -> io::Result<bool> {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        self.send(response, true)?;
        self.outgoing.end();
        self.set_gate(false);
        Err(io::ErrorKind::InvalidData.into())
    }

    fn send(&mut self, response: http::Response<()>, ended: bool) -> io::Result<()> {
        let mut reply = self.answer.0.borrow_mut();
        if let Reply::Asked(respond) = &mut *reply {
            let stream = respond.send_response(response, ended).map_err(gone)?;
            *reply = Reply::Answering(stream);
        }
        Ok(())
    }

    fn set_gate(&mut self, opens: bool) {
        if let Gate::Waiting(waker) = &mut self.gate {
            let waker = waker.take();
            self.gate = if opens { Gate::Open } else { Gate::Shut };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// What was asked.
pub(super) struct Asking {
    pub(super) method: Method,
    pub(super) kind: Kind,
    pub(super) framing: Framing,
    pub(super) key: String,
}

impl AsyncRead for ServerStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.outgoing.is_waiting() {
            // A reader comes by when the window has grown; an error is told to whoever writes.
            drop(this.poll_progress(cx));
        }
        if !this.incoming.has_lead() {
            match &mut this.gate {
                // What a client still uploads after its answer is nobody's: the stream ends with the answer.
                Gate::Open if this.closed && this.kind == Kind::Exchange => return Poll::Ready(Ok(())),
                Gate::Open => {}
                Gate::Shut => return Poll::Ready(Ok(())),
                Gate::Waiting(waker) => {
                    *waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        // A tunnel's first bytes are not read in one go with the head: the gate stands between them.
        if this.kind != Kind::Exchange && this.incoming.has_lead() {
            return this.incoming.poll_read_lead(to);
        }
        this.incoming.poll_read(cx, to)
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outgoing.is_ended() || this.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = match this.outgoing.take(bytes) {
            Some(taken) => taken,
            None => {
                ready!(this.poll_progress(cx))?;
                match this.outgoing.take(bytes) {
                    Some(taken) => taken,
                    None => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                }
            }
        };
        match this.poll_progress(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_progress(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.closed = true;
        this.outgoing.finish();
        this.poll_progress(cx)
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        if !self.outgoing.is_ended() {
            self.answer.reset(Reason::INTERNAL_ERROR);
        }
        let open = self.common.open.get() - 1;
        self.common.open.set(open);
        if open == 0
            && let Some(driver) = self.common.driver.borrow_mut().take()
        {
            driver.wake();
        }
    }
}
