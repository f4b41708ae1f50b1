//! Endpoints that are dead, frozen, slow, lying, resetting or talking nonsense.

use super::{Served, get, route, site, to, url};
use shoalway_reverse::balance::{Algorithm, BalanceConfig};
use shoalway_reverse::breaker::BreakerLimits;
use shoalway_reverse::routes::{Then, ToUpstream};
use shoalway_testkit::{Far, Origin, Refusing, Reply, Step, TcpScript};
use std::sync::Arc;
use std::time::Duration;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

/// A listener before these endpoints, with so much patience for each try.
fn before(endpoints: Vec<String>, per_try: Duration) -> Served {
    Served::start(move |tools| {
        let backend = tools.backend(&endpoints);
        let to = ToUpstream { per_try: Some(per_try), ..ToUpstream::new(backend) };
        site(vec![route("*", Then::Upstream(Arc::new(to)))])
    })
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn script(steps: impl Into<Vec<Step>>) -> TcpScript {
    TcpScript::start(steps)
}

#[test]
fn one_dead_endpoint_of_three_loses_no_idempotent_request() {
    let (one, two) = (Origin::start(Reply::ok("ok")), Origin::start(Reply::ok("ok")));
    let dead = Refusing::start();
    let served = before(vec![url(one.addr()), url(dead.addr()), url(two.addr())], LONG);
    let mut client = served.connect();
    for n in 0..1_000 {
        let answer = client.send(get("/")).read_response();
        assert_eq!(answer.status, 200, "request {n}");
    }
    assert_eq!(one.requests().len() + two.requests().len(), 1_000);
}

#[test]
fn an_endpoint_that_dies_in_the_middle_loses_no_idempotent_request() {
    let (one, two) = (Origin::start(Reply::ok("ok")), Origin::start(Reply::ok("ok")));
    let dying = script([Step::ReadHead, Step::Send(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), Step::Reset]);
    let served = before(vec![url(one.addr()), url(dying.addr()), url(two.addr())], LONG);
    let mut client = served.connect();
    for n in 0..1_000 {
        assert_eq!(client.send(get("/")).read_response().status, 200, "request {n}");
    }
    assert!(dying.connections() > 0);
}

#[test]
fn what_an_endpoint_does_wrong_becomes_a_status_with_a_word() {
    let cases: Vec<(Vec<Step>, u16, &str)> = vec![
        (vec![Step::ReadHead, Step::Close], 502, "http_response_incomplete"),
        (vec![Step::ReadHead, Step::Reset], 502, "http_response_incomplete"),
        (
            vec![Step::ReadHead, Step::Send(b"SSH-2.0-x\r\n\r\n".to_vec()), Step::Stall],
            502,
            "http_protocol_error",
        ),
        (
            vec![
                Step::ReadHead,
                Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec()),
            ],
            502,
            "http_protocol_error",
        ),
        (vec![Step::ReadHead, Step::Stall], 504, "http_response_timeout"),
        (vec![Step::Stall], 504, "http_response_timeout"),
    ];
    for (steps, status, word) in cases {
        let far = script(steps.clone());
        let served = before(vec![url(far.addr())], SHORT);
        served.get("/").assert_refused(status, word);
    }
    let dead = Refusing::start();
    let served = before(vec![url(dead.addr())], LONG);
    let answer = served.get("/");
    answer.assert_refused(502, "connection_refused");
    assert!(!answer.text().contains("127.0.0.1") && !answer.head.contains("127.0.0.1"));
}

#[test]
fn a_lie_about_the_length_is_not_passed_off_as_whole() {
    for reply in [Reply::promises(100, "short"), Reply::resets_after(100, "short")] {
        let origin = Origin::start(reply);
        let served = Served::before(&[&origin]);
        let mut client = served.connect();
        client.send(get("/"));
        client.read_until("\r\n\r\n");
        let (rest, end) = client.read_to_end(Duration::from_secs(20));
        assert!(b"short".starts_with(&rest), "{rest:?}");
        assert_eq!(end, shoalway_testkit::End::Reset);
    }
}

#[test]
fn a_frozen_endpoint_costs_one_try_and_then_another_answers() {
    let frozen = script([Step::ReadHead, Step::Stall]);
    let good = Origin::start(Reply::ok("ok"));
    let served = before(vec![url(frozen.addr()), url(good.addr())], SHORT);
    let mut client = served.connect();
    for _ in 0..6 {
        assert_eq!(client.send(get("/")).read_response().status, 200);
    }
    // The first try of each of these may have gone to it, but no more than one.
    assert!(frozen.connections() <= 6);
    assert_eq!(good.requests().len(), 6);
}

