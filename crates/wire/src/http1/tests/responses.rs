//! Answers that are read, and what is read in them.

use super::cuts::{self, looked};
use crate::http1::framing::{BodyLength, Version};
use crate::http1::known::Known;
use crate::http1::limits::Limits;
use crate::http1::method::Method;
use crate::http1::request::RequestHead;
use crate::http1::response::{Asked, ResponseHead, ResponseView};

/// Parses a good answer, at every cut, and shows it.
fn read<T>(asked: impl Into<Asked>, text: &str, show: impl FnOnce(ResponseView<'_>) -> T) -> T {
    let (bytes, asked) = (text.as_bytes(), asked.into());
    let length = cuts::response(bytes, &Limits::default(), asked)
        .unwrap_or_else(|refusal| panic!("{refusal:?}: {text}"));
    assert!(length.is_some(), "incomplete: {text}");
    let mut head = ResponseHead::new();
    assert_eq!(head.parse(bytes, &Limits::default(), asked), Ok(length));
    show(head.view(bytes))
}

#[test]
fn the_status_line_is_taken_apart() {
    for (line, status, reason, version) in [
        ("HTTP/1.1 200 OK", 200, "OK", Version::Http11),
        ("HTTP/1.0 404 Not  Found ", 404, "Not  Found ", Version::Http10),
        ("HTTP/1.1 599 ", 599, "", Version::Http11),
        ("HTTP/1.1 200", 200, "", Version::Http11),
        ("HTTP/1.1 200 caf\u{e9}", 200, "caf\u{e9}", Version::Http11),
    ] {
        read(Method::Get, &format!("{line}\r\nX: y\r\n\r\n"), |view| {
            assert_eq!((view.status(), view.version()), (status, version), "{line}");
            assert_eq!(view.reason(), reason.as_bytes(), "{line}");
            assert_eq!(view.find(b"x").map(|field| field.value), Some(&b"y"[..]));
        });
    }
}

#[test]
fn a_body_ends_by_status_method_and_fields() {
    let get = Method::Get;
    for (method, status, fields, body) in [
        (get, 200, "", BodyLength::UntilClose),
        (get, 200, "Content-Length: 3\r\n", BodyLength::Length(3)),
        (get, 200, "Content-Length: 0\r\n", BodyLength::Length(0)),
        (get, 200, "Transfer-Encoding: chunked\r\n", BodyLength::Chunked),
        (get, 205, "Content-Length: 0\r\n", BodyLength::Length(0)),
        (get, 100, "", BodyLength::None),
        (get, 103, "Link: x\r\n", BodyLength::None),
        (get, 204, "", BodyLength::None),
        (get, 204, "Content-Length: 0\r\n", BodyLength::None),
        (get, 304, "Content-Length: 3\r\n", BodyLength::None),
        (get, 304, "Transfer-Encoding: chunked\r\n", BodyLength::None),
        (Method::Head, 200, "Content-Length: 3\r\n", BodyLength::None),
        (Method::Head, 404, "Transfer-Encoding: chunked\r\n", BodyLength::None),
        (Method::Head, 200, "", BodyLength::None),
        (Method::Connect, 200, "Content-Length: 3\r\n", BodyLength::None),
        (Method::Connect, 200, "Transfer-Encoding: chunked\r\n", BodyLength::None),
        (Method::Connect, 407, "Content-Length: 3\r\n", BodyLength::Length(3)),
        (Method::Connect, 502, "", BodyLength::UntilClose),
    ] {
        read(method, &format!("HTTP/1.1 {status} X\r\n{fields}\r\n"), |view| {
            assert_eq!(view.body(), body, "{method:?} {status} {fields}");
        });
    }
}

#[test]
fn a_connection_can_be_used_again_when_the_end_of_the_answer_is_known() {
    for (version, fields, lives) in [
        ("1.1", "Content-Length: 1\r\n", true),
        ("1.1", "Transfer-Encoding: chunked\r\n", true),
        ("1.1", "Content-Length: 1\r\nConnection: close\r\n", false),
        ("1.1", "", false),
        ("1.0", "Content-Length: 1\r\n", false),
        ("1.0", "Content-Length: 1\r\nConnection: keep-alive\r\n", true),
    ] {
        read(Method::Get, &format!("HTTP/{version} 200 OK\r\n{fields}\r\n"), |view| {
            assert_eq!(view.keep_alive(), lives, "{version} {fields}");
        });
    }
}

#[test]
fn interim_answers_are_not_the_last_ones() {
    for (status, interim) in [(100, true), (102, true), (103, true), (199, true), (200, false), (404, false)]
    {
        read(Method::Get, &format!("HTTP/1.1 {status} X\r\n\r\n"), |view| {
            assert_eq!(view.is_interim(), interim, "{status}");
        });
    }
}

#[test]
fn a_switch_of_protocols_is_read_when_it_was_asked_for() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut head = RequestHead::new();
    assert_eq!(head.parse(request, &Limits::default()), Ok(Some(request.len())));
    let text = "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    read(head.view(request), text, |view| {
        assert_eq!(view.upgrade(), Some(&b"websocket"[..]));
        assert!(!view.is_interim() && !view.keep_alive());
        assert_eq!(view.body(), BodyLength::None);
        assert_eq!(view.connection_options().collect::<Vec<_>>(), [b"upgrade"]);
        assert!(view.has(Known::Upgrade));
    });
    read(Method::Get, "HTTP/1.1 426 X\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n", |view| {
        assert_eq!(view.upgrade(), None);
    });
}

#[test]
fn an_answer_that_comes_octet_by_octet_costs_linear_time() {
    let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 12345678\r\n".repeat(120));
    let bytes = text.as_bytes();
    let mut head = ResponseHead::new();
    let octets = looked(|| {
        for length in 1..=bytes.len() {
            let expected = if length == bytes.len() { Some(length) } else { None };
            assert_eq!(head.parse(&bytes[..length], &Limits::default(), Method::Get), Ok(expected));
        }
    });
    assert!(octets <= 2 * bytes.len() + 10, "{octets} octets looked at for {}", bytes.len());
}
