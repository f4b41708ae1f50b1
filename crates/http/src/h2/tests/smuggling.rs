//! Every way to say two things at once over HTTP/2, as one table: what is written for the engine, or why nothing is.

use crate::h2::fields::{Malformed, read_trailers, write_trailers};
use crate::h2::request::{Form, Framing, Kind, Written, write_request};
use crate::h2::response::{Question, write_response};
use bytes::Bytes;
use h2::ext::Protocol;
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method as Known;
use shoalway_wire::http1::request::RequestHead;

/// A request as the `h2` crate hands it over. `uri` is `scheme://authority/path`, or what there is of it.
struct Asked<'a> {
    method: &'a str,
    uri: &'a str,
    protocol: Option<&'static str>,
    fields: &'a [(&'static str, &'a str)],
    ended: bool,
}

fn get<'a>(uri: &'a str, fields: &'a [(&'static str, &'a str)]) -> Asked<'a> {
    Asked { method: "GET", uri, protocol: None, fields, ended: true }
}

fn written(asked: &Asked<'_>, form: Form) -> Result<(String, Written), Malformed> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(asked.method.as_bytes()).unwrap();
    *request.uri_mut() = match asked.uri {
        "" => Uri::from_parts(http::uri::Parts::default()).unwrap(),
        uri => uri.parse().unwrap(),
    };
    if let Some(protocol) = asked.protocol {
        request.extensions_mut().insert(Protocol::from_static(protocol));
    }
    for (name, value) in asked.fields {
        request.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
    }
    let mut out = Vec::new();
    let written = write_request(&request.into_parts().0, asked.ended, form, "KEY", &mut out)?;
    let text = String::from_utf8(out).unwrap();
    let mut head = RequestHead::new();
    let read = head.parse(text.as_bytes(), &Limits::default());
    assert!(read.is_err() || read == Ok(Some(text.len())), "{text}");
    Ok((text, written))
}

#[test]
fn what_has_two_readings_is_refused() {
    const URI: &str = "https://a.example/";
    for (asked, why) in [
        (get(URI, &[("connection", "close")]), Malformed::ConnectionField),
        (get(URI, &[("connection", "content-length")]), Malformed::ConnectionField),
        (get(URI, &[("transfer-encoding", "chunked")]), Malformed::ConnectionField),
        (get(URI, &[("transfer-encoding", "identity")]), Malformed::ConnectionField),
        (get(URI, &[("upgrade", "h2c")]), Malformed::ConnectionField),
        (get(URI, &[("keep-alive", "1")]), Malformed::ConnectionField),
        (get(URI, &[("proxy-connection", "x")]), Malformed::ConnectionField),
        (get(URI, &[("te", "chunked")]), Malformed::Te),
        (get(URI, &[("te", "trailers, chunked")]), Malformed::Te),
        (get(URI, &[("host", "b.example")]), Malformed::Host),
        (get(URI, &[("host", "a.example:443")]), Malformed::Host),
        (get(URI, &[("host", "a.example"), ("host", "a.example")]), Malformed::Host),
        (get(URI, &[("x-a", " leading")]), Malformed::Value),
        (get(URI, &[("x-a", "trailing\t")]), Malformed::Value),
        (get("/", &[("host", " a.example")]), Malformed::Value),
        (get("ftp://a.example/", &[]), Malformed::Scheme),
        (get("", &[("host", "a.example")]), Malformed::Path),
        (get("*", &[("host", "a.example")]), Malformed::Path),
        (get(URI, &[("content-length", "1")]), Malformed::Length),
        (get(URI, &[("content-length", "")]), Malformed::Length),
        (get(URI, &[("content-length", "+0")]), Malformed::Length),
        (get(URI, &[("content-length", "0, 0")]), Malformed::Length),
        (get(URI, &[("content-length", "0"), ("content-length", "1")]), Malformed::Length),
        (get(URI, &[("content-length", "99999999999999999999")]), Malformed::Length),
        (Asked { method: "CONNECT", ..get("/", &[]) }, Malformed::Authority),
        (Asked { method: "CONNECT", ..get("a.example:1", &[("content-length", "3")]) }, Malformed::Length),
        (Asked { method: "CONNECT", protocol: Some("webtransport"), ..get(URI, &[]) }, Malformed::Protocol),
        (Asked { protocol: Some("websocket"), ..get(URI, &[]) }, Malformed::Protocol),
    ] {
        for form in [Form::Origin, Form::Absolute] {
            let said = written(&asked, form).map(|(text, _)| text);
            assert_eq!(said, Err(why), "{} {} {:?}", asked.method, asked.uri, asked.fields);
        }
    }
}

