//! What time does to a circuit: its first record, PING, idle streams, draining, new keys, its end.

use super::*;
use crate::circuit::terms::{OpenRefused, ResetCode};
use crate::link::terms::Code;
use std::time::Duration;

const SECOND: u64 = 1000;

#[test]
fn a_client_sends_its_first_record_within_a_second_and_an_exit_waits_ten() {
    let mut client = end(End::Client, CircuitTerms::default());
    assert!(!client.wants_transmit());
    assert_eq!(client.transmit(1 << 20, START), None);
    assert_eq!(client.deadline(), Some(millis(START, 500)));
    client.tick(millis(START, 500));
    assert!(client.wants_transmit());
    let mut hand = Hand::across(End::Client);
    assert_eq!(hand.hear(&mut client, START), [(384, vec![Frame::Pad])]);

    let mut exit = end(End::Exit, CircuitTerms::default());
    exit.tick(millis(START, 10 * SECOND - 1));
    assert_eq!(events(&mut exit), []);
    exit.tick(millis(START, 10 * SECOND));
    assert_eq!(events(&mut exit), [CircuitEvent::Closed { reason: Code::Idle, destroy: Code::Idle }]);

    let (mut exit, mut hand) = (end(End::Exit, CircuitTerms::default()), Hand::across(End::Exit));
    hand.say(&mut exit, &raw(0, 0, &[]), START).unwrap();
    exit.tick(millis(START, 10 * SECOND));
    assert_eq!((events(&mut exit), exit.is_open()), (vec![], true));
}

#[test]
fn a_client_asks_for_a_sign_of_life_at_most_once_in_five_seconds() {
    let mut pair = Pair::new(CircuitTerms::default());
    assert!(pair.client.ping(pair.now) && !pair.client.ping(pair.now));
    let record = pair.client.transmit(1 << 20, pair.now).unwrap();
    let mut plain = BytesMut::new();
    Opener::new(&keys(1), START).open(&record, &mut plain).unwrap();
    assert_eq!(plain, raw(8, 0, &[0; 8]), "a number, not a time");
    pair.exit.receive(&record, pair.now).unwrap();
    pair.now = millis(pair.now, 70);
    pair.settle();
    assert_eq!(events(&mut pair.client), [CircuitEvent::Pong(Duration::from_millis(70))]);
    assert!(!pair.client.ping(millis(START, 4999)));
    assert!(pair.client.ping(millis(START, 5000)));
    assert!(!pair.exit.ping(millis(START, 9000)));
}

#[test]
fn streams_without_bytes_end() {
    // What stands still, when it ends, with which code.
    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.client.open(dest("example.org:1"), START).unwrap();
    pair.settle();
    events(&mut pair.exit);
    let wait = |end: &mut CircuitEnd, seconds: u64| {
        let mut now = START;
        while let Some(at) = end.deadline().filter(|at| *at <= millis(START, seconds * SECOND)) {
            assert!(at >= now, "a moment that was seen");
            now = Moment(at.0 + 1);
            end.tick(now);
        }
        let told = events(end);
        told.into_iter().filter(|event| matches!(event, CircuitEvent::Reset { .. })).collect::<Vec<_>>()
    };
    assert_eq!(wait(&mut pair.exit, 14), []);
    assert_eq!(wait(&mut pair.client, 19), []);
    assert_eq!(wait(&mut pair.client, 22), [CircuitEvent::Reset { stream, code: ResetCode::TimedOut }]);

    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.stream();
    assert_eq!(wait(&mut pair.exit, 899), []);
    assert_eq!(wait(&mut pair.exit, 931), [CircuitEvent::Reset { stream, code: ResetCode::Cancelled }]);

    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.stream();
    pair.client.fin(stream);
    pair.settle();
    events(&mut pair.exit);
    assert_eq!(wait(&mut pair.exit, 299), []);
    assert_eq!(wait(&mut pair.exit, 331), [CircuitEvent::Reset { stream, code: ResetCode::Cancelled }]);
}

#[test]
fn an_exit_closes_a_circuit_without_streams_after_its_idle_time() {
    let mut pair = Pair::new(CircuitTerms { idle: Duration::from_secs(60), ..CircuitTerms::default() });
    let stream = pair.stream();
    pair.exit.tick(millis(START, 59 * SECOND));
    pair.exit.reset(stream, ResetCode::DestinationReset);
    pair.exit.tick(millis(START, 118 * SECOND));
    pair.settle();
    assert_eq!(events(&mut pair.exit), []);
    pair.exit.tick(millis(START, 119 * SECOND));
    pair.settle();
    let closed = CircuitEvent::Closed { reason: Code::Idle, destroy: Code::Done };
    assert_eq!(events(&mut pair.exit), std::slice::from_ref(&closed));
    assert_eq!(events(&mut pair.client).last(), Some(&closed));
}

