//! Each type of frame, and what it may not be: sections 6.1 to 6.10.

use crate::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PUSH_PROMISE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, continuation, data, field, frame, get, goaway, open, ping, post, priority,
    request_block, reset, settings, window,
};
use crate::table::{Expect, FLOW, FLOW_OR_PROTOCOL, PROTOCOL, SIZE, run, sent};

fn unfinished(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, stream, &request_block("GET", "/", &[]))
}

#[test]
fn data_and_headers() {
    let padded = |kind, flags, content: &[u8]| frame(kind, flags | PADDED, 1, content);
    run(vec![
        sent("6.1/1", "DATA on stream 0", [data(0, b"test")], Expect::Connection(PROTOCOL)),
        sent(
            "6.1/2",
            "DATA on a stream that was not opened",
            [get(3), data(5, b"x")],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "6.1/3",
            "DATA with more padding than it has",
            [post(1, &[]), padded(DATA, END_STREAM, b"\x06Test")],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "6.2/1",
            "HEADERS without its end, then PRIORITY",
            [unfinished(1, END_STREAM), priority(1, 0, 1)],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "6.2/2",
            "HEADERS without its end, then another stream",
            [unfinished(1, END_STREAM), get(3)],
            Expect::Connection(PROTOCOL),
        ),
        sent("6.2/3", "HEADERS on stream 0", [get(0)], Expect::Connection(PROTOCOL)),
        sent(
            "6.2/4",
            "HEADERS with more padding than it has",
            [padded(HEADERS, END_STREAM | END_HEADERS, b"\xff\x82\x86\x84")],
            Expect::Connection(PROTOCOL),
        ),
    ]);
}

#[test]
fn priority_reset_and_settings() {
    run(vec![
        sent("6.3/1", "PRIORITY on stream 0", [priority(0, 0, 15)], Expect::Connection(PROTOCOL)),
        sent(
            "6.3/2",
            "PRIORITY of another length",
            [open(1), frame(PRIORITY, 0, 1, &[0x80, 0, 0, 1])],
            Expect::Stream(1, SIZE),
        ),
        sent("6.4/1", "RST_STREAM on stream 0", [reset(0, 8)], Expect::Connection(PROTOCOL)),
        sent("6.4/2", "RST_STREAM on an idle stream", [reset(1, 8)], Expect::Connection(PROTOCOL)),
        sent(
            "6.4/3",
            "RST_STREAM of another length",
            [open(1), frame(RST_STREAM, 0, 1, &[0; 3])],
            Expect::Connection(SIZE),
        ),
        sent(
            "6.5/1",
            "SETTINGS that acknowledges with content",
            [frame(SETTINGS, ACK, 0, &[0; 6])],
            Expect::Connection(SIZE),
        ),
        sent("6.5/2", "SETTINGS on a stream", [frame(SETTINGS, 0, 1, &[])], Expect::Connection(PROTOCOL)),
        sent(
            "6.5/3",
            "SETTINGS of another length",
            [frame(SETTINGS, 0, 0, &[0; 3])],
            Expect::Connection(SIZE),
        ),
        sent("6.5.2/1", "ENABLE_PUSH of 2", [settings(&[(2, 2)])], Expect::Connection(PROTOCOL)),
        sent(
            "6.5.2/2",
            "a window over 2^31-1",
            [settings(&[(4, 1 << 31)])],
            Expect::Connection(FLOW_OR_PROTOCOL),
        ),
        sent("6.5.2/3", "MAX_FRAME_SIZE below", [settings(&[(5, 16_383)])], Expect::Connection(PROTOCOL)),
        sent("6.5.2/4", "MAX_FRAME_SIZE above", [settings(&[(5, 1 << 24)])], Expect::Connection(PROTOCOL)),
        sent(
            "6.5.2/5",
            "an unknown setting",
            [settings(&[(0xff, 1)]), ping(*b"settings")],
            Expect::Pong(*b"settings"),
        ),
        sent(
            "6.5.3/1",
            "one setting twice: the last counts",
            [settings(&[(4, 100), (4, 1)]), get(1)],
            Expect::FirstData(1, 1),
        ),
        sent("6.5.3/2", "SETTINGS is acknowledged", [settings(&[])], Expect::SettingsAck),
        sent("RFC 8441 3", "ENABLE_CONNECT_PROTOCOL of a client", [settings(&[(8, 1)])], Expect::Alive),
    ]);
}

