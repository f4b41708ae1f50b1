//! What was recorded and is sent again: CREATEs, records, openers. None is accepted (ovl1 sections 4, 6.1, 16).

use super::chance::Chance;
use super::node::{NETWORK, TODAY};
use super::pipe::way;
use super::world::{Spot, World, seconds};
use bytes::Bytes;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::create::CreateFault;
use shoalway_overlay_proto::link::terms::{CircId, Code};
use shoalway_overlay_proto::opener::{Binding, OpenerAsk, Purpose, SessionId, seal_opener};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// An entry that records, a client that it serves, and what came of it.
fn recorded() -> (World, Spot, Vec<Bytes>) {
    let mut world = World::new(21);
    let (entry, exit) = (world.node(), world.node());
    let trunk = world.trunk(entry, exit, way(5, 50_000_000));
    let line = world.client(entry, way(5, 50_000_000));
    let records = Rc::new(RefCell::new(Vec::new()));
    let tape = Rc::clone(&records);
    world.tamper = Some(Box::new(move |record| {
        tape.borrow_mut().push(record.clone());
        vec![record]
    }));
    let port = world.standing(line, &[entry, exit]);
    world.flow(port, 50_000, 1_000);
    world.finish(seconds(5));
    let records = records.borrow().clone();
    (world, Spot { line: trunk, side: 0 }, records)
}

/// The entry asks for the same circuit again.
fn ask_again(world: &mut World, trunk: Spot, create: Bytes) -> CircId {
    let (now, mut chance) = (world.now, Chance(world.chance.between(0, u64::MAX - 1)));
    world.link(trunk).unwrap().create(create, 1, now, &mut chance).unwrap()
}

#[test]
fn ten_thousand_creates_that_were_seen_before_do_not_open_again() {
    let (mut world, trunk, _) = recorded();
    let creates = world.creates.clone();
    assert_eq!(creates.iter().map(|(_, body)| body.len()).collect::<Vec<_>>(), [3912, 2740]);
    for (node, (_, create)) in world.nodes.iter_mut().zip(&creates) {
        for _ in 0..5_000 {
            let again = node.kems.open(&NETWORK, node.address, create, TODAY);
            assert_eq!(again.err(), Some(CreateFault::Replay));
        }
    }
    // And over the trunk they came by.
    let ports = world.ports.len();
    for _ in 0..100 {
        ask_again(&mut world, trunk, creates[1].1.clone());
    }
    world.pass(seconds(1));
    let refused = world.ended.iter().filter(|(spot, _, code)| *spot == trunk && *code == Code::Replay);
    assert_eq!((refused.count(), world.ports.len()), (100, ports));
}

#[test]
fn a_create_replayed_to_an_exit_that_forgot_it_opens_nothing() {
    for with_records in [false, true] {
        let (mut world, trunk, records) = recorded();
        let mut chance = Chance(1);
        world.nodes[1].forget(&mut chance);
        let create = world.creates[1].1.clone();
        // CREATED comes, and the entry can do nothing with it: it is read by the link alone.
        let circ = ask_again(&mut world, trunk, create);
        let exit = world.ports.len();
        world.until(seconds(1), |world| world.ports.len() > exit);
        let asked_at = world.now;
        if with_records {
            world.pass(Duration::from_millis(100));
            for record in records {
                let _gone = world.link(trunk).unwrap().data(circ, record);
            }
        }
        assert!(world.until(seconds(11), |world| world.ports[exit].over().is_some()), "it ends");
        let time = world.now.since(asked_at);
        let (code, least) = if with_records { (Code::Protocol, 0) } else { (Code::Idle, 10) };
        assert_eq!(world.ports[exit].over(), Some(code));
        assert!(time >= seconds(least) && (!with_records || time < seconds(1)), "{time:?}");
        assert_eq!((world.ports[exit].records, world.ports[exit].flows.len()), (0, 0), "nothing was opened");
        world.pass(seconds(1));
        let told = world.ended.iter().rfind(|(spot, ended, _)| (*spot, *ended) == (trunk, circ));
        assert_eq!(told.map(|(_, _, told)| *told), Some(code));
    }
}

#[test]
fn an_opener_is_worth_nothing_on_ten_thousand_other_connections() {
    let mut world = World::new(22);
    let entry = world.node();
    let session = SessionId::random(&mut world.chance);
    let ask = OpenerAsk { purpose: Purpose::New, session, time: UnixTime(0), token: None };
    let own = Binding::Exporter([7; 32]);
    let key = &world.nodes[entry].invitation;
    let (text, _secrets) = seal_opener(key, &own, &ask, &mut world.chance).unwrap();
    let gates = &world.nodes[entry].gates;
    assert!(gates.admit(text.as_bytes(), &own).is_some());
    for _ in 0..10_000 {
        let other = Binding::Exporter(world.chance.bytes(32).try_into().unwrap());
        assert!(gates.admit(text.as_bytes(), &other).is_none());
    }
    assert!(gates.admit(text.as_bytes(), &Binding::Front).is_none());
}
