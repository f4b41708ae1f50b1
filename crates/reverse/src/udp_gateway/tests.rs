//! Datagrams over loopback sockets: sessions, dead endpoints, limits, floods.

#![allow(clippy::disallowed_methods, reason = "tests open their own sockets")]

use super::*;
use crate::balance::Algorithm;
use crate::upstream::{EndpointSpec, Registry, Scheme, Upstream, UpstreamConfig};
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::journal::LineFormat;
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::udp;
use shoalway_policy::{Rate, RateTable};
use shoalway_types::Record;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was logged, one line a record.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl LineFormat for Told {
    fn write(&self, record: &Record<'_>, _out: &mut Vec<u8>) {
        let Record { method, bytes_up, bytes_down, verb, outcome, .. } = *record;
        self.0.lock().unwrap().push(format!("{method} {verb} {bytes_up}/{bytes_down} {outcome}"));
    }
}

struct Scene {
    shard: Rc<Shard>,
    plan: Arc<DatagramPlan>,
    gateway: Rc<UdpGateway>,
    counters: Arc<ListenerCounters>,
    told: Told,
    at: SocketAddr,
}

impl Scene {
    fn new(shard: &Rc<Shard>, endpoints: &[SocketAddr], change: impl FnOnce(&mut DatagramPlan)) -> Self {
        let registry = Registry::new(Instant::now());
        let specs =
            endpoints.iter().map(|at| EndpointSpec::parse(&at.to_string(), Scheme::Udp).unwrap()).collect();
        let mut config = UpstreamConfig::new("dns", specs);
        config.balance.algorithm = Algorithm::RoundRobin;
        let upstream = Upstream::new(&registry, config, registry.epoch().moment(Instant::now()));
        let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
        let resolver = Resolver::new(ResolverConfig::default(), tokio::runtime::Handle::current()).unwrap();
        let dialer = Dialer::new(resolver, guard, DialConfig::default());
        let mut plan = DatagramPlan::new("udp", Arc::new(upstream), dialer, registry.epoch(), 1);
        change(&mut plan);
        let (plan, counters) = (Arc::new(plan), Arc::<ListenerCounters>::default());
        let socket = udp::bind_shared("127.0.0.1:0".parse().unwrap(), 1).unwrap().pop().unwrap();
        let at = socket.local_addr().unwrap();
        let gateway = plan.on(shard, socket, Arc::clone(&counters)).unwrap();
        let told = Told::default();
        shard.journal().set_format(Some(Arc::new(told.clone())));
        Self { shard: Rc::clone(shard), plan, gateway, counters, told, at }
    }

    fn counts(&self) -> &DatagramCounters {
        &self.plan.counters[0]
    }

    /// Lets all that is under way in this turn happen.
    async fn until(&self, mut done: impl FnMut(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    fn told(&self) -> Vec<String> {
        self.told.0.lock().unwrap().clone()
    }
}

async fn client() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn exchange(client: &UdpSocket, at: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    client.send_to(bytes, at).await.unwrap();
    let mut answer = vec![0; 1 << 16];
    let (length, from) =
        tokio::time::timeout(PATIENCE, client.recv_from(&mut answer)).await.unwrap().unwrap();
    assert_eq!(from, at);
    answer.truncate(length);
    answer
}

/// Answers with its own port in front.
fn echo_server(shard: &Rc<Shard>) -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let at = socket.local_addr().unwrap();
    let socket = UdpSocket::from_std(socket).unwrap();
    shard.tasks().spawn(async move {
        let mut bytes = vec![0; 1 << 16];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            drop(socket.send_to(&bytes[..length], from).await);
        }
    });
    at
}

fn nobody() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Keeps what it gets to itself.
fn silent() -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

#[test]
fn each_client_has_a_session_and_gets_its_own_answers() {
    Shard::test_in_real_time(async |shard| {
        let scene = Scene::new(&shard, &[echo_server(&shard), echo_server(&shard)], |_plan| {});
        let clients = [client().await, client().await, client().await];
        for round in 0..3 {
            for (n, client) in clients.iter().enumerate() {
                let question = format!("{n} asks {round}").into_bytes();
                assert_eq!(exchange(client, scene.at, &question).await, question);
            }
        }
        let large = vec![7; 40_000];
        assert_eq!(exchange(&clients[0], scene.at, &large).await, large);
        assert_eq!((scene.gateway.sessions(), scene.plan.networks.total()), (3, 3));
        assert_eq!((scene.counters.accepted.get(), scene.counters.open.get()), (3, 3));
        let picks = scene.plan.upstream.set();
        let picks: Vec<u64> = picks.endpoints().iter().map(|it| it.state().totals().picks).collect();
        assert!(picks == [2, 1] || picks == [1, 2], "{picks:?}");
    });
}

