//! Spans of requests, as a whole program: a collector of the test's own, one that is not there, sampling, reloads.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so"
)]

use serde_json::Value;
use shoalway_testkit::{Origin, PATIENCE, Proxy, RawClient, Refusing, Reply, Response, eventually};
use std::net::SocketAddr;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn config(to: &str, site: &str, trace: &str) -> String {
    format!(
        "[trace]\n{trace}\n[log]\nprivacy = \"full\"\n[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\nto = [{to}]\n{site}\n"
    )
}

fn start(config: &str) -> (Proxy, SocketAddr) {
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config(config).start();
    let addr = proxy.listening("sites.*");
    (proxy, addr)
}

fn get(addr: SocketAddr, path: &str, fields: &str) -> Response {
    let mut client = RawClient::connect(addr);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n{fields}\r\n"));
    client.read_response()
}

/// All spans that a collector was sent.
fn spans(collector: &Origin) -> Vec<Value> {
    let mut all = Vec::new();
    for seen in collector.requests() {
        assert_eq!((seen.method(), seen.target()), ("POST", "/v1/traces"));
        assert_eq!(seen.header("Content-Type"), Some("application/json"));
        let batch: Value = serde_json::from_slice(&seen.body).unwrap();
        all.extend(batch["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone());
    }
    all
}

fn wait_for_spans(collector: &Origin, n: usize) -> Vec<Value> {
    eventually(PATIENCE, "spans", || Some(spans(collector)).filter(|spans| spans.len() >= n))
}

fn attribute(span: &Value, key: &str) -> String {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|one| one["key"] == key).unwrap_or_else(|| panic!("{key}: {span}"));
    let value = found["value"].as_object().unwrap().values().next().unwrap();
    value.as_str().unwrap().to_owned()
}

#[test]
fn a_request_and_each_of_its_tries_reach_the_collector_as_parent_and_children() {
    let collector = Origin::start(Reply::ok("{}"));
    let (refusing, origin) = (Refusing::start(), Origin::start(Reply::ok("hello")));
    // The one that refuses is asked first.
    let to = format!("\"http://{}\", \"http://{} priority=1\"", refusing.addr(), origin.addr());
    let trace = format!("otlp = \"http://{}\"\nsample = \"100%\"\nservice = \"edge\"", collector.addr());
    let (proxy, addr) = start(&config(&to, "balance = \"round-robin\"", &trace));
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\n");
    let answer = get(addr, "/a/path?secret=1", &parent);
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));

    let all = wait_for_spans(&collector, 3);
    let request = all.iter().find(|span| span["kind"] == 2).unwrap();
    assert_eq!(
        (request["traceId"].as_str(), request["parentSpanId"].as_str()),
        (Some(TRACE), Some("00f067aa0ba902b7"))
    );
    assert_eq!(attribute(request, "http.response.status_code"), "200");
    assert_eq!(attribute(request, "url.path"), "/a/path");
    assert_eq!(attribute(request, "server.address"), "app.test");
    let tries: Vec<&Value> = all.iter().filter(|span| span["kind"] == 3).collect();
    assert_eq!(tries.len(), 2, "{all:?}");
    for one in &tries {
        assert_eq!((&one["traceId"], &one["parentSpanId"]), (&request["traceId"], &request["spanId"]));
        let time = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time(one, "startTimeUnixNano") >= time(request, "startTimeUnixNano"));
        assert!(time(one, "endTimeUnixNano") <= time(request, "endTimeUnixNano"));
    }
    let outcomes: Vec<_> = tries.iter().map(|one| attribute(one, "shoalway.outcome")).collect();
    assert_eq!(outcomes, ["connection_refused", "ok"]);
    assert_eq!(attribute(tries[1], "shoalway.endpoint"), origin.addr().to_string());
    // The origin's spans become children of the request's.
    let id = request["spanId"].as_str().unwrap();
    assert_eq!(origin.only_request().header("traceparent"), Some(format!("00-{TRACE}-{id}-01").as_str()));
    eventually(PATIENCE, "the count", || {
        (proxy.metrics().sum("shoalway_trace_spans_total", &[("outcome", "exported")]) >= 3.0).then_some(())
    });
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let (collector, origin) = (Refusing::start(), Origin::start(Reply::ok("hello")));
    let trace = format!("otlp = \"http://{}\"\nsample = \"100%\"", collector.addr());
    let (proxy, addr) = start(&config(&format!("\"http://{}\"", origin.addr()), "", &trace));
    for _ in 0..5 {
        assert_eq!(get(addr, "/", "").status, 200);
    }
    eventually(PATIENCE, "failed spans", || {
        (proxy.metrics().sum("shoalway_trace_spans_total", &[("outcome", "failed")]) >= 10.0).then_some(())
    });
    assert_eq!(get(addr, "/", "").status, 200);
    assert_eq!(proxy.metrics().sum("shoalway_trace_spans_total", &[("outcome", "exported")]), 0.0);
}

#[test]
fn the_flag_of_a_trusted_proxy_samples_and_nothing_else_does() {
    let collector = Origin::start(Reply::ok("{}"));
    let origin = Origin::start(Reply::ok("hello"));
    let trace = format!("otlp = \"http://{}/v1/traces\"\nsample = \"0%\"", collector.addr());
    let to = format!("\"http://{}\"", origin.addr());
    let (_proxy, addr) = start(&config(&to, "trusted = \"127.0.0.1/32\"", &trace));
    get(addr, "/plain", "");
    get(addr, "/unsampled", &format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\n"));
    get(addr, "/sampled", &format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n"));
    let all = wait_for_spans(&collector, 2);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(attribute(&all[0], "url.path"), "/sampled");
    let carried = origin.requests();
    assert_eq!(carried[0].header("traceparent"), None);
    assert_eq!(carried[1].header("traceparent"), Some(format!("00-{TRACE}-00f067aa0ba902b7-00").as_str()));
}

#[test]
fn a_reload_turns_spans_on() {
    let collector = Origin::start(Reply::ok("{}"));
    let origin = Origin::start(Reply::ok("hello"));
    let to = format!("\"http://{}\"", origin.addr());
    let (proxy, addr) = start(&config(&to, "", ""));
    assert_eq!(get(addr, "/before", "").status, 200);
    let trace = format!("otlp = \"http://{}\"\nsample = \"100%\"", collector.addr());
    let listen = format!("listen = \"{addr}\"");
    proxy.write_config(&config(&to, "", &trace).replace("listen = \"127.0.0.1:0\"", &listen));
    proxy.reload().unwrap();
    assert_eq!(get(addr, "/after", "").status, 200);
    let all = wait_for_spans(&collector, 2);
    assert_eq!(attribute(&all[0], "url.path"), "/after");
}
