//! Round trips, the ratchet's rules, and that nothing that was changed opens.

use super::link::{LinkOpener, LinkSealer, MAX_LINK_PLAIN};
use super::*;
use crate::vectors::{assert_published, hex, named};
use proptest::prelude::*;
use serde_json::{Value, json};

const START: Moment = Moment(7_000_000);
const BOTH: [Suite; 2] = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

fn pair(suite: Suite) -> (Sealer, Opener) {
    let keys = RecordKeys { suite, secret: named("a direction").into() };
    (Sealer::new(&keys, START), Opener::new(&keys, START))
}

fn sealed(sealer: &mut Sealer, plain: &[u8], last: Last, now: Moment) -> BytesMut {
    let mut buf = BytesMut::from(plain);
    sealer.seal(&mut buf, 0, last, now).unwrap();
    buf
}

fn opened(opener: &mut Opener, record: &[u8]) -> Result<BytesMut, RecordFault> {
    let mut out = BytesMut::new();
    opener.open(record, &mut out).map(|()| out)
}

/// Seals and opens records until the key has protected so many.
fn advance(sealer: &mut Sealer, opener: &mut Opener, records: u64) {
    let mut out = BytesMut::new();
    while sealer.0.counter < records {
        let record = sealed(sealer, b"\x00", Last::Frame, START);
        opener.open(&record, &mut out).unwrap();
    }
}

proptest! {
    #[test]
    fn what_was_sealed_opens(plain in proptest::collection::vec(any::<u8>(), 1..3000), headroom in 0usize..40) {
        for suite in BOTH {
            let (mut sealer, mut opener) = pair(suite);
            let mut buf = BytesMut::from(&vec![0xaa; headroom][..]);
            buf.extend_from_slice(&plain);
            sealer.seal(&mut buf, headroom, Last::Frame, START).unwrap();
            prop_assert_eq!(&buf[..headroom], &vec![0xaa; headroom][..]);
            prop_assert_eq!(buf.len(), headroom + plain.len() + TAG);
            let mut out = BytesMut::from(&b"before"[..]);
            opener.open(&buf[headroom..], &mut out).unwrap();
            prop_assert_eq!(&out[..], &[b"before", &plain[..]].concat()[..]);
        }
    }
}

#[test]
fn every_changed_bit_and_every_truncation_is_refused_and_the_true_record_still_opens() {
    for suite in BOTH {
        let (mut sealer, mut opener) = pair(suite);
        let record = sealed(&mut sealer, b"seven frames of bytes", Last::Frame, START);
        for bit in 0..record.len() * 8 {
            let mut changed = record.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let mut out = BytesMut::from(&b"kept"[..]);
            assert_eq!(opener.open(&changed, &mut out), Err(RecordFault::Sealed));
            assert_eq!(out[..], b"kept"[..]);
        }
        for length in 0..record.len() {
            assert!(opened(&mut opener, &record[..length]).is_err());
        }
        assert_eq!(opened(&mut opener, &[&record[..], &[0]].concat()), Err(RecordFault::Sealed));
        assert_eq!(opened(&mut opener, &record).unwrap()[..], b"seven frames of bytes"[..]);
    }
}

#[test]
fn a_replayed_reordered_or_foreign_record_does_not_open() {
    for suite in BOTH {
        let (mut sealer, mut opener) = pair(suite);
        let records: Vec<_> = (0u8..3).map(|n| sealed(&mut sealer, &[n], Last::Frame, START)).collect();
        assert_eq!(opened(&mut opener, &records[1]), Err(RecordFault::Sealed));
        opened(&mut opener, &records[0]).unwrap();
        assert_eq!(opened(&mut opener, &records[0]), Err(RecordFault::Sealed));
        assert_eq!(opened(&mut opener, &records[2]), Err(RecordFault::Sealed));
        opened(&mut opener, &records[1]).unwrap();
        let other = RecordKeys { suite, secret: named("another direction").into() };
        let foreign = sealed(&mut Sealer::new(&other, START), b"x", Last::Frame, START);
        assert_eq!(opened(&mut opener, &foreign), Err(RecordFault::Sealed));
    }
}

#[test]
fn lengths_that_no_record_has_are_refused_on_both_sides() {
    let (mut sealer, mut opener) = pair(Suite::Aes256Gcm);
    for length in [0, MAX_PLAIN + 1] {
        let mut buf = BytesMut::from(&vec![0; length][..]);
        assert_eq!(sealer.seal(&mut buf, 0, Last::Frame, START), Err(SealFault::Length(length)));
        assert_eq!(buf.len(), length);
    }
    assert_eq!(sealer.seal(&mut BytesMut::new(), 9, Last::Frame, START), Err(SealFault::Length(0)));
    for length in [0, 1, TAG, MAX_RECORD + 1] {
        assert_eq!(opened(&mut opener, &vec![0; length]), Err(RecordFault::Length(length)));
    }
    let longest = sealed(&mut sealer, &[5; MAX_PLAIN], Last::Frame, START);
    assert_eq!(longest.len(), MAX_RECORD);
    assert_eq!(opened(&mut opener, &longest).unwrap().len(), MAX_PLAIN);
}

