//! Whole networks by chance: every byte arrives once and in order, or its stream ends with a code.

use super::flow::{Flow, Reading, Server};
use super::pipe::{Way, way};
use super::world::{World, seconds};
use shoalway_overlay_proto::circuit::terms::ResetCode;
use std::time::Duration;

/// Two entries, two middles, three exits, and a trunk wherever a path may go.
pub struct Network {
    pub world: World,
    pub entries: Vec<usize>,
    pub middles: Vec<usize>,
    pub exits: Vec<usize>,
}

fn any_way(world: &mut World) -> Way {
    way(world.chance.between(0, 60), world.chance.between(200_000, 20_000_000))
}

impl Network {
    pub fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let mut some = |count| (0..count).map(|_| world.node()).collect::<Vec<_>>();
        let (entries, middles, exits) = (some(2), some(2), some(3));
        for entry in &entries {
            for next in middles.iter().chain(&exits) {
                let way = any_way(&mut world);
                world.trunk(*entry, *next, way);
            }
        }
        for middle in &middles {
            for exit in &exits {
                let way = any_way(&mut world);
                // Some are dialled the other way round: circuits go in both directions of a trunk.
                if world.chance.one_in(2) {
                    world.trunk(*middle, *exit, way);
                } else {
                    world.trunk(*exit, *middle, way);
                }
            }
        }
        world.pass(seconds(1));
        Self { world, entries, middles, exits }
    }

    /// A client with a circuit, of two hops or of three.
    fn client(&mut self) -> usize {
        let entry = self.entries[self.world.chance.between(0, 1) as usize];
        let exit = self.exits[self.world.chance.between(0, 2) as usize];
        let middle = self.middles[self.world.chance.between(0, 1) as usize];
        let way = any_way(&mut self.world);
        let line = self.world.client(entry, way);
        let path = if self.world.chance.one_in(2) { vec![entry, exit] } else { vec![entry, middle, exit] };
        self.world.standing(line, &path)
    }

    fn some_flow(&mut self, port: usize) -> usize {
        let chance = &mut self.world.chance;
        let size = |chance: &mut super::chance::Chance| match chance.between(0, 3) {
            0 => 0,
            1 => chance.between(1, 500),
            2 => chance.between(1, 40_000),
            _ => chance.between(1, 600_000),
        };
        let (up, down) = (size(chance), size(chance));
        let server = match chance.between(0, 9) {
            0 => Server::Refuses(ResetCode::Refused),
            _ => Server::Accepts,
        };
        let (slow, paced) = (chance.one_in(4), chance.one_in(4));
        let flow = self.world.flow_to(port, up, down, server);
        let found = &mut self.world.flows[flow];
        if slow {
            found.down.reading = Reading::Slowly { every: Duration::from_millis(3), bytes: 9_000 };
        }
        if paced {
            found.up.pace = Some((Duration::from_millis(7), 5_000));
        }
        flow
    }
}

#[test]
fn every_byte_arrives_once_and_in_order_or_its_stream_ends_with_a_code() {
    for seed in 0..8 {
        let mut network = Network::new(seed);
        let clients: Vec<usize> = (0..4).map(|_| network.client()).collect();
        let mut given_up = Vec::new();
        for round in 0..3 {
            for client in &clients {
                let flow = network.some_flow(*client);
                if network.world.chance.one_in(8) {
                    given_up.push(flow);
                }
            }
            let time = network.world.chance.between(0, 400);
            network.world.pass(Duration::from_millis(time));
            if round == 1 {
                given_up.drain(..).for_each(|flow| network.world.give_up(flow));
            }
        }
        network.world.finish(seconds(120));
        let world = &network.world;
        assert_eq!(world.faults, [], "seed {seed}");
        for flow in &world.flows {
            let as_it_should = match (flow.server, flow.reset[0]) {
                (Server::Refuses(code), Some(told)) => code == told || told == ResetCode::Cancelled,
                (Server::Accepts, Some(told)) => told == ResetCode::Cancelled,
                (Server::Accepts, None) => flow.is_complete(),
                (Server::Refuses(_) | Server::Silent, _) => false,
            };
            assert!(as_it_should, "seed {seed}: {:?}", flow.reset);
        }
        assert!(world.flows.iter().filter(|flow| flow.is_complete()).count() >= 6, "seed {seed}");
        assert!(clients.iter().all(|client| world.ports[*client].is_live()), "no circuit is lost");
    }
}

#[test]
fn a_path_of_three_hops_carries_what_one_of_two_carries() {
    for path in [vec![0, 2], vec![0, 1, 2]] {
        let mut world = World::new(5);
        let nodes: Vec<usize> = (0..3).map(|_| world.node()).collect();
        for (from, to) in [(0, 1), (1, 2), (0, 2)] {
            world.trunk(nodes[from], nodes[to], way(10, 50_000_000));
        }
        let line = world.client(nodes[0], way(10, 50_000_000));
        let port = world.standing(line, &path);
        world.flow(port, 300_000, 2_000_000);
        world.finish(seconds(20));
        assert!(world.flows.iter().all(Flow::is_complete));
    }
}

#[test]
fn many_streams_of_one_circuit_end_one_by_one_and_leave_nothing() {
    let mut world = World::new(6);
    let (entry, exit) = (world.node(), world.node());
    world.trunk(entry, exit, way(5, 20_000_000));
    let line = world.client(entry, way(5, 20_000_000));
    let port = world.standing(line, &[entry, exit]);
    for round in 0..6 {
        for flow in 0..20 {
            world.flow(port, 1_000 * flow, 3_000 * round);
        }
        world.finish(seconds(10));
        world.pass(seconds(1));
    }
    assert!(world.flows.iter().all(Flow::is_complete));
    world.pass(seconds(2));
    let exit_port = world.flows[0].exit.unwrap();
    for port in [port, exit_port] {
        assert_eq!(world.ports[port].end().unwrap().streams(), 0);
    }
    for spot in world.spots() {
        assert_eq!(world.link(spot).unwrap().buffered(), 0, "nothing waits, all is acknowledged");
    }
}
