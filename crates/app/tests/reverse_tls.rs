//! TLS of sites, as a whole program: certificates by name, HTTP/2, client certificates, files that change, upstreams.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so"
)]

use shoalway_testkit::ca::Issued;
use shoalway_testkit::real::{Curled, curl};
use shoalway_testkit::{Origin, Proxy, RawClient, Reply, TcpEcho, TestCa, eventually, secs};
use std::net::SocketAddr;
use std::path::Path;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A reverse proxy with this configuration and no forward proxy.
fn reverse(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").config(config).start()
}

fn site(host: &str, issued: &Issued, lines: &str) -> String {
    let (cert, key) = (issued.cert.display(), issued.key.display());
    format!(
        "[sites.\"{host}\"]\nlisten = \"127.0.0.1:0\"\ntls = {{ cert = \"{cert}\", key = \"{key}\" }}\n{lines}\n"
    )
}

fn to(origin: &Origin) -> String {
    format!("to = \"http://{}\"", origin.addr())
}

/// Curl with this authority, asking `https://HOST/` at an address.
fn ask(ca: &TestCa, host: &str, addr: SocketAddr, words: &[&str]) -> Curled {
    let (file, resolve) = (ca.file(), format!("{host}:{}:{}", addr.port(), addr.ip()));
    let url = format!("https://{host}:{}/", addr.port());
    let file = file.display().to_string();
    curl(&[&["--cacert", &file, "--resolve", &resolve], words, &[&url]].concat())
}

#[test]
fn each_name_has_its_certificate_and_both_versions_are_spoken() {
    let ca = TestCa::new();
    let (one, two) = (ca.issue(&["one.test"]), ca.issue(&["*.two.test"]));
    let (first, second) = (Origin::start(Reply::ok("one")), Origin::start(Reply::ok("two")));
    let config = format!("{}{}", site("one.test", &one, &to(&first)), site("*.two.test", &two, &to(&second)));
    let proxy = reverse(&config);
    let addr = proxy.listening("sites.one.test");
    for (host, body) in [("one.test", "one"), ("a.two.test", "two")] {
        for version in ["--http1.1", "--http2"] {
            ask(&ca, host, addr, &[version]).assert_got(200, body);
        }
    }
    let asked = ask(&ca, "one.test", addr, &["--http2", "-i"]);
    assert!(asked.ran.text().starts_with("HTTP/2 200"), "{}", asked.ran);
    let stranger = ask(&ca, "else.test", addr, &[]);
    assert_ne!(stranger.ran.code, Some(0), "no certificate is for that name");
}

