//! One message a reason: each row of the table of refusals is reached by exactly what it names.

use super::cuts;
use crate::http1::framing::BodyLength;
use crate::http1::limits::Limits;
use crate::http1::method::Method;
use crate::http1::refusal::{BadAnswer, Refusal};
use crate::http1::response::Asked;
use shoalway_types::{Failure as _, Retry, Side};
use std::collections::BTreeSet;

/// Small enough that examples of what is too large stay small.
const LIMITS: Limits = Limits { head: 400, fields: 4, target: 40, chunk_line: 40, trailers: 60 };

#[test]
fn every_row_has_an_example_and_words_of_its_own() {
    let shown: Vec<Refusal> = requests()
        .into_iter()
        .map(|(refusal, _)| refusal)
        .chain(responses().into_iter().map(|(refusal, ..)| refusal))
        .chain(bodies().into_iter().map(|(refusal, _)| refusal))
        .chain([Refusal::ContentTooLarge]) // depends on the reader: see the tests of bodies
        .collect();
    for refusal in Refusal::ALL {
        assert!(shown.contains(refusal), "{refusal:?} has no example");
        assert!(refusal.section().starts_with("RFC "), "{refusal:?}");
        assert!(matches!(refusal.status(), 400 | 413 | 414 | 431 | 501 | 502 | 505), "{refusal:?}");
        assert!(refusal.close());
        assert_eq!(refusal.to_string(), refusal.sentence());
        assert!(
            refusal
                .word()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'0' | b'9'))
        );
    }
    for text in [Refusal::word, Refusal::sentence] {
        let texts: BTreeSet<&str> = Refusal::ALL.iter().map(|refusal| text(*refusal)).collect();
        assert_eq!(texts.len(), Refusal::ALL.len(), "two reasons share their words");
    }
}

#[test]
fn blame_is_the_senders() {
    assert_eq!(Refusal::BareLf.side(), Side::Client);
    assert_eq!(Refusal::Status.side(), Side::Upstream);
    assert_eq!(BadAnswer(Refusal::BareLf).side(), Side::Upstream);
    assert_eq!(BadAnswer(Refusal::BareLf).status(), 502);
    assert_eq!(BadAnswer(Refusal::BareLf).retry(), Retry::Never);
    assert_eq!(BadAnswer(Refusal::Incomplete).retry(), Retry::IfIdempotent);
}

