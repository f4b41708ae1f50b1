//! CREATEs that break the rules of section 6.1, nodes that are none, replays, budgets.

use crate::origins::{Clock, Origin, hello, soon, until};
use crate::raw::{Outcome, Raw, inner, path};
use crate::town::{Town, Wants};
use bytes::BytesMut;
use shoalway_net::shard::Shard;
use shoalway_overlay::link::Parting;
use shoalway_overlay::link::dial::NodeSelf;
use shoalway_overlay::time;
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::terms::End;
use shoalway_overlay_proto::create::{CreateFault, CreatedTerms, Opened, ReadyCircuit};
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::link::terms::{Code, NotTaken};
use shoalway_overlay_proto::opener::Purpose;
use shoalway_overlay_proto::record;
use std::time::{Duration, Instant};

#[test]
fn a_create_that_names_the_node_itself_or_where_it_came_from_is_refused() {
    Shard::test_in_real_time(async |shard| {
        let entry_and_exit = Roles::from_bits(Roles::ENTRY.bits() | Roles::EXIT.bits()).unwrap();
        let wants = Wants { extra: vec![(50, Roles::MIDDLE), (51, entry_and_exit)], ..Wants::default() };
        let town = Town::build(&shard, &wants).await;
        let (entry, exit, middle, both) = (&town.nodes[0], &town.nodes[1], &town.nodes[2], &town.nodes[3]);
        let raw = Raw::client(&shard, &town.common, entry).await.unwrap();
        let make = |hops: &[_]| path(&town.common, hops).0;
        for (hops, expected) in [
            (&[entry, entry][..], Code::Refused),
            (&[entry, middle, entry], Code::Refused),
            // A middle is no exit, an entry no middle, an exit no middle.
            (&[entry, middle], Code::Refused),
            (&[entry, both, exit], Code::Refused),
            (&[entry, exit, both], Code::Refused),
        ] {
            assert_eq!(raw.outcome(&make(hops)).await, Outcome::Destroyed(expected));
        }
        // A path of one hop would show the client to its exit.
        let direct = Raw::client(&shard, &town.common, both).await.unwrap();
        let one_hop = inner(&town.common, entry, &make(&[entry, both]));
        assert_eq!(direct.outcome(&one_hop).await, Outcome::Destroyed(Code::Refused));
        assert!(matches!(raw.outcome(&make(&[entry, middle, exit])).await, Outcome::Created(_)));
    });
}

#[test]
fn a_create_to_a_node_of_ones_own_family_is_refused() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { one_operator: true, ..Wants::default() }).await;
        let raw = Raw::client(&shard, &town.common, town.entry()).await.unwrap();
        let (create, _) = path(&town.common, &[&town.nodes[0], &town.nodes[1]]);
        assert_eq!(raw.outcome(&create).await, Outcome::Destroyed(Code::Refused));
    });
}

#[test]
fn what_a_node_does_not_know_is_told_by_its_code() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        // Of another town: the same wallets and other keys; and nodes that are in no directory here.
        let wants = Wants { extra: vec![(70, Roles::EXIT)], ..Wants::default() };
        let other = Town::build(&shard, &wants).await;
        let raw = Raw::client(&shard, &town.common, town.entry()).await.unwrap();
        let (foreign, _) = path(&other.common, &[&other.nodes[0], &other.nodes[1]]);
        assert_eq!(raw.outcome(&foreign).await, Outcome::Destroyed(Code::UnknownKey));
        let (unknown, _) = path(&town.common, &[&town.nodes[0], &other.nodes[2]]);
        assert_eq!(raw.outcome(&unknown).await, Outcome::Destroyed(Code::UnknownNext));
        town.nodes[1].street.close();
        let (unreachable, _) = path(&town.common, &[&town.nodes[0], &town.nodes[1]]);
        assert_eq!(raw.outcome(&unreachable).await, Outcome::Destroyed(Code::NextUnreachable));
        let mut broken = path(&town.common, &[&town.nodes[0], &town.nodes[1]]).0;
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(raw.outcome(&broken).await, Outcome::Destroyed(Code::Protocol));
    });
}

#[test]
fn ten_thousand_replayed_creates_make_one_circuit() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let (entry, exit) = (&town.nodes[0], &town.nodes[1]);
        let (create, _) = path(&town.common, &[entry, exit]);
        // Over the network, as fast as a client's link permits.
        let raw = Raw::client(&shard, &town.common, entry).await.unwrap();
        assert!(matches!(raw.outcome(&create).await, Outcome::Created(_)));
        for _ in 0..100 {
            assert_eq!(raw.outcome(&create).await, Outcome::Destroyed(Code::Replay));
        }
        // The rest at the node's own keys, since a link takes four a second.
        let network = *town.common.network.id();
        let mut kems = entry.plan.kems.lock().unwrap();
        for _ in 0..9_900 {
            let opened = kems.open(&network, entry.address, &create, time::unix());
            assert_eq!(opened.err(), Some(CreateFault::Replay));
        }
        assert_eq!(town.circuits(), 1);
    });
}

