//! Peers that stall at each step.

use super::kit::{GET, GOT, OK, Wire};
use shoalway_net::shard::Shard;
use tokio::time::Instant;

#[test]
fn a_client_that_says_nothing_is_closed_without_a_word() {
    Shard::test(async |shard| {
        let start = Instant::now();
        let mut wire = Wire::new(&shard);
        assert_eq!(wire.client.rest().await, "");
        assert!((10..12).contains(&start.elapsed().as_secs()));
        assert!(wire.outcomes().is_empty());
    });
}

#[test]
fn half_a_head_gets_408_at_its_deadline() {
    Shard::test(async |shard| {
        let start = Instant::now();
        let mut wire = Wire::new(&shard);
        wire.client.send("GET http://origin.example/ HT").await;
        assert!(wire.client.rest().await.starts_with("HTTP/1.1 408 "));
        assert!((10..13).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        assert_eq!(wire.outcomes(), [(408, "http_request_timeout")]);
    });
}

#[test]
fn a_kept_connection_ends_after_its_idle_time() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send(OK).await;
        wire.client.expect(OK).await;
        let start = Instant::now();
        assert_eq!(wire.client.rest().await, "");
        assert!((60..63).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
}

#[test]
fn an_upstream_that_does_not_answer_is_a_504() {
    Shard::test(async |shard| {
        let start = Instant::now();
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        wire.client.expect("HTTP/1.1 504 ").await;
        assert!((60..62).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
}

#[test]
fn an_upload_that_stops_gets_408() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let _origin = wire.upstream();
        wire.client
            .send(GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 9\r\n\r\nabc"))
            .await;
        assert!(wire.client.rest().await.starts_with("HTTP/1.1 408 "));
    });
}

#[test]
fn an_upload_of_one_byte_every_two_seconds_does_not_live_for_ever() {
    Shard::test(async |shard| {
        let start = Instant::now();
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client
            .send(GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 900\r\n\r\n"))
            .await;
        origin.expect("POST /a HTTP/1.1\r\n").await;
        let mut ticks = tokio::time::interval(std::time::Duration::from_secs(2));
        while wire.outcomes().is_empty() && start.elapsed().as_secs() < 300 {
            ticks.tick().await;
            if wire.outcomes().is_empty() {
                wire.client.send("x").await;
            }
        }
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
        assert_eq!(wire.outcomes(), [(408, "http_request_timeout")]);
    });
}

#[test]
fn an_answer_that_stops_in_the_middle_is_cut() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send(GET).await;
        origin.expect(GOT).await;
        origin.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        assert!(wire.client.rest().await.ends_with("half"));
        assert_eq!(wire.outcomes(), [(200, "http_response_timeout")]);
    });
}
