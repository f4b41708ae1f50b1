//! Where a body ends, whether the connection lives on, and what Connection says: RFC 9112 sections 6 and 9.
//!
//! Every message has exactly one reading or is refused. Not here: reading the body ([`super::body`]).

use super::fields::FieldsView;
use super::known::Known;
use super::method::Method;
use super::refusal::Refusal;
use super::tokens::members;

/// Versions spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Where the body of a message ends, RFC 9112 section 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// The message ends with its head.
    None,
    /// So many octets, perhaps 0: Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// An answer that ends with its connection.
    UntilClose,
}

/// More connection options than this are refused: each is looked up among all fields.
pub(super) const MAX_OPTIONS: usize = 64;

/// What Connection says about the connection itself, RFC 9110 section 7.6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

impl Options {
    pub(super) fn of(fields: &FieldsView<'_>) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut count = 0;
        for field in fields.get_all(Known::Connection) {
            for member in members(field.value) {
                count += 1;
                options.close |= member.eq_ignore_ascii_case(b"close");
                options.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                options.upgrade |= member.eq_ignore_ascii_case(b"upgrade");
            }
        }
        if count > MAX_OPTIONS { Err(Refusal::ConnectionTooLong) } else { Ok(options) }
    }

    /// Whether the connection persists by version and options alone, RFC 9112 section 9.3.
    pub(super) const fn persists(self, version: Version) -> bool {
        match version {
            Version::Http10 => self.keep_alive && !self.close,
            Version::Http11 => !self.close,
        }
    }
}

/// The body of a request.
pub(super) fn of_request(
    fields: &FieldsView<'_>,
    version: Version,
    method: Method,
) -> Result<BodyLength, Refusal> {
    let length = announced(fields, version)?;
    match (method, length) {
        (Method::Connect | Method::Trace, BodyLength::None | BodyLength::Length(0)) => Ok(BodyLength::None),
        (Method::Connect | Method::Trace, _) => Err(Refusal::BodyForbidden),
        (_, length) => Ok(length),
    }
}

/// The body of an answer to `method`.
pub(super) fn of_response(
    fields: &FieldsView<'_>,
    version: Version,
    status: u16,
    method: Method,
) -> Result<BodyLength, Refusal> {
    let length = announced(fields, version)?;
    match (status, method, length) {
        (100..=199 | 204, _, BodyLength::None | BodyLength::Length(0)) => Ok(BodyLength::None),
        (100..=199 | 204, _, _) => Err(Refusal::BodyUnexpected),
        (304, _, _) | (_, Method::Head, _) | (200..=299, Method::Connect, _) => Ok(BodyLength::None),
        (_, _, BodyLength::None) => Ok(BodyLength::UntilClose),
        (_, _, length) => Ok(length),
    }
}

/// What the fields say, before method and status have their word. `None`: they say nothing.
fn announced(fields: &FieldsView<'_>, version: Version) -> Result<BodyLength, Refusal> {
    let chunked = is_chunked(fields, version)?;
    let length = content_length(fields)?;
    match (chunked, length) {
        (true, Some(_)) => Err(Refusal::LengthAndEncoding),
        (true, None) => Ok(BodyLength::Chunked),
        (false, Some(length)) => Ok(BodyLength::Length(length)),
        (false, None) => Ok(BodyLength::None),
    }
}

fn is_chunked(fields: &FieldsView<'_>, version: Version) -> Result<bool, Refusal> {
    let Some(value) = fields.get(Known::TransferEncoding) else { return Ok(false) };
    if version == Version::Http10 {
        return Err(Refusal::EncodingVersion);
    }
    if !fields.is_single(Known::TransferEncoding) {
        return Err(Refusal::EncodingRepeated);
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    let times = members(value).filter(|member| member.eq_ignore_ascii_case(b"chunked")).count();
    Err(if times > 1 { Refusal::EncodingRepeated } else { Refusal::EncodingUnknown })
}

fn content_length(fields: &FieldsView<'_>) -> Result<Option<u64>, Refusal> {
    let Some(value) = fields.get(Known::ContentLength) else { return Ok(None) };
    if !fields.is_single(Known::ContentLength) {
        return Err(Refusal::LengthRepeated);
    }
    if value.is_empty() {
        return Err(Refusal::LengthMalformed);
    }
    let mut length = 0_u64;
    for digit in value {
        let digit = match digit {
            b'0'..=b'9' => u64::from(digit - b'0'),
            _ => return Err(Refusal::LengthMalformed),
        };
        let next = length.checked_mul(10).and_then(|tens| tens.checked_add(digit));
        length = next.ok_or(Refusal::LengthMalformed)?;
    }
    Ok(Some(length))
}