/// Checks the head that a request becomes; `|` stands for the end of a line.
fn check(asked: &Asked<'_>, form: Form, text: &str, kind: Kind, framing: Framing) {
    assert_eq!(written(asked, form), Ok((text.replace('|', "\r\n"), Written { kind, framing })));
}

const URI: &str = "https://a.example/p?q";

#[test]
fn what_has_one_reading_is_written_so() {
    const HEAD: &str = "GET /p?q HTTP/1.1|host: a.example|";
    for (asked, form, text) in [
        (get(URI, &[]), Form::Origin, format!("{HEAD}|")),
        (get(URI, &[]), Form::Absolute, "GET https://a.example/p?q HTTP/1.1|host: a.example||".to_owned()),
        (get("/p", &[("host", "a.example")]), Form::Origin, "GET /p HTTP/1.1|host: a.example||".to_owned()),
        (get("/p", &[]), Form::Origin, "GET /p HTTP/1.1||".to_owned()),
        (
            get(URI, &[("host", "A.example"), ("te", "trailers")]),
            Form::Origin,
            format!("{HEAD}te: trailers||"),
        ),
        (
            get(URI, &[("cookie", "a=1"), ("x-b", "2"), ("cookie", "c=3")]),
            Form::Origin,
            format!("{HEAD}x-b: 2|cookie: a=1; c=3||"),
        ),
        (
            Asked { method: "OPTIONS", ..get("*", &[("host", "a.example")]) },
            Form::Origin,
            "OPTIONS * HTTP/1.1|host: a.example||".to_owned(),
        ),
        (
            Asked { method: "OPTIONS", ..get("*", &[("host", "a.example")]) },
            Form::Absolute,
            "OPTIONS http://a.example HTTP/1.1|host: a.example||".to_owned(),
        ),
    ] {
        check(&asked, form, &text, Kind::Exchange, Framing::None);
    }
}

#[test]
fn content_has_one_framing() {
    const HEAD: &str = "POST /p?q HTTP/1.1|host: a.example|";
    let seven: &[_] = &[("content-length", "007"), ("content-length", "7")];
    for (fields, ended, line, framing) in [
        (&[("content-length", "0")][..], true, "content-length: 0|", Framing::Length(0)),
        (seven, false, "content-length: 7|", Framing::Length(7)),
        (&[], false, "transfer-encoding: chunked|", Framing::Chunked),
        (&[], true, "", Framing::None),
    ] {
        let asked = Asked { method: "POST", ended, ..get(URI, fields) };
        check(&asked, Form::Origin, &format!("{HEAD}{line}|"), Kind::Exchange, framing);
    }
}

#[test]
fn tunnels_are_asked_for_in_the_way_of_http1() {
    let connect = Asked { method: "CONNECT", ended: false, ..get("a.example:443", &[("x-a", "1")]) };
    let text = "CONNECT a.example:443 HTTP/1.1|host: a.example:443|x-a: 1||";
    check(&connect, Form::Origin, text, Kind::Connect, Framing::Raw);
    let websocket = Asked {
        method: "CONNECT",
        protocol: Some("websocket"),
        ended: false,
        ..get(URI, &[("sec-websocket-key", "theirs"), ("sec-websocket-protocol", "chat")])
    };
    let text = "GET /p?q HTTP/1.1|host: a.example|sec-websocket-protocol: chat|connection: Upgrade|\
                upgrade: websocket|sec-websocket-key: KEY||";
    check(&websocket, Form::Origin, text, Kind::WebSocket, Framing::Raw);
}

