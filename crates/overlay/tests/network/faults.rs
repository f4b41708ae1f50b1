//! What breaks: exits, entries, links, in the middle of things. What heals does so within two seconds.

use crate::origins::{Clock, Origin, ask, echo, hello, noise, soon, until};
use crate::town::{Town, Wants};
use shoalway_net::shard::Shard;
use shoalway_overlay::client::home::Home;
use shoalway_overlay_proto::identity::Roles;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// How long a new flow may take after something broke.
const HEALED: Duration = Duration::from_secs(2);

#[test]
fn an_exit_that_dies_ends_its_streams_and_the_unit_moves_to_another_exit_once() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { exits: 3, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        let first = town.exits_of_flows()[0];
        town.node(first).street.close();
        let error = soon(stream.read_u8()).await.unwrap_err();
        assert_eq!(error.to_string(), "the path to the exit was lost");
        let broke = Instant::now();
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        assert!(broke.elapsed() < HEALED, "{:?}", broke.elapsed());
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        let exits = town.exits_of_flows();
        assert_ne!(exits[1], first);
        assert_eq!(exits[1], exits[2], "it moved once and stays there");
        assert_eq!(origin.seen().came.get(), 3);
    });
}

#[test]
fn an_entry_that_dies_is_left_for_another_within_two_seconds() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { entries: 3, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        let entries = town.of(Roles::ENTRY);
        let used: Vec<_> = entries.iter().filter(|entry| entry.street.standing() > 0).collect();
        assert_eq!(used.len(), 1, "one entry is used while it works");
        used[0].street.close();
        let broke = Instant::now();
        let mut next = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut next).await;
        ask(&mut next, b"by another entry").await;
        assert!(broke.elapsed() < HEALED, "{:?}", broke.elapsed());
        let error = soon(stream.read_u8()).await.unwrap_err();
        assert_eq!(error.to_string(), "the path to the exit was lost");
    });
}

#[test]
fn an_entry_that_falls_silent_while_it_is_dialled_does_not_hold_flows_up() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { entries: 2, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        // Whichever is preferred: one of the two takes connections and says nothing.
        town.of(Roles::ENTRY)[0].street.freeze();
        let begun = Instant::now();
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        assert!(begun.elapsed() < HEALED + Duration::from_secs(1), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_cut_in_the_middle_of_a_transfer_loses_nothing_in_either_direction() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { delay: Duration::from_millis(1), ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        let (street, seen) = (&town.entry().street, origin.seen());
        let cutting = async {
            for part in 1..=3 {
                let passed = || seen.bytes.get() > part * 600_000;
                until("a part has passed", || passed() && street.came() == part && street.standing() == 1)
                    .await;
                street.cut();
            }
        };
        let bytes = noise(3_000_000);
        let transfer = echo(stream, &bytes);
        tokio::join!(cutting, transfer);
        assert_eq!(seen.bytes.get(), 3_000_000);
        assert_eq!(street.came(), 4, "each cut led to one connection");
        assert_eq!(street.standing(), 1, "and nothing of the old ones is left");
        assert_eq!((town.circuits(), seen.came.get()), (1, 1), "the circuit and its stream went on");
        assert_eq!(town.entry().plan.sessions.len(), 1);
    });
}

#[test]
fn with_all_entries_down_flows_fail_and_nothing_is_connected_another_way() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { entries: 3, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        town.of(Roles::ENTRY).iter().for_each(|entry| entry.street.close());
        for user in ["one", "two", "three"] {
            let Err(error) = soon(town.connect(&origin.target(), user)).await else { panic!("connected") };
            assert_eq!(error.word, "destination_unavailable");
            assert!(error.detail.contains("no entry can be reached"), "{}", error.detail);
        }
        assert_eq!(origin.seen().came.get(), 1, "only the flow from before");
        // And it heals by itself.
        for entry in town.of(Roles::ENTRY) {
            entry.street.open().await;
        }
        let healed = async {
            loop {
                if let Ok(stream) = town.connect(&origin.target(), "one").await {
                    return stream;
                }
                shard.pass(Duration::from_millis(100)).await;
            }
        };
        hello(&mut soon(healed).await).await;
    });
}