#[test]
fn a_circuit_drains_when_its_life_is_over_and_ends_with_its_last_stream() {
    let terms = CircuitTerms {
        life: Duration::from_secs(1800),
        idle: Duration::from_secs(3000),
        ..CircuitTerms::default()
    };
    let mut pair = Pair::new(terms);
    let stream = pair.stream();
    // The client stops a little earlier.
    pair.now = millis(START, 1785 * SECOND);
    pair.client.tick(pair.now);
    let told = events(&mut pair.client);
    assert_eq!(told, [CircuitEvent::Reset { stream, code: ResetCode::Cancelled }, CircuitEvent::Draining]);
    let mut pair = Pair::new(terms);
    let stream = pair.stream();
    for seconds in [600, 1200, 1784, 1785] {
        pair.now = millis(START, seconds * SECOND);
        for (from, to) in [(true, StreamId(1)), (false, StreamId(1))] {
            let end = if from { &mut pair.client } else { &mut pair.exit };
            end.send(to, &mut Bytes::from("x"));
        }
        pair.settle();
        pair.client.tick(pair.now);
        pair.exit.tick(pair.now);
    }
    assert_eq!(events(&mut pair.client).last(), Some(&CircuitEvent::Draining));
    assert_eq!(pair.client.open(dest("example.org:1"), pair.now), Err(OpenRefused::Draining));
    assert!(pair.exit.is_open() && !pair.client.is_open());
    pair.now = millis(START, 1800 * SECOND);
    pair.exit.tick(pair.now);
    assert_eq!(events(&mut pair.exit).last(), Some(&CircuitEvent::Draining));
    pair.client.fin(stream);
    pair.exit.fin(stream);
    pair.settle();
    pair.exit.tick(pair.now);
    pair.settle();
    let closed = CircuitEvent::Closed { reason: Code::TooOld, destroy: Code::Done };
    assert_eq!(events(&mut pair.exit).last(), Some(&closed));
    assert_eq!(events(&mut pair.client).last(), Some(&closed));
}

#[test]
fn an_open_that_comes_to_a_draining_exit_is_refused() {
    let terms = CircuitTerms { life: Duration::from_secs(60), ..CircuitTerms::default() };
    let (mut exit, mut hand) = (end(End::Exit, terms), Hand::across(End::Exit));
    hand.say(&mut exit, &open_frame(1, 1), START).unwrap();
    exit.opened(StreamId(1));
    hand.hear(&mut exit, START);
    exit.tick(millis(START, 60 * SECOND));
    hand.say(&mut exit, &open_frame(3, 1), START).unwrap();
    let refused = Frame::Reset { stream: StreamId(3), code: ResetCode::Limit };
    assert_eq!(hand.hear(&mut exit, START), [(384, vec![refused, Frame::Pad])]);
    // And after an hour it ends with whatever is left.
    for minutes in 0..=61 {
        hand.say(&mut exit, &raw(3, 1, b"x"), millis(START, minutes * 60 * SECOND)).unwrap();
        exit.tick(millis(START, minutes * 60 * SECOND));
        if minutes < 61 {
            assert_eq!(exit.streams(), 1, "minute {minutes}");
        }
        if minutes % 9 == 8 {
            hand.say(&mut exit, &raw(7, 0, &[]), millis(START, minutes * 60 * SECOND)).unwrap();
        }
    }
    assert!(
        events(&mut exit)
            .contains(&CircuitEvent::Reset { stream: StreamId(1), code: ResetCode::CircuitLost })
    );
}

#[test]
fn keys_are_renewed_after_ten_minutes_and_before_record_65536() {
    // An answer to OPEN is not the record that ends with KEYUP, nor is what stands behind it.
    let late = millis(START, 601 * SECOND);
    let mut exit = end(End::Exit, CircuitTerms::default());
    let mut hand = Hand::across(End::Exit);
    hand.say(&mut exit, &open_frame(1, 1 << 20), START).unwrap();
    exit.opened(StreamId(1));
    exit.send(StreamId(1), &mut Bytes::from("x"));
    let heard = hand.hear(&mut exit, late);
    assert_eq!(heard.len(), 3);
    assert_eq!(heard[0], (391, vec![Frame::Pad, Frame::KeyUp]));
    assert!(matches!(heard[1].1[..], [Frame::Opened { .. }, Frame::Pad]));
    assert!(matches!(heard[2].1[..], [Frame::Data { .. }]));

    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.stream();
    // 140,000 records in each direction, in which keys change twice.
    for turn in 0..140_000_u32 {
        if turn % 1000 == 0 {
            pair.now = millis(pair.now, 10);
        }
        for from_client in [true, false] {
            let end = if from_client { &mut pair.client } else { &mut pair.exit };
            assert_eq!(end.send(stream, &mut Bytes::from("y")), 1);
            pair.carry(from_client, 1 << 20);
        }
        for end in [&mut pair.client, &mut pair.exit] {
            let came = events(end);
            assert_eq!(bytes_of(stream, &came), b"y");
            end.consumed(stream, 1, pair.now);
        }
    }
}

#[test]
fn close_goes_out_last_and_the_keys_go_with_it() {
    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.stream();
    pair.client.send(stream, &mut Bytes::from("x"));
    pair.client.close(Code::Done, pair.now);
    let lost = CircuitEvent::Reset { stream, code: ResetCode::CircuitLost };
    assert_eq!(events(&mut pair.client), std::slice::from_ref(&lost));
    pair.settle();
    let closed = CircuitEvent::Closed { reason: Code::Done, destroy: Code::Done };
    assert_eq!(events(&mut pair.client), std::slice::from_ref(&closed));
    assert_eq!(events(&mut pair.exit), [lost, closed]);
    assert_eq!(pair.client.transmit(1 << 20, pair.now), None);

    // The link takes nothing any more: ten seconds, then it is over as well.
    let mut pair = Pair::new(CircuitTerms::default());
    pair.stream();
    pair.exit.close(Code::ShuttingDown, pair.now);
    assert_eq!(pair.exit.deadline(), Some(millis(pair.now, 10 * SECOND)));
    pair.exit.tick(millis(pair.now, 10 * SECOND));
    let closed = CircuitEvent::Closed { reason: Code::ShuttingDown, destroy: Code::Done };
    assert_eq!(events(&mut pair.exit).last(), Some(&closed));

    // The link lost it.
    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.stream();
    pair.client.lost(Code::LinkLost);
    assert_eq!(
        events(&mut pair.client),
        [
            CircuitEvent::Reset { stream, code: ResetCode::CircuitLost },
            CircuitEvent::Closed { reason: Code::LinkLost, destroy: Code::LinkLost },
        ]
    );
}
