//! A listener with bounds: so many connections at a time, and none that is silent for ever.
//!
//! For the admin port and the control socket alike. Further clients wait in the kernel's queue. Not here: the proxy's
//! own listeners (`net/listener`).

use axum::serve::Listener;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Longest silence of a client; longer than a reload of large lists takes.
const SILENCE: Duration = Duration::from_mins(2);

/// A listener whose connections are counted and timed.
pub(super) struct Bounded<L> {
    inner: L,
    places: Arc<Semaphore>,
}

impl<L> Bounded<L> {
    pub(super) fn new(inner: L) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl<L: Listener + Sync> Listener for Bounded<L>
where
    L::Addr: Sync,
{
    type Io = Timed<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed, so there is always a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (io, addr) = self.inner.accept().await;
        (Timed { io, silence: Box::pin(sleep(SILENCE)), _place: place }, addr)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// A connection that breaks when nothing moves for too long.
pub(super) struct Timed<T> {
    io: T,
    silence: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<T> Timed<T> {
    /// Passes on what happened, or says that the wait is over.
    fn judge<R>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
            return outcome;
        }
        match self.silence.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, buf);
        self.judge(cx, outcome)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buf);
        self.judge(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn timed(io: tokio::io::DuplexStream) -> Timed<tokio::io::DuplexStream> {
        Timed { io, silence: Box::pin(sleep(SILENCE)), _place: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_let_go_and_one_that_speaks_is_not() {
        let (ours, mut theirs) = duplex(64);
        let mut client = timed(ours);
        let mut byte = [0];
        for _ in 0..3 {
            tokio::time::advance(SILENCE.saturating_sub(Duration::from_secs(1))).await;
            theirs.write_all(b"x").await.unwrap();
            client.read_exact(&mut byte).await.unwrap();
        }
        let end = client.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
    }
}
