//! What passes and what does not, by the headers of frames.

use super::{
    ACK, CONTINUATION, DATA, END_STREAM, GOAWAY, HEADER, HEADERS, PADDED, PING, PRIORITY, RST_STREAM,
    SETTINGS, Scanner, WINDOW_UPDATE, WITH_PRIORITY,
};
use h2::Reason;
use std::time::Duration;

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, 1];
    bytes.extend_from_slice(payload);
    bytes
}

/// How many copies of a frame pass behind the first SETTINGS, all at one moment, and what is said of the next.
fn passes(kind: u8, flags: u8, payload: &[u8], most: usize) -> (usize, Option<Reason>) {
    let mut scanner = Scanner::default();
    assert_eq!(scanner.look(&frame(SETTINGS, 0, &[]), Duration::ZERO), (9, None));
    let bytes = frame(kind, flags, payload);
    for n in 0..most {
        let (octets, fault) = scanner.look(&bytes, Duration::ZERO);
        if fault.is_some() {
            assert_eq!(octets, 0);
            return (n, fault);
        }
        assert_eq!(octets, bytes.len());
    }
    (most, None)
}

#[test]
fn each_cheap_frame_has_an_allowance() {
    let calm = Some(Reason::ENHANCE_YOUR_CALM);
    for (kind, flags, payload, expected) in [
        (RST_STREAM, 0, &[0; 4][..], (256, calm)),
        (PING, 0, &[0; 8], (128, calm)),
        (PING, ACK, &[0; 8], (1_024, calm)),
        (SETTINGS, 0, &[], (31, calm)),
        (DATA, 0, &[], (64, calm)),
        (DATA, END_STREAM, &[], (5_000, None)),
        (DATA, 0, b"x", (5_000, None)),
        (PRIORITY, 0, &[0; 5], (1_024, calm)),
        (0xbe, 0, b"x", (1_024, calm)),
        (WINDOW_UPDATE, 0, &[0, 0, 0, 1], (5_000, None)),
    ] {
        assert_eq!(passes(kind, flags, payload, 5_000), expected, "type {kind}");
    }
}

#[test]
fn frames_of_a_fixed_length_have_it() {
    let size = Some(Reason::FRAME_SIZE_ERROR);
    for (kind, flags, length, expected) in [
        (PRIORITY, 0, 4, size),
        (PRIORITY, 0, 5, None),
        (RST_STREAM, 0, 3, size),
        (SETTINGS, 0, 5, size),
        (SETTINGS, 0, 12, None),
        (SETTINGS, ACK, 6, size),
        (PING, 0, 7, size),
        (PING, ACK, 9, size),
        (GOAWAY, 0, 7, size),
        (GOAWAY, 0, 9, None),
        (WINDOW_UPDATE, 0, 5, size),
        (CONTINUATION, 0, 5, None),
    ] {
        assert_eq!(passes(kind, flags, &vec![0; length], 1).1, expected, "type {kind}, {length} octets");
    }
}

#[test]
fn pseudo_fields_at_the_front_of_trailers_are_seen_however_they_are_cut() {
    let bad = Some(Reason::PROTOCOL_ERROR);
    for (flags, block, expected) in [
        (0, &[0x42, 3][..], bad),
        (0, &[0x82], bad),
        (0, &[0x88], bad),
        (0, &[0x11, 0], bad),
        (0, b"\x00\x07:method", bad),
        (0, &[0x40, 0x85, 0xb9, 0, 0, 0, 0], bad),
        (PADDED, &[1, 0x82, 0], bad),
        (WITH_PRIORITY, &[0, 0, 0, 0, 9, 0x82], bad),
        (PADDED | WITH_PRIORITY, &[0, 0, 0, 0, 0, 9, 0x82], bad),
        (0, &[0x8f], None),
        (0, &[0x4f, 1, b'x'], None),
        (0, b"\x00\x05x-sum\x011", None),
        (0, &[0xbe], None),
        (PADDED, &[0x82], None),
    ] {
        let bytes =
            [frame(SETTINGS, 0, &[]), frame(HEADERS, 4, &[0x82]), frame(HEADERS, flags, block)].concat();
        for cut in 0..bytes.len() {
            let mut scanner = Scanner::of_client();
            let (first, second) = bytes.split_at(cut);
            let (passed, fault) = match scanner.look(first, Duration::ZERO) {
                (octets, None) => {
                    let (more, fault) = scanner.look(second, Duration::ZERO);
                    (octets + more, fault)
                }
                said => said,
            };
            assert_eq!(fault, expected, "{block:x?}, cut at {cut}");
            assert!(fault.is_none() || passed < bytes.len());
        }
    }
}

#[test]
fn a_header_block_is_unfinished_until_its_last_octet() {
    let mut scanner = Scanner::default();
    let bytes =
        [frame(SETTINGS, 0, &[]), frame(HEADERS, 0, &[0x82]), frame(CONTINUATION, 4, &[0x86, 0x84])].concat();
    let begins = 9 + 9;
    for (at, octet) in bytes.iter().enumerate() {
        assert_eq!(scanner.look(&[*octet], Duration::ZERO), (1, None));
        let whole = at + 1 == bytes.len();
        let expected = if at + 1 < begins || whole { None } else { Some(0) };
        assert_eq!(scanner.unfinished_head(), expected, "behind octet {at}");
    }
    let _more = scanner.look(&frame(HEADERS, 0, &[0x82]), Duration::ZERO);
    assert_eq!(scanner.unfinished_head(), Some(1));
    let _end = scanner.look(&frame(CONTINUATION, 4, &[]), Duration::ZERO);
    assert_eq!(scanner.unfinished_head(), None);
}

#[test]
fn the_first_frame_is_settings() {
    for (kind, flags) in [(PING, 0), (SETTINGS, ACK), (HEADERS, 0)] {
        let mut scanner = Scanner::default();
        let said = scanner.look(&frame(kind, flags, &[0; 8]), Duration::ZERO);
        assert_eq!(said, (0, Some(Reason::PROTOCOL_ERROR)));
    }
}

#[test]
fn time_and_traffic_earn_new_allowances() {
    let mut scanner = Scanner::default();
    let take = |scanner: &mut Scanner, now| scanner.pings.take(Duration::from_secs(now));
    assert!((0..128).all(|_| take(&mut scanner, 0)) && !take(&mut scanner, 0));
    assert!((0..16).all(|_| take(&mut scanner, 1)) && !take(&mut scanner, 1));
    scanner.sent(1_000);
    assert!(!take(&mut scanner, 1));
    scanner.sent(24);
    assert!(take(&mut scanner, 1) && !take(&mut scanner, 1));
}

#[test]
fn what_is_said_does_not_depend_on_the_cut() {
    let mut bytes = frame(SETTINGS, 0, &[0; 6]);
    bytes.extend(frame(DATA, 0, b"some content"));
    bytes.extend(frame(PING, 0, &[0; 8]));
    let good = bytes.len();
    bytes.extend(frame(PING, 0, &[0; 7]));
    for cut in 0..=bytes.len() {
        let mut scanner = Scanner::default();
        let (first, second) = bytes.split_at(cut);
        let (before, fault) = scanner.look(first, Duration::ZERO);
        let (after, fault) = match fault {
            Some(fault) => (0, Some(fault)),
            None => scanner.look(second, Duration::ZERO),
        };
        assert_eq!(fault, Some(Reason::FRAME_SIZE_ERROR), "cut at {cut}");
        assert!((good..good + HEADER).contains(&(before + after)), "cut at {cut}: {before} and {after}");
    }
}
