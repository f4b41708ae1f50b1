//! TLS by name, the PROXY header, HTTP/2.

use super::{Served, get, route, site, sites, to, url};
use shoalway_net::certificates::{Certificate, CertificateStore};
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::{TlsClient, TlsClientConfig};
use shoalway_net::tls_server::TlsServer;
use shoalway_policy::Cidr;
use shoalway_reverse::routes::{FixedAnswer, Then};
use shoalway_reverse::site_plan::SiteSettings;
use shoalway_testkit::real::curl;
use shoalway_testkit::{Origin, RawClient, Reply, TestCa};
use std::sync::Arc;
use std::time::Duration;

fn says(text: &str) -> shoalway_reverse::routes::Route {
    route("*", Then::Answer(Arc::new(FixedAnswer::new(200, "text/plain", text))))
}

fn certificate(ca: &TestCa, names: &[&str]) -> Certificate {
    let issued = ca.issue(names);
    let read = |path| std::fs::read(path).unwrap();
    Certificate::from_pem(&read(&issued.cert), &read(&issued.key), None).unwrap()
}

#[test]
fn each_site_shows_its_own_certificate() {
    let ca = TestCa::new();
    let store =
        CertificateStore::new(&[certificate(&ca, &["a.example"]), certificate(&ca, &["*.b.example"])]);
    let tls = TlsServer::with_store(store, None, &[b"h2", b"http/1.1"]).unwrap();
    let served = Served::start(move |_tools| SiteSettings {
        tls: Some(tls),
        ..sites(vec![("a.example", vec![says("a")]), ("x.b.example", vec![says("b")])])
    });
    for (name, wanted) in [("a.example", "a"), ("x.b.example", "b")] {
        let mut client = served.connect().start_tls(&ca, name);
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        assert_eq!(client.read_response().text(), wanted);
    }
}

#[test]
fn an_endpoint_behind_tls_is_checked() {
    let ca = TestCa::new();
    let origin = Origin::tls(&ca.issue(&["127.0.0.1"]), Reply::ok("safe"));
    let stranger = Origin::tls(&TestCa::new().issue(&["127.0.0.1"]), Reply::ok("safe"));
    let roots = Roots::Pem(std::fs::read(ca.file()).unwrap());
    let tls = TlsClient::new(&TlsClientConfig { roots, ..TlsClientConfig::default() }).unwrap();
    let (good, bad) = (origin.url(""), stranger.url(""));
    let served = Served::start(move |tools| {
        let backend = |endpoint: String, name: &str| {
            let name = name.to_owned();
            tools.backend_with(
                &[endpoint],
                |config| config.name = name.into(),
                |backend| backend.tls = Some(tls.clone()),
            )
        };
        site(vec![to("/good", &backend(good, "good")), to("/bad", &backend(bad, "bad"))])
    });
    assert_eq!(served.get("/good").text(), "safe");
    served.get("/bad").assert_refused(502, "tls_certificate_error");
}

fn behind_a_proxy(origin: &Origin, from: &'static str) -> Served {
    let endpoint = url(origin.addr());
    Served::start(move |tools| {
        let senders = [Cidr::parse(from).unwrap()].into_iter().collect();
        let backend = tools.backend(std::slice::from_ref(&endpoint));
        SiteSettings { proxy_protocol: Some(senders), ..site(vec![to("*", &backend)]) }
    })
}

