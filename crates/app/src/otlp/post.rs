//! Posts a batch to the collector: HTTP/1.1 (RFC 9112), one connection a batch, TLS where the URL says `https`.
//!
//! A batch every two seconds at most: a pool would be idle. Every request has a deadline, every answer a longest length.
//! Not here: what is posted (`json.rs`).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use shoalway_net::control_dial;
use shoalway_net::dialer::DialError;
use shoalway_net::resolver::Resolver;
use shoalway_net::tls::{Roots, TlsConfigError, TlsError};
use shoalway_net::tls_client::{TlsClient, TlsClientConfig};
use shoalway_types::Target;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Longest answer that is read: it says how many spans were refused.
const LONGEST: usize = 64 << 10;
/// Longest time of one request.
const PATIENCE: Duration = Duration::from_secs(10);
const PATH: &str = "/v1/traces";
const AGENT: &str = concat!("shoalway/", env!("CARGO_PKG_VERSION"));

/// Where spans go.
pub(super) struct Collector {
    resolver: Resolver,
    tls: Option<TlsClient>,
    /// None: the URL names no host.
    target: Option<Target>,
    authority: String,
    path: String,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("its URL names no host")]
    NoHost,
    #[error("no connection")]
    Dial(#[source] DialError),
    #[error("no TLS with it")]
    Tls(#[source] TlsError),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("no answer after {0:?}")]
    Slow(Duration),
}

impl Collector {
    pub(super) fn new(uri: &Uri, resolver: Resolver) -> Result<Self, TlsConfigError> {
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let target = Target::parse(&authority, Some(if secure { 443 } else { 80 })).ok();
        let config =
            TlsClientConfig { roots: Roots::default(), alpn: vec![b"http/1.1".to_vec()], identity: None };
        let tls = if secure { Some(TlsClient::new(&config)?) } else { None };
        let path = if matches!(uri.path(), "" | "/") { PATH } else { uri.path() };
        Ok(Self { resolver, tls, target, authority, path: path.to_owned() })
    }

    /// Posts one batch.
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<(), PostError> {
        match tokio::time::timeout(PATIENCE, Box::pin(self.unhurried(body))).await {
            Ok(done) => done,
            Err(_elapsed) => Err(PostError::Slow(PATIENCE)),
        }
    }

    async fn unhurried(&self, body: Vec<u8>) -> Result<(), PostError> {
        let target = self.target.as_ref().ok_or(PostError::NoHost)?;
        let deadline = Instant::now() + PATIENCE;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let tcp = control_dial::dial(&self.resolver, target, deadline).await.map_err(PostError::Dial)?;
        let status = match &self.tls {
            None => exchange(tcp, request).await?,
            Some(tls) => {
                let stream = tls.connect(&target.host, tcp, deadline).await.map_err(PostError::Tls)?;
                Box::pin(exchange(stream, request)).await?
            }
        };
        if status.is_success() { Ok(()) } else { Err(PostError::Status(status)) }
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, PostError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // Read so that the collector can finish; what it says beyond its status counts for nothing.
        let _rest = Limited::new(response.into_body(), LONGEST).collect().await;
        Ok(status)
    };
    tokio::pin!(answered);
    // The connection is driven by whoever waits for the answer. When it ends first, the answer is there or never.
    tokio::select! {
        done = &mut answered => done,
        ended = connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error.into()),
        },
    }
}
