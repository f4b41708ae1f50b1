//! A byte stream to a peer: bytes already read, and a closed set of transports beneath.
//!
//! A struct over an enum, not a boxed trait object: the relay must see a plain socket where there is one, or splice
//! would be impossible. `early` is delivered before anything is read. Not here: moving bytes (`relay.rs`).

use bytes::{Buf, Bytes};
use rustls::ProtocolVersion;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Any other transport: TLS over TLS, a test's pipe, later an overlay stream.
pub trait AsyncReadWrite: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> AsyncReadWrite for T {}

/// The transports.
pub enum Io {
    /// Plain TCP: the relay may splice.
    Tcp(TcpStream),
    /// A Unix socket: likewise.
    Unix(UnixStream),
    /// TLS that a client opened to us.
    TlsServer(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS that we opened.
    TlsClient(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// Everything else.
    Dyn(Pin<Box<dyn AsyncReadWrite>>),
    /// Plain TCP that is off the runtime for a moment: nothing on it wakes anybody. See [`Stream::park`].
    Parked(Option<std::net::TcpStream>),
}

/// A stream with the bytes that were read before its owner was known.
pub struct Stream {
    early: Bytes,
    io: Io,
}

impl Stream {
    /// A stream of which nothing was read.
    #[must_use]
    pub const fn new(io: Io) -> Self {
        Self { early: Bytes::new(), io }
    }

    /// A stream whose first bytes were read already.
    #[must_use]
    pub const fn with_early(io: Io, early: Bytes) -> Self {
        Self { early, io }
    }

    /// A stream over plain TCP.
    #[must_use]
    pub const fn tcp(stream: TcpStream) -> Self {
        Self::new(Io::Tcp(stream))
    }

    /// A stream over anything that reads and writes.
    #[must_use]
    pub fn other(io: impl AsyncReadWrite + 'static) -> Self {
        Self::new(Io::Dyn(Box::pin(io)))
    }

    /// Bytes that were read and not yet delivered.
    #[must_use]
    pub const fn early(&self) -> &Bytes {
        &self.early
    }

    /// Puts bytes that were read too far back in front.
    pub fn unread(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut all = Vec::with_capacity(bytes.len() + self.early.len());
        all.extend_from_slice(bytes);
        all.extend_from_slice(&self.early);
        self.early = all.into();
    }

    /// The plain TCP socket, when there is one and no early bytes stand before it.
    #[must_use]
    pub fn plain_tcp(&self) -> Option<&TcpStream> {
        match &self.io {
            Io::Tcp(tcp) if self.early.is_empty() => Some(tcp),
            Io::Tcp(_) | Io::Unix(_) | Io::TlsServer(_) | Io::TlsClient(_) | Io::Dyn(_) | Io::Parked(_) => {
                None
            }
        }
    }

    /// Takes a plain socket off the runtime: until [`Stream::unpark`] nothing that happens on it wakes anybody, and
    /// every poll of this stream is pending. False, and nothing has changed, for any other transport.
    pub(crate) fn park(&mut self) -> bool {
        match std::mem::replace(&mut self.io, Io::Parked(None)) {
            Io::Tcp(tcp) => {
                self.io = Io::Parked(tcp.into_std().ok());
                true
            }
            other => {
                self.io = other;
                false
            }
        }
    }

    /// Brings a parked socket back.
    ///
    /// # Errors
    /// When the runtime does not take it; the connection is then gone.
    pub(crate) fn unpark(&mut self) -> io::Result<()> {
        if let Io::Parked(socket) = &mut self.io {
            let socket = socket.take().ok_or(io::ErrorKind::NotConnected)?;
            self.io = Io::Tcp(TcpStream::from_std(socket)?);
        }
        Ok(())
    }

    /// The TCP socket at the bottom, whatever is above it.
    #[must_use]
    pub fn socket(&self) -> Option<&TcpStream> {
        match &self.io {
            Io::Tcp(tcp) => Some(tcp),
            Io::TlsServer(tls) => Some(tls.get_ref().0),
            Io::TlsClient(tls) => Some(tls.get_ref().0),
            Io::Unix(_) | Io::Dyn(_) | Io::Parked(_) => None,
        }
    }

    /// What TLS has agreed to speak, RFC 7301; none without TLS and where nothing was agreed.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.io {
            Io::TlsServer(tls) => tls.get_ref().1.alpn_protocol(),
            Io::TlsClient(tls) => tls.get_ref().1.alpn_protocol(),
            Io::Tcp(_) | Io::Unix(_) | Io::Dyn(_) | Io::Parked(_) => None,
        }
    }

    /// Whether the bytes travel in TLS 1.3.
    #[must_use]
    pub fn is_tls13(&self) -> bool {
        let version = match &self.io {
            Io::TlsServer(tls) => tls.get_ref().1.protocol_version(),
            Io::TlsClient(tls) => tls.get_ref().1.protocol_version(),
            Io::Tcp(_) | Io::Unix(_) | Io::Dyn(_) | Io::Parked(_) => None,
        };
        version == Some(ProtocolVersion::TLSv1_3)
    }

