//! Requests that are malformed, and what is none: sections 8.1 and 8.2.

use crate::frames::{END_HEADERS, END_STREAM, HEADERS, block, data, frame, head, last_data, post, request};
use crate::table::{Expect, PROTOCOL, Row, run, sent};

/// A request with these fields behind its pseudo-fields.
fn with(section: &'static str, what: &'static str, fields: &[(&str, &str)], expect: Expect) -> Row {
    sent(section, what, [request(1, "GET", "/", fields)], expect)
}

/// A header block as a whole request.
fn only(section: &'static str, what: &'static str, fields: &[(&str, &str)], expect: Expect) -> Row {
    sent(section, what, [head(1, &block(fields))], expect)
}

const MALFORMED: Expect = Expect::Stream(1, PROTOCOL);
const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "a.example");

#[test]
fn fields() {
    run(vec![
        sent("8.1/1", "a second HEADERS that ends nothing", [post(1, &[]), post(1, &[])], MALFORMED),
        with("8.1.2/1", "upper case in a name", &[("X-TEST", "ok")], MALFORMED),
        with("8.1.2.1/1", "an unknown pseudo-field", &[(":test", "ok")], MALFORMED),
        with("8.1.2.1/2", "a pseudo-field of answers", &[(":status", "200")], MALFORMED),
        sent(
            "8.1.2.1/3",
            "a pseudo-field in trailers",
            [post(1, &[]), frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&[(":method", "200")]))],
            MALFORMED,
        ),
        only(
            "8.1.2.1/4",
            "a pseudo-field behind a field",
            &[METHOD, SCHEME, ("x-test", "ok"), PATH],
            MALFORMED,
        ),
        with("8.1.2.2/1", "connection", &[("connection", "keep-alive")], MALFORMED),
        with("8.1.2.2/1", "keep-alive", &[("keep-alive", "1")], MALFORMED),
        with("8.1.2.2/1", "proxy-connection", &[("proxy-connection", "keep-alive")], MALFORMED),
        with("8.1.2.2/1", "transfer-encoding", &[("transfer-encoding", "chunked")], MALFORMED),
        with("8.1.2.2/1", "upgrade", &[("upgrade", "h2c")], MALFORMED),
        with("8.1.2.2/2", "te with more than trailers", &[("te", "trailers, deflate")], MALFORMED),
        with("9113 8.2.1", "te with trailers", &[("te", "trailers")], Expect::Answer(1)),
        with("9113 8.2.1", "a colon in a name", &[("x:y", "ok")], MALFORMED),
        with("9113 8.2.1", "a space in a name", &[("x y", "ok")], MALFORMED),
        with("9113 8.2.1", "a control in a name", &[("x\ny", "ok")], MALFORMED),
        with("9113 8.2.1", "NUL in a value", &[("x-a", "b\0c")], MALFORMED),
        with("9113 8.2.1", "CR in a value", &[("x-a", "b\rc")], MALFORMED),
        with("9113 8.2.1", "LF in a value", &[("x-a", "b\nc")], MALFORMED),
        with("9113 8.2.1", "CRLF and a field in a value", &[("x-a", "b\r\nhost: c")], MALFORMED),
        with("9113 8.2.1", "a space before a value", &[("x-a", " b")], MALFORMED),
        with("9113 8.2.1", "a tab behind a value", &[("x-a", "b\t")], MALFORMED),
        with("9113 8.2.2", "a field of a connection in trailers", &[("upgrade", "x")], MALFORMED),
        with("9113 8.2.3", "crumbs of a cookie", &[("cookie", "a=b"), ("cookie", "c=d")], Expect::Answer(1)),
    ]);
}