#[test]
fn silence_ends_a_session_and_its_facts_are_told() {
    Shard::test_in_real_time(async |shard| {
        let scene = Scene::new(&shard, &[echo_server(&shard)], |plan| {
            plan.limits.idle = Duration::from_millis(150);
        });
        assert_eq!(exchange(&client().await, scene.at, b"hello").await, b"hello");
        scene.until(|scene| scene.gateway.sessions() == 0).await;
        assert_eq!(scene.told(), ["UDP dns 5/5 ok"]);
        assert_eq!((scene.counters.open.get(), scene.plan.networks.total()), (0, 0));
        assert_eq!((scene.counters.bytes_up.get(), scene.counters.bytes_down.get()), (5, 5));
        let totals = scene.plan.upstream.set().endpoints()[0].state().totals();
        assert_eq!((totals.successes, totals.failures), (1, 0));
    });
}

#[test]
fn a_session_that_nobody_answers_is_short_and_blames_nobody() {
    Shard::test_in_real_time(async |shard| {
        let (_kept, at) = silent();
        let scene = Scene::new(&shard, &[at], |plan| plan.limits.unanswered = Duration::from_millis(100));
        client().await.send_to(b"hello", scene.at).await.unwrap();
        scene.until(|scene| scene.counters.accepted.get() == 1 && scene.gateway.sessions() == 0).await;
        let totals = scene.plan.upstream.set().endpoints()[0].state().totals();
        assert_eq!((totals.neutral, totals.failures, scene.told()), (1, 0, vec!["UDP dns 5/0 ok".into()]));
    });
}

#[test]
fn a_dead_endpoint_is_skipped_with_the_first_datagram_and_counted() {
    Shard::test_in_real_time(async |shard| {
        let (dead, gone, alive) = (nobody(), nobody(), echo_server(&shard));
        let scene = Scene::new(&shard, &[dead, gone, alive], |_plan| {});
        // At most six retries: within what the budget has at the start.
        for n in 0..3_u8 {
            assert_eq!(exchange(&client().await, scene.at, &[n]).await, [n]);
        }
        let set = scene.plan.upstream.set();
        let failures = |at: SocketAddr| {
            let found = set.endpoints().iter().find(|it| it.key().address.to_string() == at.to_string());
            found.unwrap().state().totals().failures
        };
        assert!(failures(dead) > 0 && failures(gone) > 0 && failures(alive) == 0);
        assert_eq!(scene.counts().retries.get(), failures(dead) + failures(gone));
    });
}

#[test]
fn when_all_refuse_the_session_ends_and_says_so() {
    Shard::test_in_real_time(async |shard| {
        let scene = Scene::new(&shard, &[nobody()], |_plan| {});
        client().await.send_to(b"hello", scene.at).await.unwrap();
        scene.until(|scene| scene.counters.accepted.get() == 1 && scene.gateway.sessions() == 0).await;
        assert_eq!(scene.told(), ["UDP dns 5/0 connection_refused"]);
    });
}

