//! Messages there and back: lengths, chunks, trailers, interim answers, early answers, windows.

use super::kit::{Client, GOT, content, expect, send, shown, soon, whole};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use shoalway_net::shard::Shard;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_request_without_content_and_its_answer() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nX-Spelt: As Sent\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(whole(answer).await, "200 x-spelt=As Sent content-length=2 | ok");
        let again = client.get("/a");
        expect(&mut origin, GOT).await;
        send(&mut origin, "HTTP/1.1 204 No Content\r\nConnection: x-hop, close\r\nX-Hop: 1\r\n\r\n").await;
        assert_eq!(whole(again).await, "204  | ");
        assert_eq!(client.outcomes(), [(200, "ok"), (204, "ok")]);
    });
}

#[test]
fn streams_run_side_by_side() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origins: Vec<_> = (0..50).map(|_| client.log.upstream()).collect();
        let answers: Vec<_> = (0..50).map(|_| client.get("/a")).collect();
        for origin in origins.iter_mut().rev() {
            expect(origin, GOT).await;
            send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
        for answer in answers {
            assert_eq!(whole(answer).await, "200 content-length=2 | ok");
        }
    });
}

#[test]
fn an_announced_length_is_kept_and_its_lack_becomes_chunks() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let (answer, mut body) = client.post(&[("content-length", "5")]);
        body.send_data(Bytes::from_static(b"hello"), true).unwrap();
        expect(&mut origin, "POST /p HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\nhello").await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(whole(answer).await, "200 content-length=0 | ");
        let (answer, mut body) = client.post(&[]);
        body.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let head = "POST /p HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n";
        expect(&mut origin, &format!("{head}5\r\nhello\r\n")).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        body.send_trailers(trailers).unwrap();
        expect(&mut origin, "0\r\nx-sum: 1\r\n\r\n").await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        send(&mut origin, "3\r\nabc\r\n0\r\nX-Sum: 2\r\nConnection: no\r\n\r\n").await;
        assert_eq!(whole(answer).await, "200  | abc + x-sum=2");
    });
}

#[test]
fn an_answer_that_ends_with_its_connection_ends_its_stream() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        send(&mut origin, "HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
        drop(origin);
        assert_eq!(whole(answer).await, "200  | until the end");
    });
}

#[test]
fn an_answer_that_breaks_off_resets_its_stream_and_no_other() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        let (_parts, body) = soon(answer).await.unwrap().into_parts();
        drop(origin);
        let broken = soon(content(body)).await.unwrap_err();
        assert_eq!(broken.reason(), Some(h2::Reason::INTERNAL_ERROR));
        let next = client.get("/a");
        assert_eq!(soon(next).await.unwrap().status(), 502);
        assert_eq!(client.outcomes()[0], (200, "http_response_incomplete"));
    });
}

#[test]
fn interim_answers_pass_and_the_wait_for_them() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let (mut answer, mut body) = client.post(&[("content-length", "2"), ("expect", "100-continue")]);
        expect(
            &mut origin,
            "POST /p HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await;
        send(&mut origin, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            .await;
        for shown_as in ["100 ", "103 link=</x>"] {
            let interim = soon(std::future::poll_fn(|cx| answer.poll_informational(cx))).await;
            assert_eq!(shown(&interim.unwrap().unwrap()), shown_as);
        }
        body.send_data(Bytes::from_static(b"hi"), true).unwrap();
        expect(&mut origin, "hi").await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(whole(answer).await, "200 content-length=2 | ok");
    });
}

#[test]
fn an_early_answer_is_whole_and_the_upload_is_told_to_stop() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let (answer, mut body) = client.post(&[("content-length", "100000")]);
        body.send_data(Bytes::from_static(b"begin"), false).unwrap();
        expect(&mut origin, "POST /p HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100000\r\n\r\nbegin")
            .await;
        send(&mut origin, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!").await;
        assert_eq!(whole(answer).await, "413 content-length=3 | no!");
        let stopped = soon(std::future::poll_fn(|cx| body.poll_reset(cx))).await;
        assert_eq!(stopped.unwrap(), h2::Reason::NO_ERROR);
    });
}

#[test]
fn head_and_304_announce_what_they_do_not_send() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let request = Request::head("https://a.example/a").body(()).unwrap();
        let (answer, _) = client.send.send_request(request, true).unwrap();
        expect(&mut origin, "HEAD /a HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n").await;
        assert_eq!(whole(answer).await, "200 content-length=99 | ");
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        send(&mut origin, "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"a\"\r\n\r\n").await;
        assert_eq!(whole(answer).await, "304 content-length=99 etag=\"a\" | ");
    });
}

#[test]
fn large_bodies_pass_both_ways_within_the_windows() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (answer, mut body) = client.post(&[("content-length", "3000000")]);
        let upload = async {
            let mut rest = Bytes::from(bytes.clone());
            while !rest.is_empty() {
                body.reserve_capacity(rest.len());
                let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap();
                let part = rest.split_to(room.min(rest.len()));
                let ends = rest.is_empty();
                body.send_data(part, ends).unwrap();
            }
        };
        let echo = async {
            let mut head =
                vec![0; "POST /p HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3000000\r\n\r\n".len()];
            origin.read_exact(&mut head).await.unwrap();
            let mut all = vec![0; bytes.len()];
            origin.read_exact(&mut all).await.unwrap();
            assert!(all == bytes);
            send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n").await;
            origin.write_all(&all).await.unwrap();
        };
        let download = async {
            let (_parts, body) = answer.await.unwrap().into_parts();
            let (all, _) = content(body).await.unwrap();
            assert!(all == bytes);
        };
        soon(async { tokio::join!(upload, echo, download) }).await;
    });
}

#[test]
fn a_client_that_does_not_read_stops_its_own_stream_alone() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let (mut slow, mut quick) = (client.log.upstream(), client.log.upstream());
        let stalled = client.get("/a");
        expect(&mut slow, GOT).await;
        send(&mut slow, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n").await;
        let (parts, body) = soon(stalled).await.unwrap().into_parts();
        assert_eq!(Response::from_parts(parts, ()).status(), 200);
        let mut written = 0;
        while let Ok(n) =
            tokio::time::timeout(std::time::Duration::from_secs(1), slow.write(&[7; 8192])).await
        {
            written += n.unwrap();
        }
        // The client's window, what waits for it at each step, and the pipes.
        assert!((65_535..700_000).contains(&written), "{written}");
        let answer = client.get("/a");
        expect(&mut quick, GOT).await;
        send(&mut quick, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(whole(answer).await, "200 content-length=2 | ok");
        drop(body);
        assert!(soon(slow.read_u8()).await.is_err());
    });
}
