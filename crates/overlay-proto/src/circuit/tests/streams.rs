//! Streams from end to end: opening, bytes both ways, half-close, reset, windows, turns, the directory.

use super::*;
use crate::circuit::terms::{OpenRefused, ResetCode};
use crate::link::dir::{DirGet, DirKind};

fn pattern(length: usize) -> Bytes {
    Bytes::from((0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>())
}

#[test]
fn a_stream_is_opened_answered_used_and_closed_in_each_direction() {
    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.client.open(dest("example.org:443"), START).unwrap();
    assert_eq!((stream, pair.client.room(stream)), (StreamId(1), 0));
    pair.settle();
    events(&mut pair.exit);
    pair.exit.opened(stream);
    pair.settle();
    assert_eq!(events(&mut pair.client), [CircuitEvent::Opened(stream), CircuitEvent::Writable(stream)]);

    assert_eq!(pair.client.send(stream, &mut Bytes::from("question")), 8);
    pair.client.fin(stream);
    assert_eq!(pair.client.send(stream, &mut Bytes::from("more")), 0);
    pair.settle();
    let bytes = Bytes::from("question");
    assert_eq!(events(&mut pair.exit), [CircuitEvent::Data { stream, bytes }, CircuitEvent::Fin(stream)]);
    assert_eq!((pair.client.streams(), pair.exit.streams()), (1, 1));
    pair.exit.consumed(stream, 8, pair.now);

    pair.exit.send(stream, &mut Bytes::from("answer"));
    pair.exit.fin(stream);
    pair.settle();
    let bytes = Bytes::from("answer");
    assert_eq!(events(&mut pair.client), [CircuitEvent::Data { stream, bytes }, CircuitEvent::Fin(stream)]);
    assert_eq!((pair.client.streams(), pair.exit.streams()), (0, 0));
    // Unread bytes are still in the windows, read ones are not.
    pair.client.consumed(stream, 6, pair.now);
    assert_eq!(pair.client.open(dest("192.0.2.1:1"), START), Ok(StreamId(3)));
    pair.settle();
    assert!(matches!(events(&mut pair.exit)[..], [CircuitEvent::Open { stream: StreamId(3), .. }]));
}

#[test]
fn every_answer_to_open_has_one_size() {
    for answer in [None, Some(ResetCode::Refused), Some(ResetCode::Policy)] {
        let mut exit = end(End::Exit, CircuitTerms::default());
        let mut hand = Hand::across(End::Exit);
        hand.say(&mut exit, &open_frame(1, 1000), START).unwrap();
        let stream = StreamId(1);
        let frame = match answer {
            None => {
                exit.opened(stream);
                exit.send(stream, &mut Bytes::from("server speaks first"));
                Frame::Opened { stream, window: 256 * 1024 }
            }
            Some(code) => {
                exit.reset(stream, code);
                Frame::Reset { stream, code }
            }
        };
        let heard = hand.hear(&mut exit, START);
        assert_eq!(heard[0], (384, vec![frame, Frame::Pad]));
        assert_eq!(heard.len(), 1 + usize::from(answer.is_none()));
        assert_eq!(exit.streams(), usize::from(answer.is_none()));
    }
    let mut client = end(End::Client, CircuitTerms::default());
    let mut hand = Hand::across(End::Client);
    let stream = client.open(dest("example.org:443"), START).unwrap();
    let open = Frame::Open { stream, dest: dest("example.org:443"), window: 256 * 1024 };
    assert_eq!(hand.hear(&mut client, START), [(384, vec![open, Frame::Pad])]);
}

#[test]
fn a_reset_ends_a_stream_wherever_it_is() {
    // Before OPEN left.
    let mut pair = Pair::new(CircuitTerms::default());
    let unsent = pair.client.open(dest("example.org:443"), START).unwrap();
    pair.client.reset(unsent, ResetCode::Cancelled);
    pair.settle();
    assert_eq!((events(&mut pair.exit), pair.client.streams()), (vec![], 0));
    // While it is connecting; the answer comes late.
    let stream = pair.client.open(dest("example.org:443"), START).unwrap();
    pair.settle();
    events(&mut pair.exit);
    pair.exit.opened(stream);
    pair.exit.send(stream, &mut pattern(5000));
    pair.client.reset(stream, ResetCode::Cancelled);
    pair.settle();
    assert_eq!(events(&mut pair.exit), [CircuitEvent::Reset { stream, code: ResetCode::Cancelled }]);
    assert_eq!(events(&mut pair.client), []);
    // In the middle, by the exit, with bytes on the way and unread ones.
    let stream = pair.stream();
    pair.client.send(stream, &mut pattern(40_000));
    pair.exit.send(stream, &mut pattern(40_000));
    pair.carry(true, 1 << 20);
    pair.exit.reset(stream, ResetCode::DestinationReset);
    pair.settle();
    let told = events(&mut pair.client);
    assert_eq!(told, [CircuitEvent::Reset { stream, code: ResetCode::DestinationReset }]);
    assert_eq!((pair.client.streams(), pair.exit.streams()), (0, 0));
    assert_eq!(bytes_of(stream, &events(&mut pair.exit)).len(), 16_306, "what came before the reset");
    // All that was dropped is in the circuit's windows again: another stream may use them whole.
    let stream = pair.stream();
    let mut came = 0;
    for _ in 0..40 {
        pair.client.send(stream, &mut pattern(65_536));
        pair.settle();
        came += bytes_of(stream, &events(&mut pair.exit)).len();
        pair.exit.consumed(stream, 65_536, pair.now);
        pair.now = millis(pair.now, 500);
    }
    assert!(came > 2_000_000, "{came}");
}

#[test]
fn a_stream_without_credit_waits_and_does_not_hold_up_others() {
    let mut pair = Pair::new(CircuitTerms::default());
    let (slow, quick) = (pair.stream(), pair.stream());
    let mut sent = 0;
    loop {
        let taken = pair.exit.send(slow, &mut pattern(65_536));
        pair.settle();
        sent += taken;
        if taken == 0 {
            break;
        }
    }
    assert_eq!(sent, 256 * 1024, "the window of the stream");
    let unread = bytes_of(slow, &events(&mut pair.client));
    assert_eq!(unread.len(), sent);
    pair.exit.send(quick, &mut pattern(1000));
    pair.settle();
    assert_eq!(bytes_of(quick, &events(&mut pair.client)).len(), 1000);
    // Half of it is read: the exit is told that it may go on.
    events(&mut pair.exit);
    pair.client.consumed(slow, 128 * 1024, millis(pair.now, 900));
    pair.settle();
    assert_eq!(events(&mut pair.exit), [CircuitEvent::Writable(slow)]);
    assert_eq!(pair.exit.room(slow), 65_536);
}

#[test]
fn the_window_of_the_circuit_holds_all_streams_together() {
    let terms = CircuitTerms { circuit_window: 300_000, ..CircuitTerms::default() };
    let mut pair = Pair::new(terms);
    let streams: Vec<StreamId> = (0..4).map(|_| pair.stream()).collect();
    for _ in 0..20 {
        for stream in &streams {
            pair.exit.send(*stream, &mut pattern(65_536));
        }
        pair.settle();
    }
    let came = events(&mut pair.client);
    let total: usize = streams.iter().map(|stream| bytes_of(*stream, &came).len()).sum();
    assert_eq!(total, 300_000);
    // What waits at the sender is bounded as well.
    assert!(pair.exit.queued <= 256 * 1024);
    let first = bytes_of(streams[0], &came).len();
    pair.client.consumed(streams[0], first, millis(pair.now, 900));
    pair.settle();
    assert!(events(&mut pair.client).len() > 1);
}

#[test]
fn streams_get_equal_shares_of_a_circuit() {
    let mut pair = Pair::new(CircuitTerms { circuit_window: 8 << 20, ..CircuitTerms::default() });
    let streams: Vec<StreamId> = (0..5).map(|_| pair.stream()).collect();
    let mut shares = vec![0_usize; streams.len()];
    for _ in 0..60 {
        for stream in &streams {
            pair.exit.send(*stream, &mut pattern(if stream.0 == 1 { 100 } else { 65_536 }));
        }
        pair.carry(false, 1 << 20);
        let came = events(&mut pair.client);
        for (share, stream) in shares.iter_mut().zip(&streams) {
            let bytes = bytes_of(*stream, &came).len();
            *share += bytes;
            pair.client.consumed(*stream, bytes, pair.now);
        }
        pair.carry(true, 1 << 20);
    }
    let (least, most) = (shares[1..].iter().min().unwrap(), shares[1..].iter().max().unwrap());
    assert!(most - least <= 2 * 16_384, "{shares:?}");
    // The one that has little is never behind: all but what waits since the last turns has gone.
    assert!(shares[0] >= 100 * (60 - 6), "{shares:?}");
}

#[test]
fn records_are_full_when_there_is_much_to_send_and_fit_the_credit_when_there_is_little() {
    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.stream();
    pair.exit.send(stream, &mut pattern(65_536));
    let full = pair.exit.transmit(1 << 20, pair.now).unwrap();
    assert!(full.len() > 16_320, "{}", full.len());
    assert_eq!(pair.exit.transmit(511, pair.now), None);
    let little = pair.exit.transmit(1000, pair.now).unwrap();
    assert!((900..=1000).contains(&little.len()));
    pair.client.receive(&full, pair.now).unwrap();
    pair.client.receive(&little, pair.now).unwrap();
    pair.settle();
    assert_eq!(bytes_of(stream, &events(&mut pair.client)), pattern(65_536));
}

#[test]
fn optimistic_bytes_go_before_the_answer_and_are_part_of_the_window() {
    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.client.open(dest("example.org:443"), START).unwrap();
    pair.client.optimistic(stream);
    assert_eq!(pair.client.send(stream, &mut pattern(50_000)), 50_000);
    pair.settle();
    let came = events(&mut pair.exit);
    assert!(matches!(came[0], CircuitEvent::Open { .. }));
    assert_eq!(bytes_of(stream, &came).len(), 50_000);
    pair.exit.opened(stream);
    pair.settle();
    let mut sent = 50_000;
    loop {
        let taken = pair.client.send(stream, &mut pattern(65_536));
        pair.settle();
        sent += taken;
        if taken == 0 {
            break;
        }
    }
    assert_eq!(sent, 256 * 1024);
}

#[test]
fn a_client_keeps_to_the_limits_of_streams() {
    let terms = CircuitTerms { max_streams: 70, ..CircuitTerms::default() };
    let mut pair = Pair::new(terms);
    let opened: Vec<StreamId> =
        (0..64).map(|_| pair.client.open(dest("example.org:1"), pair.now).unwrap()).collect();
    assert_eq!(pair.client.open(dest("example.org:1"), pair.now), Err(OpenRefused::Connecting));
    pair.settle();
    for stream in &opened {
        pair.exit.opened(*stream);
    }
    pair.settle();
    assert_eq!(pair.client.open(dest("example.org:1"), pair.now), Err(OpenRefused::Rate));
    pair.now = millis(pair.now, 100);
    assert_eq!(pair.client.open(dest("a_b.example:1"), pair.now), Err(OpenRefused::Name));
    assert!((0..2).all(|_| pair.client.open(dest("example.org:1"), pair.now).is_ok()));
    assert_eq!(pair.client.open(dest("example.org:1"), pair.now), Err(OpenRefused::Rate));
    pair.now = millis(pair.now, 1000);
    assert!((0..4).all(|_| pair.client.open(dest("example.org:1"), pair.now).is_ok()));
    assert_eq!(pair.client.open(dest("example.org:1"), pair.now), Err(OpenRefused::Streams));
    assert_eq!(pair.exit.open(dest("example.org:1"), pair.now), Err(OpenRefused::NotClient));
    pair.client.reset(opened[0], ResetCode::Cancelled);
    assert!(pair.client.open(dest("example.org:1"), pair.now).is_ok());
}

#[test]
fn the_directory_of_the_exit_answers_on_a_stream() {
    let mut pair = Pair::new(CircuitTerms::default());
    let stream = pair.client.open(Destination::Directory, START).unwrap();
    pair.settle();
    assert_eq!(events(&mut pair.client), [CircuitEvent::Opened(stream)]);
    assert_eq!(events(&mut pair.exit), []);
    for body in [pattern(900_000), Bytes::new(), pattern(16_350), pattern(1)] {
        let get = DirGet { kind: DirKind::Headers, number: 7 };
        assert!(pair.client.dir_get(stream, get));
        assert!(!pair.client.dir_get(stream, get), "one at a time");
        pair.settle();
        assert_eq!(events(&mut pair.exit), [CircuitEvent::DirGet { stream, get }]);
        pair.exit.dir_answer(stream, body.clone());
        pair.exit.dir_answer(stream, body.clone());
        pair.settle();
        assert_eq!(events(&mut pair.client), [CircuitEvent::DirData { stream, body }]);
    }
    pair.client.fin(stream);
    pair.exit.fin(stream);
    pair.settle();
    assert_eq!((pair.client.streams(), pair.exit.streams()), (0, 0));
}
