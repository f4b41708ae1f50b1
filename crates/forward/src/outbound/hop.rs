//! The connection to an upstream proxy, and talking on it until it hands over.
//!
//! The proxy's own name is resolved here; guard and rules do not apply to it, since the operator named it.

use bytes::BytesMut;
use shoalway_net::connect::{ConnectError, ConnectErrorKind, Connected};
use shoalway_net::dialer::Dialer;
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::{TlsError, TlsFault};
use shoalway_net::tls_client::TlsClient;
use shoalway_types::Target;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// A connection to an upstream proxy.
pub(super) struct Hop {
    pub(super) stream: Stream,
    pub(super) addr: SocketAddr,
    /// What it sent and nobody has read yet.
    pub(super) buf: BytesMut,
}

impl Hop {
    /// Connects to the proxy, with TLS when there is a client for it.
    pub(super) async fn open(
        dialer: &Dialer,
        proxy: &Target,
        tls: Option<&TlsClient>,
        deadline: Instant,
    ) -> Result<Self, ConnectError> {
        let dialed = dialer.dial_configured(proxy, deadline).await?;
        let addr = dialed.addr;
        let stream = match tls {
            None => Stream::tcp(dialed.stream),
            Some(tls) => {
                let handshake = tls.connect(&proxy.host, dialed.stream, deadline).await;
                Stream::new(Io::TlsClient(Box::new(handshake.map_err(|error| no_tls(&error))?)))
            }
        };
        Ok(Self { stream, addr, buf: BytesMut::new() })
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        self.stream.write_all(bytes).await.map_err(|error| gone(&error))?;
        self.stream.flush().await.map_err(|error| gone(&error))
    }

    pub(super) async fn read(&mut self) -> Result<(), ConnectError> {
        match self.stream.read_buf(&mut self.buf).await {
            Ok(0) => Err(gone(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(gone(&error)),
        }
    }

    /// The proxy has handed over: what is left in the buffer came from the target.
    pub(super) fn hand_over(mut self) -> Connected {
        self.stream.unread(&self.buf);
        Connected::new(self.stream, self.addr)
    }
}

/// All of what opens a way, within the session's limit.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match timeout_at(Instant::now() + limit, work).await {
        Ok(done) => done,
        Err(_elapsed) => Err(ConnectError::timeout(limit)),
    }
}

/// The proxy said no, or what is none of its words.
pub(super) fn refused(kind: ConnectErrorKind, word: &'static str, text: String) -> ConnectError {
    ConnectError::new(kind, word, text)
}

fn no_tls(error: &TlsError) -> ConnectError {
    let late = matches!(error.fault(), TlsFault::Timeout { .. });
    let kind = if late { ConnectErrorKind::Timeout } else { ConnectErrorKind::Tls };
    ConnectError::new(kind, error.proxy_status(), format!("TLS with the upstream proxy failed: {error}"))
}

fn gone(error: &io::Error) -> ConnectError {
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the upstream proxy closed the connection",
        _ => "the connection to the upstream proxy broke",
    };
    ConnectError::new(ConnectErrorKind::Reset, "connection_terminated", text)
}
