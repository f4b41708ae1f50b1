//! A large file as an upstream of its own: to the engine it is a connection that answers with the file.
//!
//! So bodies of any length take the one way that has limits, lengths and pace, and hold one chunk in memory each. What is
//! written to it, the request, is dropped. Chunks are read on the blocking pool; when that has too much to do, on the
//! shard, which is better than a broken download. Never kept: its head says so. Not here: what the head says (`files.rs`).

use shoalway_net::connect::{Connect, ConnectError, ConnectErrorKind, Connected, LocalFuture, Session};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that are read at once.
const CHUNK: usize = 256 << 10;

/// A part of a file, and the head that goes before it.
pub(crate) struct FilePart {
    pub(super) head: Vec<u8>,
    pub(super) file: File,
    pub(super) from: u64,
    pub(super) length: u64,
}

/// A way that ends at a part of a file, once.
pub(crate) struct FileWay {
    shard: Rc<Shard>,
    part: RefCell<Option<FilePart>>,
}

impl FileWay {
    pub(crate) fn new(shard: &Rc<Shard>, part: FilePart) -> Rc<Self> {
        Rc::new(Self { shard: Rc::clone(shard), part: RefCell::new(Some(part)) })
    }
}

impl Connect for FileWay {
    fn connect<'a>(&'a self, _session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        let part = self.part.borrow_mut().take();
        Box::pin(async move {
            let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let gone =
                || ConnectError::new(ConnectErrorKind::Local, "proxy_internal_error", "the file was read");
            let FilePart { head, file, from, length } = part.ok_or_else(gone)?;
            let stream = FileStream {
                shard: Rc::clone(&self.shard),
                chunk: head,
                given: 0,
                file: Arc::new(file),
                from,
                left: length,
                reading: None,
            };
            Ok(Connected::new(Stream::other(stream), addr))
        })
    }
}

struct FileStream {
    shard: Rc<Shard>,
    /// The head at first, then a chunk after the other.
    chunk: Vec<u8>,
    /// Octets of the chunk that were given away.
    given: usize,
    file: Arc<File>,
    from: u64,
    left: u64,
    reading: Option<LocalFuture<'static, io::Result<Vec<u8>>>>,
}

impl FileStream {
    /// The next chunk; an empty one at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reading.is_none() {
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK);
            if length == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut chunk = std::mem::take(&mut self.chunk);
            chunk.resize(length, 0);
            let (shard, file, from) = (Rc::clone(&self.shard), Arc::clone(&self.file), self.from);
            self.reading = Some(Box::pin(read(shard, file, from, chunk)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(Ok(())) };
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        self.chunk = read?;
        self.given = 0;
        self.from += self.chunk.len() as u64;
        self.left = self.left.saturating_sub(self.chunk.len() as u64);
        Poll::Ready(Ok(()))
    }
}

async fn read(shard: Rc<Shard>, file: Arc<File>, from: u64, chunk: Vec<u8>) -> io::Result<Vec<u8>> {
    let length = chunk.len();
    let elsewhere = Arc::clone(&file);
    match shard.blocking().run(move || fill(&elsewhere, from, chunk)).await {
        Ok(read) => read,
        Err(_busy) => fill(&file, from, vec![0; length]),
    }
}

/// A file that has become shorter since its length was told is an error: the client must not take it for whole.
fn fill(file: &File, from: u64, mut chunk: Vec<u8>) -> io::Result<Vec<u8>> {
    file.read_exact_at(&mut chunk, from)?;
    Ok(chunk)
}

impl AsyncRead for FileStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.given == this.chunk.len() || this.reading.is_some() {
            if this.left == 0 && this.reading.is_none() {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_chunk(cx))?;
        }
        let rest = this.chunk.get(this.given..).unwrap_or_default();
        let length = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..length).unwrap_or_default());
        this.given += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FileStream {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
