//! Bytes through a claimed stream: both ways, ends, resets, back-pressure, and on another thread.

use crate::kit::{Taken, pattern, receive, send, soon, tunnel};
use bytes::Bytes;
use shoalway_http::h2::duplex::{DuplexError, FRAME, Receiving, ResetCode, Sending};
use shoalway_net::shard::Shard;
use std::future::poll_fn;
use std::task::Poll;

const MUCH: usize = 10 << 20;
const CANCEL: u32 = 8;

#[test]
fn ten_mebibytes_go_each_way_at_once_and_each_direction_ends_for_itself() {
    Shard::test(async |shard| {
        for piece in [1_000, FRAME, 1 << 20] {
            let (mut visit, near, far) = tunnel(&shard).await;
            let (mut near_in, mut near_out) = near.duplex.split();
            let Taken { duplex, client, .. } = far;
            assert_eq!(client, crate::kit::client_addr());
            let (mut far_in, mut far_out) = duplex.split();
            let (up, down) = (pattern(MUCH, 1), pattern(MUCH, 2));
            let there = async {
                send(&mut near_out, up.clone(), piece).await.unwrap();
                near_out.finish();
            };
            let (_, _, got_up, got_down) = tokio::join!(
                there,
                send(&mut far_out, down.clone(), piece),
                receive(&mut far_in, usize::MAX),
                receive(&mut near_in, MUCH)
            );
            assert!(got_up.unwrap() == up && got_down.unwrap() == down);
            // Up has ended, down goes on.
            send(&mut far_out, Bytes::from_static(b"still"), piece).await.unwrap();
            assert_eq!(receive(&mut near_in, 5).await.unwrap(), b"still");
            far_out.finish();
            assert_eq!(receive(&mut near_in, 1).await.unwrap(), b"");
            assert_eq!(soon(far_out.room()).await, Err(DuplexError::Gone));
            // The stream has ended, not the connection.
            let page = visit.get("/x", &[], 1 << 10).await.unwrap();
            assert_eq!((page.status, &page.body[..]), (200, &b"the site: GET"[..]));
        }
    });
}

#[test]
fn a_stream_that_is_cut_off_says_why_and_takes_nothing_with_it() {
    type Cut = fn(Receiving, Sending);
    let cuts: [(Cut, u32); 4] = [
        (|_receiving, mut sending| sending.reset(ResetCode::Done), 0),
        (|_receiving, mut sending| sending.reset(ResetCode::Broken), 2),
        (|_receiving, mut sending| sending.reset(ResetCode::Cancelled), CANCEL),
        (|_receiving, _sending| {}, CANCEL),
    ];
    Shard::test(async |shard| {
        for (cut, code) in cuts {
            for from_server in [true, false] {
                let (mut visit, near, far) = tunnel(&shard).await;
                let (cut_off, told) =
                    if from_server { (far.duplex, near.duplex) } else { (near.duplex, far.duplex) };
                let (receiving, sending) = cut_off.split();
                cut(receiving, sending);
                let (mut receiving, mut sending) = told.split();
                assert_eq!(receive(&mut receiving, 1).await, Err(DuplexError::Reset(code)));
                assert_eq!(soon(sending.room()).await, Err(DuplexError::Reset(code)));
                assert_eq!(visit.get("/", &[], 64).await.unwrap().status, 200);
            }
        }
    });
}

/// Sends until nothing more is taken, however long that is tried.
async fn fill(shard: &Shard, to: &mut Sending) -> usize {
    let (piece, mut sent) = (Bytes::from(vec![7; FRAME]), 0);
    for _ in 0..100 {
        shard.pass(std::time::Duration::from_millis(10)).await;
        while let Poll::Ready(room) = poll_fn(|cx| Poll::Ready(to.poll_room(cx))).await {
            let octets = room.unwrap().min(FRAME);
            to.send(piece.slice(..octets)).unwrap();
            sent += octets;
        }
    }
    sent
}

#[test]
fn who_does_not_take_bytes_gets_no_more_than_a_window_of_them() {
    Shard::test(async |shard| {
        let (_visit, near, far) = tunnel(&shard).await;
        let (mut near_in, mut near_out) = near.duplex.split();
        let (mut far_in, mut far_out) = far.duplex.split();
        for (out, window) in [(&mut near_out, 4 << 20), (&mut far_out, 6 << 20)] {
            let sent = fill(&shard, out).await;
            assert!(sent >= window && sent <= window + (64 << 10), "{sent} for {window}");
        }
        // Taken and not released: the peer still waits.
        let first = soon(far_in.chunk()).await.unwrap().unwrap();
        assert_eq!(fill(&shard, &mut near_out).await, 0);
        // Released, more comes.
        let mut taken = first.len();
        while taken < 3 << 20 {
            taken += soon(far_in.chunk()).await.unwrap().unwrap().len();
        }
        far_in.release(taken);
        let more = fill(&shard, &mut near_out).await;
        assert!(more > 2 << 20 && more <= taken, "{more} after {taken}");
        assert!(receive(&mut near_in, 1).await.unwrap().len() > 1);
    });
}

#[test]
fn no_more_is_taken_than_there_was_room_for() {
    Shard::test(async |shard| {
        let (_visit, near, _far) = tunnel(&shard).await;
        let (_in, mut out) = near.duplex.split();
        assert_eq!(out.send(Bytes::from_static(b"x")), Err(DuplexError::NoRoom));
        let room = soon(out.room()).await.unwrap();
        assert_eq!(room, 64 << 10);
        assert_eq!(out.send(Bytes::from(vec![0; room + 1])), Err(DuplexError::NoRoom));
        out.send(Bytes::from(vec![0; room])).unwrap();
        assert_eq!(out.send(Bytes::from_static(b"x")), Err(DuplexError::NoRoom));
    });
}

#[test]
fn a_stream_lives_on_another_thread_as_well() {
    Shard::test_in_real_time(async |shard| {
        let (_visit, near, far) = tunnel(&shard).await;
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (mut from, mut to) = far.duplex.split();
                while let Some(chunk) = from.chunk().await {
                    let chunk = chunk.unwrap();
                    let octets = chunk.len();
                    send(&mut to, chunk, FRAME).await.unwrap();
                    from.release(octets);
                }
                to.finish();
            });
        });
        let (mut near_in, mut near_out) = near.duplex.split();
        let sent = pattern(MUCH, 3);
        let there = async {
            send(&mut near_out, sent.clone(), 1 << 20).await.unwrap();
            near_out.finish();
        };
        let (_, back) = tokio::join!(there, receive(&mut near_in, usize::MAX));
        assert!(back.unwrap() == sent);
        thread.join().unwrap();
    });
}
