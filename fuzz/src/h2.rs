//! Heads between HTTP/2 and HTTP/1.1: whatever one side sends, the other has one reading of it, the same one.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request};
use shoalway_http::h2::fields::{read_trailers, write_trailers};
use shoalway_http::h2::request::{Form, Framing, Kind, read_request, write_request};
use shoalway_http::h2::response::{Question, read_response, write_response};
use shoalway_wire::http1::body::{BodyReader, Piece};
use shoalway_wire::http1::framing::BodyLength;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method;
use shoalway_wire::http1::request::{RequestHead, RequestView};
use shoalway_wire::http1::response::{Asked, ResponseHead};

/// A request: the first byte says whether the stream has ended and which form is wanted, then come lines: method and
/// URI, and a field each.
pub fn h2_request(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let Some(request) = request(data) else { return };
    let (parts, ()) = request.into_parts();
    let form = if how & 2 == 0 { Form::Origin } else { Form::Absolute };
    let mut out = Vec::new();
    let Ok(written) = write_request(&parts, how & 1 != 0, form, "a key", &mut out) else { return };
    let out = Bytes::from(out);
    let mut head = RequestHead::new();
    match head.parse(&out, &Limits::default()) {
        // The engine has a reason of its own.
        Err(_) => {}
        Ok(length) => {
            assert_eq!(length, Some(out.len()), "more than one head: {}", out.escape_ascii());
            let view = head.view(&out);
            check_framing(view, written.framing);
            check_back(view, &out, &parts);
        }
    }
}

fn request(data: &[u8]) -> Option<Request<()>> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(first.next()?).ok()?;
    *request.uri_mut() = first.next()?.try_into().ok()?;
    for line in lines {
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        let name = HeaderName::from_lowercase(name).ok()?;
        request.headers_mut().try_append(name, HeaderValue::from_bytes(value.get(2..)?).ok()?).ok()?;
    }
    Some(request)
}

fn check_framing(view: RequestView<'_>, framing: Framing) {
    let expected = match framing {
        Framing::None | Framing::Raw => BodyLength::None,
        Framing::Length(octets) => BodyLength::Length(octets),
        Framing::Chunked => BodyLength::Chunked,
    };
    let none = matches!((view.body(), expected), (BodyLength::None, BodyLength::Length(0)));
    assert!(view.body() == expected || none, "{:?} is not {expected:?}", view.body());
    assert!(!view.has(Known::Connection) && !view.has(Known::Upgrade) && !view.has(Known::KeepAlive));
}

/// Taken back to HTTP/2, it is the same request.
fn check_back(view: RequestView<'_>, head: &Bytes, parts: &http::request::Parts) {
    let Ok((again, kind)) = read_request(view, head, &Scheme::HTTP) else { return };
    assert_eq!(again.method(), parts.method);
    assert_eq!(kind == Kind::Connect, parts.method == Method::CONNECT);
    if let Some(authority) = parts.uri.authority() {
        assert_eq!(again.uri().authority(), Some(authority));
    }
    for (name, value) in &parts.headers {
        let elsewhere =
            matches!(name.as_str(), "host" | "cookie" | "te" | "content-length" | "http2-settings");
        assert!(
            elsewhere || again.headers().get_all(name).iter().any(|kept| kept == value),
            "{name} is lost"
        );
    }
}

/// An answer of HTTP/1.1: the first byte says what was asked.
pub fn h2_response(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let (method, kind) = match how % 4 {
        0 => (method::Method::Head, Kind::Exchange),
        1 => (method::Method::Connect, Kind::Connect),
        _ if how & 0x80 != 0 => (method::Method::Get, Kind::WebSocket),
        _ => (method::Method::Get, Kind::Exchange),
    };
    let question = Question { method, kind, key: "dGhlIHNhbXBsZSBub25jZQ==" };
    let asked = Asked { method, upgrade: kind == Kind::WebSocket };
    let mut head = ResponseHead::new();
    let Ok(Some(length)) = head.parse(data, &Limits::default(), asked) else { return };
    let bytes = Bytes::copy_from_slice(data.get(..length).unwrap_or_default());
    let view = head.view(&bytes);
    let Ok(response) = read_response(view, &bytes, &question) else { return };
    let ended = matches!(view.body(), BodyLength::None | BodyLength::Length(0));
    let (parts, ()) = response.into_parts();
    let mut out = Vec::new();
    let Ok(framing) = write_response(&parts, ended, &question, &mut out) else { return };
    let mut again = ResponseHead::new();
    let parsed = again.parse(&out, &Limits::default(), asked);
    // A field may have become longer by a space, and the head too long by that.
    let Ok(parsed) = parsed else { return };
    assert_eq!(parsed, Some(out.len()), "{}", out.escape_ascii());
    let copy = again.view(&out);
    assert_eq!(copy.status(), view.status());
    let same = match (view.body(), copy.body(), framing) {
        (BodyLength::UntilClose, BodyLength::Chunked, Framing::Chunked) => true,
        (BodyLength::None | BodyLength::Length(0), BodyLength::None | BodyLength::Length(0), _) => true,
        (before, after, _) => before == after,
    };
    assert!(same, "{:?} became {:?}", view.body(), copy.body());
}

/// A trailer section.
pub fn h2_trailers(data: &[u8]) {
    let Ok(fields) = read_trailers(&Bytes::copy_from_slice(data)) else { return };
    let mut out = b"0\r\n".to_vec();
    if write_trailers(&fields, &mut out).is_err() {
        return;
    }
    let mut reader = BodyReader::new(BodyLength::Chunked, &Limits::default());
    assert_eq!(reader.next(&out), Ok(Piece::Frame(3)));
    let section = Bytes::copy_from_slice(out.get(3..).unwrap_or_default());
    match reader.next(&section) {
        Ok(piece) => {
            assert_eq!(piece, Piece::Trailers(section.len()), "{}", section.escape_ascii());
            let again = read_trailers(&section).unwrap_or_default();
            assert_eq!(sorted(&again), sorted(&fields));
        }
        // Too many of them, or too long a name.
        Err(_) => assert!(fields.len() > 100 || section.len() > 254),
    }
}

fn sorted(fields: &HeaderMap) -> Vec<(&str, &[u8])> {
    let mut list: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    list.sort_unstable();
    list
}
