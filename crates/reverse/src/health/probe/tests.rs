//! Checks against servers on loopback that answer by script, each on a thread of its own.

#![allow(clippy::disallowed_methods, reason = "tests listen and spawn themselves")]

use super::*;
use crate::stream_plan::ProxyOut;
use crate::upstream::EndpointSpec;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use shoalway_net::dialer::DialConfig;
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::TlsClientConfig;
use shoalway_net::tls_server::TlsServer;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn prober() -> Prober {
    let resolver = Resolver::new(ResolverConfig::default(), tokio::runtime::Handle::current()).unwrap();
    let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
    Prober {
        dialer: Dialer::new(resolver, guard, DialConfig::default()),
        tls: None,
        tls_h2: None,
        sni: None,
        header: ProxyOut::Off,
    }
}

fn key(text: &str) -> EndpointKey {
    EndpointSpec::parse(text, Scheme::Http).unwrap().key
}

fn http(probe: HttpProbe) -> Probe {
    Probe { kind: ProbeKind::Http(probe), port: None }
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut octet).is_ok() {
        head.extend(octet);
    }
    String::from_utf8(head).unwrap()
}

/// Answers one request with these pieces, each written by itself; gives the request.
fn server(pieces: &'static [&'static str]) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let head = read_head(&mut stream);
        for piece in pieces {
            // The checker may have seen enough already.
            drop(stream.write_all(piece.as_bytes()));
        }
        head
    });
    (url, thread)
}

async fn ask(pieces: &'static [&'static str], probe: HttpProbe) -> &'static str {
    let (url, thread) = server(pieces);
    let result = prober().check(&key(&url), &http(probe), PATIENCE).await;
    thread.join().unwrap();
    result.as_ref().map_or_else(ProbeFailure::word, |()| "ok")
}

