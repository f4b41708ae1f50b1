//! Streams as clients and endpoints see them: in memory with paused time, on loopback sockets, and beside HAProxy.

#![allow(clippy::disallowed_methods, reason = "tests open their own sockets")]

mod defence;
mod eager;
mod gates;
mod haproxy;
mod headers;
mod order;
mod preconnected;
mod routing;
mod sockets;
mod terminated;

use super::link::{Open, Opened};
use super::{TcpGateway, gate};
use crate::moment::Epoch;
use crate::sni::{SniMap, SniPattern, SniRule};
use crate::stream_plan::{AcceptMode, Route, StreamPlan};
use crate::upstream::{Address, EndpointSpec, Registry, Scheme, Upstream, UpstreamConfig};
use shoalway_net::admission::Admitted;
use shoalway_net::connect::LocalFuture;
use shoalway_net::dialer::{DialConfig, DialError, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::journal::LineFormat;
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_types::Record;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

/// What an endpoint does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Far {
    /// Says where it is, without being asked, then echoes.
    Banner,
    /// Echoes.
    Echo,
    /// Is not there.
    Refuses,
    /// Never answers.
    Hangs,
    /// Is there and ends at once.
    Ends,
}

/// Opens connections in memory.
struct Fake {
    shard: Rc<Shard>,
    far: RefCell<HashMap<String, Far>>,
    dials: RefCell<Vec<String>>,
}

impl Fake {
    fn set(&self, addr: &str, far: Far) {
        self.far.borrow_mut().insert(addr.into(), far);
    }
}

impl Open for Fake {
    fn open<'a>(
        &'a self,
        address: &'a Address,
        deadline: Instant,
    ) -> LocalFuture<'a, Result<Opened, DialError>> {
        let at = address.to_string();
        self.dials.borrow_mut().push(at.clone());
        let far = self.far.borrow().get(&at).copied().unwrap_or(Far::Refuses);
        Box::pin(async move {
            let (ours, theirs) = duplex(64 << 10);
            match far {
                Far::Banner => self.shard.tasks().spawn(banner(theirs, at.clone())),
                Far::Echo => self.shard.tasks().spawn(echo(theirs)),
                Far::Refuses => return Err(DialError::Connect(io::ErrorKind::ConnectionRefused.into())),
                Far::Hangs => {
                    drop(tokio::time::timeout_at(deadline, std::future::pending::<()>()).await);
                    return Err(DialError::Timeout { after: plan_limits().connect });
                }
                Far::Ends => drop(theirs),
            }
            Ok((Stream::other(ours), at.parse().ok()))
        })
    }
}

fn plan_limits() -> crate::stream_plan::StreamLimits {
    crate::stream_plan::StreamLimits::default()
}

async fn echo(stream: DuplexStream) {
    let (mut read, mut write) = tokio::io::split(stream);
    drop(tokio::io::copy(&mut read, &mut write).await);
    drop(write.shutdown().await);
}

async fn banner(mut stream: DuplexStream, at: String) {
    drop(stream.write_all(format!("220 {at}\r\n").as_bytes()).await);
    echo(stream).await;
}

/// What was logged, one line a record.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl LineFormat for Told {
    fn write(&self, record: &Record<'_>, _out: &mut Vec<u8>) {
        let host = record.host.map(ToString::to_string).unwrap_or_default();
        let Record { client, method, bytes_up, bytes_down, verb, outcome, .. } = *record;
        let line = format!("{client} {method} {host} {verb} {bytes_up}/{bytes_down} {outcome}");
        self.0.lock().unwrap().push(line);
    }
}

