//! What upstreams are told about a request's client: `Forwarded`, `X-Forwarded-*`, `Via`. RFC 7239, RFC 9110 section 7.6.3.
//!
//! What came in these fields goes on only from proxies that are trusted, with this hop added; from anybody else it is
//! dropped, in whatever spelling a server behind might read it (`X_Forwarded_For` too). The lines are put together once a
//! connection and host and then copied. Not here: whom to believe (`trusted.rs`).

use crate::trusted::{Trusted, TrustedField};
use shoalway_http::loops::pseudonym;
use shoalway_wire::http1::compose::{Edits, Lines};
use shoalway_wire::http1::fields::FieldsView;
use shoalway_wire::http1::framing::Version;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::request::RequestView;
use std::net::IpAddr;

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop<'a> {
    /// Who sent it: the client, or the proxy before us.
    pub(super) peer: IpAddr,
    /// Whether it came over TLS.
    pub(super) secure: bool,
    /// The host that was asked, perhaps with a port.
    pub(super) authority: &'a str,
}

/// Writes what is told of a request that says nothing itself, or is not believed.
pub(super) fn tell(hop: Hop<'_>, version: Version, out: &mut Lines) {
    out.clear();
    let peer = hop.peer.to_string();
    out.push(b"X-Forwarded-For", peer.as_bytes());
    out.push(b"X-Forwarded-Proto", proto(hop).as_bytes());
    if !hop.authority.is_empty() {
        out.push(b"X-Forwarded-Host", hop.authority.as_bytes());
    }
    out.push(b"Forwarded", element(hop).as_bytes());
    tell_via(version, out);
}

/// The same for a request of a trusted proxy: what it says stays, and is added to.
pub(super) fn tell_more(
    hop: Hop<'_>,
    request: RequestView<'_>,
    trusted: &Trusted,
    version: Version,
    out: &mut Lines,
) {
    out.clear();
    let joined = |known| {
        let all: Vec<&[u8]> = request.get_all(known).map(|field| field.value).collect();
        all.join(&b", "[..])
    };
    let added = |before: Vec<u8>, more: &str| match before.is_empty() {
        true => more.as_bytes().to_vec(),
        false => [&before[..], b", ", more.as_bytes()].concat(),
    };
    let (mut chain, mut forwarded) = (Vec::new(), Vec::new());
    match trusted.field {
        TrustedField::XForwardedFor => chain = joined(Known::XForwardedFor),
        TrustedField::Forwarded => forwarded = joined(Known::Forwarded),
    }
    out.push(b"X-Forwarded-For", &added(chain, &hop.peer.to_string()));
    let believed = trusted.field == TrustedField::XForwardedFor;
    let or = |known, own: &str| match request.get(known) {
        Some(value) if believed && !value.is_empty() => value.to_vec(),
        Some(_) | None => own.as_bytes().to_vec(),
    };
    out.push(b"X-Forwarded-Proto", &or(Known::XForwardedProto, proto(hop)));
    let host = or(Known::XForwardedHost, hop.authority);
    if !host.is_empty() {
        out.push(b"X-Forwarded-Host", &host);
    }
    out.push(b"Forwarded", &added(forwarded, &element(hop)));
    tell_via(version, out);
}

/// Says that the message went through here.
pub(super) fn tell_via(version: Version, out: &mut Lines) {
    let received = match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    out.push(b"Via", format!("{received} {}", pseudonym()).as_bytes());
}

/// Drops what came in such fields: it is told anew.
pub(super) fn drop_told(fields: &FieldsView<'_>, edits: &mut Edits) {
    for known in [
        Known::Forwarded,
        Known::XForwardedFor,
        Known::XForwardedHost,
        Known::XForwardedProto,
        Known::XRealIp,
    ] {
        edits.drop_known(fields, known);
    }
    let others = fields.fields().filter(|field| field.known.is_none() && tells(field.name));
    others.for_each(|field| edits.drop_field(field.index));
}

