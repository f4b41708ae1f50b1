//! How streams and connections end: resets, idle time, drain.

use super::kit::{Client, GOT, expect, send, soon, whole};
use crate::h1::ServerConfig;
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

async fn ended(shard: &Shard, client: &Client) {
    let ended = Rc::clone(&client.ended);
    soon(async {
        while ended.borrow().is_none() {
            shard.pass(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[test]
fn a_request_whose_client_resets_it_ends_at_the_upstream_too() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        drop(answer);
        assert_eq!(soon(origin.read(&mut [0])).await.unwrap(), 0);
        assert_eq!(client.outcomes(), [(0, "aborted")]);
    });
}

#[test]
fn an_idle_connection_is_told_to_go() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(whole(answer).await, "200 content-length=2 | ok");
        let since = Instant::now();
        ended(&shard, &client).await;
        let error = client.ended.borrow_mut().take().flatten();
        assert!(error.is_none(), "{error:?}");
        let after = since.elapsed();
        assert!(after >= Limits::default().idle && after < Limits::default().idle + Duration::from_secs(2));
    });
}

#[test]
fn a_connection_with_a_stream_is_not_idle() {
    Shard::test(async |shard| {
        let limits = Limits { first_byte: Duration::from_secs(250), ..Limits::default() };
        let config = ServerConfig { net: limits, ..ServerConfig::default() };
        let mut client = Client::with(&shard, config, None).await;
        let mut origin = client.log.upstream();
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        shard.pass(Duration::from_secs(200)).await;
        send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(whole(answer).await, "200 content-length=2 | ok");
    });
}

#[test]
fn a_drain_lets_streams_finish_and_takes_no_more() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let answer = client.get("/a");
        expect(&mut origin, GOT).await;
        shard.drain();
        send(&mut origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(whole(answer).await, "200 content-length=2 | ok");
        ended(&shard, &client).await;
        assert!(client.ended.borrow_mut().take().flatten().is_none());
    });
}

#[test]
fn a_drain_ends_idle_connections_within_seconds() {
    Shard::test(async |shard| {
        let client = Client::new(&shard).await;
        let since = Instant::now();
        shard.drain();
        ended(&shard, &client).await;
        assert!(since.elapsed() < Duration::from_secs(7));
    });
}
