//! How records pass: windows, turns, order, pieces, memory.

use super::*;
use crate::link::terms::{Code, NotTaken};
use std::collections::BTreeMap;

fn record(length: usize, mark: u8) -> Bytes {
    Bytes::from(vec![mark; length])
}

#[test]
fn a_sender_without_credit_waits_and_goes_on_when_bytes_were_released() {
    let mut pair = Pair::new(Kind::Trunk, 1);
    let circ = pair.circuit(0);
    for mark in 0..32 {
        pair.dialer.data(circ, record(16_000, mark)).unwrap();
    }
    pair.settle();
    let came =
        |link: &mut Link| events(link).iter().filter(|event| matches!(event, LinkEvent::Data { .. })).count();
    // 16 of 16,000 bytes fit into 256 KiB.
    assert_eq!(came(&mut pair.acceptor), 16);
    let told: usize = events(&mut pair.dialer)
        .iter()
        .map(|event| if let LinkEvent::Sent { bytes, .. } = event { *bytes } else { 0 })
        .sum();
    assert_eq!(told, 16 * 16_000);
    pair.acceptor.released(circ, 4 * 16_000, pair.now);
    pair.settle();
    assert_eq!(came(&mut pair.acceptor), 0, "less than a quarter is not granted yet");
    pair.acceptor.released(circ, 16_000, pair.now);
    pair.settle();
    assert_eq!(came(&mut pair.acceptor), 5);
    // Whoever releases more than came grants no more than that.
    pair.acceptor.released(circ, usize::MAX, after(pair.now, 9));
    pair.settle();
    assert_eq!(came(&mut pair.acceptor), 11);
}

#[test]
fn a_record_goes_through_a_link_without_being_copied() {
    let mut link = open_link(Role::Acceptor, Kind::Client);
    link.receive(frame(0x10, 5, &[0; 3912]), START).unwrap();
    link.created(CircId(5), Bytes::from(vec![0; 1200])).unwrap();
    said(&mut link, START);
    events(&mut link);
    let chunk = frame(0x12, 5, &[7; 16_352]);
    let there = chunk.as_ptr().addr() + 7;
    link.receive(chunk, START).unwrap();
    let Some(LinkEvent::Data { circ, record }) = link.next_event() else { panic!("no record") };
    assert_eq!(record.as_ptr().addr(), there);
    link.data(circ, record).unwrap();
    let mut pieces = Vec::new();
    link.transmit(START, usize::MAX, &mut |piece| pieces.push(piece));
    assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [7, 16_352]);
    assert_eq!(pieces[1].as_ptr().addr(), there);
}

#[test]
fn small_frames_share_a_piece_and_none_is_longer_than_a_frame_of_http2() {
    let mut pair = Pair::new(Kind::Client, 1);
    let circ = pair.circuit(0);
    for length in [17, 100, 4000, 4095, 4000, 4000, 4096, 20] {
        pair.dialer.data(circ, record(length, 1)).unwrap();
    }
    let mut pieces = Vec::new();
    pair.dialer.transmit(pair.now, usize::MAX, &mut |piece: Bytes| pieces.push(piece.len()));
    // Where a buffer ends, a piece does.
    let large = pieces.iter().position(|length| *length == 4096).unwrap();
    assert_eq!(pieces[large + 1..], [27]);
    assert_eq!(pieces[..large].iter().sum::<usize>(), 7 * 7 + 17 + 100 + 4000 + 4095 + 4000 + 4000);
    assert!((2..=3).contains(&large), "{pieces:?}");
}

#[test]
fn creates_of_two_and_three_hops_are_the_same_bytes_of_one_piece() {
    for (length, frames_of_it) in [(3912, 2), (5084, 1)] {
        let mut link = open_link(Role::Dialer, Kind::Client);
        let circ = link.create(record(length, 9), 0, START, &mut rng(1)).unwrap();
        let mut pieces = Vec::new();
        link.transmit(START, usize::MAX, &mut |piece| pieces.push(piece));
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [5091]);
        let sent = frames(pieces.remove(0));
        assert_eq!((sent.len(), &sent[0]), (frames_of_it, &(0x10, circ.0, record(length, 9))));
        assert!(sent[1..].iter().all(|sent| *sent == (0, 0, record(1165, 0))));
        // When it is sent again on another link, it looks the same.
        let mut again = Link::new(LinkConfig::new(Role::Dialer, Kind::Client), START, &mut rng(2));
        again.receive(frame(1, 0, &[1; 50]), START).unwrap();
        again.attach(link.detach(), 0).unwrap();
        again.open(LinkTerms::CLIENT, None, START).unwrap();
        again.transmit(START, usize::MAX, &mut |piece| pieces.push(piece));
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [5091]);
        assert_eq!(frames(pieces.remove(0)), sent);
    }
    let mut trunk = open_link(Role::Dialer, Kind::Trunk);
    trunk.create(record(3912, 9), 0, START, &mut rng(1)).unwrap();
    assert_eq!(said(&mut trunk, START).len(), 1, "no PAD between nodes");
}