#[test]
fn a_proxy_header_says_who_the_client_is() {
    let origin = Origin::start(Reply::ok("x"));
    let served = behind_a_proxy(&origin, "127.0.0.0/8");
    let v1 = b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 80\r\n".to_vec();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([192, 0, 2, 8, 192, 0, 2, 1, 4, 210, 0, 80]);
    for (n, (header, client)) in
        [(v1, "192.0.2.9"), (v2, "192.0.2.8"), (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1")]
            .into_iter()
            .enumerate()
    {
        let mut whole = served.connect();
        assert_eq!(whole.send([&header[..], get("/").as_bytes()].concat()).read_response().status, 200);
        let mut cut = served.connect();
        cut.one_byte_at_a_time(&header);
        assert_eq!(cut.send(get("/")).read_response().status, 200);
        for seen in &origin.wait_for_requests(2 * n + 2)[2 * n..] {
            assert_eq!(seen.header("X-Forwarded-For"), Some(client));
        }
    }
}

#[test]
fn without_the_header_or_the_right_to_it_nobody_is_let_in() {
    let origin = Origin::start(Reply::ok("x"));
    let served = behind_a_proxy(&origin, "127.0.0.0/8");
    let mut client = served.connect();
    client.send(get("/")).expect_closed_within(Duration::from_secs(20));
    let strict = behind_a_proxy(&origin, "192.0.2.0/24");
    let mut client = strict.connect();
    client.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 80\r\n").expect_closed_within(Duration::from_secs(20));
    assert!(origin.requests().is_empty());
}

/// Reads one frame: its type and payload.
fn frame(client: &mut RawClient) -> (u8, Vec<u8>) {
    let head = client.read_exactly(9);
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    (head[3], client.read_exactly(length))
}

#[test]
fn http_2_is_spoken_with_prior_knowledge_and_each_stream_finds_its_route() {
    let origin = Origin::start(Reply::ok("from the origin"));
    let endpoint = url(origin.addr());
    let served =
        Served::start(move |tools| site(vec![to("*", &tools.backend(std::slice::from_ref(&endpoint)))]));
    let mut client = served.connect();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // GET, http, authority "a", path "/": RFC 7541 appendix A.
    client.send(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x41\x01a\x84");
    let data = loop {
        let (kind, payload) = frame(&mut client);
        if kind == 0 && !payload.is_empty() {
            break payload;
        }
    };
    assert_eq!(data, b"from the origin");
    let seen = origin.only_request();
    assert_eq!(
        (seen.target(), seen.header("Host"), seen.header("X-Forwarded-Host")),
        ("/", Some("a"), Some("a"))
    );
}

#[test]
fn an_endpoint_that_speaks_http_2_is_spoken_to_in_it() {
    let inner = Served::start(|_tools| site(vec![says("over HTTP/2")]));
    let endpoint = format!("h2c://{}", inner.addr);
    let outer =
        Served::start(move |tools| site(vec![to("*", &tools.backend(std::slice::from_ref(&endpoint)))]));
    let mut client = outer.connect();
    for _ in 0..3 {
        let answer = client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").read_response();
        // Both are this very process, so the inner one would see a loop if it looked at Via before its own route.
        assert_eq!(answer.status, 502, "{}", answer.head);
        assert_eq!(answer.proxy_status("error").as_deref(), Some("proxy_loop_detected"));
    }
}

#[test]
fn curl_is_served_over_tls_in_both_versions_with_content_coded_and_large() {
    let ca = TestCa::new();
    let tls = TlsServer::with_store(
        CertificateStore::new(&[certificate(&ca, &["a.example"])]),
        None,
        &[b"h2", b"http/1.1"],
    )
    .unwrap();
    let origin =
        Origin::answering(
            |seen| if seen.method() == "GET" { Reply::sized(3_000_000) } else { Reply::echo() },
        );
    let endpoint = url(origin.addr());
    let text = "hello ".repeat(500);
    let shown = text.clone();
    let served = Served::start(move |tools| {
        let fixed = FixedAnswer::new(200, "text/plain", shown).compressed();
        let fixed = route("/text", Then::Answer(Arc::new(fixed)));
        SiteSettings {
            tls: Some(tls),
            ..site(vec![fixed, to("*", &tools.backend(std::slice::from_ref(&endpoint)))])
        }
    });
    let (port, ca) = (served.addr.port(), ca.file());
    let resolve = format!("a.example:{port}:127.0.0.1");
    let base = format!("https://a.example:{port}");
    let trust = ["--cacert", ca.to_str().unwrap(), "--resolve", &resolve];
    let large: String = (b'a'..=b'z').cycle().take(3_000_000).map(char::from).collect();
    for (version, line) in [("--http2", "HTTP/2 200"), ("--http1.1", "HTTP/1.1 200 OK")] {
        let ask = |words: &[&str], path: &str| {
            curl(&[&trust[..], &[version], words, &[&format!("{base}{path}")]].concat())
        };
        ask(&["--compressed"], "/text").assert_got(200, &text);
        assert!(ask(&["-I"], "/text").ran.text().starts_with(line));
        ask(&[], "/large").assert_got(200, &large);
        ask(&["--data", "hello"], "/echo").assert_got(200, "hello");
        ask(&["-H", "Transfer-Encoding: chunked", "--data", "hello"], "/echo").assert_got(200, "hello");
    }
    let seen = origin.requests();
    assert!(seen.iter().all(|seen| seen.header("X-Forwarded-Proto") == Some("https")));
    assert!(seen.iter().all(|seen| seen.header("Host") == Some(&format!("a.example:{port}"))));
}
