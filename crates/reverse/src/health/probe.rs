//! One check of one endpoint over the network: TCP connects, HTTP and gRPC (`grpc.rs`) ask and look at the answer.
//!
//! HTTP checks speak HTTP/1.1 (RFC 9112) on a connection of their own, over TLS where the endpoint's scheme is `https`.
//! They bypass pools, breakers and budgets: a check that waits behind traffic measures the wrong thing. UDP endpoints are
//! checked on a TCP port that the probe names, or not at all. Not here: when to check (`checks.rs`).

use super::grpc::GrpcProbe;
use crate::retry::StatusSet;
use crate::stream_plan::ProxyOut;
use crate::upstream::{Address, EndpointKey, Scheme};
use bytes::{Buf, Bytes, BytesMut};
use shoalway_net::dialer::{DialError, Dialer};
use shoalway_net::shard::Shard;
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::TlsError;
use shoalway_net::tls_client::TlsClient;
use shoalway_types::{Failure, Host, Target};
use shoalway_wire::http1::body::{BodyReader, Piece};
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::refusal::Refusal;
use shoalway_wire::http1::response::ResponseHead;
use shoalway_wire::proxy_protocol::{Checksum, Endpoints, encode_v1, encode_v2};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// What is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// How.
    pub kind: ProbeKind,
    /// Another port than that of the endpoint. Default: the endpoint's.
    pub port: Option<u16>,
}

/// How is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// A connection is enough.
    Tcp,
    /// An answer to a request.
    Http(HttpProbe),
    /// The answer of gRPC's own health service.
    Grpc(GrpcProbe),
}

impl Probe {
    /// Whether endpoints of this scheme can be checked so.
    #[must_use]
    pub const fn fits(&self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Http | Scheme::Https | Scheme::H2c | Scheme::Tcp => true,
            Scheme::Udp => self.port.is_some(),
        }
    }
}

/// A GET request and what its answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    path: Box<str>,
    host: Option<Box<str>>,
    expected: StatusSet,
    body: Bytes,
}

impl HttpProbe {
    /// Asks for `path` and expects a status from 200 to 399.
    ///
    /// # Errors
    /// [`ProbeError::Path`] unless it begins with `/` and is printable ASCII without spaces, at most 4,096 octets.
    pub fn new(path: &str) -> Result<Self, ProbeError> {
        if !path.starts_with('/') || path.len() > MAX_PATH || !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ProbeError::Path);
        }
        Ok(Self { path: path.into(), host: None, expected: StatusSet::of(200..400), body: Bytes::new() })
    }

    /// With this `Host` field, not the endpoint's own.
    ///
    /// # Errors
    /// [`ProbeError::Host`] unless it is host and, where wanted, port.
    pub fn with_host(mut self, host: &str) -> Result<Self, ProbeError> {
        Target::parse(host, Some(80)).map_err(|_no_target| ProbeError::Host)?;
        self.host = Some(host.into());
        Ok(self)
    }

    /// With these statuses, not 200 to 399.
    #[must_use]
    pub const fn with_expected(mut self, expected: StatusSet) -> Self {
        self.expected = expected;
        self
    }

    /// With a body that begins with these octets.
    #[must_use]
    pub fn with_body(mut self, beginning: impl Into<Bytes>) -> Self {
        self.body = beginning.into();
        self
    }

    fn request(&self, key: &EndpointKey) -> String {
        let own = match (&key.address, key.scheme) {
            (Address::Net(target), Scheme::Http | Scheme::H2c) if target.port == 80 => {
                target.host.to_string()
            }
            (Address::Net(target), Scheme::Https) if target.port == 443 => target.host.to_string(),
            (Address::Net(target), _) => target.to_string(),
            (Address::Unix(_), _) => "localhost".to_owned(),
        };
        let host = self.host.as_deref().unwrap_or(&own);
        format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: shoalway-health\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            self.path
        )
    }
}

