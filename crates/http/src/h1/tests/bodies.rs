//! Bodies: lengths, chunks, trailers, interim answers, early answers, and those that break off.

use super::kit::{GET, GOT, OK, Wire};
use shoalway_net::shard::Shard;

fn post(fields: &str, body: &str) -> String {
    format!("POST http://origin.example/a HTTP/1.1\r\nHost: origin.example\r\n{fields}\r\n{body}")
}

fn posted(fields: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: origin.example\r\n{fields}\r\n{body}")
}

#[test]
fn chunks_pass_as_they_are_without_extensions_and_forbidden_trailers() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        let te = "Transfer-Encoding: chunked\r\n";
        wire.client.send(post(te, "5;a=b\r\nhello\r\n0\r\nHost: evil\r\nX-Sum: 1\r\n\r\n")).await;
        origin.expect(&posted(te, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")).await;
        origin.send(format!("HTTP/1.1 200 OK\r\n{te}\r\n3\r\nabc\r\n0\r\n\r\n")).await;
        wire.client.expect(&format!("HTTP/1.1 200 OK\r\n{te}\r\n3\r\nabc\r\n0\r\n\r\n")).await;
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        assert_eq!(*wire.log.bytes.borrow(), [(5, 3)]);
    });
}

#[test]
fn interim_answers_and_the_wait_for_them_pass_through() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        let fields = "Content-Length: 2\r\nExpect: 100-continue\r\n";
        wire.client.send(post(fields, "")).await;
        origin.expect(&posted(fields, "")).await;
        origin.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await;
        wire.client
            .expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            .await;
        wire.client.send("hi").await;
        origin.expect("hi").await;
        origin.send(OK).await;
        wire.client.expect(OK).await;
    });
}

#[test]
fn an_answer_before_the_upload_has_ended_is_passed_on_and_the_connection_closed() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(post("Content-Length: 100000\r\n", "begin")).await;
        origin.expect(&posted("Content-Length: 100000\r\n", "begin")).await;
        origin.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await;
        let answer = wire.client.rest().await;
        assert_eq!(answer, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
}

#[test]
fn an_upstream_that_answers_and_closes_during_the_upload_is_heard() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(post("Content-Length: 100000\r\n", "begin")).await;
        origin.expect(&posted("Content-Length: 100000\r\n", "begin")).await;
        origin.send("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
        drop(origin);
        wire.client.send("more").await;
        assert!(wire.client.rest().await.starts_with("HTTP/1.1 403 No\r\n"));
    });
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
    ] {
        Shard::test(async |shard| {
            let mut wire = Wire::new(&shard);
            let mut origin = wire.upstream();
            wire.client.send(GET.replace("GET", method)).await;
            origin.expect(&GOT.replace("GET", method)).await;
            origin.send(answer).await;
            wire.client.expect(answer).await;
            wire.client.send(GET).await;
            origin.expect(GOT).await;
        });
    }
}

#[test]
fn a_body_until_close_ends_both_connections() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send("HTTP/1.0 200 OK\r\n\r\nall of it").await;
        drop(origin);
        let answer = wire.client.rest().await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
    });
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send("GET http://origin.example/a HTTP/1.0\r\n\r\n").await;
        origin.expect(GOT).await;
        origin.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: 1\r\n\r\n").await;
        assert_eq!(wire.client.rest().await, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde");
    });
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        drop(origin);
        assert!(wire.client.rest().await.ends_with("\r\n\r\nhalf"));
        assert_eq!(wire.outcomes(), [(200, "http_response_incomplete")]);
    });
}

#[test]
fn garbage_from_the_upstream_is_a_502() {
    for garbage in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        Shard::test(async |shard| {
            let mut wire = Wire::new(&shard);
            let mut origin = wire.upstream();
            wire.client.send(GET).await;
            origin.expect(GOT).await;
            origin.send(garbage).await;
            wire.client.expect("HTTP/1.1 502 ").await;
        });
    }
}

#[test]
fn large_bodies_arrive_whole_both_ways_at_once() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        let body = "0123456789abcdef".repeat(20_000);
        let length = format!("Content-Length: {}\r\n", body.len());
        let Wire { client, log } = &mut wire;
        let (up, down) = (post(&length, &body), format!("HTTP/1.1 200 OK\r\n{length}\r\n{body}"));
        let (expected_up, expected_down) = (posted(&length, &body), down.clone());
        let upstream = async {
            origin.expect(&expected_up[..200_000]).await;
            origin.send(&down[..1_000]).await;
            origin.expect(&expected_up[200_000..]).await;
            origin.send(&down[1_000..]).await;
        };
        let client = async {
            client.send(&up).await;
            client.expect(&expected_down).await;
        };
        tokio::join!(upstream, client);
        tokio::task::yield_now().await;
        let octets = body.len() as u64;
        assert_eq!(*log.bytes.borrow(), [(octets, octets)]);
    });
}

#[test]
fn a_bad_chunk_in_an_upload_is_refused_before_the_answer() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        let te = "Transfer-Encoding: chunked\r\n";
        wire.client.send(post(te, "0x5\r\nhello\r\n0\r\n\r\n")).await;
        assert!(wire.client.rest().await.starts_with("HTTP/1.1 400 "));
        assert!(!origin.rest().await.contains("hello"));
    });
}

#[test]
fn ambiguous_requests_reach_no_upstream() {
    for fields in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "A : b\r\n",
    ] {
        Shard::test(async |shard| {
            let mut wire = Wire::new(&shard);
            wire.client.send(post(fields, "")).await;
            assert!(wire.client.rest().await.starts_with("HTTP/1.1 400 "), "{fields}");
            assert_eq!(*wire.log.connects.borrow(), 0);
        });
    }
}

#[test]
fn an_answer_that_the_service_rejects_is_not_passed_on() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        let mut fresh = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send("HTTP/1.1 407 Who are you\r\nContent-Length: 6\r\n\r\nsecret").await;
        wire.client.expect("HTTP/1.1 502 ").await;
        assert_eq!(origin.rest().await, "");
        wire.client.send(GET).await;
        fresh.expect(GOT).await;
    });
}
