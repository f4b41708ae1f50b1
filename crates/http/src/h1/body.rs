//! The flow of one message's body from a source to a sink, with the head that goes before it.
//!
//! Bytes are judged by `wire/http1/body` and sent from the buffer they were read into; content that needs no look is
//! spliced where both sides are plain TCP. Small bodies leave in one call with their head. Not here: heads, deadlines,
//! bodies that a filter changes (`filtered.rs`).

pub(super) mod filtered;

use crate::filter::BodyFilter;
use filtered::Filtering;
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::pipes::Pipe;
use shoalway_net::relay::{Broken, SPLICE_AFTER, Spliced, splice_step};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1::body::{BodyReader, Piece};
use shoalway_wire::http1::framing::BodyLength;
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::refusal::Refusal;
use shoalway_wire::http1::trailers::write_trailers;
use std::io::IoSlice;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Content up to this size is copied behind the head, so that both leave in one call.
const TOGETHER: usize = 2 << 10;
/// Content up to this size is kept to be sent again.
pub(super) const REPLAY: usize = 64 << 10;
/// What must be left of a length or chunk for a splice to pay.
const SPLICE_LEFT: u64 = 64 << 10;
/// Steps in a row before other tasks have their turn.
const TURNS: u32 = 32;

/// Bytes of ours that are being sent.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
    /// What was sent of bytes that are no longer here.
    before: u64,
}

