//! Answers of upstreams that are compressed on their way to the client: which ones, and what that changes in their heads.
//!
//! Another coding is another representation (RFC 9110 section 8.8.1): a strong entity-tag becomes a weak one, digests and
//! ranges of the old bytes go, and caches are told what the choice depended on. Left alone is what is coded already, must
//! not be transformed (RFC 9111 section 5.2.2.6), is a part, is short, or is no text; streams of events and types of one's
//! own only where the site names them. Not here: the coding itself (`stream.rs`), length and framing (`http`).

use super::stream::{Room, Streaming};
use super::{Coding, LEAST, choose, essence, is_text};
use shoalway_http::filter::BodyFilter;
use shoalway_net::shard::Shard;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::fields::FieldsView;
use shoalway_wire::http1::framing::BodyLength;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use std::rc::Rc;

/// What of an upstream's answers is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Codings that are offered, the best first; with none nothing is compressed.
    pub codings: Box<[Coding]>,
    /// Media types that are compressed besides texts, such as `text/event-stream`.
    pub types: Box<[Box<str>]>,
}

impl Compression {
    /// Every coding, texts alone.
    #[must_use]
    pub fn of_texts() -> Self {
        Self { codings: Coding::ALL.into(), types: Box::default() }
    }

    /// Marks what changes in an answer's head, and gives what its content goes through.
    pub(crate) fn begin(
        &self,
        shard: &Rc<Shard>,
        request: RequestView<'_>,
        response: ResponseView<'_>,
        edits: &mut Edits,
    ) -> Option<Box<dyn BodyFilter>> {
        if response.status() == 304 {
            weaken_if_known_so(request, response, edits);
            return None;
        }
        if !self.is_for(request, response) {
            return None;
        }
        say_vary(response, edits);
        let coding = self.coding(request)?;
        let length = match response.body() {
            BodyLength::Length(octets) => Some(octets),
            BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => None,
        };
        // Without room for one more the content leaves as it is, which every client understands.
        let streaming = Streaming::begin(coding, length, &shard.local(Room::default))?;
        edits.add(b"Content-Encoding", coding.word().as_bytes());
        weaken(response, edits);
        drop_facts_of_the_old_bytes(response, edits);
        Some(Box::new(streaming))
    }

    /// Whether an answer is one that some client may get compressed.
    fn is_for(&self, request: RequestView<'_>, response: ResponseView<'_>) -> bool {
        let length = match response.body() {
            BodyLength::None => return false,
            BodyLength::Length(octets) => octets,
            BodyLength::Chunked | BodyLength::UntilClose => u64::MAX,
        };
        let is_part = response.status() == 206 || response.has(Known::ContentRange);
        let coded = response.has(Known::ContentEncoding);
        let kept = forbids_transforming(&request) || forbids_transforming(&response);
        let long_enough = length >= LEAST as u64;
        let asked = request.method() != Method::Head && request.method() != Method::Connect;
        asked && !is_part && !coded && long_enough && !kept && self.is_of_type(response)
    }

    fn is_of_type(&self, response: ResponseView<'_>) -> bool {
        let Some(content_type) = response.get(Known::ContentType) else { return false };
        let essence = essence(content_type);
        let named = self.types.iter().any(|named| named.as_bytes().eq_ignore_ascii_case(essence));
        named || (is_text(essence) && !essence.eq_ignore_ascii_case(EVENTS))
    }

    fn coding(&self, request: RequestView<'_>) -> Option<Coding> {
        if !request.has(Known::AcceptEncoding) {
            return None;
        }
        let accept: Vec<&[u8]> = request.get_all(Known::AcceptEncoding).map(|field| field.value).collect();
        choose(&accept, self.codings.iter().copied())
    }
}

/// Servers make these piece by piece and clients wait for each.
const EVENTS: &[u8] = b"text/event-stream";

/// Fields about the bytes as they were sent: RFC 9530, RFC 1864, RFC 3230.
const DIGESTS: [&[u8]; 4] = [b"content-digest", b"repr-digest", b"digest", b"content-md5"];

