//! Answers of upstreams compressed on their way, as a whole program: real clients, every framing, both versions, ends that
//! are none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so"
)]

use shoalway_testkit::real::curl;
use shoalway_testkit::{Origin, Proxy, RawClient, Reply};
use std::net::SocketAddr;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A site that sends everything to an origin, with this line.
fn site(origin: &Origin, line: &str) -> (Proxy, SocketAddr) {
    let config =
        format!("[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\nto = \"http://{}\"\n{line}\n", origin.addr());
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config(config).start();
    let addr = proxy.listening("sites.*");
    (proxy, addr)
}

fn text() -> String {
    (0..20_000).map(|n| format!("line {} of many\n", n * 7_919 % 1_000)).collect()
}

/// The same text, framed by the path that is asked for.
fn framed() -> Origin {
    Origin::answering(|seen| {
        let whole = text();
        let reply = match seen.target() {
            "/length" => return Reply::ok(whole),
            "/chunked" => {
                let (first, rest) = whole.split_at(100_000);
                Reply::chunked(&[first, rest], &["X-Sum: 1"])
            }
            "/close" => Reply::until_close(&whole),
            other => panic!("{other}"),
        };
        reply.with("Content-Type: text/plain; charset=utf-8")
    })
}

#[test]
fn curl_reads_the_same_text_in_every_coding_framing_and_version() {
    let origin = framed();
    let (_proxy, addr) = site(&origin, "compress = true");
    let whole = text();
    for coding in ["zstd", "br", "gzip", "identity"] {
        for path in ["/length", "/chunked", "/close"] {
            for version in ["--http1.1", "--http2-prior-knowledge", "--http1.0"] {
                let accept = format!("Accept-Encoding: {coding}");
                let head = curl(&[
                    version,
                    "-o",
                    "/dev/null",
                    "-D",
                    "-",
                    "-H",
                    &accept,
                    &format!("http://{addr}{path}"),
                ]);
                let said = head.ran.text().to_ascii_lowercase();
                assert_eq!(
                    said.contains(&format!("content-encoding: {coding}")),
                    coding != "identity",
                    "{said}"
                );
                assert!(said.contains("vary: accept-encoding"), "{said}");
                let got = curl(&[version, "--compressed", "-H", &accept, &format!("http://{addr}{path}")]);
                assert!(got.http_code == 200 && got.ran.text() == whole, "{coding} {path} {version}");
            }
        }
    }
}

#[test]
fn what_is_offered_and_in_which_order_is_the_sites_to_say() {
    let origin = framed();
    for (line, accept, coding) in [
        ("", "gzip, br, zstd", None),
        ("compress = false", "gzip, br, zstd", None),
        ("compress = true", "gzip, br, zstd", Some("zstd")),
        ("compress = [\"br\", \"zstd\"]", "gzip, br, zstd", Some("br")),
        ("compress = { codings = \"gzip\" }", "gzip, br, zstd", Some("gzip")),
        ("compress = [\"br\"]", "gzip", None),
    ] {
        let (_proxy, addr) = site(&origin, line);
        let mut client = RawClient::connect(addr);
        client.send(format!("GET /length HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n"));
        let answer = client.read_response();
        assert_eq!(answer.header("Content-Encoding"), coding, "{line}");
        assert_eq!(answer.header("Content-Length").is_some(), coding.is_none(), "{line}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_made_whole() {
    let part = &text()[..200_000];
    let chunk = format!("{:x}\r\n{part}\r\n", part.len());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    for reply in [
        Reply::raw(format!("{head}Content-Length: 900000\r\n\r\n{part}")).close(),
        Reply::raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).close(),
        Reply::raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}no chunk\r\n")).close(),
    ] {
        let origin = Origin::start(reply);
        let (_proxy, addr) = site(&origin, "compress = true");
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for coding in ["zstd", "br", "gzip"] {
                // Not decoded by curl: its own decoders would notice as well.
                let got =
                    curl(&[version, "-H", &format!("Accept-Encoding: {coding}"), &format!("http://{addr}/")]);
                assert_ne!(got.ran.code, Some(0), "{version} {coding} {}", got.ran);
            }
        }
    }
}

#[test]
fn hints_come_before_and_trailers_after() {
    let body = "x".repeat(5_000);
    let reply = Reply::chunked(&[&body], &["X-Sum: 1"])
        .with("Content-Type: text/plain")
        .after_interim("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    let origin = Origin::start(reply);
    let (_proxy, addr) = site(&origin, "compress = [\"gzip\"]");
    let mut client = RawClient::connect(addr);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    client.expect("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 ");
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    assert!(
        head.contains("Content-Encoding: gzip\r\n") && head.contains("Transfer-Encoding: chunked\r\n"),
        "{head}"
    );
    client.read_until("\r\n0\r\nX-Sum: 1\r\n\r\n");
}

#[test]
fn events_arrive_as_they_are_made_where_they_are_compressed_at_all() {
    // An upstream that has sent one event and is in no hurry to send another.
    let event = "data: 1\n\n";
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let origin = Origin::start(Reply::raw(format!("{head}{:x}\r\n{event}\r\n", event.len())));
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";

    let (_proxy, addr) = site(&origin, "compress = true");
    let mut client = RawClient::connect(addr);
    client.send(ask);
    let plain = String::from_utf8(client.read_until(event)).unwrap();
    assert!(!plain.contains("Content-Encoding"), "{plain}");

    let (_proxy, addr) = site(&origin, "compress = { types = \"text/event-stream\" }");
    let mut client = RawClient::connect(addr);
    client.send(ask);
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
    // The end of a flush: RFC 1951 section 3.2.4, an empty block that is stored.
    client.read_until([0, 0, 0xff, 0xff]);
}

#[test]
fn a_tag_becomes_weak_and_is_still_known_to_the_origin() {
    let origin = Origin::answering(|seen| match seen.header("If-None-Match") {
        Some("W/\"v1\"") => Reply::raw("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n"),
        _ => Reply::ok(text()).with("ETag: \"v1\""),
    });
    let (_proxy, addr) = site(&origin, "compress = true");
    let mut client = RawClient::connect(addr);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n");
    let first = client.read_response();
    assert_eq!((first.status, first.header("ETag")), (200, Some("W/\"v1\"")));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\nIf-None-Match: W/\"v1\"\r\n\r\n");
    let second = client.read_response();
    assert_eq!((second.status, second.header("ETag")), (304, Some("W/\"v1\"")));
}
