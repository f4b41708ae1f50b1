//! A stream of a circuit as a byte stream: what a relay between a client, or a destination, and the overlay works on.
//!
//! Reading gives credit back as bytes are taken; writing takes what the windows permit and waits for the rest. Dropped
//! before both directions have ended, it resets the stream. Not here: opening (`circuit`).

use super::Port;
use crate::time;
use bytes::{Buf, Bytes, BytesMut};
use shoalway_overlay_proto::circuit::terms::{ResetCode, StreamId};
use shoalway_overlay_proto::link::dir::DirGet;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes taken from one write: the record that carries them holds no more.
const PIECE: usize = 16_313;

/// Pieces that wait are joined up to this.
const JOINED: usize = 4_096;

/// What is known of a stream between the machine and whoever uses it.
#[derive(Default)]
pub(super) struct StreamState {
    pub(super) open: bool,
    received: VecDeque<Bytes>,
    fin: bool,
    reset: Option<ResetCode>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl StreamState {
    pub(super) fn opened(&mut self) {
        self.open = true;
        self.wake();
    }

    pub(super) fn writable(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Bytes came, or the answer to a question, of which there is one at a time. The other end cuts bytes as it likes,
    /// and a window counts nothing else: small pieces are joined, or a window of single bytes would cost fifty times
    /// its size.
    pub(super) fn data(&mut self, bytes: Bytes) {
        match self.received.back_mut().filter(|last| last.len() + bytes.len() <= JOINED) {
            Some(last) => {
                let mut joined = BytesMut::from(std::mem::take(last));
                joined.extend_from_slice(&bytes);
                *last = joined.freeze();
            }
            None => self.received.push_back(bytes),
        }
        self.wake_reader();
    }

    /// Ready when the stream was reset.
    pub(super) fn poll_gone(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.reset.is_some() {
            return Poll::Ready(());
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn fin(&mut self) {
        self.fin = true;
        self.wake_reader();
    }

    pub(super) fn reset(&mut self, code: ResetCode) {
        self.reset.get_or_insert(code);
        self.wake();
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake(&mut self) {
        self.wake_reader();
        self.writable();
    }
}

/// A stream that somebody uses.
pub struct StreamPort {
    port: Rc<Port>,
    stream: StreamId,
    /// Our direction has ended.
    finished: bool,
    /// The other one has, and was read to its end.
    drained: bool,
    /// Why it ends when it is dropped before that.
    farewell: Rc<Cell<ResetCode>>,
}

impl StreamPort {
    pub(super) fn new(port: &Rc<Port>, stream: StreamId) -> Self {
        Self {
            port: Rc::clone(port),
            stream,
            finished: false,
            drained: false,
            farewell: Rc::new(Cell::new(ResetCode::Cancelled)),
        }
    }

    /// The circuit it is of.
    #[must_use]
    pub const fn port(&self) -> &Rc<Port> {
        &self.port
    }

    /// Which stream.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.stream
    }

    /// What the other end is told when this is dropped before both directions have ended. Default: cancelled.
    #[must_use]
    pub fn farewell(&self) -> Rc<Cell<ResetCode>> {
        Rc::clone(&self.farewell)
    }

    /// Ends the stream in both directions, telling the other end why.
    pub fn reset(mut self, code: ResetCode) {
        (self.finished, self.drained) = (true, true);
        self.forget();
        self.port.with(|end| end.reset(self.stream, code));
    }

    /// Client: asks for a part of the exit's directory, on a stream to it.
    pub fn ask_directory(&mut self, get: DirGet) {
        let stream = self.stream;
        self.port.with(|end| end.dir_get(stream, get));
    }

    /// The answer to [`StreamPort::ask_directory`], whole; empty when the exit has none. None when the stream ended.
    pub async fn directory_answer(&mut self) -> Option<Bytes> {
        poll_fn(|cx| {
            self.look(|state| match state.received.pop_front() {
                Some(answer) => Poll::Ready(Some(answer)),
                None if state.reset.is_some() || state.fin => Poll::Ready(None),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
            .unwrap_or(Poll::Ready(None))
        })
        .await
    }

    /// Waits until the exit has connected.
    pub(super) async fn opened(&self) -> Result<(), ResetCode> {
        poll_fn(|cx| {
            self.look(|state| match state.reset {
                Some(code) => Poll::Ready(Err(code)),
                None if state.open => Poll::Ready(Ok(())),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
            .unwrap_or(Poll::Ready(Err(ResetCode::CircuitLost)))
        })
        .await
    }

    fn look<T>(&self, look: impl FnOnce(&mut StreamState) -> T) -> Option<T> {
        self.port.streams.borrow_mut().get_mut(&self.stream).map(look)
    }

    fn forget(&self) {
        self.port.streams.borrow_mut().remove(&self.stream);
    }

    fn gone(&self) -> Option<ResetCode> {
        self.look(|state| state.reset).unwrap_or(Some(ResetCode::CircuitLost))
    }
}

/// What a reset looks like to whoever reads or writes.
fn broken(code: ResetCode) -> io::Error {
    let kind = match code {
        ResetCode::DestinationReset | ResetCode::Cancelled => io::ErrorKind::ConnectionReset,
        ResetCode::CircuitLost
        | ResetCode::NameNotFound
        | ResetCode::DnsFailed
        | ResetCode::Refused
        | ResetCode::Unreachable
        | ResetCode::TimedOut
        | ResetCode::Policy
        | ResetCode::Limit
        | ResetCode::NotSupported => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, code.text())
}

impl AsyncRead for StreamPort {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = self.look(|state| {
            let mut taken = 0;
            while buf.remaining() > 0
                && let Some(first) = state.received.front_mut()
            {
                let count = first.len().min(buf.remaining());
                buf.put_slice(first.get(..count).unwrap_or_default());
                first.advance(count);
                taken += count;
                if first.is_empty() {
                    state.received.pop_front();
                }
            }
            if taken > 0 || buf.remaining() == 0 {
                return Poll::Ready(Ok(taken));
            }
            match state.reset {
                Some(code) => Poll::Ready(Err(broken(code))),
                None if state.fin => Poll::Ready(Ok(0)),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        });
        match std::task::ready!(taken.unwrap_or(Poll::Ready(Err(broken(ResetCode::CircuitLost))))) {
            Ok(0) => {
                self.drained |= buf.remaining() > 0;
                Poll::Ready(Ok(()))
            }
            Ok(taken) => {
                let stream = self.stream;
                self.port.with(|end| end.consumed(stream, taken, time::moment()));
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for StreamPort {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(code) = self.gone() {
            return Poll::Ready(Err(broken(code)));
        }
        let stream = self.stream;
        let room = self.port.end.borrow_mut().room(stream);
        if room == 0 {
            self.look(|state| state.writer = Some(cx.waker().clone()));
            return Poll::Pending;
        }
        let count = buf.len().min(room);
        let taken = self.port.with(|end| {
            let mut taken = 0;
            for piece in buf.get(..count).unwrap_or_default().chunks(PIECE) {
                taken += end.send(stream, &mut Bytes::copy_from_slice(piece));
            }
            taken
        });
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            self.finished = true;
            let stream = self.stream;
            self.port.with(|end| end.fin(stream));
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for StreamPort {
    fn drop(&mut self) {
        let held: usize = self.look(|state| state.received.iter().map(Bytes::len).sum()).unwrap_or(0);
        self.forget();
        let (stream, over) = (self.stream, self.finished && self.drained);
        let farewell = self.farewell.get();
        self.port.with(|end| {
            if held > 0 {
                end.consumed(stream, held, time::moment());
            }
            if !over {
                end.reset(stream, farewell);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_come_one_by_one_wait_in_few_pieces_and_in_order() {
        let mut state = StreamState::default();
        let sent: Vec<u8> = (0..50_000_u32).map(|n| n.to_be_bytes()[3]).collect();
        sent.iter().for_each(|byte| state.data(Bytes::copy_from_slice(&[*byte])));
        assert!(state.received.len() <= sent.len() / JOINED + 1, "{} pieces", state.received.len());
        assert_eq!(state.received.make_contiguous().concat(), sent);
        // A long piece is handed on as it is, without a copy.
        let long = Bytes::from(vec![7; 16_000]);
        state.data(long.clone());
        assert_eq!(state.received.back().map(|last| last.as_ptr()), Some(long.as_ptr()));
    }
}
