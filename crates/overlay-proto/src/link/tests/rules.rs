//! What a neighbour may do and when; what is a fault of the link, what of a circuit, what is dropped.

use super::*;
use crate::link::dir::DirKind;
use crate::link::terms::{Code, NotTaken};

#[test]
fn nothing_but_the_proof_is_taken_before_the_proof() {
    for other in [(0_u8, 0_u32, 0_usize), (4, 0, 8), (0x13, 5, 4), (2, 0, 207), (6, 0, 8)] {
        let mut dialer = Link::new(LinkConfig::new(Role::Dialer, Kind::Client), START, &mut rng(1));
        let (kind, circ, length) = other;
        let fault = dialer.receive(frame(kind, circ, &vec![0; length]), START).unwrap_err();
        assert!(matches!(fault, LinkFault::Order(_)), "{kind:#x}: {fault}");

        let mut acceptor = Link::new(LinkConfig::new(Role::Acceptor, Kind::Trunk), START, &mut rng(1));
        acceptor.accept(Bytes::from(vec![1; 50]), LinkTerms::TRUNK, START);
        let taken = acceptor.receive(frame(kind, circ, &vec![0; length]), START);
        assert_eq!(taken.is_ok(), kind == 2, "{kind:#x}");
    }
    let mut acceptor = Link::new(LinkConfig::new(Role::Acceptor, Kind::Client), START, &mut rng(1));
    assert!(acceptor.receive(frame(0, 0, &[]), START).is_err(), "a client that does not wait for ACCEPT");
}

#[test]
fn a_link_says_nothing_else_before_its_proof_was_checked() {
    let mut link = Link::new(LinkConfig::new(Role::Dialer, Kind::Trunk), START, &mut rng(1));
    assert_eq!(link.create(Bytes::from(vec![0; 2740]), 1, START, &mut rng(2)), Err(NotTaken::Closing));
    assert_eq!(link.dir_get(DirKind::Newest, 0, START), Err(NotTaken::Closing));
    link.pad(5);
    assert!(said(&mut link, START).is_empty());
    // What comes behind ACCEPT in the same chunk and in the next is read after the check.
    let mut chunk = BytesMut::from(&frame(1, 0, &[9; 50])[..]);
    chunk.extend_from_slice(&frame(0x10, 1 << 31 | 7, &[3; 2740]));
    link.receive(chunk.freeze(), START).unwrap();
    link.receive(frame(0x14, 1 << 31 | 7, &[0]), START).unwrap();
    assert_eq!(events(&mut link).len(), 1);
    link.open(LinkTerms::TRUNK, Some(Bytes::from(vec![2; 207])), START).unwrap();
    let circ = CircId(1 << 31 | 7);
    assert_eq!(
        events(&mut link),
        [
            LinkEvent::Create { circ, body: Bytes::from(vec![3; 2740]) },
            LinkEvent::Destroyed { circ, code: Code::Done },
        ]
    );
    assert_eq!(said(&mut link, START), [(2, 0, Bytes::from(vec![2; 207]))]);
}

#[test]
fn a_proof_that_does_not_come_ends_the_link() {
    let mut dialer = Link::new(LinkConfig::new(Role::Dialer, Kind::Client), START, &mut rng(1));
    assert_eq!(dialer.deadline(), Some(after(START, 10)));
    dialer.tick(after(START, 9));
    assert_eq!(dialer.next_event(), None);
    dialer.tick(after(START, 10));
    assert_eq!((events(&mut dialer), dialer.deadline()), (vec![LinkEvent::Dead], None));
    let mut acceptor = Link::new(LinkConfig::new(Role::Acceptor, Kind::Trunk), START, &mut rng(1));
    acceptor.accept(Bytes::from(vec![1; 50]), LinkTerms::TRUNK, START);
    assert_eq!(acceptor.deadline(), Some(after(START, 5)));
    acceptor.tick(after(START, 5));
    assert_eq!(events(&mut acceptor), [LinkEvent::Dead]);
}

/// What a link makes of frames: nothing is wrong, the link is at fault, or the circuit.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    Link,
    Circuit,
}