#[test]
fn control_goes_first_then_circuits_then_credit_then_records() {
    let mut link = open_link(Role::Acceptor, Kind::Client);
    for circ in [5, 6] {
        link.receive(frame(0x10, circ, &[0; 3912]), START).unwrap();
    }
    link.created(CircId(5), record(1200, 0)).unwrap();
    said(&mut link, START);
    for _ in 0..9 {
        link.receive(frame(0x12, 5, &[0; 16_000]), START).unwrap();
    }
    link.data(CircId(5), record(100, 0)).unwrap();
    link.released(CircId(5), 128 * 1024, START);
    link.created(CircId(6), record(1200, 0)).unwrap();
    link.receive(frame(4, 0, &[3; 8]), START).unwrap();
    let order: Vec<u8> = said(&mut link, START).iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(order, [0x05, 0x06, 0x11, 0x13, 0x12]);
}

#[test]
fn clients_get_equal_shares_and_so_do_the_circuits_of_one() {
    let mut link = open_with(
        LinkConfig { group_limit: usize::MAX, ..LinkConfig::new(Role::Dialer, Kind::Trunk) },
        LinkTerms { hop_window: 1 << 20, ..LinkTerms::TRUNK },
    );
    // One client with one circuit and large records, one with eight, one with small records.
    let (mut owner, mut circuits_of) = (BTreeMap::new(), Vec::new());
    for (group, circuits, length) in [(1_u32, 1, 16_352), (2, 8, 5000), (3, 2, 90)] {
        for _ in 0..circuits {
            let circ = link.create(
                record(2740, 0),
                group,
                START,
                &mut rng(u64::from(group) * 100 + owner.len() as u64),
            );
            let circ = circ.unwrap();
            said(&mut link, START);
            link.receive(frame(0x11, circ.0, &[0; 1200]), START).unwrap();
            owner.insert(circ.0, group);
            circuits_of.push((circ, length));
        }
    }
    for (circ, length) in circuits_of {
        for _ in 0..1_000_000 / length {
            link.data(circ, record(length, 0)).unwrap();
        }
    }
    let mut per_group = BTreeMap::<u32, usize>::new();
    let mut per_circuit = BTreeMap::<u32, usize>::new();
    let mut order = Vec::new();
    let mut stream = BytesMut::new();
    link.transmit(START, 2_000_000, &mut |piece| stream.extend_from_slice(&piece));
    for (kind, circ, body) in frames(stream.freeze()) {
        assert_eq!(kind, 0x12);
        *per_group.entry(owner[&circ]).or_default() += 7 + body.len();
        *per_circuit.entry(circ).or_default() += 7 + body.len();
        order.push(circ);
        // At every moment no client is further ahead of another than a turn and what a turn may leave over.
        if order.len() > 200 {
            let (most, least) = (per_group.values().max().unwrap(), per_group.values().min().unwrap());
            assert!(most - least <= 2 * 16_384 + 16_359, "{per_group:?}");
        }
    }
    for group in [2, 3] {
        let shares: Vec<usize> =
            per_circuit.iter().filter_map(|(circ, bytes)| (owner[circ] == group).then_some(*bytes)).collect();
        let (most, least) = (shares.iter().max().unwrap(), shares.iter().min().unwrap());
        assert!(most - least <= 2 * 16_384 + 16_359, "{shares:?}");
    }
}

#[test]
fn a_client_that_comes_late_waits_for_one_turn_of_each_other() {
    let mut pair = Pair::new(Kind::Trunk, 1);
    let (busy, late) = (pair.circuit(1), pair.circuit(2));
    for _ in 0..15 {
        pair.dialer.data(busy, record(16_352, 0)).unwrap();
    }
    pair.carry(true, 1);
    pair.dialer.data(late, record(50, 0)).unwrap();
    let order: Vec<u32> = said(&mut pair.dialer, START).iter().map(|(_, circ, _)| *circ).collect();
    assert!(order.iter().position(|circ| *circ == late.0).unwrap() <= 1, "{order:?}");
}

#[test]
fn a_client_over_its_memory_loses_its_largest_circuit_and_nobody_else_does() {
    let mut link = open_with(
        LinkConfig { group_limit: 100_000, ..LinkConfig::new(Role::Dialer, Kind::Trunk) },
        LinkTerms::TRUNK,
    );
    let mut open = |group, seed| {
        let circ = link.create(record(2740, 0), group, START, &mut rng(seed)).unwrap();
        said(&mut link, START);
        link.receive(frame(0x11, circ.0, &[0; 1200]), START).unwrap();
        circ
    };
    let (large, small, other) = (open(1, 1), open(1, 2), open(2, 3));
    events(&mut link);
    link.data(other, record(16_000, 0)).unwrap();
    for _ in 0..4 {
        link.data(large, record(15_000, 0)).unwrap();
        assert_eq!(events(&mut link), []);
    }
    for _ in 0..3 {
        link.data(small, record(15_000, 0)).unwrap();
    }
    assert_eq!(events(&mut link), [LinkEvent::Destroyed { circ: large, code: Code::Busy }]);
    assert_eq!(link.data(large, record(100, 0)), Err(NotTaken::Unknown));
    assert_eq!(link.buffered(), 16_000 + 3 * 15_000 + 4 * 64);
    // The node's own bound is kept by ending the largest of all.
    assert_eq!(link.shed(), 3 * (15_000 + 64));
    assert_eq!(events(&mut link), [LinkEvent::Destroyed { circ: small, code: Code::Busy }]);
    assert_eq!(link.shed(), 16_064);
    assert_eq!((link.shed(), link.buffered(), link.circuits()), (0, 0, 0));
    let ends: Vec<(u8, Bytes)> =
        said(&mut link, START).into_iter().map(|(kind, _, body)| (kind, body)).collect();
    assert_eq!(ends, vec![(0x14, Bytes::from_static(&[5])); 3]);
}

