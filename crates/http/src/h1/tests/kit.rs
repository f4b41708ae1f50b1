//! A client, a service that sends everything to one upstream, and upstreams that the test plays itself.

use crate::answer::Answer;
use crate::filter::{BodyFilter, FilterFailed};
use crate::h1::{ServerConfig, ServerConnection};
use crate::pool::{Pool, Upstream, UpstreamKey};
use crate::service::{Attempt, Failed, Hedged, Next, Service, Settled, Tunnel};
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
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// What the service saw and said, shared with the test.
#[derive(Default)]
pub(super) struct Log {
    pub(super) outcomes: RefCell<Vec<(u16, &'static str)>>,
    pub(super) bytes: RefCell<Vec<(u64, u64)>>,
    upstreams: RefCell<VecDeque<DuplexStream>>,
    pub(super) connects: RefCell<usize>,
    /// How many more attempts the service grants.
    pub(super) again: RefCell<usize>,
    /// After how long the service hedges, and how often it may.
    pub(super) hedges: Cell<Option<(Duration, usize)>>,
    /// What became of second tries.
    pub(super) hedged: RefCell<Vec<&'static str>>,
    /// Whether answers go through a filter.
    pub(super) filters: Cell<bool>,
    /// Counted up whenever somebody else has had a turn.
    pub(super) turn: Cell<usize>,
    /// The turn of the last piece that a filter was given, and how much it was given in that turn.
    in_turn: Cell<(usize, usize)>,
    /// The most that a filter was given in one turn.
    pub(super) most_in_a_turn: Cell<usize>,
    /// A filter fails at content with this octet.
    pub(super) poison: Cell<Option<u8>>,
}

/// Keeps content until it is flushed, and then puts it between brackets; at the end there is a full stop.
struct Brackets {
    log: Rc<Log>,
    held: Vec<u8>,
}

impl BodyFilter for Brackets {
    fn take(&mut self, content: &[u8], _out: &mut Vec<u8>) -> Result<(), FilterFailed> {
        let (turn, given) = self.log.in_turn.get();
        let now = self.log.turn.get();
        let given = content.len() + if turn == now { given } else { 0 };
        self.log.in_turn.set((now, given));
        self.log.most_in_a_turn.set(self.log.most_in_a_turn.get().max(given));
        if self.log.poison.get().is_some_and(|poison| content.contains(&poison)) {
            return Err(FilterFailed);
        }
        self.held.extend_from_slice(content);
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), FilterFailed> {
        out.push(b'[');
        out.append(&mut self.held);
        out.push(b']');
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), FilterFailed> {
        self.flush(out)?;
        out.push(b'.');
        Ok(())
    }
}

struct Opens(Rc<Log>);

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

struct ToOne {
    log: Rc<Log>,
    admitted: Option<Admitted>,
}

impl ToOne {
    fn upstream(&self, shard: &Rc<Shard>) -> Rc<Upstream> {
        let pool = shard.local(Pool::default);
        let target = Target::new(Host::parse("origin.example").unwrap(), 80);
        pool.upstream(shard, &UpstreamKey { way: 0, target })
    }
}

impl Service for ToOne {
    fn decide(&mut self, shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        let connect: Rc<dyn Connect> = Rc::new(Opens(Rc::clone(&self.log)));
        if request.method() == Method::Connect {
            return Next::Tunnel(connect);
        }
        Next::Upstream { upstream: self.upstream(shard), connect, line: RequestLine::Origin }
    }

    fn session(&self) -> Session {
        Session {
            client: SocketAddr::from(([127, 0, 0, 1], 1)),
            isolation: Isolation::default(),
            target: Rc::new(Target::new(Host::parse("origin.example").unwrap(), 80)),
            limit: Duration::from_secs(10),
            user: None,
            permit: None,
        }
    }

    fn permits(&self, _addr: SocketAddr) -> bool {
        true
    }

    fn edit_request(&mut self, request: RequestView<'_>, edits: &mut Edits) {
        let wanted = request.upgrade().is_some_and(|protocol| protocol != b"unwanted");
        let switch = if wanted { Switch::Pass } else { Switch::Drop };
        mark(&request, edits, switch);
    }

    fn edit_response(&mut self, response: ResponseView<'_>, edits: &mut Edits) {
        let switch = if response.status() == 101 { Switch::Pass } else { Switch::Drop };
        mark(&response, edits, switch);
    }

    fn filter_response(
        &mut self,
        _shard: &Rc<Shard>,
        _request: RequestView<'_>,
        _response: ResponseView<'_>,
        edits: &mut Edits,
    ) -> Option<Box<dyn BodyFilter>> {
        if !self.log.filters.get() {
            return None;
        }
        edits.add(b"X-Filtered", b"yes");
        Some(Box::new(Brackets { log: Rc::clone(&self.log), held: Vec::new() }))
    }

    fn failed(&mut self, _request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        Answer::plain(failure.status(), "text/plain", failure.word())
    }

    fn rejects(&self, response: ResponseView<'_>) -> Option<Failed> {
        (response.status() == 407).then_some(Failed::UpstreamClosed)
    }