    /// 32 bytes that only the two ends of this TLS connection know, with an empty context: RFC 8446 section 7.5.
    ///
    /// None without TLS, and below TLS 1.3, where such bytes may be the same on two connections (RFC 7627 section 1).
    #[must_use]
    pub fn exporter(&self, label: &[u8]) -> Option<[u8; 32]> {
        if !self.is_tls13() {
            return None;
        }
        let bytes = match &self.io {
            Io::TlsServer(tls) => tls.get_ref().1.export_keying_material([0; 32], label, Some(&[])),
            Io::TlsClient(tls) => tls.get_ref().1.export_keying_material([0; 32], label, Some(&[])),
            Io::Tcp(_) | Io::Unix(_) | Io::Dyn(_) | Io::Parked(_) => return None,
        };
        bytes.ok()
    }

    /// Takes the stream apart.
    #[must_use]
    pub fn into_parts(self) -> (Io, Bytes) {
        (self.io, self.early)
    }

    /// Address of the peer, when there is a socket that knows.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket().and_then(|socket| socket.peer_addr().ok())
    }

    /// Whether the transport's bytes are the peer's as they are, so that splice may be used.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        matches!(self.io, Io::Tcp(_))
    }

    /// Makes the next close a reset: the peer learns that the stream broke and did not end.
    pub fn reset_on_close(&self) {
        if let Some(socket) = self.socket() {
            // A socket that is already gone needs no reset.
            drop(socket.set_zero_linger());
        }
    }

    /// Reads what is there into `buf`. Ready with nothing added means the peer's end.
    ///
    /// # Errors
    /// As the transport says.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let n = self.early.len().min(buf.len());
            if let Some(to) = buf.get_mut(..n) {
                self.early.copy_to_slice(to);
            }
            if self.early.is_empty() {
                // Emptied, it would keep its memory for as long as the stream lasts.
                self.early = Bytes::new();
            }
            return Poll::Ready(Ok(n));
        }
        let mut buf = ReadBuf::new(buf);
        let result = match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_read(cx, &mut buf),
            Io::Unix(io) => Pin::new(io).poll_read(cx, &mut buf),
            Io::TlsServer(io) => Pin::new(io).poll_read(cx, &mut buf),
            Io::TlsClient(io) => Pin::new(io).poll_read(cx, &mut buf),
            Io::Dyn(io) => io.as_mut().poll_read(cx, &mut buf),
            Io::Parked(_) => Poll::Pending,
        };
        result.map_ok(|()| buf.filled().len())
    }

    /// Writes some of `bytes`.
    ///
    /// # Errors
    /// As the transport says.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_write(cx, bytes),
            Io::Unix(io) => Pin::new(io).poll_write(cx, bytes),
            Io::TlsServer(io) => Pin::new(io).poll_write(cx, bytes),
            Io::TlsClient(io) => Pin::new(io).poll_write(cx, bytes),
            Io::Dyn(io) => io.as_mut().poll_write(cx, bytes),
            Io::Parked(_) => Poll::Pending,
        }
    }

    /// Writes some of several pieces in one call where the transport can.
    ///
    /// # Errors
    /// As the transport says.
    pub fn poll_send_vectored(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_write_vectored(cx, pieces),
            Io::Unix(io) => Pin::new(io).poll_write_vectored(cx, pieces),
            Io::TlsServer(io) => Pin::new(io).poll_write_vectored(cx, pieces),
            Io::TlsClient(io) => Pin::new(io).poll_write_vectored(cx, pieces),
            Io::Dyn(io) => io.as_mut().poll_write_vectored(cx, pieces),
            Io::Parked(_) => Poll::Pending,
        }
    }

    /// Pushes out what a transport holds back (TLS records).
    ///
    /// # Errors
    /// As the transport says.
    pub fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(_) | Io::Unix(_) => Poll::Ready(Ok(())),
            Io::TlsServer(io) => Pin::new(io).poll_flush(cx),
            Io::TlsClient(io) => Pin::new(io).poll_flush(cx),
            Io::Dyn(io) => io.as_mut().poll_flush(cx),
            Io::Parked(_) => Poll::Pending,
        }
    }

    /// Ends our direction; the peer's goes on.
    ///
    /// # Errors
    /// As the transport says.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Io::Unix(io) => Pin::new(io).poll_shutdown(cx),
            Io::TlsServer(io) => Pin::new(io).poll_shutdown(cx),
            Io::TlsClient(io) => Pin::new(io).poll_shutdown(cx),
            Io::Dyn(io) => io.as_mut().poll_shutdown(cx),
            Io::Parked(_) => Poll::Pending,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.initialize_unfilled();
        self.get_mut().poll_fill(cx, room).map_ok(|n| buf.advance(n))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_push(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Shard;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn early_bytes_come_first_and_whole() {
        Shard::test(async |_shard| {
            let (ours, mut theirs) = tokio::io::duplex(64);
            let mut stream = Stream::with_early(Io::Dyn(Box::pin(ours)), Bytes::from_static(b"early "));
            stream.unread(b"very ");
            theirs.write_all(b"late").await.unwrap();
            drop(theirs);
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"very early late");
        });
    }
}
