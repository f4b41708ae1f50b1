//! HTTP/1: heads and bodies read alone, and requests read beside hyper.

mod differential;
mod reference;

pub use differential::http1_differential;

use shoalway_wire::http1::body::{BodyReader, Piece};
use shoalway_wire::http1::compose::{Edits, RequestLine, write_request, write_response};
use shoalway_wire::http1::fields::FieldsView;
use shoalway_wire::http1::framing::BodyLength;
use shoalway_wire::http1::hop_by_hop::{Switch, mark};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::refusal::Refusal;
use shoalway_wire::http1::request::{RequestHead, RequestView};
use shoalway_wire::http1::response::{Asked, ResponseHead, ResponseView};
use shoalway_wire::http1::target::RequestTarget;
use shoalway_wire::http1::trailers::write_trailers;

/// Longest input worth cutting.
const MOST: usize = 2_048;

/// Limits small enough that a fuzzer reaches them.
const SMALL: Limits = Limits { head: 700, fields: 8, target: 200, chunk_line: 40, trailers: 100 };

/// A request head: the same at every cut, nothing in it that a line could hide in, and written as it reads.
pub fn http1_request(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    for limits in [Limits::default(), SMALL] {
        let mut head = RequestHead::new();
        let parsed = same_at_every_cut(data, |bytes, is_new| {
            if is_new {
                head.clear();
            }
            head.parse(bytes, &limits)
        });
        if let Ok(Some(length)) = parsed {
            let bytes = data.get(..length).unwrap_or_default();
            assert_eq!(parse_request(&mut head, bytes), Ok(Some(length)), "what follows the head changed it");
            check_request(head.view(bytes));
        }
    }
}

fn parse_request(head: &mut RequestHead, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    head.clear();
    head.parse(bytes, &Limits::default())
}

fn check_request(view: RequestView<'_>) {
    check_fields(&view);
    assert!(matches!(view.method_str().len(), 1..=32));
    assert!(view.raw_target().iter().all(|byte| !byte.is_ascii_control() && !matches!(byte, b' ' | b'#')));
    assert_ne!(view.body(), BodyLength::UntilClose, "a request never ends with its connection");
    assert!(!view.expects_continue() || view.has(Known::Expect));
    assert!(view.upgrade().is_none() || view.connection_options().count() > 0);
    for line in [RequestLine::AsSent, RequestLine::Origin, RequestLine::Absolute] {
        let (mut out, mut again) = (Vec::new(), RequestHead::new());
        write_request(&mut out, view, line, &Edits::new());
        let parsed = parse_request(&mut again, &out);
        // What HTTP/1.0 may leave out, the driver has to add before it goes on as 1.1.
        if parsed == Err(Refusal::HostMissing) && view.host().is_none() && path_alone(view) {
            continue;
        }
        assert_eq!(parsed, Ok(Some(out.len())), "{line:?}: {}", out.escape_ascii());
        let copy = again.view(&out);
        assert_eq!(copy.method_str(), view.method_str());
        assert_eq!((copy.body(), copy.upgrade().is_some()), (view.body(), upgrades(view)));
        assert_eq!(copy.len() - view.len(), usize::from(view.host().is_none()), "{line:?}");
    }
    let (mut out, mut edits) = (Vec::new(), Edits::new());
    mark(&view, &mut edits, Switch::Drop);
    write_request(&mut out, view, RequestLine::AsSent, &edits);
    let mut again = RequestHead::new();
    let parsed = parse_request(&mut again, &out);
    assert!(
        parsed == Ok(Some(out.len())) || (view.host().is_none() && path_alone(view)),
        "{}",
        out.escape_ascii()
    );
    if parsed.is_ok() {
        let copy = again.view(&out);
        assert_eq!(copy.body(), view.body(), "hop-by-hop fields took the framing away");
        assert!(!copy.has(Known::Connection) && !copy.has(Known::ProxyAuthorization));
    }
}

/// Whether the request would also ask for an upgrade if it were HTTP/1.1, as which it is written.
fn upgrades(view: RequestView<'_>) -> bool {
    let named = view.connection_options().any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    named && view.get(Known::Upgrade).is_some_and(|protocols| !protocols.is_empty())
}

fn path_alone(view: RequestView<'_>) -> bool {
    matches!(view.target(), RequestTarget::Origin(_) | RequestTarget::Asterisk)
}

fn check_fields(fields: &FieldsView<'_>) {
    for field in fields.fields() {
        assert!(matches!(field.name.len(), 1..255));
        assert!(!field.name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b':'));
        assert!(!field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        assert_eq!(field.known, Known::find(field.name));
        assert!(fields.find(field.name).is_some_and(|found| found.index <= field.index));
        if let Some(known) = field.known {
            assert!(fields.get_all(known).any(|other| other.index == field.index));
        }
    }
}

