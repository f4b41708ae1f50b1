//! Drivers as clients see them: in-memory streams and paused time where that can be, loopback sockets elsewhere.

#![allow(clippy::disallowed_methods, reason = "tests open their own sockets and tasks")]

mod http;
mod mixed;
mod overlay;
mod sockets;
mod tunnels;

use super::{Client, mixed as entrance};
use crate::forward::Forward;
use crate::plan::{Auth, ForwardPlan, Way};
use shoalway_http::level::Level;
use shoalway_net::admission::Admitted;
use shoalway_net::connect::{
    Connect, ConnectError, ConnectErrorKind, Connected, LocalFuture, Outbound, Session,
};
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::journal::LineFormat;
use shoalway_net::limits::Limits;
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_policy::RuleSet;
use shoalway_policy::rules::Names;
use shoalway_types::Record;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What stands at the far end of a way out.
#[derive(Clone)]
enum Far {
    /// Sends back what it gets.
    Echo,
    /// Reads a head, then says this for ever.
    Says(&'static str),
    /// Cannot be reached.
    Fails(ConnectErrorKind),
    /// Never answers.
    Hangs,
}

struct FarWay(Far);
struct FarWorker(Far, Rc<Shard>);

impl Outbound for FarWay {
    fn on(&self, shard: &Rc<Shard>) -> Rc<dyn Connect> {
        Rc::new(FarWorker(self.0.clone(), Rc::clone(shard)))
    }
}

impl Connect for FarWorker {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(async move {
            let addr = "10.9.0.7:80".parse().unwrap();
            if let Some(permit) = &session.permit
                && let Err(rule) = permit(addr)
            {
                return Err(ConnectError::new(
                    ConnectErrorKind::Forbidden,
                    "destination_ip_prohibited",
                    rule,
                ));
            }
            let (ours, theirs) = tokio::io::duplex(4096);
            match &self.0 {
                Far::Echo => self.1.tasks().spawn(echo(theirs)),
                Far::Says(text) => self.1.tasks().spawn(says(theirs, text)),
                Far::Fails(kind) => return Err(ConnectError::new(*kind, "connection_refused", "no luck")),
                Far::Hangs => std::future::pending().await,
            }
            Ok(Connected { stream: Stream::other(ours), addr, local: "192.0.2.1:1080".parse().unwrap() })
        })
    }
}

async fn echo(stream: DuplexStream) {
    let (mut read, mut write) = tokio::io::split(stream);
    drop(tokio::io::copy(&mut read, &mut write).await);
    drop(write.shutdown().await);
}

async fn says(mut stream: DuplexStream, text: &'static str) {
    let mut seen = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut seen).await {
        while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            drop(seen.drain(..end + 4));
            drop(stream.write_all(text.as_bytes()).await);
        }
    }
}

/// A plan to change before it is used.
fn plan(far: Far, rules: &[&str]) -> ForwardPlan {
    let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
    let resolver = Resolver::new(ResolverConfig::default(), tokio::runtime::Handle::current()).unwrap();
    let names = Names { exits: &["other"], lists: &BTreeMap::new(), overlay: false };
    let way = |name: &str, far| Way { name: name.into(), identity: 1, outbound: Arc::new(FarWay(far)) };
    ForwardPlan {
        listener: "test".into(),
        clients: vec![],
        auth: Auth::None,
        level: Level::Elite,
        rules: Arc::new(RuleSet::parse(rules, &names).unwrap()),
        direct: way("direct", far),
        exits: vec![way("other", Far::Echo)],
        overlay: Vec::new(),
        default_exit: None,
        dialer: Dialer::new(resolver, guard, DialConfig::default()),
        limits: Limits::default(),
        http: shoalway_wire::http1::limits::Limits::default(),
        tls: None,
    }
}

/// What was logged, one line a record.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl LineFormat for Told {
    fn write(&self, record: &Record<'_>, _out: &mut Vec<u8>) {
        let host = record.host.map(ToString::to_string).unwrap_or_default();
        let Record { protocol, method, port, status, bytes_up, bytes_down, verb, rule, outcome, .. } =
            *record;
        let user = record.user.unwrap_or("-");
        let line = format!(
            "{protocol} {method} {host}:{port} {status} {bytes_up}/{bytes_down} {verb}:{rule} {user} {outcome}"
        );
        self.0.lock().unwrap().push(line);
    }
}

impl Told {
    fn on(shard: &Shard) -> Self {
        let told = Self::default();
        shard.journal().set_format(Some(Arc::new(told.clone())));
        told
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn start(shard: &Rc<Shard>, plan: ForwardPlan) -> Rc<Forward> {
    Arc::new(plan).on(shard)
}

/// A client's end of a fresh connection.
fn client(shard: &Rc<Shard>, forward: &Rc<Forward>) -> DuplexStream {
    client_from(shard, forward, "127.0.0.1:5000")
}

fn client_from(shard: &Rc<Shard>, forward: &Rc<Forward>, peer: &str) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    entrance::serve(Client {
        shard: Rc::clone(shard),
        forward: Rc::clone(forward),
        stream: Stream::other(ours),
        peer: peer.parse::<SocketAddr>().unwrap(),
        admitted: Admitted::uncounted(),
    });
    theirs
}

/// Sends all, and reads what is said until the connection ends.
async fn ask(mut client: DuplexStream, bytes: &[u8]) -> Vec<u8> {
    client.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    said
}

/// Reads until the bytes end in this.
async fn read_until(client: &mut DuplexStream, end: &str) -> String {
    let mut said = Vec::new();
    while !said.ends_with(end.as_bytes()) {
        assert_ne!(client.read_buf(&mut said).await.unwrap(), 0, "closed after {}", said.escape_ascii());
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// One head of an answer: status line and fields, and the body of its length.
async fn read_answer(client: &mut DuplexStream) -> (u16, String) {
    let mut said = Vec::new();
    loop {
        if let Some(end) = said.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&said[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.map_or(0, |digits| digits.parse().unwrap());
            if said.len() >= end + 4 + length {
                let status = head[9..12].parse().unwrap();
                return (status, String::from_utf8_lossy(&said).into_owned());
            }
        }
        assert_ne!(client.read_buf(&mut said).await.unwrap(), 0, "closed after {}", said.escape_ascii());
    }
}

/// Ways to open a tunnel to `a.example:443` (or 192.0.2.9 where names cannot be said), and what success looks like.
const OPENERS: [(&str, &[u8], &[u8]); 4] = [
    (
        "CONNECT",
        b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
        b"HTTP/1.1 200 Connection established\r\n\r\n",
    ),
    ("SOCKS4", b"\x04\x01\x01\xbb\xc0\x00\x02\x09me\x00", b"\x00\x5a\x04\x38\xc0\x00\x02\x01"),
    ("SOCKS4a", b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a.example\x00", b"\x00\x5a\x04\x38\xc0\x00\x02\x01"),
    (
        "SOCKS5",
        b"\x05\x01\x00\x05\x01\x00\x03\x09a.example\x01\xbb",
        b"\x05\x00\x05\x00\x00\x01\xc0\x00\x02\x01\x04\x38",
    ),
];
