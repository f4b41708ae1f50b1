//! A check by gRPC's own protocol: `grpc.health.v1.Health/Check` over HTTP/2, in the clear by prior knowledge or inside TLS.
//!
//! The message is two fields of protobuf and is written and read by hand. The connection is the check's own, and closed
//! after it. Not here: when to check (`checks.rs`), HTTP/2 itself (`http/h2`).

use super::probe::ProbeFailure;
use bytes::{Buf, BytesMut};
use shoalway_http::h2::{H2Upstream, UpstreamScheme};
use shoalway_net::connect::{Connect, ConnectError, Connected, LocalFuture, Session};
use shoalway_net::limits::Limits as NetLimits;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_types::{Host, Target};
use shoalway_wire::http1::body::{BodyReader, Piece};
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::response::ResponseHead;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcProbe {
    service: Box<str>,
}

impl GrpcProbe {
    /// Asks about a service, such as `shop.v1.Orders`; empty: about the server as a whole. At most 127 octets, so that
    /// the length is one octet of protobuf; `None` for more.
    #[must_use]
    pub fn new(service: &str) -> Option<Self> {
        (service.len() < 128).then(|| Self { service: service.into() })
    }

    /// `HealthCheckRequest { string service = 1; }`, behind the prefix of a gRPC message.
    fn message(&self) -> Vec<u8> {
        let mut inner = Vec::new();
        if !self.service.is_empty() {
            inner.extend([0x0a, u8::try_from(self.service.len()).unwrap_or_default()]);
            inner.extend_from_slice(self.service.as_bytes());
        }
        let mut message = vec![0, 0, 0, 0, u8::try_from(inner.len()).unwrap_or_default()];
        message.extend(inner);
        message
    }
}

/// A connection that is there already, for the one who asks first.
struct Given(RefCell<Option<Stream>>);

impl Connect for Given {
    fn connect<'a>(&'a self, _session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        let given = self.0.borrow_mut().take();
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let connected = given.map(|stream| Connected::new(stream, nowhere));
        Box::pin(async move { connected.ok_or_else(|| ConnectError::timeout(Duration::ZERO)) })
    }
}

