//! Whom to believe about clients: the networks of proxies in front of this one, and what these say.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) are lists to which each proxy adds whom it was asked by. Read from the right,
//! the first address that is no trusted proxy is the client: what stands left of it is only its word. One of the two is
//! believed, never both, since a proxy that writes one may let the other pass. Not here: the PROXY protocol, which speaks
//! for a connection (`http_gateway/accept.rs`); what is told to upstreams (`http_gateway/forwarding.rs`).

use shoalway_policy::CidrSet;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::request::RequestView;
use std::net::{IpAddr, SocketAddr};

/// Which field trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustedField {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto` and `X-Forwarded-Host`. The default.
    #[default]
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
}

impl TrustedField {
    const fn known(self) -> Known {
        match self {
            Self::XForwardedFor => Known::XForwardedFor,
            Self::Forwarded => Known::Forwarded,
        }
    }
}

/// Whom to believe. The default: nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Where trusted proxies are.
    pub networks: CidrSet,
    /// What they write.
    pub field: TrustedField,
}

impl Trusted {
    /// Whether what this peer says about its clients is believed.
    #[must_use]
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        self.networks.contains(peer)
    }

    /// Whether a request tells whom it is from, by a peer that is believed.
    #[must_use]
    pub fn speaks(&self, peer: IpAddr, request: RequestView<'_>) -> bool {
        request.has(self.field.known()) && self.is_trusted(peer)
    }

    /// The client of a request from `peer`.
    #[must_use]
    pub fn client_of(&self, peer: IpAddr, request: RequestView<'_>) -> IpAddr {
        let mut client = peer;
        if !self.speaks(peer, request) {
            return client;
        }
        let lines: Vec<&[u8]> = request.get_all(self.field.known()).map(|field| field.value).collect();
        for member in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
            // What is no address cannot be looked behind.
            let Some(addr) = self.address(member) else { break };
            client = addr;
            if !self.is_trusted(addr) {
                break;
            }
        }
        client
    }

    fn address(&self, member: &[u8]) -> Option<IpAddr> {
        match self.field {
            TrustedField::XForwardedFor => node(member),
            TrustedField::Forwarded => member.split(|byte| *byte == b';').find_map(|pair| {
                let (name, value) = pair.trim_ascii().split_at_checked(4)?;
                name.eq_ignore_ascii_case(b"for=").then(|| node(value)).flatten()
            }),
        }
    }
}

/// An address, perhaps with a port, in brackets, in quotes: RFC 7239 section 6.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_policy::Cidr;
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    fn client(field: TrustedField, peer: &str, fields: &str) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| Cidr::parse(text).unwrap());
        let trusted = Trusted { networks: networks.into_iter().collect(), field };
        let fields: String = fields.split_inclusive('|').map(|line| line.replace('|', "\r\n")).collect();
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        trusted.client_of(peer.parse().unwrap(), head.view(bytes.as_bytes())).to_string()
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_trusted_proxy() {
        for (peer, fields, wanted) in [
            ("192.0.2.1", "X-Forwarded-For: 192.0.2.9|", "192.0.2.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.9|", "192.0.2.9"),
            ("10.0.0.1", "X-Forwarded-For: 1.2.3.4, 192.0.2.9|", "192.0.2.9"),
            ("10.0.0.1", "X-Forwarded-For: 1.2.3.4, 192.0.2.9,10.0.0.2|", "192.0.2.9"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.9|X-Forwarded-For: 10.0.0.2|", "192.0.2.9"),
            ("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2|", "10.0.0.3"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.9, unknown|", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.9, |", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.9:1234|", "192.0.2.9"),
            ("fd00::1", "X-Forwarded-For: [2001:db8::1]:1234|", "2001:db8::1"),
            ("fd00::1", "X-Forwarded-For: 2001:db8::1|", "2001:db8::1"),
            ("10.0.0.1", "X-Forwarded-For: ::ffff:192.0.2.9|", "192.0.2.9"),
            ("10.0.0.1", "Forwarded: for=192.0.2.9|", "10.0.0.1"),
        ] {
            assert_eq!(client(TrustedField::XForwardedFor, peer, fields), wanted, "{peer} {fields}");
        }
        for (fields, wanted) in [
            ("Forwarded: for=192.0.2.9;proto=https|", "192.0.2.9"),
            ("Forwarded: proto=https; For=\"[2001:db8::1]:99\"|", "2001:db8::1"),
            ("Forwarded: for=1.2.3.4, for=192.0.2.9, for=10.1.1.1|", "192.0.2.9"),
            ("Forwarded: for=192.0.2.9, proto=http|", "10.0.0.1"),
            ("Forwarded: for=_hidden|", "10.0.0.1"),
            ("X-Forwarded-For: 192.0.2.9|", "10.0.0.1"),
        ] {
            assert_eq!(client(TrustedField::Forwarded, "10.0.0.1", fields), wanted, "{fields}");
        }
    }
}