#[test]
fn requests_are_refused_for_their_reason() {
    for (refusal, text) in requests() {
        assert_eq!(cuts::request(text.as_bytes(), &LIMITS), Err(refusal), "{}", text.escape_debug());
    }
    for (refusal, bytes) in [
        (Refusal::TargetCharacter, &b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"[..]),
        (Refusal::MethodToken, b"\x16\x03\x01\x02\x00"),
        (Refusal::FieldName, b"GET / HTTP/1.1\r\nHost: a\r\nX\xe9: b\r\n\r\n"),
    ] {
        assert_eq!(cuts::request(bytes, &LIMITS), Err(refusal), "{}", bytes.escape_ascii());
    }
}

#[test]
fn answers_are_refused_for_their_reason() {
    for (refusal, asked, text) in responses() {
        assert_eq!(cuts::response(text.as_bytes(), &LIMITS, asked), Err(refusal), "{}", text.escape_debug());
    }
}

#[test]
fn bodies_are_refused_for_their_reason() {
    for (refusal, text) in bodies() {
        let body = cuts::body(BodyLength::Chunked, text.as_bytes(), &LIMITS);
        if refusal == Refusal::Incomplete {
            assert_eq!(body.end, None, "{}", text.escape_debug());
        } else {
            assert_eq!(body.end, Some(Err(refusal)), "{}", text.escape_debug());
        }
    }
}

/// A request to `/` with these field lines behind its Host.
fn with(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n\r\n")
}

/// A request with this first line.
fn line(line: &str) -> String {
    format!("{line}\r\nHost: a.example\r\n\r\n")
}

/// A request with this target.
fn target(target: &str) -> String {
    line(&format!("GET {target} HTTP/1.1"))
}

fn requests() -> Vec<(Refusal, String)> {
    let mut all = request_lines();
    all.extend(request_targets());
    all.extend(request_fields());
    all
}

fn request_lines() -> Vec<(Refusal, String)> {
    vec![
        (Refusal::HeadTooLarge, with(&format!("X: {}", "x".repeat(400)))),
        (Refusal::HeadTooLarge, format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(100))),
        (Refusal::BareLf, "GET / HTTP/1.1\nHost: a\r\n\r\n".into()),
        (Refusal::BareLf, "GET / HTTP/1.1\r\nHost: a\n\r\n".into()),
        (Refusal::BareLf, "GET / HTTP/1.1\r\nHost: a\r\n\n".into()),
        (Refusal::BareLf, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (Refusal::BareLf, with("X: a\nY: b")),
        (Refusal::BareCr, line("GET / HTTP/1.1\r")),
        (Refusal::BareCr, line("GET /\r HTTP/1.1")),
        (Refusal::BareCr, with("X: a\rb")),
        (Refusal::BareCr, with("X: a\r")),
        (Refusal::BareCr, with("X\r: a")),
        (Refusal::EmptyLines, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (Refusal::RequestLine, line("GET / x HTTP/1.1")),
        (Refusal::RequestLine, line("GET / HTTP/1.1 ")),
        (Refusal::RequestLine, line("GET /  HTTP/1.1")),
        (Refusal::RequestLine, line("GET / http/1.1")),
        (Refusal::RequestLine, line("GET / HTTP/11")),
        (Refusal::RequestLine, line("GET HTTP/1.1")),
        (Refusal::RequestLine, line("GET / x y")),
        (Refusal::RequestLine, line("GET")),
        (Refusal::MethodToken, line("G(T / HTTP/1.1")),
        (Refusal::MethodToken, line(" GET / HTTP/1.1")),
        (Refusal::MethodToken, line("GET\t/ HTTP/1.1")),
        (Refusal::MethodToken, line(&format!("{} / HTTP/1.1", "A".repeat(33)))),
        (Refusal::MethodToken, "A".repeat(33)),
        (Refusal::Http09, line("GET /")),
        (Refusal::Version, line("GET / HTTP/2.0")),
        (Refusal::Version, line("GET / HTTP/1.2")),
        (Refusal::Version, line("GET / HTTP/0.9")),
        (Refusal::TargetTooLong, target(&format!("/{}", "x".repeat(40)))),
        (Refusal::TargetTooLong, format!("GET /{}", "x".repeat(90))),
    ]
}

fn request_targets() -> Vec<(Refusal, String)> {
    vec![
        (Refusal::TargetEmpty, target("")),
        (Refusal::TargetCharacter, target("/\0")),
        (Refusal::TargetCharacter, target("/\t")),
        (Refusal::TargetCharacter, target("/\x7f")),
        (Refusal::TargetFragment, target("/x#y")),
        (Refusal::TargetFragment, target("http://a.example#y")),
        (Refusal::TargetForm, target("x")),
        (Refusal::TargetForm, target("?x")),
        (Refusal::TargetForm, target("a.example:80")),
        (Refusal::TargetForm, target("http:/a.example/")),
        (Refusal::TargetForm, target("*x")),
        (Refusal::TargetScheme, target("ftp://a.example/")),
        (Refusal::TargetScheme, target("://a.example/")),
        (Refusal::TargetUserinfo, target("http://me@a.example/")),
        (Refusal::TargetUserinfo, target("http://me:pass@a.example/")),
        (Refusal::TargetUserinfo, line("CONNECT me@a.example:1 HTTP/1.1")),
        (Refusal::TargetAuthority, target("http:///x")),
        (Refusal::TargetAuthority, target("http://a.example:x/")),
        (Refusal::TargetAuthority, target("http://a.example:0/")),
        (Refusal::TargetAuthority, target("http://a.example:65536/")),
        (Refusal::TargetAuthority, target("http://a.example:+1/")),
        (Refusal::TargetAuthority, target("http://a%41.example/")),
        (Refusal::TargetAuthority, target("http://\u{e9}.example/")),
        (Refusal::TargetAuthority, target("http://a\\b.example/")),
        (Refusal::TargetAuthority, target("http://[::1/")),
        (Refusal::TargetAuthority, target("http://[::g]/")),
        (Refusal::TargetAuthority, target("http://[::1]x/")),
        (Refusal::TargetAuthority, target("http://::1/")),
        (Refusal::TargetAuthority, line("CONNECT :443 HTTP/1.1")),
        (Refusal::ConnectTarget, line("CONNECT a.example HTTP/1.1")),
        (Refusal::ConnectTarget, line("CONNECT a.example: HTTP/1.1")),
        (Refusal::ConnectTarget, line("CONNECT / HTTP/1.1")),
        (Refusal::ConnectTarget, line("CONNECT http://a.example/ HTTP/1.1")),
        (Refusal::ConnectTarget, line("CONNECT * HTTP/1.1")),
        (Refusal::AsteriskTarget, target("*")),
    ]
}

fn request_fields() -> Vec<(Refusal, String)> {
    let options = "x,".repeat(65);
    vec![
        (Refusal::HostMissing, "GET / HTTP/1.1\r\n\r\n".into()),
        (Refusal::HostMissing, "GET http://a.example/ HTTP/1.1\r\n\r\n".into()),
        (Refusal::HostRepeated, with("Host: a.example")),
        (Refusal::HostRepeated, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n".into()),
        (Refusal::HostMalformed, "GET / HTTP/1.1\r\nHost:\r\n\r\n".into()),
        (Refusal::HostMalformed, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into()),
        (Refusal::HostMalformed, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".into()),
        (Refusal::HostMalformed, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into()),
        (Refusal::HostMalformed, "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n".into()),
        (Refusal::HostMalformed, "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n".into()),
        (Refusal::HostMalformed, "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n".into()),
        (Refusal::HostContradicts, target("http://b.example/")),
        (Refusal::HostContradicts, target("http://a.example:81/")),
        (Refusal::HostContradicts, target("https://a.example:80/")),
        (Refusal::HostContradicts, line("CONNECT b.example:443 HTTP/1.1")),
        (Refusal::HostContradicts, "CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n".into()),
        (Refusal::TooManyFields, with("A: 1\r\nB: 2\r\nC: 3\r\nD: 4")),
        (Refusal::FieldNameTooLong, with(&format!("{}: x", "n".repeat(255)))),
        (Refusal::FieldLeadingSpace, "GET / HTTP/1.1\r\n Host: a\r\n\r\n".into()),
        (Refusal::FieldFolded, with("X: a\r\n b")),
        (Refusal::FieldFolded, with("X: a\r\n\tb")),
        (Refusal::FieldNameEmpty, with(": x")),
        (Refusal::FieldColonMissing, with("X")),
        (Refusal::FieldColonSpace, with("X : y")),
        (Refusal::FieldColonSpace, with("Content-Length\t: 1")),
        (Refusal::FieldName, with("X(): y")),
        (Refusal::FieldName, with("X Y: z")),
        (Refusal::FieldName, with("X\0: y")),
        (Refusal::FieldValue, with("X: a\0")),
        (Refusal::FieldValue, with("X: \x0b")),
        (Refusal::FieldValue, with("X: a\x7f")),
        (Refusal::ConnectionTooLong, with(&format!("Connection: {options}"))),
        (Refusal::LengthMalformed, with("Content-Length: +5")),
        (Refusal::LengthMalformed, with("Content-Length: -5")),
        (Refusal::LengthMalformed, with("Content-Length: 0x5")),
        (Refusal::LengthMalformed, with("Content-Length: 5,5")),
        (Refusal::LengthMalformed, with("Content-Length: 5, 6")),
        (Refusal::LengthMalformed, with("Content-Length: 5 5")),
        (Refusal::LengthMalformed, with("Content-Length:")),
        (Refusal::LengthMalformed, with("Content-Length: 18446744073709551616")),
        (Refusal::LengthMalformed, with("Content-Length: \u{665}")),
        (Refusal::LengthRepeated, with("Content-Length: 5\r\nContent-Length: 5")),
        (Refusal::LengthRepeated, with("Content-Length: 5\r\ncontent-length: 6")),
        (Refusal::LengthAndEncoding, with("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        (Refusal::EncodingRepeated, with("Transfer-Encoding: chunked, chunked")),
        (Refusal::EncodingRepeated, with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding: identity")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding: gzip, chunked")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding: chunked, gzip")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding: chunked,")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding: \"chunked\"")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding: xchunked")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding: chunked;q=1")),
        (Refusal::EncodingUnknown, with("Transfer-Encoding:")),
        (Refusal::EncodingVersion, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
        (Refusal::BodyForbidden, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n".into()),
        (
            Refusal::BodyForbidden,
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
        ),
        (Refusal::BodyForbidden, "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n".into()),
    ]
}

fn responses() -> Vec<(Refusal, Asked, String)> {
    let get = Asked::from(Method::Get);
    let upgrade = Asked { method: Method::Get, upgrade: true };
    let switch = "HTTP/1.1 101 Switching Protocols\r\n";
    vec![
        (Refusal::StatusLine, get, "SSH-2.0-x".into()),
        (Refusal::StatusLine, get, "HTTP/1.1 20\r\n\r\n".into()),
        (Refusal::StatusLine, get, "HTTP/1.1 2000\r\n\r\n".into()),
        (Refusal::StatusLine, get, "HTTP/1.1  200 OK\r\n\r\n".into()),
        (Refusal::StatusLine, get, "HTTP/1.1\r\n\r\n".into()),
        (Refusal::StatusLine, get, "HTTP/1.1 +20 OK\r\n\r\n".into()),
        (Refusal::EmptyLines, get, "\r\nHTTP/1.1 200 OK\r\n\r\n".into()),
        (Refusal::BareLf, get, "HTTP/1.1 200 OK\n\r\n".into()),
        (Refusal::BareCr, get, "HTTP/1.1 200 O\rK\r\n\r\n".into()),
        (Refusal::AnswerVersion, get, "HTTP/2.0 200 OK\r\n\r\n".into()),
        (Refusal::Status, get, "HTTP/1.1 099 X\r\n\r\n".into()),
        (Refusal::Status, get, "HTTP/1.1 600 X\r\n\r\n".into()),
        (Refusal::Reason, get, "HTTP/1.1 200 O\x01K\r\n\r\n".into()),
        (Refusal::SwitchUnasked, get, format!("{switch}Connection: upgrade\r\nUpgrade: x\r\n\r\n")),
        (
            Refusal::SwitchUnasked,
            upgrade,
            "HTTP/1.0 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".into(),
        ),
        (Refusal::SwitchUnnamed, upgrade, format!("{switch}Connection: upgrade\r\n\r\n")),
        (Refusal::SwitchUnnamed, upgrade, format!("{switch}Upgrade: x\r\n\r\n")),
        (Refusal::BodyUnexpected, get, "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n".into()),
        (Refusal::BodyUnexpected, get, "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
        (Refusal::BodyUnexpected, get, "HTTP/1.1 103 Early\r\nContent-Length: 1\r\n\r\n".into()),
        (
            Refusal::LengthAndEncoding,
            get,
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
        ),
        (
            Refusal::LengthRepeated,
            get,
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n".into(),
        ),
        (Refusal::EncodingVersion, get, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
        (Refusal::EncodingUnknown, get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".into()),
        (Refusal::FieldColonSpace, get, "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n".into()),
        (Refusal::FieldFolded, get, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n".into()),
        (Refusal::HeadTooLarge, get, format!("HTTP/1.1 200 {}", "x".repeat(400))),
        (Refusal::TooManyFields, get, format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(5))),
    ]
}

fn bodies() -> Vec<(Refusal, String)> {
    vec![
        (Refusal::ChunkSize, "\r\n".into()),
        (Refusal::ChunkSize, "g\r\n".into()),
        (Refusal::ChunkSize, "+5\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkSize, "0x5\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkSize, " 5\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkSize, "5 \r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkSize, ";x\r\n".into()),
        (Refusal::ChunkSize, "00000000000000005\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkSize, "\n".into()),
        (Refusal::ChunkLineTooLong, format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(40))),
        (Refusal::ChunkLineTooLong, format!("5;{}", "x".repeat(40))),
        (
            Refusal::ChunkLineTooLong,
            format!("{}0\r\n\r\n", format!("1;{}\r\nx\r\n", "x".repeat(35)).repeat(500)),
        ),
        (Refusal::ChunkExtension, "5;a\0\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkExtension, "5;a\x7f\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkLine, "5\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkLine, "5;a\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkLine, "5;a\rb\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkLine, "5\r\r\nhello\r\n0\r\n\r\n".into()),
        (Refusal::ChunkEnd, "5\r\nhelloX\r\n0\r\n\r\n".into()),
        (Refusal::ChunkEnd, "5\r\nhello\n0\r\n\r\n".into()),
        (Refusal::ChunkEnd, "5\r\nhello\rX".into()),
        (Refusal::TrailersTooLarge, format!("0\r\nX: {}\r\n\r\n", "x".repeat(60))),
        (Refusal::BareLf, "0\r\nX: y\n\r\n".into()),
        (Refusal::BareLf, "0\r\n\n".into()),
        (Refusal::FieldFolded, "0\r\nX: y\r\n z\r\n\r\n".into()),
        (Refusal::FieldColonSpace, "0\r\nX : y\r\n\r\n".into()),
        (Refusal::FieldValue, "0\r\nX: \0\r\n\r\n".into()),
        (Refusal::TooManyFields, format!("0\r\n{}\r\n", "X: y\r\n".repeat(5))),
        (Refusal::Incomplete, "5\r\nhell".into()),
    ]
}
