//! Connections that are kept, reused, replaced and closed.

use super::kit::{GET, GOT, OK, Wire};
use shoalway_net::shard::Shard;

#[test]
fn two_requests_share_both_connections() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        for _ in 0..2 {
            wire.client.send(GET).await;
            origin.expect(GOT).await;
            origin.send(OK).await;
            wire.client.expect(OK).await;
        }
        assert_eq!((wire.outcomes(), *wire.log.connects.borrow()), (vec![(200, "ok"); 2], 1));
    });
}

#[test]
fn one_byte_at_a_time_is_the_same_request() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        for byte in GET.as_bytes() {
            wire.client.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        origin.expect(GOT).await;
        for byte in OK.as_bytes() {
            origin.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        wire.client.expect(OK).await;
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        let second = GET.replace("/a", "/b");
        wire.client.send(format!("{GET}{second}")).await;
        origin.expect(GOT).await;
        origin.send(OK).await;
        origin.expect(&GOT.replace("/a", "/b")).await;
        origin.send(OK.replace("ok", "no")).await;
        wire.client.expect(&format!("{OK}{}", OK.replace("ok", "no"))).await;
    });
}

#[test]
fn a_kept_connection_that_died_is_replaced_for_a_get() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let (mut first, mut second) = (wire.upstream(), wire.upstream());
        wire.client.send(GET).await;
        first.expect(GOT).await;
        first.send(OK).await;
        wire.client.expect(OK).await;
        wire.client.send(GET).await;
        first.expect(GOT).await;
        drop(first);
        second.expect(GOT).await;
        second.send(OK).await;
        wire.client.expect(OK).await;
        assert_eq!(*wire.log.connects.borrow(), 2);
    });
}

#[test]
fn a_post_is_not_sent_twice() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let (mut first, _second) = (wire.upstream(), wire.upstream());
        wire.client.send(GET).await;
        first.expect(GOT).await;
        first.send(OK).await;
        wire.client.expect(OK).await;
        let post = GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx");
        wire.client.send(post).await;
        first.expect("POST /a HTTP/1.1\r\nHost: origin.example\r\nContent-Length: 1\r\n\r\nx").await;
        drop(first);
        assert!(wire.client.rest().await.starts_with("HTTP/1.1 502 "));
        assert_eq!(wire.outcomes()[1], (502, "http_response_incomplete"));
    });
}

#[test]
fn a_small_idempotent_upload_is_sent_again_on_a_fresh_connection() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let (mut first, mut second) = (wire.upstream(), wire.upstream());
        wire.client.send(GET).await;
        first.expect(GOT).await;
        first.send(OK).await;
        wire.client.expect(OK).await;
        let put = "PUT /a HTTP/1.1\r\nHost: origin.example\r\nContent-Length: 6\r\n\r\nabcdef";
        wire.client.send(&put[..put.len() - 3]).await;
        first.expect(&put[..put.len() - 3]).await;
        wire.client.send("def").await;
        first.expect("def").await;
        drop(first);
        second.expect(put).await;
        second.send(OK).await;
        wire.client.expect(OK).await;
    });
}

#[test]
fn an_upstream_that_sends_more_than_its_answer_is_not_used_again() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let (mut first, mut second) = (wire.upstream(), wire.upstream());
        wire.client.send(GET).await;
        first.expect(GOT).await;
        first.send(format!("{OK}HTTP/1.1 200 OK\r\n")).await;
        wire.client.expect(OK).await;
        wire.client.send(GET).await;
        second.expect(GOT).await;
        second.send(OK).await;
        wire.client.expect(OK).await;
    });
}

#[test]
fn a_client_that_wants_to_close_is_told_so_and_closed() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        origin.expect(GOT).await;
        origin.send(OK).await;
        let answer = wire.client.rest().await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    });
}

#[test]
fn an_upstream_that_refuses_is_a_502() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        wire.client.send(GET).await;
        wire.client.expect("HTTP/1.1 502 ").await;
        tokio::task::yield_now().await;
        assert_eq!(wire.outcomes(), [(502, "connection_refused")]);
    });
}

#[test]
fn a_drain_closes_after_the_answer() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        shard.drain();
        origin.send(OK).await;
        assert!(wire.client.rest().await.contains("\r\nConnection: close\r\n"));
    });
}

#[test]
fn nothing_is_held_between_requests() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send(OK).await;
        wire.client.expect(OK).await;
        tokio::task::yield_now().await;
        assert_eq!(shard.buffers().alive(), 0);
        assert!(
            size_of::<crate::h1::ServerConnection>() <= 384,
            "{}",
            size_of::<crate::h1::ServerConnection>()
        );
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_is_settled_once() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client
            .send(GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 9\r\n\r\nabc"))
            .await;
        origin.expect("POST /a HTTP/1.1\r\nHost: origin.example\r\nContent-Length: 9\r\n\r\nabc").await;
        let log = std::rc::Rc::clone(&wire.log);
        drop(wire);
        origin.rest().await;
        tokio::task::yield_now().await;
        assert_eq!(*log.outcomes.borrow(), [(0, "client_closed")]);
    });
}
