//! Real clients on the one port: curl in every dialect it has, Python's requests and PySocks, a WebSocket, UDP.
//!
//! The browser is in `browser.rs`, ssh in `ssh.rs`, what exactly goes over the wire in `http_semantics.rs`.

use shoalway_testkit::real::{curl, curl_with_input, python};
use shoalway_testkit::{Dns, Origin, Proxy, RawClient, Reply, TestCa, UdpEcho};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

fn proxy() -> Proxy {
    Proxy::start(BIN)
}

/// A proxy for which `site.test` is this machine, and a name server to count questions at.
fn proxy_with_names() -> (Proxy, Dns) {
    let dns = Dns::knowing(&[("site.test", "127.0.0.1")]);
    (Proxy::builder(BIN).dns(&dns).start(), dns)
}

#[test]
fn curl_gets_a_page_over_http() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("page")));
    curl(&["-x", &proxy.url("http"), &origin.url("/a")]).assert_got(200, "page");
    assert_eq!(origin.only_request().target(), "/a");
}

#[test]
fn curl_gets_a_page_over_every_socks_dialect() {
    let ((proxy, _dns), origin) = (proxy_with_names(), Origin::start(Reply::ok("page")));
    for scheme in ["socks4", "socks5"] {
        curl(&["-x", &proxy.url(scheme), &origin.url("/by-address")]).assert_got(200, "page");
    }
    for scheme in ["socks4a", "socks5h"] {
        let url = origin.url_by_name("site.test", "/by-name");
        curl(&["-x", &proxy.url(scheme), &url]).assert_got(200, "page");
    }
    let log = proxy.log_values(4);
    let mut spoken: Vec<&str> = log.iter().filter_map(|line| line["protocol"].as_str()).collect();
    // Each shard hands its lines over by itself, so those of two clients may come in any order.
    spoken.sort_unstable();
    assert_eq!(spoken, ["socks4", "socks4", "socks5", "socks5"]);
}

#[test]
fn names_given_to_the_proxy_are_resolved_by_the_proxy() {
    let ((proxy, dns), origin) = (proxy_with_names(), Origin::start(Reply::ok("page")));
    let url = origin.url_by_name("site.test", "/");
    curl(&["-x", &proxy.url("http"), &url]).assert_got(200, "page");
    assert!(dns.asked().contains(&"site.test".to_owned()), "{:?}", dns.asked());
}

#[test]
fn curl_tunnels_plain_http_when_told_to() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("page")));
    let got = curl(&["-x", &proxy.url("http"), "--proxytunnel", &origin.url("/")]);
    got.assert_got(200, "page");
    assert_eq!(got.connect_code, 200);
    assert_eq!(proxy.log_values(1)[0]["protocol"], "connect");
}

#[test]
fn a_header_for_the_proxy_stays_with_the_proxy() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("page")));
    let x = proxy.url("http");
    curl(&["-x", &x, "-p", "--proxy-header", "X-For-Proxy: 1", &origin.url("/")]).assert_got(200, "page");
    assert_eq!(origin.only_request().header("X-For-Proxy"), None);
}

#[test]
fn https_sites_are_reached_through_http_and_socks() {
    let ((proxy, _dns), ca) = (proxy_with_names(), TestCa::new());
    let origin = Origin::tls(&ca.issue(&["site.test"]), Reply::ok("secret"));
    let (url, trust) = (origin.url_by_name("site.test", "/"), ca.file());
    for scheme in ["http", "socks4a", "socks5h"] {
        let got = curl(&["-x", &proxy.url(scheme), "--cacert", &trust.to_string_lossy(), &url]);
        got.assert_got(200, "secret");
    }
}

#[test]
fn a_proxy_can_itself_be_reached_over_tls() {
    let (ca, origin) = (TestCa::new(), Origin::start(Reply::ok("page")));
    let issued = ca.issue(&["127.0.0.1"]);
    let tls = format!("{{ cert = {:?}, key = {:?} }}", issued.cert, issued.key);
    let proxy = Proxy::builder(BIN).set("proxy.tls", tls).start();
    let (x, trust) = (proxy.url("https"), ca.file());
    for tunnel in [&[][..], &["-p"]] {
        let words = ["-x", &x, "--proxy-cacert", &trust.to_string_lossy(), &origin.url("/")];
        curl(&[&words[..], tunnel].concat()).assert_got(200, "page");
    }
}

#[test]
fn clients_may_have_to_show_a_certificate() {
    let (ca, stranger, origin) = (TestCa::new(), TestCa::new(), Origin::start(Reply::ok("page")));
    let issued = ca.issue(&["127.0.0.1"]);
    let tls = format!("{{ cert = {:?}, key = {:?}, client_ca = {:?} }}", issued.cert, issued.key, ca.file());
    let proxy = Proxy::builder(BIN).set("proxy.tls", tls).start();
    let (x, trust, url) = (proxy.url("https"), ca.file(), origin.url("/"));
    let words = ["-x", &x, "--proxy-cacert", &trust.to_string_lossy(), &url];
    let showing = |shown: &shoalway_testkit::ca::Issued| {
        let (cert, key) = (shown.cert.to_string_lossy(), shown.key.to_string_lossy());
        curl(&[&words[..], &["--proxy-cert", &cert, "--proxy-key", &key]].concat())
    };
    showing(&ca.issue(&["me"])).assert_got(200, "page");
    for refused in [curl(&words), showing(&stranger.issue(&["me"]))] {
        assert_eq!((refused.ran.code == Some(0), refused.http_code), (false, 0), "{}", refused.ran);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn uploads_wait_for_100_continue_and_arrive_whole() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::echo()));
    let upload: String = "0123456789abcdef".repeat(8_192);
    let words = [
        "-x",
        &proxy.url("http"),
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        "@-",
        "-v",
        &origin.url("/"),
    ];
    let got = curl_with_input(&words, upload.as_bytes());
    got.assert_got(200, &upload);
    assert!(got.ran.stderr.contains("HTTP/1.1 100 Continue"), "{}", got.ran.stderr);
    assert_eq!(origin.only_request().header("Expect"), Some("100-continue"));
}

