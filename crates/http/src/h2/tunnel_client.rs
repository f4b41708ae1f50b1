//! A visitor's HTTP/2 connection to a site: ordinary requests, and an extended CONNECT that becomes raw bytes.
//!
//! RFC 9113, RFC 8441 sections 3 to 5. One connection, one site, `https`. The server's SETTINGS are waited for before
//! anything is sent: they say whether tunnels are taken. A refused tunnel is an ordinary answer, whose content the caller
//! reads or drops as a browser would. Not here: TLS (`net/tls_client`), what the fields say, what the bytes mean.

mod driver;

use self::driver::{Driver, Shared};
use super::duplex::{Carrier, Duplex, DuplexError, Receiving, Tie};
use super::flush::{LazyFlush, Wire};
use super::settings;
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Fields of a request, in the order they are sent. Names in lower case.
pub type Fields<'a> = &'a [(&'a str, &'a [u8])];

/// Why there is no tunnel, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// What is to be asked cannot be said in HTTP/2.
    #[error("the request has no form in HTTP/2")]
    Request,
    /// Not done within this time.
    #[error("no answer within {after:?}")]
    Timeout {
        /// The time that was given.
        after: Duration,
    },
    /// The connection broke, the server ended it, or it reset the stream.
    #[error("the connection or the stream broke")]
    Broken(#[source] DuplexError),
    /// The server does not take tunnels: SETTINGS_ENABLE_CONNECT_PROTOCOL is not 1.
    #[error("the server takes no extended CONNECT")]
    NotOffered,
    /// The server answered, but not with 200.
    #[error("the server answered with {}", .0.status)]
    Refused(Refusal),
}

/// An answer that opens no tunnel.
pub struct Refusal {
    /// Its status, 100 to 999.
    pub status: u16,
    /// Its fields, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    body: Receiving,
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refusal").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Refusal {
    /// Reads the content: up to `limit` octets, and whether that is all. Dropping the refusal instead cancels the stream.
    ///
    /// # Errors
    /// [`DuplexError`] when it breaks off.
    pub async fn read(mut self, limit: usize) -> Result<(Bytes, bool), DuplexError> {
        read(&mut self.body, limit).await
    }
}

/// An answer to an ordinary request.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its status, 100 to 999.
    pub status: u16,
    /// Its fields, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Its content, as far as it was asked for.
    pub body: Bytes,
    /// Whether that is all of it; the rest was cancelled.
    pub is_whole: bool,
}

/// A tunnel that stands.
pub struct Tunnel {
    /// Its bytes.
    pub duplex: Duplex,
    /// Tells when the server ends the connection.
    pub carrier: Carrier,
}

/// What [`open_tunnel`] asks for.
pub struct TunnelRequest<'a> {
    /// `:authority`.
    pub authority: &'a str,
    /// `:path`.
    pub path: &'a str,
    /// All other fields.
    pub fields: Fields<'a>,
    /// How long the server may take for its SETTINGS, and again for its answer.
    pub patience: Duration,
}

/// Opens a tunnel as the first thing on a connection. The visit keeps the connection open for more requests; without it,
/// it lasts as long as the tunnel.
///
/// # Errors
/// [`TunnelError`]
pub async fn open_tunnel(
    shard: &Rc<Shard>,
    stream: Stream,
    request: &TunnelRequest<'_>,
) -> Result<(Visit, Tunnel), TunnelError> {
    let mut visit = Visit::begin(shard, stream, request.authority, request.patience).await?;
    let tunnel = visit.open_tunnel(request.path, request.fields).await?;
    Ok((visit, tunnel))
}

/// A connection to a site. Its frames are moved by a task of the shard; dropping it ends the connection in good order
/// once its streams have ended.
pub struct Visit {
    send: SendRequest<Bytes>,
    authority: Authority,
    patience: Duration,
    shared: Rc<Shared>,
}

impl Visit {
    /// Begins on a stream that has agreed on HTTP/2, and waits for the server's SETTINGS. `patience` is how long these
    /// may take, and later each answer.
    ///
    /// # Errors
    /// [`TunnelError`], but none that an answer gives.
    pub async fn begin(
        shard: &Rc<Shard>,
        stream: Stream,
        authority: &str,
        patience: Duration,
    ) -> Result<Self, TunnelError> {
        let authority = Authority::try_from(authority).map_err(|_bad| TunnelError::Request)?;
        let wire = Wire::of_server(shard, stream);
        let handshake = settings::visitor().handshake(LazyFlush(Rc::clone(&wire)));
        let (send, connection) = handshake.await.map_err(|error| broken(&error))?;
        let shared = Shared::new(send.clone());
        shard.tasks().spawn(Driver::new(wire, connection, &shared));
        // From here on a drop ends the connection.
        let visit = Self { send, authority, patience, shared };
        match timeout(patience, visit.shared.settled()).await {
            Ok(true) => Ok(visit),
            Ok(false) => Err(TunnelError::Broken(DuplexError::Gone)),
            Err(_late) => Err(TunnelError::Timeout { after: patience }),
        }
    }

