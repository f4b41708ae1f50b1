//! Sessions: counts, acknowledgements, and going on after a cut.

use super::*;
use crate::link::terms::Code;

/// Both ends on a new link; what was on its way is lost.
fn reconnect(pair: &mut Pair) {
    let terms = LinkTerms::CLIENT;
    let fresh = |role| Link::new(LinkConfig::new(role, Kind::Client), pair.now, &mut rng(99));
    let dialer = std::mem::replace(&mut pair.dialer, fresh(Role::Dialer)).detach();
    let acceptor = std::mem::replace(&mut pair.acceptor, fresh(Role::Acceptor)).detach();
    let (theirs, ours) = (dialer.received(), acceptor.received());
    pair.acceptor.accept(Bytes::from(vec![1; 50]), terms, pair.now);
    pair.acceptor.attach(acceptor, theirs).unwrap();
    pair.carry(false, usize::MAX);
    assert!(matches!(pair.dialer.next_event(), Some(LinkEvent::Accept(_))));
    pair.dialer.attach(dialer, ours).unwrap();
    pair.dialer.open(terms, None, pair.now).unwrap();
}

fn records(link: &mut Link) -> Vec<u8> {
    let came = events(link);
    came.iter()
        .filter_map(
            |event| if let LinkEvent::Data { record, .. } = event { record.first().copied() } else { None },
        )
        .collect()
}

#[test]
fn what_was_lost_with_a_link_is_sent_again_on_the_next() {
    let mut pair = Pair::new(Kind::Client, 1);
    let circ = pair.circuit(0);
    for mark in 0..10 {
        pair.dialer.data(circ, Bytes::from(vec![mark; 900 + usize::from(mark)])).unwrap();
    }
    pair.carry(true, 3000);
    let mut came = records(&mut pair.acceptor);
    assert!(!came.is_empty() && came.len() < 10);
    // The rest is written and lost; an answer too.
    said(&mut pair.dialer, pair.now);
    pair.acceptor.data(circ, Bytes::from(vec![77; 5000])).unwrap();
    said(&mut pair.acceptor, pair.now);
    reconnect(&mut pair);
    assert_eq!(records(&mut pair.dialer), [77]);
    // Cut again in the middle of sending again.
    pair.carry(true, 2000);
    came.extend(records(&mut pair.acceptor));
    said(&mut pair.dialer, pair.now);
    reconnect(&mut pair);
    pair.settle();
    came.extend(records(&mut pair.acceptor));
    assert_eq!(came, (0..10).collect::<Vec<u8>>());
    assert!(records(&mut pair.dialer).is_empty());
    assert_eq!(pair.dialer.circuits(), 1);
}

#[test]
fn a_frame_of_which_half_came_is_not_counted() {
    let mut pair = Pair::new(Kind::Client, 1);
    let circ = pair.circuit(0);
    let before = pair.acceptor.received();
    pair.dialer.data(circ, Bytes::from(vec![5; 3000])).unwrap();
    let mut stream = BytesMut::new();
    pair.dialer.transmit(pair.now, usize::MAX, &mut |piece| stream.extend_from_slice(&piece));
    pair.acceptor.receive(stream.split_to(1500).freeze(), pair.now).unwrap();
    assert_eq!(pair.acceptor.received(), before);
    reconnect(&mut pair);
    pair.settle();
    assert_eq!(records(&mut pair.acceptor), [5]);
    assert_eq!(pair.acceptor.received(), before + 3007);
}

#[test]
fn an_acknowledgement_is_due_after_128_kib_or_a_second() {
    let mut pair = Pair::new(Kind::Client, 1);
    let circ = pair.circuit(0);
    let acks = |link: &mut Link, now| {
        said(link, now)
            .iter()
            .filter(|(kind, ..)| *kind == 6)
            .map(|(_, _, body)| body.clone())
            .collect::<Vec<_>>()
    };
    pair.dialer.data(circ, Bytes::from(vec![1; 100])).unwrap();
    pair.carry(true, usize::MAX);
    assert_eq!(acks(&mut pair.acceptor, pair.now), Vec::<Bytes>::new());
    assert_eq!(pair.acceptor.deadline(), Some(after(pair.now, 1)));
    pair.acceptor.tick(after(pair.now, 1));
    assert!(pair.acceptor.wants_transmit());
    assert_eq!(acks(&mut pair.acceptor, pair.now), [pair.acceptor.received().to_be_bytes().to_vec()]);
    for _ in 0..9 {
        pair.dialer.data(circ, Bytes::from(vec![1; 16_000])).unwrap();
        pair.carry(true, usize::MAX);
    }
    assert_eq!(acks(&mut pair.acceptor, pair.now).len(), 1);
}

