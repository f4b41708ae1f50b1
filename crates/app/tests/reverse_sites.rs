//! Sites of the reverse proxy, as a whole program: hosts, routes, TLS, reloads, failing upstreams, changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so, and opens its own sockets"
)]

use shoalway_testkit::real::curl;
use shoalway_testkit::{Origin, PATIENCE, Proxy, RawClient, Refusing, Reply, Response, eventually};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A reverse proxy with this configuration and no forward proxy.
fn reverse(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").config(config).start()
}

/// A site for any host with these lines.
fn site(lines: &str) -> String {
    format!("[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\n{lines}\n")
}

fn to(origin: &Origin) -> String {
    format!("to = \"http://{}\"", origin.addr())
}

fn get(addr: SocketAddr, host: &str, path: &str) -> Response {
    let mut client = RawClient::connect(addr);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    client.read_response()
}

#[test]
fn three_lines_are_a_site() {
    let origin = Origin::start(Reply::ok("hello"));
    let proxy = reverse(&site(&to(&origin)));
    let answer = get(proxy.listening("sites.*"), "app.test", "/path?q=1");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let seen = origin.only_request();
    assert_eq!((seen.target(), seen.header("Host")), ("/path?q=1", Some("app.test")));
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(proxy.status_json()["listeners"].as_array().unwrap().len(), 1, "no forward proxy beside it");
    assert_eq!(proxy.metrics().sum("shoalway_endpoint_successes_total", &[("upstream", "*")]), 1.0);
}

#[test]
fn sites_share_an_address_and_strangers_get_nothing() {
    let (one, wild) = (Origin::start(Reply::ok("one")), Origin::start(Reply::ok("wild")));
    let config = format!(
        "[sites.\"one.test\"]\nlisten = \"127.0.0.1:0\"\n{}\n[sites.\"*.wild.test\"]\nlisten = \"127.0.0.1:0\"\n{}\n",
        to(&one),
        to(&wild)
    );
    let proxy = reverse(&config);
    let addr = proxy.listening("sites.one.test");
    assert_eq!(addr, proxy.listening("sites.*.wild.test"));
    for (host, status, body) in
        [("one.test", 200, "one"), ("ONE.test:8080", 200, "one"), ("a.b.wild.test", 200, "wild")]
    {
        let answer = get(addr, host, "/");
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{host}");
    }
    for host in ["wild.test", "other.test"] {
        let answer = get(addr, host, "/");
        assert!((400..500).contains(&answer.status), "{host}: {}", answer.head);
    }
}

#[test]
fn routes_send_rewrite_redirect_serve_and_answer() {
    let (api, rest) = (Origin::start(Reply::ok("api")), Origin::start(Reply::ok("rest")));
    let lines = format!(
        "{}\nroutes = [\n\"/api/* -> http://{} strip:/api set:X-Api=yes answer-set:X-Route=api\",\n\
         \"/form method:POST => answer:405 no forms\",\n\"/old/* => redirect:/new/ 308\",\n\
         \"/files/* => files:www\",\n\"/tls/* => redirect:https://$host$uri\",\n\"/teapot => answer:418 short and stout\",\n]",
        to(&rest),
        api.addr()
    );
    let proxy = reverse(&site(&lines));
    std::fs::create_dir(proxy.dir().join("www")).unwrap();
    proxy.dir().write("www/a.txt", "from a file");
    let addr = proxy.listening("sites.*");
    for (path, status, body) in [
        ("/api/things?n=1", 200, "api"),
        ("/files/a.txt", 200, "from a file"),
        ("/teapot", 418, "short and stout\n"),
        ("/form", 200, "rest"),
        ("/else", 200, "rest"),
    ] {
        let answer = get(addr, "app.test", path);
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{path}");
    }
    let seen = api.only_request();
    assert_eq!((seen.target(), seen.header("X-Api")), ("/things?n=1", Some("yes")));
    assert_eq!(get(addr, "app.test", "/api/x").header("X-Route"), Some("api"));
    let moved = get(addr, "app.test", "/old/page?q");
    assert_eq!((moved.status, moved.header("Location")), (308, Some("/new/page?q")));
    let secure = get(addr, "app.test", "/tls/page?q");
    assert_eq!((secure.status, secure.header("Location")), (302, Some("https://app.test/tls/page?q")));
    assert_eq!(get(addr, "app.test", "/files/../shoalway.toml").status, 200, "it is the rest, not a file");
    assert_eq!(get(addr, "app.test", "/files/none").status, 404);
}

/// Asks an address for a while, from several connections, until told to stop; counts answers and failures.
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
    failed: AtomicUsize,
}

impl Load {
    fn new() -> Self {
        Self { stop: AtomicBool::new(false), answered: AtomicUsize::new(0), failed: AtomicUsize::new(0) }
    }

    fn run(&self, addr: SocketAddr) {
        let mut client = RawClient::connect(addr);
        while !self.stop.load(SeqCst) {
            client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
            let good = client.read_response().status == 200;
            let count = if good { &self.answered } else { &self.failed };
            count.fetch_add(1, SeqCst);
        }
    }

    fn wait_for(&self, more: usize) {
        let begun = self.answered.load(SeqCst);
        eventually(PATIENCE, "answers under load", || {
            (self.answered.load(SeqCst) >= begun + more).then_some(())
        });
    }
}

