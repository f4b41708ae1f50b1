//! What leaves is what came, less what was dropped, plus what was added.

use crate::http1::compose::{Edits, RequestLine, write_request, write_response};
use crate::http1::hop_by_hop::{Switch, mark};
use crate::http1::known::Known;
use crate::http1::limits::Limits;
use crate::http1::method::Method;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;

fn request(
    text: &str,
    line: RequestLine,
    edit: impl FnOnce(&crate::http1::request::RequestView<'_>, &mut Edits),
) -> String {
    let mut head = RequestHead::new();
    assert_eq!(head.parse(text.as_bytes(), &Limits::default()), Ok(Some(text.len())), "{text}");
    let view = head.view(text.as_bytes());
    let (mut edits, mut out) = (Edits::new(), Vec::new());
    edit(&view, &mut edits);
    write_request(&mut out, view, line, &edits);
    String::from_utf8(out).unwrap()
}

#[test]
fn targets_leave_in_the_form_that_is_asked_for() {
    for (line, sent, version, left) in [
        (RequestLine::Origin, "GET http://a/x?y", "1.1", "GET /x?y HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Origin, "GET http://a", "1.1", "GET / HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Origin, "GET http://a?y", "1.1", "GET /?y HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Origin, "OPTIONS http://a", "1.1", "OPTIONS * HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Origin, "OPTIONS *", "1.1", "OPTIONS * HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Origin, "GET /x", "1.0", "GET /x HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Absolute, "GET /x", "1.1", "GET http://a/x HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Absolute, "OPTIONS *", "1.1", "OPTIONS http://a HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::Absolute, "GET http://a", "1.1", "GET http://a HTTP/1.1\r\nhost:  a \r\n\r\n"),
        (RequestLine::AsSent, "GET HTTP://A/", "1.1", "GET HTTP://A/ HTTP/1.1\r\nhost:  a \r\n\r\n"),
    ] {
        let text = format!("{sent} HTTP/{version}\r\nhost:  a \r\n\r\n");
        assert_eq!(request(&text, line, |_, _| {}), left, "{text}");
    }
}

#[test]
fn a_request_of_http_1_0_gets_the_host_of_its_target() {
    let absolute = "GET http://a:81/x HTTP/1.0\r\nX: y\r\n\r\n";
    assert_eq!(
        request(absolute, RequestLine::Origin, |_, _| {}),
        "GET /x HTTP/1.1\r\nHost: a:81\r\nX: y\r\n\r\n"
    );
    let path = "GET /x HTTP/1.0\r\n\r\n";
    assert_eq!(request(path, RequestLine::Absolute, |_, _| {}), "GET /x HTTP/1.1\r\n\r\n");
}

#[test]
fn dropped_fields_are_gone_and_added_ones_are_last() {
    let text = "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nB:2\r\nC:\r\nD: 4\r\n\r\n";
    for (dropped, left) in [
        (vec![], "A: 1\r\nHost: a\r\nB:2\r\nC:\r\nD: 4\r\n"),
        (vec![0], "Host: a\r\nB:2\r\nC:\r\nD: 4\r\n"),
        (vec![4], "A: 1\r\nHost: a\r\nB:2\r\nC:\r\n"),
        (vec![2, 3], "A: 1\r\nHost: a\r\nD: 4\r\n"),
        (vec![0, 1, 2, 3, 4], ""),
        (vec![5, 200, 255, 256, 9999], "A: 1\r\nHost: a\r\nB:2\r\nC:\r\nD: 4\r\n"),
    ] {
        let out = request(text, RequestLine::AsSent, |_, edits| {
            dropped.iter().for_each(|index| edits.drop_field(*index));
            assert!(edits.add(b"Via", b"1.1 x"));
            assert!(dropped.iter().all(|index| edits.is_dropped(*index) == (*index < 256)));
        });
        assert_eq!(out, format!("GET / HTTP/1.1\r\n{left}Via: 1.1 x\r\n\r\n"), "{dropped:?}");
    }
}

#[test]
fn replaced_fields_stand_where_the_old_ones_stood() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\nB: 2\r\nTE: x\r\nC: 3\r\n\r\n";
    let out = request(text, RequestLine::AsSent, |view, edits| {
        mark(view, edits, Switch::Drop);
        assert!(edits.replace(3, b"A", b"last"));
        assert!(edits.replace(1, b"Connection", b"keep-alive"));
        assert!(edits.replace(1, b"Connection", b"not this one"));
        assert!(!edits.replace(0, b"no token", b""));
    });
    let left = "Host: a\r\nConnection: keep-alive\r\nB: 2\r\nA: last\r\nC: 3\r\n";
    assert_eq!(out, format!("GET / HTTP/1.1\r\n{left}\r\n"));
}

#[test]
fn nothing_that_is_added_can_add_a_line() {
    let mut edits = Edits::new();
    assert!(edits.add(b"X", b"a\r\nEvil: b\0c\td"));
    assert!(!edits.add(b"X\r\nEvil", b"b"));
    assert!(!edits.add(b"", b"b"));
    assert_eq!(edits.added(), b"X: a  Evil: b c\td\r\n");
    edits.clear();
    assert_eq!(edits.added(), b"");
}

#[test]
fn fields_for_this_hop_end_here() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine, cookie, Cache-Control, Host, te, ETag, dnt\r\n\
        Keep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nTE: trailers\r\nTrailer: z\r\nUpgrade: w\r\n\
        x-mine: 1\r\nX-Other: 2\r\nX-MINE: 3\r\nCookie: c\r\nCache-Control: no-store\r\nDNT: 1\r\nContent-Length: 0\r\n\r\n";
    let out = request(text, RequestLine::AsSent, |view, edits| mark(view, edits, Switch::Drop));
    assert_eq!(
        out,
        "GET / HTTP/1.1\r\nHost: a\r\nTrailer: z\r\nX-Other: 2\r\nCookie: c\r\nCache-Control: no-store\r\n\
        Content-Length: 0\r\n\r\n"
    );
}

