//! The driver on a shard, against listeners on loopback that come and go.

#![allow(clippy::disallowed_methods, reason = "tests listen themselves")]

use super::*;
use crate::health::probe::{HttpProbe, ProbeKind};
use crate::kit::balance;
use crate::outlier::OutlierConfig;
use crate::upstream::{Change, EndpointSpec, Registry, Scheme, UpstreamConfig};
use std::net::{SocketAddr, TcpListener};

fn spec(addr: SocketAddr) -> EndpointSpec {
    EndpointSpec::parse(&addr.to_string(), Scheme::Tcp).unwrap()
}

fn prober() -> Prober {
    crate::health::probe::test_prober()
}

fn upstream(endpoints: Vec<EndpointSpec>, outlier: OutlierConfig) -> Arc<Upstream> {
    let registry = Registry::new(Instant::now());
    let now = registry.epoch().moment(Instant::now());
    let balance = balance(crate::balance::Algorithm::P2cEwma);
    let config = UpstreamConfig { outlier, balance, ..UpstreamConfig::new("app", endpoints) };
    Arc::new(Upstream::new(&registry, config, now))
}

fn quick() -> ChecksConfig {
    let health = HealthConfig {
        every: Duration::from_millis(20),
        fast: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        ..HealthConfig::default()
    };
    ChecksConfig { probe: Probe { kind: ProbeKind::Tcp, port: None }, health }
}

/// Lets the shard work until it is so; fails after ten seconds.
async fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await.unwrap_err();
    }
}

fn verdict(upstream: &Upstream, key: &EndpointKey) -> Option<Verdict> {
    let set = upstream.set();
    set.endpoints().iter().find(|endpoint| endpoint.key() == key).map(|endpoint| endpoint.state().verdict())
}

#[test]
fn an_endpoint_goes_down_with_its_listener_and_comes_up_again() {
    Shard::test_in_real_time(async |shard| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let upstream = upstream(vec![spec(addr)], OutlierConfig::OFF);
        let state = Arc::clone(upstream.set().endpoints()[0].state());
        let checks = Checks::start(Arc::clone(&upstream), Some(quick()), prober(), &shard);
        until("up", || state.verdict() == Verdict::Up).await;
        assert_eq!(state.last_check(), Some("ok"));
        drop(listener);
        until("down", || state.verdict() == Verdict::Down).await;
        assert_eq!(state.last_check(), Some("connection_refused"));
        let _listener = TcpListener::bind(addr).unwrap();
        until("up again", || state.verdict() == Verdict::Up).await;
        drop(checks);
    });
}

#[test]
fn checks_follow_the_set_and_end_with_their_owner() {
    Shard::test_in_real_time(async |shard| {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let two = TcpListener::bind("127.0.0.1:0").unwrap();
        let [one, two] = [&one, &two].map(|listener| spec(listener.local_addr().unwrap()));
        let upstream = upstream(vec![one.clone()], OutlierConfig::OFF);
        let checks = Checks::start(Arc::clone(&upstream), Some(quick()), prober(), &shard);
        until("one is up", || verdict(&upstream, &one.key) == Some(Verdict::Up)).await;
        let now = upstream.moment(Instant::now());
        upstream.apply(&Change::Add(two.clone()), now).unwrap();
        until("two is up", || verdict(&upstream, &two.key) == Some(Verdict::Up)).await;
        assert_eq!(checks.running(), 3);
        upstream.apply(&Change::Remove(one.key.clone()), now).unwrap();
        until("one is no longer checked", || checks.running() == 2).await;
        let tasks = checks.tasks.0.clone();
        drop(checks);
        tasks.drained().await;
    });
}

#[test]
fn a_change_of_the_set_leaves_checks_that_are_under_way_alone() {
    Shard::test_in_real_time(async |shard| {
        let [one, two] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        one.set_nonblocking(true).unwrap();
        two.set_nonblocking(true).unwrap();
        let upstream = upstream(vec![spec(one.local_addr().unwrap())], OutlierConfig::OFF);
        // Nobody answers, so each task connects once and waits.
        let probe = Probe { kind: ProbeKind::Http(HttpProbe::new("/").unwrap()), port: None };
        let timeout = Duration::from_mins(1);
        let health = HealthConfig { fast: Duration::ZERO, timeout, ..HealthConfig::default() };
        let config = Some(ChecksConfig { probe, health });
        let _checks = Checks::start(Arc::clone(&upstream), config, prober(), &shard);
        let open = RefCell::new(Vec::new());
        let accepted = |listener: &TcpListener| {
            listener.accept().map(|(stream, _)| open.borrow_mut().push(stream)).is_ok()
        };
        until("the first is checked", || accepted(&one)).await;
        let added = Change::Add(spec(two.local_addr().unwrap()));
        upstream.apply(&added, upstream.moment(Instant::now())).unwrap();
        until("the second is checked", || accepted(&two)).await;
        let again = tokio::time::timeout(Duration::from_millis(100), until("never", || accepted(&one))).await;
        assert!(again.is_err(), "the first was begun anew");
    });
}

#[test]
fn without_checks_nobody_stays_down() {
    Shard::test_in_real_time(async |shard| {
        let upstream = upstream(vec![spec("127.0.0.1:1".parse().unwrap())], OutlierConfig::OFF);
        let state = Arc::clone(upstream.set().endpoints()[0].state());
        let checks = Checks::start(Arc::clone(&upstream), Some(quick()), prober(), &shard);
        until("down", || state.verdict() == Verdict::Down).await;
        drop(checks);
        let _none = Checks::start(Arc::clone(&upstream), None, prober(), &shard);
        until("unknown", || state.verdict() == Verdict::Unknown).await;
    });
}

#[test]
fn outliers_are_swept_with_or_without_checks() {
    Shard::test(async |shard| {
        let endpoints = (1..=3).map(|n| spec(SocketAddr::from(([192, 0, 2, n], 80)))).collect();
        let upstream = upstream(endpoints, OutlierConfig::default());
        let _checks = Checks::start(Arc::clone(&upstream), None, prober(), &shard);
        for (n, endpoint) in upstream.set().endpoints().iter().enumerate() {
            for _ in 0..200 {
                endpoint.state().succeeded();
                if n == 0 {
                    endpoint.state().failed(crate::upstream::FailureKind::Status);
                }
            }
        }
        let out = |upstream: &Upstream| {
            let now = upstream.moment(Instant::now());
            upstream.set().endpoints().iter().map(|e| e.state().is_ejected(now)).collect::<Vec<_>>()
        };
        assert_eq!(out(&upstream), [false; 3]);
        until("the sweep", || out(&upstream) == [true, false, false]).await;
    });
}
