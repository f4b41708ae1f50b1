//! CONNECT and upgrades: connections that become tunnels.

use super::kit::Wire;
use shoalway_net::shard::Shard;

#[test]
fn connect_is_answered_after_the_far_side_is_connected_and_early_bytes_pass() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        wire.client.send("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\nearly").await;
        origin.expect("early").await;
        wire.client.expect("HTTP/1.1 200 Connection established\r\n\r\n").await;
        origin.send("late").await;
        wire.client.expect("late").await;
        wire.client.end().await;
        assert_eq!(origin.rest().await, "");
    });
}

#[test]
fn connect_to_nobody_is_a_502() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        wire.client.send("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n").await;
        wire.client.expect("HTTP/1.1 502 ").await;
    });
}

#[test]
fn an_upgrade_passes_with_all_that_was_sent_too_early() {
    Shard::test(async |shard| {
        let mut wire = Wire::new(&shard);
        let mut origin = wire.upstream();
        let fields = "Host: origin.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        wire.client.send(format!("GET http://origin.example/ws HTTP/1.1\r\n{fields}")).await;
        origin.expect(&format!("GET /ws HTTP/1.1\r\n{fields}")).await;
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        origin.send(format!("{switch}frame")).await;
        wire.client.expect(&format!("{switch}frame")).await;
        wire.client.send("reply").await;
        origin.expect("reply").await;
    });
}

#[test]
fn a_change_of_protocol_that_nobody_wished_for_is_a_502() {
    Shard::test(async |shard| {
        for fields in ["", "Connection: Upgrade\r\nUpgrade: unwanted\r\n"] {
            let mut wire = Wire::new(&shard);
            let mut origin = wire.upstream();
            let head = "GET http://origin.example/a HTTP/1.1\r\nHost: origin.example\r\n";
            wire.client.send(format!("{head}{fields}\r\n")).await;
            origin.expect("GET /a HTTP/1.1\r\nHost: origin.example\r\n\r\n").await;
            origin
                .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
                .await;
            wire.client.expect("HTTP/1.1 502 ").await;
        }
    });
}