#[test]
fn a_key_ends_with_its_65536th_record_and_both_sides_insist() {
    for suite in BOTH {
        let (mut sealer, mut opener) = pair(suite);
        advance(&mut sealer, &mut opener, RECORDS_OF_A_KEY - 1);
        assert!(sealer.keyup_due(START));
        let mut frames = BytesMut::from(&b"x"[..]);
        assert_eq!(sealer.seal(&mut frames, 0, Last::Frame, START), Err(SealFault::NoKeyup));
        let last = sealed(&mut sealer, &KEYUP_FRAME, Last::Keyup, START);
        assert_eq!(opened(&mut opener, &last).unwrap()[..], KEYUP_FRAME[..]);
        let first = sealed(&mut sealer, b"new key", Last::Frame, START);
        // Without its KEYUP the opener takes nothing more; with it, the next key.
        assert_eq!(opened(&mut opener, &first), Err(RecordFault::NoKeyup));
        opener.keyup(START).unwrap();
        assert_eq!(opened(&mut opener, &first).unwrap()[..], b"new key"[..]);
        assert!(!sealer.keyup_due(START));
    }
}

/// Records of the key so far, time since it began, whether KEYUP is taken: too early is few records **and** little time.
const EARLIEST: [(u64, Duration, bool); 5] = [
    (0, Duration::ZERO, false),
    (FEWEST - 2, Duration::from_millis(999), false),
    (FEWEST - 1, Duration::from_millis(999), true),
    (FEWEST + 9, Duration::ZERO, true),
    (0, SOONEST, true),
];

#[test]
fn a_keyup_that_comes_too_early_is_a_fault_on_both_sides() {
    for (before, after, permitted) in EARLIEST {
        let (mut sealer, mut opener) = pair(Suite::ChaCha20Poly1305);
        advance(&mut sealer, &mut opener, before);
        let now = START + after;
        // The sender counts the records before this one, the receiver this one too: who keeps to the stricter count
        // is never at fault with the other.
        let mut frames = BytesMut::from(&KEYUP_FRAME[..]);
        let strictly = before >= FEWEST || after >= SOONEST;
        let taken = sealer.seal(&mut frames, 0, Last::Keyup, now);
        assert_eq!(taken, if strictly { Ok(()) } else { Err(SealFault::EarlyKeyup) }, "{before} {after:?}");
        let keys = RecordKeys { suite: Suite::ChaCha20Poly1305, secret: named("a direction").into() };
        let mut lax = Sealer::new(&keys, Moment(0));
        advance(&mut lax, &mut Opener::new(&keys, START), before);
        let record = sealed(&mut lax, &KEYUP_FRAME, Last::Keyup, START + SOONEST);
        opened(&mut opener, &record).unwrap();
        let expected = if permitted { Ok(()) } else { Err(RecordFault::EarlyKeyup) };
        assert_eq!(opener.keyup(now), expected, "{before} records, {after:?}");
    }
}

#[test]
fn the_first_record_after_ten_minutes_ends_the_key_however_few_there_were() {
    let (mut sealer, mut opener) = pair(Suite::Aes256Gcm);
    assert!(!sealer.keyup_due(START + TIME_OF_A_KEY));
    let late = START + TIME_OF_A_KEY + Duration::from_micros(1);
    assert!(sealer.keyup_due(late));
    let mut frames = BytesMut::from(&b"x"[..]);
    assert_eq!(sealer.seal(&mut frames, 0, Last::Frame, late), Err(SealFault::NoKeyup));
    let record = sealed(&mut sealer, &KEYUP_FRAME, Last::Keyup, late);
    opened(&mut opener, &record).unwrap();
    opener.keyup(late).unwrap();
    assert!(!sealer.keyup_due(late + TIME_OF_A_KEY));
    let next = sealed(&mut sealer, b"on", Last::Frame, late);
    assert_eq!(opened(&mut opener, &next).unwrap()[..], b"on"[..]);
}

