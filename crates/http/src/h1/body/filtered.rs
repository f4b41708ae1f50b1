//! The flow of a body through a filter: content in slices, out of it chunks of our own (RFC 9112 section 7.1).
//!
//! What was taken leaves as soon as the source pauses, so a stream of events arrives as it is made. A turn takes so much
//! content and no more, then whoever else waits on the shard has theirs. A body that breaks off gets no last chunk. Not
//! here: what a filter does ([`crate::filter`]).

use super::{BodyFlow, FlowError, Framing, Outgoing, Waits};
use crate::filter::{BodyFilter, FilterFailed};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1::trailers::write_trailers;
use std::io::Write as _;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Content that goes through a filter before others have their turn: a fraction of a millisecond of work.
pub(in crate::h1) const SLICE: usize = 16 << 10;
/// So much may wait for the sink before more is read.
const AHEAD: usize = 16 << 10;
/// Memory that is kept between pieces.
const KEPT: usize = 4 << 10;

/// A filter at work.
pub(super) struct Filtering {
    filter: Box<dyn BodyFilter>,
    /// What came of the last piece.
    made: Vec<u8>,
    /// Something was taken since the filter was last emptied.
    holds: bool,
    /// The end was written.
    ended: bool,
}

impl Filtering {
    pub(super) fn new(filter: Box<dyn BodyFilter>) -> Self {
        Self { filter, made: Vec::new(), holds: false, ended: false }
    }
}

impl From<FilterFailed> for FlowError {
    fn from(FilterFailed: FilterFailed) -> Self {
        Self::Filter
    }
}

impl BodyFlow {
    /// Sends `out`, then what the filter makes of the body. Ready when the sink has taken all.
    pub(super) fn poll_filtered(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Rc<Shard>,
        source: &mut Stream,
        sink: &mut Stream,
        out: &mut Outgoing,
    ) -> Poll<Result<(), FlowError>> {
        let mut left = SLICE;
        loop {
            self.approve()?;
            let full = out.rest().len() >= AHEAD;
            if self.approved > 0 && left > 0 && !full {
                left -= self.filter_piece(left, out)?;
            } else if full || self.approved > 0 {
                ready!(self.send_made(cx, sink, out))?;
                if left == 0 {
                    return give_way(cx);
                }
            } else if self.skip > 0 {
                self.drop_front();
            } else if self.trailers > 0 {
                self.end_with_trailers(out)?;
            } else if self.reader.is_done() {
                self.end(b"\r\n", out)?;
                ready!(self.send_made(cx, sink, out))?;
                return sink.poll_push(cx).map_err(|_broken| FlowError::Sink);
            } else {
                self.waits = Waits::Source;
                if let Poll::Ready(filled) = self.fill(cx, shard, source, sink) {
                    filled?;
                    continue;
                }
                self.empty_filter(out)?;
                if out.rest().is_empty() {
                    return Poll::Pending;
                }
                ready!(self.send_made(cx, sink, out))?;
            }
        }
    }

    /// Puts at most `most` octets of content through the filter, and says how many.
    fn filter_piece(&mut self, most: usize, out: &mut Outgoing) -> Result<usize, FlowError> {
        let (Some(filtering), Some(buffer)) = (&mut self.filtering, &mut self.buffer) else { return Ok(0) };
        let n = self.approved.min(most);
        filtering.filter.take(buffer.filled().get(..n).unwrap_or_default(), &mut filtering.made)?;
        filtering.holds = true;
        buffer.consume(n);
        self.approved -= n;
        self.frame_made(out);
        Ok(n)
    }

    /// The source pauses: the client gets all there is.
    fn empty_filter(&mut self, out: &mut Outgoing) -> Result<(), FlowError> {
        let Some(filtering) = &mut self.filtering else { return Ok(()) };
        if filtering.holds {
            filtering.filter.flush(&mut filtering.made)?;
            filtering.holds = false;
            self.frame_made(out);
        }
        Ok(())
    }

    fn end_with_trailers(&mut self, out: &mut Outgoing) -> Result<(), FlowError> {
        let Some(mut buffer) = self.buffer.take() else { return Ok(()) };
        let mut section = Vec::new();
        write_trailers(&mut section, buffer.filled().get(..self.trailers).unwrap_or_default());
        buffer.consume(self.trailers);
        self.buffer = Some(buffer);
        self.trailers = 0;
        self.end(&section, out)
    }

    /// Writes what the filter still holds and the last chunk, once. `section` is the trailer section.
    fn end(&mut self, section: &[u8], out: &mut Outgoing) -> Result<(), FlowError> {
        let Some(filtering) = &mut self.filtering else { return Ok(()) };
        if filtering.ended {
            return Ok(());
        }
        filtering.ended = true;
        filtering.holds = false;
        filtering.filter.finish(&mut filtering.made)?;
        self.frame_made(out);
        if self.framing == Framing::Anew {
            out.bytes.extend_from_slice(b"0\r\n");
            out.bytes.extend_from_slice(section);
        }
        Ok(())
    }

    /// Moves what the filter has made behind what is to be sent, as a chunk where there are chunks.
    fn frame_made(&mut self, out: &mut Outgoing) {
        let Some(filtering) = &mut self.filtering else { return };
        let made = &mut filtering.made;
        // An empty chunk would be the last one.
        if made.is_empty() {
            return;
        }
        self.content += made.len() as u64;
        match self.framing {
            Framing::Anew => {
                // Writing to a vector does not fail.
                let _written = write!(out.bytes, "{:x}\r\n", made.len());
                out.bytes.append(made);
                out.bytes.extend_from_slice(b"\r\n");
            }
            Framing::Removed | Framing::Kept => out.bytes.append(made),
        }
        made.shrink_to(KEPT);
    }

    fn send_made(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
        out: &mut Outgoing,
    ) -> Poll<Result<(), FlowError>> {
        self.waits = Waits::Sink;
        ready!(out.poll_send(cx, sink))?;
        out.clear();
        Poll::Ready(Ok(()))
    }
}

/// Goes on after everybody else who is ready now, and after a look at the sockets: a plain wake would come back many
/// times before the runtime looks at them again.
fn give_way<T>(cx: &mut Context<'_>) -> Poll<T> {
    let others = std::pin::pin!(tokio::task::yield_now());
    match others.poll(cx) {
        Poll::Pending => {}
        Poll::Ready(()) => cx.waker().wake_by_ref(),
    }
    Poll::Pending
}