fn verdict(link: &mut Link, sent: &[Bytes], circ: u32) -> Verdict {
    for bytes in sent {
        if link.receive(bytes.clone(), START).is_err() {
            assert_eq!(
                said(link, START),
                [(3, 0, Bytes::from_static(&[1, 0, 0]))],
                "GOAWAY 1 and nothing else"
            );
            assert!(link.receive(frame(0, 0, &[]), START).is_err(), "a link at fault stays so");
            return Verdict::Link;
        }
    }
    let ended = events(link).contains(&LinkEvent::Destroyed { circ: CircId(circ), code: Code::Protocol });
    let told = said(link, START).contains(&(0x14, circ, Bytes::from_static(&[1])));
    assert_eq!(ended, told);
    if ended { Verdict::Circuit } else { Verdict::Fine }
}

#[test]
fn a_circuit_the_neighbour_asked_for_takes_what_fits_its_state() {
    let create = frame(0x10, 5, &[0; 3912]);
    let data = frame(0x12, 5, &[0; 100]);
    let credit = |bytes: u32| frame(0x13, 5, &bytes.to_be_bytes());
    let table: &[(&str, bool, &[Bytes], Verdict)] = &[
        ("data", true, std::slice::from_ref(&data), Verdict::Fine),
        ("credit", true, &[credit(1)], Verdict::Fine),
        ("credit up to 1 MiB", true, &[credit(768 * 1024)], Verdict::Fine),
        ("credit over it", true, &[credit(768 * 1024 + 1)], Verdict::Circuit),
        ("credit of nothing", true, &[credit(0)], Verdict::Circuit),
        ("credit that overflows", true, &[credit(u32::MAX)], Verdict::Circuit),
        ("created by the wrong end", true, &[frame(0x11, 5, &[0; 1200])], Verdict::Circuit),
        ("the window", true, &vec![frame(0x12, 5, &[0; 16_384 - 32]); 16], Verdict::Fine),
        ("over the window", true, &vec![frame(0x12, 5, &[0; 16_384 - 32]); 17], Verdict::Circuit),
        ("created twice", true, std::slice::from_ref(&create), Verdict::Link),
        ("destroyed", true, &[frame(0x14, 5, &[0])], Verdict::Fine),
        ("late data", true, &[frame(0x14, 5, &[0]), data.clone(), credit(0)], Verdict::Fine),
        ("created again while frames are late", true, &[frame(0x14, 5, &[0]), create.clone()], Verdict::Link),
        ("data before CREATED", false, std::slice::from_ref(&data), Verdict::Circuit),
        ("credit before CREATED", false, &[credit(1)], Verdict::Circuit),
        ("destroyed before CREATED", false, &[frame(0x14, 5, &[4])], Verdict::Fine),
        ("data of another circuit", true, &[frame(0x12, 6, &[0; 100])], Verdict::Link),
        ("credit of another circuit", true, &[frame(0x13, 6, &[0, 0, 0, 1])], Verdict::Link),
        ("end of another circuit", true, &[frame(0x14, 6, &[0])], Verdict::Link),
        ("a second ACCEPT", true, &[frame(1, 0, &[0; 50])], Verdict::Link),
        ("a second NODE_AUTH", true, &[frame(2, 0, &[0; 207])], Verdict::Link),
        ("GOAWAY of no code", true, &[frame(3, 0, &[12, 0, 0])], Verdict::Link),
        ("CREATE after GOAWAY", true, &[frame(3, 0, &[0, 0, 9]), frame(0x10, 8, &[0; 3912])], Verdict::Link),
        ("data after GOAWAY", true, &[frame(3, 0, &[0, 0, 9]), data.clone()], Verdict::Fine),
        ("PING", true, &[frame(4, 0, &[0; 8])], Verdict::Fine),
        ("many PINGs", true, &vec![frame(4, 0, &[0; 8]); 9], Verdict::Link),
        ("PONG to an acceptor", true, &[frame(5, 0, &[0; 8])], Verdict::Link),
        ("PAD", true, &[frame(0, 0, &[1, 2, 3])], Verdict::Fine),
        ("DIR_GET", true, &[frame(7, 0, &[5, 0, 0, 0, 0, 0, 0, 0, 0])], Verdict::Fine),
        ("DIR_GET of no kind", true, &[frame(7, 0, &[6, 0, 0, 0, 0, 0, 0, 0, 0])], Verdict::Link),
        ("DIR_GET twice", true, &vec![frame(7, 0, &[5, 0, 0, 0, 0, 0, 0, 0, 0]); 2], Verdict::Link),
        ("DIR_DATA unasked", true, &[frame(8, 0, &[5, 1])], Verdict::Link),
    ];
    for kind in [Kind::Client, Kind::Trunk] {
        for (name, answered, sent, expected) in table {
            let mut link = open_link(Role::Acceptor, kind);
            link.receive(frame(0x10, 5, &[0; 3912]), START).unwrap();
            assert_eq!(events(&mut link).len(), 1);
            if *answered {
                link.created(CircId(5), Bytes::from(vec![0; 1200])).unwrap();
                assert_eq!(said(&mut link, START).len(), 1);
                assert_eq!(link.created(CircId(5), Bytes::from(vec![0; 1200])), Err(NotTaken::Unknown));
            }
            assert_eq!(verdict(&mut link, sent, 5), *expected, "{name} on {kind:?}");
        }
    }
    // A code that does not exist ends the circuit like any other fault of it; it needs no answer.
    let mut link = open_link(Role::Acceptor, Kind::Client);
    link.receive(frame(0x10, 5, &[0; 3912]), START).unwrap();
    link.receive(frame(0x14, 5, &[12]), START).unwrap();
    assert_eq!(events(&mut link)[1], LinkEvent::Destroyed { circ: CircId(5), code: Code::Protocol });
    assert_eq!(said(&mut link, START), []);
}

