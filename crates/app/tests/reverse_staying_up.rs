//! Staying up, as a whole program: bounds, retries, ejection, and HTTP/2 towards upstreams.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so, and opens its own sockets"
)]

use shoalway_testkit::{
    Far, Origin, PATIENCE, Proxy, RawClient, Refusing, Reply, Response, TcpEcho, TempDir, TestCa, eventually,
    secs,
};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A reverse proxy with this configuration and no forward proxy.
fn reverse(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").set("runtime.shards", 1).config(config).start()
}

/// A site for any host with these lines.
fn site(lines: &str) -> String {
    format!("[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\n{lines}\n")
}

fn to(addrs: &[SocketAddr]) -> String {
    let urls: Vec<String> = addrs.iter().map(|addr| format!("\"http://{addr}\"")).collect();
    format!("to = [{}]\n", urls.join(", "))
}

fn ask(addr: SocketAddr, method: &str) -> Response {
    let mut client = RawClient::connect(addr);
    client.send(format!(
        "{method} / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    client.read_response()
}

#[test]
fn https_upstreams_speak_what_the_key_says() {
    let ca = TestCa::new();
    let issued = ca.issue(&["inner.test"]);
    let plain = Origin::start(Reply::ok("over HTTP/2"));
    let (cert, key) = (issued.cert.display(), issued.key.display());
    let newer = reverse(&format!(
        "[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\ntls = {{ cert = \"{cert}\", key = \"{key}\" }}\n{}",
        to(&[plain.addr()])
    ));
    let older = Origin::tls(&ca.issue(&["inner.test"]), Reply::ok("over HTTP/1.1"));
    let ca_file = ca.file().display().to_string();
    for (protocol, addr, wanted) in [
        ("http1", newer.listening("sites.*"), "over HTTP/2"),
        ("h2", newer.listening("sites.*"), "over HTTP/2"),
        ("auto", newer.listening("sites.*"), "over HTTP/2"),
        ("http1", older.addr(), "over HTTP/1.1"),
        ("auto", older.addr(), "over HTTP/1.1"),
        ("h2", older.addr(), ""),
    ] {
        let proxy = reverse(&site(&format!(
            "to = \"https://{addr}\"\nupstream = {{ ca = \"{ca_file}\", sni = \"inner.test\", protocol = \"{protocol}\" }}"
        )));
        for _ in 0..3 {
            let answer = ask(proxy.listening("sites.*"), "GET");
            match wanted {
                "" => assert_eq!(answer.status, 502, "{protocol}"),
                wanted => assert_eq!((answer.status, answer.text().as_str()), (200, wanted), "{protocol}"),
            }
        }
        let opened = proxy.metrics().sum("shoalway_upstream_connects_total", &[]);
        assert_eq!(opened, if wanted.is_empty() { 0.0 } else { 1.0 }, "{protocol}");
    }
}

#[test]
fn a_request_over_the_bound_is_refused_with_the_breakers_name() {
    let origin = Origin::start(Reply::hang());
    let proxy = reverse(&site(&format!("{}breaker = {{ requests = 1 }}", to(&[origin.addr()]))));
    let addr = proxy.listening("sites.*");
    let mut first = RawClient::connect(addr);
    first.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!(origin.wait_for_requests(1).len(), 1);
    let answer = ask(addr, "GET");
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    assert!(answer.header("Proxy-Status").unwrap().contains("breaker_requests"), "{}", answer.head);
}

#[test]
fn requests_wait_for_their_turn_and_are_shed_when_they_have_waited_for_too_long() {
    let origin = Origin::start(Reply::slow(&["o", "k"], Duration::from_millis(150)));
    let bounds = "breaker = { requests = 1 }\nqueue = { longest = \"5s\" }";
    let proxy = reverse(&site(&format!("{}{bounds}", to(&[origin.addr()]))));
    let addr = proxy.listening("sites.*");
    let statuses = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(move || ask(addr, "GET").status)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(statuses, [200; 4]);
    let frozen = Origin::start(Reply::hang());
    proxy.write_config(&site(&format!("{}{}", to(&[frozen.addr()]), bounds.replace("5s", "200ms"))));
    proxy.reload().unwrap();
    let mut first = RawClient::connect(addr);
    first.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!(frozen.wait_for_requests(1).len(), 1);
    let before = Instant::now();
    let answer = ask(addr, "GET");
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    assert!(answer.header("Proxy-Status").unwrap().contains("queue_time"), "{}", answer.head);
    assert!(before.elapsed() >= Duration::from_millis(200));
}

#[test]
fn tries_kinds_and_statuses_are_the_operators() {
    let (good, dead) = (Origin::start(Reply::ok("good")), Refusing::start());
    let bad = Origin::start(Reply::ok("bad").status(500));
    let spread = "balance = \"round-robin\"\noutliers = { most = \"0%\" }\n";
    for (others, retries, all_good) in [
        (dead.addr(), "{ tries = 3 }", true),
        (dead.addr(), "{ tries = 1 }", false),
        (dead.addr(), "{ on = [\"broken\", \"timeout\"] }", false),
        (dead.addr(), "{ budget = \"0%\", least = 0 }", false),
        (bad.addr(), "{ }", false),
        (bad.addr(), "{ status = [\"500-504\"] }", true),
    ] {
        let lines = format!("{}{spread}retries = {retries}", to(&[others, good.addr()]));
        let proxy = reverse(&site(&lines));
        let addr = proxy.listening("sites.*");
        let got = (0..6).filter(|_| ask(addr, "GET").status == 200).count();
        assert_eq!(got, if all_good { 6 } else { 3 }, "{retries}");
    }
}

#[test]
fn an_upstream_is_put_aside_after_as_many_failures_as_the_key_says() {
    let (good, dead) = (Origin::start(Reply::ok("good")), Refusing::start());
    let lines = "balance = \"round-robin\"\noutliers = { failures = 1, out = \"1h\", longest = \"1h\" }";
    let proxy = reverse(&site(&format!("{}{lines}", to(&[dead.addr(), good.addr()]))));
    for _ in 0..4 {
        assert_eq!(ask(proxy.listening("sites.*"), "GET").status, 200);
    }
    eventually(PATIENCE, "the ejection", || {
        (proxy.metrics().sum("shoalway_upstream_healthy", &[("upstream", "*")]) == 1.0).then_some(())
    });
    assert_eq!(proxy.metrics().sum("shoalway_endpoint_failures_total", &[("upstream", "*")]), 1.0);
}

#[test]
fn two_dead_endpoints_of_three_cost_a_stream_no_connection() {
    let echo = TcpEcho::start();
    let (one, two) = (Refusing::start(), Refusing::start());
    let proxy = reverse(&format!(
        "[streams.s]\nlisten = \"127.0.0.1:0\"\nto = [\"{}\", \"{}\", \"{}\"]\noutliers = {{ most = \"0%\" }}\n\
         balance = \"round-robin\"\n",
        one.addr(),
        two.addr(),
        echo.addr()
    ));
    let addr = proxy.listening("streams.s");
    for _ in 0..120 {
        RawClient::connect(addr).send("hello").expect("hello");
    }
    assert_eq!(echo.connections(), 120);
}

#[test]
fn a_fallback_answers_when_nobody_else_can() {
    let (dead, other) = (Refusing::start(), Origin::start(Reply::ok("from the other place")));
    let dir = TempDir::new();
    let page = dir.join("sorry.html");
    std::fs::write(&page, "<p>Back soon</p>").unwrap();
    let checked = "health = { every = \"100ms\", fall = 1 }\n";
    for (fallback, status, text) in [
        (format!("http://{}", other.addr()), 200, "from the other place"),
        ("answer:503 Back soon".to_owned(), 503, "Back soon\n"),
        (format!("page:{}", page.display()), 503, "<p>Back soon</p>"),
    ] {
        for lines in ["", checked] {
            let proxy = reverse(&site(&format!("{}{lines}fallback = \"{fallback}\"", to(&[dead.addr()]))));
            for _ in 0..3 {
                let answer = ask(proxy.listening("sites.*"), "GET");
                assert_eq!((answer.status, answer.text().as_str()), (status, text), "{fallback} {lines}");
            }
        }
    }
}

/// Whether a connection to this address is taken within a moment.
fn is_taken(addr: SocketAddr) -> bool {
    TcpStream::connect_timeout(&addr, Duration::from_millis(300)).is_ok()
}

#[test]
fn a_gate_refuses_or_holds_connections_while_nobody_is_well() {
    let checked = "health = { every = \"100ms\", fall = 1, rise = 1 }";
    for (gate, kind) in [("refuse", ErrorKind::ConnectionRefused), ("hold", ErrorKind::TimedOut)] {
        // Free again at once: somebody is to listen there later.
        let place = Refusing::start().addr();
        let config = format!(
            "[streams.s]\nlisten = \"127.0.0.1:0\"\nto = \"{0}\"\ngate = \"{gate}\"\n{checked}\n\
             [sites.\"*\"]\nlisten = \"127.0.0.1:0\"\nto = \"http://{0}\"\ngate = \"{gate}\"\n{checked}\n",
            place
        );
        let proxy = reverse(&config);
        let addrs = [proxy.listening("streams.s"), proxy.listening("sites.*")];
        for addr in addrs {
            eventually(PATIENCE, "the gate to shut", || {
                let told = TcpStream::connect_timeout(&addr, Duration::from_millis(300)).err()?;
                (told.kind() == kind).then_some(())
            });
        }
        // A reload meanwhile changes nothing about it.
        proxy.write_config(&format!("{config}rate = \"1000/s\"\n"));
        proxy.reload().unwrap();
        assert!(!addrs.into_iter().any(is_taken), "{gate}");
        let far = Far::listen_on(place);
        for addr in addrs {
            eventually(PATIENCE, "the gate to open", || is_taken(addr).then_some(()));
        }
        drop(far);
        for addr in addrs {
            eventually(PATIENCE, "the gate to shut again", || (!is_taken(addr)).then_some(()));
        }
        // Without the key it opens, whoever is well.
        proxy.write_config(&config.replace(&format!("gate = \"{gate}\"\n"), ""));
        proxy.reload().unwrap();
        for addr in addrs {
            eventually(PATIENCE, "the gate to be taken away", || is_taken(addr).then_some(()));
        }
    }
}

#[test]
fn streams_are_logged_with_words_of_their_own() {
    let (echo, ca) = (TcpEcho::start(), TestCa::new());
    let secret = Origin::tls(&ca.issue(&["a.test"]), Reply::ok("x"));
    let config = format!(
        "[streams.s]\nlisten = \"127.0.0.1:0\"\nto = \"{}\"\n\
         [streams.t]\nlisten = \"127.0.0.1:0\"\nsni = {{ \"*\" = \"{}\" }}\n",
        echo.addr(),
        secret.addr()
    );
    let proxy = Proxy::builder(BIN)
        .unset("proxy.listen")
        .config(config)
        .set("log.access", "access.log")
        .set("log.format", "json")
        .start();
    RawClient::connect(proxy.listening("streams.s")).send("hello").expect("hello");
    let mut client = RawClient::connect(proxy.listening("streams.t")).start_tls(&ca, "a.test");
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.read_response().text(), "x");
    drop(client);
    let words: Vec<String> =
        proxy.log_values(2).iter().map(|line| line["protocol"].as_str().unwrap().to_owned()).collect();
    assert_eq!(words, ["stream-tcp", "stream-tls"]);
}

#[test]
fn upstreams_are_asked_by_grpc_whether_they_serve() {
    let serving = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let says = std::sync::Arc::clone(&serving);
    let service = Origin::answering(move |_seen| {
        let status = if says.load(std::sync::atomic::Ordering::SeqCst) { "\x01" } else { "\x02" };
        let message = format!("\0\0\0\0\x02\x08{status}");
        Reply::chunked(&[&message], &["grpc-status: 0"]).with("Content-Type: application/grpc")
    });
    // Its HTTP/2 is ours: in the clear, by prior knowledge.
    let inner = reverse(&site(&to(&[service.addr()])));
    let lines = format!(
        "to = \"h2c://{}\"\nhealth = {{ grpc = \"a.B\", every = \"100ms\", fall = 1, rise = 1 }}",
        inner.listening("sites.*")
    );
    let proxy = reverse(&site(&lines));
    let becomes = |wanted: &str| {
        eventually(PATIENCE, wanted, || {
            let status = proxy.status_json();
            (status["upstreams"][0]["endpoints"][0]["last_check"] == wanted).then_some(())
        });
    };
    becomes("ok");
    let asked = service.requests().remove(0);
    assert_eq!(asked.target(), "/grpc.health.v1.Health/Check");
    assert_eq!(asked.header("Content-Type"), Some("application/grpc"));
    serving.store(false, std::sync::atomic::Ordering::SeqCst);
    becomes("not_serving");
    drop(inner);
    becomes("connection_refused");
}

#[test]
fn a_second_upstream_is_asked_where_the_first_is_slow_as_far_as_the_budget_goes() {
    let slow = Far::listen();
    let fast = Origin::start(Reply::ok("fast"));
    let lines = format!(
        "to = [\"http://{}\", \"http://{} priority=1\"]\nhedge = {{ after = \"50ms\", budget = \"1%\" }}\nretries = {{ tries = 1 }}\ntimeouts = {{ first_byte = \"2s\" }}",
        slow.addr(),
        fast.addr()
    );
    let proxy = reverse(&site(&lines));
    let addr = proxy.listening("sites.*");
    // A token is there at the start.
    let begun = Instant::now();
    assert_eq!(ask(addr, "GET").status, 200);
    assert!(begun.elapsed() < secs(2), "{:?}", begun.elapsed());
    let metrics = proxy.metrics();
    let of = |name: &str| metrics.sum(&format!("shoalway_upstream_{name}"), &[]);
    assert_eq!(
        (of("hedges_total").to_string(), of("hedges_won_total").to_string()),
        ("1".into(), "1".into())
    );
    // What may not be carried out twice is waited for.
    assert_eq!(ask(addr, "POST").status, 504);
}
