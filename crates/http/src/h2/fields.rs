//! Fields between HTTP/2 and HTTP/1.1, and why a message is malformed: RFC 9113 section 8.2.
//!
//! The `h2` crate has refused upper case, controls and pseudo-fields out of place before anything comes here. All the
//! same what follows holds by itself for any [`HeaderMap`]: no field that speaks of a connection, no value with white
//! space around it. Not here: first lines ([`super::request`], [`super::response`]).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use shoalway_wire::http1::fields::{FieldView, FieldsView};
use shoalway_wire::http1::known::Known;

/// Why a message over HTTP/2 has no single meaning in HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// RFC 9113 section 8.2.2: a field that belongs to HTTP/1.1's connections.
    #[error("a field speaks of the connection")]
    ConnectionField,
    /// RFC 9113 section 8.2.2: TE with anything but `trailers`.
    #[error("TE says something other than trailers")]
    Te,
    /// RFC 9113 section 8.2.1: white space before or after a value, or a control in it.
    #[error("a field value begins or ends with white space, or holds a control")]
    Value,
    /// RFC 9113 section 8.1.1: Content-Length is no number, two numbers, or not what the message has.
    #[error("Content-Length is not the one length of the content")]
    Length,
    /// RFC 9113 section 8.3.1: more than one Host, or one that is not `:authority`.
    #[error("Host and :authority differ")]
    Host,
    /// RFC 9113 section 8.3.1: a scheme other than http and https.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// RFC 9113 section 8.3.1: `:path` is missing, or neither begins with `/` nor is the `*` of OPTIONS.
    #[error("the path does not begin with a slash")]
    Path,
    /// RFC 9113 section 8.5: CONNECT without `:authority`.
    #[error("CONNECT names no host and port")]
    Authority,
    /// RFC 8441 section 4: a `:protocol` that is not served here.
    #[error("the protocol asked for is not known")]
    Protocol,
    /// RFC 9113 section 8.6: 101, or an answer that HTTP/1.1 could not have given.
    #[error("the answer has a status that it cannot have")]
    Status,
    /// The engine wrote what is no message. Never the peer's fault.
    #[error("not a message")]
    Engine,
}

impl Malformed {
    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConnectionField => "connection_field",
            Self::Te => "te",
            Self::Value => "field_value",
            Self::Length => "content_length",
            Self::Host => "host_contradicts",
            Self::Scheme => "scheme",
            Self::Path => "path",
            Self::Authority => "authority",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Engine => "engine",
        }
    }
}

/// Appends one field line.
pub(super) fn push_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Refuses what no field of an HTTP/2 message may be, in a head or a trailer section.
pub(super) fn check(name: &HeaderName, value: &HeaderValue) -> Result<(), Malformed> {
    let bytes = value.as_bytes();
    let around = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if around(bytes.first()) || around(bytes.last()) || bytes.iter().any(is_control) {
        return Err(Malformed::Value);
    }
    match name {
        &header::TE if !bytes.eq_ignore_ascii_case(b"trailers") => Err(Malformed::Te),
        name if is_of_a_connection(name) => Err(Malformed::ConnectionField),
        _ => Ok(()),
    }
}

/// Whether a field is for one connection of HTTP/1.1: RFC 9113 section 8.2.2.
fn is_of_a_connection(name: &HeaderName) -> bool {
    match name {
        &header::CONNECTION | &header::TRANSFER_ENCODING | &header::UPGRADE => true,
        name => matches!(name.as_str(), "keep-alive" | "proxy-connection"),
    }
}

/// The one length that Content-Length names, if there is any. Repetitions of one number are one (RFC 9110 section 8.6).
pub(super) fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    for value in fields.get_all(header::CONTENT_LENGTH) {
        let bytes = value.as_bytes();
        if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
            return Err(Malformed::Length);
        }
        let number =
            value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).ok_or(Malformed::Length)?;
        if length.is_some_and(|before| before != number) {
            return Err(Malformed::Length);
        }
        length = Some(number);
    }
    Ok(length)
}

/// Appends a trailer section with its empty line.
///
/// # Errors
/// A field that may not stand in one.
pub fn write_trailers(fields: &HeaderMap, out: &mut Vec<u8>) -> Result<(), Malformed> {
    for (name, value) in fields {
        check(name, value)?;
        push_line(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Whether a field of an HTTP/1.1 message goes into an HTTP/2 one.
pub(super) fn is_kept(fields: &FieldsView<'_>, field: &FieldView<'_>) -> bool {
    match field.known {
        Some(
            Known::Connection
            | Known::Http2Settings
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade,
        ) => false,
        _ => !is_named(fields, field.name),
    }
}

/// Whether Connection names a field. Content-Length is not to be taken away by it.
fn is_named(fields: &FieldsView<'_>, name: &[u8]) -> bool {
    fields.has(Known::Connection)
        && !name.eq_ignore_ascii_case(b"Content-Length")
        && fields.get_all(Known::Connection).any(|field| {
            field
                .value
                .split(|byte| *byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
        })
}

/// Adds a field of a checked HTTP/1.1 message. `head` is the whole head; a value that is a part of it is not copied.
pub(super) fn append(map: &mut HeaderMap, head: &Bytes, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let name = HeaderName::from_bytes(name).map_err(|_bad| Malformed::Engine)?;
    let value = match part(head, value) {
        Some(part) => HeaderValue::from_maybe_shared(part),
        None => HeaderValue::from_bytes(value),
    };
    map.append(name, value.map_err(|_bad| Malformed::Value)?);
    Ok(())
}

/// The same bytes as a share of `head`, when that is where they stand.
fn part(head: &Bytes, value: &[u8]) -> Option<Bytes> {
    let begin = value.as_ptr().addr().checked_sub(head.as_ptr().addr())?;
    let end = begin.checked_add(value.len())?;
    (end <= head.len()).then(|| head.slice(begin..end))
}

/// The fields of a trailer section that the engine has checked. Those that speak of a connection are left out.
///
/// # Errors
/// [`Malformed::Engine`] when it is none.
pub fn read_trailers(section: &Bytes) -> Result<HeaderMap, Malformed> {
    let mut map = HeaderMap::new();
    for line in section.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Malformed::Engine)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(name).map_err(|_bad| Malformed::Engine)?;
        if !is_of_a_connection(&name) && name != header::TE {
            append(&mut map, section, name.as_str().as_bytes(), value)?;
        }
    }
    Ok(map)
}
