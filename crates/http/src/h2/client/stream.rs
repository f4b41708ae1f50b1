//! One exchange with an upstream as the engine sees it: a byte stream on which an HTTP/1.1 request goes and its answers
//! come.
//!
//! ```text
//! write: head ─> content ─> END_STREAM     read:  interim heads ─> head ─> content ─> end
//! ```
//! A stream that the upstream has not seen (REFUSED_STREAM, GOAWAY) says so by [`Lost`]; one that breaks otherwise is a
//! reset. WebSocket needs RFC 8441 of the upstream; without it the answer is 501, and whoever has the choice takes
//! HTTP/1.1 for it ([`super::ForUpgrades`]).

use super::driver::Link;
use crate::h2::incoming::Incoming;
use crate::h2::outgoing::Outgoing;
use crate::h2::request::{Framing, Kind, read_request};
use crate::h2::response::{Question, write_response};
use crate::pool::Lost;
use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::uri::Scheme;
use shoalway_wire::http1::body::BodyReader;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestHead;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The answer when an upstream has no RFC 8441.
const NO_WEBSOCKET: &[u8] = b"HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

enum State {
    /// The request's head is not whole.
    Asking(Option<Waker>),
    /// The final answer has not come.
    Waiting(ResponseFuture),
    /// It has.
    Answered,
    /// The upstream knows nothing of the request.
    Unseen,
}

/// The byte stream.
pub(super) struct ClientStream {
    link: Rc<Link>,
    scheme: Scheme,
    limits: Limits,
    state: State,
    stream: Option<SendStream<Bytes>>,
    incoming: Incoming,
    outgoing: Outgoing,
    method: Method,
    kind: Kind,
    key: String,
    /// Bytes of a tunnel may pass; before the answer they wait.
    tunnel: bool,
    /// Whoever has more of them than there is room for.
    crowded: Option<Waker>,
}

impl ClientStream {
    /// A stream that opens when the request's head was written.
    pub(super) fn new(link: &Rc<Link>, scheme: &Scheme, limits: Limits) -> Self {
        link.enter();
        Self {
            link: Rc::clone(link),
            scheme: scheme.clone(),
            limits,
            state: State::Asking(None),
            stream: None,
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            method: Method::Other,
            kind: Kind::Exchange,
            key: String::new(),
            tunnel: false,
            crowded: None,
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.wants_head() && !self.outgoing.written().is_empty() {
            self.send_head()?;
        }
        if self.kind != Kind::Exchange && !self.tunnel {
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Some(stream) => self.outgoing.poll_send(cx, stream),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Opens the stream, when the whole head is there.
    fn send_head(&mut self) -> io::Result<()> {
        let mut head = RequestHead::new();
        let bad = |_reason| io::Error::from(io::ErrorKind::InvalidData);
        let parsed = head.parse(self.outgoing.written(), &self.limits).map_err(bad)?;
        let Some(octets) = parsed else { return Ok(()) };
        let bytes = self.outgoing.split_head(octets);
        let view = head.view(&bytes);
        let (request, kind) =
            read_request(view, &bytes, &self.scheme).map_err(|_bad| io::ErrorKind::InvalidData)?;
        (self.method, self.kind) = (view.method(), kind);
        if let Some(key) = view.get(Known::SecWebsocketKey) {
            self.key = String::from_utf8_lossy(key).into_owned();
        }
        let Some(mut sender) = self.link.sender() else { return self.unseen() };
        if kind == Kind::WebSocket && !sender.is_extended_connect_protocol_enabled() {
            self.incoming.lead().extend_from_slice(NO_WEBSOCKET);
            self.state = State::Answered;
            self.outgoing.end();
            return Ok(());
        }
        let reader = BodyReader::new(view.body(), &self.limits);
        let ended = kind == Kind::Exchange && reader.is_done();
        let Ok((response, stream)) = sender.send_request(request, ended) else { return self.unseen() };
        if let State::Asking(Some(waker)) = std::mem::replace(&mut self.state, State::Waiting(response)) {
            waker.wake();
        }
        self.stream = Some(stream);
        match (kind, ended) {
            (Kind::Connect | Kind::WebSocket, _) => self.outgoing.begin_raw(),
            (Kind::Exchange, true) => self.outgoing.end(),
            (Kind::Exchange, false) => self.outgoing.begin_body(reader),
        }
        Ok(())
    }

    /// The connection took no more streams when the request came.
    fn unseen(&mut self) -> io::Result<()> {
        self.state = State::Unseen;
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Waits for the next head of an answer.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let response = match &mut self.state {
            State::Answered => return Poll::Ready(Ok(())),
            State::Unseen => return Poll::Ready(Err(Lost::Unseen.into())),
            State::Asking(waker) => {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            State::Waiting(response) => response,
        };
        if let Some(interim) = ready!(response.poll_informational(cx)) {
            let (parts, ()) = match interim {
                Ok(interim) => interim.into_parts(),
                Err(error) => return Poll::Ready(self.failed(&error)),
            };
            return Poll::Ready(self.write_head(&parts, false).map(drop));
        }
        let (parts, body) = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(error) => return Poll::Ready(self.failed(&error)),
        };
        let framing = self.write_head(&parts, body.is_end_stream())?;
        self.link.serve();
        self.state = State::Answered;
        self.tunnel = framing == Framing::Raw;
        if !self.tunnel && self.kind != Kind::Exchange {
            // What was sent ahead for a tunnel is for nobody.
            self.outgoing.end();
        }
        self.incoming.begin(framing, body);
        if let Some(waker) = self.crowded.take() {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn write_head(&mut self, parts: &http::response::Parts, ended: bool) -> io::Result<Framing> {
        let question = Question { method: self.method, kind: self.kind, key: &self.key };
        let lead = self.incoming.lead();
        let before = lead.len();
        write_response(parts, ended, &question, lead).map_err(|_malformed| {
            lead.truncate(before);
            io::ErrorKind::InvalidData.into()
        })
    }

    /// There is no answer. Says so when the upstream has not looked at the request: RFC 9113 sections 6.8 and 8.7.
    fn failed(&mut self, error: &h2::Error) -> io::Result<()> {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        // The crate tells so only those streams that stand behind the last one of a GOAWAY.
        let told_to_go = error.is_go_away() && error.is_remote();
        if refused && error.is_remote() {
            self.link.retire();
        }
        if refused || told_to_go {
            self.state = State::Unseen;
            return Err(Lost::Unseen.into());
        }
        if error.is_io() && self.link.has_served() {
            return Err(Lost::Stale.into());
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.incoming.has_lead() {
            ready!(this.poll_head(cx))?;
        }
        if this.outgoing.is_waiting() {
            // A reader comes by when the window has grown; an error is told to whoever writes.
            drop(this.poll_progress(cx));
        }
        this.incoming.poll_read(cx, to)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outgoing.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = match this.outgoing.take(bytes) {
            Some(taken) => taken,
            None => {
                ready!(this.poll_progress(cx))?;
                match this.outgoing.take(bytes) {
                    Some(taken) => taken,
                    None => {
                        this.crowded = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
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
        this.outgoing.finish();
        this.poll_progress(cx)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.stream
            && !self.outgoing.is_ended()
        {
            stream.send_reset(h2::Reason::CANCEL);
        }
        self.link.leave();
    }
}
