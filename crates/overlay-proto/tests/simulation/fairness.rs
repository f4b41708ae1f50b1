//! Turns at a sender: clients before circuits, circuits before streams, and nobody starved (ovl1 section 8).

use super::pipe::{SOCKET, way};
use super::world::{World, seconds};
use std::time::Duration;

/// The rate of the line that everybody shares, in bytes a second.
const SHARED: u64 = 2_000_000;
/// What a quantum takes on it.
const QUANTUM: Duration = Duration::from_micros(16 * 1024 * 1_000_000 / SHARED);
/// What was written before and has to leave first.
const BEFORE: Duration = Duration::from_micros(SOCKET as u64 * 1_000_000 / SHARED);
const FOR_EVER: u64 = 1 << 40;

/// An entry whose trunk to the exit is what limits.
fn shared_trunk() -> (World, usize, usize) {
    let mut world = World::new(1);
    let (entry, exit) = (world.node(), world.node());
    world.trunk(entry, exit, way(10, SHARED));
    (world, entry, exit)
}

fn near(one: u64, other: u64) -> bool {
    one.max(other) * 5 <= one.min(other) * 6
}

#[test]
fn two_clients_of_one_entry_get_the_same_however_many_circuits_each_has() {
    for circuits in [1, 6] {
        let (mut world, entry, exit) = shared_trunk();
        let lines = [0; 2].map(|_: i32| world.client(entry, way(5, 20_000_000)));
        let one = world.standing(lines[0], &[entry, exit]);
        let one = world.flow(one, FOR_EVER, 0);
        let many: Vec<usize> = (0..circuits)
            .map(|_| {
                let port = world.standing(lines[1], &[entry, exit]);
                world.flow(port, FOR_EVER, 0)
            })
            .collect();
        world.pass(seconds(2));
        let got = |world: &World| {
            let many: u64 = many.iter().map(|flow| world.flows[*flow].up.got).sum();
            (world.flows[one].up.got, many)
        };
        let before = got(&world);
        world.pass(seconds(6));
        let after = got(&world);
        let (first, second) = (after.0 - before.0, after.1 - before.1);
        assert!(near(first, second), "{circuits} circuits: {first} and {second} bytes");
        assert!(first + second > SHARED * 5, "the line is full: {} bytes", first + second);
    }
}

#[test]
fn circuits_of_one_client_and_streams_of_one_circuit_get_the_same() {
    let (mut world, entry, exit) = shared_trunk();
    let line = world.client(entry, way(5, 20_000_000));
    let ports = [0; 3].map(|_: i32| world.standing(line, &[entry, exit]));
    // Downwards, so that it is the exit's turns: two streams in the first circuit, one in each other.
    let flows = [0, 0, 1, 2].map(|port| world.flow(ports[port], 0, FOR_EVER));
    world.pass(seconds(2));
    let before = flows.map(|flow| world.flows[flow].down.got);
    world.pass(seconds(6));
    let mut got = [0; 4];
    got.iter_mut()
        .zip(flows)
        .zip(before)
        .for_each(|((got, flow), before)| *got = world.flows[flow].down.got - before);
    assert!(near(got[0], got[1]), "streams: {got:?}");
    assert!(near(got[0] + got[1], got[2]) && near(got[2], got[3]), "circuits: {got:?}");
}

#[test]
fn a_small_flow_waits_a_few_quanta_and_no_more_behind_the_bulk_of_others() {
    let (mut world, entry, exit) = shared_trunk();
    let bulk = [0; 3].map(|_: i32| world.client(entry, way(5, 20_000_000)));
    for line in bulk {
        for _ in 0..2 {
            let port = world.standing(line, &[entry, exit]);
            world.flow(port, FOR_EVER, FOR_EVER);
        }
    }
    let line = world.client(entry, way(5, 20_000_000));
    let port = world.standing(line, &[entry, exit]);
    world.pass(seconds(3));
    let small = world.flow(port, 100 * 200, 100 * 200);
    world.flows[small].up.pace = Some((Duration::from_millis(20), 100));
    world.flows[small].down.pace = Some((Duration::from_millis(20), 100));
    assert!(world.until(seconds(10), |world| world.flows[small].is_complete()), "the small flow ends");
    let found = &world.flows[small];
    let (up, down) = (found.up.delays.iter().max().unwrap(), found.down.delays.iter().max().unwrap());
    let path = Duration::from_millis(15);
    // Up there are three clients in line before it; down there are six circuits.
    assert!(*up <= path + BEFORE + QUANTUM * 5, "up {up:?}");
    assert!(*down <= path + BEFORE + QUANTUM * 8, "down {down:?}");
}

#[test]
fn a_small_circuit_is_not_starved_by_the_bulk_of_its_own_client() {
    let mut world = World::new(2);
    let (entry, exit) = (world.node(), world.node());
    world.trunk(entry, exit, way(10, 50_000_000));
    // Here the client's own line limits, in both directions.
    let line = world.client(entry, way(10, SHARED));
    for _ in 0..3 {
        let port = world.standing(line, &[entry, exit]);
        world.flow(port, FOR_EVER, FOR_EVER);
    }
    let port = world.standing(line, &[entry, exit]);
    world.pass(seconds(3));
    let small = world.flow(port, 100 * 100, 100 * 100);
    world.flows[small].up.pace = Some((Duration::from_millis(20), 100));
    world.flows[small].down.pace = Some((Duration::from_millis(20), 100));
    assert!(world.until(seconds(10), |world| world.flows[small].is_complete()), "the small flow ends");
    let found = &world.flows[small];
    let worst = found.up.delays.iter().chain(&found.down.delays).max().unwrap();
    assert!(*worst <= Duration::from_millis(20) + BEFORE + QUANTUM * 5, "{worst:?}");
}
