//! Neighbours that keep to no rule: what they do is theirs alone, and no other link's circuit notices (ovl1 sections 5,
//! 8, 13).

use super::chance::Chance;
use super::flow::{Course, Flow, Server};
use super::node::NETWORK;
use super::pipe::way;
use super::world::{LineState, Speaker, Spot, World, seconds};
use bytes::{BufMut, Bytes, BytesMut};
use rand_core::Rng as _;
use shoalway_overlay_proto::circuit::terms::{ResetCode, StreamId};
use shoalway_overlay_proto::create::{HopKey, Offer, PendingCircuit, ReadyCircuit, Suites, build};
use shoalway_overlay_proto::link::terms::{Code, Kind, LinkFault};
use shoalway_overlay_proto::record::{Last, Sealer};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A frame by hand.
fn frame(kind: u8, circ: u32, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(kind);
    out.put_u32(circ);
    out.put_u16(body.len() as u16);
    out.extend_from_slice(body);
    out.freeze()
}

/// An entry with two exits and a client that uses both, without an end.
struct Scene {
    world: World,
    entry: usize,
    exits: [usize; 2],
    ports: [usize; 2],
}

fn scene(seed: u64) -> Scene {
    let mut world = World::new(seed);
    let [entry, one, other] = [0; 3].map(|_: i32| world.node());
    let exits = [one, other];
    for exit in exits {
        world.trunk(entry, exit, way(5, 20_000_000));
    }
    let line = world.client(entry, way(5, 20_000_000));
    let ports = exits.map(|exit| world.standing(line, &[entry, exit]));
    Scene { world, entry, exits, ports }
}

impl Scene {
    fn flows(&mut self) {
        for port in self.ports {
            self.world.flow(port, 400_000, 1_000_000);
        }
    }

    /// All that the honest client asked for has come, and its circuits stand.
    #[track_caller]
    fn is_unharmed(&mut self) {
        self.world.finish(seconds(20));
        let mut honest = self.world.flows.iter().filter(|flow| flow.server == Server::Accepts);
        assert!(honest.all(Flow::is_complete), "a flow was harmed");
        assert!(self.ports.iter().all(|port| self.world.ports[*port].is_live()), "a circuit was harmed");
    }
}

/// Frames whose heads are right more often than not, and what is no frame at all.
fn nonsense(chance: &mut Chance) -> Bytes {
    let kinds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15];
    let lengths = [0, 1, 3, 4, 8, 9, 17, 50, 207, 300, 1200, 2740, 3912, 5084, 16_352];
    let pick = |chance: &mut Chance, from: &[u32]| from[chance.between(0, from.len() as u64 - 1) as usize];
    if chance.one_in(30) {
        let length = chance.between(1, 500) as usize;
        return Bytes::from(chance.bytes(length));
    }
    let kind = pick(chance, &kinds);
    let right: &[u32] = match kind {
        3 => &[3],
        4..=6 => &[8],
        7 => &[9],
        0x10 => &[2740, 3912, 5084],
        0x11 => &[1200],
        0x12 => &[17, 300, 16_352],
        0x13 => &[4],
        0x14 => &[1],
        _ => &lengths,
    };
    let length = if chance.one_in(40) { pick(chance, &lengths) } else { pick(chance, right) };
    let circ = if kind < 0x10 { 0 } else { pick(chance, &[1, 2, 3, 0x8000_0001, chance_id(length)]) };
    let body = if chance.one_in(2) { vec![0; length as usize] } else { chance.bytes(length as usize) };
    frame(kind as u8, circ, &body)
}

const fn chance_id(length: u32) -> u32 {
    length.wrapping_mul(0x9e37_79b9) | 1
}

#[test]
fn clients_and_nodes_that_talk_nonsense_end_their_own_links_and_no_others() {
    let mut faults = 0;
    for seed in 0..24 {
        let mut scene = scene(seed);
        let (entry, kind) = (scene.entry, if seed % 3 == 0 { Kind::Client } else { Kind::Trunk });
        let side = usize::from(seed % 3 == 2);
        let puppet = scene.world.puppet(side, entry, kind, way(1, 20_000_000));
        scene.flows();
        for _ in 0..60 {
            let said = nonsense(&mut scene.world.chance);
            scene.world.say(puppet, said);
            scene.world.pass(Duration::from_millis(2));
        }
        scene.is_unharmed();
        faults += scene.world.faults.len();
        assert!(scene.world.faults.iter().all(|(spot, _)| *spot == puppet.far()), "seed {seed}");
    }
    assert!(faults >= 20, "{faults} of 24 were found out");
}

