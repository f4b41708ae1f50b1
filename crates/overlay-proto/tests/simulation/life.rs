//! What time does to whole paths: idle circuits and streams, silent neighbours, lives that are over, keys that change
//! (ovl1 sections 6.4, 7.1, 12).

use super::flow::Server;
use super::pipe::way;
use super::world::{LineState, World, seconds};
use bytes::Bytes;
use shoalway_overlay_proto::Moment;
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::terms::{
    CircuitEvent, CircuitTerms, Destination, End, OpenRefused, ResetCode, StreamId,
};
use shoalway_overlay_proto::kdf::hash;
use shoalway_overlay_proto::link::terms::Code;
use shoalway_overlay_proto::record::{RecordKeys, Suite};
use shoalway_types::{Host, Target};
use std::time::Duration;

fn world(terms: CircuitTerms) -> (World, usize) {
    let mut world = World::new(9);
    world.terms = terms;
    let (entry, exit) = (world.node(), world.node());
    world.trunk(entry, exit, way(10, 20_000_000));
    let line = world.client(entry, way(10, 20_000_000));
    let port = world.standing(line, &[entry, exit]);
    (world, port)
}

/// What passes from now on until it is so.
fn time_until(world: &mut World, done: impl FnMut(&World) -> bool) -> Duration {
    let from = world.now;
    assert!(world.until(seconds(6 * 3600), done), "never");
    world.now.since(from)
}

fn within(time: Duration, least: u64, most: u64) -> bool {
    (seconds(least)..=seconds(most)).contains(&time)
}

#[test]
fn a_circuit_without_streams_is_closed_by_its_exit_after_its_idle_time() {
    let (mut world, port) = world(CircuitTerms::default());
    world.flow(port, 10, 10);
    world.finish(seconds(5));
    let time = time_until(&mut world, |world| world.ports[port].over().is_some());
    assert!(within(time, 13 * 60 - 1, 13 * 60 + 2), "{time:?}");
    assert_eq!(world.ports[port].over(), Some(Code::Idle));
    world.pass(seconds(1));
    for spot in world.spots() {
        assert_eq!(world.link(spot).unwrap().circuits(), 0);
        assert!(world.link(spot).unwrap().is_open(), "the links stay, for hours of silence");
    }
}

#[test]
fn streams_that_are_silent_half_closed_or_never_connected_end_in_their_time() {
    let (mut world, port) = world(CircuitTerms::default());
    let silent = world.flow(port, 1_000, 1_000);
    let half = world.flow(port, 0, 1_000);
    let never = world.flow_to(port, 10, 10, Server::Silent);
    for flow in [silent, half] {
        // Ten bytes at once, and no more for a very long time.
        world.flows[flow].down.pace = Some((seconds(100_000), 10));
        world.flows[flow].up.pace = Some((seconds(100_000), 10));
    }
    let mut ends = [Duration::ZERO; 3];
    for (flow, end) in [(never, 2), (half, 1), (silent, 0)] {
        ends[end] = time_until(&mut world, |world| world.flows[flow].reset[0].is_some());
    }
    assert!(within(ends[2], 15, 22), "connecting: {:?}", ends[2]);
    assert!(within(ends[2] + ends[1], 5 * 60, 5 * 60 + 35), "half closed: {ends:?}");
    assert!(within(ends[0] + ends[1] + ends[2], 15 * 60, 15 * 60 + 35), "silent: {ends:?}");
    let told = [never, half, silent].map(|flow| world.flows[flow].reset[0]);
    assert_eq!(told, [ResetCode::TimedOut, ResetCode::Cancelled, ResetCode::Cancelled].map(Some));
    assert!(world.ports[port].is_live(), "the circuit is none the worse");
}

#[test]
fn a_neighbour_that_fell_silent_is_noticed_within_a_minute() {
    for stopped in [0, 1] {
        let (mut world, port) = world(CircuitTerms::default());
        world.pass(seconds(40));
        let line = world.ports[port].spot.line;
        world.lines[line].sides[stopped].out.stopped = true;
        let time = time_until(&mut world, |world| world.lines[line].state == LineState::Over);
        assert!(within(time, 1, 60), "{time:?}");
        assert_eq!(world.ports[port].over(), Some(Code::LinkLost));
    }
}

