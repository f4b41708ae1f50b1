//! One HTTP/2 stream as two directions of raw bytes: what a claimed CONNECT and a tunnel that was opened are made of.
//!
//! DATA in, DATA out, nothing between: no WebSocket frames, no engine, no copies. RFC 9113 sections 5.1, 5.2 and 6.1;
//! RFC 8441 section 5 calls this the stream's connection. Everything here is `Send`: a stream may be used on another
//! shard than its connection, which then wakes across threads. Where frames begin and end means nothing. Not here: how a
//! stream comes to be one (`claim.rs`, `tunnel_client.rs`), framing, deadlines, which are its user's.

use super::settings::SEND_BUFFER;
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use std::future::poll_fn;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

/// Octets of one DATA frame: with its header it fills one TLS record and no more.
pub const FRAME: usize = (16 << 10) - 9;

/// Why a stream carries no more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DuplexError {
    /// The peer has reset the stream, with this code of RFC 9113 section 7.
    #[error("the peer has reset the stream ({0})")]
    Reset(u32),
    /// The connection is gone, or our direction has ended.
    #[error("the stream is gone")]
    Gone,
    /// More was given than [`Sending::poll_room`] had said; nothing of it was taken.
    #[error("there is no room for so many bytes")]
    NoRoom,
}

impl DuplexError {
    pub(super) fn of(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason.into()),
            Some(_) | None => Self::Gone,
        }
    }
}

/// What the peer is told of a stream that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetCode {
    /// NO_ERROR: it is not needed any more.
    Done,
    /// CANCEL: nobody is interested in it.
    Cancelled,
    /// INTERNAL_ERROR: it broke behind us.
    Broken,
}

/// A stream, both directions.
pub struct Duplex {
    receiving: Receiving,
    sending: Sending,
}

impl Duplex {
    pub(super) fn new(tie: &Arc<Tie>, receive: RecvStream, send: SendStream<Bytes>) -> Self {
        let open = Arc::new(Open(Arc::clone(tie)));
        Self {
            receiving: Receiving { stream: receive, over: false, _open: Some(Arc::clone(&open)) },
            sending: Sending { stream: send, room: 0, over: false, _open: open },
        }
    }

    /// Takes the directions apart: each may go to a task of its own.
    #[must_use]
    pub fn split(self) -> (Receiving, Sending) {
        (self.receiving, self.sending)
    }

    /// The direction from the peer.
    pub const fn receiving(&mut self) -> &mut Receiving {
        &mut self.receiving
    }

    /// The direction to the peer.
    pub const fn sending(&mut self) -> &mut Sending {
        &mut self.sending
    }
}

/// The direction from the peer.
pub struct Receiving {
    stream: RecvStream,
    over: bool,
    _open: Option<Arc<Open>>,
}

impl Receiving {
    /// The content of an answer, which is no tunnel's.
    pub(super) const fn of_answer(stream: RecvStream) -> Self {
        Self { stream, over: false, _open: None }
    }

    /// The next bytes, never none of them; `None` when the peer has ended its direction. They are the connection's own,
    /// not a copy, and hold its read buffer while they live.
    ///
    /// Flow-control credit is not given back here: whoever has done with bytes says so to [`Receiving::release`], so
    /// that a slow consumer slows the peer down. After an error there is nothing more.
    ///
    /// # Errors
    /// Within: [`DuplexError`].
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, DuplexError>>> {
        while !self.over {
            match ready!(self.stream.poll_data(cx)) {
                // A frame without content, such as one that only ends the stream.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(DuplexError::of(&error))));
                }
                None => self.over = true,
            }
        }
        Poll::Ready(None)
    }

    /// As [`Receiving::poll_chunk`]. Cancel safety: nothing is lost when dropped.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, DuplexError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Gives back credit for `octets` that were received, on the stream and on its connection. What was never given back
    /// is the connection's again when both halves are dropped. More than was received counts for nothing.
    pub fn release(&mut self, octets: usize) {
        // An error is a stream that is gone, which has no credit, or a number that is too high.
        drop(self.stream.flow_control().release_capacity(octets));
    }
}

/// The direction to the peer. Dropped before its end it resets the stream as [`ResetCode::Cancelled`].
pub struct Sending {
    stream: SendStream<Bytes>,
    /// What may still be sent of the room that was found last.
    room: usize,
    over: bool,
    _open: Arc<Open>,
}

