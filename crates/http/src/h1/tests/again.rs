//! Attempts that fail, and what is sent to the next upstream.

use super::kit::{GET, GOT, OK, Wire};
use shoalway_net::shard::Shard;

#[test]
fn an_upstream_that_refuses_is_followed_by_the_next() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        *wire.log.again.borrow_mut() = 1;
        wire.client.send(GET).await;
        wire.client.expect("HTTP/1.1 502 ").await;
        assert_eq!(*wire.log.connects.borrow(), 2);
    });
}

#[test]
fn an_answer_that_is_not_wanted_is_replaced_by_anothers_and_the_upload_sent_again() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        *wire.log.again.borrow_mut() = 1;
        let (mut first, mut second) = (wire.upstream(), wire.upstream());
        let put = "PUT /a HTTP/1.1\r\nHost: origin.example\r\nContent-Length: 4\r\n\r\nbody";
        wire.client.send(put).await;
        first.expect(put).await;
        first.send("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy").await;
        second.expect(put).await;
        second.send(OK).await;
        wire.client.expect(OK).await;
        tokio::task::yield_now().await;
        assert_eq!(wire.outcomes(), [(200, "ok")]);
    });
}

#[test]
fn when_no_attempt_is_left_the_last_answer_counts() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
        wire.client.expect("HTTP/1.1 503 Busy\r\n").await;
    });
}

#[test]
fn after_a_byte_of_an_answer_was_passed_on_there_is_no_other_attempt() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        *wire.log.again.borrow_mut() = 5;
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        wire.client.expect("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        drop(origin);
        wire.client.expect("HTTP/1.1 502 ").await;
        assert_eq!(*wire.log.connects.borrow(), 1);
    });
}