/// Whether a server could take a field for one of these: `_` is `-` to CGI (RFC 3875 section 4.1.18).
fn tells(name: &[u8]) -> bool {
    const BEGIN: &[u8] = b"x-forwarded-";
    let same = |(given, wanted): (&u8, &u8)| {
        given.to_ascii_lowercase() == *wanted || (*wanted == b'-' && *given == b'_')
    };
    let begins = name.len() > BEGIN.len() && name.iter().zip(BEGIN).all(same);
    begins || (name.len() == b"x-real-ip".len() && name.iter().zip(b"x-real-ip").all(same))
}

const fn proto(hop: Hop<'_>) -> &'static str {
    if hop.secure { "https" } else { "http" }
}

/// RFC 7239 section 4: an IPv6 address and a host with a port stand in quotes.
fn element(hop: Hop<'_>) -> String {
    let node = match hop.peer.to_canonical() {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    };
    match hop.authority {
        "" => format!("{node};proto={}", proto(hop)),
        host => format!("{node};host=\"{host}\";proto={}", proto(hop)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_policy::Cidr;
    use shoalway_wire::http1::compose::{RequestLine, write_request};
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    fn told(field: TrustedField, peer: &str, fields: &str) -> String {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a.example:81\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        let view = head.view(bytes.as_bytes());
        let trusted = Trusted { networks: [Cidr::parse("10.0.0.0/8").unwrap()].into_iter().collect(), field };
        let hop = Hop { peer: peer.parse().unwrap(), secure: true, authority: "a.example:81" };
        let (mut edits, mut lines, mut out) = (Edits::new(), Lines::new(), Vec::new());
        drop_told(&view, &mut edits);
        if trusted.is_trusted(hop.peer) {
            tell_more(hop, view, &trusted, Version::Http11, &mut lines);
        } else {
            tell(hop, Version::Http11, &mut lines);
        }
        edits.add_lines(&lines);
        write_request(&mut out, view, RequestLine::Origin, &edits);
        let text = String::from_utf8(out).unwrap().replace(pseudonym(), "US").replace("\r\n", "|");
        text.strip_prefix("GET / HTTP/1.1|Host: a.example:81|").unwrap().to_owned()
    }

    const TALK: &str = "X-Forwarded-For: 192.0.2.9\r\nForwarded: for=192.0.2.8\r\nX-Forwarded-Proto: http\r\n\
                        X-Forwarded-Host: b.example\r\nX-Real-IP: 1\r\nx_forwarded_for: 2\r\nX-Real_IP: 3\r\n\
                        X-Forwarded-Port: 4\r\nX-Forward: 5\r\n";

    #[test]
    fn strangers_are_not_believed_and_this_hop_is_told() {
        for talk in ["", TALK] {
            let kept = if talk.is_empty() { "" } else { "X-Forward: 5|" };
            assert_eq!(
                told(TrustedField::XForwardedFor, "2001:db8::1", talk),
                format!(
                    "{kept}X-Forwarded-For: 2001:db8::1|X-Forwarded-Proto: https|X-Forwarded-Host: a.example:81|\
                     Forwarded: for=\"[2001:db8::1]\";host=\"a.example:81\";proto=https|Via: 1.1 US||"
                )
            );
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_in_its_field_and_added_to() {
        assert_eq!(
            told(TrustedField::XForwardedFor, "10.0.0.1", TALK),
            "X-Forward: 5|X-Forwarded-For: 192.0.2.9, 10.0.0.1|X-Forwarded-Proto: http|X-Forwarded-Host: b.example|\
             Forwarded: for=10.0.0.1;host=\"a.example:81\";proto=https|Via: 1.1 US||"
        );
        assert_eq!(
            told(TrustedField::Forwarded, "10.0.0.1", TALK),
            "X-Forward: 5|X-Forwarded-For: 10.0.0.1|X-Forwarded-Proto: https|X-Forwarded-Host: a.example:81|\
             Forwarded: for=192.0.2.8, for=10.0.0.1;host=\"a.example:81\";proto=https|Via: 1.1 US||"
        );
    }
}
