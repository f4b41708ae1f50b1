//! Other ends that send any frames: no panic, a fault that stays, bounded state.

use super::*;
use crate::circuit::terms::ResetCode;
use proptest::prelude::*;

fn any_frames() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        Just(vec![]),
        Just(vec![0, 0, 0, 9]),
        Just(vec![4]),
        Just(vec![1; 8]),
        proptest::collection::vec(any::<u8>(), 0..40),
        (1_usize..9000).prop_map(|length| vec![3; length]),
    ];
    let plain = (0_u8..14, 0_u32..12, body).prop_map(|(kind, stream, body)| {
        let of_circuit = [0, 7, 8, 9, 10].contains(&kind);
        raw(kind, if of_circuit { 0 } else { stream }, &body)
    });
    let open = (0_u32..40).prop_map(|stream| open_frame(2 * stream + 1, 5000));
    let directory = (0_u32..40).prop_map(|stream| padded(raw(1, 2 * stream + 1, &[5, 0, 0, 0, 0, 9, 9])));
    let opened = (0_u32..12).prop_map(|stream| padded(raw(2, stream, &[0, 0, 9, 9])));
    prop_oneof![5 => plain, 2 => open, 1 => directory, 1 => opened]
}

proptest! {
    #[test]
    fn an_end_survives_any_frames_and_any_driver(
        client in any::<bool>(),
        sent in proptest::collection::vec((any_frames(), 0_u8..12, 0_u64..40_000), 1..80),
    ) {
        let of = if client { End::Client } else { End::Exit };
        let (mut end, mut hand) = (end(of, CircuitTerms::default()), Hand::across(of));
        let mut now = START;
        let mut over = false;
        for (frames, act, time) in sent {
            now = millis(now, time);
            // The test's own sealer asks for a new key after ten minutes.
            let frames = if now.0 - START.0 > 600_000_000 { break } else { frames };
            if frames.ends_with(&crate::record::KEYUP_FRAME) {
                continue;
            }
            let record = hand.record(&frames, now);
            let taken = end.receive(&record, now);
            prop_assert!(!over || taken.is_err());
            let stream = StreamId(u32::from(act) | 1);
            match act {
                0 => drop(end.open(dest("a.example:1"), now)),
                1 => end.opened(stream),
                2 => drop(end.send(stream, &mut Bytes::from(vec![1; 70_000]))),
                3 => end.fin(stream),
                4 => end.reset(stream, ResetCode::Limit),
                5 => end.consumed(stream, 5000, now),
                6 => end.dir_answer(stream, Bytes::from(vec![1; 50_000])),
                7 => end.tick(now),
                8 => drop(end.ping(now)),
                _ => while end.transmit(2000, now).is_some() {},
            }
            for event in events(&mut end) {
                over |= matches!(event, CircuitEvent::Closed { .. });
            }
            prop_assert!(end.streams() <= 256 && end.queued <= 256 * 1024 + 16_384 * 40);
            prop_assert!(!over || end.deadline().is_none() && end.streams() == 0);
        }
    }

    #[test]
    fn bytes_without_sense_are_frames_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
        let (mut exit, mut hand) = (end(End::Exit, CircuitTerms::default()), Hand::across(End::Exit));
        if !bytes.ends_with(&crate::record::KEYUP_FRAME) {
            let taken = hand.say(&mut exit, &bytes, START);
            prop_assert_eq!(taken.is_err(), exit.deadline().is_none());
        }
    }
}
