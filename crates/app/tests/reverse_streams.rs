//! Streams of the reverse proxy, as a whole program: TCP, TLS by name, PROXY headers, datagrams, health, changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so, and opens its own sockets"
)]

use serde_json::Value;
use shoalway_testkit::real::{Peer, curl, s_client};
use shoalway_testkit::{
    Far, Origin, PATIENCE, Proxy, RawClient, Refusing, Reply, TcpEcho, TestCa, UdpEcho, eventually, secs,
};
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixListener;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A reverse proxy with this configuration and no forward proxy.
fn reverse(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").config(config).start()
}

fn stream(to: &str, more: &str) -> String {
    format!("[streams.s]\nlisten = \"127.0.0.1:0\"\nto = {to}\n{more}\n")
}

fn echoes(addr: SocketAddr) {
    let mut client = RawClient::connect(addr);
    client.send("ping").expect("ping");
}

#[test]
fn three_lines_carry_bytes_both_ways() {
    let echo = TcpEcho::start();
    let proxy = reverse(&stream(&format!("\"{}\"", echo.addr()), ""));
    echoes(proxy.listening("streams.s"));
    assert_eq!(echo.connections(), 1);
    let status = proxy.status_json();
    assert_eq!(status["listeners"].as_array().unwrap().len(), 1);
    assert_eq!(status["listeners"][0]["for"], "stream");
    assert_eq!(status["upstreams"][0]["name"], "streams:s");
}

#[test]
fn an_answer_that_comes_first_reaches_a_client_that_waits() {
    let far = Far::listen();
    let proxy = reverse(&stream(&format!("\"{}\"", far.addr()), ""));
    let mut client = RawClient::connect(proxy.listening("streams.s"));
    far.accept().send("220 ready\r\n");
    client.expect("220 ready\r\n");
}

#[test]
fn a_unix_socket_is_an_upstream() {
    let proxy = Proxy::builder(BIN).unset("proxy.listen");
    let dir = shoalway_testkit::TempDir::new();
    let path = dir.join("app.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let proxy = proxy.config(stream(&format!("\"unix:{}\"", path.display()), "")).start();
    let mut client = RawClient::connect(proxy.listening("streams.s"));
    client.send("over a path");
    let (mut far, _) = socket.accept().unwrap();
    let mut text = [0; 11];
    far.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"over a path");
}

#[test]
fn a_dead_endpoint_is_passed_over_and_shown() {
    let (echo, dead) = (TcpEcho::start(), Refusing::start());
    let to = format!("[\"{}\", \"{}\"]", dead.addr(), echo.addr());
    let proxy = reverse(&stream(&to, "health = { every = \"100ms\", fall = 1 }"));
    for _ in 0..20 {
        echoes(proxy.listening("streams.s"));
    }
    let sick = eventually(PATIENCE, "the check to find the dead endpoint", || {
        let status = proxy.status_json();
        let endpoints = status["upstreams"][0]["endpoints"].as_array()?.clone();
        endpoints.into_iter().find(|endpoint| endpoint["check"] == "down")
    });
    assert_eq!(sick["endpoint"], format!("tcp://{}", dead.addr()));
    assert_eq!(proxy.metrics().sum("shoalway_upstream_healthy", &[("upstream", "streams:s")]), 1.0);
    let shown = proxy.command(&["status"]);
    assert!(shown.text().contains("upstream streams:s: 1 of 2 healthy"), "{shown}");
}

#[test]
fn tls_is_passed_on_by_the_name_it_asks_for() {
    let ca = TestCa::new();
    let (shop, other) = (
        Origin::tls(&ca.issue(&["shop.test"]), Reply::ok("shop")),
        Origin::tls(&ca.issue(&["other.test"]), Reply::ok("other")),
    );
    let config = format!(
        "[streams.tls]\nlisten = \"127.0.0.1:0\"\nsni = {{ \"shop.test\" = \"{}\", \"*\" = [\"{}\"] }}\n",
        shop.addr(),
        other.addr()
    );
    let proxy = reverse(&config);
    for (name, body) in [("shop.test", "shop"), ("other.test", "other"), ("shop.test", "shop")] {
        let mut client = RawClient::connect(proxy.listening("streams.tls")).start_tls(&ca, name);
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        assert_eq!(client.read_response().text(), body);
    }
}

