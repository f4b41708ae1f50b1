//! Requests that two readers could cut differently: refused, or passed on as one clear request that the origin records.

use super::Served;
use shoalway_testkit::{Origin, Reply};
use std::time::Duration;

/// What stands behind an ambiguous request: if the origin ever sees it, a request was smuggled.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n";

#[test]
fn what_is_ambiguous_reaches_no_origin() {
    let origin = Origin::start(Reply::ok("x"));
    let served = Served::before(&[&origin]);
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length : 5",
        "Content-Length:\t5\r\n folded: 1",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\n: chunked",
        "X: y\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "Host: b.example",
    ] {
        let mut client = served.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n\r\n0\r\n\r\n{HIDDEN}"));
        let (bytes, _end) = client.read_to_end(Duration::from_secs(20));
        let text = String::from_utf8_lossy(&bytes);
        let refused = text.starts_with("HTTP/1.1 400 ") || text.starts_with("HTTP/1.1 501 ");
        assert!(refused && text.contains("Proxy-Status: shoalway; error="), "{fields}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{fields}: {text}");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn what_follows_a_clear_request_is_a_request_of_its_own() {
    let origin = Origin::start(Reply::echo());
    let served = Served::before(&[&origin]);
    let mut client = served.connect();
    client.send(format!(
        "POST /first HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\n\r\n\
         POST /second HTTP/1.1\r\nHost: a.example\r\nContent-Length:\t{} \r\n\r\n{HIDDEN}",
        HIDDEN.len()
    ));
    assert_eq!(client.read_response().text(), "hello");
    assert_eq!(client.read_response().text(), HIDDEN);
    let seen: Vec<_> = origin.wait_for_requests(2).iter().map(|seen| seen.target().to_owned()).collect();
    assert_eq!(seen, ["/first", "/second"]);
}

#[test]
fn an_answer_that_is_ambiguous_reaches_no_client_and_its_connection_no_other_request() {
    for fields in
        ["Content-Length: 1\r\nTransfer-Encoding: chunked", "Content-Length: 1\r\nContent-Length: 2"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHIDDEN");
        let origin = Origin::start(Reply::raw(answer));
        let served = Served::before(&[&origin]);
        for connections in 1..=2 {
            let refused = served.ask("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(refused.status, 502, "{fields}");
            assert!(!refused.text().contains("HIDDEN"));
            assert_eq!(origin.connections(), connections);
        }
    }
}
