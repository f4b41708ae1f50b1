//! A site that says the same to everybody, a claim that a cookie satisfies, and both ends of a tunnel.

use bytes::Bytes;
use shoalway_http::answer::Answer;
use shoalway_http::h1::ServerConfig;
use shoalway_http::h2::claim::{Accepted, Claim, ClaimHead, TlsExporter};
use shoalway_http::h2::duplex::{Carrier, Duplex, DuplexError, Receiving, Sending};
use shoalway_http::h2::{Form, ServerH2, Tunnel, Visit};
use shoalway_http::service::{Failed, Next, Service, Settled, Tunnel as Upgraded};
use shoalway_net::admission::Admitted;
use shoalway_net::connect::Session;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};

pub(crate) const SITE: &str = "site.example";
pub(crate) const KEY: &[u8] = b"a=1; key=open";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(300);

/// Answers every request with its method and target.
struct Echoes;

impl Service for Echoes {
    fn decide(&mut self, _shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        let status = if request.upgrade().is_some() { 403 } else { 200 };
        Next::Answer(Answer::plain(status, "text/plain", format!("the site: {}", request.method_str())))
    }

    fn session(&self) -> Session {
        panic!("nothing is connected to")
    }

    fn permits(&self, _addr: SocketAddr) -> bool {
        false
    }

    fn edit_request(&mut self, _request: RequestView<'_>, _edits: &mut Edits) {}

    fn edit_response(&mut self, _response: ResponseView<'_>, _edits: &mut Edits) {}

    fn failed(&mut self, _request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        Answer::plain(failure.status(), "text/plain", failure.word())
    }

    fn settle(&mut self, _shard: &Rc<Shard>, _request: Option<RequestView<'_>>, _settled: &Settled) {}

    fn tunnel(self: Box<Self>, _shard: &Rc<Shard>, _tunnel: Upgraded) {
        panic!("no tunnel but a claimed one")
    }
}

/// What a claim was shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shown {
    pub(crate) asked: String,
    pub(crate) cookies: Vec<String>,
    pub(crate) is_tls13_h2: bool,
    pub(crate) exported: Option<[u8; 32]>,
    pub(crate) before: u32,
}

/// A stream that was claimed, as its new owner has it.
pub(crate) struct Taken {
    pub(crate) duplex: Duplex,
    pub(crate) client: SocketAddr,
    pub(crate) carrier: Carrier,
}

/// Claims what carries the key.
#[derive(Default)]
pub(crate) struct ByCookie {
    pub(crate) shown: Mutex<Vec<Shown>>,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl ByCookie {
    pub(crate) fn taken(&self) -> Taken {
        self.taken.lock().unwrap().pop().expect("a claimed stream")
    }
}

pub(crate) const LABEL: &[u8] = b"EXPORTER-shoalway-test";

impl Claim for ByCookie {
    fn claim(&self, head: &ClaimHead<'_>, exporter: &dyn TlsExporter) -> Option<Box<dyn Accepted>> {
        let protocol = head.protocol.map(|protocol| format!("+{protocol}")).unwrap_or_default();
        let values: Vec<&[u8]> = head.cookies.values().collect();
        let before = head.spent.replace(head.spent.get() + 1);
        self.shown.lock().unwrap().push(Shown {
            asked: format!("{}{protocol} {}{}", head.method, head.authority, head.path),
            cookies: values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect(),
            is_tls13_h2: head.is_tls13_h2,
            exported: exporter.export(LABEL),
            before,
        });
        let is_ours = values.contains(&KEY);
        is_ours.then(|| Box::new(Keeps(Arc::clone(&self.taken))) as Box<dyn Accepted>)
    }
}

struct Keeps(Arc<Mutex<Vec<Taken>>>);

impl Accepted for Keeps {
    fn run(self: Box<Self>, _shard: &Rc<Shard>, duplex: Duplex, client: SocketAddr, carrier: Carrier) {
        self.0.lock().unwrap().push(Taken { duplex, client, carrier });
    }
}

pub(crate) fn client_addr() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 4_321))
}

/// Serves a connection; with a claim for [`SITE`], when there is one.
pub(crate) fn serve(shard: &Rc<Shard>, config: ServerConfig, stream: Stream, claim: Option<&Arc<ByCookie>>) {
    let make = Box::new(|| -> Box<dyn Service> { Box::new(Echoes) });
    let admitted = Admitted::uncounted();
    let mut server = ServerH2::new(Rc::clone(shard), Rc::new(config), stream, Form::Origin, make, admitted);
    if let Some(claim) = claim {
        let claim = Arc::clone(claim) as Arc<dyn Claim>;
        let of = move |authority: &str| (authority == SITE).then(|| Arc::clone(&claim));
        server = server.with_claims(client_addr(), Box::new(of));
    }
    shard.tasks().spawn(server);
}

/// A served connection's other end.
pub(crate) fn site(shard: &Rc<Shard>, claim: Option<&Arc<ByCookie>>) -> DuplexStream {
    let (ours, theirs) = duplex(1 << 16);
    serve(shard, ServerConfig::default(), Stream::other(ours), claim);
    theirs
}

pub(crate) async fn visit(shard: &Rc<Shard>, stream: DuplexStream) -> Visit {
    Visit::begin(shard, Stream::other(stream), SITE, PATIENCE).await.unwrap()
}

/// A visit, its tunnel, and the claimed stream at the tunnel's other end.
pub(crate) async fn tunnel(shard: &Rc<Shard>) -> (Visit, Tunnel, Taken) {
    let claim = Arc::new(ByCookie::default());
    let mut visit = visit(shard, site(shard, Some(&claim))).await;
    let tunnel = visit.open_tunnel("/t", &[("cookie", KEY)]).await.unwrap();
    (visit, tunnel, claim.taken())
}

/// Waits, but not for ever.
pub(crate) async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(LONG, work).await.expect("nothing happens any more")
}

/// Sends all of it in pieces of at most `piece` octets.
pub(crate) async fn send(to: &mut Sending, mut bytes: Bytes, piece: usize) -> Result<(), DuplexError> {
    while !bytes.is_empty() {
        let room = soon(to.room()).await?;
        to.send(bytes.split_to(room.min(piece).min(bytes.len())))?;
    }
    Ok(())
}

/// Receives up to the end, or up to so many octets; credit goes back as they come.
pub(crate) async fn receive(from: &mut Receiving, most: usize) -> Result<Vec<u8>, DuplexError> {
    let mut all = Vec::new();
    while all.len() < most
        && let Some(chunk) = soon(from.chunk()).await
    {
        let chunk = chunk?;
        from.release(chunk.len());
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Bytes that differ at every place, nearly.
pub(crate) fn pattern(octets: usize, seed: usize) -> Bytes {
    (0..octets).map(|at| ((at / 253).wrapping_add(at).wrapping_mul(31).wrapping_add(seed)) as u8).collect()
}