/// Why a probe cannot be made so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No path.
    #[error("a health check's path begins with / and has neither spaces nor characters outside ASCII")]
    Path,
    /// No host.
    #[error("a health check's host is a host name or address, with or without a port")]
    Host,
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeFailure {
    /// No connection.
    #[error("no connection")]
    Dial(#[source] DialError),
    /// No TLS session.
    #[error("no TLS session")]
    Tls(#[source] TlsError),
    /// An `https` endpoint, and the prober was given no TLS.
    #[error("there is no TLS to check with")]
    NoTls,
    /// No result in time.
    #[error("no result after {after:?}")]
    Timeout {
        /// The time that was given.
        after: Duration,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// It ended before the answer did.
    #[error("the connection ended before the answer")]
    Closed,
    /// The answer is not HTTP/1.
    #[error("the answer makes no sense")]
    Nonsense(#[source] Refusal),
    /// Another status than expected.
    #[error("the answer has status {0}")]
    Status(u16),
    /// HTTP/2 is not spoken there.
    #[error("the endpoint does not speak HTTP/2")]
    NoHttp2,
    /// The health service says that it does not serve.
    #[error("the health service says that it does not serve")]
    NotServing,
    /// The health service answered with an error.
    #[error("the health service answered with gRPC status {0}")]
    Grpc(u32),
    /// The body begins otherwise than expected.
    #[error("the answer's body is not the expected one")]
    Body,
}

impl ProbeFailure {
    /// Its stable word for `status`, logs and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Dial(error) => error.word(),
            Self::Tls(error) => error.word(),
            Self::NoTls => "no_tls",
            Self::Timeout { .. } => "timeout",
            Self::Broken(_) => "broken",
            Self::Closed => "closed",
            Self::Nonsense(_) => "nonsense",
            Self::NoHttp2 => "no_http2",
            Self::NotServing => "not_serving",
            Self::Grpc(_) => "grpc_status",
            Self::Status(_) => "status",
            Self::Body => "body",
        }
    }
}

/// Checks endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Prober {
    /// Opens the connections.
    pub dialer: Dialer,
    /// For `https` endpoints.
    pub tls: Option<TlsClient>,
    /// The same, offering HTTP/2: for gRPC.
    pub tls_h2: Option<TlsClient>,
    /// The name certificates must have, when it is not the endpoint's.
    pub sni: Option<Host>,
    /// The PROXY header that connections begin with; a check's says that it speaks for itself. Not on a port that the probe
    /// names, where something else listens.
    pub header: ProxyOut,
}

impl Prober {
    /// Writes the header, where one is due: PROXY protocol, section 2.2 for version 2, 2.1 for the other.
    async fn begin(&self, io: &mut (impl AsyncWrite + Unpin), port: Option<u16>) -> Result<(), ProbeFailure> {
        if port.is_some() {
            return Ok(());
        }
        let mut header = Vec::new();
        match self.header {
            ProxyOut::Off => {}
            ProxyOut::V1 => encode_v1(&Endpoints::Unknown, &mut header),
            ProxyOut::V2(additions) => {
                let checksum = if additions.checksum { Checksum::Crc32c } else { Checksum::Without };
                // Without additions there is nothing that could be too long.
                if encode_v2(&Endpoints::Local, &[], checksum, &mut header).is_err() {
                    header.clear();
                }
            }
        }
        io.write_all(&header).await.map_err(ProbeFailure::Broken)
    }

    /// Checks one endpoint, by gRPC too.
    ///
    /// # Errors
    /// [`ProbeFailure`] says why it did not pass.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn check_on(
        &self,
        shard: &Rc<Shard>,
        key: &EndpointKey,
        probe: &Probe,
        limit: Duration,
    ) -> Result<(), ProbeFailure> {
        let ProbeKind::Grpc(grpc) = &probe.kind else { return self.check(key, probe, limit).await };
        let deadline = Instant::now() + limit;
        let work = Box::pin(self.ask_grpc(shard, key, probe.port, grpc, deadline));
        match timeout_at(deadline, work).await {
            Ok(done) => done,
            Err(_elapsed) => Err(ProbeFailure::Timeout { after: limit }),
        }
    }

    async fn ask_grpc(
        &self,
        shard: &Rc<Shard>,
        key: &EndpointKey,
        port: Option<u16>,
        grpc: &GrpcProbe,
        deadline: Instant,
    ) -> Result<(), ProbeFailure> {
        let limit = deadline.saturating_duration_since(Instant::now());
        let target = match &key.address {
            Address::Unix(path) => {
                let mut unix = self.dialer.dial_unix(path, deadline).await.map_err(ProbeFailure::Dial)?;
                self.begin(&mut unix, None).await?;
                return super::grpc::ask(grpc, shard, Stream::new(Io::Unix(unix)), false, "localhost", limit)
                    .await;
            }
            Address::Net(target) => Target::new(target.host.clone(), port.unwrap_or(target.port)),
        };
        let mut dialed = self.dialer.dial_configured(&target, deadline).await.map_err(ProbeFailure::Dial)?;
        self.begin(&mut dialed.stream, port).await?;
        let tls = key.scheme == Scheme::Https;
        let stream = if tls {
            let client = self.tls_h2.as_ref().ok_or(ProbeFailure::NoTls)?;
            let host = self.sni.as_ref().unwrap_or(&target.host);
            let stream = client.connect(host, dialed.stream, deadline).await.map_err(ProbeFailure::Tls)?;
            Stream::new(Io::TlsClient(Box::new(stream)))
        } else {
            Stream::tcp(dialed.stream)
        };
        super::grpc::ask(grpc, shard, stream, tls, &target.to_string(), limit).await
    }

    /// Checks one endpoint by what needs no shard: of gRPC only that there is a connection.
    ///
    /// # Errors
    /// [`ProbeFailure`] says why it did not pass.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn check(&self, key: &EndpointKey, probe: &Probe, limit: Duration) -> Result<(), ProbeFailure> {
        let deadline = Instant::now() + limit;
        match timeout_at(deadline, Box::pin(self.run(key, probe, deadline))).await {
            Ok(done) => done,
            Err(_elapsed) => Err(ProbeFailure::Timeout { after: limit }),
        }
    }

    async fn run(&self, key: &EndpointKey, probe: &Probe, deadline: Instant) -> Result<(), ProbeFailure> {
        let target = match &key.address {
            Address::Unix(path) => {
                let mut stream = self.dialer.dial_unix(path, deadline).await.map_err(ProbeFailure::Dial)?;
                self.begin(&mut stream, None).await?;
                return ask(stream, key, probe).await;
            }
            Address::Net(target) => Target::new(target.host.clone(), probe.port.unwrap_or(target.port)),
        };
        let mut dialed = self.dialer.dial_configured(&target, deadline).await.map_err(ProbeFailure::Dial)?;
        self.begin(&mut dialed.stream, probe.port).await?;
        match (key.scheme, &probe.kind) {
            (Scheme::Https, ProbeKind::Http(_)) => {
                let tls = self.tls.as_ref().ok_or(ProbeFailure::NoTls)?;
                let host = self.sni.as_ref().unwrap_or(&target.host);
                let stream = tls.connect(host, dialed.stream, deadline).await.map_err(ProbeFailure::Tls)?;
                ask(stream, key, probe).await
            }
            (Scheme::Https | Scheme::Http | Scheme::H2c | Scheme::Tcp | Scheme::Udp, _) => {
                ask(dialed.stream, key, probe).await
            }
        }
    }
}

