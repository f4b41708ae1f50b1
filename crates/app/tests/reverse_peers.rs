//! The reverse proxy beside others: nginx and HAProxy as upstreams, HAProxy in front and behind by the PROXY protocol.

#![allow(clippy::unwrap_used, reason = "a test reads best so")]

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
