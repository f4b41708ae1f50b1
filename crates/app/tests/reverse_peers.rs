//! The reverse proxy beside others: nginx and HAProxy as upstreams, HAProxy in front and behind by the PROXY protocol.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads best so, and looks for a free port itself"
)]

use shoalway_testkit::real::{Peer, curl};
use shoalway_testkit::{Far, Origin, PATIENCE, Proxy, RawClient, Reply, eventually};
use std::net::SocketAddr;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A reverse proxy with this configuration and no forward proxy.
fn reverse(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").config(config).start()
}

fn site(to: SocketAddr, lines: &str) -> String {
    format!("[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\nto = \"http://{to}\"\n{lines}\n")
}

#[test]
fn nginx_is_an_upstream() {
    let seen = "location = /seen { return 200 \"$host $http_x_forwarded_for\"; }";
    let nginx = Peer::nginx("from nginx", seen);
    let proxy = reverse(&site(nginx.addr(), "health = { path = \"/index.html\", every = \"100ms\" }"));
    let base = format!("http://{}", proxy.listening("sites.*"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        curl(&[version, &format!("{base}/index.html")]).assert_got(200, "from nginx");
        curl(&[version, "-H", "Host: app.test", &format!("{base}/seen")])
            .assert_got(200, "app.test 127.0.0.1");
        curl(&[version, "-r", "5-9", &format!("{base}/index.html")]).assert_got(206, "nginx");
    }
    eventually(PATIENCE, "the check to pass", || {
        let status = proxy.status_json();
        (status.pointer("/upstreams/0/endpoints/0/check")? == "up").then_some(())
    });
}

#[test]
fn haproxy_is_an_upstream() {
    let origin = Origin::start(Reply::ok("behind haproxy"));
    let haproxy = Peer::haproxy("", origin.addr(), "", "http");
    let proxy = reverse(&site(haproxy.addr(), ""));
    let url = format!("http://{}/", proxy.listening("sites.*"));
    for _ in 0..3 {
        curl(&[&url]).assert_got(200, "behind haproxy");
    }
    curl(&["--data-binary", "sent", &url]).assert_got(200, "behind haproxy");
}

#[test]
fn haproxy_in_front_says_who_the_client_is() {
    for line in ["send-proxy", "send-proxy-v2"] {
        let origin = Origin::start(Reply::ok("x"));
        let proxy = reverse(&site(origin.addr(), "proxy_protocol = true"));
        let haproxy = Peer::haproxy("", proxy.listening("sites.*"), line, "tcp");
        let mut client = RawClient::connect_from("127.0.0.77", haproxy.addr());
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
        assert_eq!(client.read_response().status, 200, "{line}");
        assert_eq!(origin.only_request().header("X-Forwarded-For"), Some("127.0.0.77"), "{line}");
    }
}

#[test]
fn haproxy_behind_a_stream_hears_who_the_client_is() {
    for version in ["v1", "v2"] {
        let far = Far::listen();
        let haproxy = Peer::haproxy("accept-proxy", far.addr(), "send-proxy", "tcp");
        // The wait for its port was a connection of its own, without a header and so without a server.
        let proxy = reverse(&format!(
            "[streams.s]\nlisten = \"127.0.0.1:0\"\nto = \"{}\"\nto_proxy_protocol = \"{version}\"\n",
            haproxy.addr()
        ));
        let mut client = RawClient::connect_from("127.0.0.78", proxy.listening("streams.s"));
        client.send("hello");
        let line = String::from_utf8(far.accept().read_until("hello")).unwrap();
        assert!(line.starts_with("PROXY TCP4 127.0.0.78 "), "{version}: {line}");
    }
}

#[test]
fn haproxy_behind_a_site_hears_who_the_client_is() {
    for version in ["v1", "v2"] {
        let far = Far::listen();
        let haproxy = Peer::haproxy("accept-proxy", far.addr(), "send-proxy", "tcp");
        let proxy = reverse(&site(haproxy.addr(), &format!("to_proxy_protocol = \"{version}\"")));
        let mut client = RawClient::connect_from("127.0.0.79", proxy.listening("sites.*"));
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
        let head = String::from_utf8(far.accept().read_until("\r\n\r\n")).unwrap();
        let port = proxy.listening("sites.*").port();
        let line = format!("PROXY TCP4 127.0.0.79 127.0.0.1 {} {port}\r\n", client.local_addr().port());
        // HAProxy tells of the connection that the header tells it of.
        assert!(head.starts_with(&line) && head.contains("GET / HTTP/1.1\r\n"), "{version}: {head}");
    }
}

#[test]
fn nginx_behind_a_site_hears_who_the_client_is() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lines = format!(
        "listen {port} proxy_protocol; location = /seen {{ return 200 \"$proxy_protocol_addr:$proxy_protocol_port\"; }}"
    );
    let _nginx = Peer::nginx("", &lines);
    for version in ["v1", "v2"] {
        let lines = "health = { path = \"/index.html\", every = \"100ms\", rise = 1 }";
        let proxy = reverse(&site(port, &format!("to_proxy_protocol = \"{version}\"\n{lines}")));
        eventually(PATIENCE, "the check, which has a header too, to pass", || {
            (proxy.status_json().pointer("/upstreams/0/endpoints/0/check")? == "up").then_some(())
        });
        let mut clients = ["127.0.0.80", "127.0.0.81"]
            .map(|from| RawClient::connect_from(from, proxy.listening("sites.*")));
        // Each connection that is kept between requests goes on speaking for its own client.
        for _ in 0..3 {
            for client in &mut clients {
                client.send("GET /seen HTTP/1.1\r\nHost: app.test\r\n\r\n");
                assert_eq!(client.read_response().text(), client.local_addr().to_string(), "{version}");
            }
        }
    }
}

#[test]
fn a_connection_that_speaks_for_a_client_is_kept_for_it_and_ends_with_it() {
    let far = Far::listen();
    let proxy = reverse(&site(far.addr(), "to_proxy_protocol = \"v1\""));
    let mut client = RawClient::connect_from("127.0.0.82", proxy.listening("sites.*"));
    let request = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
    client.send(request);
    let mut upstream = far.accept();
    let head = String::from_utf8(upstream.read_until("\r\n\r\n")).unwrap();
    assert!(head.starts_with("PROXY TCP4 127.0.0.82 "), "{head}");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.read_response().status, 200);
    client.send(request);
    let head = String::from_utf8(upstream.read_until("\r\n\r\n")).unwrap();
    assert!(head.contains("GET / HTTP/1.1\r\n") && !head.contains("PROXY "), "{head}");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((client.read_response().status, far.connections()), (200, 1));
    drop(client);
    upstream.expect_end_within(PATIENCE);
    let mut other = RawClient::connect_from("127.0.0.83", proxy.listening("sites.*"));
    other.send(request);
    let head = String::from_utf8(far.accept().read_until("\r\n\r\n")).unwrap();
    assert!(head.starts_with("PROXY TCP4 127.0.0.83 "), "{head}");
}