#[test]
fn an_endpoint_that_dies_under_a_session_ends_it_and_the_next_datagram_finds_another() {
    Shard::test_in_real_time(async |shard| {
        let alive = echo_server(&shard);
        let (dies, at) = silent();
        let dying = UdpSocket::from_std({
            dies.set_nonblocking(true).unwrap();
            dies
        })
        .unwrap();
        let scene = Scene::new(&shard, &[at, alive], |_plan| {});
        // The one whose session is with the endpoint that dies.
        let (one, other) = (client().await, client().await);
        one.send_to(b"1", scene.at).await.unwrap();
        other.send_to(b"2", scene.at).await.unwrap();
        let mut byte = [0];
        let (_, session) = dying.recv_from(&mut byte).await.unwrap();
        dying.send_to(&byte, session).await.unwrap();
        drop(dying);
        let client = if byte == *b"1" { one } else { other };
        client.recv_from(&mut [0]).await.unwrap();
        let before = scene.counters.accepted.get();
        while scene.counters.accepted.get() == before {
            client.send_to(b"3", scene.at).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(exchange(&client, scene.at, b"3").await, b"3");
    });
}

#[test]
fn sessions_are_bounded_in_all_and_by_network() {
    Shard::test_in_real_time(async |shard| {
        for (sessions, per_network) in [(2, 0), (100, 2)] {
            let scene = Scene::new(&shard, &[echo_server(&shard)], |plan| {
                plan.limits.sessions = sessions;
                plan.limits.per_network = per_network;
            });
            let (one, two) = (client().await, client().await);
            for client in [&one, &two] {
                assert_eq!(exchange(client, scene.at, b"x").await, b"x");
            }
            client().await.send_to(b"x", scene.at).await.unwrap();
            scene.until(|scene| scene.counters.refused.get() == 1).await;
            let full = (scene.counts().full.get(), scene.counts().network_full.get());
            assert_eq!(full, if per_network == 0 { (1, 0) } else { (0, 1) });
            // Who has a session keeps it.
            assert_eq!(exchange(&one, scene.at, b"still").await, b"still");
        }
    });
}

#[test]
fn a_flood_from_many_ports_costs_no_more_than_the_bounds() {
    Shard::test_in_real_time(async |shard| {
        let (_kept, at) = silent();
        let rate = Rate::new(NonZeroU32::MIN, Duration::from_secs(3_600), NonZeroU32::new(20).unwrap());
        let scene = Scene::new(&shard, &[at], |plan| {
            plan.limits.sessions = 10;
            plan.rate = Some(Arc::new(RateTable::new(rate, 64)));
        });
        let mut sent = 0;
        for _ in 0..200 {
            let client = client().await;
            for _ in 0..10 {
                sent += usize::from(client.send_to(&[0; 1_000], scene.at).await.is_ok());
            }
            tokio::task::yield_now().await;
        }
        let counts = scene.counts();
        let all = |counts: &DatagramCounters| counts.full.get() + counts.rate_limited.get();
        scene.until(|_| all(counts) >= 1_000).await;
        assert_eq!((scene.gateway.sessions(), scene.counters.accepted.get(), sent), (10, 10, 2_000));
        assert!(scene.gateway.shard.tasks().alive() <= 10 + 1);
        assert_eq!((counts.full.get(), counts.rate_limited.get() > 0), (10, true));
    });
}

#[test]
fn what_is_too_large_is_dropped_either_way() {
    Shard::test_in_real_time(async |shard| {
        let scene = Scene::new(&shard, &[echo_server(&shard)], |plan| plan.limits.size = 100);
        let client = client().await;
        client.send_to(&[0; 101], scene.at).await.unwrap();
        assert_eq!(exchange(&client, scene.at, &[1; 100]).await, [1; 100]);
        assert_eq!(scene.counts().oversized.get(), 1);
    });
}

#[test]
fn an_endpoint_by_name_is_looked_up_and_what_comes_meanwhile_waits() {
    Shard::test_in_real_time(async |shard| {
        let at = echo_server(&shard);
        let scene = Scene::new(&shard, &[], |_plan| {});
        let spec = EndpointSpec::parse(&format!("localhost:{}", at.port()), Scheme::Udp).unwrap();
        let change = crate::upstream::Change::Add(spec);
        scene.plan.upstream.apply(&change, scene.plan.now()).unwrap();
        let client = client().await;
        for n in 0..5_u8 {
            client.send_to(&[n], scene.at).await.unwrap();
        }
        let mut got = Vec::new();
        while got.len() < 5 {
            let mut byte = [0];
            tokio::time::timeout(PATIENCE, client.recv_from(&mut byte)).await.unwrap().unwrap();
            got.push(byte[0]);
        }
        assert_eq!(got, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_stopped_listener_serves_its_sessions_to_their_end_and_nobody_else() {
    Shard::test_in_real_time(async |shard| {
        let scene = Scene::new(&shard, &[echo_server(&shard)], |plan| {
            plan.limits.idle = Duration::from_millis(200);
        });
        let (old, new) = (client().await, client().await);
        assert_eq!(exchange(&old, scene.at, b"x").await, b"x");
        scene.gateway.stop();
        new.send_to(b"new", scene.at).await.unwrap();
        assert_eq!(exchange(&old, scene.at, b"y").await, b"y");
        assert_eq!(scene.counters.accepted.get(), 1);
        let tasks = scene.shard.tasks().clone();
        // Two tasks less: the session and the listener; the echo stays.
        scene.until(|_| tasks.alive() == 1).await;
        assert_eq!(scene.gateway.sessions(), 0);
    });
}

#[test]
fn another_plan_holds_for_new_sessions() {
    Shard::test_in_real_time(async |shard| {
        let first = Scene::new(&shard, &[echo_server(&shard)], |_plan| {});
        let second = Scene::new(&shard, &[echo_server(&shard)], |plan| plan.limits.size = 1);
        let old = client().await;
        assert_eq!(exchange(&old, first.at, b"xx").await, b"xx");
        first.gateway.set_plan(Arc::clone(&second.plan));
        let new = client().await;
        new.send_to(b"yy", first.at).await.unwrap();
        assert_eq!(exchange(&new, first.at, b"y").await, b"y");
        assert_eq!(second.counts().oversized.get(), 1);
    });
}