/// An answer head. The first byte says what was asked.
pub fn http1_response(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let method = match how % 4 {
        0 => Method::Head,
        1 => Method::Connect,
        _ => Method::Get,
    };
    let asked = Asked { method, upgrade: how & 0x80 != 0 };
    let data = data.get(..MOST).unwrap_or(data);
    let mut head = ResponseHead::new();
    let parsed = same_at_every_cut(data, |bytes, is_new| {
        if is_new {
            head.clear();
        }
        head.parse(bytes, &Limits::default(), asked)
    });
    if let Ok(Some(length)) = parsed {
        head.clear();
        let bytes = data.get(..length).unwrap_or_default();
        assert_eq!(head.parse(bytes, &Limits::default(), asked), Ok(Some(length)));
        check_response(head.view(bytes), asked);
    }
}

fn check_response(view: ResponseView<'_>, asked: Asked) {
    check_fields(&view);
    assert!((100..=599).contains(&view.status()));
    assert!(asked.upgrade || view.status() != 101);
    assert!(asked.method != Method::Head || view.body() == BodyLength::None);
    assert!(!(view.keep_alive() && view.body() == BodyLength::UntilClose));
    let (mut out, mut again) = (Vec::new(), ResponseHead::new());
    write_response(&mut out, view, &Edits::new());
    assert_eq!(again.parse(&out, &Limits::default(), asked), Ok(Some(out.len())), "{}", out.escape_ascii());
    let copy = again.view(&out);
    assert_eq!((copy.status(), copy.reason(), copy.body()), (view.status(), view.reason(), view.body()));
    assert_eq!(copy.len(), view.len());
}

fn same_at_every_cut(
    data: &[u8],
    mut parse: impl FnMut(&[u8], bool) -> Result<Option<usize>, Refusal>,
) -> Result<Option<usize>, Refusal> {
    let whole = parse(data, true);
    for cut in (0..data.len()).step_by(data.len() / 64 + 1) {
        let early = parse(data.get(..cut).unwrap_or_default(), true);
        let result = if early == Ok(None) { parse(data, false) } else { early };
        assert_eq!(result, whole, "cut at {cut}");
    }
    let mut single = Ok(None);
    for length in 0..=data.len() {
        single = parse(data.get(..length).unwrap_or_default(), length == 0);
        if single != Ok(None) {
            break;
        }
    }
    assert_eq!(single, whole, "one byte at a time");
    whole
}

/// What became of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Outcome {
    content: Vec<u8>,
    relayed: Vec<u8>,
    taken: usize,
    /// None: bytes are missing.
    end: Option<Result<(), Refusal>>,
}

/// A body. The first byte says how its end is announced.
pub fn http1_body(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let length = match how % 8 {
        0 => BodyLength::UntilClose,
        1 => BodyLength::Length(u64::from(*how)),
        _ => BodyLength::Chunked,
    };
    let data = data.get(..MOST).unwrap_or(data);
    for limits in [Limits::default(), SMALL] {
        let whole = read_body(length, &[data], &limits, false);
        for cut in (0..data.len()).step_by(data.len() / 32 + 1) {
            let (start, end) = data.split_at(cut);
            assert_eq!(read_body(length, &[start, end], &limits, false), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = data.chunks(1).collect();
        assert_eq!(read_body(length, &single, &limits, false), whole, "one byte at a time");
        assert_eq!(read_body(length, &[data], &limits, true), whole, "passed without being looked at");
        if whole.end == Some(Ok(())) && length == BodyLength::Chunked {
            let again = read_body(length, &[&whole.relayed], &Limits::default(), false);
            assert_eq!(again.end, Some(Ok(())), "what is relayed does not read");
            assert_eq!((again.content, again.relayed), (whole.content, whole.relayed));
        }
    }
}

/// Reads a body that arrives in portions; with `pass`, content is not shown to the reader.
fn read_body(length: BodyLength, portions: &[&[u8]], limits: &Limits, pass: bool) -> Outcome {
    let mut reader = BodyReader::new(length, limits);
    let (mut out, mut input) = (Outcome::default(), Vec::new());
    for portion in portions {
        input.extend_from_slice(portion);
        while out.end.is_none() {
            let Some(octets) = step(&mut reader, &input, &mut out, pass) else { break };
            assert!(octets > 0, "a piece of nothing");
            input.drain(..octets);
            out.taken += octets;
        }
    }
    out
}

fn step(reader: &mut BodyReader, input: &[u8], out: &mut Outcome, pass: bool) -> Option<usize> {
    let passing = usize::try_from(reader.forward()).unwrap_or(usize::MAX).min(input.len());
    let piece = if pass && passing > 0 {
        reader.passed(passing as u64);
        Ok(Piece::Data(passing))
    } else {
        reader.next(input)
    };
    let taken = |octets: usize| input.get(..octets).unwrap_or_default();
    match piece {
        Ok(Piece::NeedBytes) => return None,
        Ok(Piece::Data(octets)) => {
            out.content.extend_from_slice(taken(octets));
            out.relayed.extend_from_slice(taken(octets));
            return Some(octets);
        }
        Ok(Piece::Frame(octets)) => {
            out.relayed.extend_from_slice(taken(octets));
            return Some(octets);
        }
        Ok(Piece::Skip(octets)) => return Some(octets),
        Ok(Piece::Trailers(octets)) => {
            write_trailers(&mut out.relayed, taken(octets));
            return Some(octets);
        }
        Ok(Piece::Done) => out.end = Some(Ok(())),
        Err(refusal) => out.end = Some(Err(refusal)),
    }
    None
}
