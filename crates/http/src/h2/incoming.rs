//! One direction of a stream as the engine reads it: a head, then the content of DATA frames as an HTTP/1.1 body.
//!
//! Content is copied once, from the frame into the engine's buffer, and its flow-control credit is given back when that
//! happened, not when it came. A length that was announced is kept to. Not here: making heads (`request`, `response`).

use super::fields::write_trailers;
use super::request::Framing;
use bytes::Bytes;
use h2::RecvStream;
use std::io;
use std::task::{Context, Poll};
use tokio::io::ReadBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// DATA may come.
    Data,
    /// DATA has ended, trailers may come.
    Trailers,
    /// All was read from the stream.
    Ended,
    /// The stream was reset, or is not what it announced.
    Broken,
}

/// A message on its way to the engine.
pub(super) struct Incoming {
    /// Bytes that come before anything else: a head, or the frame of a chunk.
    lead: Vec<u8>,
    read: usize,
    /// What is left of a DATA frame.
    data: Bytes,
    /// Credit to give back when it was read.
    owed: usize,
    body: Option<RecvStream>,
    framing: Framing,
    state: State,
}

impl Incoming {
    /// Nothing has come yet.
    pub(super) const fn new() -> Self {
        Self {
            lead: Vec::new(),
            read: 0,
            data: Bytes::new(),
            owed: 0,
            body: None,
            framing: Framing::None,
            state: State::Ended,
        }
    }

    /// Bytes that are to be read first; the caller appends heads to them.
    pub(super) const fn lead(&mut self) -> &mut Vec<u8> {
        &mut self.lead
    }

    /// Whether bytes of a head or of a chunk's frame wait to be read.
    pub(super) fn has_lead(&self) -> bool {
        self.read < self.lead.len()
    }

    /// The content follows.
    pub(super) fn begin(&mut self, framing: Framing, body: RecvStream) {
        self.framing = framing;
        self.state = if framing == Framing::None { State::Ended } else { State::Data };
        self.body = Some(body);
    }

    /// Reads as much as is there. Ready with nothing added: the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        while to.remaining() > 0 {
            if self.has_lead() {
                self.read_lead(to);
            } else if !self.data.is_empty() {
                self.read_data(to);
            } else if self.next(cx).is_pending() || (self.is_over() && !self.has_lead()) {
                break;
            }
        }
        match (to.filled().len() > before, self.state) {
            (true, _) | (false, State::Ended) => Poll::Ready(Ok(())),
            (false, State::Broken) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            (false, State::Data | State::Trailers) => Poll::Pending,
        }
    }

    const fn is_over(&self) -> bool {
        matches!(self.state, State::Ended | State::Broken)
    }

    /// Reads of the lead alone.
    pub(super) fn poll_read_lead(&mut self, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.read_lead(to);
        Poll::Ready(Ok(()))
    }

    fn read_lead(&mut self, to: &mut ReadBuf<'_>) {
        let rest = self.lead.get(self.read..).unwrap_or_default();
        let octets = rest.len().min(to.remaining());
        to.put_slice(rest.get(..octets).unwrap_or_default());
        self.read += octets;
        if !self.has_lead() {
            self.lead.clear();
            // Heads are large and come once, frames of chunks are small and come often.
            self.lead.shrink_to(64);
            self.read = 0;
        }
    }

    fn read_data(&mut self, to: &mut ReadBuf<'_>) {
        let part = self.data.split_to(self.data.len().min(to.remaining()));
        to.put_slice(&part);
        if self.data.is_empty() {
            self.data = Bytes::new();
            self.give_back();
            if self.framing == Framing::Chunked {
                self.lead.extend_from_slice(b"\r\n");
            }
        }
    }

    fn give_back(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if let Some(body) = &mut self.body {
            // A stream that is gone has no credit to be given back.
            drop(body.flow_control().release_capacity(owed));
        }
    }

    /// Takes what comes next from the stream.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(body) = &mut self.body else { return Poll::Ready(()) };
        match self.state {
            State::Data => match body.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => self.on_data(data),
                Poll::Ready(Some(Err(_))) => self.state = State::Broken,
                Poll::Ready(None) => self.on_end(),
                Poll::Pending => return Poll::Pending,
            },
            State::Trailers => match body.poll_trailers(cx) {
                Poll::Ready(Ok(trailers)) => self.on_trailers(trailers.as_ref()),
                Poll::Ready(Err(_)) => self.state = State::Broken,
                Poll::Pending => return Poll::Pending,
            },
            State::Ended | State::Broken => {}
        }
        Poll::Ready(())
    }

    fn on_data(&mut self, data: Bytes) {
        self.owed = data.len();
        if data.is_empty() {
            return;
        }
        match &mut self.framing {
            Framing::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(less) => *left = less,
                None => self.state = State::Broken,
            },
            Framing::Chunked => push_chunk_size(&mut self.lead, data.len()),
            Framing::Raw => {}
            Framing::None => self.state = State::Broken,
        }
        if self.state == State::Data {
            self.data = data;
        }
    }

    fn on_end(&mut self) {
        self.state = match self.framing {
            Framing::Length(1..) => State::Broken,
            Framing::Chunked => State::Trailers,
            Framing::Length(0) | Framing::Raw | Framing::None => State::Ended,
        };
    }

    fn on_trailers(&mut self, trailers: Option<&http::HeaderMap>) {
        self.lead.extend_from_slice(b"0\r\n");
        let written = match trailers {
            Some(trailers) => write_trailers(trailers, &mut self.lead).is_ok(),
            None => {
                self.lead.extend_from_slice(b"\r\n");
                true
            }
        };
        if written {
            self.state = State::Ended;
        } else {
            self.lead.clear();
            self.state = State::Broken;
        }
    }
}

/// Appends the size line of a chunk.
fn push_chunk_size(out: &mut Vec<u8>, octets: usize) {
    let digits = (usize::BITS - octets.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = u8::try_from(octets >> (digit * 4) & 0xf).unwrap_or_default();
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::push_chunk_size;

    #[test]
    fn sizes_are_written_in_hexadecimal() {
        for (octets, line) in
            [(1, "1\r\n"), (9, "9\r\n"), (10, "a\r\n"), (0x4000, "4000\r\n"), (0xfedc, "fedc\r\n")]
        {
            let mut out = Vec::new();
            push_chunk_size(&mut out, octets);
            assert_eq!(out, line.as_bytes());
        }
    }
}
