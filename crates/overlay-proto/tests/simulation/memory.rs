//! Who does not read: applications, clients. What waits for them is bounded, and nobody else waits (ovl1 section 8).

use super::check::CLIENT_LINK;
use super::flow::{Flow, Reading};
use super::pipe::way;
use super::world::{Spot, World, seconds};
use shoalway_overlay_proto::link::terms::Code;

const FOR_EVER: u64 = 1 << 40;

fn world() -> (World, usize, usize) {
    let mut world = World::new(11);
    let (entry, exit) = (world.node(), world.node());
    world.trunk(entry, exit, way(5, 100_000_000));
    (world, entry, exit)
}

#[test]
fn an_application_that_does_not_read_fills_its_own_window_and_no_other() {
    let (mut world, entry, exit) = world();
    let line = world.client(entry, way(5, 100_000_000));
    let port = world.standing(line, &[entry, exit]);
    let lazy = world.flow(port, FOR_EVER, FOR_EVER);
    world.flows[lazy].down.reading = Reading::Never;
    world.flows[lazy].up.reading = Reading::Never;
    world.pass(seconds(2));
    let held = |world: &World| [world.flows[lazy].up.held, world.flows[lazy].down.held];
    assert_eq!(held(&world), [256 * 1024; 2], "the window it began with, to the byte");
    let quick = world.flow(port, 3_000_000, 3_000_000);
    assert!(world.until(seconds(10), |world| world.flows[quick].is_complete()), "beside it all goes on");
    assert_eq!(held(&world), [256 * 1024; 2]);
    // Five such streams take the whole window of the circuit; then nobody sends, and a reader sets them free.
    let more: Vec<usize> = (0..4).map(|_| world.flow(port, 0, FOR_EVER)).collect();
    more.iter().for_each(|flow| world.flows[*flow].down.reading = Reading::Never);
    let last = world.flow(port, 0, 1_000_000);
    world.pass(seconds(5));
    let before = world.flows[last].down.got;
    for flow in more {
        world.flows[flow].down.reading = Reading::AtOnce;
    }
    assert!(world.until(seconds(20), |world| world.flows[last].is_complete()), "{before} bytes before");
}

#[test]
fn a_reader_that_is_slow_gets_all_of_it_at_its_own_pace() {
    let (mut world, entry, exit) = world();
    let line = world.client(entry, way(5, 100_000_000));
    let port = world.standing(line, &[entry, exit]);
    let slow = world.flow(port, 0, 2_000_000);
    let reading = Reading::Slowly { every: std::time::Duration::from_millis(10), bytes: 10_000 };
    world.flows[slow].down.reading = reading;
    world.finish(seconds(10));
    assert!(world.flows.iter().all(Flow::is_complete));
}

#[test]
fn a_client_that_does_not_read_its_link_has_its_bound_and_costs_nobody_else() {
    let (mut world, entry, exit) = world();
    let (hoarder, other) =
        (world.client(entry, way(5, 100_000_000)), world.client(entry, way(5, 100_000_000)));
    // Each circuit may have 256 KiB on its way to an entry: these are 11 MiB.
    for _ in 0..44 {
        let port = world.standing(hoarder, &[entry, exit]);
        world.flow(port, 0, FOR_EVER);
    }
    let port = world.standing(other, &[entry, exit]);
    world.lines[hoarder].sides[1].out.stopped = true;
    let at_entry = Spot { line: hoarder, side: 1 };
    let mut most = 0;
    for _ in 0..10 {
        world.pass(seconds(1));
        most = most.max(world.link(at_entry).unwrap().buffered());
    }
    // That no bound is passed is looked at in every step.
    assert!(most > CLIENT_LINK / 2 && most <= CLIENT_LINK, "{most} bytes");
    let shed = world.ended.iter().filter(|(spot, _, code)| *spot == at_entry && *code == Code::Busy).count();
    assert!((1..44).contains(&shed), "{shed} circuits were ended");
    let quick = world.flow(port, 2_000_000, 2_000_000);
    assert!(world.until(seconds(5), |world| world.flows[quick].is_complete()), "the other client is served");
    assert!(world.flows[quick].reset[0].is_none() && world.ports[port].is_live());
}

#[test]
fn what_a_client_sends_into_a_trunk_that_stands_still_has_its_bound_too() {
    let (mut world, entry, exit) = world();
    let other_exit = world.node();
    world.trunk(entry, other_exit, way(5, 100_000_000));
    let (hoarder, other) =
        (world.client(entry, way(5, 100_000_000)), world.client(entry, way(5, 100_000_000)));
    for _ in 0..44 {
        let port = world.standing(hoarder, &[entry, exit]);
        world.flow(port, FOR_EVER, 0);
    }
    let port = world.standing(other, &[entry, other_exit]);
    let trunk = Spot { line: 0, side: 0 };
    world.lines[trunk.line].sides[trunk.side].out.stopped = true;
    let mut most = 0;
    for _ in 0..10 {
        world.pass(seconds(1));
        most = most.max(world.link(trunk).unwrap().buffered());
    }
    assert!((4 << 20..=8 << 20).contains(&most), "{most} bytes");
    assert!(world.ended.iter().any(|(spot, _, code)| *spot == trunk && *code == Code::Busy));
    let quick = world.flow(port, 2_000_000, 2_000_000);
    assert!(world.until(seconds(5), |world| world.flows[quick].is_complete()), "the other client is served");
}

#[test]
fn on_a_long_and_fast_line_a_session_has_two_mebibytes_on_their_way_and_no_more() {
    let (mut world, entry, exit) = world();
    let line = world.client(entry, way(400, 100_000_000));
    let ports: Vec<usize> = (0..12).map(|_| world.standing(line, &[entry, exit])).collect();
    for port in ports {
        world.flow(port, 1_000_000, 1_000_000);
    }
    let from = world.now;
    // 12 MB in each direction: with 2 MiB a round trip of 800 ms these take about five seconds.
    world.finish(seconds(60));
    assert!(world.flows.iter().all(Flow::is_complete) && world.faults.is_empty());
    let time = world.now.since(from);
    assert!((seconds(4)..seconds(12)).contains(&time), "{time:?}");
}