impl Sending {
    /// How many bytes may be sent now: what the peer's windows and 64 KiB of buffer allow, at least one. Pending until
    /// there is room for one.
    ///
    /// # Errors
    /// [`DuplexError`] when nothing can be sent any more.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, DuplexError>> {
        if self.over {
            return Poll::Ready(Err(DuplexError::Gone));
        }
        self.stream.reserve_capacity(SEND_BUFFER);
        loop {
            self.room = self.stream.capacity();
            if self.room > 0 {
                return Poll::Ready(Ok(self.room));
            }
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(DuplexError::of(&error))),
                None => return Poll::Ready(Err(self.fault(cx))),
            }
        }
    }

    /// As [`Sending::poll_room`]. Cancel safety: nothing is lost when dropped.
    ///
    /// # Errors
    /// As there.
    pub async fn room(&mut self) -> Result<usize, DuplexError> {
        poll_fn(|cx| self.poll_room(cx)).await
    }

    /// Sends `bytes`, of which there may be as many as [`Sending::poll_room`] said last, less what was sent since, in
    /// frames of at most [`FRAME`]. They are not copied and leave with the next turn of the connection.
    ///
    /// # Errors
    /// [`DuplexError`]
    pub fn send(&mut self, mut bytes: Bytes) -> Result<(), DuplexError> {
        if self.over {
            return Err(DuplexError::Gone);
        }
        self.room = self.room.checked_sub(bytes.len()).ok_or(DuplexError::NoRoom)?;
        while !bytes.is_empty() {
            let frame = bytes.split_to(bytes.len().min(FRAME));
            if self.stream.send_data(frame, false).is_err() {
                return Err(self.fault(&mut Context::from_waker(Waker::noop())));
            }
        }
        Ok(())
    }

    /// Ends our direction after what was sent; the peer's goes on.
    pub fn finish(&mut self) {
        if !self.over {
            self.over = true;
            // A stream that is gone has ended already.
            drop(self.stream.send_data(Bytes::new(), true));
        }
    }

    /// Cuts the stream off, both directions; what was not sent yet is lost.
    pub fn reset(&mut self, code: ResetCode) {
        self.over = true;
        self.stream.send_reset(match code {
            ResetCode::Done => Reason::NO_ERROR,
            ResetCode::Cancelled => Reason::CANCEL,
            ResetCode::Broken => Reason::INTERNAL_ERROR,
        });
    }

    /// Why a stream takes no more, when it is known.
    fn fault(&mut self, cx: &mut Context<'_>) -> DuplexError {
        match self.stream.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => DuplexError::Reset(reason.into()),
            Poll::Ready(Err(_)) | Poll::Pending => DuplexError::Gone,
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.over {
            self.stream.send_reset(Reason::CANCEL);
        }
    }
}

/// What a stream's user is told about its connection. Lives on whichever shard the stream does.
pub struct Carrier(Arc<Tie>);

impl Carrier {
    pub(super) fn new(tie: &Arc<Tie>) -> Self {
        Self(Arc::clone(tie))
    }

    /// Whether the connection takes no more streams: it is being drained, the peer has said so, or it is gone. Streams
    /// that are open go on, and should end soon.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.leaving.load(Acquire)
    }

    /// Ready when [`Carrier::is_leaving`]; otherwise the task that asked last is woken then.
    pub fn poll_leaving(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.is_leaving() {
            return Poll::Ready(());
        }
        store(&self.0.user, cx.waker());
        // It may have been told between the look and the store.
        if self.is_leaving() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until the connection is leaving. Cancel safety: may be dropped and called again.
    pub async fn leaving(&mut self) {
        poll_fn(|cx| self.poll_leaving(cx)).await;
    }
}

/// What a connection and a stream of it that lives elsewhere know of each other.
#[derive(Default)]
pub(super) struct Tie {
    leaving: AtomicBool,
    ended: AtomicBool,
    user: Mutex<Option<Waker>>,
    driver: Mutex<Option<Waker>>,
}

impl Tie {
    /// The task to be woken when the stream has ended.
    pub(super) fn watch(&self, driver: &Waker) {
        store(&self.driver, driver);
    }

    /// Tells the stream's user that the connection leaves.
    pub(super) fn leave(&self) {
        if !self.leaving.swap(true, Release) {
            wake(&self.user);
        }
    }

    /// Whether both halves of the stream were dropped.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }
}

fn store(place: &Mutex<Option<Waker>>, waker: &Waker) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
}

fn wake(place: &Mutex<Option<Waker>>) {
    let waker = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Held by both halves: the stream is in use.
struct Open(Arc<Tie>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.store(true, Release);
        wake(&self.0.driver);
    }
}

/// A stream may be moved to another shard's thread.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Duplex>();
    is_send::<Receiving>();
    is_send::<Sending>();
    is_send::<Carrier>();
};
