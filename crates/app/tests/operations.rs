//! Running it: status, health, reload, drain, signals, metrics, the access log in all its forms.

use shoalway_testkit::proxy::Signal;
use shoalway_testkit::{Dns, End, Far, Origin, PATIENCE, Proxy, RawClient, Reply, TcpEcho, eventually, secs};
use std::fs;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

// Asking

#[test]
fn status_tells_what_runs() {
    let (proxy, echo) = (Proxy::start(BIN), TcpEcho::start());
    let _tunnel = proxy.connect().tunnel_to(echo.addr());
    let status = proxy.status_json();
    assert_eq!(status["pid"], proxy.id(), "{status:#}");
    assert_eq!((&status["shards"], &status["draining"]), (&2.into(), &false.into()), "{status:#}");
    assert_eq!(status["connections"], 1, "{status:#}");
    let listeners = status["listeners"].as_array().unwrap();
    let addr = proxy.addr().to_string();
    assert!(listeners.iter().any(|one| one["address"] == addr), "{status:#}");
    let text = proxy.command(&["status"]).assert_code(0).text();
    assert!(text.contains(&addr) && text.lines().count() <= 8, "{text}");
    assert!(!text.contains(&echo.addr().to_string()), "a destination: {text}");
}

#[test]
fn health_is_told_to_probes_and_to_the_command() {
    let proxy = Proxy::start(BIN);
    assert_eq!((proxy.admin("/healthz").status, proxy.admin("/readyz").status), (200, 200));
    assert_eq!(proxy.admin("/no-such-page").status, 404);
    proxy.command(&["healthcheck"]).assert_code(0);
}

#[test]
fn commands_say_when_the_program_is_away() {
    let mut proxy = Proxy::start(BIN);
    proxy.terminate();
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
    for command in ["status", "healthcheck", "reload", "drain"] {
        proxy.command(&[command]).assert_code(69);
    }
}

#[test]
fn the_control_socket_is_the_owners_alone_and_goes_away() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut proxy = Proxy::start(BIN);
    let socket = proxy.socket();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    proxy.terminate();
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_socket_left_by_a_killed_program_is_in_nobodys_way() {
    let mut first = Proxy::start(BIN);
    let socket = first.socket();
    first.signal(Signal::KILL);
    assert_eq!(first.wait_for_exit(PATIENCE).code(), None);
    assert!(socket.exists());
    let second = Proxy::builder(BIN).set("admin.socket", format!("{socket:?}")).start();
    assert_eq!(second.status_json()["pid"], second.id());
}

// Metrics

#[test]
fn metrics_parse_and_count() {
    let (proxy, origin) =
        (Proxy::builder(BIN).rules(&["block domain:*.test"]).start(), Origin::start(Reply::ok("x")));
    for _ in 0..3 {
        assert_eq!(proxy.connect().get(&origin.url("/secret-path")).status, 200);
    }
    assert_eq!(proxy.connect().get("http://secret-host.test/").status, 403);
    let requests = "shoalway_requests_total";
    eventually(PATIENCE, "the requests to be counted", || {
        let now = proxy.metrics();
        let counted = (now.sum(requests, &[("class", "2xx")]), now.sum(requests, &[("verb", "block")]));
        (counted == (3.0, 1.0)).then_some(())
    });
    let metrics = proxy.metrics();
    assert_eq!(metrics.types.get(requests).map(String::as_str), Some("counter"));
    assert_eq!(metrics.sum("shoalway_build_info", &[]), 1.0);
    assert!(metrics.names().iter().all(|name| name.starts_with("shoalway_") || name.starts_with("process_")));
    let page = proxy.admin("/metrics");
    assert!(page.header("Content-Type").is_some_and(|kind| kind.starts_with("text/plain")), "{}", page.head);
    for secret in ["secret", "127.0.0.1:9", &origin.addr().to_string()] {
        assert!(!page.text().contains(secret), "{secret} in\n{}", page.text());
    }
}

// The access log

