//! A client of the `h2` crate, a service that sends everything to one upstream, and upstreams that the test plays.

use crate::answer::Answer;
use crate::h1::ServerConfig;
use crate::h2::{Form, ServerH2};
use crate::pool::{Pool, UpstreamKey};
use crate::service::{Failed, Next, Service, Settled, Tunnel};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use shoalway_net::admission::Admitted;
use shoalway_net::connect::{
    Connect, ConnectError, ConnectErrorKind, Connected, Isolation, LocalFuture, Session,
};
use shoalway_net::relay::relay;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_types::{Host, Target};
use shoalway_wire::http1::compose::{Edits, RequestLine};
use shoalway_wire::http1::hop_by_hop::{Switch, mark};
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Longest wait of a test; time is paused, so that it costs nothing.
pub(super) const LONG: Duration = Duration::from_secs(300);

/// What the service saw, shared with the test.
#[derive(Default)]
pub(super) struct Log {
    pub(super) outcomes: RefCell<Vec<(u16, &'static str)>>,
    upstreams: RefCell<VecDeque<DuplexStream>>,
    pub(super) connects: RefCell<usize>,
}

impl Log {
    /// The next connection to the upstream ends here.
    pub(super) fn upstream(&self) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 16);
        self.upstreams.borrow_mut().push_back(ours);
        theirs
    }
}

/// Opens what the log has in store.
pub(super) struct Opens(pub(super) Rc<Log>);

impl Connect for Opens {
    fn connect<'a>(&'a self, _session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        *self.0.connects.borrow_mut() += 1;
        let next = self.0.upstreams.borrow_mut().pop_front();
        Box::pin(async move {
            let addr = SocketAddr::from(([192, 0, 2, 1], 80));
            match next {
                Some(stream) => Ok(Connected { stream: Stream::other(stream), addr, local: addr }),
                None => Err(ConnectError::new(ConnectErrorKind::Refused, "connection_refused", "refused")),
            }
        })
    }
}

pub(super) fn session() -> Session {
    Session {
        client: SocketAddr::from(([127, 0, 0, 1], 1)),
        isolation: Isolation::default(),
        target: Rc::new(Target::new(Host::parse("origin.example").unwrap(), 80)),
        limit: Duration::from_secs(10),
        user: None,
        permit: None,
    }
}

struct ToOne {
    log: Rc<Log>,
    connect: Rc<dyn Connect>,
}

impl Service for ToOne {
    fn decide(&mut self, shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        let connect = Rc::clone(&self.connect);
        if request.method() == Method::Connect {
            return Next::Tunnel(connect);
        }
        let pool = shard.local(Pool::default);
        let target = Target::new(Host::parse("origin.example").unwrap(), 80);
        let upstream = pool.upstream(shard, &UpstreamKey { way: 0, target });
        Next::Upstream { upstream, connect, line: RequestLine::Origin }
    }

    fn session(&self) -> Session {
        session()
    }

    fn permits(&self, _addr: SocketAddr) -> bool {
        true
    }

    fn edit_request(&mut self, request: RequestView<'_>, edits: &mut Edits) {
        let switch = if request.upgrade().is_some() { Switch::Pass } else { Switch::Drop };
        mark(&request, edits, switch);
    }

    fn edit_response(&mut self, response: ResponseView<'_>, edits: &mut Edits) {
        let switch = if response.status() == 101 { Switch::Pass } else { Switch::Drop };
        mark(&response, edits, switch);
    }

    fn failed(&mut self, _request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        Answer::plain(failure.status(), "text/plain", failure.word())
    }

    fn settle(&mut self, _shard: &Rc<Shard>, _request: Option<RequestView<'_>>, settled: &Settled) {
        self.log.outcomes.borrow_mut().push((settled.status, settled.outcome));
    }

    fn tunnel(self: Box<Self>, shard: &Rc<Shard>, tunnel: Tunnel) {
        let own = Rc::clone(shard);
        shard.tasks().spawn(async move {
            let deadline = own.deadline();
            relay(&own, tunnel.client, tunnel.upstream, &deadline, Duration::from_secs(60)).await;
        });
    }
}

/// A connection to the server under test, over a pipe in memory.
pub(super) struct Client {
    pub(super) log: Rc<Log>,
    pub(super) send: SendRequest<Bytes>,
    /// The server has ended the connection; with the error, if there was one.
    pub(super) ended: Rc<RefCell<Option<Option<h2::Error>>>>,
}

