//! Marks the fields that end at this proxy: RFC 9110 section 7.6.1.
//!
//! Transfer-Encoding and Trailer stay, since the body is relayed in the framing it came in. A peer may name any other
//! field in Connection to have it dropped, but not those in `is_protected`: what is meant for everybody must not be
//! named there ("Cache-Control is never appropriate as a connection option"), and removing Host, a length, credentials
//! or the trace of the client behind the proxy's back is an attack, not a wish. Such a name is passed over, not refused:
//! the field then simply arrives, which is what it would do at any recipient without that option.

use super::compose::Edits;
use super::fields::FieldsView;
use super::known::Known;
use super::tokens::members;

/// Whether a wish to change the protocol is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Upgrade stays, and with it a Connection that says `upgrade`.
    Pass,
    /// Upgrade ends here.
    Drop,
}

/// Fields that always end here, in either direction.
const ALWAYS: [Known; 7] = [
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::ProxyAuthorization,
    Known::ProxyAuthenticate,
    Known::ProxyAuthenticationInfo,
    Known::Te,
    Known::Http2Settings,
];

/// Marks what does not go on in a request or an answer. With [`Switch::Pass`] a Connection field that says nothing but
/// `upgrade` and `keep-alive` stays as it was sent; any other becomes `Connection: Upgrade`.
pub fn mark(fields: &FieldsView<'_>, edits: &mut Edits, switch: Switch) {
    for known in ALWAYS {
        edits.drop_known(fields, known);
    }
    if fields.has(Known::Connection) {
        mark_named(fields, edits);
    }
    match switch {
        Switch::Drop => {
            edits.drop_known(fields, Known::Connection);
            edits.drop_known(fields, Known::Upgrade);
        }
        Switch::Pass if only_upgrades(fields) => {}
        Switch::Pass => {
            edits.drop_known(fields, Known::Connection);
            edits.add(b"Connection", b"Upgrade");
        }
    }
}

/// Marks the fields that Connection names.
fn mark_named(fields: &FieldsView<'_>, edits: &mut Edits) {
    for option in fields.get_all(Known::Connection).flat_map(|field| members(field.value)) {
        match Known::find(option) {
            Some(known) if is_protected(known) => {}
            Some(known) => edits.drop_known(fields, known),
            None => fields
                .fields()
                .filter(|field| field.known.is_none() && field.name.eq_ignore_ascii_case(option))
                .for_each(|field| edits.drop_field(field.index)),
        }
    }
}

fn only_upgrades(fields: &FieldsView<'_>) -> bool {
    let mut options = fields.get_all(Known::Connection).flat_map(|field| members(field.value));
    options
        .all(|option| option.eq_ignore_ascii_case(b"upgrade") || option.eq_ignore_ascii_case(b"keep-alive"))
}

/// Whether Connection cannot take this field away. Upgrade and Connection are here because [`Switch`] decides.
fn is_protected(known: Known) -> bool {
    matches!(
        known,
        Known::Authorization
            | Known::CacheControl
            | Known::Connection
            | Known::ContentEncoding
            | Known::ContentLength
            | Known::ContentRange
            | Known::ContentType
            | Known::Cookie
            | Known::Date
            | Known::Etag
            | Known::Expires
            | Known::Forwarded
            | Known::Host
            | Known::Location
            | Known::MaxForwards
            | Known::Origin
            | Known::Pragma
            | Known::Range
            | Known::SetCookie
            | Known::StrictTransportSecurity
            | Known::Trailer
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::Vary
            | Known::Via
            | Known::WwwAuthenticate
            | Known::XForwardedFor
            | Known::XForwardedHost
            | Known::XForwardedProto
            | Known::XRealIp
    )
}