#[test]
fn a_directory_older_than_36_hours_makes_no_circuits() {
    Shard::test_in_real_time(async |shard| {
        let origin = Origin::echo().await;
        for (hours, works) in [(20, true), (37, false)] {
            let age = Duration::from_secs(hours * 3_600);
            let town = Town::build(&shard, &Wants { age, ..Wants::default() }).await;
            match soon(town.connect(&origin.target(), "one")).await {
                Ok(mut stream) => hello(&mut stream).await,
                Err(error) => {
                    assert!(!works, "{hours} h: {error}");
                    assert!(error.detail.contains("directory"), "{error}");
                }
            }
            assert_eq!(town.circuits(), u64::from(works), "{hours} h");
        }
    });
}

#[test]
fn a_link_is_carried_on_by_another_connection_in_the_middle_of_a_transfer() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { delay: Duration::from_millis(1), ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        let (street, seen) = (&town.entry().street, origin.seen());
        let home = Home::of(&shard, town.overlay.shared());
        let moving = async {
            for part in 1..=3 {
                until("a part has passed", || seen.bytes.get() > part * 600_000).await;
                home.carry_on();
                until("another connection stands", || street.came() == part + 1 && street.standing() == 1)
                    .await;
            }
        };
        let bytes = noise(3_000_000);
        tokio::join!(moving, echo(stream, &bytes));
        assert_eq!((seen.bytes.get(), town.circuits(), seen.came.get()), (3_000_000, 1, 1));
    });
}

#[test]
fn a_link_is_carried_on_by_another_connection_after_twenty_minutes_at_the_latest() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        // A stream without bytes lives for fifteen minutes.
        for _ in 0..3 {
            let clock = Clock::stop();
            clock.pass(Duration::from_secs(7 * 60)).await;
            drop(clock);
            ask(&mut stream, b"still there").await;
        }
        let street = &town.entry().street;
        assert!((2..=5).contains(&street.came()), "{} connections", street.came());
        until("one connection stands", || street.standing() == 1).await;
        ask(&mut stream, b"and going on").await;
    });
}

#[test]
fn a_client_at_its_limit_waits_two_seconds_and_is_told_of_the_limit() {
    Shard::test_in_real_time(async |shard| {
        let names: Vec<String> = (0..140).map(|n| format!("h{n}.example")).collect();
        let town = Town::build(&shard, &Wants { names: names.clone(), ..Wants::default() }).await;
        let origin = Origin::echo().await;
        soon(town.connect(&origin.target(), "one")).await.unwrap();
        // A link makes 128 circuits at once and 4 a second after: whoever comes with more waits, for a time.
        let flows = names.iter().map(|name| format!("{name}:{}", origin.addr.port()));
        let flows = flows.map(|target| {
            let town = &town;
            async move { Box::pin(town.connect(&target, "one")).await.err().map(|error| error.word) }
        });
        let begun = Instant::now();
        let outcomes = soon(together(flows)).await;
        let refused: Vec<&str> = outcomes.iter().flatten().copied().collect();
        // A slow machine may refuse one for the time that it spends on CREATE.
        let of_limit = refused.iter().filter(|word| **word == "connection_limit_reached").count();
        assert!(of_limit >= 1 && of_limit + 2 >= refused.len(), "{refused:?}");
        assert!(refused.len() < 13, "{} were refused", refused.len());
        assert!(begun.elapsed() >= Duration::from_secs(1), "nobody waited");
    });
}

/// All of them, at once.
async fn together<T>(work: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = work.map(|work| (Box::pin(work), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (work, outcome) in &mut running {
            if outcome.is_none() {
                match work.as_mut().poll(cx) {
                    Poll::Ready(value) => *outcome = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, outcome)| outcome).collect()
}
