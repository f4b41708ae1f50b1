//! Opens connections to one endpoint: TCP or a Unix socket, with TLS where it is spoken.
//!
//! The endpoint is the operator's, so neither the egress guard nor rules are asked; who the client is plays no part.
//! While a connection is being opened its request counts as waiting (`breaker::Bound::Pending`). Not here: HTTP/2.

use super::backends::wait_in_line;
use crate::site_plan::Backend;
use crate::upstream::{Address, EndpointKey, Scheme};
use shoalway_net::connect::{Connect, ConnectError, ConnectErrorKind, Connected, LocalFuture, Session};
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::TlsError;
use shoalway_net::tls_client::TlsClient;
use shoalway_types::Host;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A worker for one endpoint.
pub(super) struct EndpointConnect {
    backend: Arc<Backend>,
    key: EndpointKey,
    tls: Option<TlsClient>,
    limit: Duration,
    /// A PROXY header, which each connection begins with; almost always empty.
    header: Box<[u8]>,
}

impl EndpointConnect {
    /// `tls` is for `https`.
    pub(super) fn new(
        backend: &Arc<Backend>,
        key: &EndpointKey,
        tls: Option<&TlsClient>,
        limit: Duration,
    ) -> Rc<Self> {
        let header = Box::default();
        Rc::new(Self { backend: Arc::clone(backend), key: key.clone(), tls: tls.cloned(), limit, header })
    }

    /// One whose connections speak HTTP/1.1 and begin with this header.
    pub(super) fn told(
        backend: &Arc<Backend>,
        key: &EndpointKey,
        limit: Duration,
        header: Box<[u8]>,
    ) -> Rc<Self> {
        let tls = backend.tls_older.as_ref().or(backend.tls.as_ref()).cloned();
        Rc::new(Self { backend: Arc::clone(backend), key: key.clone(), tls, limit, header })
    }

    /// Writes the header. A fresh connection takes so few bytes at once, or it is broken.
    async fn begin(&self, io: &mut (impl AsyncWrite + Unpin), deadline: Instant) -> Result<(), ConnectError> {
        if self.header.is_empty() {
            return Ok(());
        }
        match timeout_at(deadline, io.write_all(&self.header)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let detail = format!("the PROXY header was not taken: {error}");
                Err(ConnectError::new(ConnectErrorKind::Reset, "connection_terminated", detail))
            }
            Err(_late) => Err(ConnectError::timeout(self.limit)),
        }
    }

    async fn open(&self, limit: Duration) -> Result<Connected, ConnectError> {
        let _waiting = wait_in_line(&self.backend.upstream)?;
        let deadline = Instant::now() + limit;
        match &self.key.address {
            Address::Unix(path) => self.open_unix(path, deadline).await,
            Address::Net(target) => {
                let mut dialed = self.backend.dialer.dial_configured(target, deadline).await?;
                self.begin(&mut dialed.stream, deadline).await?;
                let stream = match self.key.scheme {
                    Scheme::Https => self.secure(&target.host, dialed.stream, deadline).await?,
                    Scheme::Http | Scheme::H2c | Scheme::Tcp | Scheme::Udp => Stream::tcp(dialed.stream),
                };
                Ok(Connected::new(stream, dialed.addr))
            }
        }
    }

    async fn open_unix(&self, path: &Path, deadline: Instant) -> Result<Connected, ConnectError> {
        let mut stream = self.backend.dialer.dial_unix(path, deadline).await?;
        self.begin(&mut stream, deadline).await?;
        let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Ok(Connected::new(Stream::new(Io::Unix(stream)), addr))
    }

    async fn secure(&self, host: &Host, tcp: TcpStream, deadline: Instant) -> Result<Stream, ConnectError> {
        let Some(tls) = &self.tls else {
            let detail = "there is no TLS configuration for this endpoint";
            return Err(ConnectError::new(ConnectErrorKind::Tls, "proxy_configuration_error", detail));
        };
        let name = self.backend.tls_name.as_ref().unwrap_or(host);
        let stream = tls.connect(name, tcp, deadline).await.map_err(|error| tls_failed(&error))?;
        Ok(Stream::new(Io::TlsClient(Box::new(stream))))
    }
}

fn tls_failed(error: &TlsError) -> ConnectError {
    ConnectError::new(ConnectErrorKind::Tls, error.proxy_status(), error.to_string())
}

impl Connect for EndpointConnect {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(self.open(self.limit.min(session.limit)))
    }
}
