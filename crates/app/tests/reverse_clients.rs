//! Sites under real clients: h2load's many requests at once, OpenSSL's handshakes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test reads best so")]

use shoalway_testkit::ca::Issued;
use shoalway_testkit::real::{Ran, h2load, s_client};
use shoalway_testkit::{Origin, Proxy, Reply, TestCa};
use std::net::SocketAddr;
use std::path::Path;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A site of this name with TLS, and one for every name without.
fn config(host: &str, issued: &Issued, origin: &Origin) -> String {
    let (cert, key, to) = (issued.cert.display(), issued.key.display(), origin.addr());
    format!(
        "[sites.\"{host}\"]\nlisten = \"127.0.0.1:0\"\ntls = {{ cert = \"{cert}\", key = \"{key}\" }}\n\
         to = \"http://{to}\"\n"
    )
}

fn reverse(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").config(config).start()
}

#[test]
fn h2load_loses_no_request_whichever_way_it_comes() {
    let (origin, ca) = (Origin::start(Reply::sized(1_000)), TestCa::new());
    let plain = format!("[sites.\"*\"]\nlisten = \"127.0.0.2:0\"\nto = \"http://{}\"\n", origin.addr());
    let proxy = reverse(&(config("app.test", &ca.issue(&["app.test"]), &origin) + &plain));
    let (tls, plain) = (proxy.listening("sites.app.test"), proxy.listening("sites.*"));
    let (to_tls, to_plain) = (format!("--connect-to={tls}"), format!("--connect-to={plain}"));
    let (https, http) = ("https://app.test/x?n=1", "http://app.test/x?n=1");
    for (words, protocol) in [
        ([&to_tls, https, "-c8", "-m32"], "h2"),
        ([&to_tls, https, "-c8", "--h1"], "http/1.1"),
        ([&to_plain, http, "-c8", "-m32"], "h2c"),
        ([&to_plain, http, "-c8", "--h1"], "http/1.1"),
    ] {
        let ran = h2load(3_000, &words);
        assert!(ran.text().contains(&format!("Application protocol: {protocol}\n")), "{ran}");
    }
    assert_eq!(origin.requests().len(), 12_000);
    assert!(origin.requests().iter().all(|seen| seen.target() == "/x?n=1"));
}

#[test]
fn h2load_uploads_and_gets_each_back() {
    let (origin, ca) = (Origin::start(Reply::echo()), TestCa::new());
    let proxy = reverse(&config("app.test", &ca.issue(&["app.test"]), &origin));
    let upload = proxy.dir().write("upload", vec![b'u'; 40_000]).display().to_string();
    let to = format!("--connect-to={}", proxy.listening("sites.app.test"));
    let ran = h2load(200, &[&to, "-d", &upload, "-c4", "-m8", "https://app.test/"]);
    assert!(ran.text().contains("(8000000) data"), "{ran}");
    assert!(origin.requests().iter().all(|seen| seen.body.len() == 40_000));
}

/// A handshake with this authority and these words, and one request.
fn shake(ca: &TestCa, addr: SocketAddr, host: &str, words: &[&str]) -> Ran {
    let file = ca.file().display().to_string();
    let all = ["-CAfile", &file, "-verify_return_error", "-verify_hostname", host, "-servername", host];
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    s_client(addr, &[&all[..], words].concat(), request.as_bytes())
}

#[test]
fn openssl_is_shown_the_certificate_of_the_name_it_asks_for() {
    let (ca, origin) = (TestCa::new(), Origin::start(Reply::ok("inside")));
    let (one, two) = (ca.issue(&["one.test"]), ca.issue(&["*.two.test"]));
    let proxy = reverse(&(config("one.test", &one, &origin) + &config("*.two.test", &two, &origin)));
    let addr = proxy.listening("sites.one.test");
    for host in ["one.test", "a.two.test", "b.two.test"] {
        for version in ["-tls1_2", "-tls1_3"] {
            let ran = shake(&ca, addr, host, &[version]);
            assert!(ran.text().contains("Verify return code: 0 (ok)"), "{host} {version}: {ran}");
            assert!(ran.text().contains("inside"), "{host} {version}: {ran}");
        }
    }
    let stranger = shake(&ca, addr, "else.test", &[]);
    assert_ne!(stranger.code, Some(0), "no certificate is for that name: {stranger}");
    assert_ne!(shake(&ca, addr, "one.test", &["-tls1_1"]).code, Some(0));
}

#[test]
fn openssl_and_a_site_agree_on_a_protocol_or_on_none() {
    let (ca, origin) = (TestCa::new(), Origin::start(Reply::ok("inside")));
    let proxy = reverse(&config("one.test", &ca.issue(&["one.test"]), &origin));
    let addr = proxy.listening("sites.one.test");
    let file = ca.file().display().to_string();
    // The protocol is what counts here, so nothing is said in it: the preface of HTTP/2 alone.
    for (offer, agreed) in [
        (&["-alpn", "http/1.1"][..], "ALPN protocol: http/1.1"),
        (&["-alpn", "http/1.1,h2"], "ALPN protocol: h2"),
        (&["-alpn", "odd,h2"], "ALPN protocol: h2"),
        (&[], "No ALPN negotiated"),
    ] {
        let words = [&["-CAfile", &file, "-servername", "one.test"][..], offer].concat();
        let ran = s_client(addr, &words, b"nonsense\r\n\r\n");
        assert!(ran.text().contains(agreed), "{offer:?}: {ran}");
    }
    // RFC 7301 section 3.2: no protocol in common ends the handshake.
    let ran = shake(&ca, addr, "one.test", &["-alpn", "odd"]);
    assert!(ran.stderr.contains("no application protocol"), "{ran}");
}

#[test]
fn openssl_resumes_a_session_by_its_ticket_also_after_a_reload() {
    let (ca, origin) = (TestCa::new(), Origin::start(Reply::ok("inside")));
    let site = config("one.test", &ca.issue(&["one.test"]), &origin);
    let proxy = reverse(&site);
    let addr = proxy.listening("sites.one.test");
    let text = |path: &Path| path.display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = text(&proxy.dir().join("session.pem"));
        let first = shake(&ca, addr, "one.test", &[version, "-sess_out", &session]);
        assert!(first.text().contains("New, TLSv1."), "{version}: {first}");
        for again in ["at once", "after a reload"] {
            let resumed = shake(&ca, addr, "one.test", &[version, "-sess_in", &session]);
            let reused = resumed.text().contains("Reused, TLSv1.") && resumed.text().contains("inside");
            assert!(reused, "{version} {again}: {resumed}");
            proxy.write_config(&format!("{site}routes = [\"/more => answer:200\"]\n"));
            proxy.reload().unwrap();
        }
    }
}
