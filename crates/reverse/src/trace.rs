//! W3C Trace Context, level 1: a request that belongs to no trace yet begins one.
//!
//! A `traceparent` that is whole passes as it came, with its `tracestate`, unless the request is sampled here: then its span
//! is the parent of what follows ([`OpenSpan`]). One that is broken is no trace (section 3.2.2.2): it is replaced, and
//! `tracestate` goes with it. Not here: where spans are sent (`app`).

mod spans;

pub use spans::{Follow, OpenSpan, RequestSpan, SpanCounters, SpanSink, Tracer, Tracing, TrySpan};

use crate::dice::Dice;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::request::RequestView;
use std::io::Write as _;

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// Whether a value is a `traceparent` that can be carried on: section 3.2.2.
#[must_use]
pub fn is_whole(value: &[u8]) -> bool {
    let mut parts = value.splitn(5, |byte| *byte == b'-');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_hex = |text: &[u8], octets: usize| {
        text.len() == octets && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_set = |text: &[u8]| text.iter().any(|byte| *byte != b'0');
    let known = version == b"00" && parts.next().is_none();
    let later = is_hex(version, 2) && !matches!(version, b"00" | b"ff");
    (known || later)
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && is_set(trace)
        && is_set(parent)
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parent {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// A `traceparent` that is whole, taken apart.
fn parse(value: &[u8]) -> Option<Parent> {
    let text = str::from_utf8(value).ok().filter(|text| is_whole(text.as_bytes()))?;
    let mut parts = text.split('-').skip(1);
    let trace = u128::from_str_radix(parts.next()?, 16).ok()?;
    let span = u64::from_str_radix(parts.next()?, 16).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    Some(Parent { trace, span, sampled: flags & 1 == 1 })
}

/// Drops what a request says of its trace; its state stays where the trace goes on.
fn drop_parent(request: RequestView<'_>, edits: &mut Edits, goes_on: bool) {
    let stale = request.fields().filter(|field| {
        field.known.is_none()
            && (field.name.eq_ignore_ascii_case(b"traceparent")
                || (!goes_on && field.name.eq_ignore_ascii_case(b"tracestate")))
    });
    stale.for_each(|field| edits.drop_field(field.index));
}

fn add_parent(edits: &mut Edits, trace: u128, span: u64, sampled: bool) {
    let mut value = [0; LENGTH];
    let flags = u8::from(sampled);
    if write!(&mut value[..], "00-{trace:032x}-{span:016x}-{flags:02x}").is_ok() {
        edits.add(b"traceparent", &value);
    }
}

/// Begins a trace in a request that carries none. It is marked as not sampled: who comes behind may decide otherwise.
pub fn begin(request: RequestView<'_>, dice: &Dice, edits: &mut Edits) {
    let came = request.find(b"traceparent");
    if came.is_some_and(|field| is_whole(field.value)) {
        return;
    }
    drop_parent(request, edits, false);
    // Ids of zero are none: one in 2^64.
    let (high, low, parent) = (dice.roll(), dice.roll().max(1), dice.roll().max(1));
    add_parent(edits, u128::from(high) << 64 | u128::from(low), parent, false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::compose::{RequestLine, write_request};
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn sent_on(fields: &str) -> String {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        let (mut edits, mut out) = (Edits::new(), Vec::new());
        begin(head.view(bytes.as_bytes()), &Dice::new(1), &mut edits);
        write_request(&mut out, head.view(bytes.as_bytes()), RequestLine::Origin, &edits);
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn a_trace_is_whole_or_none() {
        for (value, whole) in [
            (GOOD, true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("", false),
        ] {
            assert_eq!(is_whole(value.as_bytes()), whole, "{value}");
        }
    }

    #[test]
    fn a_trace_passes_and_a_broken_one_is_begun_anew() {
        let carried = sent_on(&format!("traceparent: {GOOD}\r\ntracestate: a=b\r\n"));
        assert_eq!(carried, format!("GET / HTTP/1.1|Host: a|traceparent: {GOOD}|tracestate: a=b||"));
        for fields in ["", "Traceparent: 00-1-2-3\r\nTracestate: a=b\r\n"] {
            let begun = sent_on(fields);
            let value = begun.strip_prefix("GET / HTTP/1.1|Host: a|traceparent: ").unwrap();
            assert!(is_whole(value.strip_suffix("||").unwrap().as_bytes()), "{begun}");
        }
    }
}
