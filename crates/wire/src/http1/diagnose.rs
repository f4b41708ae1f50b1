//! Names what is wrong with a head that the tokenizer refused. Runs only then: the tokenizer is fast, but says
//! little, and a reason that helps needs a second look.

use super::refusal::Refusal;
use super::scan::{Found, Kind};
use super::tokens::{is_token, is_value_byte};

/// Checks the version of a first line without its CRLF. Of a good line it looks only at that.
pub(super) fn version(line: &[u8], kind: Kind) -> Result<(), Refusal> {
    match (kind, line) {
        (Kind::Request, [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'])
        | (Kind::Response, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', ..]) => Ok(()),
        (Kind::Request, line) => Err(request_version(line)),
        (Kind::Response, line) => Err(response_version(line)),
    }
}

#[cold]
fn request_version(line: &[u8]) -> Refusal {
    if line.contains(&b'\r') {
        return Refusal::BareCr;
    }
    let mut parts = line.split(|byte| *byte == b' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), None, None) if is_token(method) && !target.is_empty() => Refusal::Http09,
        (_, _, Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Refusal::RequestLine,
    }
}

#[cold]
fn response_version(line: &[u8]) -> Refusal {
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', ..] => Refusal::StatusLine,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => Refusal::AnswerVersion,
        _ => Refusal::StatusLine,
    }
}

/// The first fault in a whole head, whose first line has a good version.
#[cold]
pub(super) fn head(head: &[u8], found: Found, kind: Kind) -> Refusal {
    let (first, rest) = head.split_at_checked(found.first_end).unwrap_or_default();
    let first = first.get(found.lead..).unwrap_or_default();
    let fault = match kind {
        Kind::Request => request_line(first),
        Kind::Response => status_line(first),
    };
    fault.or_else(|| fields(rest.get(2..).unwrap_or_default())).unwrap_or(match kind {
        Kind::Request => Refusal::RequestLine,
        Kind::Response => Refusal::StatusLine,
    })
}

fn request_line(line: &[u8]) -> Option<Refusal> {
    let (method, rest) = line.split_at(line.iter().position(|byte| *byte == b' ')?);
    let target = match rest.get(1..rest.len().saturating_sub(" HTTP/1.1".len())) {
        Some(target) => target,
        None => return Some(Refusal::RequestLine),
    };
    if !is_token(method) {
        return Some(Refusal::MethodToken);
    }
    match target {
        [] => Some(Refusal::TargetEmpty),
        target if target.contains(&b' ') => Some(Refusal::RequestLine),
        target if target.contains(&b'\r') => Some(Refusal::BareCr),
        target if target.iter().any(u8::is_ascii_control) => Some(Refusal::TargetCharacter),
        target if str::from_utf8(target).is_err() => Some(Refusal::TargetCharacter),
        _ => None,
    }
}

fn status_line(line: &[u8]) -> Option<Refusal> {
    match line.get("HTTP/1.1 ".len()..)? {
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => None,
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', reason @ ..] => {
            if reason.contains(&b'\r') {
                return Some(Refusal::BareCr);
            }
            (!reason.iter().all(|byte| is_value_byte(*byte))).then_some(Refusal::Reason)
        }
        _ => Some(Refusal::StatusLine),
    }
}

/// The first fault in field lines that end with an empty line.
#[cold]
pub(super) fn fields(lines: &[u8]) -> Option<Refusal> {
    let mut is_first = true;
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((b'\r', line)) = line.split_last() else {
            return (!line.is_empty()).then_some(Refusal::BareLf);
        };
        if line.is_empty() {
            return None;
        }
        if let Some(fault) = field_line(line, is_first) {
            return Some(fault);
        }
        is_first = false;
    }
    None
}

fn field_line(line: &[u8], is_first: bool) -> Option<Refusal> {
    if line.contains(&b'\r') {
        return Some(Refusal::BareCr);
    }
    if let [b' ' | b'\t', ..] = line {
        return Some(if is_first { Refusal::FieldLeadingSpace } else { Refusal::FieldFolded });
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Some(Refusal::FieldColonMissing);
    };
    let (name, value) = line.split_at(colon);
    match name {
        [] => Some(Refusal::FieldNameEmpty),
        [.., b' ' | b'\t'] => Some(Refusal::FieldColonSpace),
        name if !is_token(name) => Some(Refusal::FieldName),
        _ => (!value.iter().all(|byte| is_value_byte(*byte))).then_some(Refusal::FieldValue),
    }
}
