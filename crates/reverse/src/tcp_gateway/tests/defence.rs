//! Rates of new connections by client network.

use super::*;
use crate::stream_plan::ProxyIn;
use shoalway_policy::{Cidr, Rate, RateTable};
use std::num::NonZeroU32;
use std::time::Duration;

const FAR: &str = "10.0.0.1:25";

fn rate(burst: u32) -> Arc<RateTable> {
    let rate = Rate::new(NonZeroU32::MIN, Duration::from_secs(1), NonZeroU32::new(burst).unwrap());
    Arc::new(RateTable::new(rate, 1_000))
}

#[test]
fn a_network_that_opens_too_many_is_closed_unread_and_its_neighbour_is_not() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(FAR, Far::Echo);
        let mut plan = world.plan(Route::One(world.upstream("app", &[FAR])), AcceptMode::Lazy);
        plan.rate = Some(rate(2));
        let started = world.start(plan);
        for (peer, admitted) in
            [("192.0.2.7:1", true), ("192.0.2.7:2", true), ("192.0.2.7:3", false), ("192.0.2.8:1", true)]
        {
            let mut client = started.client_from(peer);
            assert_eq!(client.write_all(b"x").await.is_ok(), admitted, "{peer}");
        }
        assert_eq!(started.counters().rate_limited.get(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(ask(&mut started.client_from("192.0.2.7:4"), b"x").await, b"x");
        assert!(started.client_from("192.0.2.7:5").write_all(b"x").await.is_err());
    });
}

#[test]
fn behind_a_proxy_the_rate_is_that_of_the_client_it_tells_of() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(FAR, Far::Echo);
        let mut plan = world.plan(Route::One(world.upstream("app", &[FAR])), AcceptMode::Lazy);
        plan.rate = Some(rate(1));
        plan.proxy_in = ProxyIn::From(std::iter::once(Cidr::parse("192.0.2.7").unwrap()).collect());
        let started = world.start(plan);
        for (client, admitted) in [("198.51.100.1", true), ("198.51.100.2", true), ("198.51.100.1", false)] {
            let head = format!("PROXY TCP4 {client} 203.0.113.1 1 2\r\nx");
            let wanted: &[u8] = if admitted { b"x" } else { b"" };
            assert_eq!(ask(&mut started.client(), head.as_bytes()).await, wanted, "{client}");
        }
        assert_eq!(started.counters().rate_limited.get(), 1);
        assert!(world.told.take()[2].starts_with("198.51.100.1:1 TCP   0/0 rate_limited"));
    });
}
