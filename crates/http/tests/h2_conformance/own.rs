//! What is asked beyond the usual cases: floods, sizes, and requests that end in answers of the engine.

use crate::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, continuation, data, field, frame, get, head,
    last_data, open, ping, post, priority, request_block, reset, settings, string, window,
};
use crate::peer::{Frame, Peer};
use crate::table::{CALM, CANCEL, ENHANCE_YOUR_CALM, Expect, Row, run, sent};
use shoalway_net::shard::Shard;

fn flood(what: &'static str, frames: Vec<u8>) -> Row {
    sent("flood", what, [frames], Expect::Connection(CALM))
}

fn many(most: u32, make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..most).flat_map(make).collect()
}

#[test]
fn floods_end_the_connection() {
    let begun = frame(HEADERS, END_STREAM, 1, &request_block("GET", "/", &[]));
    let small = field("x-a", "1");
    run(vec![
        flood(
            "requests that are reset at once",
            many(1_000, |n| [open(1 + 2 * n), reset(1 + 2 * n, CANCEL)].concat()),
        ),
        flood("PING", many(1_000, |_| ping([0; 8]))),
        flood("SETTINGS", many(1_000, |_| settings(&[(3, 100)]))),
        flood("empty DATA", [open(1), many(1_000, |_| data(1, b""))].concat()),
        flood("PRIORITY", many(3_000, |n| priority(1 + 2 * (n % 9), 0, 1))),
        flood("frames of unknown type", many(3_000, |_| frame(0xfe, 0, 0, &[]))),
        flood("acknowledgements that nobody asked for", many(3_000, |_| frame(PING, ACK, 0, &[0; 8]))),
        flood(
            "CONTINUATION without end",
            [begun.clone(), many(100, |_| continuation(1, 0, &small))].concat(),
        ),
        flood("CONTINUATION of nothing", [begun, many(100, |_| continuation(1, 0, &[]))].concat()),
    ]);
}

#[test]
fn streams_that_the_client_makes_us_reset_are_counted_too() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        for n in 0..2_000 {
            let stream = 1 + 2 * n;
            peer.send(&[open(stream), window(stream, 0)].concat()).await;
            if n % 50 == 49 && peer.within_a_second().await.iter().any(|frame| frame.kind == GOAWAY) {
                break;
            }
        }
        peer.send(&ping([0; 8])).await;
        let rest = peer.until(|frame| frame.is(PING, 0)).await;
        assert!(peer.closed, "{rest:?}");
    });
}

#[test]
fn a_client_that_behaves_may_ask_for_much() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        for n in 0..1_000 {
            let stream = 1 + 2 * n;
            peer.send(&[get(stream), ping([1; 8]), priority(stream, 0, 1)].concat()).await;
            let frames = peer.until(|frame| frame.is(DATA, stream) && frame.has(END_STREAM)).await;
            assert!(!peer.closed, "{n}: {frames:?}");
        }
    });
}

#[test]
fn heads_over_the_limit_are_431_and_far_over_it_the_end() {
    let fields = |octets: usize| field("x-a", &"x".repeat(100)).repeat(octets / 100);
    let request = |octets: usize| {
        let block = [request_block("GET", "/", &[]), fields(octets)].concat();
        let mut chunks = block.chunks(16_000).peekable();
        let mut bytes = frame(HEADERS, END_STREAM, 1, chunks.next().unwrap());
        while let Some(chunk) = chunks.next() {
            let end = if chunks.peek().is_none() { END_HEADERS } else { 0 };
            bytes.extend(continuation(1, end, chunk));
        }
        bytes
    };
    run(vec![
        sent("10.5.1", "too many fields for one head", [request(20_000)], Expect::Status(1, 431)),
        sent("10.5.1", "a list over the limit", [request(60_000)], Expect::Status(1, 431)),
        sent("10.5.1", "a list far over the limit", [request(400_000)], Expect::Connection(CALM)),
    ]);
}

#[test]
fn a_bomb_of_references_is_not_unpacked() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        let value = "x".repeat(3_900);
        let long = [&[0x40][..], &string(b"x-a"), &string(value.as_bytes())].concat();
        let bomb = [request_block("GET", "/", &[]), long, vec![0xbe; 16_000 - 3_900 - 200]].concat();
        peer.send(&head(1, &bomb)).await;
        let frames = peer.until(|_| false).await;
        assert!(
            frames.iter().any(|frame| frame.kind == GOAWAY && frame.code() == ENHANCE_YOUR_CALM),
            "{frames:?}"
        );
    });
}

#[test]
fn a_head_that_does_not_become_whole_ends_the_connection_even_beside_other_streams() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        let begun = frame(HEADERS, END_STREAM, 3, &request_block("GET", "/", &[]));
        peer.send(&[open(1), begun].concat()).await;
        let since = tokio::time::Instant::now();
        let frames = peer.until(|frame| frame.kind == GOAWAY).await;
        assert_eq!(frames.last().unwrap().code(), ENHANCE_YOUR_CALM);
        assert!(since.elapsed() < std::time::Duration::from_secs(11), "{:?}", since.elapsed());
    });
}

#[test]
fn one_octet_at_a_time_is_the_same() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        let bytes =
            [post(1, &[("content-length", "4")]), data(1, b"te"), last_data(1, b"st"), get(3)].concat();
        for octet in bytes {
            peer.send(&[octet]).await;
            tokio::task::yield_now().await;
        }
        let frames = peer.until(|frame| frame.is(DATA, 3) && frame.has(END_STREAM)).await;
        let answered =
            |stream| frames.iter().any(|frame: &Frame| frame.is(HEADERS, stream) && frame.status() == 200);
        assert!(answered(1) && answered(3), "{frames:?}");
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_frame_leaves_nothing_behind() {
    Shard::test(async |shard| {
        let bytes = [open(1), data(1, b"some content"), get(3)].concat();
        for cut in 0..bytes.len() {
            let mut peer = Peer::greeted(&shard).await;
            peer.send(&bytes[..cut]).await;
        }
        // The engine's tasks and those of their upstreams end with the connections.
        shard.pass(std::time::Duration::from_secs(120)).await;
        assert_eq!(shard.tasks().panics(), 0);
        assert!(shard.tasks().alive() < 10, "{} tasks are left", shard.tasks().alive());
    });
}