#[test]
fn an_own_circuit_takes_what_fits_its_state() {
    let table: &[(&str, bool, u8, usize, Verdict)] = &[
        ("CREATED", false, 0x11, 1200, Verdict::Fine),
        ("DATA before CREATED", false, 0x12, 100, Verdict::Circuit),
        ("CREDIT before CREATED", false, 0x13, 4, Verdict::Circuit),
        ("CREATED twice", true, 0x11, 1200, Verdict::Circuit),
        ("DATA", true, 0x12, 100, Verdict::Fine),
    ];
    for (name, created, kind, length, expected) in table {
        let mut link = open_link(Role::Dialer, Kind::Client);
        let circ = link.create(Bytes::from(vec![0; 3912]), 0, START, &mut rng(3)).unwrap();
        said(&mut link, START);
        if *created {
            link.receive(frame(0x11, circ.0, &[0; 1200]), START).unwrap();
        }
        let sent = [frame(*kind, circ.0, &vec![1; *length])];
        assert_eq!(verdict(&mut link, &sent, circ.0), *expected, "{name}");
    }
    let mut client = open_link(Role::Dialer, Kind::Client);
    assert!(client.receive(frame(0x10, 5, &[0; 2740]), START).is_err(), "CREATE to a client");
    let mut dialer = open_link(Role::Dialer, Kind::Client);
    assert!(dialer.receive(frame(4, 0, &[0; 8]), START).is_err(), "PING to a dialer");
}

#[test]
fn the_ends_of_a_trunk_take_their_ids_from_two_halves() {
    for (role, own_bit) in [(Role::Dialer, 0), (Role::Acceptor, 1 << 31)] {
        let (mut link, mut chance) = (open_link(role, Kind::Trunk), rng(8));
        for _ in 0..50 {
            let circ = link.create(Bytes::from(vec![0; 2740]), 1, START, &mut chance).unwrap();
            assert_eq!(circ.0 & 1 << 31, own_bit);
        }
        assert!(link.receive(frame(0x10, 9 | own_bit, &[0; 2740]), START).is_err(), "an id of this half");
        let mut link = open_link(role, Kind::Trunk);
        link.receive(frame(0x10, 9 | own_bit ^ 1 << 31, &[0; 2740]), START).unwrap();
    }
    let mut entry = open_link(Role::Acceptor, Kind::Client);
    assert_eq!(entry.create(Bytes::from(vec![0; 2740]), 1, START, &mut rng(1)), Err(NotTaken::Closing));
    for circ in [1, 1 << 31 | 1] {
        entry.receive(frame(0x10, circ, &[0; 3912]), START).unwrap();
    }
}

