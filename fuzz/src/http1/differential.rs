//! Requests read beside hyper: whatever we accept, hyper must accept and read the same, on one connection, message
//! after message. What hyper accepts and we refuse is our choice; the other way round is how requests are smuggled.
//!
//! Differences that are explained, and the only ones that pass:
//! 1. **Characters in a target.** `http::Uri` knows fewer than we pass on (`<`, `` ` ``, `^` in a path, `[` in a
//!    query). It then answers 400 to the whole request: nothing is read two ways. See [`uri_can_hold`].
//! 2. **Connection with bytes outside ASCII.** hyper then reads no option of it, and closes after HTTP/1.0 with
//!    `keep-alive`; we read the options beside those bytes. It is about what comes next on the connection, not about
//!    where a message ends. See [`connection_is_ascii`].

use super::reference::{self, Seen};
use super::{Outcome, read_body};
use hyper::{Uri, Version as HyperVersion};
use shoalway_wire::http1::framing::Version;
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::request::{RequestHead, RequestView};
use shoalway_wire::http1::target::RequestTarget;
use std::collections::BTreeMap;

/// Reads `data` as what one client sends on one connection.
pub fn http1_differential(data: &[u8]) {
    let data = data.get(..super::MOST).unwrap_or(data);
    let mut theirs = None;
    let mut rest = data;
    let mut head = RequestHead::new();
    for number in 0.. {
        head.clear();
        let Ok(Some(length)) = head.parse(rest, &Limits::default()) else { return };
        let (bytes, behind) = rest.split_at(length);
        let view = head.view(bytes);
        if !uri_can_hold(view) {
            return;
        }
        let body = read_body(view.body(), &[behind], &Limits::default(), false);
        if let Some(Err(_refused)) = body.end {
            return;
        }
        let all = theirs.get_or_insert_with(|| reference::requests(data));
        let Some(seen) = all.get(number) else {
            // A body that breaks off never reaches hyper's service as a whole; it may also not be begun.
            assert!(body.end.is_none(), "hyper refuses request {number}: {}", bytes.escape_ascii());
            return;
        };
        compare(view, &body, seen);
        let tunnel = matches!(view.target(), RequestTarget::Authority(_));
        if body.end.is_none() || !view.keep_alive() || tunnel || !connection_is_ascii(view) {
            return;
        }
        rest = behind.get(body.taken..).unwrap_or_default();
    }
}

fn compare(view: RequestView<'_>, body: &Outcome, seen: &Seen) {
    assert_eq!(view.method_str(), seen.method);
    let version = match view.version() {
        Version::Http10 => HyperVersion::HTTP_10,
        Version::Http11 => HyperVersion::HTTP_11,
    };
    assert_eq!(version, seen.version);
    compare_target(view.target(), &seen.uri);
    assert_eq!(ours(view), hypers(seen), "fields");
    match (&body.end, &seen.content) {
        (Some(_), content) => assert_eq!(Some(&body.content), content.as_ref(), "content"),
        (None, content) => assert_eq!(*content, None, "we wait for more, hyper has a whole body"),
    }
}

fn compare_target(target: RequestTarget<'_>, uri: &Uri) {
    let theirs = uri.path_and_query().map_or("", |path| path.as_str());
    match target {
        RequestTarget::Origin(path) => assert_eq!((path, None), (theirs.as_bytes(), uri.authority())),
        RequestTarget::Asterisk => assert_eq!(("*", None), (theirs, uri.authority())),
        RequestTarget::Authority(authority) => {
            assert_eq!(Some(authority), uri.authority().map(|authority| authority.as_str()));
        }
        RequestTarget::Absolute { scheme, authority, path } => {
            assert_eq!(Some(scheme.word()), uri.scheme_str().map(str::to_ascii_lowercase).as_deref());
            assert_eq!(Some(authority), uri.authority().map(|authority| authority.as_str()));
            // An empty path reads `/`, with OPTIONS `*`; hyper says `/` to both.
            let path = if path == b"*" { b"/" } else { path };
            assert_eq!(rooted(path), rooted(theirs.as_bytes()));
        }
    }
}

/// Path and query with the slash that an empty path stands for.
fn rooted(path: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.first() == Some(&b'/') { b"" } else { b"/" };
    [slash, path].concat()
}

type Fields = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Values by name, in order. hyper does not keep the order of different names.
fn ours(view: RequestView<'_>) -> Fields {
    let mut fields = Fields::new();
    for field in view.fields() {
        fields.entry(field.name.to_ascii_lowercase()).or_default().push(field.value.to_vec());
    }
    fields
}

fn hypers(seen: &Seen) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in &seen.headers {
        fields.entry(name.as_str().as_bytes().to_vec()).or_default().push(value.as_bytes().to_vec());
    }
    fields
}

/// Whether `http::Uri` takes the target; difference 1.
fn uri_can_hold(view: RequestView<'_>) -> bool {
    Uri::try_from(view.raw_target()).is_ok()
}

/// Whether hyper reads the connection options; difference 2.
fn connection_is_ascii(view: RequestView<'_>) -> bool {
    view.connection_options().all(<[u8]>::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] =
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\
        GET http://a/b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";

    #[test]
    fn hyper_reads_both_requests_of_a_connection() {
        let seen = reference::requests(TWO);
        let read: Vec<_> = seen
            .iter()
            .map(|seen| (seen.method.as_str(), seen.uri.path(), seen.content.as_deref()))
            .collect();
        assert_eq!(read, [("POST", "/a", Some(&b"hi"[..])), ("GET", "/b", Some(b""))]);
        http1_differential(TWO);
    }

    /// Compares what we read in one request with what hyper reads in another.
    fn compare_with(ours: &[u8], theirs: &[u8]) {
        let mut head = RequestHead::new();
        let length = head.parse(ours, &Limits::default()).unwrap().unwrap();
        let body = read_body(head.view(ours).body(), &[&ours[length..]], &Limits::default(), false);
        compare(head.view(ours), &body, &reference::requests(theirs)[0]);
    }

    #[test]
    fn a_difference_does_not_go_unnoticed() {
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        compare_with(post, post);
        for other in [
            &b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"[..],
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nhi",
            b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nho",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh",
        ] {
            let noticed = std::panic::catch_unwind(|| compare_with(post, other)).is_err();
            assert!(noticed, "{}", other.escape_ascii());
        }
    }
}
