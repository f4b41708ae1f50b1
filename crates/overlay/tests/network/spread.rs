//! Which exit serves what: the share of each, pins, isolation, and that no two units ever meet on a circuit.

use crate::origins::{Origin, ask, hello, soon};
use crate::town::{Town, Wants};
use shoalway_net::connect::Isolation;
use shoalway_net::shard::Shard;
use shoalway_overlay::client::home::{Home, Wanted};
use shoalway_overlay_proto::spread::{Spread, Why};
use shoalway_types::Target;
use shoalway_types::wallet::Address;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

const HOSTS: usize = 42;
const EXITS: u8 = 12;

fn hosts() -> Vec<String> {
    (1..=HOSTS).map(|n| format!("h{n}.page{n}.example")).collect()
}

#[test]
fn a_page_of_42_hosts_uses_every_exit_and_none_for_more_than_a_quarter() {
    Shard::test_in_real_time(async |shard| {
        let wants = Wants { exits: EXITS, active: usize::from(EXITS), names: hosts(), ..Wants::default() };
        let town = Town::build(&shard, &wants).await;
        let origin = Origin::echo().await;
        let targets: Vec<String> =
            hosts().iter().map(|host| format!("{host}:{}", origin.addr.port())).collect();
        let mut streams = Vec::new();
        for target in &targets {
            let mut stream = soon(town.connect(target, "one")).await.unwrap();
            hello(&mut stream).await;
            streams.push(stream);
        }
        let exits = town.exits_of_flows();
        let mut shares: HashMap<Address, usize> = HashMap::new();
        exits.iter().for_each(|exit| *shares.entry(*exit).or_default() += 1);
        assert_eq!(shares.len(), usize::from(EXITS), "{shares:?}");
        assert!(shares.values().all(|share| share * 4 <= HOSTS), "{shares:?}");
        // One circuit for each unit, counted where circuits end; and streams of a unit share it.
        assert_eq!(town.circuits(), HOSTS as u64);
        for target in &targets {
            let mut stream = soon(town.connect(target, "one")).await.unwrap();
            hello(&mut stream).await;
            streams.push(stream);
        }
        assert_eq!(town.circuits(), HOSTS as u64);
        assert_eq!(town.exits_of_flows()[HOSTS..], exits[..], "each stays at its exit");
    });
}

#[test]
fn a_unit_keeps_its_exit_and_users_never_share_a_circuit() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { exits: 4, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut streams = Vec::new();
        for user in ["ann", "bob", "eve"] {
            for _ in 0..4 {
                let mut stream = soon(town.connect(&origin.target(), user)).await.unwrap();
                hello(&mut stream).await;
                ask(&mut stream, user.as_bytes()).await;
                streams.push(stream);
            }
        }
        let exits = town.exits_of_flows();
        for own in exits.chunks(4) {
            assert!(own.iter().all(|exit| *exit == own[0]), "{exits:?}");
        }
        assert_eq!(town.circuits(), 3, "one for each user, whichever exit it goes to");
    });
}

#[test]
fn circuits_in_stock_are_given_to_one_unit_each_and_to_no_other() {
    Shard::test_in_real_time(async |shard| {
        let wants = Wants { exits: 1, stock: 3, names: hosts(), ..Wants::default() };
        let town = Town::build(&shard, &wants).await;
        let origin = Origin::echo().await;
        let mut used = 0;
        for host in hosts().iter().take(6) {
            let target = format!("{host}:{}", origin.addr.port());
            drop(soon(town.connect(&target, "one")).await.unwrap());
            used += 1;
            let exit = town.nodes[1].plan.exit.as_ref().unwrap();
            let made = exit.counters.circuits.load(std::sync::atomic::Ordering::Relaxed);
            assert!(made >= used, "{made} circuits for {used} units");
        }
    });
}

#[test]
fn flows_of_the_unit_connection_go_their_own_ways_to_one_host() {
    Shard::test_in_real_time(async |shard| {
        let wants = Wants { exits: 4, spread: Spread::Connection, ..Wants::default() };
        let town = Town::build(&shard, &wants).await;
        let origin = Origin::echo().await;
        let mut streams = Vec::new();
        for _ in 0..24 {
            streams.push(soon(town.connect(&origin.target(), "one")).await.unwrap());
        }
        let exits: HashSet<Address> = town.exits_of_flows().into_iter().collect();
        assert_eq!(exits.len(), 4, "24 flows over 4 exits leave none out but once in 250 runs");
        assert_eq!(town.circuits(), 24);
    });
}

#[test]
fn why_says_which_exit_and_sends_nothing() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { exits: 4, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let shared = town.overlay.shared();
        let home = Home::of(&shard, shared);
        let target = Target::parse(&origin.target(), None).unwrap();
        let isolation = Isolation { user: Some(Rc::from(&b"one"[..])), ..Isolation::default() };
        let wanted = Wanted::new(&shared.plan.exits, &isolation, &target);
        let stream = soon(town.connect(&origin.target(), "other")).await.unwrap();
        let circuits = town.circuits();
        let before = home.why(&wanted).unwrap();
        assert_eq!((before.why, town.circuits()), (Why::Chosen, circuits), "asking makes nothing");
        let own = soon(town.connect(&origin.target(), "one")).await.unwrap();
        let after = home.why(&wanted).unwrap();
        assert_eq!((after.exit, after.why), (*town.exits_of_flows().last().unwrap(), Why::Pinned));
        assert_eq!(after.exit, before.exit);
        drop((stream, own));
    });
}
