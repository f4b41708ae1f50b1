//! One direction of a stream as the engine writes it: the content of an HTTP/1.1 body as DATA frames and trailers.
//!
//! Bytes are copied once, into the buffer that becomes the frames. They wait there for the peer's window, 64 KiB at the
//! most beside as much in the `h2` crate; more is not taken from the engine. The last content and the end of the stream
//! leave in one frame. Not here: heads, which the adapters take off the front of the same buffer.

use super::fields::read_trailers;
use super::settings::SEND_BUFFER;
use bytes::{Bytes, BytesMut};
use h2::SendStream;
use http::HeaderMap;
use shoalway_wire::http1::body::{BodyReader, Piece};
use std::io;
use std::task::{Context, Poll, ready};

/// Octets that are taken while a head is not whole; heads have at most 64 KiB, with what the engine adds a little more.
const HEAD: usize = 80 << 10;

/// What the next bytes of the buffer are.
enum Next {
    /// Not known yet.
    Unknown,
    /// So many octets of content.
    Data(usize),
    /// The end of the message, with trailers.
    End(Option<HeaderMap>),
}

enum State {
    /// A head is expected at the front of the buffer.
    Head,
    /// The content of a message.
    Body(BodyReader),
    /// Another protocol, or nothing at all: all bytes pass.
    Raw,
    /// The end of the stream was sent.
    Ended,
}

/// A message on its way from the engine.
pub(super) struct Outgoing {
    buffer: BytesMut,
    /// Content that was found and not yet sent.
    held: Bytes,
    next: Next,
    state: State,
    /// The engine will write no more.
    closing: bool,
}

impl Outgoing {
    /// Nothing was written yet.
    pub(super) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            held: Bytes::new(),
            next: Next::Unknown,
            state: State::Head,
            closing: false,
        }
    }

    /// Takes bytes from the engine; `None` when there is no room.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let most = if matches!(self.state, State::Head) { HEAD } else { SEND_BUFFER };
        let room = most.saturating_sub(self.buffer.len() + self.held.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(part);
        (!part.is_empty()).then_some(part.len())
    }

    /// Whether a head is expected.
    pub(super) const fn wants_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// Whether the end of the stream was sent.
    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether something that was written waits for the peer.
    pub(super) fn is_waiting(&self) -> bool {
        !self.held.is_empty() || !self.buffer.is_empty()
    }

    /// What was written and not yet looked at.
    pub(super) fn written(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes a head off the front.
    pub(super) fn split_head(&mut self, octets: usize) -> Bytes {
        self.buffer.split_to(octets.min(self.buffer.len())).freeze()
    }

    /// The head was sent, and with it the end of the stream.
    pub(super) fn end(&mut self) {
        self.state = State::Ended;
        self.buffer.clear();
    }

    /// The head was sent, this content follows.
    pub(super) fn begin_body(&mut self, reader: BodyReader) {
        self.state = State::Body(reader);
    }

    /// The head was sent, bytes of another protocol follow.
    pub(super) fn begin_raw(&mut self) {
        self.state = State::Raw;
    }

    /// The engine will write no more: what ends with its connection ends now.
    pub(super) const fn finish(&mut self) {
        self.closing = true;
    }

    /// Sends what can be sent. Ready when nothing is left of what was written, or nothing that could be sent yet.
    ///
    /// # Errors
    /// The stream is gone, or what was written is no message.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut SendStream<Bytes>,
    ) -> Poll<io::Result<()>> {
        while !self.is_ended() {
            self.look()?;
            let is_last = matches!(self.next, Next::End(None));
            ready!(self.poll_send_held(cx, stream, is_last))?;
            match std::mem::replace(&mut self.next, Next::Unknown) {
                Next::Unknown => break,
                Next::Data(octets) => self.held = self.buffer.split_to(octets).freeze(),
                Next::End(None) => self.end(),
                Next::End(Some(trailers)) => {
                    stream.send_trailers(trailers).map_err(gone)?;
                    self.end();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Finds out what comes next, as far as what was written tells.
    fn look(&mut self) -> io::Result<()> {
        if !matches!(self.next, Next::Unknown) {
            return Ok(());
        }
        let reader = match &mut self.state {
            State::Head | State::Ended => return Ok(()),
            State::Raw => {
                self.next = match self.buffer.len() {
                    0 if self.closing => Next::End(None),
                    0 => Next::Unknown,
                    octets => Next::Data(octets),
                };
                return Ok(());
            }
            State::Body(reader) => reader,
        };
        loop {
            let piece = reader.next(&self.buffer).map_err(|_bad| io::ErrorKind::InvalidData)?;
            self.next = match piece {
                Piece::NeedBytes if !self.closing => return Ok(()),
                Piece::NeedBytes => {
                    reader.at_eof().map_err(|_incomplete| io::ErrorKind::UnexpectedEof)?;
                    Next::End(None)
                }
                Piece::Frame(octets) | Piece::Skip(octets) => {
                    drop(self.buffer.split_to(octets));
                    continue;
                }
                Piece::Data(octets) => Next::Data(octets),
                Piece::Done => Next::End(None),
                Piece::Trailers(octets) => {
                    let section = self.buffer.split_to(octets).freeze();
                    let fields = read_trailers(&section).map_err(|_bad| io::ErrorKind::InvalidData)?;
                    Next::End((!fields.is_empty()).then_some(fields))
                }
            };
            return Ok(());
        }
    }

    /// Sends the content that was found; `is_last` ends the stream with it.
    fn poll_send_held(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut SendStream<Bytes>,
        is_last: bool,
    ) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            stream.reserve_capacity(self.held.len());
            let room = stream.capacity();
            if room == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Poll::Ready(Err(gone(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                }
            }
            let part = self.held.split_to(room.min(self.held.len()));
            let ends = is_last && self.held.is_empty();
            stream.send_data(part, ends).map_err(gone)?;
            if ends {
                self.held = Bytes::new();
                self.next = Next::Unknown;
                self.end();
                return Poll::Ready(Ok(()));
            }
        }
        self.held = Bytes::new();
        if is_last && !self.is_ended() {
            stream.send_data(Bytes::new(), true).map_err(gone)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// What the engine is told of a stream that is gone.
pub(super) fn gone(_error: h2::Error) -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
