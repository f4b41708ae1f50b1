//! What the other end may send and when: everything else is a fault of the circuit.

use super::*;
use crate::circuit::terms::ResetCode;
use crate::link::dir::{DirGet, DirKind};
use crate::link::terms::Code;

/// An exit with stream 1 connecting, 3 open, 5 gone; a client alike.
fn standing(of: End) -> (CircuitEnd, Hand) {
    let (mut end, mut hand) = (end(of, CircuitTerms::default()), Hand::across(of));
    match of {
        End::Exit => {
            for stream in [1, 3, 5] {
                hand.say(&mut end, &open_frame(stream, 10_000), START).unwrap();
            }
            end.opened(StreamId(3));
            end.reset(StreamId(5), ResetCode::Refused);
        }
        End::Client => {
            for _ in 0..3 {
                end.open(dest("example.org:443"), START).unwrap();
            }
            hand.hear(&mut end, START);
            hand.say(&mut end, &padded(raw(2, 3, &[0, 0, 39, 16])), START).unwrap();
            hand.say(&mut end, &padded(raw(5, 5, &[4])), START).unwrap();
        }
    }
    hand.hear(&mut end, START);
    events(&mut end);
    (end, hand)
}

#[test]
fn each_end_takes_what_is_its_own() {
    let window = [0, 0, 39, 16];
    let two = [raw(4, 3, &[]), raw(4, 3, &[])].concat();
    let data_behind_fin = [raw(4, 3, &[]), raw(3, 3, b"x")].concat();
    let open_and_more = [open_frame(7, 1), raw(4, 3, &[])].concat();
    let mut two_opens = BytesMut::new();
    for stream in [7, 9] {
        super::super::frame::put_open(&mut two_opens, StreamId(stream), &dest("a.example:1"), 1);
    }
    let opened_alone = raw(2, 1, &window);
    // Name, frames, whether a client and an exit take them.
    let table: &[(&str, Vec<u8>, bool, bool)] = &[
        ("PAD", raw(0, 0, &[0; 9]), true, true),
        ("PAD with anything in it", raw(0, 0, &[7; 9]), true, true),
        ("OPEN", open_frame(7, 1), false, true),
        ("OPEN further on", open_frame(99, 1), false, true),
        ("OPEN of an even id", open_frame(8, 1), false, false),
        ("OPEN of an old id", open_frame(5, 1), false, false),
        ("OPEN of a window over 2^31", open_frame(7, (1 << 31) + 1), false, false),
        ("OPEN with another frame", open_and_more, false, false),
        ("two OPENs", padded(two_opens.to_vec()), false, false),
        ("OPEN without PAD", raw(1, 7, &[5, 0, 0, 0, 0, 0, 1]), false, false),
        ("OPENED", padded(opened_alone.clone()), true, false),
        ("OPENED without PAD", opened_alone, false, false),
        ("OPENED twice", padded(raw(2, 3, &window)), false, false),
        ("OPENED of a stream that is gone", padded(raw(2, 5, &window)), true, false),
        ("OPENED of none", padded(raw(2, 7, &window)), false, false),
        ("DATA", raw(3, 3, b"x"), true, true),
        ("DATA before OPENED", raw(3, 1, b"x"), false, true),
        ("DATA of a stream that is gone", raw(3, 5, b"x"), true, true),
        ("DATA of none", raw(3, 7, b"x"), false, false),
        ("DATA of an even id", raw(3, 2, b"x"), false, false),
        ("DATA behind FIN", data_behind_fin, false, false),
        ("FIN", raw(4, 3, &[]), true, true),
        ("FIN before OPENED", raw(4, 1, &[]), false, true),
        ("FIN twice", two, false, false),
        ("RESET", raw(5, 3, &[0]), true, true),
        ("RESET as an answer to OPEN", padded(raw(5, 1, &[4])), true, true),
        ("RESET as an answer to OPEN, without PAD", raw(5, 1, &[4]), false, true),
        ("RESET of a stream that is gone", raw(5, 5, &[0]), true, true),
        ("RESET of none", raw(5, 9, &[0]), false, false),
        ("RESET of no code", raw(5, 3, &[11]), false, false),
        ("CREDIT", raw(6, 3, &[0, 0, 0, 1]), true, true),
        ("CREDIT of nothing", raw(6, 3, &[0, 0, 0, 0]), false, false),
        ("CREDIT before OPENED", raw(6, 1, &[0, 0, 0, 1]), false, false),
        ("CREDIT of the circuit", raw(6, 0, &[0, 0, 0, 1]), true, true),
        ("CREDIT of the circuit, nothing", raw(6, 0, &[0, 0, 0, 0]), false, false),
        ("CREDIT over 2^31", raw(6, 3, &[0x80, 0, 0, 0]), false, false),
        ("CREDIT of the circuit over 2^31", raw(6, 0, &[0x80, 0, 0, 0]), false, false),
        ("PING", raw(8, 0, &[1; 8]), false, true),
        ("many PINGs", raw(8, 0, &[1; 8]).repeat(9), false, false),
        ("PONG without PING", raw(9, 0, &[1; 8]), false, false),
        ("CLOSE", raw(10, 0, &[8]), true, true),
        ("CLOSE of no code", raw(10, 0, &[12]), false, false),
        ("UDP_OPEN", raw(11, 7, &[4]), false, true),
        ("a datagram of none", raw(12, 7, &[1, 127, 0, 0, 1, 0, 53]), false, false),
        ("a datagram of a stream that is gone", raw(12, 5, &[1, 127, 0, 0, 1, 0, 53]), true, true),
        ("KEYUP too soon", raw(7, 0, &[]), false, false),
        ("half a frame", vec![3, 0, 0], false, false),
        ("a type that is none", raw(13, 0, &[]), false, false),
    ];
    for (name, frames, client, exit) in table {
        for (of, fine) in [(End::Client, *client), (End::Exit, *exit)] {
            let (mut end, mut hand) = standing(of);
            // The sealer of the test keeps the rules of KEYUP: what breaks them is sealed as if it were late.
            let late = if frames.starts_with(&[7]) { millis(START, 2000) } else { START };
            let record = hand.record(frames, late);
            let taken = end.receive(&record, START);
            assert_eq!(taken.is_ok(), fine, "{name} at {of:?}: {taken:?}");
            if taken.is_err() {
                let told = events(&mut end);
                let closed = CircuitEvent::Closed { reason: Code::Protocol, destroy: Code::Protocol };
                assert_eq!(told.last(), Some(&closed), "{name}");
                let resets = told.iter().filter(|event| {
                    matches!(event, CircuitEvent::Reset { code: ResetCode::CircuitLost, .. })
                });
                assert!(resets.count() >= 1, "{name}");
                assert_eq!(end.transmit(1 << 20, START), None, "keys are gone");
                assert_eq!(end.receive(&record, START), Err(CircuitFault::Closed));
                assert_eq!((end.streams(), end.deadline()), (0, None));
            }
        }
    }
}