#[test]
fn late_frames_are_dropped_for_ten_seconds_and_as_long_as_our_destroy_is_not_acknowledged() {
    let data = frame(0x12, 5, &[0; 100]);
    let gone = |kind| {
        let mut link = open_link(Role::Acceptor, kind);
        link.receive(frame(0x10, 5, &[0; 3912]), START).unwrap();
        link.created(CircId(5), Bytes::from(vec![0; 1200])).unwrap();
        link.destroy(CircId(5), Code::Busy, START);
        assert_eq!(said(&mut link, START).last().unwrap(), &(0x14, 5, Bytes::from_static(&[5])));
        link
    };
    let mut trunk = gone(Kind::Trunk);
    trunk.tick(Moment(after(START, 10).0 - 1));
    trunk.receive(data.clone(), START).unwrap();
    trunk.tick(after(START, 10));
    assert!(trunk.receive(data.clone(), START).is_err());

    // The client's link is so slow that our DESTROY has not reached it.
    let mut client = gone(Kind::Client);
    client.tick(after(START, 30));
    client.receive(data.clone(), START).unwrap();
    let sequenced = 7 + 1200 + 7 + 1_u64;
    client.receive(frame(6, 0, &sequenced.to_be_bytes()), START).unwrap();
    client.tick(after(START, 30));
    assert!(client.receive(data, START).is_err());
}

#[test]
fn creates_over_the_rate_or_the_number_of_circuits_are_answered_with_busy() {
    let mut client = open_with(
        LinkConfig::new(Role::Acceptor, Kind::Client),
        LinkTerms { max_circuits: 200, hop_window: 1 },
    );
    let ask = |link: &mut Link, circ: u32, now| {
        link.receive(frame(0x10, circ, &[0; 3912]), now).unwrap();
        !said(link, now).contains(&(0x14, circ, Bytes::from_static(&[5])))
    };
    assert_eq!((1..=150).filter(|circ| ask(&mut client, *circ, START)).count(), 128);
    assert_eq!((1001..=1009).filter(|circ| ask(&mut client, *circ, after(START, 2))).count(), 8);
    assert_eq!((2001..=2100).filter(|circ| ask(&mut client, *circ, after(START, 30))).count(), 64);
    assert_eq!(client.circuits(), 200);
    let created = events(&mut client);
    assert_eq!(created.len(), 200, "refused ones are not told");

    let mut trunk = open_with(LinkConfig::new(Role::Acceptor, Kind::Trunk), LinkTerms::TRUNK);
    assert_eq!((1..=1100).filter(|circ| ask(&mut trunk, *circ, START)).count(), 1000);

    // The own end keeps to the same rate and number.
    let mut own = open_link(Role::Dialer, Kind::Client);
    let mut chance = rng(5);
    let made =
        (0..200).filter(|_| own.create(Bytes::from(vec![0; 3912]), 0, START, &mut chance).is_ok()).count();
    assert_eq!((made, own.circuits()), (128, 128));
}

#[test]
fn a_neighbour_that_asks_and_never_reads_ends_its_link() {
    let mut link = open_link(Role::Acceptor, Kind::Trunk);
    let fault = (1..1_000_000_u32).find_map(|circ| link.receive(frame(0x10, circ, &[0; 2740]), START).err());
    assert_eq!(fault, Some(LinkFault::Rate("CREATE without reading the answers")));
}

#[test]
fn a_circuit_that_is_not_answered_ends() {
    for (kind, seconds) in [(Kind::Client, 10), (Kind::Trunk, 12)] {
        let mut link = open_link(Role::Dialer, kind);
        let circ = link.create(Bytes::from(vec![0; 3912]), 0, START, &mut rng(3)).unwrap();
        said(&mut link, START);
        assert_eq!(link.deadline(), Some(after(START, seconds)));
        link.tick(after(START, seconds));
        let ended = LinkEvent::Destroyed { circ, code: Code::NextUnreachable };
        assert_eq!(events(&mut link), [ended]);
        assert_eq!(said(&mut link, START), [(0x14, circ.0, Bytes::from_static(&[0]))]);
        // The answer comes late.
        link.receive(frame(0x11, circ.0, &[0; 1200]), START).unwrap();
        assert_eq!(events(&mut link), []);
    }
}