#[test]
fn circuits_asked_for_on_a_trunk_are_not_one_client() {
    let config = LinkConfig { group_limit: 100_000, ..LinkConfig::new(Role::Acceptor, Kind::Trunk) };
    let mut exit = open_with(config, LinkTerms::TRUNK);
    for circ in 1..=20 {
        exit.receive(frame(0x10, circ, &[0; 2740]), START).unwrap();
        exit.created(CircId(circ), record(1200, 0)).unwrap();
        exit.data(CircId(circ), record(16_000, 0)).unwrap();
    }
    assert_eq!((exit.circuits(), exit.buffered()), (20, 20 * 16_064));
    assert!(events(&mut exit).iter().all(|event| matches!(event, LinkEvent::Create { .. })));
}

#[test]
fn nothing_is_taken_that_cannot_be_sent() {
    let mut pair = Pair::new(Kind::Trunk, 1);
    let circ = pair.circuit(0);
    for length in [0, 16, 16_353] {
        assert_eq!(pair.dialer.data(circ, record(length, 0)), Err(NotTaken::Length));
    }
    assert_eq!(pair.dialer.data(CircId(circ.0 ^ 1), record(100, 0)), Err(NotTaken::Unknown));
    let taken = (0..100).take_while(|_| pair.dialer.data(circ, record(16_352, 0)).is_ok()).count();
    assert_eq!(taken, (1 << 20) / 16_352);
    assert_eq!(pair.dialer.data(circ, record(16_352, 0)), Err(NotTaken::Full));
    let bad = pair.dialer.create(record(2741, 0), 0, START, &mut rng(1));
    assert_eq!(bad, Err(NotTaken::Length));
}

#[test]
fn a_circuit_that_is_done_sends_what_waits_and_one_that_failed_does_not() {
    for (code, passes) in [(Code::Done, 30), (Code::LinkLost, 0)] {
        let mut pair = Pair::new(Kind::Trunk, 1);
        let circ = pair.circuit(0);
        for mark in 0..30 {
            pair.dialer.data(circ, record(16_352, mark)).unwrap();
        }
        pair.dialer.destroy(circ, code, pair.now);
        let mut came = 0;
        loop {
            pair.settle();
            let told = events(&mut pair.acceptor);
            if let Some(LinkEvent::Destroyed { code: last, .. }) = told.last() {
                came += told.len() - 1;
                assert_eq!(*last, code);
                break;
            }
            came += told.len();
            pair.acceptor.released(circ, told.len() * 16_352, after(pair.now, 1));
        }
        assert_eq!(came, passes, "{code:?}");
        assert_eq!((pair.dialer.circuits(), pair.acceptor.circuits(), pair.dialer.buffered()), (0, 0, 0));
    }
    // Nobody waits for ever.
    let mut pair = Pair::new(Kind::Trunk, 1);
    let circ = pair.circuit(0);
    for _ in 0..30 {
        pair.dialer.data(circ, record(16_352, 0)).unwrap();
    }
    pair.dialer.destroy(circ, Code::Done, pair.now);
    pair.settle();
    pair.dialer.tick(after(pair.now, 10));
    assert_eq!((pair.dialer.circuits(), pair.dialer.buffered()), (0, 0));
    assert_eq!(said(&mut pair.dialer, pair.now), [(0x14, circ.0, Bytes::from_static(&[0]))]);
}

#[test]
fn an_end_is_told_when_it_may_write_again() {
    let mut pair = Pair::new(Kind::Trunk, 1);
    let circ = pair.circuit(0);
    let mut written = 0;
    while pair.dialer.writable(circ) >= 16_352 {
        pair.dialer.data(circ, record(16_352, 0)).unwrap();
        written += 1;
    }
    assert_eq!(written, 4, "64 KiB in line");
    pair.settle();
    let told = events(&mut pair.dialer);
    assert_eq!(told, [LinkEvent::Sent { circ, bytes: 4 * 16_352 }, LinkEvent::Writable(circ)]);
    // The hop window is used up: told when there is credit.
    while pair.dialer.writable(circ) >= 16_352 {
        pair.dialer.data(circ, record(16_352, 0)).unwrap();
        pair.settle();
        events(&mut pair.dialer);
    }
    assert_eq!(events(&mut pair.dialer), []);
    pair.acceptor.released(circ, 1 << 20, after(pair.now, 1));
    pair.settle();
    assert_eq!(events(&mut pair.dialer), [LinkEvent::Writable(circ)]);
}