impl Client {
    pub(super) async fn new(shard: &Rc<Shard>) -> Self {
        Self::with(shard, ServerConfig::default(), None).await
    }

    /// With other limits, or another way to the upstream.
    pub(super) async fn with(
        shard: &Rc<Shard>,
        config: ServerConfig,
        connect: Option<(Rc<Log>, Rc<dyn Connect>)>,
    ) -> Self {
        let (ours, theirs) = duplex(1 << 16);
        let log = serve(shard, config, connect, ours);
        let (send, connection) = h2::client::Builder::new()
            .initial_connection_window_size(1 << 20)
            .handshake(theirs)
            .await
            .unwrap();
        let ended = Rc::new(RefCell::new(None));
        let told = Rc::clone(&ended);
        shard.tasks().spawn(async move {
            let result = connection.await;
            *told.borrow_mut() = Some(result.err());
        });
        // The server's SETTINGS say what it allows.
        let mut send = send.ready().await.unwrap();
        while !send.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
            send = send.ready().await.unwrap();
        }
        Self { log, send, ended }
    }

    /// Sends a request of which nothing follows.
    pub(super) fn get(&mut self, path: &str) -> ResponseFuture {
        let request = Request::get(format!("https://a.example{path}")).body(()).unwrap();
        self.send.send_request(request, true).unwrap().0
    }

    /// Begins a request with content.
    pub(super) fn post(&mut self, fields: &[(&'static str, &str)]) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::post("https://a.example/p");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        self.send.send_request(request.body(()).unwrap(), false).unwrap()
    }

    pub(super) fn outcomes(&self) -> Vec<(u16, &'static str)> {
        self.log.outcomes.borrow().clone()
    }
}

/// Runs the server under test on one end of a pipe.
pub(super) fn serve(
    shard: &Rc<Shard>,
    config: ServerConfig,
    connect: Option<(Rc<Log>, Rc<dyn Connect>)>,
    stream: DuplexStream,
) -> Rc<Log> {
    let (log, connect) = connect.unwrap_or_else(|| {
        let log = Rc::new(Log::default());
        let opens: Rc<dyn Connect> = Rc::new(Opens(Rc::clone(&log)));
        (log, opens)
    });
    let seen = Rc::clone(&log);
    let make = Box::new(move || -> Box<dyn Service> {
        Box::new(ToOne { log: Rc::clone(&seen), connect: Rc::clone(&connect) })
    });
    let stream = Stream::other(stream);
    let config = Rc::new(config);
    let admitted = Admitted::uncounted();
    shard.tasks().spawn(ServerH2::new(Rc::clone(shard), config, stream, Form::Origin, make, admitted));
    log
}

/// Waits, but not for ever.
pub(super) async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(LONG, work).await.expect("nothing happens any more")
}

/// The next bytes are exactly these.
pub(super) async fn expect(stream: &mut DuplexStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    let mut got = 0;
    while got < bytes.len() {
        match soon(stream.read(&mut bytes[got..])).await.unwrap() {
            0 => panic!("the end after {:?}", String::from_utf8_lossy(&bytes[..got])),
            n => got += n,
        }
        let (have, want) = (&bytes[..got], &text.as_bytes()[..got]);
        assert!(have == want, "\n{}\nis not\n{text}", String::from_utf8_lossy(have));
    }
}

pub(super) async fn send(stream: &mut DuplexStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// An answer as one text: status, fields in order, content, trailers.
pub(super) async fn whole(response: ResponseFuture) -> String {
    let response = soon(response).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let head = shown(&Response::from_parts(parts, ()));
    let (content, trailers) = soon(content(body)).await.expect("whole content");
    let trailers = trailers.map(|fields| format!(" + {}", listed(&fields))).unwrap_or_default();
    format!("{head} | {}{trailers}", String::from_utf8_lossy(&content))
}

pub(super) fn shown(response: &Response<()>) -> String {
    format!("{} {}", response.status().as_u16(), listed(response.headers()))
}

fn listed(fields: &HeaderMap) -> String {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}={}", String::from_utf8_lossy(value.as_bytes()))
    };
    fields.iter().map(line).collect::<Vec<_>>().join(" ")
}

/// All content of a message, and its trailers; credit is given back as it comes.
pub(super) async fn content(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok((all, body.trailers().await?))
}

pub(super) const GOT: &str = "GET /a HTTP/1.1\r\nhost: a.example\r\n\r\n";