#[test]
fn one_of_three_upstreams_dies_under_load_and_nothing_is_lost() {
    // In one piece: an answer that has begun is the client's, and cannot be asked for again.
    let whole = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let mut origins: Vec<Origin> = (0..3).map(|_| Origin::start(whole.clone())).collect();
    let urls: Vec<String> = origins.iter().map(|origin| format!("\"http://{}\"", origin.addr())).collect();
    let proxy = reverse(&site(&format!("to = [{}]\nbalance = \"round-robin\"", urls.join(", "))));
    let addr = proxy.listening("sites.*");
    let load = Load::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load.run(addr));
        }
        load.wait_for(200);
        let dying = origins.remove(0);
        dying.cut_connections();
        let gone = dying.addr();
        drop(dying);
        assert!(RawClient::refused(gone));
        load.wait_for(400);
        load.stop.store(true, SeqCst);
    });
    assert_eq!(load.failed.load(SeqCst), 0);
    assert!(origins.iter().all(|origin| !origin.requests().is_empty()));
}

#[test]
fn twenty_reloads_under_load_fail_nothing_and_cut_no_websocket() {
    let origin =
        Origin::answering(|seen| if seen.target() == "/socket" { Reply::upgrade() } else { Reply::ok("x") });
    let config = |n: usize| site(&format!("{}\nroutes = [\"/extra{n} => answer:200\"]", to(&origin)));
    let proxy = reverse(&config(0));
    let addr = proxy.listening("sites.*");
    let mut socket = RawClient::connect(addr);
    socket.send(
        "GET /socket HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(socket.read_response().status, 101);
    let load = Load::new();
    std::thread::scope(|scope| {
        scope.spawn(|| load.run(addr));
        scope.spawn(|| load.run(addr));
        for n in 1..=20 {
            load.wait_for(5);
            proxy.write_config(&config(n));
            proxy.reload().unwrap();
            socket.send("still there").expect("still there");
        }
        load.stop.store(true, SeqCst);
    });
    assert_eq!(load.failed.load(SeqCst), 0);
    assert_eq!(get(addr, "app.test", "/extra20").status, 200);
    assert_eq!(proxy.status_json()["reloads"], 20);
}

#[test]
fn a_drain_lets_what_is_under_way_finish() {
    let origin = Origin::start(Reply::slow(
        &["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nda", "ta"],
        shoalway_testkit::millis(400),
    ));
    let mut proxy = reverse(&site(&to(&origin)));
    let addr = proxy.listening("sites.*");
    let mut client = RawClient::connect(addr);
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    client.read_until("da");
    proxy.terminate();
    client.expect("ta");
    eventually(PATIENCE, "the listener to close", || RawClient::refused(addr).then_some(()));
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
}

#[test]
fn an_upstream_of_a_site_is_drained_over_the_socket() {
    let (one, two) = (Origin::start(Reply::ok("one")), Origin::start(Reply::ok("two")));
    let lines =
        format!("to = [\"http://{}\", \"http://{}\"]\nbalance = \"round-robin\"", one.addr(), two.addr());
    let proxy = reverse(&site(&lines));
    let addr = proxy.listening("sites.*");
    let ran = proxy.command(&["upstream", "drain", "*", &format!("http://{}", one.addr())]);
    assert_eq!(ran.code, Some(0), "{ran}");
    for _ in 0..6 {
        assert_eq!(get(addr, "app.test", "/").text(), "two");
    }
    assert!(one.requests().is_empty());
}

#[test]
fn nobody_there_is_told_with_a_reason() {
    let dead = Refusing::start();
    let proxy = reverse(&site(&format!("to = \"http://{}\"", dead.addr())));
    let answer = get(proxy.listening("sites.*"), "app.test", "/");
    assert!((502..=504).contains(&answer.status), "{}", answer.head);
    assert!(answer.header("Proxy-Status").is_some(), "{}", answer.head);
}

#[test]
fn a_cookie_keeps_a_client_with_its_upstream() {
    let origins: Vec<Origin> = ["one", "two", "three"].map(|name| Origin::start(Reply::ok(name))).into();
    let urls: Vec<String> = origins.iter().map(|origin| format!("\"http://{}\"", origin.addr())).collect();
    let proxy = reverse(&site(&format!("to = [{}]\nsticky = \"backend\"", urls.join(", "))));
    let addr = proxy.listening("sites.*");
    let first = get(addr, "app.test", "/");
    let cookie = first.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("backend="), "{cookie}");
    for _ in 0..10 {
        let mut client = RawClient::connect(addr);
        client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\nCookie: {cookie}\r\n\r\n"));
        assert_eq!(client.read_response().text(), first.text());
    }
}

#[test]
fn one_line_is_enough() {
    let origin = Origin::start(Reply::ok("one line"));
    let url = format!("http://{}", origin.addr());
    let proxy = Proxy::builder(BIN)
        .unset("proxy.listen")
        .without_file(&["reverse", "--from", "127.0.0.1:0", "--to", &url, "--json"])
        .start();
    let at = format!("http://{}/", proxy.listening("sites.*"));
    curl(&[&at]).assert_got(200, "one line");
    assert_eq!(proxy.status_json()["sites"][0], "*");
}

#[test]
fn http2_by_prior_knowledge_reaches_a_plain_site() {
    let origin = Origin::start(Reply::ok("over two"));
    let proxy = reverse(&site(&to(&origin)));
    let at = format!("http://{}/", proxy.listening("sites.*"));
    curl(&["--http2-prior-knowledge", &at]).assert_got(200, "over two");
}

#[test]
fn a_network_over_its_rate_is_told_to_wait_and_others_are_not() {
    let origin = Origin::start(Reply::ok("x"));
    let proxy = reverse(&site(&format!("{}\nrate = \"1/h burst=3\"", to(&origin))));
    let addr = proxy.listening("sites.*");
    let status = || get(addr, "app.test", "/").status;
    assert_eq!([status(), status(), status(), status()], [200, 200, 200, 429]);
    proxy.reload().unwrap();
    assert_eq!(status(), 429, "a reload forgives nothing");
    let mut other = RawClient::connect_from("127.0.0.99", addr);
    other.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!(other.read_response().status, 200);
}
