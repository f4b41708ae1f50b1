//! Everything that can come wrong: half messages, silence, floods, dead ends, names that do not resolve, no descriptors.
//!
//! Each case gets a clear answer, nothing leaks, and nothing already running is lost. Messages that can be read in two
//! ways are in `smuggling.rs`, mistakes in the configuration in `bad_config.rs`.

use shoalway_testkit::proxy::{Builder, raise_own_limit};
use shoalway_testkit::socks::{Command, socks5_address};
use shoalway_testkit::{
    Dns, Far, Hanging, Origin, PATIENCE, Proxy, RawClient, Refusing, Reply, Step, TcpEcho, TcpScript,
    eventually, secs,
};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A proxy that is short of patience, so that a test need not be.
fn impatient() -> Builder {
    Proxy::builder(BIN)
        .set("limits.head_timeout", "\"200ms\"")
        .set("limits.idle_timeout", "\"300ms\"")
        .set("limits.connect_timeout", "\"400ms\"")
        .set("limits.first_byte", "\"400ms\"")
}

/// Beginnings of every dialect: each is correct as far as it goes.
const BEGINNINGS: &[(&str, &[u8])] = &[
    ("nothing at all", b""),
    ("half a method", b"GE"),
    ("half a request line", b"GET http://127.0.0.1:1/"),
    ("half a field", b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127"),
    ("half a CONNECT", b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n"),
    ("half a greeting", b"\x05\x02\x00"),
    ("a greeting and no request", b"\x05\x01\x00"),
    ("half a request", b"\x05\x01\x00\x05\x01\x00\x03\x09site"),
    ("half a SOCKS4 request", b"\x04\x01\x00\x50\x7f"),
    ("a SOCKS4 request without end", b"\x04\x01\x00\x50\x7f\x00\x00\x01user"),
    ("a SOCKS4a request without end", b"\x04\x01\x00\x50\x00\x00\x00\x01\x00site"),
];

/// What no dialect begins with, or what none goes on with.
const GARBAGE: &[(&str, &[u8])] = &[
    ("zeros", &[0; 64]),
    ("high octets", &[0xff; 64]),
    ("a TLS greeting on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ("SOCKS of version 6", b"\x06\x01\x00"),
    ("a greeting of another protocol", b"SSH-2.0-client\r\n"),
    ("text", b"hello, is anybody there?\r\n\r\n"),
    ("a SOCKS4 command that does not exist", b"\x04\x09\x00\x50\x7f\x00\x00\x01\x00"),
    ("a SOCKS5 request of another version", b"\x05\x01\x00\x04\x01\x00\x01\x7f\x00\x00\x01\x00\x50"),
    ("a SOCKS5 request with an empty name", b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50"),
    ("a SOCKS5 name with a NUL", b"\x05\x01\x00\x05\x01\x00\x03\x03a\x00b\x00\x50"),
];

// Clients

#[test]
fn a_client_that_stalls_is_closed_at_the_deadline_in_every_phase() {
    let proxy = impatient().start();
    for (what, bytes) in BEGINNINGS {
        let mut client = proxy.connect();
        client.send(bytes);
        let said = client.expect_end_within(secs(4));
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{what}: {said:?}");
    }
}

#[test]
fn a_client_that_stalls_inside_a_head_is_told_408() {
    let proxy = impatient().start();
    let mut client = proxy.connect();
    client.send("GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127");
    assert_eq!(client.read_response().status, 408);
    client.expect_closed_within(secs(4));
}

#[test]
fn a_kept_connection_that_says_nothing_is_closed_at_its_own_deadline() {
    let (proxy, origin) = (impatient().start(), Origin::start(Reply::ok("x")));
    let mut client = proxy.connect();
    assert_eq!(client.get(&origin.url("/")).status, 200);
    client.expect_closed_within(secs(4));
}

#[test]
fn a_flood_of_slow_clients_meets_its_deadline_while_others_are_served() {
    raise_own_limit();
    let proxy = Proxy::builder(BIN).set("limits.head_timeout", "\"1s\"").start();
    let origin = Origin::start(Reply::ok("served"));
    let flood: Vec<RawClient> = (0..300)
        .map(|n| {
            let mut client = proxy.connect();
            client.send(BEGINNINGS[n % BEGINNINGS.len()].1);
            client
        })
        .collect();
    let mut trickle = proxy.connect();
    trickle.send("GET http://a.test/ HTTP/1.1\r\nX-A: ");
    assert_eq!(proxy.connect().get(&origin.url("/")).text(), "served");
    // Each byte comes in time, the head as a whole does not.
    eventually(secs(6), "the trickle is cut off", || trickle.try_send("x").is_err().then_some(()));
    for mut client in flood {
        client.expect_end_within(secs(4));
    }
    eventually(PATIENCE, "nobody left", || (proxy.status_json()["connections"] == 0).then_some(()));
}

#[test]
fn garbage_is_answered_or_closed_and_never_passed_on() {
    let (proxy, origin) = (impatient().start(), Origin::start(Reply::ok("reached")));
    for (what, bytes) in GARBAGE {
        let mut client = proxy.connect();
        client.send(bytes);
        let said = client.expect_end_within(secs(4));
        let told = said.is_empty() || said.starts_with(b"HTTP/1.1 4") || said.starts_with(b"HTTP/1.1 505");
        let refused = said.starts_with(&[5]) || matches!(said[..], [0, 91, ..]);
        assert!(told || refused, "{what}: {}", said.escape_ascii());
    }
    assert_eq!(proxy.connect().get(&origin.url("/after")).text(), "reached");
}

#[test]
fn clients_may_send_one_byte_at_a_time_in_every_dialect() {
    let (proxy, origin, echo) = (Proxy::start(BIN), Origin::start(Reply::echo()), TcpEcho::start());
    let (host, target) = (origin.addr(), echo.addr());

    let mut client = proxy.connect();
    client.one_byte_at_a_time(format!(
        "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ));
    assert_eq!(client.read_response().text(), "abc");

    let mut client = proxy.connect();
    client.one_byte_at_a_time(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\nxyz"));
    assert_eq!(client.read_response_to("CONNECT").status, 200);
    client.expect("xyz");

    let mut client = proxy.connect();
    client.one_byte_at_a_time(
        [&[5, 1, 0][..], &[5, 1, 0], &socks5_address(&target.to_string()), b"xyz"].concat(),
    );
    client.expect([5, 0]);
    assert_eq!(client.socks5_reply().code, 0);
    client.expect("xyz");

    let mut client = proxy.connect();
    let port = target.port().to_be_bytes();
    client.one_byte_at_a_time([&[4, 1][..], &port, &[127, 0, 0, 1], b"me\0xyz"].concat());
    assert_eq!(client.socks4_reply().code, 90);
    client.expect("xyz");
}

#[test]
fn heads_that_are_too_large_are_refused_while_they_come() {
    let (proxy, origin) = (Proxy::start(BIN), Origin::start(Reply::ok("reached")));
    let host = origin.addr();
    let line = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n");
    let (value, many) = ("v".repeat(100_000), "X-A: 1\r\n".repeat(5_000));
    for (what, status, request) in [
        ("one long field", 431, format!("{line}X-A: {value}\r\n\r\n")),
        ("many short fields", 431, format!("{line}{many}\r\n")),
        ("a long name", 431, format!("{line}{}: x\r\n\r\n", "N".repeat(70_000))),
        ("a long target", 414, format!("GET http://{host}/{value} HTTP/1.1\r\nHost: {host}\r\n\r\n")),
    ] {
        let mut client = proxy.connect();
        // It may answer and close before all of it is sent.
        let sent = client.try_send(&request);
        let answer = client.read_response();
        assert_eq!(answer.status, status, "{what}: {sent:?} {}", answer.head);
        assert_ne!(client.read_to_end(PATIENCE).1, shoalway_testkit::End::StillOpen, "{what}");
    }
    assert_eq!(origin.requests(), []);
}

#[test]
fn a_head_that_never_ends_does_not_fill_the_memory() {
    let proxy = Proxy::start(BIN);
    let before = proxy.memory();
    let mut client = proxy.connect();
    client.send("GET http://127.0.0.1:1/ HTTP/1.1\r\n");
    let field = format!("X-A: {}\r\n", "v".repeat(4_000));
    let refused = (0..4_000).find(|_| client.try_send(&field).is_err());
    assert!(refused.is_some(), "16 MB of head were taken");
    assert!(proxy.memory().saturating_sub(before) < 4 << 20);
}

// Far sides

#[test]
fn far_sides_that_fail_get_a_status_and_a_reason() {
    let proxy = impatient().start();
    let (refusing, hanging) = (Refusing::start(), Hanging::start());
    let script = |steps: &[Step]| TcpScript::start(steps.to_vec());
    let scripted = [
        ("closes at once", 502, script(&[Step::Close])),
        ("closes after the request", 502, script(&[Step::ReadHead, Step::Close])),
        ("resets", 502, script(&[Step::ReadHead, Step::Reset])),
        ("says nothing", 504, script(&[Step::ReadHead, Step::Stall])),
        (
            "sends half a head and stalls",
            504,
            script(&[Step::ReadHead, Step::Send(b"HTTP/1.1 2".to_vec()), Step::Stall]),
        ),
        ("sends half a head and closes", 502, script(&[Step::ReadHead, Step::Send(b"HTTP/1.1 2".to_vec())])),
    ];
    for (what, status, far) in &scripted {
        let answer = proxy.connect().get(&format!("http://{}/", far.addr()));
        assert_eq!(answer.status, *status, "{what}: {}", answer.head);
        assert!(answer.proxy_status("error").is_some(), "{what}: {}", answer.head);
    }
    proxy.connect().get(&format!("http://{}/", refusing.addr())).assert_refused(502, "connection_refused");
    proxy.connect().get(&format!("http://{}/", hanging.addr())).assert_refused(504, "connection_timeout");
    let connect = |addr: std::net::SocketAddr| proxy.connect().connect_request(&addr.to_string());
    connect(refusing.addr()).assert_refused(502, "connection_refused");
    connect(hanging.addr()).assert_refused(504, "connection_timeout");
}

#[test]
fn a_client_keeps_its_connection_after_a_far_side_failed() {
    let (proxy, refusing, origin) = (Proxy::start(BIN), Refusing::start(), Origin::start(Reply::ok("fine")));
    let mut client = proxy.connect();
    assert_eq!(client.get(&format!("http://{}/", refusing.addr())).status, 502);
    assert_eq!(client.get(&origin.url("/")).text(), "fine");
}

#[test]
fn far_sides_may_send_one_byte_at_a_time() {
    let proxy = Proxy::start(BIN);
    let bytes =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n".to_vec();
    let far = TcpScript::start([Step::ReadHead, Step::OneByteAtATime(bytes)]);
    let answer = proxy.connect().get(&format!("http://{}/", far.addr()));
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("abc", 1));
}

#[test]
fn an_answer_with_too_large_a_head_becomes_502() {
    let proxy = Proxy::start(BIN);
    let origin = Origin::start(Reply::ok("x").with(&format!("X-Large: {}", "v".repeat(2_000_000))));
    assert_eq!(proxy.connect().get(&origin.url("/")).status, 502);
}

#[test]
fn an_upload_to_a_far_side_that_left_gets_an_answer() {
    let (proxy, far) = (Proxy::start(BIN), TcpScript::start([Step::ReadHead, Step::Reset]));
    let (mut client, host) = (proxy.connect(), far.addr());
    client.send(format!("POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n"));
    // The answer may come, and the connection end, before all of it is sent.
    let sent = client.try_send(vec![b'x'; 1_000_000]);
    assert_eq!(client.read_response().status, 502, "{sent:?}");
}

// Names

#[test]
fn names_that_do_not_resolve_get_a_status_and_a_reason() {
    for (what, dns, status, error) in [
        ("unknown", Dns::knowing(&[]), 502, "dns_error"),
        ("failing", Dns::failing(), 502, "dns_error"),
        ("silent", Dns::silent(), 504, "dns_timeout"),
    ] {
        let proxy = impatient().dns(&dns).start();
        let answer = proxy.connect().get("http://site.test/");
        assert_eq!((answer.status, answer.proxy_status("error").as_deref()), (status, Some(error)), "{what}");
        let answer = proxy.connect().connect_request("site.test:443");
        assert_eq!((answer.status, answer.proxy_status("error").as_deref()), (status, Some(error)), "{what}");
        assert_ne!(proxy.connect().socks5_connect("site.test:80").code, 0, "{what}");
        assert_ne!(proxy.connect().socks4_ask(Command::Connect, "site.test:80", "").code, 90, "{what}");
    }
}

#[test]
fn a_name_server_that_talks_garbage_is_survived() {
    let (dns, origin) = (Dns::garbage(), Origin::start(Reply::ok("fine")));
    let proxy = impatient().dns(&dns).start();
    assert!(matches!(proxy.connect().get("http://site.test/").status, 502 | 504));
    assert_eq!(proxy.connect().get(&origin.url("/")).text(), "fine");
}

// Leaks and exhaustion

#[test]
fn nothing_is_left_of_clients_that_vanish() {
    let (proxy, far, origin) = (Proxy::start(BIN), Far::listen(), Origin::start(Reply::hang_after_head(9)));
    // Once through every path first, so that what is opened lazily is open.
    misbehave(&proxy, &far, &origin);
    let without_clients = || {
        let gone = || (proxy.status_json()["connections"] == 0).then(|| proxy.open_files());
        eventually(PATIENCE, "no client is counted any more", gone)
    };
    let before = without_clients();
    for _ in 0..10 {
        misbehave(&proxy, &far, &origin);
    }
    without_clients();
    eventually(PATIENCE, "descriptors are given back", || (proxy.open_files() <= before + 4).then_some(()));
}

/// Every way to begin and to leave.
fn misbehave(proxy: &Proxy, far: &Far, origin: &Origin) {
    for (_what, bytes) in BEGINNINGS.iter().chain(GARBAGE) {
        proxy.connect().send(bytes).half_close();
        let mut client = proxy.connect();
        client.send(bytes);
        client.reset();
    }
    let client = proxy.connect().tunnel_to(far.addr());
    client.reset();
    drop(far.accept());
    let mut client = proxy.connect().socks5_tunnel_to(far.addr());
    client.send("x").half_close();
    drop(far.accept());
    let (mut client, host) = (proxy.connect(), origin.addr());
    client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.read_until("\r\n\r\n");
    client.reset();
    let association = proxy.connect().socks5_udp();
    association.send(host, b"x");
}

#[test]
fn without_descriptors_accepting_pauses_and_work_goes_on() {
    raise_own_limit();
    let (proxy, echo) = (Proxy::start(BIN), TcpEcho::start());
    let mut tunnel = proxy.connect().tunnel_to(echo.addr());
    tunnel.send("before").expect("before");

    proxy.limit_open_files(proxy.open_files() + 8);
    let crowd: Vec<RawClient> = (0..64).map(|_| proxy.connect()).collect();
    let word = "descriptor";
    proxy.wait_for_stderr(word);
    tunnel.send("meanwhile").expect("meanwhile");
    assert_eq!(proxy.stderr().matches(word).count(), 1, "one warning: {}", proxy.stderr());

    drop(crowd);
    eventually(PATIENCE, "clients are taken again", || {
        let mut client = proxy.connect();
        let target = echo.addr();
        client.try_send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).ok()?;
        client.read_to_end(secs(1)).0.starts_with(b"HTTP/1.1 200").then_some(())
    });
    tunnel.send("after").expect("after");
    assert_eq!(proxy.stderr().matches(word).count(), 1, "one warning: {}", proxy.stderr());
}

#[test]
fn a_limit_of_connections_holds_and_lets_go() {
    let (proxy, echo) =
        (Proxy::builder(BIN).set("limits.connections_per_client", 4).start(), TcpEcho::start());
    let tunnels: Vec<RawClient> = (0..4).map(|_| proxy.connect().tunnel_to(echo.addr())).collect();
    let mut fifth = proxy.connect();
    // It may be closed before or after it could send.
    let sent = fifth.try_send("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
    let said = fifth.expect_end_within(PATIENCE);
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{sent:?} {}", said.escape_ascii());
    // Another client is not held responsible.
    let mut neighbour = RawClient::connect_from("127.0.0.3", proxy.addr());
    assert_eq!(neighbour.connect_request(&echo.addr().to_string()).status, 200);
    drop(tunnels);
    eventually(PATIENCE, "room for the first client again", || {
        let mut client = proxy.connect();
        let target = echo.addr();
        client.try_send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).ok()?;
        client.read_to_end(secs(1)).0.starts_with(b"HTTP/1.1 200").then_some(())
    });
}

#[test]
fn nothing_a_client_sends_reaches_the_programs_own_messages() {
    let dns = Dns::knowing(&[]);
    let proxy = impatient().dns(&dns).set("log.level", "\"info\"").start();
    let refusing = Refusing::start();
    let mut client = proxy.connect();
    assert_eq!(client.get("http://secret-host.test/secret-path").status, 502);
    assert_eq!(client.connect_request("secret-host.test:443").status, 502);
    assert_ne!(proxy.connect().socks5_connect("secret-host.test:80").code, 0);
    assert_eq!(proxy.connect().get(&format!("http://{}/secret-path", refusing.addr())).status, 502);
    for (_what, bytes) in GARBAGE {
        proxy.connect().send(bytes).expect_end_within(secs(4));
    }
    let said = proxy.stderr() + &proxy.stdout();
    for secret in ["secret", &refusing.addr().to_string(), "is anybody there", "panicked"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
