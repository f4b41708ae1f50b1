//! How often the program goes to the kernel for a request over kept connections: reading and writing on both sides, and
//! the waits between, and nothing else.

use shoalway_testkit::real::system_calls;
use shoalway_testkit::{Origin, Proxy, RawClient, Reply};
use std::collections::BTreeMap;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

const REQUESTS: u32 = 1_000;

/// Asks so often on one connection; head and content of an answer arrive together.
fn ask(client: &mut RawClient, request: &str, times: u32) {
    for _ in 0..times {
        assert_eq!(client.send(request).read_response().status, 200);
    }
}

/// What a request costs, by the kind of call.
fn assert_cost(calls: &BTreeMap<String, u64>) {
    let each = |names: &[&str]| {
        let all: u64 = calls.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, n)| n).sum();
        f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / f64::from(REQUESTS)
    };
    let (reads, writes) =
        (["read", "readv", "recvfrom", "recvmsg"], ["write", "writev", "sendto", "sendmsg"]);
    let waits = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];
    let known = [&reads[..], &writes, &waits].concat();
    let rest: Vec<&str> = calls.keys().map(String::as_str).filter(|name| !known.contains(name)).collect();
    for (what, names, most) in [
        ("reads", &reads[..], 2.1),
        ("writes", &writes, 2.1),
        ("waits", &waits, 2.2),
        // What is done now and then, however many requests there are: the log is handed over, rates are looked at.
        ("other calls", &rest, 0.5),
    ] {
        let cost = each(names);
        assert!(cost <= most, "{cost} {what} for each request: {calls:?}");
    }
    assert!(each(&reads) >= 2.0 && each(&writes) >= 2.0, "not all was seen: {calls:?}");
}

#[test]
fn a_request_to_a_site_costs_what_its_bytes_cost() {
    let origin = Origin::start(Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let site = format!("[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\nto = \"http://{}\"\n", origin.addr());
    let proxy = Proxy::builder(BIN).unset("proxy.listen").set("runtime.shards", 1).config(site).start();
    let mut client = RawClient::connect(proxy.listening("sites.*"));
    let request = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
    ask(&mut client, request, 50);
    assert_cost(&system_calls(proxy.id(), || ask(&mut client, request, REQUESTS)));
}

#[test]
fn a_request_through_the_forward_proxy_costs_what_its_bytes_cost() {
    let origin = Origin::start(Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let proxy = Proxy::builder(BIN).set("runtime.shards", 1).start();
    let mut client = proxy.connect();
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.url("/"), origin.addr());
    ask(&mut client, &request, 50);
    assert_cost(&system_calls(proxy.id(), || ask(&mut client, &request, REQUESTS)));
}
