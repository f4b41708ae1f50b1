//! Listeners over reloads, as a whole program: an address and all addresses, tunnels of a listener that goes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test reads best so")]

use shoalway_testkit::{Origin, PATIENCE, Proxy, RawClient, Reply, TcpEcho, eventually};
use std::net::{SocketAddr, TcpListener};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn config(listen: &str, more: &str) -> String {
    format!("{more}\n[proxy]\nlisten = \"{listen}\"\nclients = \"127.0.0.0/8\"\n")
}

#[test]
fn a_listener_moves_to_all_addresses_and_back() {
    let origin = Origin::start(Reply::ok("x"));
    let port = free_port();
    let near = SocketAddr::from(([127, 0, 0, 1], port));
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config(config(&near.to_string(), "")).start();
    let beside = SocketAddr::from(([127, 0, 0, 2], port));
    assert!(RawClient::refused(beside));
    let mut open = RawClient::connect(near);
    assert_eq!(open.get(&origin.url("/")).status, 200);
    proxy.write_config(&config(&format!("0.0.0.0:{port}"), ""));
    proxy.reload().unwrap();
    assert_eq!(RawClient::connect(beside).get(&origin.url("/")).status, 200);
    assert_eq!(RawClient::connect(near).get(&origin.url("/")).status, 200);
    assert_eq!(open.get(&origin.url("/")).status, 200, "who was there stays");
    proxy.write_config(&config(&near.to_string(), ""));
    proxy.reload().unwrap();
    eventually(PATIENCE, "the wide listener to close", || RawClient::refused(beside).then_some(()));
    assert_eq!(RawClient::connect(near).get(&origin.url("/")).status, 200);
}

#[test]
fn tunnels_of_a_listener_that_goes_are_held_to_the_new_rules() {
    let (kept, cut) = (TcpEcho::start(), TcpEcho::start());
    let (old, new) = (free_port(), free_port());
    let proxy =
        Proxy::builder(BIN).unset("proxy.listen").config(config(&format!("127.0.0.1:{old}"), "")).start();
    let at = SocketAddr::from(([127, 0, 0, 1], old));
    let mut stays = RawClient::connect(at).tunnel_to(kept.addr());
    let mut ends = RawClient::connect(at).tunnel_to(cut.addr());
    let rules = format!("rules = [\"block port:{}\"]", cut.addr().port());
    proxy.write_config(&config(&format!("127.0.0.1:{new}"), &rules));
    proxy.reload().unwrap();
    ends.expect_closed_within(PATIENCE);
    stays.send("still here").expect("still here");
    assert!(RawClient::refused(at));
    proxy.reload().unwrap();
    stays.send("and later").expect("and later");
}

#[test]
fn the_forward_proxy_becomes_a_stream_on_its_own_address() {
    let echo = TcpEcho::start();
    let port = free_port();
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config(config(&at.to_string(), "")).start();
    let mut tunnel = RawClient::connect(at).tunnel_to(echo.addr());
    tunnel.send("before").expect("before");
    proxy.write_config(&format!("[streams.s]\nlisten = \"{at}\"\nto = \"{}\"\n", echo.addr()));
    proxy.reload().unwrap();
    RawClient::connect(at).send("straight").expect("straight");
    tunnel.send("after").expect("after");
}
