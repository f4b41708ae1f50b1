//! Answers that go through a filter: their framing, pauses, ends, and how much of a turn they take.

use super::kit::{GET, GOT, Wire};
use crate::h1::body::filtered::SLICE;
use shoalway_net::shard::Shard;
use std::rc::Rc;

const HEAD: &str = "HTTP/1.1 200 OK\r\nX-Filtered: yes\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

async fn asked(shard: &Rc<Shard>, request: &str) -> (Wire, super::kit::Peer) {
    let mut wire = Wire::new(shard);
    wire.log.filters.set(true);
    let mut origin = wire.upstream();
    wire.client.send(request).await;
    origin.expect(GOT).await;
    (wire, origin)
}

#[test]
fn content_of_any_framing_leaves_in_chunks_of_our_own() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
    ] {
        Shard::test(async |shard| {
            let (mut wire, mut origin) = asked(&shard, GET).await;
            origin.send(answer).await;
            wire.client.expect(&format!("{HEAD}8\r\n[hello].\r\n0\r\n\r\n")).await;
            // Both connections are kept.
            wire.client.send(GET).await;
            origin.expect(GOT).await;
            assert_eq!(*wire.log.bytes.borrow(), [(0, 8)]);
        });
    }
}

#[test]
fn content_until_the_close_gets_an_end_and_the_client_keeps_its_connection() {
    Shard::test(async |shard| {
        let (mut wire, mut origin) = asked(&shard, GET).await;
        origin.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
        wire.client.expect(&format!("{HEAD}7\r\n[hello]\r\n")).await;
        origin.end().await;
        wire.client.expect("3\r\n[].\r\n0\r\n\r\n").await;
        let mut next = wire.upstream();
        wire.client.send(GET).await;
        next.expect(GOT).await;
    });
}

#[test]
fn a_client_of_version_1_0_gets_no_chunks() {
    Shard::test(async |shard| {
        let old = GET.replace("HTTP/1.1", "HTTP/1.0");
        let (mut wire, mut origin) = asked(&shard, &old).await;
        origin.send(format!("{CHUNKED}5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")).await;
        let answer = wire.client.rest().await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\nX-Filtered: yes\r\nConnection: close\r\n\r\n[hello].");
    });
}

#[test]
fn what_has_come_leaves_when_the_upstream_pauses() {
    Shard::test(async |shard| {
        let (mut wire, mut origin) = asked(&shard, GET).await;
        origin.send(CHUNKED).await;
        wire.client.expect(HEAD).await;
        for _ in 0..3 {
            origin.send("2\r\nab\r\n").await;
            wire.client.expect("4\r\n[ab]\r\n").await;
        }
        origin.send("0\r\n\r\n").await;
        wire.client.expect("3\r\n[].\r\n0\r\n\r\n").await;
    });
}

#[test]
fn trailers_follow_and_interim_answers_go_before() {
    Shard::test(async |shard| {
        let (mut wire, mut origin) = asked(&shard, GET).await;
        origin.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await;
        origin.send(format!("{CHUNKED}2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 3\r\n\r\n")).await;
        wire.client.expect("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await;
        wire.client.expect(&format!("{HEAD}5\r\n[ok].\r\n0\r\nX-Sum: 1\r\n\r\n")).await;
    });
}

#[test]
fn content_that_breaks_off_gets_no_end() {
    for (answer, outcome) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "http_response_incomplete"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "http_response_incomplete"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", "http_protocol_error"),
    ] {
        Shard::test(async |shard| {
            let (mut wire, mut origin) = asked(&shard, GET).await;
            origin.send(answer).await;
            origin.end().await;
            drop(origin);
            let got = wire.client.rest().await;
            assert!(got.is_empty() || got.starts_with(HEAD), "{got}");
            assert!(!got.contains("].") && !got.contains("0\r\n\r\n"), "{got}");
            assert_eq!(wire.outcomes(), [(200, outcome)]);
        });
    }
}

#[test]
fn a_filter_that_fails_leaves_no_whole_answer() {
    Shard::test(async |shard| {
        let (mut wire, mut origin) = asked(&shard, GET).await;
        wire.log.poison.set(Some(b'!'));
        origin.send(format!("{CHUNKED}2\r\nok\r\n")).await;
        wire.client.expect(&format!("{HEAD}4\r\n[ok]\r\n")).await;
        origin.send("2\r\no!\r\n0\r\n\r\n").await;
        assert_eq!(wire.client.rest().await, "");
        assert_eq!(wire.outcomes(), [(200, "proxy_internal_error")]);
    });
}

#[test]
fn a_large_body_goes_through_in_slices_between_which_others_have_their_turn() {
    Shard::test(async |shard| {
        let (mut wire, mut origin) = asked(&shard, GET).await;
        let length = 1 << 20;
        let other = Rc::clone(&wire.log);
        // Somebody who is always ready.
        shard.tasks().spawn(std::future::poll_fn(move |cx| {
            other.turn.set(other.turn.get() + 1);
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }));
        let sender = async {
            origin.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")).await;
            origin.send(vec![b'x'; length]).await;
        };
        let receiver = async {
            wire.client.expect(HEAD).await;
            let mut got = 0;
            while got < length {
                got += wire.client.some().await.iter().filter(|byte| **byte == b'x').count();
            }
        };
        tokio::join!(sender, receiver);
        let most = wire.log.most_in_a_turn.get();
        assert!((1..=SLICE).contains(&most), "{most}");
    });
}

#[test]
fn answers_without_content_are_not_asked_about() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        Shard::test(async |shard| {
            let mut wire = Wire::new(&shard);
            wire.log.filters.set(true);
            let mut origin = wire.upstream();
            wire.client.send(GET.replace("GET", method)).await;
            origin.expect(&GOT.replace("GET", method)).await;
            origin.send(answer).await;
            wire.client.expect(answer).await;
        });
    }
}

#[test]
fn an_answer_that_tells_of_content_may_be_edited_and_has_none_to_filter() {
    Shard::test(async |shard| {
        let (mut wire, mut origin) = asked(&shard, GET).await;
        origin.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n").await;
        wire.client.expect("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nX-Filtered: yes\r\n\r\n").await;
        wire.client.send(GET).await;
        origin.expect(GOT).await;
    });
}