#[test]
fn trailers_are_as_strict_as_heads() {
    for (name, value, why) in [
        ("x-sum", "1", None),
        ("te", "gzip", Some(Malformed::Te)),
        ("connection", "x-sum", Some(Malformed::ConnectionField)),
        ("transfer-encoding", "chunked", Some(Malformed::ConnectionField)),
        ("x-sum", " 1", Some(Malformed::Value)),
    ] {
        let mut fields = HeaderMap::new();
        fields.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        assert_eq!(write_trailers(&fields, &mut Vec::new()).err(), why, "{name}: {value}");
    }
    let section = Bytes::from_static(b"X-Sum: 1\r\nKeep-Alive: 2\r\nTE: trailers\r\n\r\n");
    let fields = read_trailers(&section).unwrap();
    assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[test]
fn answers_of_upstreams_are_as_strict() {
    let question = Question { method: Known::Get, kind: Kind::Exchange, key: "" };
    let head = Question { method: Known::Head, ..question };
    let connect = Question { method: Known::Connect, kind: Kind::Connect, key: "" };
    let websocket = Question { kind: Kind::WebSocket, key: "dGhlIHNhbXBsZSBub25jZQ==", ..question };
    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let close = "connection: close";
    for (status, fields, ended, question, expected) in [
        (200, &[][..], true, question, Ok((format!("content-length: 0|{close}"), Framing::None))),
        (200, &[], false, question, Ok((format!("transfer-encoding: chunked|{close}"), Framing::Chunked))),
        (
            200,
            &[("content-length", "5")],
            false,
            question,
            Ok((format!("content-length: 5|{close}"), Framing::Length(5))),
        ),
        (200, &[("content-length", "5")], true, question, Err(Malformed::Length)),
        (
            200,
            &[("content-length", "5")],
            true,
            head,
            Ok((format!("content-length: 5|{close}"), Framing::None)),
        ),
        (
            304,
            &[("content-length", "5")],
            true,
            question,
            Ok((format!("content-length: 5|{close}"), Framing::None)),
        ),
        (204, &[], true, question, Ok((close.to_owned(), Framing::None))),
        (103, &[("link", "x")], false, question, Ok(("link: x".to_owned(), Framing::None))),
        (101, &[], false, question, Err(Malformed::Status)),
        (600, &[], false, question, Err(Malformed::Status)),
        (200, &[("transfer-encoding", "chunked")], false, question, Err(Malformed::ConnectionField)),
        (200, &[("connection", "close")], false, question, Err(Malformed::ConnectionField)),
        (200, &[("content-length", "1"), ("content-length", "2")], false, question, Err(Malformed::Length)),
        (200, &[("x-a", "b ")], false, question, Err(Malformed::Value)),
        (200, &[("x-a", "1")], false, connect, Ok(("x-a: 1".to_owned(), Framing::Raw))),
        (403, &[], true, connect, Ok((format!("content-length: 0|{close}"), Framing::None))),
        (
            200,
            &[],
            false,
            websocket,
            Ok((
                format!("connection: Upgrade|upgrade: websocket|sec-websocket-accept: {accept}"),
                Framing::Raw,
            )),
        ),
    ] {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut out = Vec::new();
        let said = write_response(&response.body(()).unwrap().into_parts().0, ended, &question, &mut out);
        let fields = String::from_utf8(out).unwrap();
        let shown = fields.split_once("\r\n").map(|(_, fields)| fields.trim_end().replace("\r\n", "|"));
        let said = said.map(|framing| (shown.unwrap_or_default(), framing));
        assert_eq!(said, expected, "{status}");
    }
}