#[test]
fn a_client_without_a_certificate_is_not_let_in() {
    let (ca, clients) = (TestCa::new(), TestCa::new());
    let (server, client) = (ca.issue(&["app.test"]), clients.issue(&["client.test"]));
    let origin = Origin::start(Reply::ok("inside"));
    let tls = site("app.test", &server, &to(&origin));
    let with_ca = format!(", client_ca = \"{}\" }}\nto", clients.file().display());
    let proxy = reverse(&tls.replacen(" }\nto", &with_ca, 1));
    let addr = proxy.listening("sites.app.test");
    let file = |path: &Path| path.display().to_string();
    ask(&ca, "app.test", addr, &["--cert", &file(&client.cert), "--key", &file(&client.key)])
        .assert_got(200, "inside");
    let other = ca.issue(&["client.test"]);
    for words in [&[][..], &["--cert", &file(&other.cert), "--key", &file(&other.key)]] {
        let asked = ask(&ca, "app.test", addr, words);
        assert_eq!((asked.http_code, asked.ran.code == Some(0)), (0, false), "{}", asked.ran);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_certificate_that_is_replaced_on_disk_is_shown_without_a_reload() {
    let (old, new) = (TestCa::new(), TestCa::new());
    let (first, second) = (old.issue(&["app.test"]), new.issue(&["app.test"]));
    let origin = Origin::start(Reply::ok("x"));
    let config = site("app.test", &first, &to(&origin));
    let proxy = reverse(&config);
    let addr = proxy.listening("sites.app.test");
    ask(&old, "app.test", addr, &[]).assert_got(200, "x");
    // A certificate without its key changes nothing.
    std::fs::copy(&second.cert, &first.cert).unwrap();
    proxy.wait_for_stderr("cannot be used");
    ask(&old, "app.test", addr, &[]).assert_got(200, "x");
    std::fs::copy(&second.key, &first.key).unwrap();
    eventually(secs(15), "the new certificate", || {
        (ask(&new, "app.test", addr, &[]).http_code == 200).then_some(())
    });
    assert_ne!(ask(&old, "app.test", addr, &[]).ran.code, Some(0));
}

#[test]
fn upstreams_inside_tls_are_checked_by_name_and_authority() {
    let (ca, inner) = (TestCa::new(), TestCa::new());
    let server = ca.issue(&["app.test"]);
    let origin = Origin::tls(&inner.issue(&["inner.test"]), Reply::ok("inner"));
    let lines = |sni: &str, ca: &TestCa| {
        format!(
            "to = \"https://{}\"\nupstream = {{ ca = \"{}\", sni = \"{sni}\" }}",
            origin.addr(),
            ca.file().display()
        )
    };
    let proxy = reverse(&site("app.test", &server, &lines("inner.test", &inner)));
    let addr = proxy.listening("sites.app.test");
    ask(&ca, "app.test", addr, &[]).assert_got(200, "inner");
    for (sni, authority) in [("other.test", &inner), ("inner.test", &ca)] {
        proxy.write_config(&site("app.test", &server, &lines(sni, authority)));
        proxy.reload().unwrap();
        let asked = ask(&ca, "app.test", addr, &[]);
        assert_eq!(asked.http_code, 502, "{sni}: {}", asked.ran);
    }
}

#[test]
fn plain_http_on_a_tls_site_is_no_http() {
    let ca = TestCa::new();
    let server = ca.issue(&["app.test"]);
    let origin = Origin::start(Reply::ok("x"));
    let proxy = reverse(&site("app.test", &server, &to(&origin)));
    let mut client = RawClient::connect(proxy.listening("sites.app.test"));
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    client.expect_end_within(secs(5));
    assert!(origin.requests().is_empty());
}

#[test]
fn a_site_with_and_one_without_tls_cannot_share_an_address() {
    let ca = TestCa::new();
    let server = ca.issue(&["app.test"]);
    let origin = Origin::start(Reply::ok("x"));
    let tls = site("app.test", &server, &to(&origin));
    let proxy = reverse(&tls);
    proxy.write_config(&format!("{tls}[sites.b]\nlisten = \"127.0.0.1:0\"\n{}\n", to(&origin)));
    let refused = proxy.reload().unwrap_err();
    assert_eq!(refused["problems"][0]["code"], "C050", "{refused}");
    ask(&ca, "app.test", proxy.listening("sites.app.test"), &[]).assert_got(200, "x");
}

/// The example file with addresses of this machine in place of those that nobody has.
fn example(ca: &TestCa, origin: &Origin, echo: &TcpEcho) -> String {
    let (app, wild) = (ca.issue(&["app.example.org"]), ca.issue(&["*.example.org"]));
    let mut text = include_str!("../../../examples/reverse.toml").to_owned();
    let here = |path: &Path| path.display().to_string();
    for (from, to) in [
        ("0.0.0.0:8080", "127.0.0.2:0".to_owned()),
        ("0.0.0.0:8443", "127.0.0.1:0".to_owned()),
        ("0.0.0.0:5432", "127.0.0.3:0".to_owned()),
        ("0.0.0.0:9443", "127.0.0.4:0".to_owned()),
        ("0.0.0.0:5353", "127.0.0.5:0".to_owned()),
        ("h2c://192.0.2.21:9000", format!("http://{}", origin.addr())),
        ("192.0.2.11:8080", origin.addr().to_string()),
        ("192.0.2.31:5432", echo.addr().to_string()),
        ("app.pem", here(&app.cert)),
        ("app.key", here(&app.key)),
        ("wild.pem", here(&wild.cert)),
        ("wild.key", here(&wild.key)),
        ("inner-ca.pem", here(&ca.file())),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, &to);
    }
    text
}

#[test]
fn the_example_does_what_it_says() {
    let (ca, origin, echo) = (TestCa::new(), Origin::start(Reply::ok("app")), TcpEcho::start());
    let proxy = reverse(&example(&ca, &origin, &echo));
    let addr = proxy.listening("sites.app.example.org");
    let at = |path: &str| {
        let resolve = format!("app.example.org:{}:127.0.0.1", addr.port());
        let url = format!("https://app.example.org:{}{path}", addr.port());
        let file = ca.file().display().to_string();
        curl(&["-i", "--cacert", &file, "--resolve", &resolve, &url])
    };
    assert_eq!(at("/api/things").http_code, 200);
    let seen = origin.requests();
    assert!(seen.iter().any(|request| request.target() == "/things"));
    assert!(at("/robots.txt").ran.text().ends_with("nothing here is for robots\n"));
    let moved = at("/old/page");
    assert_eq!(moved.http_code, 308);
    assert!(moved.ran.text().to_ascii_lowercase().contains("location: /new/page"), "{}", moved.ran);
    let plain = curl(&["-i", &format!("http://{}/page", proxy.listening("sites.*"))]);
    let location = "location: https://app.example.org/page";
    assert!(plain.ran.text().to_ascii_lowercase().contains(location), "{}", plain.ran);
    let mut database = RawClient::connect(proxy.listening("streams.database"));
    let header = database.read_exactly(12);
    assert_eq!(header, b"\r\n\r\n\0\r\nQUIT\n", "the echo gives the PROXY header back");
    assert_eq!(proxy.status_json()["upstreams"].as_array().map(Vec::len), Some(8));
}