/// Asks over this connection.
///
/// # Errors
/// [`ProbeFailure`] unless the answer is that it serves.
pub(super) async fn ask(
    probe: &GrpcProbe,
    shard: &Rc<Shard>,
    stream: Stream,
    tls: bool,
    host: &str,
    limit: Duration,
) -> Result<(), ProbeFailure> {
    let scheme = if tls { UpstreamScheme::Https } else { UpstreamScheme::Http };
    let net = NetLimits { upstream_idle: limit, ..NetLimits::default() };
    let given = Rc::new(Given(RefCell::new(Some(stream))));
    let upstream = H2Upstream::new(shard, given, scheme, net, Limits::default());
    let target = Target::new(Host::Ip(Ipv4Addr::UNSPECIFIED.into()), 1);
    let session = Session {
        client: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        user: None,
        isolation: shoalway_net::connect::Isolation::default(),
        target: Rc::new(target),
        limit,
        permit: None,
    };
    let connected = upstream.connect(&session).await.map_err(|_error| ProbeFailure::NoHttp2)?;
    let mut stream = connected.stream;
    let message = probe.message();
    let mut request = format!(
        "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/grpc\r\nTE: trailers\r\n\
         User-Agent: shoalway-health\r\nContent-Length: {}\r\n\r\n",
        message.len()
    )
    .into_bytes();
    request.extend(message);
    let mut rest = request.as_slice();
    while !rest.is_empty() {
        let sent = poll_fn(|cx| stream.poll_send(cx, rest)).await.map_err(ProbeFailure::Broken)?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    poll_fn(|cx| stream.poll_push(cx)).await.map_err(ProbeFailure::Broken)?;
    let answer = read(&mut stream).await?;
    judge(&answer)
}

/// What came back.
#[derive(Debug, Default)]
struct Answer {
    content: Vec<u8>,
    /// `grpc-status`, from the trailers or, where there is nothing else, the head.
    status: Option<u32>,
}

async fn read(stream: &mut Stream) -> Result<Answer, ProbeFailure> {
    let (limits, mut head, mut buf) = (Limits::default(), ResponseHead::new(), BytesMut::new());
    let mut answer = Answer::default();
    let mut body = loop {
        if let Some(end) = head.parse(&buf, &limits, Method::Post).map_err(ProbeFailure::Nonsense)? {
            let view = head.view(&buf);
            let (interim, status, body) = (view.is_interim(), view.status(), view.body());
            answer.status = view.fields().find_map(|field| grpc_status(field.name, field.value));
            buf.advance(end);
            if interim {
                head.clear();
                continue;
            }
            if status != 200 {
                return Err(ProbeFailure::Status(status));
            }
            break BodyReader::new(body, &limits);
        }
        more(stream, &mut buf).await?;
    };
    loop {
        match body.next(&buf).map_err(ProbeFailure::Nonsense)? {
            Piece::NeedBytes => more(stream, &mut buf).await?,
            Piece::Frame(octets) | Piece::Skip(octets) => buf.advance(octets),
            Piece::Data(octets) => answer.content.extend_from_slice(&buf.split_to(octets)),
            Piece::Trailers(octets) => {
                let trailers = buf.split_to(octets);
                let mut lines = trailers.as_ref().split(|byte: &u8| *byte == b'\n').filter_map(|line| {
                    let colon = line.iter().position(|byte| *byte == b':')?;
                    grpc_status(line.get(..colon)?, line.get(colon + 1..)?)
                });
                answer.status = lines.next_back().or(answer.status);
            }
            Piece::Done => return Ok(answer),
        }
    }
}

fn grpc_status(name: &[u8], value: &[u8]) -> Option<u32> {
    let status = name.eq_ignore_ascii_case(b"grpc-status").then_some(value.trim_ascii())?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// `HealthCheckResponse { ServingStatus status = 1; }`, where 1 is SERVING.
fn judge(answer: &Answer) -> Result<(), ProbeFailure> {
    match (answer.status, answer.content.as_slice()) {
        (Some(0), [0, 0, 0, 0, 2, 0x08, 1]) => Ok(()),
        (Some(0), _) => Err(ProbeFailure::NotServing),
        (Some(status), _) => Err(ProbeFailure::Grpc(status)),
        (None, _) => Err(ProbeFailure::Closed),
    }
}

async fn more(stream: &mut Stream, buf: &mut BytesMut) -> Result<(), ProbeFailure> {
    let mut space = [0; 1_024];
    let n = poll_fn(|cx| stream.poll_fill(cx, &mut space)).await.map_err(ProbeFailure::Broken)?;
    let fresh = space.get(..n).filter(|fresh| !fresh.is_empty()).ok_or(ProbeFailure::Closed)?;
    if buf.len() > LONGEST {
        return Err(ProbeFailure::Broken(io::ErrorKind::InvalidData.into()));
    }
    buf.extend_from_slice(fresh);
    Ok(())
}

/// Octets of an answer that are not understood yet.
const LONGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_two_fields_of_protobuf() {
        assert_eq!(GrpcProbe::new("").unwrap().message(), [0; 5]);
        assert_eq!(GrpcProbe::new("a.B").unwrap().message(), b"\0\0\0\0\x05\x0a\x03a.B");
        assert_eq!(GrpcProbe::new(&"x".repeat(128)), None);
    }

    #[test]
    fn only_serving_is_well() {
        for (status, content, wanted) in [
            (Some(0), &b"\0\0\0\0\x02\x08\x01"[..], "ok"),
            (Some(0), b"\0\0\0\0\x02\x08\x02", "not_serving"),
            (Some(0), b"\0\0\0\0\0", "not_serving"),
            (Some(5), b"", "grpc_status"),
            (None, b"\0\0\0\0\x02\x08\x01", "closed"),
        ] {
            let answer = Answer { content: content.to_vec(), status };
            assert_eq!(judge(&answer).as_ref().map_or_else(ProbeFailure::word, |()| "ok"), wanted);
        }
    }
}
