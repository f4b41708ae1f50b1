//! Requests that are read, and what is read in them.

use super::cuts::{self, looked};
use crate::http1::framing::{BodyLength, Version};
use crate::http1::known::Known;
use crate::http1::limits::Limits;
use crate::http1::method::Method;
use crate::http1::request::{RequestHead, RequestView};
use crate::http1::target::{RequestTarget, Scheme};

/// Parses a good request, at every cut, and shows it.
fn read<T>(text: &str, show: impl FnOnce(RequestView<'_>) -> T) -> T {
    let bytes = text.as_bytes();
    let length =
        cuts::request(bytes, &Limits::default()).unwrap_or_else(|refusal| panic!("{refusal:?}: {text}"));
    assert!(length.is_some(), "incomplete: {text}");
    let mut head = RequestHead::new();
    assert_eq!(head.parse(bytes, &Limits::default()), Ok(length));
    show(head.view(bytes))
}

#[test]
fn fields_keep_spelling_order_and_repetition() {
    let text = "GET / HTTP/1.1\r\nhOST: a\r\nx-a:1\r\nX-A:  2 \t\r\nAccept:\r\nx-\u{e9}"
        .replace('\u{e9}', "b: \u{e9}\r\n\r\n");
    read(&text, |view| {
        let fields: Vec<_> =
            view.fields().map(|field| (field.index, field.name, field.value, field.known)).collect();
        assert_eq!(
            fields,
            [
                (0, &b"hOST"[..], &b"a"[..], Some(Known::Host)),
                (1, b"x-a", b"1", None),
                (2, b"X-A", b"2", None),
                (3, b"Accept", b"", Some(Known::Accept)),
                (4, b"x-b", "\u{e9}".as_bytes(), None),
            ]
        );
        assert_eq!((view.len(), view.is_empty()), (5, false));
        assert_eq!(view.get(Known::Accept), Some(&b""[..]));
        assert_eq!(view.get(Known::Cookie), None);
        assert_eq!(view.find(b"X-a").map(|field| field.index), Some(1));
        assert_eq!(view.find(b"hosT").map(|field| field.index), Some(0));
        assert!(view.find(b"X-C").is_none());
    });
}

#[test]
fn a_known_field_that_is_repeated_is_found_each_time() {
    read("GET / HTTP/1.1\r\nHost: a\r\nCookie: 1\r\nAccept: x\r\ncookie: 2\r\nCOOKIE: 3\r\n\r\n", |view| {
        let cookies: Vec<_> = view.get_all(Known::Cookie).map(|field| (field.index, field.value)).collect();
        assert_eq!(cookies, [(1, &b"1"[..]), (3, b"2"), (4, b"3")]);
        assert_eq!(view.get_all(Known::Accept).count(), 1);
        assert_eq!(view.get_all(Known::Via).count(), 0);
    });
}

#[test]
fn the_first_line_is_taken_apart() {
    read("\r\nPROPFIND /a?b HTTP/1.0\r\n\r\n", |view| {
        assert_eq!((view.method(), view.method_str()), (Method::Other, "PROPFIND"));
        assert_eq!((view.version(), view.host()), (Version::Http10, None));
        assert_eq!((view.raw_target(), view.target()), (&b"/a?b"[..], RequestTarget::Origin(b"/a?b")));
    });
}

#[test]
fn targets_have_four_forms() {
    let absolute = |scheme, authority, path| RequestTarget::Absolute { scheme, authority, path };
    for (line, host, target) in [
        ("GET / HTTP/1.1", "a", RequestTarget::Origin(b"/")),
        ("GET //a/b HTTP/1.1", "a", RequestTarget::Origin(b"//a/b")),
        ("GET /{\"|\"}<>\\^` HTTP/1.1", "a", RequestTarget::Origin(b"/{\"|\"}<>\\^`")),
        ("GET /\u{e9} HTTP/1.1", "a", RequestTarget::Origin("/\u{e9}".as_bytes())),
        ("OPTIONS * HTTP/1.1", "a", RequestTarget::Asterisk),
        ("CONNECT a:443 HTTP/1.1", "a:443", RequestTarget::Authority("a:443")),
        ("CONNECT a:443 HTTP/1.1", "A", RequestTarget::Authority("a:443")),
        ("CONNECT [::1]:443 HTTP/1.1", "[::1]:443", RequestTarget::Authority("[::1]:443")),
        ("GET http://a HTTP/1.1", "a", absolute(Scheme::Http, "a", b"/")),
        ("GET HTTP://A:80/ HTTP/1.1", "a", absolute(Scheme::Http, "A:80", b"/")),
        ("GET http://a:/ HTTP/1.1", "a:80", absolute(Scheme::Http, "a:", b"/")),
        ("GET http://a?q HTTP/1.1", "a", absolute(Scheme::Http, "a", b"?q")),
        ("GET https://a:443/x?y@z HTTP/1.1", "A:443", absolute(Scheme::Https, "a:443", b"/x?y@z")),
        ("GET ws://a:80/x HTTP/1.1", "a", absolute(Scheme::Ws, "a:80", b"/x")),
        ("GET wss://a/x HTTP/1.1", "a:443", absolute(Scheme::Wss, "a", b"/x")),
        (
            "GET http://[2001:db8::1]:81/x HTTP/1.1",
            "[2001:DB8::1]:81",
            absolute(Scheme::Http, "[2001:db8::1]:81", b"/x"),
        ),
        ("OPTIONS http://a HTTP/1.1", "a", absolute(Scheme::Http, "a", b"*")),
        ("OPTIONS http://a/ HTTP/1.1", "a", absolute(Scheme::Http, "a", b"/")),
    ] {
        read(&format!("{line}\r\nHost: {host}\r\n\r\n"), |view| {
            assert_eq!(view.target(), target, "{line}");
            assert_eq!(view.host(), Some(host));
        });
    }
}

#[test]
fn a_body_has_one_length() {
    for (line, fields, body) in [
        ("GET / HTTP/1.1", "", BodyLength::None),
        ("GET / HTTP/1.1", "Content-Length: 3\r\n", BodyLength::Length(3)),
        ("POST / HTTP/1.1", "Content-Length: 0\r\n", BodyLength::Length(0)),
        ("POST / HTTP/1.1", "content-length:\t007 \r\n", BodyLength::Length(7)),
        ("POST / HTTP/1.1", "Content-Length: 18446744073709551615\r\n", BodyLength::Length(u64::MAX)),
        ("POST / HTTP/1.1", "transfer-encoding: Chunked\r\n", BodyLength::Chunked),
        ("POST / HTTP/1.0", "Content-Length: 3\r\n", BodyLength::Length(3)),
        ("CONNECT a:1 HTTP/1.1", "Content-Length: 0\r\n", BodyLength::None),
        ("TRACE / HTTP/1.1", "", BodyLength::None),
    ] {
        read(&format!("{line}\r\nHost: a\r\n{fields}\r\n"), |view| {
            assert_eq!(view.body(), body, "{line} {fields}")
        });
    }
}

#[test]
fn a_connection_lives_on_when_both_can_know_it() {
    for (line, fields, lives) in [
        ("GET / HTTP/1.1", "", true),
        ("GET / HTTP/1.1", "Connection: close\r\n", false),
        ("GET / HTTP/1.1", "Connection: x, CLOSE\r\n", false),
        ("GET / HTTP/1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("GET / HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ("GET / HTTP/1.1", "Connection: closed\r\n", true),
        ("GET / HTTP/1.0", "", false),
        ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("GET / HTTP/1.0", "Connection: keep-alive, close\r\n", false),
        ("GET http://a/ HTTP/1.0", "Connection: keep-alive\r\n", false),
        ("GET http://a/ HTTP/1.1", "Proxy-Connection: close\r\n", true),
    ] {
        read(&format!("{line}\r\nHost: a\r\n{fields}\r\n"), |view| {
            assert_eq!(view.keep_alive(), lives, "{line} {fields}");
        });
    }
}

#[test]
fn upgrades_and_expectations_need_what_goes_with_them() {
    for (version, fields, upgrade, expects) in [
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n", Some(&b"websocket"[..]), false),
        ("1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: a, b\r\n", Some(b"a, b"), false),
        ("1.1", "Upgrade: websocket\r\n", None, false),
        ("1.1", "Connection: upgrade\r\n", None, false),
        ("1.1", "Connection: upgrade\r\nUpgrade:\r\n", None, false),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", None, false),
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", None, true),
        ("1.1", "Expect: x, 100-continue\r\nTransfer-Encoding: chunked\r\n", None, true),
        ("1.1", "Expect: 100-continue\r\n", None, false),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", None, false),
        ("1.1", "Expect: x\r\nContent-Length: 1\r\n", None, false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", None, false),
    ] {
        read(&format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"), |view| {
            assert_eq!(view.upgrade(), upgrade, "{fields}");
            assert_eq!(view.expects_continue(), expects, "{fields}");
        });
    }
}

#[test]
fn connection_options_are_listed_as_sent() {
    read("GET / HTTP/1.1\r\nHost: a\r\nConnection: ,A , b,,\r\nConnection: c\r\n\r\n", |view| {
        assert_eq!(view.connection_options().collect::<Vec<_>>(), [&b"A"[..], b"b", b"c"]);
    });
}

#[test]
fn limits_are_the_last_size_that_passes() {
    let limits = Limits { head: 60, fields: 2, target: 10, ..Limits::default() };
    let fits = |text: &str| cuts::request(text.as_bytes(), &limits).is_ok_and(|length| length.is_some());
    assert!(fits("GET /234567890 HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!fits("GET /234567890X HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(fits("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"));
    assert!(!fits("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n"));
    let long = |octets: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(octets - 32));
    assert_eq!(long(60).len(), 60);
    assert!(fits(&long(60)));
    assert!(!fits(&long(61)));
    assert!(fits(&format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(32))));
}

#[test]
fn what_follows_the_head_is_not_looked_at() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET\n\n\0";
    let mut head = RequestHead::new();
    assert_eq!(head.parse(bytes, &Limits::default()), Ok(Some(bytes.len() - 6)));
    head.clear();
    assert_eq!(
        head.parse(&bytes[bytes.len() - 6..], &Limits::default()),
        Err(crate::http1::refusal::Refusal::BareLf)
    );
}

#[test]
fn a_head_that_comes_octet_by_octet_costs_linear_time() {
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(60_000));
    let bytes = text.as_bytes();
    let mut head = RequestHead::new();
    let octets = looked(|| {
        for length in 1..bytes.len() {
            assert_eq!(head.parse(&bytes[..length], &Limits::default()), Ok(None));
        }
        assert_eq!(head.parse(bytes, &Limits::default()), Ok(Some(bytes.len())));
    });
    assert!(octets <= 2 * bytes.len() + 10, "{octets} octets looked at for {}", bytes.len());
}

#[test]
fn other_bytes_than_those_parsed_give_wrong_parts_and_no_panic() {
    let mut head = RequestHead::new();
    let bytes = b"GET http://a/ HTTP/1.1\r\nHost: a\r\nCookie: b\r\n\r\n";
    assert_eq!(head.parse(bytes, &Limits::default()), Ok(Some(bytes.len())));
    let view = head.view(b"\xff\xff\xff");
    assert_eq!((view.method_str(), view.host()), ("", Some("")));
    assert_eq!(view.fields().count(), 2);
    assert!(matches!(view.target(), RequestTarget::Absolute { .. }));
}

#[test]
fn an_index_is_small() {
    assert!(size_of::<RequestHead>() <= 256, "{}", size_of::<RequestHead>());
    assert!(size_of::<crate::http1::response::ResponseHead>() <= 256);
    assert!(size_of::<crate::http1::compose::Edits>() <= 136);
    assert!(size_of::<crate::http1::body::BodyReader>() <= 112);
}