#[test]
fn the_dialer_asks_for_a_sign_of_life_and_a_silent_neighbour_is_dead() {
    let mut dialer = open_link(Role::Dialer, Kind::Trunk);
    assert_eq!(dialer.deadline(), Some(after(START, 30)));
    dialer.tick(after(START, 30));
    let ping = said(&mut dialer, after(START, 30));
    assert_eq!((ping.len(), ping[0].0), (1, 4));
    assert_eq!(dialer.deadline(), Some(after(START, 50)));
    dialer.receive(frame(5, 0, &ping[0].2), after(START, 33)).unwrap();
    assert_eq!(dialer.round_trip(), Some(Duration::from_secs(3)));
    assert_eq!(dialer.deadline(), Some(after(START, 60)));
    dialer.tick(after(START, 60));
    let second = said(&mut dialer, after(START, 60));
    assert_ne!(second[0].2, ping[0].2);
    dialer.tick(after(START, 80));
    assert_eq!(events(&mut dialer), [LinkEvent::Dead]);

    let mut wrong = open_link(Role::Dialer, Kind::Trunk);
    assert!(wrong.receive(frame(5, 0, &[0; 8]), START).is_err(), "PONG without PING");

    let mut acceptor = open_link(Role::Acceptor, Kind::Client);
    acceptor.receive(frame(4, 0, &[6; 8]), after(START, 20)).unwrap();
    assert_eq!(said(&mut acceptor, after(START, 20)), [(5, 0, Bytes::from_static(&[6; 8]))]);
    acceptor.tick(after(START, 79));
    assert_eq!(events(&mut acceptor), []);
    acceptor.tick(after(START, 80));
    assert_eq!(events(&mut acceptor), [LinkEvent::Dead]);
}

#[test]
fn a_create_that_was_given_up_before_it_went_is_told_with_its_end_behind_it() {
    let mut pair = Pair::new(Kind::Client, 4);
    let body = Bytes::from(vec![7; 3912]);
    let circ = pair.dialer.create(body.clone(), 0, pair.now, &mut pair.rng).unwrap();
    pair.now = after(START, 10);
    pair.dialer.tick(pair.now);
    assert_eq!(events(&mut pair.dialer), [LinkEvent::Destroyed { circ, code: Code::NextUnreachable }]);
    pair.settle();
    let told = events(&mut pair.acceptor);
    assert_eq!(told, [LinkEvent::Create { circ, body }, LinkEvent::Destroyed { circ, code: Code::Done }]);
    // Whoever answers at the first of these finds no circuit any more.
    assert_eq!(pair.acceptor.created(circ, Bytes::from(vec![8; 1200])), Err(NotTaken::Unknown));
    assert_eq!((pair.acceptor.circuits(), pair.dialer.circuits()), (0, 0));
}

#[test]
fn goaway_ends_a_link_when_it_is_empty_or_when_its_time_is_over() {
    let mut pair = Pair::new(Kind::Client, 4);
    let circ = pair.circuit(0);
    pair.acceptor.go_away(Code::ShuttingDown, 60, pair.now);
    // A CREATE that crosses it is refused, not a fault.
    let crossing = pair.dialer.create(Bytes::from(vec![7; 3912]), 0, pair.now, &mut pair.rng).unwrap();
    pair.settle();
    assert_eq!(events(&mut pair.acceptor), []);
    assert_eq!(
        events(&mut pair.dialer),
        [
            LinkEvent::GoAway { code: Code::ShuttingDown, seconds: 60 },
            LinkEvent::Destroyed { circ: crossing, code: Code::ShuttingDown },
        ]
    );
    let refused = pair.dialer.create(Bytes::from(vec![7; 3912]), 0, pair.now, &mut pair.rng);
    assert_eq!(refused, Err(NotTaken::Closing));
    pair.dialer.destroy(circ, Code::Done, pair.now);
    pair.settle();
    assert_eq!(events(&mut pair.dialer), [LinkEvent::Finished]);
    assert_eq!(
        events(&mut pair.acceptor),
        [LinkEvent::Destroyed { circ, code: Code::Done }, LinkEvent::Finished,]
    );

    let mut pair = Pair::new(Kind::Trunk, 4);
    pair.circuit(0);
    pair.acceptor.go_away(Code::TooOld, 7, pair.now);
    pair.settle();
    for link in [&mut pair.acceptor, &mut pair.dialer] {
        assert_eq!(link.deadline(), Some(after(START, 7)));
        link.tick(after(START, 7));
        assert_eq!(events(link).last(), Some(&LinkEvent::Finished));
    }
}

