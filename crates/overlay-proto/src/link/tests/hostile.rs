//! Neighbours that send anything: no panic, bounded memory, a fault that stays.

use super::*;
use proptest::prelude::*;

/// Frames that are mostly right in form, in any order.
fn any_frame() -> impl Strategy<Value = Bytes> {
    let lengths = prop_oneof![Just(0_usize), Just(1), Just(3), Just(4), Just(8), Just(9), 0_usize..300];
    let circ = prop_oneof![Just(0_u32), 1_u32..5, (1_u32..5).prop_map(|circ| circ | 1 << 31)];
    let right = (0_usize..14, circ, any::<u8>(), 17_usize..3000).prop_map(|(kind, circ, fill, length)| {
        let kind = FrameType::ALL[kind];
        let length = [0, 50, 207, 3, 8, 8, 8, 9, length, 2740, 1200, length, 4, 1][kind_place(kind)];
        let mut body = vec![fill % 7; length];
        if kind == FrameType::Ack {
            body = u64::from(fill).to_be_bytes().to_vec();
        }
        frame(kind as u8, if kind.of_circuit() { circ.max(1) } else { 0 }, &body)
    });
    let wrong = (any::<u8>(), any::<u32>(), lengths)
        .prop_map(|(kind, circ, length)| frame(kind, circ, &vec![0; length]));
    prop_oneof![40 => right, 1 => wrong]
}

fn kind_place(kind: FrameType) -> usize {
    FrameType::ALL.iter().position(|other| *other == kind).unwrap()
}

proptest! {
    #[test]
    fn a_link_survives_any_frames_and_any_driver(
        dialer in any::<bool>(),
        trunk in any::<bool>(),
        sent in proptest::collection::vec((any_frame(), 0_u8..12, 0_u64..9_000_000), 0..120),
    ) {
        let role = if dialer { Role::Dialer } else { Role::Acceptor };
        let mut link = open_link(role, if trunk { Kind::Trunk } else { Kind::Client });
        let (mut now, mut circs, mut chance) = (START, vec![CircId(1)], rng(5));
        let mut faulty = false;
        for (bytes, act, time) in sent {
            now = Moment(now.0 + time);
            let taken = link.receive(bytes, now);
            prop_assert!(!faulty || taken.is_err() || !link.is_open());
            faulty |= taken.is_err();
            for event in events(&mut link) {
                if let LinkEvent::Create { circ, .. } = event {
                    circs.push(circ);
                }
            }
            let circ = circs[circs.len() * usize::from(act) / 13];
            match act {
                0 | 1 => circs.extend(link.create(Bytes::from(vec![1; 3912]), u32::from(act), now, &mut chance)),
                2 | 3 => drop(link.created(circ, Bytes::from(vec![1; 1200]))),
                4 | 5 => drop(link.data(circ, Bytes::from(vec![1; 5000]))),
                6 => link.released(circ, 100_000, now),
                7 => link.destroy(circ, crate::link::terms::Code::Done, now),
                8 => link.tick(now),
                9 => link.dir_answer(Bytes::from(vec![1; 40_000])),
                10 => drop(link.dir_get(crate::link::dir::DirKind::Own, 0, now)),
                _ => drop(said(&mut link, now)),
            }
            prop_assert!(link.deadline().is_none() || link.circuits() <= 256);
        }
        let after_all = now;
        while link.transmit(after_all, 4096, &mut |_| ()) > 0 {}
    }

    #[test]
    fn bytes_without_sense_are_a_fault_or_wait_for_more(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (role, kind) in [(Role::Dialer, Kind::Client), (Role::Acceptor, Kind::Trunk)] {
            let mut link = open_link(role, kind);
            let whole = link.receive(Bytes::from(bytes.clone()), START);
            let told = events(&mut link);
            let mut link = open_link(role, kind);
            let cut = bytes.chunks(1).try_for_each(|byte| link.receive(Bytes::copy_from_slice(byte), START));
            prop_assert_eq!(whole, cut);
            prop_assert_eq!(told, events(&mut link));
        }
    }
}
