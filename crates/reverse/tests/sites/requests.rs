//! Routes, edits, limits and answers of our own.

use super::{Served, route, site, sites, to, url};
use shoalway_http::loops::pseudonym;
use shoalway_net::acme_challenges::AcmeChallenges;
use shoalway_policy::{Cidr, Rate, RateTable};
use shoalway_reverse::routes::{
    FieldEdit, FieldName, FieldTest, FixedAnswer, HostPolicy, MethodSet, Redirect, RedirectStatus, Rewrite,
    Route, Test, Then, ToUpstream,
};
use shoalway_reverse::site_plan::SiteSettings;
use shoalway_testkit::{Origin, Reply};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

fn fixed(path: &str, text: &str) -> Route {
    route(path, Then::Answer(Arc::new(FixedAnswer::new(200, "text/plain", text))))
}

fn redirect(path: &str, target: &str, status: RedirectStatus) -> Route {
    route(path, Then::Redirect(Redirect::parse(target, status).unwrap()))
}

#[test]
fn the_first_route_that_fits_counts() {
    let served = Served::start(|_tools| {
        let mut posts = fixed("/a/*", "post");
        posts.when.methods = Some(MethodSet::of(["POST"]));
        let mut beta = fixed("/a/*", "beta");
        let name = FieldName::parse("X-Stage").unwrap();
        beta.when.fields = vec![FieldTest { name, test: Test::Is("beta".into()) }];
        let mut only = fixed("/only/*", "only");
        only.allow = Some(MethodSet::of(["GET"]));
        let routes = vec![
            posts,
            beta,
            fixed("/a/b", "exact"),
            fixed("/a/*", "prefix"),
            fixed("*.php", "suffix"),
            only,
            redirect("/old/*", "/new/", RedirectStatus::Permanent),
            redirect("/away/*", "https://b.example/$1", RedirectStatus::Found),
        ];
        sites(vec![("a.example", routes), ("*.b.example", vec![fixed("*", "below b")])])
    });
    let mut client = served.connect();
    for (line, fields, status, wanted) in [
        ("GET /a/b", "", 200, "exact"),
        ("GET /a/b?c=d", "", 200, "exact"),
        ("GET /a", "", 200, "prefix"),
        ("GET /a/x/../b", "", 200, "exact"),
        ("GET /%61/%62", "", 200, "exact"),
        ("GET //a//c", "", 200, "prefix"),
        ("POST /a/b", "Content-Length: 0\r\n", 200, "post"),
        ("GET /a/b", "x-stage: beta\r\n", 200, "beta"),
        ("GET /a/b", "x-stage: gamma\r\n", 200, "exact"),
        ("GET /x/y.php", "", 200, "suffix"),
        ("GET /other", "", 404, ""),
        ("GET /only/x", "", 200, "only"),
        ("HEAD /only/x", "", 200, ""),
        ("DELETE /only/x", "", 405, ""),
        ("GET /a%2f..%2fadmin", "", 400, ""),
        ("GET /a/%00", "", 400, ""),
        ("OPTIONS *", "", 204, ""),
        ("GET http://a.example/a/b", "", 200, "exact"),
        ("GET http://x.b.example/a/b", "Host: x.b.example\r\n", 200, "below b"),
        ("GET /a/b", "Host: X.y.b.example:8080\r\n", 200, "below b"),
        ("GET /a/b", "Host: c.example\r\n", 421, ""),
        ("GET /a/b", "Host: b.example\r\n", 421, ""),
    ] {
        let host = if fields.contains("Host:") { "" } else { "Host: a.example\r\n" };
        client.send(format!("{line} HTTP/1.1\r\n{host}{fields}\r\n"));
        let answer = client.read_response_to(line.split(' ').next().unwrap());
        assert_eq!(answer.status, status, "{line} {fields}{}", answer.head);
        if status == 200 {
            assert_eq!(answer.text(), wanted, "{line} {fields}");
        } else if status >= 400 {
            assert!(
                answer.header("Proxy-Status").unwrap().starts_with("shoalway; error="),
                "{}",
                answer.head
            );
        }
    }
    assert_eq!(
        served.ask("DELETE /only/x HTTP/1.1\r\nHost: a.example\r\n\r\n").header("Allow"),
        Some("GET, HEAD")
    );
    let moved = served.get("/old/a/b?c=d");
    assert_eq!((moved.status, moved.header("Location")), (308, Some("/new/a/b?c=d")));
    let away = served.get("/away/a\u{e9}");
    assert_eq!((away.status, away.header("Location")), (302, Some("https://b.example/a%C3%A9")));
    let connect = served.ask("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
    assert_eq!(connect.status, 405);
}

#[test]
fn an_upstream_is_told_who_asks_and_gets_what_the_route_says() {
    let origin =
        Origin::start(Reply::ok("x").with("X-Powered-By: secret").with("Connection: X-Hop").with("X-Hop: 1"));
    let endpoint = url(origin.addr());
    let served = Served::start(move |tools| {
        let backend = tools.backend(std::slice::from_ref(&endpoint));
        let mut plain = to("/plain", &backend);
        let name = |text| FieldName::parse(text).unwrap();
        plain.response =
            vec![FieldEdit::Remove(name("x-powered-by")), FieldEdit::Set(name("Server"), "s".into())];
        let edited = ToUpstream {
            rewrite: Rewrite::Strip(b"/api".as_slice().into()),
            host: HostPolicy::Set("inner.example".into()),
            ..ToUpstream::new(Arc::clone(&backend))
        };
        let mut api = route("/api/*", Then::Upstream(Arc::new(edited)));
        api.request = vec![FieldEdit::Set(name("X-Tenant"), "7".into()), FieldEdit::Remove(name("cookie"))];
        site(vec![plain, api, to("*", &backend)])
    });
    let mut client = served.connect();
    let told = format!(
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\n\
         Forwarded: for=127.0.0.1;host=\"a.example\";proto=http\r\nVia: 1.1 {}\r\n",
        pseudonym()
    );
    client.send(
        "GET /plain HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\
         Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\r\n",
    );
    let answer = client.read_response();
    assert_eq!(origin.only_request().head, format!("GET /plain HTTP/1.1\r\nHost: a.example\r\n{told}\r\n"));
    let via = format!("1.1 {}", pseudonym());
    let fields = ["Via", "Server", "X-Powered-By", "X-Hop"].map(|name| answer.header(name));
    assert_eq!(fields, [Some(via.as_str()), Some("s"), None, None]);
    client
        .send("GET /api/a?b HTTP/1.1\r\nHost: a.example\r\nX-Tenant: 8\r\nCookie: c\r\n\r\n")
        .read_response();
    let second = origin.wait_for_requests(2).remove(1);
    assert_eq!(second.head, format!("GET /a?b HTTP/1.1\r\nHost: inner.example\r\n{told}X-Tenant: 7\r\n\r\n"));
    client.send("GET /x/./y/../z?q=../ HTTP/1.1\r\nHost: a.example\r\n\r\n").read_response();
    assert_eq!(origin.wait_for_requests(3)[2].target(), "/x/z?q=../");
    client.send("GET /x//%41 HTTP/1.0\r\n\r\n").read_response();
    let old = origin.wait_for_requests(4).remove(3);
    assert_eq!((old.target(), old.header("Host")), ("/x//%41", Some(origin.addr().to_string().as_str())));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_trusted_proxy_says_whom_it_speaks_for() {
    let origin = Origin::start(Reply::ok("x"));
    let endpoint = url(origin.addr());
    let served = Served::start(move |tools| {
        let mut settings = site(vec![to("*", &tools.backend(std::slice::from_ref(&endpoint)))]);
        settings.trusted.networks = [Cidr::parse("127.0.0.0/8").unwrap()].into_iter().collect();
        settings
    });
    let fields = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n";
    served.ask(&format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n"));
    let seen = origin.only_request();
    assert_eq!(seen.header("X-Forwarded-For"), Some("192.0.2.9, 127.0.0.1"));
    assert_eq!(seen.header("X-Forwarded-Proto"), Some("https"));
}

#[test]
fn content_over_the_limit_of_its_route_is_a_413_announced_or_not() {
    let origin = Origin::start(Reply::echo());
    let endpoint = url(origin.addr());
    let served = Served::start(move |tools| {
        let backend = tools.backend(std::slice::from_ref(&endpoint));
        let mut small = to("/small", &backend);
        small.max_content = 5;
        site(vec![small, to("*", &backend)])
    });
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for (target, rest, status) in [
        ("/small", "Content-Length: 5\r\n\r\nhello".to_owned(), 200),
        ("/small", "Content-Length: 6\r\n\r\n".into(), 413),
        ("/small", format!("{chunked}5\r\nhello\r\n0\r\n\r\n"), 200),
        ("/small", format!("{chunked}3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n"), 413),
        ("/large", format!("{chunked}6\r\nhello!\r\n0\r\n\r\n"), 200),
    ] {
        let answer = served.ask(&format!("POST {target} HTTP/1.1\r\nHost: a.example\r\n{rest}"));
        assert_eq!(answer.status, status, "{target} {rest}");
    }
    // The one that was refused in the middle never became a whole request.
    let whole = origin.requests().iter().filter(|seen| seen.complete).count();
    assert_eq!(whole, 3);
}

#[test]
fn a_network_that_asks_too_often_is_told_when_to_come_again() {
    let served = Served::start(|_tools| {
        let mut route = fixed("*", "x");
        let two = NonZeroU32::new(2).unwrap();
        let rate = Rate::new(two, Duration::from_secs(3_600), two);
        route.rate = Some(Arc::new(RateTable::new(rate, 100)));
        site(vec![route])
    });
    let mut client = served.connect();
    for status in [200, 200, 429] {
        let answer = client.send(super::get("/")).read_response();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("Retry-After").is_some(), status == 429);
    }
}

#[test]
fn an_authority_is_answered_before_hosts_routes_and_rates_and_nobody_else() {
    let challenges = AcmeChallenges::new();
    challenges.put_token("abc", "abc.thumb");
    let served = Served::start(move |_tools| SiteSettings {
        challenges: Some(challenges),
        ..sites(vec![("a.example", vec![redirect("*", "https://a.example/", RedirectStatus::Permanent)])])
    });
    let asked = "/.well-known/acme-challenge/abc";
    for (line, host, wanted) in [
        (format!("GET {asked}"), "a.example", (200, "abc.thumb")),
        (format!("GET {asked}?x=1"), "a.example", (200, "abc.thumb")),
        (format!("GET {asked}"), "unknown.example", (200, "abc.thumb")),
        (format!("GET http://a.example{asked}"), "a.example", (200, "abc.thumb")),
        (format!("GET {asked}d"), "a.example", (308, "")),
        (format!("POST {asked}"), "a.example", (308, "")),
        ("GET /".to_owned(), "a.example", (308, "")),
    ] {
        let answer = served.ask(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!((answer.status, answer.text().as_str()), wanted, "{line} {host}");
        let kind = (answer.status == 200).then_some("application/octet-stream");
        assert_eq!(answer.header("Content-Type"), kind, "{line} {host}");
    }
}

#[test]
fn a_fixed_text_leaves_in_the_coding_that_the_client_takes() {
    let text = "hello ".repeat(500);
    let served = Served::start(move |_tools| {
        let fixed = FixedAnswer::new(200, "text/plain", text.clone()).compressed();
        site(vec![route("*", Then::Answer(Arc::new(fixed)))])
    });
    for (accept, coding) in [("gzip", Some("gzip")), ("br;q=0.5", Some("br")), ("deflate", None)] {
        let answer = served.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n"));
        assert_eq!(answer.header("Content-Encoding"), coding, "{accept}");
        assert_eq!(answer.header("Vary"), Some("Accept-Encoding"));
        assert_eq!(answer.body.len() == 3_000, coding.is_none());
    }
}

#[test]
fn a_request_that_was_here_before_is_a_loop() {
    let served = Served::start(|_tools| site(vec![fixed("*", "x")]));
    let answer = served.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 {}\r\n\r\n", pseudonym()));
    answer.assert_refused(502, "proxy_loop_detected");
}

#[test]
fn a_websocket_passes_unless_the_route_says_no() {
    let origin = Origin::answering(|seen| {
        if seen.header("Upgrade").is_some() { Reply::upgrade() } else { Reply::ok("plain") }
    });
    let endpoint = url(origin.addr());
    let served = Served::start(move |tools| {
        let backend = tools.backend(std::slice::from_ref(&endpoint));
        let closed = ToUpstream { upgrade: false, ..ToUpstream::new(Arc::clone(&backend)) };
        site(vec![route("/closed", Then::Upstream(Arc::new(closed))), to("*", &backend)])
    });
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut client = served.connect();
    client.send(format!("GET /ws HTTP/1.1\r\nHost: a.example\r\n{upgrade}\r\n"));
    assert_eq!(client.read_response().status, 101);
    client.send("frames").expect("frames");
    let refused = served.ask(&format!("GET /closed HTTP/1.1\r\nHost: a.example\r\n{upgrade}\r\n"));
    assert_eq!((refused.status, refused.text().as_str()), (200, "plain"));
}