#[test]
fn push_ping_and_goaway() {
    let promise = [&2_u32.to_be_bytes()[..], &request_block("GET", "/", &[])].concat();
    run(vec![
        sent(
            "8.2/1",
            "PUSH_PROMISE of a client",
            [open(1), frame(PUSH_PROMISE, END_HEADERS, 1, &promise)],
            Expect::Connection(PROTOCOL),
        ),
        sent("6.7/1", "PING", [ping(*b"h2 ping!")], Expect::Pong(*b"h2 ping!")),
        sent(
            "6.7/2",
            "PING that acknowledges",
            [frame(PING, ACK, 0, b"no echo!"), ping(*b"an echo!")],
            Expect::Pong(*b"an echo!"),
        ),
        sent("6.7/3", "PING on a stream", [frame(PING, 0, 1, &[0; 8])], Expect::Connection(PROTOCOL)),
        sent("6.7/4", "PING of another length", [frame(PING, 0, 0, &[0; 6])], Expect::Connection(SIZE)),
        sent("6.8/1", "GOAWAY on a stream", [frame(GOAWAY, 0, 1, &[0; 8])], Expect::Connection(PROTOCOL)),
        sent(
            "6.8/length",
            "GOAWAY that is too short",
            [frame(GOAWAY, 0, 0, &[0; 7])],
            Expect::Connection(SIZE),
        ),
        sent(
            "6.8/late",
            "what was asked before GOAWAY is answered",
            [get(1), goaway(0, 0)],
            Expect::Answer(1),
        ),
    ]);
}

#[test]
fn window_update() {
    const MOST: u32 = (1 << 31) - 1;
    run(vec![
        sent("6.9/1", "0 for the connection", [window(0, 0)], Expect::Connection(PROTOCOL)),
        sent("6.9/2", "0 for a stream", [open(1), window(1, 0)], Expect::Stream(1, PROTOCOL)),
        sent("6.9/3", "another length", [frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])], Expect::Connection(SIZE)),
        sent(
            "6.9.1/2",
            "a window of the connection over 2^31-1",
            [window(0, MOST), window(0, MOST)],
            Expect::Connection(FLOW),
        ),
        sent(
            "6.9.1/3",
            "a window of a stream over 2^31-1",
            [open(1), window(1, MOST), window(1, MOST)],
            Expect::Stream(1, FLOW),
        ),
        sent(
            "6.9.2/3",
            "an initial window over 2^31-1",
            [settings(&[(4, 0xffff_ffff)])],
            Expect::Connection(FLOW_OR_PROTOCOL),
        ),
    ]);
}

#[test]
fn continuation_frames() {
    let dummy = field("x-dummy", "1");
    let more = |flags| continuation(1, flags, &dummy);
    run(vec![
        sent("6.10/1", "several", [unfinished(1, END_STREAM), more(0), more(END_HEADERS)], Expect::Answer(1)),
        sent(
            "6.10/2",
            "one, then another frame",
            [unfinished(1, END_STREAM), more(0), data(1, b"test")],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "6.10/3",
            "on stream 0",
            [unfinished(1, END_STREAM), continuation(0, END_HEADERS, &dummy)],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "6.10/4",
            "behind the end of HEADERS",
            [get(1), more(END_HEADERS)],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "6.10/5",
            "behind its own end",
            [unfinished(1, END_STREAM), more(END_HEADERS), more(END_HEADERS)],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "6.10/6",
            "behind DATA",
            [open(1), data(1, b"test"), more(END_HEADERS)],
            Expect::Connection(PROTOCOL),
        ),
    ]);
}
