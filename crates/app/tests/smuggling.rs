//! Messages that can be read in two ways: refused with a status and a close, and nothing of them reaches the far side.
//!
//! RFC 9112 section 11.2. The engine's own tables have more rows; here the whole program is asked.

use shoalway_testkit::{Origin, PATIENCE, Proxy, Reply, Step, TcpScript};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// What is wrong, status, and the request; `@` is the origin's address.
const REFUSED: &[(&str, u16, &str)] = &[
    (
        "length and encoding",
        400,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "encoding and length",
        400,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths that differ",
        400,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "two lengths that agree",
        400,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    ),
    ("a list of lengths", 400, "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: 2, 2\r\n\r\nab"),
    ("a signed length", 400, "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: +2\r\n\r\nab"),
    ("a negative length", 400, "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: -2\r\n\r\nab"),
    ("a length in hexadecimal", 400, "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: 0x2\r\n\r\nab"),
    ("no length", 400, "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length:\r\n\r\nab"),
    (
        "a length beyond all numbers",
        400,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: 99999999999999999999\r\n\r\nab",
    ),
    (
        "an unknown encoding",
        501,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "an encoding before chunked",
        501,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    ("identity", 501, "POST http://@/ HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (
        "chunked with a tail",
        501,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked-x\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        400,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two encodings",
        400,
        "POST http://@/ HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "an encoding in HTTP/1.0",
        400,
        "POST http://@/ HTTP/1.0\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a space before the colon", 400, "POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length : 2\r\n\r\nab"),
    ("a folded field", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\nX-A: 1\r\n 2\r\n\r\n"),
    ("a space before the first field", 400, "GET http://@/ HTTP/1.1\r\n Host: @\r\n\r\n"),
    ("a field without name", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\n: x\r\n\r\n"),
    ("a field without colon", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\nX-A\r\n\r\n"),
    ("a name that is no token", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\nX(A): 1\r\n\r\n"),
    ("a bare LF", 400, "GET http://@/ HTTP/1.1\nHost: @\r\n\r\n"),
    ("a bare LF in the fields", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\nX-A: 1\nX-B: 2\r\n\r\n"),
    ("a bare CR", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\nX-A: 1\rX-B: 2\r\n\r\n"),
    ("a NUL", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\nX-A: 1\x002\r\n\r\n"),
    ("an empty target", 400, "GET  HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("a target with a space", 400, "GET http://@/a b HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("a fragment", 400, "GET http://@/#a HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("user information", 400, "GET http://u:p@@/ HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("an odd scheme", 400, "GET gopher://@/ HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("no host in the target", 400, "GET http:///x HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("an odd port", 400, "GET http://@0000000/x HTTP/1.1\r\nHost: @0000000\r\n\r\n"),
    ("CONNECT with a URL", 400, "CONNECT http://@/ HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("CONNECT without port", 400, "CONNECT 127.0.0.1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    ("CONNECT with a body", 400, "CONNECT @ HTTP/1.1\r\nHost: @\r\nContent-Length: 2\r\n\r\nab"),
    ("an asterisk", 400, "GET * HTTP/1.1\r\nHost: @\r\n\r\n"),
    ("no Host", 400, "GET http://@/ HTTP/1.1\r\n\r\n"),
    ("two Hosts", 400, "GET http://@/ HTTP/1.1\r\nHost: @\r\nHost: @\r\n\r\n"),
    ("a Host that says another", 400, "GET http://@/ HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n"),
    ("an odd Host", 400, "GET http://@/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("no version", 505, "GET http://@/\r\n\r\n"),
    ("another version", 505, "GET http://@/ HTTP/2.0\r\nHost: @\r\n\r\n"),
    ("an odd version", 400, "GET http://@/ HTTP/1.1x\r\nHost: @\r\n\r\n"),
    ("a method that is no token", 400, "G=T http://@/ HTTP/1.1\r\nHost: @\r\n\r\n"),
];

#[test]
fn ambiguous_requests_are_refused_and_reach_nobody() {
    let (proxy, origin) = (Proxy::start(BIN), Origin::start(Reply::ok("reached")));
    let host = origin.addr().to_string();
    for (what, status, request) in REFUSED {
        let mut client = proxy.connect();
        // What a naive reader would take for a second request goes along.
        let smuggled = format!("GET http://{host}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let request = request.replace("u:p@@", &format!("u:p@{host}")).replace('@', &host);
        client.send(request + &smuggled);
        let answer = client.read_response();
        assert_eq!(answer.status, *status, "{what}: {}", answer.head);
        assert_eq!(
            answer.proxy_status("error").as_deref(),
            Some("http_request_error"),
            "{what}: {}",
            answer.head
        );
        assert_eq!(answer.header("Connection"), Some("close"), "{what}: {}", answer.head);
        client.expect_closed_within(PATIENCE);
        assert_eq!(origin.requests(), [], "{what}");
    }
}

/// What is wrong with a chunked body whose head is fine.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("no size", "\r\nab\r\n0\r\n\r\n"),
    ("a signed size", "+2\r\nab\r\n0\r\n\r\n"),
    ("a prefixed size", "0x2\r\nab\r\n0\r\n\r\n"),
    ("a spaced size", " 2\r\nab\r\n0\r\n\r\n"),
    ("a size beyond all numbers", "fffffffffffffffff\r\nab\r\n0\r\n\r\n"),
    ("a bare LF after the size", "2\nab\r\n0\r\n\r\n"),
    ("a bare LF in an extension", "2;a\nb\r\nab\r\n0\r\n\r\n"),
    ("data that is too long", "2\r\nabc\r\n0\r\n\r\n"),
    ("data that ends in a bare LF", "2\r\nab\n0\r\n\r\n"),
    ("a trailer that is folded", "0\r\nX-T: 1\r\n 2\r\n\r\n"),
    ("a trailer with a space before its colon", "0\r\nX-T : 1\r\n\r\n"),
];

#[test]
fn bad_chunks_end_the_connection_and_complete_no_request() {
    let (proxy, origin) = (Proxy::start(BIN), Origin::start(Reply::ok("complete")));
    let host = origin.addr();
    for (what, body) in BAD_CHUNKS {
        let mut client = proxy.connect();
        client.send(format!(
            "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n{body}\
             GET http://{host}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ));
        let said = String::from_utf8_lossy(&client.expect_end_within(PATIENCE)).into_owned();
        assert!(said.starts_with("HTTP/1.1 400 "), "{what}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{what}: {said}");
    }
    assert!(origin.requests().iter().all(|seen| !seen.complete && seen.target() != "/smuggled"));
}

/// What is wrong with an answer; the client gets 502.
const BAD_ANSWERS: &[(&str, &str)] = &[
    ("garbage", "\x01\x02\x03\x04\r\n\r\n"),
    ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n"),
    ("nothing", ""),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-"),
    ("no status", "HTTP/1.1 OK\r\n\r\n"),
    ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
    ("a status beyond 599", "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n"),
    ("another version", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    (
        "length and encoding",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("an odd length", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nab"),
    ("an unknown encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"),
    ("a folded field", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n"),
    ("a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab"),
    ("a bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nab"),
    ("a NUL", "HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 0\r\n\r\n"),
    (
        "a switch nobody asked for",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ),
    ("a 204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
];

#[test]
fn bad_answers_become_502() {
    let proxy = Proxy::start(BIN);
    for (what, bytes) in BAD_ANSWERS {
        let far = TcpScript::start([Step::ReadHead, Step::Send((*bytes).into()), Step::Close]);
        let answer = proxy.connect().get(&format!("http://{}/", far.addr()));
        assert_eq!(answer.status, 502, "{what}: {}{}", answer.head, answer.text());
        assert!(answer.proxy_status("error").is_some(), "{what}: {}", answer.head);
        assert!(!answer.text().contains("hello"), "{what}: {}", answer.text());
    }
}

#[test]
fn bytes_after_an_answer_are_not_taken_for_the_next_one() {
    let proxy = Proxy::start(BIN);
    let twice =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let far = TcpScript::start([Step::ReadHead, Step::Send(twice.into()), Step::ReadHead, Step::Stall]);
    let mut client = proxy.connect();
    assert_eq!(client.get(&format!("http://{}/1", far.addr())).text(), "ok");
    assert_eq!(client.get(&format!("http://{}/2", far.addr())).text(), "ok");
    assert_eq!(far.connections(), 2);
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let proxy = Proxy::start(BIN);
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfx\r\n0\r\n\r\n",
    ] {
        let far = TcpScript::start([Step::ReadHead, Step::Send(bytes.into()), Step::Close]);
        let (mut client, host) = (proxy.connect(), far.addr());
        client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let said = String::from_utf8_lossy(&client.expect_end_within(PATIENCE)).into_owned();
        assert!(!said.ends_with("0\r\n\r\n"), "it looks complete: {said}");
    }
}

// Protocols that a change of protocol could hide requests in

#[test]
fn a_change_of_protocol_is_passed_on_to_websocket_alone() {
    for upgrade in [
        "Upgrade: h2c",
        "Upgrade: websocket, h2c",
        "Upgrade: websocket\r\nUpgrade: h2c",
        "Upgrade: TLS/1.0, websocket",
    ] {
        // It would change at once, whatever it is asked.
        let (proxy, origin) = (Proxy::start(BIN), Origin::start(Reply::upgrade()));
        let (mut client, host) = (proxy.connect(), origin.addr());
        let fields = format!("{upgrade}\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk");
        client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n"));
        assert_eq!(client.read_response().status, 502, "{upgrade}");
        let seen = origin.only_request();
        for name in ["Upgrade", "Connection", "HTTP2-Settings"] {
            assert_eq!(seen.header(name), None, "{upgrade}: {}", seen.head);
        }
    }
}