#[test]
fn an_answer_of_the_directory_comes_whole_and_alone() {
    let mut pair = Pair::new(Kind::Client, 4);
    let body = Bytes::from((0..100_000_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>());
    for (kind, answer) in
        [(DirKind::Snapshot, body), (DirKind::Own, Bytes::new()), (DirKind::Own, Bytes::from("x"))]
    {
        pair.dialer.dir_get(kind, 9, pair.now).unwrap();
        assert_eq!(pair.dialer.dir_get(kind, 9, pair.now), Err(NotTaken::Full));
        pair.settle();
        assert_eq!(events(&mut pair.acceptor), [LinkEvent::DirGet { kind, number: 9 }]);
        pair.acceptor.dir_answer(answer.clone());
        pair.settle();
        assert_eq!(events(&mut pair.dialer), [LinkEvent::DirData { kind, body: answer }]);
    }
    // 60 in an hour; a neighbour that asks more often is told nothing.
    let mut asked = 3;
    while pair.dialer.dir_get(DirKind::Own, 0, pair.now).is_ok() {
        pair.settle();
        asked += 1;
        pair.acceptor.dir_answer(Bytes::new());
        pair.settle();
        events(&mut pair.dialer);
    }
    assert_eq!(asked, 60);
    events(&mut pair.acceptor);
    pair.acceptor.receive(frame(7, 0, &[5, 0, 0, 0, 0, 0, 0, 0, 0]), pair.now).unwrap();
    assert_eq!(events(&mut pair.acceptor), []);
    assert_eq!(said(&mut pair.acceptor, pair.now), [(8, 0, Bytes::from_static(&[5, 1]))]);
}

#[test]
fn an_answer_over_its_limit_or_of_another_kind_is_a_fault_and_silence_is_an_empty_answer() {
    let asked = || {
        let mut link = open_link(Role::Dialer, Kind::Client);
        link.dir_get(DirKind::Newest, 0, START).unwrap();
        said(&mut link, START);
        link
    };
    let part =
        |kind: u8, last: u8, length: usize| frame(8, 0, &[&[kind, last][..], &vec![0; length]].concat());
    let most = DirKind::Newest.limit();
    for (sent, fine) in [
        (vec![part(5, 1, most)], true),
        (vec![part(5, 0, most), part(5, 1, 0)], true),
        (vec![part(5, 0, most), part(5, 1, 1)], false),
        (vec![part(5, 1, most + 1)], false),
        (vec![part(4, 1, 9)], false),
        (vec![part(5, 2, 9)], false),
        (vec![part(5, 0, 0)], false),
        (vec![part(5, 1, 9), part(5, 1, 9)], false),
    ] {
        let mut link = asked();
        assert_eq!(sent.into_iter().all(|part| link.receive(part, START).is_ok()), fine);
    }
    let mut link = asked();
    for seconds in [30, 60] {
        link.tick(after(START, seconds));
        let ping = said(&mut link, START).into_iter().next();
        if let Some((4, _, number)) = ping {
            link.receive(frame(5, 0, &number), after(START, seconds)).unwrap();
        }
    }
    let empty = LinkEvent::DirData { kind: DirKind::Newest, body: Bytes::new() };
    assert_eq!(events(&mut link), [empty]);
    // It comes after all: dropped.
    link.receive(part(5, 1, 9), START).unwrap();
    assert_eq!(events(&mut link), []);
    link.dir_get(DirKind::Newest, 0, START).unwrap();
}