#[test]
fn an_upgrade_that_is_passed_on_keeps_its_connection_field() {
    for (sent, left) in [
        ("Connection: Upgrade\r\nUpgrade: w\r\n", "Connection: Upgrade\r\nUpgrade: w\r\n"),
        (
            "Connection: keep-alive, Upgrade\r\nUpgrade: w\r\n",
            "Connection: keep-alive, Upgrade\r\nUpgrade: w\r\n",
        ),
        ("Connection: x, upgrade\r\nX: 1\r\nUpgrade: w\r\n", "Upgrade: w\r\nConnection: Upgrade\r\n"),
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{sent}\r\n");
        let out = request(&text, RequestLine::AsSent, |view, edits| mark(view, edits, Switch::Pass));
        assert_eq!(out, format!("GET / HTTP/1.1\r\nHost: a\r\n{left}\r\n"), "{sent}");
        let out = request(&text, RequestLine::AsSent, |view, edits| mark(view, edits, Switch::Drop));
        assert_eq!(out, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "{sent}");
    }
}

#[test]
fn answers_leave_in_this_proxys_version() {
    for (sent, left) in [
        ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK"),
        ("HTTP/1.1 404  Not Found", "HTTP/1.1 404  Not Found"),
        ("HTTP/1.1 507", "HTTP/1.1 507 "),
        ("HTTP/1.1 503 ", "HTTP/1.1 503 "),
    ] {
        let text =
            format!("{sent}\r\nServer: x\r\nSet-Cookie: a\r\nset-cookie: b\r\nConnection: close\r\n\r\n");
        let mut head = ResponseHead::new();
        assert_eq!(
            head.parse(text.as_bytes(), &Limits::default(), Method::Get),
            Ok(Some(text.len())),
            "{text}"
        );
        let view = head.view(text.as_bytes());
        let (mut edits, mut out) = (Edits::new(), Vec::new());
        mark(&view, &mut edits, Switch::Drop);
        edits.drop_known(&view, Known::SetCookie);
        write_response(&mut out, view, &edits);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{left}\r\nServer: x\r\n\r\n"));
    }
}
