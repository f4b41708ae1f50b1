//! Reads a message in every portioning and insists on one result. Used by the other tests.

use crate::http1::body::{BodyReader, Piece};
use crate::http1::framing::BodyLength;
use crate::http1::limits::Limits;
use crate::http1::refusal::Refusal;
use crate::http1::request::RequestHead;
use crate::http1::response::{Asked, ResponseHead};
use crate::http1::tokens::LOOKED;
use crate::http1::trailers::write_trailers;

/// Reads a request head whole, cut in two at every point, and one octet at a time.
pub(super) fn request(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
    let mut head = RequestHead::new();
    same_at_every_cut(bytes, |bytes, is_first| {
        if is_first {
            head.clear();
        }
        head.parse(bytes, limits)
    })
}

/// The same for an answer.
pub(super) fn response(
    bytes: &[u8],
    limits: &Limits,
    asked: impl Into<Asked>,
) -> Result<Option<usize>, Refusal> {
    let asked = asked.into();
    let mut head = ResponseHead::new();
    same_at_every_cut(bytes, |bytes, is_first| {
        if is_first {
            head.clear();
        }
        head.parse(bytes, limits, asked)
    })
}

fn same_at_every_cut(
    bytes: &[u8],
    mut parse: impl FnMut(&[u8], bool) -> Result<Option<usize>, Refusal>,
) -> Result<Option<usize>, Refusal> {
    let whole = parse(bytes, true);
    for cut in 0..bytes.len() {
        let early = parse(&bytes[..cut], true);
        let result = if early == Ok(None) { parse(bytes, false) } else { early };
        assert_eq!(result, whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    let mut result = Ok(None);
    for length in 0..=bytes.len() {
        result = parse(&bytes[..length], length == 0);
        if result != Ok(None) {
            break;
        }
    }
    assert_eq!(result, whole, "one octet at a time: {}", bytes.escape_ascii());
    whole
}

/// What came out of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Body {
    /// The content.
    pub(super) content: Vec<u8>,
    /// What a relay that keeps the framing sends on.
    pub(super) relayed: Vec<u8>,
    /// Octets taken from the input.
    pub(super) taken: usize,
    /// How it ended; none when bytes are missing.
    pub(super) end: Option<Result<(), Refusal>>,
}

/// Reads a body whole, cut in two at every point (of a long one at 500), and one octet at a time.
pub(super) fn body(length: BodyLength, input: &[u8], limits: &Limits) -> Body {
    let whole = read_body(length, &[input], limits);
    for cut in (0..=input.len()).step_by(input.len() / 500 + 1) {
        let (start, end) = input.split_at(cut);
        assert_eq!(read_body(length, &[start, end], limits), whole, "cut at {cut}: {}", input.escape_ascii());
    }
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(read_body(length, &single, limits), whole, "one octet at a time: {}", input.escape_ascii());
    whole
}

/// Reads a body that arrives in these portions.
pub(super) fn read_body(length: BodyLength, portions: &[&[u8]], limits: &Limits) -> Body {
    let mut reader = BodyReader::new(length, limits);
    let mut out = Body::default();
    let mut input = Vec::new();
    for portion in portions {
        input.extend_from_slice(portion);
        loop {
            let octets = match reader.next(&input) {
                Ok(Piece::NeedBytes) => break,
                Ok(Piece::Done) => {
                    out.end = Some(Ok(()));
                    assert!(reader.is_done());
                    return out;
                }
                Ok(Piece::Data(octets)) => {
                    out.content.extend_from_slice(&input[..octets]);
                    out.relayed.extend_from_slice(&input[..octets]);
                    octets
                }
                Ok(Piece::Frame(octets)) => {
                    out.relayed.extend_from_slice(&input[..octets]);
                    octets
                }
                Ok(Piece::Skip(octets)) => octets,
                Ok(Piece::Trailers(octets)) => {
                    write_trailers(&mut out.relayed, &input[..octets]);
                    octets
                }
                Err(refusal) => {
                    out.end = Some(Err(refusal));
                    return out;
                }
            };
            assert!(octets > 0, "a piece of nothing");
            input.drain(..octets);
            out.taken += octets;
        }
    }
    out
}

/// Octets looked at while `work` ran.
pub(super) fn looked(work: impl FnOnce()) -> usize {
    let before = LOOKED.get();
    work();
    LOOKED.get() - before
}
