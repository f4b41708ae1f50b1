//! Lines that are lost: a client's session goes on and loses nothing, a trunk takes its circuits with it (ovl1 sections
//! 9, 13).

use super::flow::Flow;
use super::pipe::way;
use super::world::{LineState, World, seconds};
use shoalway_overlay_proto::circuit::terms::ResetCode;
use shoalway_overlay_proto::link::terms::Code;
use std::time::Duration;

/// A client with circuits to two exits by one entry.
fn world(seed: u64) -> (World, usize, [usize; 2]) {
    let mut world = World::new(seed);
    let [entry, first, second] = [0; 3].map(|_: i32| world.node());
    world.trunk(entry, first, way(8, 30_000_000));
    world.trunk(entry, second, way(8, 30_000_000));
    let line = world.client(entry, way(12, 4_000_000));
    let ports = [first, second].map(|exit| world.standing(line, &[entry, exit]));
    (world, line, ports)
}

#[test]
fn a_session_that_is_cut_again_and_again_loses_and_doubles_nothing() {
    for seed in 0..10 {
        let (mut world, line, ports) = world(seed);
        for port in ports {
            world.flow(port, 700_000, 1_500_000);
            world.flow(port, 100, 100);
        }
        for _ in 0..8 {
            // Also while what was lost before is sent again.
            let up = world.chance.between(0, 150);
            world.pass(Duration::from_millis(up));
            world.cut(line);
            let down = world.chance.between(0, 3_000);
            world.pass(Duration::from_millis(down));
            world.resume(line);
        }
        world.finish(seconds(30));
        assert!(world.flows.iter().all(Flow::is_complete), "seed {seed}");
        assert_eq!(world.faults, [], "seed {seed}");
        // And the circuits are as good as before.
        world.flow(ports[0], 10, 10);
        world.finish(seconds(5));
    }
}

#[test]
fn an_accept_that_is_lost_again_and_again_costs_nothing() {
    let (mut world, line, ports) = world(8);
    let flow = world.flow(ports[0], 300_000, 300_000);
    world.pass(Duration::from_millis(60));
    for _ in 0..4 {
        world.cut(line);
        world.pass(seconds(1));
        world.resume(line);
        // The entry has let it in; ACCEPT takes 12 ms.
        world.pass(Duration::from_millis(6));
    }
    world.cut(line);
    world.resume(line);
    world.finish(seconds(10));
    assert!(world.flows[flow].is_complete() && world.ports[ports[0]].is_live());
}

#[test]
fn circuits_that_are_asked_for_ended_and_closed_around_a_cut_are_what_they_should_be_after_it() {
    for time in [0, 5, 12, 13, 20, 25, 33, 41, 50, 66] {
        let (mut world, line, ports) = world(time);
        let (entry, exit) = (0, 1);
        let asked = world.circuit(line, &[entry, exit]).unwrap();
        world.ports[ports[1]].end().unwrap().close(Code::Done, world.now);
        world.pass(Duration::from_millis(time));
        world.cut(line);
        world.pass(seconds(2));
        world.resume(line);
        assert!(world.until(seconds(2), |world| world.ports[asked].is_live()), "cut after {time} ms");
        world.flow(asked, 100_000, 100_000);
        world.flow(ports[0], 100_000, 100_000);
        world.finish(seconds(5));
        assert!(world.flows.iter().all(Flow::is_complete), "cut after {time} ms");
        assert!(world.ports[ports[1]].over() == Some(Code::Done) && world.faults.is_empty());
    }
}

#[test]
fn what_waits_during_a_cut_is_bounded() {
    let (mut world, line, ports) = world(3);
    for port in ports {
        world.flow(port, 0, 100_000_000);
        world.flow(port, 100_000_000, 0);
    }
    world.pass(seconds(1));
    world.cut(line);
    // The bounds are looked at in every step.
    world.pass(seconds(50));
    let before: u64 = world.flows.iter().map(|flow| flow.up.got + flow.down.got).sum();
    world.resume(line);
    world.pass(seconds(2));
    let after: u64 = world.flows.iter().map(|flow| flow.up.got + flow.down.got).sum();
    assert!(after > before + 4_000_000, "it goes on where it was");
}

#[test]
fn a_session_that_nobody_takes_up_ends_with_its_streams_told() {
    let (mut world, line, ports) = world(4);
    let flow = world.flow(ports[0], 0, 50_000_000);
    world.pass(seconds(1));
    world.cut(line);
    world.pass(seconds(60));
    world.end_line(line);
    world.pass(seconds(1));
    assert_eq!(world.flows[flow].reset, [Some(ResetCode::CircuitLost); 2]);
    assert_eq!(world.lines[line].state, LineState::Over);
    assert!(world.ports.iter().all(|port| port.over() == Some(Code::LinkLost)));
    let exits: usize =
        world.spots().filter(|spot| spot.line != line).map(|spot| world.link(spot).unwrap().circuits()).sum();
    assert_eq!(exits, 0, "and nothing is left of it at the trunks");
}

#[test]
fn a_trunk_that_is_lost_takes_its_circuits_with_it_and_no_others() {
    let (mut world, line, ports) = world(5);
    for port in ports {
        world.flow(port, 2_000_000, 2_000_000);
    }
    world.pass(Duration::from_millis(200));
    world.cut(0);
    world.finish(seconds(30));
    assert_eq!(world.flows[0].reset, [Some(ResetCode::CircuitLost); 2]);
    assert_eq!(world.ports[ports[0]].over(), Some(Code::LinkLost), "the code comes through unchanged");
    assert!(world.flows[1].is_complete(), "the other exit's circuit does not notice");
    assert_eq!(world.lines[line].state, LineState::Up);
    // A new trunk, and the exit is there again.
    world.trunk(0, 1, way(8, 30_000_000));
    let port = world.standing(line, &[0, 1]);
    world.flow(port, 1_000, 1_000);
    world.finish(seconds(5));
    assert!(world.flows[2].is_complete());
}
