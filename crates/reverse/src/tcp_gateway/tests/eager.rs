//! Who speaks first: banners in every mode, and eager connections that were right, wrong, or lost.

use super::*;
use crate::stream_plan::{Preconnect, ProxyIn, ProxyOut};
use std::time::Duration;

const REST: &str = "10.0.0.1:25";
const SHOP: &str = "10.0.0.2:443";

fn world(shard: &Rc<Shard>, rest: Far) -> World {
    let world = World::new(shard);
    world.fake.set(REST, rest);
    world.fake.set(SHOP, Far::Echo);
    world
}

fn by_name(world: &World, accept: AcceptMode) -> Started {
    let (rest, shop) = (world.upstream("rest", &[REST]), world.upstream("shop", &[SHOP]));
    world.start(world.plan(world.sni(&[("*", &rest), ("shop.example", &shop)]), accept))
}

#[test]
fn a_server_that_speaks_first_is_heard_at_once_in_every_mode() {
    Shard::test(async |shard| {
        let world = world(&shard, Far::Banner);
        let upstream = world.upstream("rest", &[REST]);
        let seen = world.sni(&[("*", &upstream)]);
        let unseen = || Route::One(Arc::clone(&upstream));
        for plan in [
            world.plan(unseen(), AcceptMode::Lazy),
            world.plan(unseen(), AcceptMode::Eager),
            world.plan(unseen(), AcceptMode::Preconnect(Preconnect::default())),
            world.plan(seen, AcceptMode::Eager),
        ] {
            let (mode, reads) = (plan.accept, plan.route.reads_hello());
            let started = world.start(plan);
            let (before, mut client) = (Instant::now(), started.client());
            assert_eq!(read(&mut client, 17).await, b"220 10.0.0.1:25\r\n", "{mode:?} {reads}");
            assert_eq!(before.elapsed(), Duration::ZERO, "{mode:?} {reads}");
            assert_eq!(ask(&mut client, b"QUIT").await, b"QUIT");
        }
    });
}

#[test]
fn with_names_to_choose_by_the_first_word_decides() {
    Shard::test(async |shard| {
        let world = world(&shard, Far::Banner);
        let started = by_name(&world, AcceptMode::Eager);
        let mut client = started.client();
        client.write_all(b"\x16").await.unwrap();
        // Half a hello decides nothing, and is not lost.
        assert_eq!(read(&mut client, 17).await, b"220 10.0.0.1:25\r\n");
        assert_eq!(ask(&mut client, b"EHLO").await, b"\x16EHLO");
        assert_eq!(world.told.take(), ["192.0.2.7:5000 TCP 10.0.0.1 rest 5/22 ok"]);
    });
}

#[test]
fn an_eager_connection_that_the_hello_does_not_want_is_given_up() {
    Shard::test(async |shard| {
        let world = world(&shard, Far::Echo);
        let started = by_name(&world, AcceptMode::Eager);
        for (name, far, unused) in
            [("shop.example", "shop.example shop", 1), ("a.example", "a.example rest", 1)]
        {
            let hello = hello(name, &[]);
            assert_eq!(ask(&mut started.client(), &hello).await, hello);
            let n = hello.len();
            assert_eq!(world.told.take(), [format!("192.0.2.7:5000 TLS {far} {n}/{n} ok")]);
            assert_eq!(started.counters().eager_unused.get(), unused);
        }
        for upstream in started.plan.route.upstreams() {
            assert_eq!(upstream.set().endpoints()[0].state().in_flight(), 0);
        }
    });
}

#[test]
fn an_eager_connection_that_is_lost_harms_nobody_who_goes_elsewhere() {
    Shard::test(async |shard| {
        for far in [Far::Refuses, Far::Ends, Far::Hangs] {
            let world = world(&shard, far);
            let started = by_name(&world, AcceptMode::Eager);
            let hello = hello("shop.example", &[]);
            let mut client = started.client();
            tokio::time::advance(Duration::from_secs(6)).await;
            assert_eq!(ask(&mut client, &hello).await, hello);
            let mut lost = started.client();
            lost.write_all(b"no TLS").await.unwrap();
            assert_eq!(rest(&mut lost).await, b"");
        }
    });
}

#[test]
fn when_there_is_only_one_upstream_its_refusal_is_told_without_waiting_for_a_hello() {
    Shard::test(async |shard| {
        let world = world(&shard, Far::Refuses);
        let rest_only = world.upstream("rest", &[REST]);
        let started = world.start(world.plan(world.sni(&[("*", &rest_only)]), AcceptMode::Eager));
        let before = Instant::now();
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!(before.elapsed(), Duration::ZERO);
    });
}

#[test]
fn an_eager_endpoint_gets_its_proxy_header_before_it_has_to_speak() {
    Shard::test(async |shard| {
        let world = world(&shard, Far::Echo);
        let upstream = world.upstream("rest", &[REST]);
        let mut plan = world.plan(world.sni(&[("*", &upstream)]), AcceptMode::Eager);
        plan.proxy_in = ProxyIn::From(
            ["192.0.2.0/24"].iter().map(|net| shoalway_policy::Cidr::parse(net).unwrap()).collect(),
        );
        plan.proxy_out = ProxyOut::V1;
        let started = world.start(plan);
        let mut client = started.client();
        client.write_all(b"PROXY TCP4 198.51.100.7 203.0.113.1 1234 25\r\n").await.unwrap();
        // The endpoint echoes its header: the first word, and from it.
        let line = b"PROXY TCP4 198.51.100.7 203.0.113.1 1234 25\r\n";
        assert_eq!(read(&mut client, line.len()).await, line);
        assert_eq!(ask(&mut client, b"DATA").await, b"DATA");
        assert_eq!(world.told.take(), ["198.51.100.7:1234 TCP 10.0.0.1 rest 4/49 ok"]);
    });
}
