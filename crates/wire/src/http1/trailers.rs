//! The trailer section of a chunked body: RFC 9112 section 7.1.2, RFC 9110 section 6.5.
//!
//! It is checked as strictly as a head. Fields that mean something only before the body are dropped on the way on, as
//! RFC 9110 section 6.5.1 allows; all others pass as they were sent. Not here: finding its end ([`super::body`]).

use super::diagnose;
use super::known::Known;
use super::limits::{Limits, MAX_FIELDS};
use super::refusal::Refusal;

/// Checks a whole section: field lines and the empty line.
pub(super) fn check(section: &[u8], limits: &Limits) -> Result<(), Refusal> {
    if section == b"\r\n" {
        return Ok(());
    }
    let mut space = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let room = space.get_mut(..limits.field_count()).unwrap_or_default();
    match httparse::parse_headers(section, room) {
        Ok(httparse::Status::Complete((length, fields))) if length == section.len() => {
            let long = fields.iter().any(|field| field.name.len() >= usize::from(u8::MAX));
            if long { Err(Refusal::FieldNameTooLong) } else { Ok(()) }
        }
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooManyFields),
        Ok(_) | Err(_) => Err(diagnose::fields(section).unwrap_or(Refusal::FieldName)),
    }
}

/// Appends a checked section to `out`, without the fields that must not stand in one, and with its empty line.
pub fn write_trailers(out: &mut Vec<u8>, section: &[u8]) {
    for line in section.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if !Known::find(name).is_some_and(is_forbidden) {
            out.extend_from_slice(line);
        }
    }
}

/// Whether a field must not be in a trailer section: framing, routing, authentication, request modifiers, what says
/// how to read the content, and what a hop says to the next one.
fn is_forbidden(known: Known) -> bool {
    match known {
        Known::Age
        | Known::Authorization
        | Known::CacheControl
        | Known::CacheStatus
        | Known::Connection
        | Known::ContentEncoding
        | Known::ContentLength
        | Known::ContentLocation
        | Known::ContentRange
        | Known::ContentType
        | Known::Cookie
        | Known::Date
        | Known::Expect
        | Known::Expires
        | Known::Forwarded
        | Known::Host
        | Known::Http2Settings
        | Known::IfMatch
        | Known::IfModifiedSince
        | Known::IfNoneMatch
        | Known::IfRange
        | Known::IfUnmodifiedSince
        | Known::KeepAlive
        | Known::Location
        | Known::MaxForwards
        | Known::Pragma
        | Known::ProxyAuthenticate
        | Known::ProxyAuthenticationInfo
        | Known::ProxyAuthorization
        | Known::ProxyConnection
        | Known::ProxyStatus
        | Known::Range
        | Known::RetryAfter
        | Known::SetCookie
        | Known::Te
        | Known::Trailer
        | Known::TransferEncoding
        | Known::Upgrade
        | Known::Vary
        | Known::Via
        | Known::Warning
        | Known::WwwAuthenticate
        | Known::XForwardedFor
        | Known::XForwardedHost
        | Known::XForwardedProto
        | Known::XRealIp => true,
        Known::Accept
        | Known::AcceptCharset
        | Known::AcceptEncoding
        | Known::AcceptLanguage
        | Known::AcceptRanges
        | Known::AccessControlAllowOrigin
        | Known::Allow
        | Known::AltSvc
        | Known::ContentDisposition
        | Known::ContentLanguage
        | Known::ContentSecurityPolicy
        | Known::Dnt
        | Known::Etag
        | Known::From
        | Known::LastModified
        | Known::Link
        | Known::Origin
        | Known::Priority
        | Known::Referer
        | Known::SecWebsocketAccept
        | Known::SecWebsocketKey
        | Known::Server
        | Known::StrictTransportSecurity
        | Known::UpgradeInsecureRequests
        | Known::UserAgent => false,
    }
}