    /// Whether the server takes tunnels.
    #[must_use]
    pub fn takes_tunnels(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    /// Asks for a page, and reads its content up to `limit` octets.
    ///
    /// # Errors
    /// [`TunnelError`], but no refusal: every status is an answer.
    pub async fn get(&mut self, path: &str, fields: Fields<'_>, limit: usize) -> Result<Page, TunnelError> {
        let request = self.request(Method::GET, path, fields)?;
        let work = async {
            let mut send = self.send.clone().ready().await.map_err(|error| broken(&error))?;
            let (answer, _ended) = send.send_request(request, true).map_err(|error| broken(&error))?;
            let (status, fields, body) = taken_apart(answer.await.map_err(|error| broken(&error))?);
            let (body, is_whole) =
                read(&mut Receiving::of_answer(body), limit).await.map_err(TunnelError::Broken)?;
            Ok(Page { status, fields, body, is_whole })
        };
        self.in_time(work).await
    }

    /// Opens a tunnel: CONNECT with `:protocol` `websocket`, which has to be answered with 200. Bytes are then the
    /// stream's own, without frames of RFC 6455.
    ///
    /// # Errors
    /// [`TunnelError`]
    pub async fn open_tunnel(&mut self, path: &str, fields: Fields<'_>) -> Result<Tunnel, TunnelError> {
        if !self.takes_tunnels() {
            return Err(TunnelError::NotOffered);
        }
        let mut request = self.request(Method::CONNECT, path, fields)?;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let work = async {
            let mut send = self.send.clone().ready().await.map_err(|error| broken(&error))?;
            let (answer, sending) = send.send_request(request, false).map_err(|error| broken(&error))?;
            let answer = answer.await.map_err(|error| broken(&error))?;
            if answer.status() == StatusCode::OK {
                return Ok((answer.into_body(), sending));
            }
            let (status, fields, body) = taken_apart(answer);
            Err(TunnelError::Refused(Refusal { status, fields, body: Receiving::of_answer(body) }))
        };
        let (receiving, sending) = self.in_time(work).await?;
        let tie = Arc::new(Tie::default());
        self.shared.tie(&tie);
        Ok(Tunnel { duplex: Duplex::new(&tie, receiving, sending), carrier: Carrier::new(&tie) })
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, TunnelError>>) -> Result<T, TunnelError> {
        let late = |_late| Err(TunnelError::Timeout { after: self.patience });
        timeout(self.patience, work).await.unwrap_or_else(late)
    }

    fn request(&self, method: Method, path: &str, fields: Fields<'_>) -> Result<Request<()>, TunnelError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_bad| TunnelError::Request)?);
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_bad| TunnelError::Request)?;
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_bad| TunnelError::Request)?;
            let value = HeaderValue::from_bytes(value).map_err(|_bad| TunnelError::Request)?;
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.shared.forsake();
    }
}

fn taken_apart(answer: Response<RecvStream>) -> (u16, Vec<(String, Vec<u8>)>, RecvStream) {
    let (parts, body) = answer.into_parts();
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
    (parts.status.as_u16(), parts.headers.iter().map(field).collect(), body)
}

/// Reads up to `limit` octets, and says whether that is all.
async fn read(body: &mut Receiving, limit: usize) -> Result<(Bytes, bool), DuplexError> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        // NO_ERROR after a whole answer means no fault: RFC 9113 section 8.1.
        let chunk = match chunk {
            Err(DuplexError::Reset(code)) if code == u32::from(Reason::NO_ERROR) => break,
            other => other?,
        };
        let room = limit - all.len();
        if chunk.len() > room {
            all.extend_from_slice(chunk.get(..room).unwrap_or_default());
            return Ok((all.freeze(), false));
        }
        all.extend_from_slice(&chunk);
        body.release(chunk.len());
    }
    Ok((all.freeze(), true))
}

fn broken(error: &h2::Error) -> TunnelError {
    TunnelError::Broken(DuplexError::of(error))
}
