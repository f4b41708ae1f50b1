//! What stands behind the server: a service that answers 200, by an upstream in memory.

use shoalway_http::answer::Answer;
use shoalway_http::pool::{Pool, UpstreamKey};
use shoalway_http::service::{Failed, Next, Service, Settled, Tunnel};
use shoalway_net::connect::{Connect, ConnectError, Connected, Isolation, LocalFuture, Session};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_types::{Host, Target};
use shoalway_wire::http1::body::{BodyReader, Piece};
use shoalway_wire::http1::compose::{Edits, RequestLine};
use shoalway_wire::http1::hop_by_hop::{Switch, mark};
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::{RequestHead, RequestView};
use shoalway_wire::http1::response::ResponseView;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Octets of the answer to `/large`.
pub(crate) const LARGE: usize = 100_000;

pub(crate) struct Answers(pub(crate) Rc<Shard>);

struct Opens(Rc<Shard>);

impl Connect for Opens {
    fn connect<'a>(&'a self, _session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        let (ours, theirs) = duplex(1 << 16);
        self.0.tasks().spawn(async move { drop(serve(theirs).await) });
        let addr = SocketAddr::from(([192, 0, 2, 1], 80));
        Box::pin(async move { Ok(Connected { stream: Stream::other(ours), addr, local: addr }) })
    }
}

/// Answers one request after the other, each when it has come whole.
async fn serve(mut stream: DuplexStream) -> std::io::Result<()> {
    let mut input = Vec::new();
    loop {
        let mut head = RequestHead::new();
        let length = loop {
            match head.parse(&input, &Limits::default()) {
                Ok(Some(length)) => break length,
                Ok(None) if stream.read_buf(&mut input).await? > 0 => {}
                Ok(None) | Err(_) => return Ok(()),
            }
        };
        let bytes: Vec<u8> = input.drain(..length).collect();
        let view = head.view(&bytes);
        if view.raw_target() == b"/hold" {
            return std::future::pending().await;
        }
        let mut body = BodyReader::new(view.body(), &Limits::default());
        loop {
            let octets = match body.next(&input) {
                Ok(Piece::Done) => break,
                Ok(Piece::NeedBytes) if stream.read_buf(&mut input).await? > 0 => 0,
                Ok(Piece::Data(n) | Piece::Frame(n) | Piece::Skip(n) | Piece::Trailers(n)) => n,
                Ok(Piece::NeedBytes) | Err(_) => return Ok(()),
            };
            input.drain(..octets);
        }
        let content = match view.raw_target() {
            b"/large" => vec![b'x'; LARGE],
            _ => b"answer".to_vec(),
        };
        let begin = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
        stream.write_all(begin.as_bytes()).await?;
        if view.method() != Method::Head {
            stream.write_all(&content).await?;
        }
    }
}

fn target() -> Target {
    Target::new(Host::parse("origin.example").unwrap(), 80)
}

impl Service for Answers {
    fn decide(&mut self, shard: &Rc<Shard>, _request: RequestView<'_>) -> Next {
        let pool = shard.local(Pool::default);
        let upstream = pool.upstream(shard, &UpstreamKey { way: 0, target: target() });
        Next::Upstream { upstream, connect: Rc::new(Opens(Rc::clone(&self.0))), line: RequestLine::Origin }
    }

    fn session(&self) -> Session {
        Session {
            client: SocketAddr::from(([127, 0, 0, 1], 1)),
            isolation: Isolation::default(),
            target: Rc::new(target()),
            limit: Duration::from_secs(10),
            user: None,
            permit: None,
        }
    }

    fn permits(&self, _addr: SocketAddr) -> bool {
        true
    }

    fn edit_request(&mut self, request: RequestView<'_>, edits: &mut Edits) {
        mark(&request, edits, Switch::Drop);
    }

    fn edit_response(&mut self, response: ResponseView<'_>, edits: &mut Edits) {
        mark(&response, edits, Switch::Drop);
    }

    fn failed(&mut self, _request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        Answer::plain(failure.status(), "text/plain", failure.word())
    }

    fn settle(&mut self, _shard: &Rc<Shard>, _request: Option<RequestView<'_>>, _settled: &Settled) {}

    fn tunnel(self: Box<Self>, _shard: &Rc<Shard>, _tunnel: Tunnel) {}
}
