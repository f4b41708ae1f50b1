//! Circuits in stock: a new flow adds no round trip, the stock is refilled with pauses, and not while nobody is there.

use crate::origins::{Clock, Origin, hello, soon, until};
use crate::town::{Town, Wants};
use shoalway_net::shard::Shard;
use shoalway_overlay::client::home::Home;
use std::time::{Duration, Instant};

/// One way to the entry.
const WAY: Duration = Duration::from_millis(90);

#[test]
fn a_flow_on_a_circuit_in_stock_adds_no_round_trip() {
    Shard::test_in_real_time(async |shard| {
        let origin = Origin::echo().await;
        let timed = async |town: &Town, user: &str| {
            let begun = Instant::now();
            let mut stream = soon(town.connect(&origin.target(), user)).await.unwrap();
            let connected = begun.elapsed();
            hello(&mut stream).await;
            (connected, begun.elapsed())
        };
        // The first flow dials the link.
        let without = Town::build(&shard, &Wants { stock: 0, delay: WAY, ..Wants::default() }).await;
        timed(&without, "one").await;
        let cold = timed(&without, "two").await;
        let with = Town::build(&shard, &Wants { stock: 2, delay: WAY, ..Wants::default() }).await;
        timed(&with, "one").await;
        let home = Home::of(&shard, with.overlay.shared());
        until("a circuit is in stock", || home.stocked() > 0).await;
        let warm = timed(&with, "two").await;
        let round = 2 * WAY;
        assert!(cold.0 >= 2 * round, "cold: CREATE and OPEN, one after the other: {cold:?}");
        assert!(warm.0 >= round && warm.0 < round + WAY, "warm: OPEN alone: {warm:?}");
        // The first byte comes with the answer.
        assert!(warm.1 < round + WAY, "{warm:?}");
    });
}

#[test]
fn the_stock_is_refilled_one_by_one_and_not_after_ten_minutes_without_a_flow() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { stock: 3, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        drop(stream);
        let home = Home::of(&shard, town.overlay.shared());
        assert!(home.stocked() <= 1, "the flow that waited came first; a pause can be short");
        let clock = Clock::stop();
        let mut seen = Vec::new();
        while seen.last() != Some(&3) && seen.len() < 400 {
            clock.pass(Duration::from_millis(500)).await;
            seen.push(home.stocked());
        }
        assert!(seen.windows(2).all(|two| two[1] <= two[0] + 1), "one at a time: {seen:?}");
        assert_eq!(*seen.last().unwrap(), 3, "{seen:?}");
        // Ten minutes after the flow nobody makes another, and what is in stock is too old thirteen minutes later.
        clock.pass(Duration::from_secs(10 * 60)).await;
        let made = town.circuits();
        clock.pass(Duration::from_secs(14 * 60)).await;
        drop(clock);
        assert_eq!((home.stocked(), town.circuits() - made), (0, 0));
    });
}