fn list<'a>(fields: &FieldsView<'a>, known: Known) -> impl Iterator<Item = &'a [u8]> {
    fields.get_all(known).flat_map(|field| field.value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn forbids_transforming(fields: &FieldsView<'_>) -> bool {
    fields.has(Known::CacheControl)
        && list(fields, Known::CacheControl).any(|word| word.eq_ignore_ascii_case(b"no-transform"))
}

/// RFC 9110 section 12.5.5; said of the plain form as well, or a cache would give it to everybody.
fn say_vary(response: ResponseView<'_>, edits: &mut Edits) {
    let said = list(&response, Known::Vary)
        .any(|member| member == b"*" || member.eq_ignore_ascii_case(b"accept-encoding"));
    if !said {
        edits.add(b"Vary", b"Accept-Encoding");
    }
}

/// The same entity-tag must not name two sequences of bytes: RFC 9110 section 8.8.3.
fn weaken(response: ResponseView<'_>, edits: &mut Edits) {
    for field in response.get_all(Known::Etag) {
        if !edits.is_dropped(field.index) && field.value.first() == Some(&b'"') {
            edits.replace(field.index, b"ETag", &[b"W/", field.value].concat());
        }
    }
}

/// A client that knows the tag as a weak one is told so again: a strong one would seem to name the bytes it has.
fn weaken_if_known_so(request: RequestView<'_>, response: ResponseView<'_>, edits: &mut Edits) {
    let Some(tag) = response.get(Known::Etag).filter(|tag| tag.first() == Some(&b'"')) else { return };
    let mut known = list(&request, Known::IfNoneMatch);
    if known.any(|member| member.strip_prefix(b"W/") == Some(tag)) {
        weaken(response, edits);
    }
}

fn drop_facts_of_the_old_bytes(response: ResponseView<'_>, edits: &mut Edits) {
    edits.drop_known(&response, Known::AcceptRanges);
    let is_digest = |name: &[u8]| DIGESTS.iter().any(|digest| name.eq_ignore_ascii_case(digest));
    let digests = response.fields().filter(|field| field.known.is_none() && is_digest(field.name));
    digests.for_each(|field| edits.drop_field(field.index));
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::compose::write_response;
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;
    use shoalway_wire::http1::response::{Asked, ResponseHead};

    /// The head that leaves for these fields of a request and an answer, and whether there is a filter.
    fn leaves(compression: &Compression, asked: &str, answered: &str) -> (String, bool) {
        let (method, fields) = asked.split_once(' ').unwrap_or((asked, ""));
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields.replace('|', "\r\n"));
        let answer = format!("HTTP/1.1 {}\r\n", answered.replace('|', "\r\n"));
        let (mut asked, mut head) = (RequestHead::new(), ResponseHead::new());
        asked.parse(request.as_bytes(), &Limits::default()).unwrap().unwrap();
        let asked = asked.view(request.as_bytes());
        head.parse(answer.as_bytes(), &Limits::default(), Asked::from(asked)).unwrap().unwrap();
        let view = head.view(answer.as_bytes());
        let (mut edits, mut out, mut filtered) = (Edits::new(), Vec::new(), false);
        Shard::test(async |shard| {
            filtered = compression.begin(&shard, asked, view, &mut edits).is_some();
        });
        write_response(&mut out, view, &edits);
        (String::from_utf8(out).unwrap().replace("\r\n", "|"), filtered)
    }

    const TEXT: &str = "200 OK|Content-Type: text/html|Content-Length: 5000|";

    #[test]
    fn a_compressed_answer_says_so_and_loses_what_is_no_longer_true() {
        let answer = "200 OK|Content-Type: text/html|ETag: \"a\"|Accept-Ranges: bytes|Vary: Origin|\
                      Content-Digest: sha-256=:x:|Content-MD5: y|X-Kept: 1|Transfer-Encoding: chunked|";
        let (head, filtered) = leaves(&Compression::of_texts(), "GET Accept-Encoding: gzip, br|", answer);
        assert!(filtered);
        assert_eq!(
            head,
            "HTTP/1.1 200 OK|Content-Type: text/html|ETag: W/\"a\"|Vary: Origin|X-Kept: 1|\
             Transfer-Encoding: chunked|Vary: Accept-Encoding|Content-Encoding: br||"
        );
    }

    #[test]
    fn what_caches_must_know_is_said_of_the_plain_form_too() {
        for asked in ["GET", "GET Accept-Encoding: deflate|", "GET Accept-Encoding: identity, gzip;q=0.1|"] {
            let (head, filtered) = leaves(&Compression::of_texts(), asked, TEXT);
            assert_eq!(
                (head, filtered),
                (format!("HTTP/1.1 {TEXT}Vary: Accept-Encoding||"), false),
                "{asked}"
            );
        }
        for vary in ["Vary: *|", "Vary: origin, accept-encoding|"] {
            let (head, _) = leaves(&Compression::of_texts(), "GET", &format!("{TEXT}{vary}"));
            assert_eq!(head, format!("HTTP/1.1 {TEXT}{vary}|"));
        }
    }

    #[test]
    fn what_must_or_need_not_be_compressed_passes_untouched() {
        let gzip = "GET Accept-Encoding: gzip|";
        for (asked, answer) in [
            (gzip, "200 OK|Content-Type: text/html|Content-Length: 1023|"),
            (gzip, "200 OK|Content-Type: image/png|Content-Length: 5000|"),
            (gzip, "200 OK|Content-Length: 5000|"),
            (gzip, "200 OK|Content-Type: text/html|Content-Encoding: br|Content-Length: 5000|"),
            (
                gzip,
                "200 OK|Content-Type: text/html|Cache-Control: public, No-Transform|Content-Length: 5000|",
            ),
            ("GET Accept-Encoding: gzip|Cache-Control: no-transform|", TEXT),
            (
                gzip,
                "206 Partial|Content-Type: text/html|Content-Range: bytes 0-4999/9000|Content-Length: 5000|",
            ),
            (gzip, "200 OK|Content-Type: text/event-stream|Transfer-Encoding: chunked|"),
            (gzip, "200 OK|Content-Type: application/grpc|Transfer-Encoding: chunked|"),
            (gzip, "204 No Content|Content-Type: text/html|"),
            (gzip, "304 Not Modified|Content-Type: text/html|ETag: \"a\"|"),
            ("HEAD Accept-Encoding: gzip|", TEXT),
        ] {
            let (head, filtered) = leaves(&Compression::of_texts(), asked, answer);
            assert_eq!((head, filtered), (format!("HTTP/1.1 {answer}|"), false), "{answer}");
        }
    }

    #[test]
    fn types_that_are_named_are_compressed_too_and_only_codings_that_are_offered() {
        let compression = Compression {
            codings: [Coding::Gzip].into(),
            types: ["text/event-stream".into(), "application/x-log".into()].into(),
        };
        for content_type in ["text/event-stream", "Application/X-Log; a=b", "text/plain"] {
            let answer = format!("200 OK|Content-Type: {content_type}|Transfer-Encoding: chunked|");
            let (head, filtered) = leaves(&compression, "GET Accept-Encoding: zstd, br, gzip|", &answer);
            assert!(filtered && head.contains("|Content-Encoding: gzip|"), "{head}");
        }
        let (_, filtered) = leaves(&compression, "GET Accept-Encoding: zstd, br|", TEXT);
        assert!(!filtered);
    }

    #[test]
    fn who_knows_a_tag_as_weak_is_told_so_again() {
        let answer = "304 Not Modified|ETag: \"a\"|";
        for (known, tag) in
            [("W/\"a\"", "W/\"a\""), ("\"b\", W/\"a\"", "W/\"a\""), ("\"a\"", "\"a\""), ("W/\"b\"", "\"a\"")]
        {
            let (head, _) = leaves(&Compression::of_texts(), &format!("GET If-None-Match: {known}|"), answer);
            assert_eq!(head, format!("HTTP/1.1 304 Not Modified|ETag: {tag}||"), "{known}");
        }
    }
}
