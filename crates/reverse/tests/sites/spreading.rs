//! Who gets which request: sticky cookies, keys, spread.

use super::{Served, get, site, to, url};
use shoalway_reverse::balance::{Algorithm, BalanceConfig, StickySecret};
use shoalway_reverse::routes::FieldName;
use shoalway_reverse::site_plan::{Key, StickyCookie};
use shoalway_testkit::{Origin, Reply};
use std::collections::HashSet;

fn origins() -> [Origin; 3] {
    ["one", "two", "three"].map(|name| Origin::start(Reply::ok(name)))
}

#[test]
fn a_cookie_keeps_a_client_at_its_endpoint() {
    let origins = origins();
    let endpoints = origins.each_ref().map(|origin| url(origin.addr()));
    let served = Served::start(move |tools| {
        let sticky = Some(StickySecret::new([7; 32]));
        let backend = tools.backend_with(
            &endpoints,
            |config| config.balance = BalanceConfig { sticky, ..BalanceConfig::default() },
            |backend| backend.sticky = Some(StickyCookie { name: "at".into(), max_age: None }),
        );
        site(vec![to("*", &backend)])
    });
    let first = served.get("/");
    let cookie = first.header("Set-Cookie").unwrap().to_owned();
    assert!(cookie.starts_with("at=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    for _ in 0..20 {
        let again = served.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: other=1; {pair}\r\n\r\n"));
        assert_eq!((again.text(), again.header("Set-Cookie")), (first.text(), None));
    }
    let stranger = served.ask("GET / HTTP/1.1\r\nHost: a\r\nCookie: at=0000000000000000\r\n\r\n");
    assert!(stranger.header("Set-Cookie").is_some());
}

#[test]
fn requests_of_one_key_go_to_one_endpoint() {
    let origins = origins();
    let endpoints = origins.each_ref().map(|origin| url(origin.addr()));
    let served = Served::start(move |tools| {
        let balance = BalanceConfig { algorithm: Algorithm::ConsistentHash, ..BalanceConfig::default() };
        let backend = tools.backend_with(
            &endpoints,
            |config| config.balance = balance,
            |backend| backend.key = Key::Field(FieldName::parse("X-Tenant").unwrap()),
        );
        site(vec![to("*", &backend)])
    });
    let mut client = served.connect();
    let mut all = HashSet::new();
    for tenant in 0..20 {
        let mut of_one = HashSet::new();
        for _ in 0..3 {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Tenant: {tenant}\r\n\r\n"));
            of_one.insert(client.read_response().text());
        }
        assert_eq!(of_one.len(), 1, "tenant {tenant}");
        all.extend(of_one);
    }
    assert_eq!(all.len(), 3);
}

#[test]
fn requests_are_spread_over_all_endpoints() {
    let origins = origins();
    let served = Served::before(&origins.each_ref());
    let mut client = served.connect();
    for _ in 0..60 {
        client.send(get("/")).read_response();
    }
    for origin in &origins {
        assert!(!origin.requests().is_empty());
        assert_eq!(origin.connections(), 1);
    }
}