    fn again(
        &mut self,
        shard: &Rc<Shard>,
        _request: RequestView<'_>,
        attempt: Attempt<'_>,
    ) -> Option<(Rc<Upstream>, Rc<dyn Connect>)> {
        let unwanted = match attempt {
            Attempt::Failed { .. } => true,
            Attempt::Answered(answer) => answer.status() == 503,
        };
        let left = *self.log.again.borrow();
        if !unwanted || left == 0 {
            return None;
        }
        *self.log.again.borrow_mut() = left - 1;
        Some((self.upstream(shard), Rc::new(Opens(Rc::clone(&self.log)))))
    }

    fn hedge_after(&self) -> Option<Duration> {
        self.log.hedges.get().map(|(after, _)| after)
    }

    fn hedge(
        &mut self,
        shard: &Rc<Shard>,
        _request: RequestView<'_>,
    ) -> Option<(Rc<Upstream>, Rc<dyn Connect>)> {
        let (after, left) = self.log.hedges.get()?;
        self.log.hedges.set(Some((after, left.checked_sub(1)?)));
        Some((self.upstream(shard), Rc::new(Opens(Rc::clone(&self.log)))))
    }

    fn hedge_over(&mut self, ended: Hedged<'_>) {
        self.log.hedged.borrow_mut().push(match ended {
            Hedged::Won => "won",
            Hedged::Lost => "lost",
            Hedged::Failed(_) => "failed",
            Hedged::Alone(_) => "alone",
        });
    }

    fn keeps_uploads(&self) -> bool {
        true
    }

    fn settle(&mut self, _shard: &Rc<Shard>, _request: Option<RequestView<'_>>, settled: &Settled) {
        self.log.outcomes.borrow_mut().push((settled.status, settled.outcome));
        self.log.bytes.borrow_mut().push((settled.bytes_up, settled.bytes_down));
    }

    fn tunnel(self: Box<Self>, shard: &Rc<Shard>, tunnel: Tunnel) {
        let own = Rc::clone(shard);
        shard.tasks().spawn(async move {
            let deadline = own.deadline();
            let idle = Duration::from_secs(60);
            relay(&own, tunnel.client, tunnel.upstream, &deadline, idle).await;
            drop(self.admitted);
        });
    }
}

/// One connection under test.
pub(super) struct Wire {
    pub(super) client: Peer,
    pub(super) log: Rc<Log>,
}

impl Wire {
    /// A connection to the server under test, with default limits.
    pub(super) fn new(shard: &Rc<Shard>) -> Self {
        Self::with(shard, ServerConfig::default())
    }

    pub(super) fn with(shard: &Rc<Shard>, config: ServerConfig) -> Self {
        let log = Rc::new(Log::default());
        let (ours, theirs) = duplex(1 << 16);
        let service = Box::new(ToOne { log: Rc::clone(&log), admitted: None });
        let stream = Stream::other(ours);
        let connection =
            ServerConnection::new(Rc::clone(shard), Rc::new(config), stream, service, Admitted::uncounted());
        shard.tasks().spawn(connection);
        Self { client: Peer(theirs), log }
    }

    /// The next connection that the server opens ends here.
    pub(super) fn upstream(&self) -> Peer {
        let (ours, theirs) = duplex(1 << 16);
        self.log.upstreams.borrow_mut().push_back(ours);
        Peer(theirs)
    }

    pub(super) fn outcomes(&self) -> Vec<(u16, &'static str)> {
        self.log.outcomes.borrow().clone()
    }
}

/// The test's end of a stream.
pub(super) struct Peer(DuplexStream);

impl Peer {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next bytes are exactly these.
    #[track_caller]
    pub(super) fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let mut bytes = vec![0; text.len()];
            let mut got = 0;
            while got < bytes.len() {
                let wait = tokio::time::timeout(Duration::from_secs(300), self.0.read(&mut bytes[got..]));
                match wait.await {
                    Ok(Ok(n)) if n > 0 => got += n,
                    other => panic!("{place}: {other:?} after {:?}", String::from_utf8_lossy(&bytes[..got])),
                }
                let (have, want) = (&bytes[..got], &text.as_bytes()[..got]);
                assert!(have == want, "{place}:\n{}\nis not\n{text}", String::from_utf8_lossy(have));
            }
        }
    }

    /// Some bytes.
    pub(super) async fn some(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 4_096];
        let n = self.0.read(&mut bytes).await.unwrap();
        assert!(n > 0, "the stream has ended");
        bytes.truncate(n);
        bytes
    }

    /// All that comes until the end of the stream.
    pub(super) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(600), self.0.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "no end after {:?}", String::from_utf8_lossy(&bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) async fn end(&mut self) {
        self.0.shutdown().await.unwrap();
    }
}

pub(super) const GET: &str = "GET http://origin.example/a HTTP/1.1\r\nHost: origin.example\r\n\r\n";
pub(super) const GOT: &str = "GET /a HTTP/1.1\r\nHost: origin.example\r\n\r\n";
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
