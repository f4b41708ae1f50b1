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
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A worker for one endpoint.
pub(super) struct EndpointConnect {
    backend: Arc<Backend>,
    key: EndpointKey,
    tls: Option<TlsClient>,
    limit: Duration,
}

impl EndpointConnect {
    /// `tls` is for `https`.
    pub(super) fn new(
        backend: &Arc<Backend>,
        key: &EndpointKey,
        tls: Option<&TlsClient>,
        limit: Duration,
    ) -> Rc<Self> {
        Rc::new(Self { backend: Arc::clone(backend), key: key.clone(), tls: tls.cloned(), limit })
    }

    async fn open(&self, limit: Duration) -> Result<Connected, ConnectError> {
        let _waiting = wait_in_line(&self.backend.upstream)?;
        let deadline = Instant::now() + limit;
        match &self.key.address {
            Address::Unix(path) => self.open_unix(path, deadline).await,
            Address::Net(target) => {
                let dialed = self.backend.dialer.dial_configured(target, deadline).await?;
                let stream = match self.key.scheme {
                    Scheme::Https => self.secure(&target.host, dialed.stream, deadline).await?,
                    Scheme::Http | Scheme::H2c | Scheme::Tcp | Scheme::Udp => Stream::tcp(dialed.stream),
                };
                Ok(Connected::new(stream, dialed.addr))
            }
        }
    }

    async fn open_unix(&self, path: &Path, deadline: Instant) -> Result<Connected, ConnectError> {
        let stream = self.backend.dialer.dial_unix(path, deadline).await?;
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