#[tokio::test]
async fn answers_are_judged_by_status_and_body() {
    let plain = || HttpProbe::new("/healthz").unwrap();
    let body = || plain().with_body("alive");
    let only_204 = || plain().with_expected(StatusSet::of([204]));
    let whole: &[&str] = &["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nalive: 1"];
    for (pieces, probe, wanted) in [
        (whole, plain(), "ok"),
        (whole, body(), "ok"),
        (whole, only_204(), "status"),
        (&["HTTP/1.1 204 No Content\r\n\r\n"], only_204(), "ok"),
        (&["HTTP/1.1 204 No Content\r\n\r\n"], body(), "body"),
        (&["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], plain(), "status"),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\naliv"], body(), "body"),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndying"], body(), "body"),
        (
            &["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "alive"],
            body(),
            "ok",
        ),
        (&["HTTP/1.0 200 OK\r\n\r\n", "al", "ive", " and more"], body(), "ok"),
        (
            &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nal", "\r\n3\r\nive\r\n0\r\n\r\n"],
            body(),
            "ok",
        ),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nal"], body(), "closed"),
        (&["HTTP/1.1 200 OK\r\nContent-Le"], plain(), "closed"),
        (&[], plain(), "closed"),
        (&["SSH-2.0-OpenSSH_9.6\r\n\r\n"], plain(), "nonsense"),
    ] {
        assert_eq!(ask(pieces, probe).await, wanted, "{pieces:?}");
    }
}

#[tokio::test]
async fn an_answer_octet_by_octet_is_the_same_answer() {
    let octets =
        &["H", "T", "T", "P", "/", "1", ".", "1", " ", "2", "0", "0", " ", "\r", "\n", "\r", "\n", "a", "b"];
    assert_eq!(ask(octets, HttpProbe::new("/").unwrap().with_body("ab")).await, "ok");
}

#[tokio::test]
async fn the_request_names_the_host_and_closes() {
    let (url, thread) = server(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let probe = HttpProbe::new("/up?x=1").unwrap().with_host("app.example").unwrap();
    prober().check(&key(&url), &http(probe), PATIENCE).await.unwrap();
    let head = thread.join().unwrap();
    assert!(head.starts_with("GET /up?x=1 HTTP/1.1\r\nHost: app.example\r\n"), "{head}");
    assert!(head.contains("\r\nConnection: close\r\n"));
    let own = HttpProbe::new("/").unwrap();
    for (text, host) in [
        ("http://a.example", "a.example"),
        ("http://a.example:81", "a.example:81"),
        ("https://[::1]:443", "[::1]"),
        ("unix:/run/a.sock", "localhost"),
    ] {
        assert!(own.request(&key(text)).contains(&format!("\r\nHost: {host}\r\n")), "{text}");
    }
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp_and_a_closed_port_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let tcp = Probe { kind: ProbeKind::Tcp, port: None };
    let endpoint = key(&format!("tcp://{addr}"));
    prober().check(&endpoint, &tcp, PATIENCE).await.unwrap();
    let elsewhere = Probe { port: Some(addr.port()), ..tcp.clone() };
    prober().check(&key("tcp://127.0.0.1:1"), &elsewhere, PATIENCE).await.unwrap();
    drop(listener);
    assert_eq!(prober().check(&endpoint, &tcp, PATIENCE).await.unwrap_err().word(), "connection_refused");
}

#[tokio::test]
async fn a_silent_server_fails_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = key(&format!("http://{}", listener.local_addr().unwrap()));
    let probe = http(HttpProbe::new("/").unwrap());
    let error = prober().check(&endpoint, &probe, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.word(), "timeout");
}

#[tokio::test]
async fn a_unix_socket_is_asked_like_any_other() {
    let path = std::env::temp_dir().join(format!("shoalway-probe-{}.sock", std::process::id()));
    drop(std::fs::remove_file(&path));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        head
    });
    let endpoint = key(&format!("unix:{}", path.display()));
    prober().check(&endpoint, &http(HttpProbe::new("/").unwrap()), PATIENCE).await.unwrap();
    assert!(thread.join().unwrap().contains("Host: localhost\r\n"));
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn an_https_endpoint_is_asked_over_tls_and_its_certificate_checked() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["app.example".to_owned()]).unwrap();
    let key_pem = signing_key.serialize_pem();
    let server = TlsServer::from_pem(cert.pem().as_bytes(), key_pem.as_bytes(), None, &[]).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = key(&format!("https://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(mut tls) = server.accept(tcp, Instant::now() + PATIENCE).await {
                let mut head = BytesMut::new();
                while !head.ends_with(b"\r\n\r\n") && tls.read_buf(&mut head).await.is_ok_and(|n| n > 0) {}
                drop(tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await);
                drop(tls.shutdown().await);
            }
        }
    });
    let roots = Roots::Pem(cert.pem().into_bytes());
    let tls = TlsClient::new(&TlsClientConfig { roots, ..TlsClientConfig::default() }).unwrap();
    let probe = http(HttpProbe::new("/").unwrap());
    let named = |sni: Option<&str>| Prober {
        tls_h2: None,
        tls: Some(tls.clone()),
        sni: sni.map(|name| Host::parse(name).unwrap()),
        ..prober()
    };
    named(Some("app.example")).check(&endpoint, &probe, PATIENCE).await.unwrap();
    for (prober, word) in [
        (named(None), "tls_certificate_error"),
        (named(Some("other.example")), "tls_certificate_error"),
        (prober(), "no_tls"),
    ] {
        assert_eq!(prober.check(&endpoint, &probe, PATIENCE).await.unwrap_err().word(), word);
    }
}

#[test]
fn a_probe_that_would_break_its_own_request_is_refused() {
    for path in ["", "healthz", "/a b", "/a\r\nX: y", "/\u{fc}"] {
        assert_eq!(HttpProbe::new(path), Err(ProbeError::Path), "{path}");
    }
    for host in ["", "a b", "a\r\nX: y", "u@a"] {
        assert_eq!(HttpProbe::new("/").unwrap().with_host(host), Err(ProbeError::Host), "{host}");
    }
}

#[test]
fn udp_endpoints_are_checked_on_a_port_of_tcp_or_not_at_all() {
    let tcp = |port| Probe { kind: ProbeKind::Tcp, port };
    assert!(!tcp(None).fits(Scheme::Udp) && tcp(Some(53)).fits(Scheme::Udp) && tcp(None).fits(Scheme::Tcp));
}