/// One request by 127.0.0.9 to `site.test`, and the one line it leaves.
fn logged(format: &str, privacy: &str) -> String {
    let dns = Dns::knowing(&[("site.test", "127.0.0.1")]);
    let origin = Origin::start(Reply::sized(7));
    let proxy = Proxy::builder(BIN)
        .dns(&dns)
        .set("log.format", format!("{format:?}"))
        .set("log.privacy", format!("{privacy:?}"))
        .start();
    let mut client = RawClient::connect_from("127.0.0.9", proxy.addr());
    assert_eq!(client.get(&origin.url_by_name("site.test", "/secret-path?q=\"1\"")).status, 200);
    let mut lines = proxy.log_lines(1);
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

#[test]
fn each_format_tells_what_its_privacy_allows() {
    for format in ["json", "combined", "squid", "logfmt"] {
        for (privacy, client, network, host, path) in [
            ("counts", false, false, false, false),
            ("masked", false, true, true, false),
            ("full", true, false, true, true),
        ] {
            let line = logged(format, privacy);
            let case = format!("{format} {privacy}: {line}");
            assert_eq!(line.contains("127.0.0.9"), client, "{case}");
            assert_eq!(line.contains("127.0.0.0"), network, "{case}");
            assert_eq!(line.contains("site.test"), host, "{case}");
            assert_eq!(line.contains("secret-path"), path, "{case}");
            assert!(line.contains("200") && line.contains('7'), "{case}");
        }
    }
}

#[test]
fn formats_have_the_shape_their_readers_expect() {
    let json: serde_json::Value = serde_json::from_str(&logged("json", "full")).unwrap();
    for (key, value) in [("protocol", "http"), ("method", "GET"), ("host", "site.test"), ("outcome", "ok")] {
        assert_eq!(json[key], value, "{json}");
    }
    assert_eq!((&json["status"], &json["bytes_down"]), (&200.into(), &7.into()), "{json}");

    let combined = logged("combined", "full");
    assert!(combined.starts_with("127.0.0.9 - - ["), "{combined}");
    assert!(
        combined.contains("] \"GET http://site.test:") && combined.contains("\" 200 7 \"-\" \"-\""),
        "{combined}"
    );
    assert!(!combined.contains("q=\"1\""), "a quote that would end the field: {combined}");

    let squid = logged("squid", "full");
    let words: Vec<&str> = squid.split_whitespace().collect();
    assert_eq!((words.len(), words[2], words[5]), (10, "127.0.0.9", "GET"), "{squid}");
    assert!(words[0].contains('.') && words[3].ends_with("/200"), "{squid}");

    let logfmt = logged("logfmt", "full");
    for pair in ["method=GET", "status=200", "host=site.test"] {
        assert!(logfmt.split(' ').any(|word| word == pair), "{pair} in {logfmt}");
    }
}

#[test]
fn a_line_cannot_be_forged() {
    for format in ["json", "combined", "squid", "logfmt"] {
        let proxy = Proxy::builder(BIN)
            .set("log.format", format!("{format:?}"))
            .set("log.privacy", "\"full\"")
            .rules(&["block all"])
            .start();
        let mut client = proxy.connect();
        client.send("GET http://a.test/%0a%22\"\\ HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let first = client.read_response().status;
        let second = client_with_agent(&proxy, "x\" \"y\\");
        assert!(matches!((first, second), (400 | 403, 403)), "{format}");
        assert_eq!(proxy.log_lines(2).len(), 2, "{format}");
        if format == "json" {
            assert_eq!(proxy.log_values(2).len(), 2);
        }
    }
}

fn client_with_agent(proxy: &Proxy, agent: &str) -> u16 {
    let mut client = proxy.connect();
    client.send(format!("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nUser-Agent: {agent}\r\n\r\n"));
    client.read_response().status
}

#[test]
fn every_end_is_logged_once() {
    let (proxy, echo, origin) = (Proxy::start(BIN), TcpEcho::start(), Origin::start(Reply::ok("x")));
    drop(proxy.connect().tunnel_to(echo.addr()));
    drop(proxy.connect().socks5_tunnel_to(echo.addr()));
    assert_eq!(proxy.connect().get(&origin.url("/")).status, 200);
    assert_eq!(proxy.connect().connect_request("127.0.0.1:1").status, 502);
    let mut protocols: Vec<String> =
        proxy.log_values(4).iter().map(|line| line["protocol"].as_str().unwrap().to_owned()).collect();
    protocols.sort();
    assert_eq!(protocols, ["connect", "connect", "http", "socks5"]);
}

#[test]
fn usr1_opens_the_log_anew() {
    let (proxy, origin) = (Proxy::start(BIN), Origin::start(Reply::ok("x")));
    assert_eq!(proxy.connect().get(&origin.url("/")).status, 200);
    assert_eq!(proxy.log_lines(1).len(), 1);
    let (path, rotated) = (proxy.dir().join("access.log"), proxy.dir().join("access.log.1"));
    fs::rename(&path, &rotated).unwrap();
    proxy.signal(Signal::USR1);
    eventually(PATIENCE, "a new file", || path.exists().then_some(()));
    assert_eq!(proxy.connect().get(&origin.url("/")).status, 200);
    assert_eq!(proxy.log_lines(1).len(), 1);
    assert_eq!(fs::read_to_string(&rotated).unwrap().lines().count(), 1);
}

// Reload

#[test]
fn a_reload_applies_new_rules_and_keeps_connections() {
    let (proxy, origin, echo) = (Proxy::start(BIN), Origin::start(Reply::ok("x")), TcpEcho::start());
    let mut tunnel = proxy.connect().tunnel_to(echo.addr());
    let mut client = proxy.connect();
    assert_eq!(client.get(&origin.url("/")).status, 200);
    proxy.write_config(&format!("rules = [\"block port:{}\"]", origin.addr().port()));
    proxy.reload().unwrap();
    assert_eq!(client.get(&origin.url("/")).status, 403, "an open connection reads the new rules");
    tunnel.send("kept").expect("kept");
    assert_eq!(proxy.connect().connect_request(&echo.addr().to_string()).status, 200);

    proxy.write_config("");
    proxy.command(&["reload"]).assert_code(0);
    assert_eq!(client.get(&origin.url("/")).status, 200);
}

#[test]
fn a_reload_ends_tunnels_that_are_now_blocked() {
    let (proxy, echo, other) = (Proxy::start(BIN), TcpEcho::start(), TcpEcho::start());
    let mut blocked = proxy.connect().tunnel_to(echo.addr());
    let mut allowed = proxy.connect().tunnel_to(other.addr());
    proxy.write_config(&format!("rules = [\"block port:{}\"]", echo.addr().port()));
    proxy.reload().unwrap();
    assert_ne!(blocked.read_to_end(secs(10)).1, End::StillOpen);
    allowed.send("kept").expect("kept");
}

#[test]
fn a_reload_opens_and_closes_listeners() {
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config("[proxy]\nlisten = \"127.0.0.1:0\"").start();
    let (first, echo) = (proxy.addr(), TcpEcho::start());
    let mut tunnel = proxy.connect().tunnel_to(echo.addr());
    proxy.write_config("[proxy]\nlisten = \"[::1]:0\"");
    proxy.reload().unwrap();
    let listeners = proxy.status_json()["listeners"].clone();
    let now = listeners.as_array().unwrap().iter().find_map(|one| one["address"].as_str()?.parse().ok());
    let now: std::net::SocketAddr = now.unwrap_or_else(|| panic!("no listener: {listeners}"));
    assert!(now.is_ipv6(), "{listeners}");
    assert_eq!(RawClient::connect(now).connect_request(&echo.addr().to_string()).status, 200);
    eventually(PATIENCE, "the old address is closed", || RawClient::refused(first).then_some(()));
    tunnel.send("kept").expect("kept");
}

#[test]
fn a_log_that_cannot_be_written_costs_lines_and_no_traffic() {
    let proxy = Proxy::builder(BIN).set("log.access", "\"/dev/full\"").start();
    let (origin, echo) = (Origin::start(Reply::ok("x")), TcpEcho::start());
    let mut tunnel = proxy.connect().tunnel_to(echo.addr());
    for _ in 0..50 {
        assert_eq!(proxy.connect().get(&origin.url("/")).status, 200);
    }
    let words = "the access log cannot be written";
    proxy.wait_for_stderr(words);
    eventually(PATIENCE, "all lines counted as lost", || {
        (proxy.metrics().sum("shoalway_log_lines_dropped_total", &[]) == 50.0).then_some(())
    });
    assert_eq!(proxy.stderr().matches(words).count(), 1, "one warning: {}", proxy.stderr());
    tunnel.send("kept").expect("kept");
    drop(tunnel);
    proxy.stop();
}

// Ends

#[test]
fn term_lets_open_work_end_and_takes_no_more() {
    let (mut proxy, far) = (Proxy::start(BIN), Far::listen());
    let mut tunnel = proxy.connect().tunnel_to(far.addr());
    let mut there = far.accept();
    proxy.terminate();
    eventually(PATIENCE, "no more clients", || RawClient::refused(proxy.addr()).then_some(()));
    tunnel.send("still here");
    there.expect("still here");
    assert!(proxy.is_running());
    drop((tunnel, there));
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
    assert_eq!(proxy.log_lines(1).len(), 1, "the last line is written before the end");
}

#[test]
fn drain_by_command_lets_an_answer_end_and_says_close() {
    let (mut proxy, origin) = (Proxy::start(BIN), Far::listen());
    let (mut client, host) = (proxy.connect(), origin.addr());
    client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let mut there = origin.accept();
    there.read_until("\r\n\r\n");
    std::thread::scope(|scope| {
        // The command comes back when the program has ended.
        let command = scope.spawn(|| proxy.command(&["drain"]));
        eventually(PATIENCE, "no more clients", || RawClient::refused(proxy.addr()).then_some(()));
        assert_eq!(proxy.admin("/readyz").status, 503);
        there.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
        let answer = client.read_response();
        assert_eq!((answer.text().as_str(), answer.header("Connection")), ("last", Some("close")));
        drop((client, there));
        command.join().unwrap().assert_code(0);
    });
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_drain_has_a_limit() {
    let (mut proxy, far) = (Proxy::builder(BIN).set("limits.drain", "\"1s\"").start(), Far::listen());
    let mut tunnel = proxy.connect().tunnel_to(far.addr());
    proxy.terminate();
    assert!(proxy.wait_for_exit(secs(10)).code().is_some());
    assert_ne!(tunnel.read_to_end(PATIENCE).1, End::StillOpen);
    assert_eq!(proxy.log_lines(1).len(), 1);
}

#[test]
fn a_second_term_ends_at_once() {
    let (mut proxy, far) = (Proxy::start(BIN), Far::listen());
    let _tunnel = proxy.connect().tunnel_to(far.addr());
    proxy.terminate();
    eventually(PATIENCE, "no more clients", || RawClient::refused(proxy.addr()).then_some(()));
    proxy.terminate();
    // Far below `limits.drain`, which is 30 s.
    let status = proxy.wait_for_exit(secs(5));
    assert!(status.code().is_some(), "it ends by itself and not by the signal: {status}");
}
