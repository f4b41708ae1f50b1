//! What every server does when nothing is wrong.

use crate::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, WITH_PRIORITY, block, continuation, data, field, frame,
    get, goaway, last_data, open, ping, post, priority, request, request_block, reset, settings, window,
};
use crate::table::{CANCEL, Expect, Step, row, run, sent};

fn padded(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    frame(kind, flags | PADDED, stream, &[&[8], content, &[0; 8][..]].concat())
}

fn prioritised(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    let block = request_block("GET", "/", &[]);
    let payload = [&on.to_be_bytes()[..], &[weight], &block].concat();
    frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, stream, &payload)
}

#[test]
fn frames_in_every_state_that_allows_them() {
    let held = request(1, "GET", "/hold", &[]);
    run(vec![
        sent("1/1", "a preface", [ping(*b"greeting")], Expect::Pong(*b"greeting")),
        sent("2/1", "PRIORITY on an idle stream", [priority(1, 0, 255), get(1)], Expect::Answer(1)),
        sent(
            "2/2",
            "WINDOW_UPDATE on a half-closed stream",
            [settings(&[(4, 0)]), get(1), window(1, 6)],
            Expect::Answer(1),
        ),
        sent("2/3", "PRIORITY on a half-closed stream", [get(1), priority(1, 0, 255)], Expect::Answer(1)),
        sent("2/4", "RST_STREAM on a half-closed stream", [held, reset(1, CANCEL)], Expect::Alive),
        row(
            "2/5",
            "PRIORITY on a closed stream",
            [get(1).into(), Step::Answered(1), priority(1, 0, 255).into(), get(3).into()],
            Expect::Answer(3),
        ),
    ]);
}

#[test]
fn frames_of_each_type() {
    let get_block = request_block("GET", "/", &[]);
    run(vec![
        sent("3.1/1", "DATA", [post(1, &[]), last_data(1, b"test")], Expect::Answer(1)),
        sent(
            "3.1/2",
            "several DATA",
            [post(1, &[]), data(1, b"one"), last_data(1, b"two")],
            Expect::Answer(1),
        ),
        sent("3.1/3", "padded DATA", [post(1, &[]), padded(DATA, END_STREAM, 1, b"test")], Expect::Answer(1)),
        sent("3.1/4", "an empty DATA as the end", [post(1, &[]), last_data(1, b"")], Expect::Answer(1)),
        sent("3.2/1", "HEADERS", [get(1)], Expect::Answer(1)),
        sent(
            "3.2/2",
            "padded HEADERS",
            [padded(HEADERS, END_STREAM | END_HEADERS, 1, &get_block)],
            Expect::Answer(1),
        ),
        sent("3.2/3", "HEADERS with a priority", [prioritised(1, 0, 255)], Expect::Answer(1)),
        sent(
            "3.2/4",
            "HEADERS that depends on a stream that is none",
            [prioritised(1, 101, 0)],
            Expect::Answer(1),
        ),
        sent("3.3/1", "PRIORITY of weight 1", [priority(1, 0, 0), get(1)], Expect::Answer(1)),
        sent("3.3/2", "PRIORITY of weight 256", [priority(1, 0, 255), get(1)], Expect::Answer(1)),
        sent("3.3/3", "PRIORITY with a dependency", [priority(3, 1, 9), get(1), get(3)], Expect::Answer(3)),
        sent(
            "3.3/4",
            "PRIORITY that is exclusive",
            [priority(3, 0x8000_0001, 9), get(1), get(3)],
            Expect::Answer(3),
        ),
        sent(
            "3.3/5",
            "PRIORITY of a stream that is opened later",
            [priority(5, 0, 9), priority(3, 5, 9), get(5)],
            Expect::Answer(5),
        ),
        sent("3.4/1", "RST_STREAM", [open(1), reset(1, CANCEL), get(3)], Expect::Answer(3)),
        sent("3.5/1", "SETTINGS", [settings(&[(3, 100)])], Expect::SettingsAck),
        sent("3.7/1", "PING", [ping(*b"12345678")], Expect::Pong(*b"12345678")),
        sent("3.8/1", "GOAWAY", [goaway(0, 0), ping(*b"farewell")], Expect::Pong(*b"farewell")),
        sent("3.9/1", "WINDOW_UPDATE of the connection", [window(0, 1), get(1)], Expect::Answer(1)),
        sent(
            "3.9/2",
            "WINDOW_UPDATE of a stream",
            [post(1, &[]), window(1, 1), last_data(1, b"x")],
            Expect::Answer(1),
        ),
        sent(
            "3.10/1",
            "CONTINUATION",
            [frame(HEADERS, END_STREAM, 1, &get_block), continuation(1, END_HEADERS, &field("x-a", "1"))],
            Expect::Answer(1),
        ),
        sent(
            "3.10/2",
            "CONTINUATION that cuts a field in two",
            [frame(HEADERS, END_STREAM, 1, &get_block[..20]), continuation(1, END_HEADERS, &get_block[20..])],
            Expect::Answer(1),
        ),
        sent(
            "3.10/3",
            "HEADERS without a byte of the block",
            [frame(HEADERS, END_STREAM, 1, &[]), continuation(1, END_HEADERS, &get_block)],
            Expect::Answer(1),
        ),
    ]);
}

#[test]
fn exchanges() {
    let trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&[("x-sum", "1")]));
    run(vec![
        sent("4/1", "GET", [get(1)], Expect::Answer(1)),
        sent("4/2", "HEAD", [request(1, "HEAD", "/", &[])], Expect::Answer(1)),
        sent("4/3", "POST", [post(1, &[("content-length", "4")]), last_data(1, b"test")], Expect::Answer(1)),
        sent("4/4", "POST with trailers", [post(1, &[]), data(1, b"test"), trailers], Expect::Answer(1)),
        sent(
            "4/5",
            "many at once",
            [(0..100).flat_map(|n| get(1 + 2 * n)).collect::<Vec<u8>>()],
            Expect::Answer(199),
        ),
    ]);
}