#[test]
fn the_old_key_opens_nothing_after_a_keyup() {
    let (mut sealer, mut opener) = pair(Suite::Aes256Gcm);
    let (_same, mut behind) = pair(Suite::Aes256Gcm);
    let late = START + SOONEST;
    let record = sealed(&mut sealer, &KEYUP_FRAME, Last::Keyup, late);
    opened(&mut opener, &record).unwrap();
    opened(&mut behind, &record).unwrap();
    opener.keyup(late).unwrap();
    let next = sealed(&mut sealer, b"next", Last::Frame, late);
    assert_eq!(opened(&mut behind, &next), Err(RecordFault::Sealed));
    assert!(opened(&mut opener, &next).is_ok());
}

#[test]
fn link_bytes_behind_a_front_arrive_however_they_are_cut_and_keys_follow_each_other() {
    let export = Secret::from(named("an export"));
    let (mut sealer, mut opener) = (LinkSealer::new(&export), LinkOpener::new(&export));
    let bytes: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
    let (mut wire, mut received, mut out) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    sealer.seal(&bytes, &mut wire);
    assert_eq!(wire.len(), bytes.len() + 3 * 18);
    for piece in wire.chunks(77) {
        received.extend_from_slice(piece);
        while opener.open(&mut received, &mut out).unwrap() {}
    }
    assert_eq!((&out[..], received.len()), (&bytes[..], 0));
    // On over the end of the first key.
    for _record in 0..RECORDS_OF_A_KEY {
        out.clear();
        wire.clear();
        sealer.seal(b"z", &mut wire);
        assert_eq!(opener.open(&mut wire, &mut out), Ok(true));
        assert_eq!(out[..], b"z"[..]);
    }
}

#[test]
fn lengths_and_changes_in_link_bytes_behind_a_front_are_refused() {
    let export = Secret::from(named("an export"));
    for length in [0, TAG, MAX_LINK_PLAIN + TAG + 1, 0xffff] {
        let mut received = BytesMut::from(&u16::try_from(length).unwrap().to_be_bytes()[..]);
        let fault = LinkOpener::new(&export).open(&mut received, &mut BytesMut::new());
        assert_eq!(fault, Err(RecordFault::Length(length)));
    }
    let mut wire = BytesMut::new();
    LinkSealer::new(&export).seal(b"frame", &mut wire);
    for at in 2..wire.len() {
        let mut changed = wire.clone();
        changed[at] ^= 0x10;
        let fault = LinkOpener::new(&export).open(&mut changed, &mut BytesMut::new());
        assert_eq!(fault, Err(RecordFault::Sealed));
    }
}

#[test]
fn only_the_two_suites_have_numbers() {
    let numbered = (0u8..=255).filter_map(|number| Suite::numbered(number).ok());
    assert_eq!(numbered.collect::<Vec<_>>(), BOTH);
    assert_eq!(BOTH.map(Suite::number), [1, 2]);
}

/// Records 0, 1, 65535 (which ends in KEYUP) and the first one of the next key, in one direction.
fn vectors_of(suite: Suite, direction: &str, secret: [u8; 32]) -> Value {
    let keys = RecordKeys { suite, secret: secret.into() };
    let (mut sealer, mut records) = (Sealer::new(&keys, START), Vec::new());
    for counter in 0..=RECORDS_OF_A_KEY {
        let (frames, last) = match counter {
            0 | 1 | RECORDS_OF_A_KEY => {
                (format!("record {counter} of {direction}").into_bytes(), Last::Frame)
            }
            65_535 => (KEYUP_FRAME.to_vec(), Last::Keyup),
            _unpublished => (vec![0], Last::Frame),
        };
        let record = sealed(&mut sealer, &frames, last, START);
        if frames.len() > 1 {
            let (rekeys, counter) = (counter / RECORDS_OF_A_KEY, counter % RECORDS_OF_A_KEY);
            records.push(json!({
                "rekeys": rekeys, "counter": counter, "frames": hex(&frames), "record": hex(&record),
            }));
        }
    }
    json!({ "suite": suite.number(), "direction": direction, "secret": hex(secret), "records": records })
}

#[test]
fn published_records_are_these() {
    let secrets = [("c2x", named("Sc")), ("x2c", named("Sx"))];
    let of_suite = |suite| secrets.map(|(direction, secret)| vectors_of(suite, direction, secret));
    let mut cases: Vec<Value> = BOTH.into_iter().flat_map(of_suite).collect();
    let export = named("a link export");
    let mut wire = BytesMut::new();
    LinkSealer::new(&export.into()).seal(b"link bytes behind a front", &mut wire);
    cases.push(json!({
        "suite": 2, "direction": "link", "secret": hex(export),
        "stream": hex(b"link bytes behind a front"), "wire": hex(&wire),
    }));
    let about = "Records (section 7.1): key, iv and next from the secret; record 65535 ends in KEYUP. \
                 The last case is a link behind a front (section 4, binding 2).";
    assert_published("records", about, cases);
}