#[test]
fn a_circuit_whose_life_is_over_takes_no_new_streams_and_ends_with_its_last() {
    let life = CircuitTerms { life: seconds(120), ..CircuitTerms::default() };
    let (mut world, port) = world(life);
    let long = world.flow(port, 400, 400);
    world.flows[long].up.pace = Some((seconds(1), 1));
    world.flows[long].down.pace = Some((seconds(1), 1));
    let time = time_until(&mut world, |world| world.ports[port].draining);
    // A little before the exit does, so that no OPEN comes too late.
    assert!(within(time, 100, 119), "{time:?}");
    let now = world.now;
    let refused = world.ports[port].end().unwrap().open(Destination::Directory, now);
    assert_eq!(refused, Err(OpenRefused::Draining));
    world.finish(seconds(500));
    assert!(world.flows[long].is_complete(), "the stream that was there ends in its own time");
    let time = time_until(&mut world, |world| world.ports.iter().all(|port| port.over().is_some()));
    assert!(within(time, 0, 2), "{time:?}");
    assert_eq!(world.ports[port].over(), Some(Code::TooOld));
}

#[test]
fn draining_ends_after_an_hour_although_streams_live() {
    let life = CircuitTerms { life: seconds(60), ..CircuitTerms::default() };
    let (mut world, port) = world(life);
    let long = world.flow(port, 100_000, 100_000);
    world.flows[long].up.pace = Some((seconds(60), 1));
    world.flows[long].down.pace = Some((seconds(60), 1));
    let time = time_until(&mut world, |world| world.flows[long].reset[0].is_some());
    assert!(within(time, 3600 + 40, 3600 + 62), "{time:?}");
    assert_eq!(world.flows[long].reset[0], Some(ResetCode::CircuitLost));
}

#[test]
fn keys_change_every_ten_minutes_and_nobody_notices() {
    let life = CircuitTerms { life: seconds(3600), ..CircuitTerms::default() };
    let (mut world, port) = world(life);
    let flow = world.flow(port, 400 * 1_000, 400 * 3_000);
    world.flows[flow].up.pace = Some((seconds(6), 1_000));
    world.flows[flow].down.pace = Some((seconds(6), 3_000));
    world.finish(seconds(3000));
    assert!(world.flows[flow].is_complete() && world.ports[port].is_live());
    // Over 40 minutes: each direction has changed its key three times at least, which the records show.
    assert!(world.now > Moment(0) + seconds(2_390), "{:?}", world.now);
}

#[test]
fn a_circuit_that_gets_no_valid_record_ends_after_ten_seconds_and_a_client_says_something_before() {
    let (mut world, port) = world(CircuitTerms::default());
    world.pass(seconds(60));
    assert!(world.ports[port].is_live(), "the client's first record came within a second");
    let exit = (0..world.ports.len()).find(|port| !world.is_client(*port)).unwrap();
    assert!(world.ports[exit].records >= 1);
    // A client that says nothing: its records are lost on the way.
    world.tamper = Some(Box::new(|_| Vec::new()));
    let line = world.ports[port].spot.line;
    let mute = world.circuit(line, &[0, 1]).unwrap();
    let time = time_until(&mut world, |world| world.ports[mute].over().is_some());
    assert!(within(time, 10, 11), "{time:?}");
    assert_eq!(world.ports[mute].over(), Some(Code::Idle));
}

/// Two ends without a path between them: these are many records.
#[test]
fn keys_change_after_65_536_records_in_both_directions_and_suites() {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        let keys = |word: &[u8]| RecordKeys { suite, secret: hash(&[word]).into() };
        let (to_exit, to_client, mut now) = (keys(b"there"), keys(b"back"), Moment(1));
        let new = |end, tx, rx| CircuitEnd::new(end, CircuitTerms::default(), tx, rx, Moment(1));
        let mut client = new(End::Client, &to_exit, &to_client);
        let mut exit = new(End::Exit, &to_client, &to_exit);
        let dest = Target::new(Host::parse("a.example").unwrap(), 443);
        let stream = client.open(Destination::Target(dest), now).unwrap();
        exit.receive(&client.transmit(20_000, now).unwrap(), now).unwrap();
        exit.opened(stream);
        client.receive(&exit.transmit(20_000, now).unwrap(), now).unwrap();
        // An opener takes no record 65,537 of a key: what arrives behind it came under the next one.
        for round in 0..65_700_u32 {
            now = now + Duration::from_micros(100);
            let byte = round.to_be_bytes()[3];
            carry(&mut client, &mut exit, byte, now);
            carry(&mut exit, &mut client, byte, now);
        }
    }
}

/// One byte in one record.
fn carry(from: &mut CircuitEnd, to: &mut CircuitEnd, byte: u8, now: Moment) {
    let stream = StreamId(1);
    assert_eq!(from.send(stream, &mut Bytes::copy_from_slice(&[byte])), 1);
    let record = from.transmit(20_000, now).unwrap();
    to.receive(&record, now).unwrap();
    let mut got = None;
    while let Some(event) = to.next_event() {
        if let CircuitEvent::Data { bytes, .. } = event {
            assert_eq!((got.replace(bytes[0]), bytes.len()), (None, 1));
            to.consumed(stream, 1, now);
        }
    }
    assert_eq!(got, Some(byte));
}
