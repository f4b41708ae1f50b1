//! A byte stream between two shards: both ends read and write, and each may live on a thread of its own.
//!
//! ```text
//! End ── write ──> Lane (pieces, at most 64 KiB) ── read ──> End
//!     <── read ──  Lane                          <── write ──
//! ```
//! For exchanges that must use what lives on another shard (an overlay link) and cannot move there. Bytes are copied into
//! a piece and out of it outside the lock, which is held to push or pop one and never over a wait; whoever wakes the
//! other side has let go of it. A direction that was ended is read to its end; an end that is dropped before, or reset,
//! breaks both directions. Not here: splice (`pipes.rs`), what the bytes mean.

use crate::fleet::Message;
use crate::shard::Shard;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that may be on their way in one direction.
pub const CREDIT: usize = 64 << 10;
/// Octets of one piece at the most.
const PIECE: usize = 16 << 10;
/// What a piece costs beside its octets, so that single octets cannot become a thousand times their memory.
const COST: usize = 64;

/// The other shard takes no work now: its mailbox is full, or it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shard takes no work")]
pub struct Busy;

/// Opens a pipe to the shard with the number `to` and has `serve` run there with its far end.
///
/// # Errors
/// [`Busy`]; `serve` was then dropped and has not run.
pub fn across(
    from: &Rc<Shard>,
    to: usize,
    serve: impl FnOnce(&Rc<Shard>, End) + Send + 'static,
) -> Result<End, Busy> {
    let (near, far) = pair();
    let work = Message::Apply(Box::new(move |shard| serve(shard, far)));
    match from.fleet().send(to, work) {
        Ok(()) => Ok(near),
        Err(_refused) => Err(Busy),
    }
}

/// A pipe whose ends nobody has yet.
#[must_use]
pub fn pair() -> (End, End) {
    let (one, two) = (Arc::new(Lane::default()), Arc::new(Lane::default()));
    let end = |from: &Arc<Lane>, to: &Arc<Lane>| End {
        from: Arc::clone(from),
        to: Arc::clone(to),
        piece: Bytes::new(),
        ended: false,
    };
    (end(&one, &two), end(&two, &one))
}

/// One end of a pipe. Dropped before it has ended its direction it breaks the pipe.
pub struct End {
    from: Arc<Lane>,
    to: Arc<Lane>,
    /// What is left of the piece that is being read.
    piece: Bytes,
    /// Our direction was ended.
    ended: bool,
}

/// One direction.
#[derive(Default)]
struct Lane(Mutex<State>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Cost of the pieces in the queue.
    queued: usize,
    /// Cost of the piece that the reader has in hand.
    in_hand: usize,
    fate: Fate,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What becomes of a direction when its pieces are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fate {
    /// More may come.
    #[default]
    Open,
    /// The writer has ended it.
    Ended,
    /// The pipe broke.
    Broken,
}

const fn cost(piece: &Bytes) -> usize {
    piece.len() + COST
}

impl State {
    const fn room(&self) -> usize {
        CREDIT.saturating_sub(self.queued + self.in_hand + COST)
    }
}

impl Lane {
    /// A side that panicked under the lock left nothing half done: every change is one statement.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_fate(&self, fate: Fate) {
        let mut state = self.lock();
        if state.fate == Fate::Broken || (state.fate == Fate::Ended && fate == Fate::Ended) {
            return;
        }
        state.fate = fate;
        if fate == Fate::Broken {
            state.pieces.clear();
            state.queued = 0;
        }
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }

    /// The next piece; none at the end.
    fn poll_take(&self, cx: &Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut state = self.lock();
        state.in_hand = 0;
        let taken = match (state.pieces.pop_front(), state.fate) {
            (Some(piece), _) => {
                state.queued -= cost(&piece);
                state.in_hand = cost(&piece);
                Poll::Ready(Ok(Some(piece)))
            }
            (None, Fate::Open) => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            (None, Fate::Ended) => Poll::Ready(Ok(None)),
            (None, Fate::Broken) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        };
        let writer = if state.room() > 0 { state.writer.take() } else { None };
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        taken
    }

    /// How many octets may be put in now.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        match (state.fate, state.room()) {
            (Fate::Ended | Fate::Broken, _) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            (Fate::Open, 0) => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            (Fate::Open, room) => Poll::Ready(Ok(room.min(PIECE))),
        }
    }

    fn put(&self, piece: Bytes) {
        let mut state = self.lock();
        if state.fate != Fate::Open {
            return;
        }
        state.queued += cost(&piece);
        state.pieces.push_back(piece);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl End {
    /// Breaks the pipe: what is on its way is lost, and both directions end with an error at the other end.
    pub fn reset(self) {
        self.break_up();
    }

    fn break_up(&self) {
        self.from.set_fate(Fate::Broken);
        self.to.set_fate(Fate::Broken);
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.piece.is_empty() {
            match this.from.poll_take(cx) {
                Poll::Ready(Ok(Some(piece))) => this.piece = piece,
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let octets = this.piece.len().min(to.remaining());
        to.put_slice(this.piece.get(..octets).unwrap_or_default());
        this.piece.advance(octets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Only this end writes, so the room cannot shrink before the piece is put in.
        self.to.poll_room(cx).map_ok(|room| {
            let part = bytes.get(..room).unwrap_or(bytes);
            self.to.put(Bytes::copy_from_slice(part));
            part.len()
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ended = true;
        this.to.set_fate(Fate::Ended);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.ended {
            // What we said is still to be read; what the other end says is nobody's.
            self.from.set_fate(Fate::Broken);
        } else {
            self.break_up();
        }
    }
}

#[cfg(test)]
mod tests;
