//! The states of a stream, their numbers and how many there are: sections 5.1 to 5.4.

use crate::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, WITH_PRIORITY, continuation, data,
    frame, get, open, priority, request, request_block, reset, window,
};
use crate::peer::Peer;
use crate::table::{
    CANCEL, CLOSED, CLOSED_OR_PROTOCOL, Expect, NO_ERROR, PROTOCOL, PROTOCOL_ERROR, REFUSED_STREAM, Row,
    SIZE, Step, row, run, sent,
};
use shoalway_net::shard::Shard;

/// A request that is over on our side and not on the server's.
fn half_closed() -> Vec<u8> {
    request(1, "GET", "/hold", &[])
}

#[test]
fn idle() {
    run(vec![
        sent("5.1/1", "idle: DATA", [data(1, b"test")], Expect::Connection(PROTOCOL)),
        sent("5.1/2", "idle: RST_STREAM", [reset(1, CANCEL)], Expect::Connection(PROTOCOL)),
        sent("5.1/3", "idle: WINDOW_UPDATE", [window(1, 100)], Expect::Connection(PROTOCOL)),
        sent(
            "5.1/4",
            "idle: CONTINUATION",
            [continuation(1, END_HEADERS, &[])],
            Expect::Connection(PROTOCOL),
        ),
        sent("5.1/idle", "idle: PRIORITY", [priority(1, 0, 15)], Expect::Alive),
    ]);
}

#[test]
fn half_closed_by_the_client() {
    run(vec![
        sent(
            "5.1/5",
            "half-closed: DATA",
            [half_closed(), data(1, b"test")],
            Expect::Stream(1, CLOSED_OR_PROTOCOL),
        ),
        sent("5.1/6", "half-closed: HEADERS", [half_closed(), get(1)], Expect::Stream(1, CLOSED_OR_PROTOCOL)),
        sent(
            "5.1/7",
            "half-closed: CONTINUATION",
            [half_closed(), continuation(1, END_HEADERS, &[])],
            Expect::Connection(PROTOCOL),
        ),
        sent("5.1/half", "half-closed: WINDOW_UPDATE", [half_closed(), window(1, 100)], Expect::Alive),
        sent("5.1/half", "half-closed: PRIORITY", [half_closed(), priority(1, 0, 1)], Expect::Alive),
        sent("5.1/half", "half-closed: RST_STREAM", [half_closed(), reset(1, CANCEL)], Expect::Alive),
    ]);
}

#[test]
fn closed() {
    let after_reset = |what, frame: Vec<u8>, expect| -> Row {
        sent("5.1/8-10", what, [open(1), reset(1, CANCEL), frame], expect)
    };
    let after_answer = |what, frame: Vec<u8>, expect| -> Row {
        row("5.1/11-13", what, [get(1).into(), Step::Answered(1), frame.into()], expect)
    };
    run(vec![
        after_reset("reset: DATA", data(1, b"test"), Expect::Stream(1, CLOSED)),
        after_reset("reset: HEADERS", get(1), Expect::Stream(1, CLOSED_OR_PROTOCOL)),
        after_reset("reset: CONTINUATION", continuation(1, END_HEADERS, &[]), Expect::Connection(PROTOCOL)),
        after_reset("reset: PRIORITY", priority(1, 0, 1), Expect::Alive),
        after_answer("closed: DATA", data(1, b"test"), Expect::Stream(1, CLOSED)),
        after_answer("closed: HEADERS", get(1), Expect::Stream(1, CLOSED_OR_PROTOCOL)),
        after_answer("closed: CONTINUATION", continuation(1, END_HEADERS, &[]), Expect::Connection(PROTOCOL)),
        after_answer("closed: PRIORITY", priority(1, 0, 1), Expect::Alive),
        after_answer("closed: WINDOW_UPDATE", window(1, 1), Expect::Alive),
        after_answer("closed: RST_STREAM", reset(1, CANCEL), Expect::Alive),
    ]);
}

#[test]
fn numbers_and_dependencies() {
    let itself = [&1_u32.to_be_bytes()[..], &[255], &request_block("GET", "/", &[])].concat();
    run(vec![
        sent("5.1.1/1", "an even number", [get(2)], Expect::Connection(PROTOCOL)),
        sent("5.1.1/2", "a smaller number", [get(5), get(3)], Expect::Connection(PROTOCOL)),
        sent(
            "5.3.1/1",
            "HEADERS that depends on its own stream",
            [frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, 1, &itself)],
            Expect::Stream(1, PROTOCOL),
        ),
        sent(
            "5.3.1/2",
            "PRIORITY that depends on its own stream",
            [open(1), priority(1, 1, 255)],
            Expect::Stream(1, PROTOCOL),
        ),
        sent("5.4.1/1", "the end follows GOAWAY", [frame(PING, 0, 0, &[0; 4])], Expect::Connection(SIZE)),
    ]);
}

#[test]
fn goaway_names_the_last_stream_that_was_taken() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        peer.send(&[get(1), get(3)].concat()).await;
        peer.until(|frame| frame.is(DATA, 3)).await;
        peer.send(&data(0, b"bad")).await;
        let frames = peer.until(|frame| frame.kind == GOAWAY).await;
        let last = frames.last().unwrap();
        assert_eq!((last.code(), &last.payload[..4]), (PROTOCOL_ERROR, &[0, 0, 0, 3][..]));
    });
}

#[test]
fn more_streams_than_allowed_are_refused_and_the_others_go_on() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        for n in 0..128 {
            peer.send(&request(1 + 2 * n, "GET", "/hold", &[])).await;
        }
        peer.send(&get(257)).await;
        let frames = peer.until(|frame| frame.is(RST_STREAM, 257)).await;
        assert_eq!(frames.last().unwrap().code(), REFUSED_STREAM);
        peer.send(&[reset(1, NO_ERROR), get(259)].concat()).await;
        let frames = peer.until(|frame| frame.is(HEADERS, 259)).await;
        assert_eq!(frames.last().unwrap().status(), 200);
    });
}