#[test]
fn uploads_of_unknown_length_arrive_whole() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::echo()));
    let upload: String = "fedcba9876543210".repeat(8_192);
    let got = curl_with_input(&["-x", &proxy.url("http"), "-T", "-", &origin.url("/")], upload.as_bytes());
    got.assert_got(200, &upload);
    assert_eq!(origin.only_request().header("Transfer-Encoding"), Some("chunked"));
}

#[test]
fn a_refused_tunnel_has_a_real_status_in_curl() {
    let proxy = Proxy::builder(BIN).rules(&["block port:9"]).start();
    let got = curl(&["-x", &proxy.url("http"), "https://127.0.0.1:9/"]);
    assert_eq!((got.ran.code, got.connect_code), (Some(56), 403), "{}", got.ran);
}

#[test]
fn a_websocket_passes_through_the_proxy() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::upgrade()));
    let mut client = proxy.connect();
    client.send(websocket(&origin.url("/chat"), &origin.addr().to_string()));
    let answer = client.read_response();
    assert_eq!((answer.status, answer.header("Upgrade")), (101, Some("websocket")));
    client.send(b"\x81\x05hello").expect(b"\x81\x05hello");
    let seen = origin.only_request();
    assert_eq!((seen.header("Upgrade"), seen.target()), (Some("websocket"), "/chat"));
    drop(client);
    assert_eq!(proxy.log_values(1)[0]["protocol"], "upgrade");
}

#[test]
fn a_websocket_passes_through_a_tunnel() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::upgrade()));
    let mut client = proxy.connect().tunnel_to(origin.addr());
    client.send(websocket("/chat", &origin.addr().to_string()));
    assert_eq!(client.read_response().status, 101);
    client.send("frame").expect("frame");
}

fn websocket(target: &str, host: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

#[test]
fn python_requests_works_over_http_and_socks() {
    let ((proxy, _dns), origin) = (proxy_with_names(), Origin::start(Reply::echo()));
    let script = "
import requests, sys
url = sys.argv[1]
for proxy in sys.argv[2:]:
    session = requests.Session()
    session.trust_env = False
    session.proxies = {'http': proxy, 'https': proxy}
    for n in range(3):
        answer = session.post(url, data='n=%d' % n, timeout=20)
        answer.raise_for_status()
        assert answer.text == 'n=%d' % n, answer.text
    print('ok')
";
    let (http, socks) = (proxy.url("http"), proxy.url("socks5h"));
    let ran = python(script, &[&origin.url_by_name("site.test", "/"), &http, &socks]);
    assert_eq!(ran.text(), "ok\nok\n", "{ran}");
    assert_eq!(origin.requests().len(), 6);
}

#[test]
fn pysocks_relays_tcp_and_udp() {
    let (proxy, origin, echo) = (proxy(), Origin::start(Reply::ok("page")), UdpEcho::start());
    let script = "
import socks, socket, sys
port, tcp, udp = map(int, sys.argv[1:])
for kind in (socks.SOCKS4, socks.SOCKS5, socks.HTTP):
    s = socks.socksocket()
    s.settimeout(20)
    s.set_proxy(kind, '127.0.0.1', port)
    s.connect(('127.0.0.1', tcp))
    s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')
    assert s.recv(12) == b'HTTP/1.1 200'
    s.close()
s = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.set_proxy(socks.SOCKS5, '127.0.0.1', port)
s.sendto(b'ping', ('127.0.0.1', udp))
data, peer = s.recvfrom(100)
assert data == b'ping' and peer == ('127.0.0.1', udp), (data, peer)
print('ok')
";
    let ports = [proxy.addr(), origin.addr(), echo.addr()].map(|addr| addr.port().to_string());
    let ran = python(script, &[&ports[0], &ports[1], &ports[2]]);
    assert_eq!(ran.text(), "ok\n", "{ran}");
}

#[test]
fn a_udp_client_talks_through_udp_associate() {
    let (proxy, echo) = (proxy(), UdpEcho::start());
    let association = proxy.connect().socks5_udp();
    for size in [1, 512, 1_400, 9_000] {
        let payload = vec![b'u'; size];
        association.send(echo.addr(), &payload);
        assert_eq!(association.receive(), (echo.addr(), payload));
    }
    assert!(echo.senders().iter().all(|from| *from != association.socket.local_addr().unwrap()));
}

#[test]
fn all_dialects_share_one_port_and_one_moment() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("page")));
    let mut open: Vec<RawClient> = (0..4).map(|_| proxy.connect()).collect();
    let [http, connect, socks4, socks5] = &mut open[..] else { unreachable!() };
    assert_eq!(http.get(&origin.url("/")).text(), "page");
    assert_eq!(connect.connect_request(&origin.addr().to_string()).status, 200);
    assert_eq!(socks4.socks4_ask(shoalway_testkit::socks::Command::Connect, origin.addr(), "me").code, 90);
    assert_eq!(socks5.socks5_connect(origin.addr()).code, 0);
    for client in [connect, socks4, socks5] {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.read_response().text(), "page");
    }
}