async fn ask(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    key: &EndpointKey,
    probe: &Probe,
) -> Result<(), ProbeFailure> {
    let http = match &probe.kind {
        ProbeKind::Tcp | ProbeKind::Grpc(_) => return Ok(()),
        ProbeKind::Http(http) => http,
    };
    io.write_all(http.request(key).as_bytes()).await.map_err(ProbeFailure::Broken)?;
    let mut answer = Answer { io, buf: BytesMut::with_capacity(READ) };
    let body = answer.head(http).await?;
    answer.begins_with(&http.body, body).await
}

/// An answer on its way in.
struct Answer<S> {
    io: S,
    buf: BytesMut,
}

impl<S: AsyncRead + Unpin> Answer<S> {
    /// Reads the head and looks at its status; what is buffered then is body.
    async fn head(&mut self, http: &HttpProbe) -> Result<BodyReader, ProbeFailure> {
        let (limits, mut head) = (Limits::default(), ResponseHead::new());
        loop {
            match head.parse(&self.buf, &limits, Method::Get).map_err(ProbeFailure::Nonsense)? {
                Some(end) => {
                    let view = head.view(&self.buf);
                    let (interim, status, body) = (view.is_interim(), view.status(), view.body());
                    self.buf.advance(end);
                    if interim {
                        head.clear();
                        continue;
                    }
                    if !http.expected.contains(status) {
                        return Err(ProbeFailure::Status(status));
                    }
                    return Ok(BodyReader::new(body, &limits));
                }
                None => self.more().await?,
            }
        }
    }

    /// Compares the beginning of the body; no more of it is read.
    async fn begins_with(&mut self, wanted: &[u8], mut body: BodyReader) -> Result<(), ProbeFailure> {
        let mut wanted = wanted;
        while !wanted.is_empty() {
            match body.next(&self.buf).map_err(ProbeFailure::Nonsense)? {
                Piece::NeedBytes => self.more().await?,
                Piece::Frame(octets) | Piece::Skip(octets) => self.buf.advance(octets),
                Piece::Data(octets) => {
                    let data = self.buf.split_to(octets);
                    let common = data.len().min(wanted.len());
                    wanted = match (data.get(..common), wanted.split_at_checked(common)) {
                        (Some(data), Some((begin, rest))) if data == begin => rest,
                        _ => return Err(ProbeFailure::Body),
                    };
                }
                Piece::Trailers(_) | Piece::Done => return Err(ProbeFailure::Body),
            }
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<(), ProbeFailure> {
        self.buf.reserve(READ);
        match self.io.read_buf(&mut self.buf).await.map_err(ProbeFailure::Broken)? {
            0 => Err(ProbeFailure::Closed),
            _ => Ok(()),
        }
    }
}

/// Longest path of a check.
const MAX_PATH: usize = 4_096;
/// What is read at once; answers to checks are small.
const READ: usize = 4_096;

#[cfg(test)]
pub(crate) use tests::prober as test_prober;

#[cfg(test)]
mod tests;
