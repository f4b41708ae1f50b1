//! Flow control as a conversation: sections 6.9.1 and 6.9.2.

use crate::frames::{DATA, END_STREAM, WINDOW_UPDATE, data, get, open, post, request, settings, window};
use crate::origin::LARGE;
use crate::peer::{Frame, Peer};
use shoalway_net::shard::Shard;

fn content(frames: &[Frame], stream: u32) -> usize {
    frames.iter().filter(|frame| frame.is(DATA, stream)).map(|frame| frame.payload.len()).sum()
}

#[test]
fn no_more_is_sent_than_the_window_of_a_stream_allows() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        // 6.9.1/1: an initial window of 1.
        peer.send(&[settings(&[(4, 1)]), get(1)].concat()).await;
        assert_eq!(content(&peer.within_a_second().await, 1), 1);
        peer.send(&window(1, 2)).await;
        assert_eq!(content(&peer.within_a_second().await, 1), 2);
        // 6.9.2/1: the initial window grows while the stream is open.
        peer.send(&settings(&[(4, 3)])).await;
        assert_eq!(content(&peer.within_a_second().await, 1), 2);
        peer.send(&window(1, 100)).await;
        let rest = peer.within_a_second().await;
        assert_eq!(content(&rest, 1), 1);
        assert!(rest.last().unwrap().has(END_STREAM));
    });
}

#[test]
fn a_window_may_become_negative() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        // 6.9.2/2: 3 octets are sent, then the window shrinks to 2, which leaves -1.
        peer.send(&[settings(&[(4, 3)]), get(1)].concat()).await;
        assert_eq!(content(&peer.within_a_second().await, 1), 3);
        peer.send(&[settings(&[(4, 2)]), window(1, 1)].concat()).await;
        assert_eq!(content(&peer.within_a_second().await, 1), 0);
        peer.send(&window(1, 1)).await;
        assert_eq!(content(&peer.within_a_second().await, 1), 1);
    });
}

#[test]
fn no_more_is_sent_than_the_window_of_the_connection_allows() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        let large = request(1, "GET", "/large", &[]);
        peer.send(&[settings(&[(4, 1 << 20)]), large].concat()).await;
        assert_eq!(content(&peer.within_a_second().await, 1), 65_535);
        peer.send(&window(0, 1 << 20)).await;
        assert_eq!(content(&peer.within_a_second().await, 1), LARGE - 65_535);
    });
}

#[test]
fn frames_are_as_large_as_the_client_allows() {
    for (limit, expected) in [(16_384, 16_384), (20_000, 20_000)] {
        Shard::test(async |shard| {
            let mut peer = Peer::greeted(&shard).await;
            let large = request(1, "GET", "/large", &[]);
            let all = [settings(&[(4, 1 << 20), (5, limit)]), window(0, 1 << 20), large].concat();
            peer.send(&all).await;
            let frames = peer.within_a_second().await;
            let most =
                frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).max();
            assert!(most.is_some_and(|most| most <= expected), "{most:?}");
            assert_eq!(content(&frames, 1), LARGE);
        });
    }
}

#[test]
fn credit_for_what_was_uploaded_comes_back_when_it_was_taken() {
    Shard::test(async |shard| {
        let mut peer = Peer::greeted(&shard).await;
        let credit = |frames: &[Frame], stream| -> u32 {
            let updates = frames.iter().filter(|frame| frame.is(WINDOW_UPDATE, stream));
            updates.map(|frame| u32::from_be_bytes(frame.payload[..].try_into().unwrap())).sum()
        };
        // Nobody takes this upload: what is in between fills up, and the rest earns nothing.
        peer.send(&open(1)).await;
        for _ in 0..12 {
            peer.send(&data(1, &[0; 16_384])).await;
        }
        let held = credit(&peer.within_a_second().await, 1);
        // This one is taken.
        peer.send(&post(3, &[])).await;
        for _ in 0..12 {
            peer.send(&data(3, &[0; 16_384])).await;
        }
        let taken = credit(&peer.within_a_second().await, 3);
        assert!(held < taken && taken >= 128 << 10, "{held} and {taken}");
    });
}