#[test]
fn pseudo_fields() {
    let absolute = ("host", "a.example");
    run(vec![
        only("8.1.2.3/1", "an empty path", &[METHOD, SCHEME, (":path", ""), AUTHORITY], MALFORMED),
        only("8.1.2.3/2", "no method", &[SCHEME, PATH, AUTHORITY], MALFORMED),
        only("8.1.2.3/3", "no scheme", &[METHOD, PATH, AUTHORITY], MALFORMED),
        only("8.1.2.3/4", "no path", &[METHOD, SCHEME, AUTHORITY], MALFORMED),
        only("8.1.2.3/4", "no path, and no authority", &[METHOD, SCHEME, absolute], MALFORMED),
        only("8.1.2.3/5", "the method twice", &[METHOD, METHOD, SCHEME, PATH, AUTHORITY], MALFORMED),
        only("8.1.2.3/6", "the scheme twice", &[METHOD, SCHEME, SCHEME, PATH, AUTHORITY], MALFORMED),
        only("8.1.2.3/7", "the path twice", &[METHOD, SCHEME, PATH, PATH, AUTHORITY], MALFORMED),
        only("8.3.1", "the authority twice", &[METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY], MALFORMED),
        only("8.3.1", "Host alone", &[METHOD, SCHEME, PATH, absolute], Expect::Answer(1)),
        only("8.3.1", "neither Host nor authority", &[METHOD, SCHEME, PATH], Expect::Status(1, 400)),
        only(
            "8.3.1",
            "Host as the authority",
            &[METHOD, SCHEME, PATH, AUTHORITY, absolute],
            Expect::Answer(1),
        ),
        only("8.3.1", "another Host", &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "b.example")], MALFORMED),
        only("8.3.1", "Host twice", &[METHOD, SCHEME, PATH, absolute, absolute], MALFORMED),
        only(
            "8.3.1",
            "user information",
            &[METHOD, SCHEME, PATH, (":authority", "u@a.example")],
            Expect::Status(1, 400),
        ),
        only(
            "8.3.1",
            "an authority with a path",
            &[METHOD, SCHEME, PATH, (":authority", "a.example/x")],
            MALFORMED,
        ),
        only("8.3.1", "a path without a slash", &[METHOD, SCHEME, (":path", "x"), AUTHORITY], MALFORMED),
        only(
            "8.3.1",
            "a path that is a URI",
            &[METHOD, SCHEME, (":path", "http://b/"), AUTHORITY],
            MALFORMED,
        ),
        only("8.3.1", "a space in a path", &[METHOD, SCHEME, (":path", "/ HTTP/1.1"), AUTHORITY], MALFORMED),
        only("8.3.1", "* without OPTIONS", &[METHOD, SCHEME, (":path", "*"), AUTHORITY], MALFORMED),
        only(
            "8.3.1",
            "* with OPTIONS",
            &[(":method", "OPTIONS"), SCHEME, (":path", "*"), AUTHORITY],
            Expect::Answer(1),
        ),
        only("8.3.1", "a scheme with more", &[METHOD, (":scheme", "http://b/"), PATH, AUTHORITY], MALFORMED),
        only("8.3.1", "another scheme", &[METHOD, (":scheme", "gopher"), PATH, AUTHORITY], MALFORMED),
        only("8.3.1", "a method with a space", &[(":method", "GET / "), SCHEME, PATH, AUTHORITY], MALFORMED),
        only("8.5", "CONNECT with a path", &[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY], MALFORMED),
        only("8.5", "CONNECT to no port", &[(":method", "CONNECT"), AUTHORITY], Expect::Status(1, 400)),
        only("8.5", "CONNECT to nobody", &[(":method", "CONNECT"), absolute], MALFORMED),
        only(
            "8441 4",
            ":protocol without CONNECT",
            &[METHOD, SCHEME, PATH, AUTHORITY, (":protocol", "websocket")],
            MALFORMED,
        ),
    ]);
}

#[test]
fn content_length() {
    let length = |value| post(1, &[("content-length", value)]);
    run(vec![
        sent("8.1.2.6/1", "less than announced", [length("5"), last_data(1, b"test")], MALFORMED),
        sent("8.1.2.6/1", "more than announced", [length("1"), last_data(1, b"test")], MALFORMED),
        sent(
            "8.1.2.6/2",
            "more, in pieces",
            [length("5"), data(1, b"test"), last_data(1, b"test")],
            MALFORMED,
        ),
        sent("8.1.1", "as announced", [length("4"), last_data(1, b"test")], Expect::Answer(1)),
        sent("8.1.1", "nothing at all", [request(1, "POST", "/", &[("content-length", "4")])], MALFORMED),
        sent("8.1.1", "no number", [length("4x"), last_data(1, b"test")], MALFORMED),
        sent("8.1.1", "a list", [length("4, 4"), last_data(1, b"test")], MALFORMED),
        sent("8.1.1", "a sign", [length("+4"), last_data(1, b"test")], MALFORMED),
        sent("8.1.1", "2^64", [length("18446744073709551616"), last_data(1, b"test")], MALFORMED),
        sent(
            "8.1.1",
            "two numbers",
            [post(1, &[("content-length", "4"), ("content-length", "5")]), last_data(1, b"test")],
            MALFORMED,
        ),
        sent(
            "8.1",
            "trailers that do not end the stream",
            [post(1, &[]), data(1, b"x"), frame(HEADERS, END_HEADERS, 1, &block(&[("x-sum", "1")]))],
            MALFORMED,
        ),
    ]);
}
