//! The preface, and frames whatever their type: sections 3.5, 4.1 to 4.3, 5.5, 7.

use crate::frames::{
    ACK, END_STREAM, GOAWAY, HEADERS, PING, SETTINGS, data, field, frame, get, goaway, head, last_data, open,
    ping, post, priority, request_block, reset, settings,
};
use crate::peer::{PREFACE, Peer};
use crate::table::{COMPRESSION, Expect, PROTOCOL, SIZE, run, sent};
use shoalway_net::shard::Shard;

#[test]
fn the_server_answers_a_preface_with_its_settings() {
    Shard::test(async |shard| {
        let mut peer = Peer::new(&shard);
        peer.send(PREFACE).await;
        peer.send(&settings(&[])).await;
        let first = peer.next().await.unwrap();
        assert!(first.is(SETTINGS, 0) && first.flags == 0);
        let list: Vec<(u16, u32)> = first
            .payload
            .chunks(6)
            .map(|entry| {
                let (id, value) = entry.split_at(2);
                (u16::from_be_bytes(id.try_into().unwrap()), u32::from_be_bytes(value.try_into().unwrap()))
            })
            .collect();
        for expected in [(3, 128), (4, 256 << 10), (6, 64 << 10), (8, 1)] {
            assert!(list.contains(&expected), "{expected:?} in {list:?}");
        }
    });
}

#[test]
fn what_is_no_preface_ends_the_connection() {
    for bytes in [
        &b"INVALID CONNECTION PREFACE\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ] {
        Shard::test(async |shard| {
            let mut peer = Peer::new(&shard);
            peer.send(bytes).await;
            peer.until(|_| false).await;
            assert!(peer.closed);
        });
    }
}

#[test]
fn the_first_frame_is_settings() {
    for first in [ping([0; 8]), get(1), frame(SETTINGS, ACK, 0, &[])] {
        Shard::test(async |shard| {
            let mut peer = Peer::new(&shard);
            peer.send(&[PREFACE, &first].concat()).await;
            let frames = peer.until(|_| false).await;
            assert!(peer.closed);
            assert_eq!(
                frames.iter().find(|frame| frame.kind == GOAWAY).map(crate::peer::Frame::code),
                Some(1)
            );
        });
    }
}

#[test]
fn a_client_that_only_connects_is_not_waited_for_long() {
    for bytes in [&b""[..], &PREFACE[..10], PREFACE] {
        Shard::test(async |shard| {
            let mut peer = Peer::new(&shard);
            peer.send(bytes).await;
            peer.until(|_| false).await;
            assert!(peer.closed);
        });
    }
}

#[test]
fn frames_of_any_type() {
    let mut reserved = ping(*b"reserved");
    reserved[5] |= 0x80;
    let big = vec![0; 16_385];
    let dummy = field("x-dummy", &"x".repeat(120)).repeat(200);
    run(vec![
        sent("4.1/1", "a frame of unknown type", [frame(0xbe, 0, 0, &[0; 8])], Expect::Alive),
        sent("4.1/2", "undefined flags", [frame(PING, 0x16, 0, b"flagged?")], Expect::Pong(*b"flagged?")),
        sent("4.1/3", "the reserved bit of the stream", [reserved], Expect::Pong(*b"reserved")),
        sent("4.2/1", "DATA of 2^14 octets", [post(1, &[]), last_data(1, &big[..16_384])], Expect::Answer(1)),
        sent("4.2/2", "DATA over the limit", [post(1, &[]), data(1, &big)], Expect::Stream(1, SIZE)),
        sent("4.2/3", "HEADERS over the limit", [head(1, &dummy[..16_400])], Expect::Connection(SIZE)),
        sent("4.3/1", "a block that cannot be read", [head(1, &[0x40])], Expect::Connection(COMPRESSION)),
        sent(
            "4.3/2",
            "PRIORITY within a header block",
            [frame(HEADERS, END_STREAM, 1, &request_block("GET", "/", &[])), priority(1, 0, 255)],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "4.3/3",
            "HEADERS of another stream within a header block",
            [frame(HEADERS, END_STREAM, 1, &request_block("GET", "/", &[])), get(3)],
            Expect::Connection(PROTOCOL),
        ),
        sent("5.5/1", "an unknown frame", [frame(0xff, 0, 0, &[0; 8]), get(1)], Expect::Answer(1)),
        sent(
            "5.5/2",
            "an unknown frame within a header block",
            [frame(HEADERS, END_STREAM, 1, &request_block("GET", "/", &[])), frame(0xff, 0, 0, &[0; 8])],
            Expect::Connection(PROTOCOL),
        ),
        sent(
            "7/1",
            "GOAWAY with an unknown code",
            [goaway(0, 0xff), ping(*b"still up")],
            Expect::Pong(*b"still up"),
        ),
        sent("7/2", "RST_STREAM with an unknown code", [open(1), reset(1, 0xff)], Expect::Alive),
    ]);
}