impl Told {
    fn on(shard: &Shard) -> Self {
        let told = Self::default();
        shard.journal().set_format(Some(Arc::new(told.clone())));
        told
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A world of upstreams.
struct World {
    shard: Rc<Shard>,
    registry: Registry,
    fake: Rc<Fake>,
    told: Told,
}

impl World {
    fn new(shard: &Rc<Shard>) -> Self {
        let fake = Fake { shard: Rc::clone(shard), far: RefCell::default(), dials: RefCell::default() };
        let registry = Registry::new(Instant::now());
        Self { shard: Rc::clone(shard), registry, fake: Rc::new(fake), told: Told::on(shard) }
    }

    fn epoch(&self) -> Epoch {
        self.registry.epoch()
    }

    fn upstream(&self, name: &str, endpoints: &[&str]) -> Arc<Upstream> {
        self.upstream_with(name, endpoints, |_config| {})
    }

    fn upstream_with(
        &self,
        name: &str,
        endpoints: &[&str],
        change: impl FnOnce(&mut UpstreamConfig),
    ) -> Arc<Upstream> {
        let specs = endpoints.iter().map(|at| EndpointSpec::parse(at, Scheme::Tcp).unwrap()).collect();
        let mut config = UpstreamConfig::new(name, specs);
        // In the order they are written: the first choice of a test is the first endpoint.
        config.balance.algorithm = crate::balance::Algorithm::RoundRobin;
        change(&mut config);
        Arc::new(Upstream::new(&self.registry, config, self.epoch().moment(Instant::now())))
    }

    /// `*` and names, each to the upstream of its own name.
    fn sni(&self, rules: &[(&str, &Arc<Upstream>)]) -> Route {
        Route::Sni(SniMap::new(rules.iter().map(|(name, to)| SniRule {
            name: SniPattern::parse(name).unwrap(),
            alpn: vec![],
            to: Arc::clone(to),
        })))
    }

    fn plan(&self, route: Route, accept: AcceptMode) -> StreamPlan {
        let mut plan = StreamPlan::new("test", route, dialer(), self.epoch(), 1);
        plan.accept = accept;
        plan
    }

    fn start(&self, plan: StreamPlan) -> Started {
        let plan = Arc::new(plan);
        let open = Rc::clone(&self.fake) as Rc<dyn Open>;
        let gateway = TcpGateway::with(Arc::clone(&plan), &self.shard, open);
        Started { gateway, plan, shard: Rc::clone(&self.shard) }
    }

    /// One upstream `app` of these endpoints.
    fn one(&self, endpoints: &[&str], accept: AcceptMode) -> Started {
        let upstream = self.upstream("app", endpoints);
        self.start(self.plan(Route::One(upstream), accept))
    }

    fn dials(&self) -> Vec<String> {
        std::mem::take(&mut *self.fake.dials.borrow_mut())
    }
}

struct Started {
    gateway: Rc<TcpGateway>,
    plan: Arc<StreamPlan>,
    shard: Rc<Shard>,
}

impl Started {
    fn client(&self) -> DuplexStream {
        self.client_from("192.0.2.7:5000")
    }

    fn client_from(&self, peer: &str) -> DuplexStream {
        let (ours, theirs) = duplex(64 << 10);
        self.gateway.serve(&self.shard, Stream::other(ours), peer.parse().unwrap(), Admitted::uncounted());
        theirs
    }

    fn counters(&self) -> &crate::stream_plan::StreamCounters {
        &self.plan.counters[0]
    }

    /// Waits until all clients' sessions are over.
    async fn settle(&self) {
        until(|| Rc::strong_count(&self.gateway) == 1).await;
    }
}

fn dialer() -> Dialer {
    let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
    let resolver = Resolver::new(ResolverConfig::default(), tokio::runtime::Handle::current()).unwrap();
    Dialer::new(resolver, guard, DialConfig::default())
}

/// Waits for what must come.
async fn until(mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// How long a test waits for what must come.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Everything until the end; a reset counts as one.
async fn rest(client: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    drop(client.read_to_end(&mut said).await);
    said
}

/// As many bytes as wanted.
async fn read(client: &mut (impl tokio::io::AsyncRead + Unpin), count: usize) -> Vec<u8> {
    let mut said = vec![0; count];
    client.read_exact(&mut said).await.unwrap();
    said
}

/// Sends all, ends, and reads until the end.
async fn ask(client: &mut DuplexStream, bytes: &[u8]) -> Vec<u8> {
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    rest(client).await
}

/// The hello of a real client that asks for this name.
fn hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = name.to_owned().try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}
