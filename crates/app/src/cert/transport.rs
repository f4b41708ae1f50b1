//! Carries an ACME client's requests: HTTP/1.1 over TLS (RFC 8555 section 6.1), one connection a request.
//!
//! An order is a dozen requests a quarter: a pool would be idle. Resolver and trust are the program's own. Answers have
//! a longest length and every request a deadline. Not here: what is asked and answered (instant-acme, `order`).

use bytes::Bytes;
use http::header::{HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use shoalway_net::control_dial;
use shoalway_net::dialer::DialError;
use shoalway_net::resolver::Resolver;
use shoalway_net::tls::{Roots, TlsConfigError, TlsError};
use shoalway_net::tls_client::{TlsClient, TlsClientConfig};
use shoalway_types::Target;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Longest answer: a chain of certificates is some kilobytes.
const LONGEST: usize = 1 << 20;
/// Longest time of one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// RFC 8555 section 6.1 wants the name of the client.
const AGENT: &str = concat!("shoalway/", env!("CARGO_PKG_VERSION"));

/// Makes requests. Cheap to clone; clones share what was heard last.
#[derive(Clone)]
pub(super) struct Transport {
    resolver: Resolver,
    tls: TlsClient,
    retry_after: Arc<Mutex<Option<SystemTime>>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("{0} is no https URL")]
    NotHttps(String),
    #[error("{}", inner_most(.0))]
    Dial(#[source] DialError),
    #[error("{}", inner_most(.0))]
    Tls(#[source] TlsError),
    #[error("{}", inner_most(.0))]
    Http(#[source] hyper::Error),
    #[error("{0}")]
    Body(String),
    #[error("no answer after {0:?}")]
    Slow(Duration),
}

impl Transport {
    /// Reads files when the roots are the system's.
    pub(super) fn new(resolver: Resolver, roots: Roots) -> Result<Self, TlsConfigError> {
        let config = TlsClientConfig { roots, alpn: vec![b"http/1.1".to_vec()], identity: None };
        Ok(Self { resolver, tls: TlsClient::new(&config)?, retry_after: Arc::default() })
    }

    /// What the last answer with an error said about when to come again (RFC 9110 section 10.2.3).
    pub(super) fn retry_after(&self) -> Option<SystemTime> {
        *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, req: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, TransportError> {
        match tokio::time::timeout(PATIENCE, self.unhurried(req)).await {
            Ok(done) => done,
            Err(_elapsed) => Err(TransportError::Slow(PATIENCE)),
        }
    }

    async fn unhurried(&self, mut req: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, TransportError> {
        let target = target(req.uri()).ok_or_else(|| TransportError::NotHttps(req.uri().to_string()))?;
        let deadline = Instant::now() + PATIENCE;
        let tcp =
            control_dial::dial(&self.resolver, &target, deadline).await.map_err(TransportError::Dial)?;
        let stream = self.tls.connect(&target.host, tcp, deadline).await.map_err(TransportError::Tls)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(TransportError::Http)?;
        prepare(&mut req);
        let answered = async {
            let response = sender.send_request(req).await.map_err(TransportError::Http)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await;
            let body = body.map_err(|error| TransportError::Body(error.to_string()))?.to_bytes();
            Ok((parts, body))
        };
        tokio::pin!(answered);
        // The connection is driven by whoever waits for the answer. When it ends first, the answer is there or never.
        let done = tokio::select! {
            done = &mut answered => done,
            ended = connection => match ended {
                Ok(()) => answered.await,
                Err(error) => Err(TransportError::Http(error)),
            },
        };
        let (parts, body) = done?;
        if !parts.status.is_success() {
            let heard = retry_after(&parts.headers, SystemTime::now());
            *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        req: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            Box::pin(this.exchange(req)).await.map_err(|error| instant_acme::Error::Other(Box::new(error)))
        })
    }
}

fn target(uri: &Uri) -> Option<Target> {
    if uri.scheme() != Some(&Scheme::HTTPS) {
        return None;
    }
    Target::parse(uri.authority()?.as_str(), Some(443)).ok()
}

/// Origin form with a `Host` (RFC 9112 section 3.2.1).
fn prepare(req: &mut Request<BodyWrapper<Bytes>>) {
    let host = req.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    let path = req.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).parse();
    if let (Some(host), Ok(path)) = (host, path) {
        req.headers_mut().insert(HOST, host);
        *req.uri_mut() = path;
    }
    req.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
        Err(_no_number) => httpdate::parse_http_date(text).ok(),
    }
}

/// What lies at the bottom of an error says most in one line.
fn inner_most(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_spoken() {
        for (text, wanted) in [
            ("https://ca.example/directory", Some("ca.example:443")),
            ("https://127.0.0.1:14000/dir", Some("127.0.0.1:14000")),
            ("https://[::1]:14000/dir", Some("[::1]:14000")),
            ("http://ca.example/directory", None),
            ("/directory", None),
        ] {
            let found = target(&text.parse().unwrap()).map(|target| target.to_string());
            assert_eq!(found.as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn the_time_to_come_again_is_read_in_both_forms() {
        let now = super::super::moment(1_000_000_000);
        for (text, wanted) in [
            ("120", Some(1_000_000_120)),
            ("Fri, 20 Nov 2026 11:30:00 GMT", Some(1_795_174_200)),
            ("soon", None),
            ("-5", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), wanted.map(super::super::moment), "{text}");
        }
    }
}