#[test]
fn tls_ends_at_a_stream_that_has_a_certificate() {
    let ca = TestCa::new();
    let issued = ca.issue(&["app.test"]);
    let nginx = Peer::nginx("inside", "");
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", issued.cert.display(), issued.key.display());
    let proxy = reverse(&stream(&format!("\"{}\"", nginx.addr()), &tls));
    let addr = proxy.listening("streams.s");
    let (to, file) = (format!("app.test:443:{}:{}", addr.ip(), addr.port()), ca.file().display().to_string());
    let asked = curl(&["--connect-to", &to, "--cacert", &file, "https://app.test/index.html"]);
    asked.assert_got(200, "inside");
    // A client of another kind, which offers nothing that could be spoken inside.
    let words = ["-quiet", "-verify_return_error", "-CAfile", &file, "-servername", "app.test"];
    let ran =
        s_client(addr, &words, b"GET /index.html HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
    assert!(ran.text().contains("HTTP/1.1 200") && ran.text().contains("inside"), "{ran}");
}

#[test]
fn a_stream_with_tls_asks_for_certificates_and_shows_new_ones_without_a_reload() {
    let (old, new) = (TestCa::new(), TestCa::new());
    let (first, second) = (old.issue(&["app.test"]), new.issue(&["app.test"]));
    let guest = old.issue(&["guest.test"]);
    let origin = Origin::start(Reply::ok("inside"));
    let tls = format!(
        "tls = {{ cert = \"{}\", key = \"{}\", client_ca = \"{}\" }}",
        first.cert.display(),
        first.key.display(),
        old.file().display()
    );
    let proxy = reverse(&stream(&format!("\"{}\"", origin.addr()), &tls));
    let addr = proxy.listening("streams.s");
    let ask = |ca: &TestCa, shown: &[&str]| {
        let to = format!("app.test:443:{}:{}", addr.ip(), addr.port());
        let file = ca.file().display().to_string();
        curl(&[&["--connect-to", &to, "--cacert", &file, "https://app.test/"], shown].concat())
    };
    let (cert, key) = (guest.cert.display().to_string(), guest.key.display().to_string());
    let shown = ["--cert", cert.as_str(), "--key", key.as_str()];
    ask(&old, &shown).assert_got(200, "inside");
    assert_ne!(ask(&old, &[]).ran.code, Some(0));
    std::fs::copy(&second.cert, &first.cert).unwrap();
    std::fs::copy(&second.key, &first.key).unwrap();
    eventually(secs(15), "the new certificate", || (ask(&new, &shown).http_code == 200).then_some(()));
}

#[test]
fn a_proxy_header_comes_in_and_goes_out() {
    let far = Far::listen();
    let more = "proxy_protocol = true\nto_proxy_protocol = \"v1\"";
    let proxy = reverse(&stream(&format!("\"{}\"", far.addr()), more));
    let mut client = RawClient::connect(proxy.listening("streams.s"));
    client.send("PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\nhello");
    let mut far = far.accept();
    far.expect("PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\nhello");
    let mut rude = RawClient::connect(proxy.listening("streams.s"));
    rude.send("GET / HTTP/1.1\r\n\r\n");
    rude.expect_closed_within(PATIENCE);
}

#[test]
fn who_is_not_trusted_may_send_no_proxy_header() {
    let far = Far::listen();
    let more = "proxy_protocol = true\ntrusted = \"127.0.0.9\"";
    let proxy = reverse(&stream(&format!("\"{}\"", far.addr()), more));
    let mut stranger = RawClient::connect(proxy.listening("streams.s"));
    stranger.expect_closed_within(PATIENCE);
    let mut known = RawClient::connect_from("127.0.0.9", proxy.listening("streams.s"));
    known.send("PROXY UNKNOWN\r\nhello");
    far.accept().expect("hello");
}

#[test]
fn datagrams_find_their_way_there_and_back() {
    let echo = UdpEcho::start();
    let config = format!("[streams.d]\nlisten = \"udp://127.0.0.1:0\"\nto = \"{}\"\n", echo.addr());
    let proxy = reverse(&config);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(proxy.listening("streams.d")).unwrap();
    let mut answer = [0; 64];
    for n in 0..10 {
        let sent = format!("datagram {n}");
        client.send(sent.as_bytes()).unwrap();
        let length = client.recv(&mut answer).unwrap();
        assert_eq!(&answer[..length], sent.as_bytes());
    }
    let senders: std::collections::HashSet<_> = echo.senders().into_iter().collect();
    assert_eq!(senders.len(), 1, "one client is one session");
}

/// The endpoint's entry of an answer about an upstream.
fn endpoint(upstream: &Value, addr: SocketAddr) -> &Value {
    let is = |endpoint: &&Value| endpoint["endpoint"] == format!("tcp://{addr}");
    upstream["endpoints"].as_array().unwrap().iter().find(is).unwrap_or_else(|| panic!("{upstream}"))
}

#[test]
fn an_upstream_is_changed_over_the_socket_without_a_reload() {
    let (one, two) = (TcpEcho::start(), TcpEcho::start());
    let proxy = reverse(&stream(&format!("\"{}\"", one.addr()), ""));
    let change = |words: &[&str], at: SocketAddr| -> Value {
        let at = at.to_string();
        let words: Vec<&str> = [&["upstream"], words, &["streams:s", &at]].concat();
        let ran = proxy.command(&[&words[..], &["--json"]].concat());
        assert_eq!(ran.code, Some(0), "{ran}");
        serde_json::from_str(&ran.text()).unwrap()
    };
    let added = change(&["add"], two.addr());
    assert_eq!(added["endpoints"].as_array().unwrap().len(), 2);
    let drained = change(&["drain"], one.addr());
    assert_eq!(endpoint(&drained, one.addr())["draining"], true);
    for _ in 0..10 {
        echoes(proxy.listening("streams.s"));
    }
    assert_eq!((one.connections(), two.connections()), (0, 10));
    proxy.reload().unwrap();
    echoes(proxy.listening("streams.s"));
    assert_eq!((one.connections(), two.connections()), (0, 11), "a reload of the same file changes nothing");
    let resumed = change(&["resume"], one.addr());
    assert_eq!(endpoint(&resumed, one.addr())["draining"], false);
    change(&["remove"], two.addr());
    echoes(proxy.listening("streams.s"));
    assert_eq!((one.connections(), two.connections()), (1, 11));
    let list = proxy.command(&["upstream", "list"]);
    assert!(list.text().starts_with("streams:s  1 of 1 healthy"), "{list}");
}

#[test]
fn a_weight_of_zero_sends_nothing_and_a_mistake_is_explained() {
    let (one, two) = (TcpEcho::start(), TcpEcho::start());
    let proxy = reverse(&stream(&format!("[\"{}\", \"{}\"]", one.addr(), two.addr()), ""));
    let at = one.addr().to_string();
    let ran = proxy.command(&["upstream", "weight", "streams:s", &at, "0"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    for _ in 0..10 {
        echoes(proxy.listening("streams.s"));
    }
    assert_eq!((one.connections(), two.connections()), (0, 10));
    for (words, wanted) in [
        (["upstream", "drain", "nobody", "127.0.0.1:1"], "there is no upstream `nobody`"),
        (["upstream", "drain", "streams:s", "127.0.0.1:1"], "the upstream has no such endpoint"),
        (["upstream", "add", "streams:s", at.as_str()], "the upstream has this endpoint already"),
        (["upstream", "add", "streams:s", "http://127.0.0.1:1"], "the others are tcp"),
    ] {
        let ran = proxy.command(&words);
        assert_eq!(ran.code, Some(1), "{ran}");
        assert!(ran.to_string().contains(wanted), "{wanted}: {ran}");
    }
}

#[test]
fn a_reload_moves_new_streams_and_leaves_open_ones_alone() {
    let (one, two) = (TcpEcho::start(), TcpEcho::start());
    let proxy = reverse(&stream(&format!("\"{}\"", one.addr()), ""));
    let addr = proxy.listening("streams.s");
    let mut open = RawClient::connect(addr);
    open.send("before").expect("before");
    proxy.write_config(&stream(&format!("\"{}\"", two.addr()), ""));
    proxy.reload().unwrap();
    open.send("after").expect("after");
    echoes(addr);
    assert_eq!((one.connections(), two.connections()), (1, 1));
    proxy.write_config(&stream("\"nonsense\"", ""));
    let refused = proxy.reload().unwrap_err();
    assert!(refused.to_string().contains("C048"), "{refused}");
    echoes(addr);
}

#[test]
fn a_stream_that_goes_takes_no_new_clients_and_keeps_those_it_has() {
    let echo = TcpEcho::start();
    let to = format!("\"{}\"", echo.addr());
    let more = format!("[streams.t]\nlisten = \"127.0.0.1:0\"\nto = {to}\n");
    let proxy = reverse(&format!("{}{more}", stream(&to, "")));
    let gone = proxy.listening("streams.t");
    let mut open = RawClient::connect(gone);
    open.send("before").expect("before");
    proxy.write_config(&stream(&to, ""));
    proxy.reload().unwrap();
    eventually(PATIENCE, "the listener to close", || RawClient::refused(gone).then_some(()));
    open.send("after").expect("after");
    echoes(proxy.listening("streams.s"));
}
