//! Conditional and range requests for a file: RFC 9110 sections 13.2.2 and 14.
//!
//! One range is served as 206; of several, all of the file is (section 14.2 lets a server ignore Range). Dates have whole
//! seconds. Not here: reading the file.

use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is asked of a file, taken from a request: it is decided where the file is, which is another thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    if_match: Option<Vec<u8>>,
    if_unmodified_since: Option<SystemTime>,
    if_none_match: Option<Vec<u8>>,
    if_modified_since: Option<SystemTime>,
    if_range: Option<Vec<u8>>,
    range: Option<Vec<u8>>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 200 with all of it.
    Whole,
    /// 206 with so many octets from there on.
    Part {
        /// Of the first octet.
        from: u64,
        /// At least 1.
        length: u64,
    },
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

impl Conditions {
    pub(super) fn of(request: RequestView<'_>) -> Self {
        let joined = |known| {
            let all: Vec<&[u8]> = request.get_all(known).map(|field| field.value).collect();
            (!all.is_empty()).then(|| all.join(&b", "[..]))
        };
        let date = |known| request.get(known).and_then(read_date);
        let range = if request.method() == Method::Get { joined(Known::Range) } else { None };
        Self {
            if_match: joined(Known::IfMatch),
            if_unmodified_since: date(Known::IfUnmodifiedSince),
            if_none_match: joined(Known::IfNoneMatch),
            if_modified_since: date(Known::IfModifiedSince),
            if_range: if range.is_some() { joined(Known::IfRange) } else { None },
            range,
        }
    }

    /// Whether a part is asked for: parts are of the file as it is, so nothing is compressed then.
    pub(super) const fn asks_for_part(&self) -> bool {
        self.range.is_some()
    }

    /// Decides by the file's entity-tag (a strong one, with its quotes), its date and its length: section 13.2.2.
    pub(super) fn decide(&self, etag: &str, modified: SystemTime, length: u64) -> Verdict {
        let modified = whole_seconds(modified);
        match (&self.if_match, self.if_unmodified_since) {
            (Some(list), _) if !lists(list, etag, Comparison::Strong) => return Verdict::Failed,
            (None, Some(date)) if modified > date => return Verdict::Failed,
            (Some(_), _) | (None, _) => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(list), _) if lists(list, etag, Comparison::Weak) => return Verdict::NotModified,
            (None, Some(date)) if modified <= date => return Verdict::NotModified,
            (Some(_), _) | (None, _) => {}
        }
        match &self.range {
            Some(range) if self.range_counts(etag, modified) => part(range, length),
            Some(_) | None => Verdict::Whole,
        }
    }

    /// Section 13.1.5: a tag is compared strongly, a date exactly.
    fn range_counts(&self, etag: &str, modified: SystemTime) -> bool {
        match self.if_range.as_deref() {
            None => true,
            Some(tag @ ([b'"', ..] | [b'W', b'/', ..])) => tag == etag.as_bytes(),
            Some(date) => read_date(date) == Some(modified),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags, or `*`, has this one: section 8.8.3.2.
fn lists(list: &[u8], etag: &str, comparison: Comparison) -> bool {
    let mut members = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    members.any(|member| match (member, comparison) {
        (b"*", _) => true,
        (member, Comparison::Strong) => member == etag.as_bytes(),
        (member, Comparison::Weak) => member.strip_prefix(b"W/").unwrap_or(member) == etag.as_bytes(),
    })
}

/// Section 14.1.2. What is malformed is ignored (section 14.2), and so is more than one range.
fn part(range: &[u8], length: u64) -> Verdict {
    let Some(spec) = strip_unit(range) else { return Verdict::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Verdict::Whole };
    let (from, end) = match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => (length.saturating_sub(suffix), length),
        (Some(first), None) if last.is_empty() => (first, length),
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(length)),
        _malformed => return Verdict::Whole,
    };
    if from >= end { Verdict::Unsatisfiable } else { Verdict::Part { from, length: end - from } }
}