#[test]
fn a_record_that_was_changed_repeated_or_left_out_ends_the_circuit() {
    for fault in ["changed", "repeated", "left out", "short"] {
        let (mut exit, mut hand) = standing(End::Exit);
        let (one, two) = (hand.record(&raw(0, 0, &[]), START), hand.record(&raw(0, 0, &[]), START));
        let sent: Vec<Bytes> = match fault {
            "changed" => vec![one.iter().map(|byte| byte ^ 1).collect::<Vec<_>>().into()],
            "repeated" => vec![one.clone(), one],
            "left out" => vec![two],
            _ => vec![one.slice(..16)],
        };
        let taken = sent.iter().try_for_each(|record| exit.receive(record, START));
        assert_eq!(taken, Err(CircuitFault::Record), "{fault}");
    }
}

#[test]
fn windows_are_kept_to_the_byte() {
    // The stream's: 256 KiB. Stream 1 is still connecting at the exit, which takes early bytes.
    for (bytes, fine) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
        let (mut exit, mut hand) = standing(End::Exit);
        let sent = vec![0; bytes];
        let taken = sent.chunks(16_000).try_for_each(|part| hand.say(&mut exit, &raw(3, 3, part), START));
        assert_eq!(taken.is_ok(), fine);
        assert!(fine || taken == Err(CircuitFault::Window("stream")));
    }
    // The circuit's: 1 MiB. What comes for streams that are gone is granted again at once.
    let (mut exit, mut hand) = standing(End::Exit);
    for _ in 0..200 {
        hand.say(&mut exit, &raw(3, 5, &[0; 16_000]), START).unwrap();
        hand.hear(&mut exit, START);
    }
    for stream in (7..=17).step_by(2) {
        hand.say(&mut exit, &open_frame(stream, 1), START).unwrap();
    }
    let parts = (7..=17).step_by(2).flat_map(|stream| vec![stream; 16]);
    let taken: Vec<_> =
        parts.map(|stream| hand.say(&mut exit, &raw(3, stream, &[0; 16_000]), START)).collect();
    let fault = taken.iter().find_map(|taken| taken.err());
    assert_eq!(fault, Some(CircuitFault::Window("circuit")));
}