impl Outgoing {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.before += self.sent as u64;
        self.sent = 0;
        self.bytes.shrink_to(8 << 10);
    }

    /// All that was ever sent: it grows with each octet that moves.
    pub(super) const fn moved(&self) -> u64 {
        self.before + self.sent as u64
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// Sends what is left.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<Result<(), FlowError>> {
        while !self.rest().is_empty() {
            match ready!(sink.poll_send(cx, self.rest())) {
                Ok(0) | Err(_) => return Poll::Ready(Err(FlowError::Sink)),
                Ok(n) => self.sent += n,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Why a body did not flow to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlowError {
    /// The source broke, or ended before the body did.
    Source,
    /// The sink takes no more.
    Sink,
    /// The body breaks the protocol.
    Bad(Refusal),
    /// The filter cannot go on.
    Filter,
}

/// Whom a flow waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Source,
    Sink,
}

/// What happens to chunk framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Kept,
    /// For HTTP/1.0 clients, which do not know chunks.
    Removed,
    /// Chunks of our own around what a filter makes.
    Anew,
}

/// One body on its way.
pub(super) struct BodyFlow {
    reader: BodyReader,
    /// Bytes read from the source and not yet sent.
    pub(super) buffer: Option<Buffer>,
    /// The first so many bytes of the buffer may be sent.
    approved: usize,
    /// Bytes behind them that are dropped.
    skip: usize,
    /// A trailer section behind them.
    trailers: usize,
    /// Content that has been approved or spliced.
    pub(super) content: u64,
    announced: u64,
    framing: Framing,
    class: Class,
    pipe: Option<Pipe>,
    /// Copies are kept while all that was sent fits into so many bytes.
    pub(super) keep: usize,
    /// Something was sent that is not in the outgoing bytes: it cannot be sent again.
    pub(super) gone: bool,
    pub(super) waits: Waits,
    /// What the content goes through; almost always nothing.
    filtering: Option<Filtering>,
}

impl BodyFlow {
    pub(super) fn new(length: BodyLength, limits: &Limits, framing: Framing) -> Self {
        let announced = match length {
            BodyLength::Length(octets) => octets,
            BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => 0,
        };
        Self {
            reader: BodyReader::new(length, limits),
            buffer: None,
            approved: 0,
            skip: 0,
            trailers: 0,
            content: 0,
            announced,
            framing,
            class: Class::Medium,
            pipe: None,
            keep: 0,
            gone: false,
            waits: Waits::Source,
            filtering: None,
        }
    }

    /// Sends the content through a filter: it then leaves in chunks of our own, or unframed where frames are removed.
    pub(super) fn through(&mut self, filter: Option<Box<dyn BodyFilter>>) {
        self.filtering = filter.map(Filtering::new);
    }

    /// Refuses chunks that make the content longer than so many octets.
    pub(super) fn at_most(&mut self, octets: u64) {
        self.reader = self.reader.clone().at_most(octets);
    }

    /// Forgets what was counted and held; the flow is not to be polled again.
    pub(super) fn reset(&mut self) {
        self.buffer = None;
        self.pipe = None;
        self.filtering = None;
        self.approved = 0;
        self.content = 0;
        self.gone = false;
    }

    /// Whether the whole body was read from the source.
    pub(super) fn is_read(&self) -> bool {
        self.reader.is_done()
    }

    /// Sends `out`, then the body. Ready when all of both was taken by the sink.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Rc<Shard>,
        source: &mut Stream,
        sink: &mut Stream,
        out: &mut Outgoing,
    ) -> Poll<Result<(), FlowError>> {
        if self.filtering.is_some() {
            return self.poll_filtered(cx, shard, source, sink, out);
        }
        for _ in 0..TURNS {
            self.approve()?;
            self.gather(out);
            if self.approved > 0 || !out.rest().is_empty() {
                self.waits = Waits::Sink;
                ready!(self.send(cx, sink, out))?;
            } else if self.skip > 0 {
                self.drop_front();
            } else if self.trailers > 0 {
                self.take_trailers(out);
            } else if self.reader.is_done() {
                return sink.poll_push(cx).map_err(|_broken| FlowError::Sink);
            } else {
                self.waits = Waits::Source;
                ready!(self.fill(cx, shard, source, sink))?;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn approve(&mut self) -> Result<(), FlowError> {
        let Some(buffer) = &self.buffer else { return Ok(()) };
        while self.skip == 0 && self.trailers == 0 {
            let input = buffer.filled().get(self.approved..).unwrap_or_default();
            match self.reader.next(input).map_err(FlowError::Bad)? {
                Piece::NeedBytes | Piece::Done => break,
                Piece::Data(n) => {
                    self.approved += n;
                    if self.filtering.is_none() {
                        self.content += n as u64;
                    }
                }
                Piece::Frame(n) if self.framing == Framing::Kept => self.approved += n,
                Piece::Frame(n) | Piece::Skip(n) => self.skip = n,
                Piece::Trailers(n) if self.framing != Framing::Removed => self.trailers = n,
                Piece::Trailers(n) => self.skip = n,
            }
        }
        Ok(())
    }

    /// Copies a little content behind the head, or content that may have to be sent again.
    fn gather(&mut self, out: &mut Outgoing) {
        let Some(buffer) = &mut self.buffer else { return };
        let together = out.sent == 0 && !out.bytes.is_empty() && self.approved <= TOGETHER;
        let again = !self.gone && out.bytes.len() + self.approved <= self.keep;
        if self.approved > 0 && (together || again) {
            out.bytes.extend_from_slice(buffer.filled().get(..self.approved).unwrap_or_default());
            buffer.consume(self.approved);
            self.approved = 0;
        }
    }

    fn send(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
        out: &mut Outgoing,
    ) -> Poll<Result<(), FlowError>> {
        let filled = self.buffer.as_ref().map(Buffer::filled).unwrap_or_default();
        let body = filled.get(..self.approved).unwrap_or_default();
        let sent = match (out.rest(), body) {
            (head, []) => ready!(sink.poll_send(cx, head)),
            ([], body) => ready!(sink.poll_send(cx, body)),
            (head, body) => ready!(sink.poll_send_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)])),
        };
        let n = match sent {
            Ok(n) if n > 0 => n,
            Ok(_) | Err(_) => return Poll::Ready(Err(FlowError::Sink)),
        };
        let head = n.min(out.rest().len());
        out.sent += head;
        if let Some(buffer) = &mut self.buffer
            && n > head
        {
            buffer.consume(n - head);
            self.approved -= n - head;
            self.gone = true;
        }
        Poll::Ready(Ok(()))
    }

    fn drop_front(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.consume(self.skip);
        }
        self.skip = 0;
    }

    fn take_trailers(&mut self, out: &mut Outgoing) {
        if let Some(buffer) = &mut self.buffer {
            if self.keep == 0 {
                out.clear();
            }
            write_trailers(&mut out.bytes, buffer.filled().get(..self.trailers).unwrap_or_default());
            buffer.consume(self.trailers);
        }
        self.trailers = 0;
    }

    fn fill(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Rc<Shard>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), FlowError>> {
        if self.filtering.is_none()
            && let Some(step) = self.splice(cx, shard, source, sink)
        {
            return step;
        }
        let mut buffer = match self.buffer.take() {
            Some(mut buffer) if !buffer.is_empty() => {
                if !buffer.make_room() {
                    return Poll::Ready(Err(FlowError::Bad(Refusal::ChunkLineTooLong)));
                }
                buffer
            }
            Some(buffer) if buffer.class() >= self.class => buffer,
            _ => shard.buffers().take(self.class),
        };
        let room = buffer.space().len();
        match source.poll_fill(cx, buffer.space()) {
            Poll::Pending => {
                // An empty buffer goes back to the pool while there is nothing to read.
                self.buffer = (!buffer.is_empty()).then_some(buffer);
                match sink.poll_push(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(FlowError::Sink)),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                }
            }
            Poll::Ready(Ok(n)) if n > 0 => {
                buffer.commit(n);
                if n == room {
                    self.class = self.class.larger();
                }
                self.buffer = Some(buffer);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(_)) => {
                self.buffer = (!buffer.is_empty()).then_some(buffer);
                Poll::Ready(self.reader.at_eof().map_err(|_incomplete| FlowError::Source))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(FlowError::Source)),
        }
    }

    /// A step of splicing, where that is possible and pays.
    fn splice(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Rc<Shard>,
        source: &Stream,
        sink: &Stream,
    ) -> Option<Poll<Result<(), FlowError>>> {
        let bulk = self.content >= SPLICE_AFTER || self.announced >= SPLICE_AFTER;
        let held = self.pipe.as_ref().is_some_and(|pipe| pipe.held() > 0);
        let empty = self.buffer.as_ref().is_none_or(Buffer::is_empty);
        let pays = bulk && empty && self.reader.forward() >= SPLICE_LEFT;
        if !held && !pays {
            self.pipe = None;
            return None;
        }
        let (from, to) = (source.plain_tcp()?, sink.plain_tcp()?);
        if self.pipe.is_none() {
            if from.poll_read_ready(cx).is_pending() {
                return Some(Poll::Pending);
            }
            self.pipe = shard.pipes().take();
        }
        let pipe = self.pipe.as_mut()?;
        self.buffer = None;
        let step = splice_step(cx, pipe, from, to, self.reader.forward());
        let held = pipe.held() > 0;
        Some(match step {
            Poll::Ready(Ok(Spliced::Moved(n))) => {
                self.reader.passed(n);
                self.content += n;
                self.gone = true;
                shard.counters().spliced_bytes.add(n);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(Spliced::End)) => {
                self.pipe = None;
                Poll::Ready(self.reader.at_eof().map_err(|_incomplete| FlowError::Source))
            }
            Poll::Ready(Err(Broken::Source)) => Poll::Ready(Err(FlowError::Source)),
            Poll::Ready(Err(Broken::Sink)) => Poll::Ready(Err(FlowError::Sink)),
            Poll::Pending => {
                self.waits = if held { Waits::Sink } else { Waits::Source };
                if !held {
                    self.pipe = None;
                }
                Poll::Pending
            }
        })
    }
}