#[test]
fn a_sender_stops_at_two_mebibytes_that_are_not_acknowledged() {
    let mut link = open_with(
        LinkConfig::new(Role::Acceptor, Kind::Client),
        LinkTerms { hop_window: 1 << 20, ..LinkTerms::CLIENT },
    );
    for circ in [5, 6, 7] {
        link.receive(frame(0x10, circ, &[0; 3912]), START).unwrap();
        link.created(CircId(circ), Bytes::from(vec![0; 1200])).unwrap();
        for _ in 0..60 {
            link.data(CircId(circ), Bytes::from(vec![1; 16_000])).unwrap();
        }
    }
    let sequenced = |link: &mut Link| -> usize {
        let sent = said(link, START);
        sent.iter().filter(|(kind, ..)| *kind >= 0x10).map(|(_, _, body)| 7 + body.len()).sum()
    };
    let first = sequenced(&mut link);
    assert!((2_080_000..=2 << 20).contains(&first), "{first}");
    assert_eq!(sequenced(&mut link), 0);
    // Control is not held up.
    link.receive(frame(4, 0, &[0; 8]), START).unwrap();
    assert_eq!(said(&mut link, START).len(), 1);
    link.receive(frame(6, 0, &100_000_u64.to_be_bytes()), START).unwrap();
    let second = sequenced(&mut link);
    assert!(second > 80_000 && second <= 100_000 + (2 << 20) - first, "{second}");
    assert!(link.buffered() < 3_100_000);
}

#[test]
fn counts_that_cannot_be_are_faults() {
    let mut pair = Pair::new(Kind::Client, 1);
    pair.circuit(0);
    let sent: u64 = 7 + 3912;
    for count in [0, 100, sent, sent] {
        pair.dialer.receive(frame(6, 0, &count.to_be_bytes()), pair.now).unwrap();
    }
    assert!(pair.dialer.receive(frame(6, 0, &(sent - 100).to_be_bytes()), pair.now).is_err(), "going back");
    let mut pair = Pair::new(Kind::Client, 1);
    pair.circuit(0);
    assert!(pair.dialer.receive(frame(6, 0, &(sent + 1).to_be_bytes()), pair.now).is_err(), "never sent");
    let mut pair = Pair::new(Kind::Trunk, 1);
    pair.circuit(0);
    assert!(pair.dialer.receive(frame(6, 0, &sent.to_be_bytes()), pair.now).is_err(), "a trunk has no count");

    for (count, fine) in [(0, true), (100, true), (sent, true), (sent + 1, false)] {
        let mut pair = Pair::new(Kind::Client, 1);
        pair.circuit(0);
        let mut next = Link::new(LinkConfig::new(Role::Dialer, Kind::Client), START, &mut rng(1));
        assert_eq!(next.attach(pair.dialer.detach(), count).is_ok(), fine, "{count}");
    }
    // After an acknowledgement the bytes before it are gone.
    let mut pair = Pair::new(Kind::Client, 1);
    pair.circuit(0);
    pair.dialer.receive(frame(6, 0, &sent.to_be_bytes()), pair.now).unwrap();
    let mut next = Link::new(LinkConfig::new(Role::Dialer, Kind::Client), START, &mut rng(1));
    let fault = next.attach(pair.dialer.detach(), 100).unwrap_err();
    assert_eq!((fault.received, fault.from, fault.to), (100, sent, sent));
}

#[test]
fn a_neighbour_that_ignores_the_window_of_the_session_is_at_fault() {
    let mut link = open_link(Role::Acceptor, Kind::Client);
    link.receive(frame(0x10, 5, &[0; 3912]), START).unwrap();
    link.created(CircId(5), Bytes::from(vec![0; 1200])).unwrap();
    // Late frames of circuits that are gone count too. Our ACKs are not transmitted.
    link.destroy(CircId(5), Code::Busy, START);
    let faults = (0..200).find_map(|_| link.receive(frame(0x12, 5, &[0; 16_352]), START).err());
    assert_eq!(faults, Some(LinkFault::Window));
}
