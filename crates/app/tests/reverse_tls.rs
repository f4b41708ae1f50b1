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
use shoalway_testkit::{Origin, Proxy, RawClient, Reply, TestCa, eventually, secs};
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
