//! Measures a claimed stream over TLS on loopback: bytes a second of one direction, and per second of the server's CPU.
//!
//! `cargo run --release -p shoalway-http --example claimed_speed [MEBIBYTES]`. Server and client are a shard each, on a
//! thread each; the CPU time is that of the server's thread. What is behind the stream does nothing but give credit back,
//! or hand the same bytes out again. Not here: comparisons with other programs (`bench/`).

#![allow(clippy::disallowed_methods, reason = "a measuring program opens its own sockets and threads")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measuring program that cannot go on says so by a panic"
)]
#![allow(clippy::print_stdout, reason = "what was measured")]

use bytes::Bytes;
use rcgen::{CertificateParams, KeyPair};
use rustix::time::{ClockId, clock_gettime};
use shoalway_http::answer::Answer;
use shoalway_http::h1::ServerConfig;
use shoalway_http::h2::claim::{Accepted, Claim, ClaimHead, TlsExporter};
use shoalway_http::h2::duplex::{Carrier, Duplex, FRAME, Receiving, Sending};
use shoalway_http::h2::{Form, ServerH2, Visit};
use shoalway_http::service::{Failed, Next, Service, Settled, Tunnel};
use shoalway_net::admission::Admitted;
use shoalway_net::connect::Session;
use shoalway_net::shard::Shard;
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::{LinkTls, dial_link};
use shoalway_net::tls_server::TlsServer;
use shoalway_types::Host;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

const SITE: &str = "site.example";
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server's thread has to say.
#[derive(Debug, Clone, Copy)]
enum Told {
    Listens(SocketAddr),
    Done { cpu: Duration },
}

fn main() {
    let mebibytes = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(4_096);
    let octets: usize = mebibytes << 20;
    for up in [true, false] {
        let (wall, cpu) = run(octets, up);
        let rate = |time: Duration| octets as f64 / time.as_secs_f64() / 1e9;
        let direction = if up { "to the server  " } else { "from the server" };
        println!(
            "{direction} {:6.2} GB/s, {:6.2} GB per second of its CPU ({:.2} s)",
            rate(wall),
            rate(cpu),
            wall.as_secs_f64()
        );
    }
}

fn run(octets: usize, up: bool) -> (Duration, Duration) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec![SITE.to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let tls = TlsServer::from_pem(cert.as_bytes(), key.serialize_pem().as_bytes(), None, &[b"h2"]).unwrap();
    let link = LinkTls::new(&Roots::Pem(cert.into_bytes())).unwrap();
    let (tell, told) = sync_channel(2);
    let server = std::thread::spawn(move || {
        Shard::test_in_real_time(async move |shard| serve(&shard, &tls, &tell, octets, up).await);
    });
    let Told::Listens(addr) = told.recv().unwrap() else { panic!("no address") };
    let (begun_tell, begun) = sync_channel(1);
    let client = std::thread::spawn(move || {
        Shard::test_in_real_time(async move |shard| {
            let tcp = TcpStream::connect(addr).await.unwrap();
            let host = Host::parse(SITE).unwrap();
            let stream = dial_link(&link, &host, tcp, tokio::time::Instant::now() + PATIENCE).await.unwrap();
            let mut visit = Visit::begin(&shard, stream, SITE, PATIENCE).await.unwrap();
            let tunnel = visit.open_tunnel("/", &[]).await.unwrap();
            begun_tell.send(Instant::now()).unwrap();
            let (mut from, mut to) = tunnel.duplex.split();
            if up {
                send(&mut to, octets).await
            } else {
                receive(&mut from, octets).await
            }
            // The server ends when it has everything.
            while from.chunk().await.is_some() {}
        });
    });
    let begun: Instant = begun.recv().unwrap();
    let Told::Done { cpu } = told.recv().unwrap() else { panic!("no end") };
    let wall = begun.elapsed();
    client.join().unwrap();
    server.join().unwrap();
    (wall, cpu)
}

async fn serve(shard: &Rc<Shard>, tls: &TlsServer, tell: &SyncSender<Told>, octets: usize, up: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tell.send(Told::Listens(listener.local_addr().unwrap())).unwrap();
    let (tcp, client) = listener.accept().await.unwrap();
    let stream = tls.accept(tcp, tokio::time::Instant::now() + PATIENCE).await.unwrap();
    let stream = Stream::new(Io::TlsServer(Box::new(stream)));
    let make = Box::new(|| -> Box<dyn Service> { Box::new(Nothing) });
    let claim: Arc<dyn Claim> = Arc::new(Everything { octets, up, tell: tell.clone() });
    let config = Rc::new(ServerConfig::default());
    let admitted = Admitted::uncounted();
    let server = ServerH2::new(Rc::clone(shard), config, stream, Form::Origin, make, admitted);
    server.with_claims(client, Box::new(move |_authority| Some(Arc::clone(&claim)))).await;
}

async fn send(to: &mut Sending, octets: usize) {
    let piece = Bytes::from(vec![7; FRAME]);
    let mut left = octets;
    while left > 0 {
        let mut room = to.room().await.unwrap().min(left);
        left -= room;
        while room > 0 {
            let part = piece.slice(..room.min(FRAME));
            room -= part.len();
            to.send(part).unwrap();
        }
    }
}

async fn receive(from: &mut Receiving, octets: usize) {
    let mut left = octets;
    while left > 0 {
        let chunk = from.chunk().await.unwrap().unwrap();
        left -= chunk.len();
        from.release(chunk.len());
    }
}

/// CPU time of the calling thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

struct Everything {
    octets: usize,
    up: bool,
    tell: SyncSender<Told>,
}

impl Claim for Everything {
    fn claim(&self, _head: &ClaimHead<'_>, _exporter: &dyn TlsExporter) -> Option<Box<dyn Accepted>> {
        Some(Box::new(Flow { octets: self.octets, up: self.up, tell: self.tell.clone() }))
    }
}

struct Flow {
    octets: usize,
    up: bool,
    tell: SyncSender<Told>,
}

impl Accepted for Flow {
    fn run(self: Box<Self>, shard: &Rc<Shard>, duplex: Duplex, _client: SocketAddr, _carrier: Carrier) {
        shard.tasks().spawn(async move {
            let before = cpu();
            let (mut from, mut to) = duplex.split();
            if self.up {
                receive(&mut from, self.octets).await;
            } else {
                send(&mut to, self.octets).await;
                // Everything has left when there is as much room again as ever.
                while to.room().await.unwrap() < 64 << 10 {
                    tokio::task::yield_now().await;
                }
            }
            self.tell.send(Told::Done { cpu: cpu().saturating_sub(before) }).unwrap();
            to.finish();
        });
    }
}

/// Stands behind requests that are not claimed: there are none.
struct Nothing;

impl Service for Nothing {
    fn decide(&mut self, _shard: &Rc<Shard>, _request: RequestView<'_>) -> Next {
        Next::Answer(Answer::plain(404, "text/plain", "nothing"))
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

    fn tunnel(self: Box<Self>, _shard: &Rc<Shard>, _tunnel: Tunnel) {}
}