#[test]
fn an_exit_refuses_over_its_limits_and_goes_on() {
    let refused = |hand: &mut Hand, exit: &mut CircuitEnd| {
        let heard = hand.hear(exit, START);
        assert!(heard.iter().all(|(length, _)| *length == 384), "answers are padded");
        heard
            .iter()
            .filter(|(_, frames)| matches!(frames[0], Frame::Reset { code: ResetCode::Limit, .. }))
            .count()
    };
    // 64 connecting.
    let (mut exit, mut hand) = (end(End::Exit, CircuitTerms::default()), Hand::across(End::Exit));
    for stream in (1..=139).step_by(2) {
        hand.say(&mut exit, &open_frame(stream, 1), START).unwrap();
    }
    assert_eq!((refused(&mut hand, &mut exit), exit.streams()), (6, 64));
    // As many as the terms say.
    let terms = CircuitTerms { max_streams: 10, ..CircuitTerms::default() };
    let (mut exit, mut hand) = (end(End::Exit, terms), Hand::across(End::Exit));
    for stream in (1..=25).step_by(2) {
        hand.say(&mut exit, &open_frame(stream, 1), START).unwrap();
        exit.opened(StreamId(stream));
    }
    assert_eq!((refused(&mut hand, &mut exit), exit.streams()), (3, 10));
    // So many at once.
    let (mut exit, mut hand) = (end(End::Exit, CircuitTerms::default()), Hand::across(End::Exit));
    for stream in (1..=399).step_by(2) {
        hand.say(&mut exit, &open_frame(stream, 1), START).unwrap();
        exit.reset(StreamId(stream), ResetCode::Refused);
    }
    assert_eq!(refused(&mut hand, &mut exit), 200 - 128);
    // A client that never reads the refusals.
    let fault =
        (401..).step_by(2).find_map(|stream| hand.say(&mut exit, &open_frame(stream, 1), START).err());
    assert_eq!(fault, Some(CircuitFault::Rate("OPEN without reading the answers")));
}

#[test]
fn udp_is_refused_as_not_supported() {
    let (mut exit, mut hand) = standing(End::Exit);
    hand.say(&mut exit, &raw(11, 7, &[4]), START).unwrap();
    let refused = Frame::Reset { stream: StreamId(7), code: ResetCode::NotSupported };
    assert_eq!(hand.hear(&mut exit, START), [(384, vec![refused, Frame::Pad])]);
}

#[test]
fn a_stream_to_the_directory_takes_one_question_and_no_other_bytes() {
    let ask = DirGet { kind: DirKind::Newest, number: 0 }.encode();
    for (sent, fine) in
        [(vec![&ask[..]], true), (vec![&ask, &ask], false), (vec![&[9; 9]], false), (vec![&[9; 8]], true)]
    {
        let (mut exit, mut hand) = (end(End::Exit, CircuitTerms::default()), Hand::across(End::Exit));
        hand.say(&mut exit, &padded(raw(1, 1, &[5, 0, 0, 0, 1, 0, 0])), START).unwrap();
        assert!(sent.iter().all(|bytes| hand.say(&mut exit, &raw(3, 1, bytes), START).is_ok()) == fine);
    }
    // An answer that was not asked for, of another kind, over the limit.
    let limit = DirKind::Newest.limit();
    let part = |kind: u8, last: u8, body: usize| {
        let length = u16::try_from(2 + body).unwrap().to_be_bytes();
        [&length[..], &[kind, last], &vec![0; body]].concat()
    };
    for (asked, answer, fine) in [
        (true, part(5, 1, limit), true),
        (true, part(5, 1, 0), true),
        (false, part(5, 1, 1), false),
        (true, part(4, 1, 1), false),
        (true, part(5, 1, limit + 1), false),
        (true, [part(5, 0, limit), part(5, 0, 1)].concat(), false),
        (true, part(5, 0, 0), false),
        (true, vec![0, 1, 5], false),
        (true, vec![0xff, 0xff], false),
    ] {
        let (mut client, mut hand) = (end(End::Client, CircuitTerms::default()), Hand::across(End::Client));
        let stream = client.open(Destination::Directory, START).unwrap();
        hand.hear(&mut client, START);
        hand.say(&mut client, &padded(raw(2, 1, &[0, 1, 0, 0])), START).unwrap();
        assert!(!asked || client.dir_get(stream, DirGet { kind: DirKind::Newest, number: 0 }));
        let taken = answer.iter().all(|byte| hand.say(&mut client, &raw(3, 1, &[*byte]), START).is_ok());
        assert_eq!(taken, fine, "{asked} {:?}", &answer[..answer.len().min(6)]);
    }
}