#[test]
fn two_frozen_endpoints_take_the_patience_of_two_tries_and_no_more() {
    let (one, two) = (script([Step::ReadHead, Step::Stall]), script([Step::ReadHead, Step::Stall]));
    let served = before(vec![url(one.addr()), url(two.addr())], SHORT);
    served.get("/").assert_refused(504, "http_response_timeout");
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[test]
fn endpoints_that_freeze_on_kept_connections_are_given_up_one_after_the_other() {
    let once =
        || script([Step::ReadHead, Step::Send(format!("{HEAD}ok").into()), Step::ReadHead, Step::Stall]);
    let (one, two) = (once(), once());
    let endpoints = [url(one.addr()), url(two.addr())];
    let served = Served::start(move |tools| {
        let balance = BalanceConfig { algorithm: Algorithm::RoundRobin, ..BalanceConfig::default() };
        let backend = tools.backend_with(&endpoints, |config| config.balance = balance, |_| {});
        let to = ToUpstream { per_try: Some(SHORT), ..ToUpstream::new(backend) };
        site(vec![route("*", Then::Upstream(Arc::new(to)))])
    });
    let mut client = served.connect();
    for status in [200, 200, 504] {
        assert_eq!(client.send(get("/")).read_response().status, status);
    }
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[test]
fn all_tries_together_have_a_deadline() {
    let (one, two) = (script([Step::ReadHead, Step::Stall]), script([Step::ReadHead, Step::Stall]));
    let endpoints = [url(one.addr()), url(two.addr())];
    let served = Served::start(move |tools| {
        let to = ToUpstream { total: Some(SHORT), ..ToUpstream::new(tools.backend(&endpoints)) };
        site(vec![route("*", Then::Upstream(Arc::new(to)))])
    });
    served.get("/").assert_refused(504, "http_response_timeout");
    assert_eq!(one.connections() + two.connections(), 1);
}

#[test]
fn a_slow_answer_is_waited_for() {
    let origin = Origin::start(Reply::slow(&["a", "b", "c"], Duration::from_millis(50)));
    let served = before(vec![url(origin.addr())], LONG);
    assert_eq!(served.get("/").text(), "abc");
}

#[test]
fn a_status_that_counts_as_a_failure_is_tried_elsewhere_if_that_is_safe() {
    let broken = Origin::start(Reply::ok("no").status(503));
    let good = Origin::start(Reply::ok("ok"));
    let served = before(vec![url(broken.addr()), url(good.addr())], LONG);
    let mut client = served.connect();
    for _ in 0..4 {
        assert_eq!(client.send(get("/")).read_response().status, 200);
    }
    let alone = Served::before(&[&broken]);
    let answer = alone.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (503, "no"));
}

#[test]
fn a_post_is_sent_again_only_while_nothing_of_it_was_sent() {
    let dead = Refusing::start();
    let good = Origin::start(Reply::echo());
    let served = before(vec![url(dead.addr()), url(good.addr())], LONG);
    let mut client = served.connect();
    for _ in 0..10 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.read_response().text(), "hello");
    }
    let closing = script([Step::ReadHead, Step::Read(5), Step::Close]);
    let other = script([Step::ReadHead, Step::Read(5), Step::Close]);
    let served = before(vec![url(closing.addr()), url(other.addr())], LONG);
    let answer = served.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.status, 502);
    assert_eq!(closing.connections() + other.connections(), 1);
}

#[test]
fn a_put_is_sent_again_with_its_content() {
    let closing = script([Step::ReadHead, Step::Read(5), Step::Close]);
    let good = Origin::start(Reply::echo());
    let served = before(vec![url(closing.addr()), url(good.addr())], LONG);
    let mut client = served.connect();
    for _ in 0..8 {
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        let answer = client.read_response();
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
}

#[test]
fn over_its_bound_an_upstream_is_spared_and_the_client_told_when_to_come_again() {
    let far = Far::listen();
    let endpoint = url(far.addr());
    let served = Served::start(move |tools| {
        let limits = BreakerLimits { requests: 1, ..BreakerLimits::default() };
        let backend =
            tools.backend_with(std::slice::from_ref(&endpoint), |config| config.breaker = limits, |_| {});
        site(vec![to("*", &backend)])
    });
    let mut first = served.connect();
    first.send(get("/"));
    let mut held = far.accept();
    held.read_until("\r\n\r\n");
    let refused = served.get("/");
    refused.assert_refused(503, "connection_limit_reached");
    assert_eq!(refused.proxy_status("details").as_deref(), Some("breaker_requests"));
    assert_eq!(refused.header("Retry-After"), Some("5"));
    held.send(format!("{HEAD}ok"));
    assert_eq!(first.read_response().text(), "ok");
    first.send(get("/"));
    held.read_until("\r\n\r\n");
    held.send(format!("{HEAD}ok"));
    assert_eq!(first.read_response().text(), "ok");
}

#[test]
fn when_nobody_is_left_the_fallback_serves_or_a_503() {
    let (dead, spare) = (Refusing::start(), Origin::start(Reply::ok("spare")));
    let (dead, spare_url) = (url(dead.addr()), url(spare.addr()));
    let served = Served::start(move |tools| {
        let spare = tools.backend_with(&[spare_url], |config| config.name = "spare".into(), |_| {});
        let fallen = tools.backend_with(&[dead], |_| {}, |backend| backend.fallback = Some(spare));
        let nobody = tools.backend_with(&[], |config| config.name = "nobody".into(), |_| {});
        site(vec![to("/nobody", &nobody), to("*", &fallen)])
    });
    assert_eq!(served.get("/").text(), "spare");
    let nobody = served.get("/nobody");
    nobody.assert_refused(503, "destination_unavailable");
    assert_eq!(nobody.header("Retry-After"), Some("5"));
}