fn strip_unit(range: &[u8]) -> Option<&str> {
    let (unit, spec) = str::from_utf8(range).ok()?.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(spec)
}

fn read_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(str::from_utf8(value).ok()?).ok()
}

/// A time as Last-Modified can say it.
pub(super) fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    fn decide(method: &str, fields: &str) -> Verdict {
        let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        // Sun, 06 Nov 1994 08:49:37 GMT, and a bit.
        let modified = UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        Conditions::of(head.view(bytes.as_bytes())).decide("\"x\"", modified, 1_000)
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_the_rfc() {
        use Verdict::{Failed, NotModified, Part, Unsatisfiable, Whole};
        const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
        let part = |from, length| Part { from, length };
        for (fields, verdict) in [
            ("X: y".to_owned(), Whole),
            ("If-Match: \"x\"".into(), Whole),
            ("If-Match: \"y\", \"x\"".into(), Whole),
            ("If-Match: W/\"x\"".into(), Failed),
            ("If-Match: *".into(), Whole),
            ("If-Match: \"y\"\r\nIf-None-Match: \"x\"".into(), Failed),
            (format!("If-Unmodified-Since: {BEFORE}"), Failed),
            (format!("If-Unmodified-Since: {AT}"), Whole),
            (format!("If-Match: \"x\"\r\nIf-Unmodified-Since: {BEFORE}"), Whole),
            ("If-None-Match: \"x\"".into(), NotModified),
            ("If-None-Match: W/\"x\"".into(), NotModified),
            ("If-None-Match: \"y\"\r\nIf-None-Match: \"x\"".into(), NotModified),
            ("If-None-Match: *".into(), NotModified),
            (format!("If-Modified-Since: {AT}"), NotModified),
            (format!("If-Modified-Since: {BEFORE}"), Whole),
            ("If-Modified-Since: yesterday".into(), Whole),
            (format!("If-None-Match: \"y\"\r\nIf-Modified-Since: {AT}"), Whole),
            ("Range: bytes=0-0".into(), part(0, 1)),
            ("Range: bytes=990-2000".into(), part(990, 10)),
            ("Range: bytes=500-".into(), part(500, 500)),
            ("Range: bytes=-10".into(), part(990, 10)),
            ("Range: bytes=-2000".into(), part(0, 1_000)),
            ("Range: Bytes = 1-2".into(), part(1, 2)),
            ("Range: bytes=1000-".into(), Unsatisfiable),
            ("Range: bytes=-0".into(), Unsatisfiable),
            ("Range: bytes=99999999999999999999-".into(), Unsatisfiable),
            ("Range: bytes=2-1".into(), Whole),
            ("Range: bytes=0-1,3-4".into(), Whole),
            ("Range: lines=0-1".into(), Whole),
            ("Range: bytes=+1-2".into(), Whole),
            ("Range: bytes=".into(), Whole),
            ("Range: bytes=0-1\r\nIf-Range: \"x\"".into(), part(0, 2)),
            ("Range: bytes=0-1\r\nIf-Range: \"y\"".into(), Whole),
            ("Range: bytes=0-1\r\nIf-Range: W/\"x\"".into(), Whole),
            (format!("Range: bytes=0-1\r\nIf-Range: {AT}"), part(0, 2)),
            (format!("Range: bytes=0-1\r\nIf-Range: {BEFORE}"), Whole),
            ("Range: bytes=0-1\r\nIf-None-Match: \"x\"".into(), NotModified),
        ] {
            assert_eq!(decide("GET", &fields), verdict, "{fields}");
        }
        assert_eq!(decide("HEAD", "Range: bytes=0-1"), Whole);
    }

    #[test]
    fn an_empty_file_has_no_part() {
        assert_eq!(part(b"bytes=0-", 0), Verdict::Unsatisfiable);
        assert_eq!(part(b"bytes=-1", 0), Verdict::Unsatisfiable);
    }
}