#[test]
fn ten_thousand_replayed_records_open_nothing_and_the_first_ends_the_circuit() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let (entry, exit) = (&town.nodes[0], &town.nodes[1]);
        let raw = Raw::client(&shard, &town.common, entry).await.unwrap();
        let (create, pending) = path(&town.common, &[entry, exit]);
        let (circ, asked) = raw.create(&create).unwrap();
        let Outcome::Created(body) = soon(asked.outcome()).await else { panic!("not created") };
        let ReadyCircuit { terms, tx, rx, .. } = pending.created(&body).unwrap();
        let mut end = CircuitEnd::new(End::Client, terms.circuit, &tx, &rx, time::moment());
        end.tick(end.deadline().unwrap());
        let record = end.transmit(64 << 10, time::moment()).expect("the first record");
        raw.link.data(circ, record.clone()).unwrap();
        raw.link.data(circ, record.clone()).unwrap();
        until("the circuit has ended", || asked.outcomes.borrow().len() == 2).await;
        assert_eq!(asked.outcomes.borrow()[1], Outcome::Destroyed(Code::Protocol));
        // The rest at the exit's own machine, since a circuit does not outlive the first.
        let mut opener = record::Opener::new(&tx, time::moment());
        let mut plain = BytesMut::new();
        opener.open(&record, &mut plain).unwrap();
        let before = plain.len();
        for _ in 0..10_000 {
            assert!(opener.open(&record, &mut plain).is_err());
        }
        assert_eq!(plain.len(), before);
    });
}

#[test]
fn a_circuit_that_nobody_uses_is_closed_by_the_exit_after_ten_seconds() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let raw = Raw::client(&shard, &town.common, town.entry()).await.unwrap();
        let (create, _) = path(&town.common, &[&town.nodes[0], &town.nodes[1]]);
        let (_, asked) = raw.create(&create).unwrap();
        assert!(matches!(soon(asked.outcome()).await, Outcome::Created(_)));
        let clock = Clock::stop();
        clock.pass(Duration::from_secs(11)).await;
        drop(clock);
        until("the exit has closed it", || asked.outcomes.borrow().len() == 2).await;
        assert_eq!(asked.outcomes.borrow()[1], Outcome::Destroyed(Code::Idle));
    });
}

#[test]
fn a_client_link_makes_128_circuits_at_once_and_256_at_one_time() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let raw = Raw::client(&shard, &town.common, town.entry()).await.unwrap();
        let junk = vec![0; 3912];
        let taken = (0..200).take_while(|_| raw.create(&junk).is_ok()).count();
        assert!((128..132).contains(&taken), "{taken}");
        assert_eq!(raw.create(&junk).err(), Some(NotTaken::Full));
    });
}

#[test]
fn a_node_that_is_not_in_the_snapshot_or_does_not_hold_its_key_is_refused() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let stranger =
            Town::build(&shard, &Wants { extra: vec![(71, Roles::MIDDLE)], ..Wants::default() }).await;
        let (entry, exit) = (&town.nodes[0], &town.nodes[1]);
        let delegation = |node: &crate::town::TownNode| node.plan.keys.load().delegation;
        let key = |number: u8| SecretKey::from_seed(&[number; 32]);
        let (own, foreign) = (delegation(entry), delegation(&stranger.nodes[2]));
        for (delegation, key, admitted) in
            [(&foreign, key(71), false), (&own, key(71), false), (&own, key(10), true)]
        {
            let me = NodeSelf { delegation, key: &key };
            let raw = Raw::node(&shard, &town.common, exit, me).await.unwrap();
            let (create, _) = path(&town.common, &[entry, exit]);
            let create = inner(&town.common, entry, &create);
            let outcome = raw.outcome(&create).await;
            assert_eq!(matches!(outcome, Outcome::Created(_)), admitted, "{outcome:?}");
            assert_eq!(raw.owner.parted.get().is_some(), !admitted);
        }
    });
}

#[test]
fn a_node_that_does_not_say_who_it_is_is_left_after_five_seconds() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let exit = &town.nodes[1];
        let key = crate::raw::entry_key(&town.common, exit, exit.link_gate);
        let raw = Raw::open(&shard, &town.common, exit, key, Purpose::Node, None).await.unwrap();
        assert_eq!(raw.owner.parted.get(), None);
        let begun = Instant::now();
        let clock = Clock::stop();
        clock.pass(Duration::from_secs(6)).await;
        drop(clock);
        until("the exit has left", || raw.owner.parted.get() == Some(Parting::Lost)).await;
        assert!(begun.elapsed() < Duration::from_secs(4), "time was not waited for");
    });
}

#[test]
fn an_exit_takes_circuits_with_either_suite_and_answers_each_once() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let (entry, exit) = (&town.nodes[0], &town.nodes[1]);
        let raw = Raw::client(&shard, &town.common, entry).await.unwrap();
        let (create, pending) = path(&town.common, &[entry, exit]);
        let Outcome::Created(body) = raw.outcome(&create).await else { panic!("not created") };
        let ready = pending.created(&body).unwrap();
        let directory = exit.library.claim(ready.terms.directory.0, &ready.terms.directory.1);
        assert_eq!(directory, shoalway_overlay_proto::chain::Claim::Known, "it says which directory it has");
        // The same CREATE opened at the exit by another who holds its key: he cannot answer as it did.
        let network = *town.common.network.id();
        let (other, pending) = path(&town.common, &[entry, exit]);
        let other = inner(&town.common, entry, &other);
        let opened = exit.plan.kems.lock().unwrap().open(&network, exit.address, &other, time::unix());
        let Ok(Opened::Exit(request)) = opened else { panic!("it does not end here") };
        let terms = CreatedTerms { ..ready.terms };
        let (mut answer, _) = request.answer(&terms, &mut shoalway_overlay::chance::rng()).unwrap();
        answer[3] ^= 1;
        assert!(pending.created(&answer).is_err(), "a changed answer is found out");
        let mut stream = soon(town.connect(&Origin::echo().await.target(), "one")).await.unwrap();
        hello(&mut stream).await;
    });
}
