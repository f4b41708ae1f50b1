//! Lazy and deferred streams: tries, limits, ends.

use super::*;
use crate::budget::BudgetConfig;
use crate::upstream::FailureKind;
use std::time::Duration;

const A: &str = "10.0.0.1:1";
const B: &str = "10.0.0.2:2";
const C: &str = "10.0.0.3:3";

#[test]
fn a_stream_goes_both_ways_and_its_facts_are_told_once() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(A, Far::Echo);
        let started = world.one(&[A], AcceptMode::Lazy);
        assert_eq!(ask(&mut started.client(), b"hello").await, b"hello");
        assert_eq!(world.told.take(), ["192.0.2.7:5000 TCP 10.0.0.1 app 5/5 ok"]);
    });
}

#[test]
fn dead_endpoints_are_skipped_and_no_client_sees_it() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(B, Far::Hangs);
        world.fake.set(C, Far::Echo);
        let started = world.one(&[A, B, C], AcceptMode::Lazy);
        for _ in 0..6 {
            assert_eq!(ask(&mut started.client(), b"x").await, b"x");
        }
        assert!(world.told.take().iter().all(|line| line.ends_with("10.0.0.3 app 1/1 ok")));
        let set = started.plan.route.upstreams()[0].set();
        let failures: Vec<u64> = set.endpoints().iter().map(|it| it.state().totals().failures).collect();
        assert!(failures[0] > 0 && failures[1] > 0 && failures[2] == 0, "{failures:?}");
        assert_eq!(started.counters().retries.get(), failures.iter().sum::<u64>());
        assert!(set.endpoints().iter().all(|endpoint| endpoint.state().in_flight() == 0));
    });
}

#[test]
fn when_all_are_dead_the_client_is_told_by_an_end() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let started = world.one(&[A, B], AcceptMode::Lazy);
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!(world.dials().len(), 2);
        assert_eq!(world.told.take(), ["192.0.2.7:5000 TCP   0/0 connection_refused"]);
        assert_eq!((started.counters().no_endpoint.get(), started.counters().retries.get()), (1, 1));
    });
}

#[test]
fn an_endpoint_that_never_answers_is_given_up_after_its_time() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(A, Far::Hangs);
        let started = world.one(&[A], AcceptMode::Lazy);
        let before = Instant::now();
        assert_eq!(rest(&mut started.client()).await, b"");
        assert!((5..6).contains(&before.elapsed().as_secs()));
        assert_eq!(world.told.take(), ["192.0.2.7:5000 TCP   0/0 connection_timeout"]);
    });
}

#[test]
fn without_a_budget_there_is_one_try() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let upstream = world.upstream_with("app", &[A, B], |config| config.retries = BudgetConfig::NOTHING);
        let started = world.start(world.plan(Route::One(upstream), AcceptMode::Lazy));
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!((world.dials().len(), started.counters().retries.get()), (1, 0));
    });
}

#[test]
fn tries_are_bounded_by_the_plan() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let mut plan = world.plan(Route::One(world.upstream("app", &[A, B, C])), AcceptMode::Lazy);
        plan.limits.tries = 2;
        let started = world.start(plan);
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!(world.dials().len(), 2);
    });
}

#[test]
fn an_open_breaker_refuses_at_once_and_lets_through_again() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(A, Far::Echo);
        let upstream = world.upstream_with("app", &[A], |config| config.breaker.connections = 1);
        let started = world.start(world.plan(Route::One(upstream), AcceptMode::Lazy));
        let mut first = started.client();
        first.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut first, 1).await, b"x");
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!(world.told.take(), ["192.0.2.7:5000 TCP   0/0 breaker_connections"]);
        assert_eq!(started.counters().breaker_open.get(), 1);
        assert_eq!(ask(&mut first, b"").await, b"");
        assert_eq!(ask(&mut started.client(), b"again").await, b"again");
    });
}

#[test]
fn a_drained_upstream_refuses() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let started = world.one(&[], AcceptMode::Lazy);
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!(world.told.take(), ["192.0.2.7:5000 TCP   0/0 no_endpoint"]);
    });
}

#[test]
fn silence_and_length_have_limits() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(A, Far::Echo);
        let mut plan = world.plan(Route::One(world.upstream("app", &[A])), AcceptMode::Lazy);
        plan.limits.idle = Duration::from_secs(30);
        plan.limits.total = Some(Duration::from_secs(100));
        let started = world.start(plan);
        let before = Instant::now();
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!(before.elapsed().as_secs(), 30);
        let (before, mut busy) = (Instant::now(), started.client());
        loop {
            let mut byte = [0];
            if busy.write_all(b"x").await.is_err() || busy.read_exact(&mut byte).await.is_err() {
                break;
            }
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert!((100..=110).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
        let outcomes: Vec<String> =
            world.told.take().iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
        assert_eq!(outcomes, ["tunnel_idle", "total_limit"]);
    });
}

#[test]
fn an_endpoint_that_breaks_before_a_word_is_blamed() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let far = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = far.local_addr().unwrap().to_string();
        let upstream = world.upstream("app", &[&at]);
        let plan = Arc::new(world.plan(Route::One(Arc::clone(&upstream)), AcceptMode::Lazy));
        let gateway = TcpGateway::with(Arc::clone(&plan), &shard, Rc::new(plan.dialer.clone()));
        let (ours, mut client) = duplex(1 << 10);
        gateway.serve(&shard, Stream::other(ours), "192.0.2.7:1".parse().unwrap(), Admitted::uncounted());
        far.set_nonblocking(true).unwrap();
        let far = tokio::net::TcpListener::from_std(far).unwrap();
        let (mut socket, _) = far.accept().await.unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut socket, 1).await, b"x");
        socket.set_zero_linger().unwrap();
        drop(socket);
        assert_eq!(rest(&mut client).await, b"");
        assert_eq!(world.told.take(), ["192.0.2.7:1 TCP 127.0.0.1 app 1/0 upstream_reset"]);
        assert_eq!(upstream.set().endpoints()[0].state().failures(FailureKind::Broken), 1);
    });
}

#[test]
fn a_deferred_stream_costs_its_endpoint_nothing_before_the_client_speaks() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(A, Far::Echo);
        let started = world.one(&[A], AcceptMode::Defer);
        let mut talker = started.client();
        let before = Instant::now();
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!((before.elapsed().as_secs(), world.dials().len()), (10, 0));
        assert_eq!(started.counters().bad_heads.get(), 2);
        drop(rest(&mut talker).await);
        assert_eq!(ask(&mut started.client(), b"hello").await, b"hello");
        assert_eq!(world.dials().len(), 1);
    });
}
