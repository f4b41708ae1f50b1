//! Two shards: what one keeps the other uses, and a crowd that the kernel sends to one of them is shared.

use shoalway_testkit::proxy::Builder;
use shoalway_testkit::{Dns, Hanging, Origin, PATIENCE, Proxy, RawClient, Reply, TcpEcho, eventually};
use std::net::SocketAddr;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// Clients to tell apart; of twice as many as a test needs of one shard, one shard gets enough.
const CLIENTS: usize = 48;

fn with_names(names: &[String]) -> (Builder, Dns) {
    let known: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "127.0.0.1")).collect();
    let dns = Dns::knowing(&known);
    (Proxy::builder(BIN).dns(&dns), dns)
}

/// One request from this address. The end is a reset, which leaves no trace in the kernel: the port is free again.
fn ask(proxy: &Proxy, from: SocketAddr, url: &str) -> SocketAddr {
    let mut client = RawClient::connect_from_port(from, proxy.addr());
    let from = client.local_addr();
    assert_eq!(client.get(url).text(), "x");
    client.reset();
    let left = || proxy.metrics().sum("shoalway_connections", &[]);
    eventually(PATIENCE, "no client is left", || (left() == 0.0).then_some(()));
    from
}

/// Addresses of clients that one shard accepts, those most there are, and those of the other. The kernel brings an
/// address and port always to the same socket, so they can be used again.
fn clients_by_shard() -> (Proxy, Vec<SocketAddr>, Vec<SocketAddr>) {
    let names: Vec<String> = (0..CLIENTS).map(|n| format!("n{n}.test")).collect();
    let ((builder, _dns), origin) = (with_names(&names), Origin::start(Reply::ok("x")));
    let proxy = builder.start();
    // An address of this test alone: a port that was given back is nobody else's in the meantime.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let anywhere = SocketAddr::from(([127, 5, high, low.max(1)], 0));
    let (mut first, mut like_first, mut others) = (anywhere, Vec::new(), Vec::new());
    for name in &names {
        let url = origin.url_by_name(name, "/");
        first = ask(&proxy, first, &url);
        let reused = || proxy.metrics().sum("shoalway_upstream_reused_total", &[]);
        let before = reused();
        let from = ask(&proxy, anywhere, &url);
        // The connection that the first client left waits on its shard; one alone is not taken over.
        if reused() > before { like_first.push(from) } else { others.push(from) }
    }
    if like_first.len() < others.len() { (proxy, others, like_first) } else { (proxy, like_first, others) }
}

#[test]
fn a_crowd_on_one_shard_is_shared_with_the_other() {
    let ((proxy, crowd, _others), echo) = (clients_by_shard(), TcpEcho::start());
    let moved = || proxy.metrics().sum("shoalway_connections_moved_total", &[]);
    assert_eq!(moved(), 0.0, "one at a time is no crowd");
    let enter = |from: &SocketAddr| RawClient::connect_from_port(*from, proxy.addr()).tunnel_to(echo.addr());
    let tunnels: Vec<RawClient> = crowd.iter().take(24).map(enter).collect();
    // A shard keeps a client while it has no more than 5/4 of the other's and four: of 24, eight or more move.
    assert!(tunnels.len() == 24 && moved() >= 8.0, "{} of {} moved", moved(), tunnels.len());
    for mut tunnel in tunnels {
        tunnel.send("still here").expect("still here");
    }
}

#[test]
fn a_connection_that_one_shard_can_spare_serves_a_client_of_the_other() {
    let (proxy, here, there) = clients_by_shard();
    let mut far = Hanging::not_yet();
    let url = format!("http://{}/", far.addr());
    let request = format!("GET {url} HTTP/1.1\r\nHost: {}\r\n\r\n", far.addr());
    let mut clients: Vec<RawClient> =
        here.iter().take(2).map(|from| RawClient::connect_from_port(*from, proxy.addr())).collect();
    for client in &mut clients {
        client.send(&request);
    }
    let mut ends = [far.accept(), far.accept()];
    for end in &mut ends {
        end.read_until("\r\n\r\n");
        end.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    }
    for client in &mut clients {
        assert_eq!(client.read_response().text(), "x");
    }
    // No new connection gets through: what serves the next client was there before.
    far.fill();
    let mut client = RawClient::connect_from_port(there[0], proxy.addr());
    client.send(&request);
    let served = eventually(PATIENCE, "the request on a kept connection", || {
        ends.iter().position(|end| !end.is_quiet_and_open())
    });
    let served = &mut ends[served];
    served.read_until("\r\n\r\n");
    served.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken");
    assert_eq!(client.read_response().text(), "taken");
    assert_eq!(proxy.metrics().sum("shoalway_upstream_taken_over_total", &[]), 1.0);
}