#[test]
fn floods_of_frames_that_are_permitted_one_by_one_harm_nobody() {
    let flood: [fn(u32) -> Bytes; 5] = [
        // Ends of circuits that were never there, and of one that is not the sender's.
        |n| frame(0x14, n | 1, &[0]),
        |n| frame(0x13, n | 1, &u32::MAX.to_be_bytes()),
        // CREATEs that nobody can open.
        |n| frame(0x10, n + 1, &[0; 3912]),
        |_| frame(4, 0, &[0; 8]),
        |_| frame(7, 0, &[4, 0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (number, frames) in flood.into_iter().enumerate() {
        for kind in [Kind::Client, Kind::Trunk] {
            let mut scene = scene(number as u64);
            let entry = scene.entry;
            let puppet = scene.world.puppet(0, entry, kind, way(1, 20_000_000));
            scene.flows();
            for n in 0..3_000 {
                scene.world.say(puppet, frames(n));
            }
            scene.is_unharmed();
        }
    }
}

#[test]
fn each_broken_rule_of_a_link_ends_that_link_by_its_name() {
    let create = |circ| frame(0x10, circ, &[0; 3912]);
    for (kind, side, said, fault) in [
        (Kind::Client, 0, vec![frame(0x12, 5, &[0; 17])], LinkFault::Id("a circuit that is not there")),
        (Kind::Client, 0, vec![create(5), create(5)], LinkFault::Id("CREATE with an id that is not free")),
        (Kind::Client, 0, vec![frame(0x15, 5, &[])], LinkFault::Type(0x15)),
        (Kind::Client, 0, vec![frame(1, 0, &[0; 50])], LinkFault::Order("a second proof")),
        (Kind::Client, 0, vec![frame(5, 0, &[0; 8])], LinkFault::Order("PONG without PING")),
        (Kind::Client, 0, vec![frame(6, 0, &[255; 8])], LinkFault::Field("ACK")),
        (Kind::Trunk, 0, vec![create(0x8000_0005)], LinkFault::Id("CREATE with an id that is not free")),
        (Kind::Trunk, 1, vec![create(5)], LinkFault::Id("CREATE with an id that is not free")),
        (Kind::Trunk, 0, vec![frame(6, 0, &[0; 8])], LinkFault::Order("ACK on a trunk")),
        (Kind::Trunk, 1, vec![frame(4, 0, &[0; 8])], LinkFault::Order("PING to a dialer")),
    ] {
        let mut scene = scene(1);
        let entry = scene.entry;
        let puppet = scene.world.puppet(side, entry, kind, way(1, 20_000_000));
        scene.flows();
        said.into_iter().for_each(|said| scene.world.say(puppet, said));
        scene.is_unharmed();
        assert_eq!(scene.world.faults, [(puppet.far(), fault)]);
        assert_eq!(scene.world.lines[puppet.line].state, LineState::Over);
    }
}

#[test]
fn a_relay_that_changes_repeats_swaps_or_drops_records_ends_the_circuit_and_no_byte_of_it_is_believed() {
    let held = RefCell::new(None);
    let held = Rc::new(held);
    for evil in 0..4 {
        let mut scene = scene(evil);
        let (mut count, held) = (0, Rc::clone(&held));
        let tamper = move |record: Bytes| {
            count += 1;
            if count != 12 {
                return held
                    .borrow_mut()
                    .take()
                    .map_or_else(|| vec![record.clone()], |before| vec![record.clone(), before]);
            }
            match evil {
                0 => {
                    let mut changed = BytesMut::from(record);
                    changed[20] ^= 1;
                    vec![changed.freeze()]
                }
                1 => vec![record.clone(), record],
                2 => {
                    *held.borrow_mut() = Some(record);
                    Vec::new()
                }
                _ => Vec::new(),
            }
        };
        let other = scene.world.flow(scene.ports[1], 0, 500_000);
        scene.world.finish(seconds(5));
        scene.world.tamper = Some(Box::new(tamper));
        let flow = scene.world.flow(scene.ports[0], 1_000_000, 1_000_000);
        scene.world.finish(seconds(20));
        assert_eq!(scene.world.flows[flow].reset, [Some(ResetCode::CircuitLost); 2]);
        assert_eq!(scene.world.ports[scene.ports[0]].over(), Some(Code::Protocol));
        assert!(scene.world.flows[other].is_complete() && scene.world.ports[scene.ports[1]].is_live());
        assert!(scene.world.faults.is_empty(), "the links are none the worse");
        let (again, after) = (scene.ports[1], scene.exits[1]);
        assert!(scene.world.trunk_to(scene.entry, scene.world.nodes[after].address).is_some());
        scene.world.flow(again, 1_000, 1_000);
        scene.world.finish(seconds(5));
    }
}

/// A client of the test's own: it makes a circuit by hand, and has its keys.
struct Rogue {
    scene: Scene,
    puppet: Spot,
    circ: u32,
}

impl Rogue {
    fn new() -> (Self, ReadyCircuit) {
        let mut scene = scene(3);
        let entry = scene.entry;
        let puppet = scene.world.puppet(0, entry, Kind::Client, way(1, 100_000_000));
        let (create, pending) = asked(&mut scene);
        let mut rogue = Self { scene, puppet, circ: 7 };
        rogue.scene.world.say(puppet, frame(0x10, rogue.circ, &create));
        rogue.scene.world.pass(seconds(1));
        let [(0x11, 7, created)] = &rogue.heard()[..] else { panic!("CREATED") };
        let ready = pending.created(created).unwrap();
        (rogue, ready)
    }

    /// The frames that came since the last look: type, circuit, body.
    fn heard(&mut self) -> Vec<(u8, u32, Bytes)> {
        let side = &mut self.scene.world.lines[self.puppet.line].sides[self.puppet.side];
        let Speaker::Puppet(heard) = &mut side.speaker else { panic!("a puppet") };
        let (mut stream, mut frames) = (std::mem::take(heard).freeze(), Vec::new());
        while let [kind, a, b, c, d, high, low, ..] = stream[..] {
            let body = stream.split_to(7 + usize::from(u16::from_be_bytes([high, low]))).slice(7..);
            frames.push((kind, u32::from_be_bytes([a, b, c, d]), body));
        }
        frames.retain(|(kind, ..)| ![0, 6].contains(kind));
        frames
    }

    fn record(&mut self, record: &[u8]) {
        let said = frame(0x12, self.circ, record);
        self.scene.world.say(self.puppet, said);
    }

    /// How the circuit ended for it.
    fn end(&mut self) -> Option<Code> {
        let heard = self.heard();
        let destroy = heard.iter().find(|(kind, ..)| *kind == 0x14)?;
        Code::from_u8(destroy.2[0])
    }
}

fn asked(scene: &mut Scene) -> (Vec<u8>, PendingCircuit) {
    let hops: Vec<HopKey> =
        [scene.entry, scene.exits[0]].iter().map(|node| scene.world.nodes[*node].hop.clone()).collect();
    build(&NETWORK, &hops, &Offer { suites: Suites::BOTH, token: &[] }, &mut scene.world.chance).unwrap()
}

#[test]
fn more_records_than_the_entry_granted_end_the_circuit_there() {
    let (mut rogue, ready) = Rogue::new();
    let mut sealer = Sealer::new(&ready.tx, rogue.scene.world.now);
    // Much over 256 KiB, before any of it can leave for the exit.
    for _ in 0..40 {
        let mut record = BytesMut::from(&frame(0, 0, &[0; 16_000])[..]);
        sealer.seal(&mut record, 0, Last::Frame, rogue.scene.world.now).unwrap();
        rogue.record(&record);
    }
    rogue.scene.flows();
    rogue.scene.is_unharmed();
    assert_eq!(rogue.end(), Some(Code::Protocol));
    assert!(rogue.scene.world.faults.is_empty(), "a fault of the circuit, not of the link");
}

#[test]
fn more_bytes_of_a_stream_than_the_exit_granted_end_the_circuit_there() {
    let (mut rogue, ready) = Rogue::new();
    let mut sealer = Sealer::new(&ready.tx, rogue.scene.world.now);
    let mut say = |rogue: &mut Rogue, frames: &[u8]| {
        let now = rogue.scene.world.now;
        let mut record = BytesMut::from(frames);
        sealer.seal(&mut record, 0, Last::Frame, now).unwrap();
        rogue.record(&record);
        rogue.scene.world.pass(Duration::from_millis(50));
    };
    // A stream to a server that is silent: what comes for it is kept.
    let number = rogue.scene.world.flows.len();
    let down = Course::new(0, 0);
    let mut up = Course::new(1 << 30, number as u64 * 977);
    up.sent = 1 << 30;
    let bytes = up.pattern(0, 400_000, &rogue.scene.world.table);
    rogue.scene.world.flows.push(Flow {
        client: rogue.scene.ports[0],
        exit: None,
        stream: StreamId(1),
        server: Server::Silent,
        opened: false,
        up,
        down,
        reset: [Some(ResetCode::Cancelled), None],
    });
    let name = format!("f{number}.example");
    let open = [&[3, name.len() as u8][..], name.as_bytes(), &[1, 187], &[0, 4, 0, 0]].concat();
    let mut record = BytesMut::from(&frame(1, 1, &open)[..]);
    let rest = 384 - record.len() - 7;
    record.extend_from_slice(&frame(0, 0, &vec![0; rest]));
    say(&mut rogue, &record);
    for (n, part) in bytes.chunks(16_000).enumerate() {
        assert_eq!(rogue.end(), None, "after {n} records");
        say(&mut rogue, &frame(3, 1, part));
        if rogue.scene.world.flows[number].up.held > 250_000 {
            break;
        }
    }
    assert_eq!(rogue.end(), None, "within its window");
    say(&mut rogue, &frame(3, 1, &bytes[256_000..272_000]));
    assert_eq!(rogue.end(), Some(Code::Protocol));
    rogue.scene.flows();
    rogue.scene.is_unharmed();
}

#[test]
fn nobody_makes_a_circuit_of_one_hop_or_to_a_node_that_is_not_there() {
    let mut scene = scene(4);
    let entry = scene.entry;
    let puppet = scene.world.puppet(0, entry, Kind::Client, way(1, 100_000_000));
    let stranger = scene.world.node();
    let hop = |scene: &Scene, node: usize| scene.world.nodes[node].hop.clone();
    let offer = Offer { suites: Suites::BOTH, token: &[] };
    let exit = scene.exits[0];
    let unknown = [hop(&scene, entry), hop(&scene, stranger)];
    let to_itself = [hop(&scene, entry), hop(&scene, entry)];
    let other_key = [HopKey { id: [1; 4], ..hop(&scene, entry) }, hop(&scene, exit)];
    let mut rogue = Rogue { scene, puppet, circ: 0 };
    for (path, code) in
        [(unknown, Code::UnknownNext), (to_itself, Code::UnknownNext), (other_key, Code::UnknownKey)]
    {
        let (create, _) = build(&NETWORK, &path, &offer, &mut rogue.scene.world.chance).unwrap();
        rogue.circ = rogue.scene.world.chance.next_u32() | 1;
        rogue.scene.world.say(puppet, frame(0x10, rogue.circ, &create));
        rogue.scene.world.pass(seconds(1));
        assert_eq!(rogue.end(), Some(code));
    }
    // What is meant for an exit, given to the entry by a client itself.
    let (create, _) = asked(&mut rogue.scene);
    rogue.scene.world.say(puppet, frame(0x10, 99, &create));
    rogue.scene.world.pass(seconds(1));
    let exit_part = rogue.scene.world.creates.last().unwrap().1.clone();
    assert_eq!(exit_part.len(), 2740);
    rogue.heard();
    rogue.scene.world.say(puppet, frame(0x10, 101, &exit_part));
    rogue.scene.world.pass(seconds(1));
    assert_eq!(rogue.end(), Some(Code::UnknownKey));
    rogue.scene.flows();
    rogue.scene.is_unharmed();
}
