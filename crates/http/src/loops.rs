//! Cuts loops: `Via` with our own pseudonym in it, `Max-Forwards` of TRACE and OPTIONS. RFC 9110 section 7.6.
//!
//! The pseudonym has a random part, made when the process starts: two proxies of this kind in a row are no loop.
//! At level elite no `Via` is sent, so the forward proxy also refuses its own listeners as targets. Not here: that
//! check (`forward`, `net/egress_guard`).

use crate::answer::Answer;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::fields::FieldView;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// What stands for this process in `Via`: a token, at most 24 octets.
#[must_use]
pub fn pseudonym() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let random = RandomState::new().hash_one(std::process::id());
        format!("shoalway-{:06x}", random & 0x00ff_ffff)
    });
    &NAME
}

/// The answer to a request that must not go on: a loop, or a TRACE or OPTIONS that has come as far as it may.
#[must_use]
pub fn answer(request: RequestView<'_>) -> Option<Answer> {
    if request.has(Known::Via) && comes_back(request) {
        return Some(Answer::error(
            502,
            "proxy_loop_detected",
            "",
            "The request has been here before: proxies are pointing at one another.",
        ));
    }
    if !request.has(Known::MaxForwards) {
        return None;
    }
    match (request.method(), max_forwards(request)) {
        (Method::Trace | Method::Options, Hops::Bad) => {
            Some(Answer::error(400, "http_request_error", "max_forwards", "Max-Forwards is not one number."))
        }
        (Method::Trace, Hops::Left(0)) => Some(Answer::plain(200, "message/http", echo(request))),
        (Method::Options, Hops::Left(0)) => Some(Answer::empty(200).field("Allow", ALLOWED)),
        // RFC 9110 section 7.6.2: it may be ignored for other methods.
        (
            Method::Get
            | Method::Head
            | Method::Post
            | Method::Put
            | Method::Delete
            | Method::Connect
            | Method::Options
            | Method::Trace
            | Method::Patch
            | Method::Other,
            Hops::Left(_) | Hops::Unlimited | Hops::Bad,
        ) => None,
    }
}

/// Marks the new value of Max-Forwards in a TRACE or OPTIONS that goes on.
pub fn count_down(request: RequestView<'_>, edits: &mut Edits) {
    if !request.has(Known::MaxForwards) || !matches!(request.method(), Method::Trace | Method::Options) {
        return;
    }
    if let Hops::Left(hops) = max_forwards(request) {
        edits.drop_known(&request, Known::MaxForwards);
        edits.add(b"Max-Forwards", hops.saturating_sub(1).to_string().as_bytes());
    }
}

/// Methods that this proxy takes; it passes on others, too.
const ALLOWED: &str = "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH";

/// Whether a member of Via is ours: `1.1 name`, perhaps with a comment behind it.
fn comes_back(request: RequestView<'_>) -> bool {
    let members = request.get_all(Known::Via).flat_map(|field| field.value.split(|byte| *byte == b','));
    members.into_iter().any(|member| {
        let mut words = member.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(pseudonym().as_bytes()))
    })
}

enum Hops {
    Unlimited,
    Left(u64),
    Bad,
}

fn max_forwards(request: RequestView<'_>) -> Hops {
    let mut all = request.get_all(Known::MaxForwards);
    match (all.next(), all.next()) {
        (None, _) => Hops::Unlimited,
        (Some(FieldView { value, .. }), None)
            if !value.is_empty() && value.iter().all(u8::is_ascii_digit) =>
        {
            // More than fits is more than any chain of proxies has.
            Hops::Left(str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX))
        }
        (Some(_), _) => Hops::Bad,
    }
}

/// The request as it came, less what RFC 9110 section 9.3.8 calls sensitive.
fn echo(request: RequestView<'_>) -> Vec<u8> {
    let mut out = request.method_str().as_bytes().to_vec();
    out.push(b' ');
    out.extend_from_slice(request.raw_target());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for field in request.fields().filter(|field| !is_sensitive(field)) {
        out.extend_from_slice(field.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn is_sensitive(field: &FieldView<'_>) -> bool {
    matches!(field.known, Some(Known::Authorization | Known::ProxyAuthorization | Known::Cookie))
        || field.name.eq_ignore_ascii_case(b"Cookie2")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::compose::{RequestLine, write_request};
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    /// Status and body of the answer, or the fields of the request that goes on.
    fn outcome(method: &str, fields: &str) -> (u16, String) {
        let bytes = format!("{method} http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        let view = head.view(bytes.as_bytes());
        if let Some(answer) = answer(view) {
            return (answer.status(), String::from_utf8(answer.body().to_vec()).unwrap());
        }
        let (mut edits, mut out) = (Edits::new(), Vec::new());
        count_down(view, &mut edits);
        write_request(&mut out, view, RequestLine::AsSent, &edits);
        (0, String::from_utf8(out).unwrap().split_once("a.example\r\n").unwrap().1.replace("\r\n", "|"))
    }

    #[test]
    fn a_request_that_was_here_before_is_refused() {
        for (via, status) in [
            (format!("1.1 {}", pseudonym()), 502),
            (format!("1.0 a, 1.1 {} (comment), 1.1 b", pseudonym()), 502),
            (format!("1.0 a\r\nvia: 1.1 {}", pseudonym().to_uppercase()), 502),
            ("1.1 shoalway".to_owned(), 0),
            (format!("1.1 a ({})", pseudonym()), 0),
            (format!("1.1 {}x", pseudonym()), 0),
        ] {
            assert_eq!(outcome("GET", &format!("Via: {via}\r\n")).0, status, "{via}");
        }
    }

    #[test]
    fn max_forwards_counts_down_and_ends() {
        for (method, value, goes_on) in [
            ("OPTIONS", "5", Some("Max-Forwards: 4||")),
            ("TRACE", "1", Some("Max-Forwards: 0||")),
            ("OPTIONS", "99999999999999999999999", Some("Max-Forwards: 18446744073709551614||")),
            ("GET", "0", Some("Max-Forwards: 0||")),
            ("GET", "x", Some("Max-Forwards: x||")),
            ("OPTIONS", "0", None),
            ("OPTIONS", "-1", None),
        ] {
            let (status, text) = outcome(method, &format!("Max-Forwards: {value}\r\n"));
            assert_eq!((status == 0).then_some(text.as_str()), goes_on, "{method} {value}");
        }
        assert_eq!(outcome("OPTIONS", "Max-Forwards: 0\r\n").0, 200);
        assert_eq!(outcome("TRACE", "Max-Forwards: 1\r\nMax-Forwards: 2\r\n").0, 400);
    }

    #[test]
    fn an_echo_tells_no_secret() {
        let (status, text) = outcome(
            "TRACE",
            "Max-Forwards: 0\r\nX-A: b\r\nCookie: c\r\nauthorization: d\r\nProxy-Authorization: e\r\n",
        );
        assert_eq!(status, 200);
        assert_eq!(
            text,
            "TRACE http://a.example/ HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\nX-A: b\r\n\r\n"
        );
    }
}
