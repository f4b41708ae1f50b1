//! Flows through a town: bytes arrive, each end is passed on, failures are told as what they were.

use crate::origins::{Origin, ask, echo, hello, noise, soon, until};
use crate::town::{Town, Wants};
use shoalway_net::connect::ConnectErrorKind;
use shoalway_net::egress_guard::Reach;
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::descriptor::PolicyRule;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[test]
fn bytes_pass_through_two_hops_and_three_both_ways_to_the_end() {
    Shard::test_in_real_time(async |shard| {
        for hops in [2, 3] {
            let town = Town::build(&shard, &Wants { hops, ..Wants::default() }).await;
            let origin = Origin::echo().await;
            let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
            hello(&mut stream).await;
            echo(stream, &noise(1_000_000)).await;
        }
    });
}

#[test]
fn a_client_that_ends_its_direction_still_reads_what_the_server_says_then() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let origin = Origin::new(async |mut tcp, seen| {
            let mut all = Vec::new();
            tcp.read_to_end(&mut all).await.unwrap();
            seen.count(all.len());
            tcp.write_all(b"late words").await.unwrap();
        })
        .await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        stream.write_all(b"all there is").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut late = Vec::new();
        soon(stream.read_to_end(&mut late)).await.unwrap();
        assert_eq!((&late[..], origin.seen().bytes.get()), (&b"late words"[..], 12));
    });
}

#[test]
fn a_server_that_ends_its_direction_still_reads_what_the_client_says_then() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let origin = Origin::new(async |mut tcp, seen| {
            tcp.write_all(b"that is all").await.unwrap();
            tcp.shutdown().await.unwrap();
            let mut all = Vec::new();
            tcp.read_to_end(&mut all).await.unwrap();
            *seen.text.borrow_mut() = all;
        })
        .await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        let mut all = Vec::new();
        soon(stream.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"that is all");
        stream.write_all(b"late words").await.unwrap();
        stream.shutdown().await.unwrap();
        until("the server has read to the end", || origin.seen().ended.get() == 1).await;
        assert_eq!(*origin.seen().text.borrow(), b"late words");
    });
}

#[test]
fn a_client_that_goes_away_in_the_middle_closes_the_exits_connection() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let origin = Origin::spring().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        let mut some = vec![0; 100_000];
        soon(stream.read_exact(&mut some)).await.unwrap();
        drop(stream);
        until("the exit has closed its connection", || origin.seen().ended.get() == 1).await;
    });
}

#[test]
fn a_destination_that_resets_is_seen_as_a_reset_connection() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let origin = Origin::new(async |mut tcp, _seen| {
            let mut one = [0];
            tcp.read_exact(&mut one).await.unwrap();
            tcp.set_zero_linger().unwrap();
        })
        .await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        stream.write_all(b"!").await.unwrap();
        let error = soon(stream.read_u8()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::ConnectionReset, "the destination reset the connection",)
        );
    });
}

/// What a flow to `target` fails with.
async fn failure(town: &Town, target: &str) -> (ConnectErrorKind, &'static str) {
    match soon(town.connect(target, "one")).await {
        Ok(_) => panic!("{target} is connected"),
        Err(error) => (error.kind, error.word),
    }
}

#[test]
fn a_destination_that_refuses_is_told_truthfully() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let told = failure(&town, &gone.to_string()).await;
        assert_eq!(told, (ConnectErrorKind::Refused, "connection_refused"));
    });
}

#[test]
fn names_are_resolved_at_the_exit_and_one_that_does_not_exist_is_told() {
    Shard::test_in_real_time(async |shard| {
        let names = vec!["h1.example".to_owned()];
        let town = Town::build(&shard, &Wants { names, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let port = origin.addr.port();
        let mut stream = soon(town.connect(&format!("h1.example:{port}"), "one")).await.unwrap();
        hello(&mut stream).await;
        ask(&mut stream, b"by name").await;
        let told = failure(&town, &format!("h2.example:{port}")).await;
        assert_eq!(told, (ConnectErrorKind::NameNotFound, "dns_error"));
    });
}

#[test]
fn what_the_exits_policy_does_not_permit_is_forbidden_by_port_and_by_address_after_resolving() {
    Shard::test_in_real_time(async |shard| {
        let origin = Origin::echo().await;
        let SocketAddr::V4(addr) = origin.addr else { unreachable!("bound to IPv4") };
        let other = PolicyRule { allow: true, low: 1, high: 1 };
        let public = Reach::Only { public: true, private: false, loopback: false };
        let names = || vec!["inside.example".to_owned()];
        let (by_address, by_name) = (addr.to_string(), format!("inside.example:{}", addr.port()));
        for (wants, targets) in [
            (Wants { policy: vec![other], names: names(), ..Wants::default() }, [&by_address, &by_name]),
            (Wants { reach: public, names: names(), ..Wants::default() }, [&by_address, &by_name]),
        ] {
            let town = Town::build(&shard, &wants).await;
            for target in targets {
                let told = failure(&town, target).await;
                assert_eq!(told, (ConnectErrorKind::Forbidden, "destination_ip_prohibited"), "{target}");
            }
        }
        assert_eq!(origin.seen().came.get(), 0);
    });
}

#[test]
fn an_optimistic_flow_sends_at_once_and_the_failure_shows_when_it_is_read() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { optimistic: true, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        stream.write_all(b"early").await.unwrap();
        hello(&mut stream).await;
        let mut back = [0; 5];
        soon(stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(&back, b"early");
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut stream = soon(town.connect(&gone.to_string(), "one")).await.unwrap();
        let error = soon(stream.read_u8()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    });
}

#[test]
fn a_slow_reader_stops_the_destination_within_the_windows() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants { hops: 3, ..Wants::default() }).await;
        let origin = Origin::spring().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        // Nobody reads: what the destination could write stops growing.
        let mut before = usize::MAX;
        until("the destination is stopped", || true).await;
        while origin.seen().bytes.get() != before {
            before = origin.seen().bytes.get();
            shard.pass(std::time::Duration::from_millis(200)).await;
        }
        // The stream's window of 256 KiB, what the relay at the exit holds, and the buffers of two sockets.
        assert!(before < 12 << 20, "{before} bytes");
        for node in &town.nodes {
            let (_, waits) = shoalway_overlay::node::Node::of(&shard, &node.plan).load();
            assert!(waits < 1 << 20, "{waits} bytes wait in a node");
        }
        // And goes on when somebody does.
        let mut some = vec![0; 2 << 20];
        soon(stream.read_exact(&mut some)).await.unwrap();
        assert!(some.iter().all(|byte| *byte == 7));
    });
}
