//! Flows through a town: bytes arrive, failures are told, and different units leave by different exits.

use crate::town::{Town, Wants};
use shoalway_net::connect::ConnectErrorKind;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An origin that sends back what it gets, after saying hello.
async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(async move {
                tcp.write_all(b"hello\n").await.unwrap();
                let (mut read, mut write) = tcp.split();
                let copied = tokio::io::copy(&mut read, &mut write).await;
                drop(copied);
            });
        }
    });
    addr
}

async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("nothing happens any more")
}

async fn echo(stream: &mut Stream, bytes: &[u8]) {
    let mut hello = [0; 6];
    soon(stream.read_exact(&mut hello)).await.unwrap();
    assert_eq!(&hello, b"hello\n", "the server speaks first");
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = async {
        write.write_all(bytes).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let receiving = async {
        let mut back = Vec::new();
        read.read_to_end(&mut back).await.unwrap();
        back
    };
    let (back, ()) = soon(async { tokio::join!(receiving, sending) }).await;
    assert!(back == bytes, "{} of {} bytes came back", back.len(), bytes.len());
}

#[test]
fn bytes_pass_through_two_hops_and_three_both_ways_to_the_end() {
    Shard::test_in_real_time(async |shard| {
        for hops in [2, 3] {
            let town = Town::build(&shard, &Wants { hops, ..Wants::default() }).await;
            let addr = origin().await;
            let session = Town::session(&addr.to_string(), "one");
            let mut connected = soon(town.way.connect(&session)).await.unwrap();
            let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n / 251 + n) as u8).collect();
            echo(&mut connected.stream, &bytes).await;
        }
    });
}

#[test]
fn a_destination_that_refuses_is_told_truthfully() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let session = Town::session(&gone.to_string(), "one");
        let Err(error) = soon(town.way.connect(&session)).await else { panic!("connected to nobody") };
        assert_eq!((error.kind, error.word), (ConnectErrorKind::Refused, "connection_refused"));
    });
}
