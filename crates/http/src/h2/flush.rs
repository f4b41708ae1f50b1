//! The byte stream under an HTTP/2 connection: frames gather here and leave together.
//!
//! The `h2` crate flushes after each DATA frame (hyperium/h2#902), which would be a system call and a TLS record per 16
//! KiB, or per small answer. [`LazyFlush`] takes up to 64 KiB and says that it was flushed; the driver of the connection
//! flushes once after each of its turns. Reading goes through a pooled buffer, so that an idle connection owns none and
//! nothing is zeroed, and past the [`Scanner`]. Not here: what the frames mean.

use super::claim::TlsExporter;
use super::flood::Scanner;
use h2::Reason;
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Length of the client's preface, RFC 9113 section 3.4.
const PREFACE: usize = 24;
/// Octets that may gather before they are sent.
const GATHER: usize = Class::Large.bytes();

/// The stream, shared by the crate's connection and the driver.
pub(super) struct Wire {
    shard: Rc<Shard>,
    began: Instant,
    inner: RefCell<Inner>,
    /// Frames wait for room.
    blocked: Cell<bool>,
    fault: Cell<Option<Reason>>,
}

struct Inner {
    stream: Stream,
    scanner: Scanner,
    input: Option<Buffer>,
    output: Option<Buffer>,
    class: Class,
    /// Octets of a client's preface that are still to come, and no frame.
    preface: usize,
}

impl Wire {
    /// Over a stream from a client, which sends its preface first.
    pub(super) fn of_client(shard: &Rc<Shard>, stream: Stream) -> Rc<Self> {
        Self::new(shard, stream, Scanner::of_client(), PREFACE)
    }

    /// Over a stream to a server.
    pub(super) fn of_server(shard: &Rc<Shard>, stream: Stream) -> Rc<Self> {
        Self::new(shard, stream, Scanner::default(), 0)
    }

    fn new(shard: &Rc<Shard>, stream: Stream, scanner: Scanner, preface: usize) -> Rc<Self> {
        let inner = Inner { stream, scanner, input: None, output: None, class: Class::Small, preface };
        Rc::new(Self {
            shard: Rc::clone(shard),
            began: shard.now(),
            inner: RefCell::new(inner),
            blocked: Cell::new(false),
            fault: Cell::new(None),
        })
    }

    /// Whether the frames travel in TLS 1.3 that has agreed on HTTP/2.
    pub(super) fn is_tls13_h2(&self) -> bool {
        let inner = self.inner.borrow();
        inner.stream.is_tls13() && inner.stream.alpn() == Some(b"h2")
    }

    /// Why the peer's frames are not read any more, if they are not.
    pub(super) fn fault(&self) -> Option<Reason> {
        self.fault.get()
    }

    /// How many header blocks have come before the one that is not whole, if there is one.
    pub(super) fn unfinished_head(&self) -> Option<u64> {
        self.inner.borrow().scanner.unfinished_head()
    }

    /// Whether the peer's first frame, its SETTINGS, has come.
    pub(super) fn has_settings(&self) -> bool {
        self.inner.borrow().scanner.has_first()
    }

    /// Sends what has gathered. `Ok(true)`: frames had waited for room, which there is now.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_send_all(cx))?;
        ready!(inner.stream.poll_push(cx))?;
        Poll::Ready(Ok(self.blocked.replace(false)))
    }

    /// Sends what has gathered and ends our direction.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_send_all(cx))?;
        ready!(inner.stream.poll_push(cx))?;
        inner.stream.poll_end(cx)
    }

    /// Reads and drops. Ready with the number of octets; 0 is the peer's end.
    pub(super) fn poll_drop(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut inner = self.inner.borrow_mut();
        inner.input = None;
        let mut buffer = self.shard.buffers().take(Class::Small);
        inner.stream.poll_fill(cx, buffer.space())
    }

    fn poll_read(&self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        if inner.input.is_none() {
            if self.fault.get().is_some() {
                // The driver has been told, and ends the connection in this turn.
                return Poll::Pending;
            }
            ready!(self.fill(&mut inner, cx))?;
        }
        if let Some(mut input) = inner.input.take() {
            let octets = input.len().min(to.remaining());
            to.put_slice(input.filled().get(..octets).unwrap_or_default());
            input.consume(octets);
            inner.input = (!input.is_empty()).then_some(input);
        }
        Poll::Ready(Ok(()))
    }

    fn fill(&self, inner: &mut Inner, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = self.shard.buffers().take(inner.class);
        let room = buffer.space().len();
        let octets = ready!(inner.stream.poll_fill(cx, buffer.space()))?;
        buffer.commit(octets);
        if octets == room {
            inner.class = inner.class.larger().min(Class::Large);
        }
        let before = inner.preface.min(octets);
        inner.preface -= before;
        let frames = buffer.filled().get(before..).unwrap_or_default();
        let age = self.shard.now().saturating_duration_since(self.began);
        let (good, fault) = inner.scanner.look(frames, age);
        buffer.truncate(before + good);
        self.fault.set(fault);
        if fault.is_some() && buffer.is_empty() {
            return Poll::Pending;
        }
        inner.input = (!buffer.is_empty()).then_some(buffer);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut inner = self.inner.borrow_mut();
        if inner.output.as_ref().is_some_and(|output| output.len() >= GATHER) {
            match inner.poll_send_all(cx) {
                Poll::Pending => {
                    self.blocked.set(true);
                    return Poll::Pending;
                }
                Poll::Ready(sent) => sent?,
            }
        }
        let mut output = match inner.output.take() {
            Some(output) => output,
            None => self.shard.buffers().take(Class::Small),
        };
        let octets = gather(&mut output, pieces);
        inner.scanner.sent(octets);
        inner.output = Some(output);
        Poll::Ready(Ok(octets))
    }
}

impl TlsExporter for Wire {
    fn export(&self, label: &[u8]) -> Option<[u8; 32]> {
        self.inner.borrow().stream.exporter(label)
    }
}

/// Copies as much as the buffer may hold.
fn gather(output: &mut Buffer, pieces: &[IoSlice<'_>]) -> usize {
    let mut octets = 0;
    for piece in pieces {
        let room = GATHER.saturating_sub(output.len()).min(piece.len());
        let mut rest = piece.get(..room).unwrap_or_default();
        octets += rest.len();
        while !rest.is_empty() && output.make_room() {
            let copied = output.append(rest);
            rest = rest.get(copied..).unwrap_or_default();
        }
    }
    octets
}

impl Inner {
    fn poll_send_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(output) = &mut self.output {
            if output.is_empty() {
                self.output = None;
                break;
            }
            match ready!(self.stream.poll_send(cx, output.filled()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                octets => output.consume(octets),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What the `h2` crate reads from and writes to.
pub(super) struct LazyFlush(pub(super) Rc<Wire>);

impl AsyncRead for LazyFlush {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, to)
    }
}

impl AsyncWrite for LazyFlush {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Not now: the driver flushes when the turn is over.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_end(cx)
    }
}
