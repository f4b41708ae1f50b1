//! Connections that are open before they are needed.

use super::*;
use crate::stream_plan::Preconnect;
use std::time::Duration;

const FAR: &str = "10.0.0.1:25";

fn mode(idle: usize) -> AcceptMode {
    AcceptMode::Preconnect(Preconnect { idle, age: Duration::from_secs(20) })
}

/// Lets the tasks that open connections run.
async fn turns() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_stream_takes_one_that_is_open_and_another_is_opened_in_its_place() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(FAR, Far::Banner);
        let started = world.one(&[FAR], mode(2));
        turns().await;
        assert_eq!(world.dials().len(), 2);
        // Even while the endpoint takes no new ones.
        world.fake.set(FAR, Far::Hangs);
        let mut client = started.client();
        assert_eq!(read(&mut client, 17).await, b"220 10.0.0.1:25\r\n");
        assert_eq!(ask(&mut client, b"x").await, b"x");
        assert_eq!((started.counters().preconnect_used.get(), world.dials().len()), (1, 1));
    });
}

#[test]
fn one_that_has_ended_meanwhile_is_thrown_away_unseen() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(FAR, Far::Ends);
        let started = world.one(&[FAR], mode(3));
        turns().await;
        world.fake.set(FAR, Far::Echo);
        assert_eq!(ask(&mut started.client(), b"x").await, b"x");
        let counters = started.counters();
        assert_eq!((counters.preconnect_used.get(), counters.preconnect_stale.get()), (0, 3));
    });
}

#[test]
fn old_ones_are_replaced_and_the_number_is_bounded() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(FAR, Far::Echo);
        let started = world.one(&[FAR], mode(2));
        shard.pass(Duration::from_secs(19)).await;
        assert_eq!((world.dials().len(), started.counters().preconnect_stale.get()), (2, 0));
        shard.pass(Duration::from_secs(12)).await;
        assert_eq!((world.dials().len(), started.counters().preconnect_stale.get()), (2, 2));
    });
}

#[test]
fn an_endpoint_that_refuses_is_asked_only_now_and_then() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let _started = world.one(&[FAR], mode(1));
        shard.pass(Duration::from_secs(11)).await;
        assert_eq!(world.dials().len(), 3);
    });
}

#[test]
fn a_gateway_that_is_gone_keeps_nothing_open() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(FAR, Far::Echo);
        let started = world.one(&[FAR], mode(2));
        turns().await;
        let alive = shard.tasks().alive();
        drop(started);
        shard.pass(Duration::from_secs(6)).await;
        // The two far ends, and the sweeper.
        assert_eq!(alive - shard.tasks().alive(), 3);
    });
}
