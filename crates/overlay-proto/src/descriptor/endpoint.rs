//! A place where links are taken: address, name, path, cookie, and how the opener is bound (ovl1 section 2.2).
//!
//! Used by descriptors and invitations alike. Not here: how a link is opened ([`crate::opener`]).

use super::place::is_public;
use crate::codec::{Malformed, Put, Reader};
use shoalway_types::{Host, Sensitive};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest name in an endpoint.
pub const SNI_MOST: usize = 253;
/// Longest path in an endpoint.
pub const PATH_MOST: usize = 120;
/// Longest name of a cookie in an endpoint.
pub const COOKIE_MOST: usize = 32;

/// How an opener is bound to the connection it travels on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// To the TLS connection, by its exporter: the node itself ends TLS.
    Exporter,
    /// By time: a front ends TLS.
    Front,
}

impl BindingKind {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Exporter => 1,
            Self::Front => 2,
        }
    }

    /// The binding of a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Exporter),
            2 => Some(Self::Front),
            _ => None,
        }
    }
}

/// Where and how a node takes links.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// The site's name: in TLS, as authority, and in its certificate. 1 to 253 bytes, lower case, no address.
    pub sni: String,
    /// The tunnel's path, 1 to 120 bytes.
    pub path: String,
    /// The name of the cookie that carries the opener, 1 to 32 bytes.
    pub cookie: String,
    /// How the opener is bound.
    pub binding: BindingKind,
}

/// Why an endpoint is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Private, loopback, link-local, reserved: nobody else reaches it. A lab permits it.
    #[error("the address of an endpoint is private, loopback, link-local or reserved")]
    Place,
    /// An IPv6 address that is a spelling of an IPv4 one.
    #[error("the address of an endpoint is an IPv4 address in the form of IPv6")]
    Mapped,
    /// Port 0.
    #[error("the port of an endpoint is 0")]
    Port,
    /// No host name in its usual form.
    #[error("the name of an endpoint is not a host name in lower case")]
    Sni,
    /// It does not begin with `/`, is too long, or has characters that no path has.
    #[error(
        "the path of an endpoint does not begin with `/`, is over 120 bytes, or is not the path of a URL"
    )]
    Path,
    /// Not a token.
    #[error("the cookie of an endpoint is not a name of 1 to 32 characters that cookies may have")]
    Cookie,
}

impl Endpoint {
    /// Whether each part is of its permitted form. Where the address is, is not looked at.
    ///
    /// # Errors
    /// [`EndpointError`] but for `Place`.
    pub fn check_form(&self) -> Result<(), EndpointError> {
        if self.address.ip() != self.address.ip().to_canonical() {
            return Err(EndpointError::Mapped);
        }
        if self.address.port() == 0 {
            return Err(EndpointError::Port);
        }
        let name = Host::parse(&self.sni).ok();
        let canonical = name.as_ref().and_then(Host::name) == Some(self.sni.as_str());
        if !canonical || self.sni.contains('_') {
            return Err(EndpointError::Sni);
        }
        if self.path.len() > PATH_MOST || !self.path.starts_with('/') || !self.path.bytes().all(is_of_path) {
            return Err(EndpointError::Path);
        }
        if self.cookie.len() > COOKIE_MOST || self.cookie.is_empty() || !self.cookie.bytes().all(is_of_token)
        {
            return Err(EndpointError::Cookie);
        }
        Ok(())
    }

    /// Whether others can reach the address; anything goes in a lab.
    ///
    /// # Errors
    /// [`EndpointError::Place`].
    pub const fn check_place(&self, lab: bool) -> Result<(), EndpointError> {
        if lab || is_public(self.address.ip()) { Ok(()) } else { Err(EndpointError::Place) }
    }

    /// Appends its bytes.
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        match self.address.ip() {
            IpAddr::V4(ip) => {
                bytes.push(4);
                bytes.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                bytes.push(6);
                bytes.extend_from_slice(&ip.octets());
            }
        }
        bytes.extend_from_slice(&self.address.port().to_be_bytes());
        bytes.put_v8(self.sni.as_bytes());
        bytes.put_v8(self.path.as_bytes());
        bytes.put_v8(self.cookie.as_bytes());
        bytes.push(self.binding.number());
    }

    /// Reads an endpoint that stands inside something else.
    ///
    /// # Errors
    /// When a part is not of its permitted form.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let ip: IpAddr = match reader.u8("endpoint kind")? {
            4 => Ipv4Addr::from(reader.array::<4>("endpoint address")?).into(),
            6 => Ipv6Addr::from(reader.array::<16>("endpoint address")?).into(),
            _ => return Err(Malformed("endpoint kind")),
        };
        let port = reader.u16("endpoint port")?;
        let endpoint = Self {
            address: SocketAddr::new(ip, port),
            sni: text(reader.v8(SNI_MOST, "endpoint sni")?, "endpoint sni")?,
            path: text(reader.v8(PATH_MOST, "endpoint path")?, "endpoint path")?,
            cookie: text(reader.v8(COOKIE_MOST, "endpoint cookie")?, "endpoint cookie")?,
            binding: BindingKind::from_number(reader.u8("endpoint binding")?)
                .ok_or(Malformed("endpoint binding"))?,
        };
        endpoint.check_form().map_err(|error| Malformed(error.field()))?;
        Ok(endpoint)
    }
}

impl EndpointError {
    const fn field(self) -> &'static str {
        match self {
            Self::Place | Self::Mapped => "endpoint address",
            Self::Port => "endpoint port",
            Self::Sni => "endpoint sni",
            Self::Path => "endpoint path",
            Self::Cookie => "endpoint cookie",
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &Sensitive(&self.address))
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

fn text(bytes: &[u8], field: &'static str) -> Result<String, Malformed> {
    str::from_utf8(bytes).map(str::to_owned).map_err(|_not_utf8| Malformed(field))
}

/// RFC 3986 section 3.3: what a path is made of, without a query.
const fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'%' | b':' | b'@')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// RFC 6265 section 4.1.1: the name of a cookie is a token.
const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            address: "203.0.113.7:443".parse().unwrap(),
            sni: "example.org".to_owned(),
            path: "/chat/live".to_owned(),
            cookie: "sid".to_owned(),
            binding: BindingKind::Exporter,
        }
    }

    #[test]
    fn each_part_has_a_permitted_form() {
        let with = |change: &dyn Fn(&mut Endpoint)| {
            let mut changed = endpoint();
            change(&mut changed);
            changed.check_form()
        };
        let sni = |sni: &str| with(&|endpoint| endpoint.sni = sni.to_owned());
        let path = |path: &str| with(&|endpoint| endpoint.path = path.to_owned());
        let cookie = |cookie: &str| with(&|endpoint| endpoint.cookie = cookie.to_owned());
        assert_eq!(with(&|_| ()), Ok(()));
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        for (name, wanted) in [
            ("localhost", Ok(())),
            ("xn--bcher-kva.example", Ok(())),
            (&long, Ok(())),
            (&format!("{long}d"), Err(EndpointError::Sni)),
            ("", Err(EndpointError::Sni)),
            ("Example.org", Err(EndpointError::Sni)),
            ("example.org.", Err(EndpointError::Sni)),
            ("192.0.2.1", Err(EndpointError::Sni)),
            ("a_b.example", Err(EndpointError::Sni)),
            ("a b", Err(EndpointError::Sni)),
        ] {
            assert_eq!(sni(name), wanted, "{name}");
        }
        for (text, wanted) in [
            ("/", Ok(())),
            (&format!("/{}", "a".repeat(119)), Ok(())),
            (&format!("/{}", "a".repeat(120)), Err(EndpointError::Path)),
            ("/a%20b;c=d", Ok(())),
            ("", Err(EndpointError::Path)),
            ("a", Err(EndpointError::Path)),
            ("/a?b", Err(EndpointError::Path)),
            ("/a#b", Err(EndpointError::Path)),
            ("/a b", Err(EndpointError::Path)),
            ("/\r\n", Err(EndpointError::Path)),
        ] {
            assert_eq!(path(text), wanted, "{text}");
        }
        for (name, wanted) in [
            ("s", Ok(())),
            (&"s".repeat(32), Ok(())),
            (&"s".repeat(33), Err(EndpointError::Cookie)),
            ("", Err(EndpointError::Cookie)),
            ("a=b", Err(EndpointError::Cookie)),
            ("a;b", Err(EndpointError::Cookie)),
            ("a b", Err(EndpointError::Cookie)),
        ] {
            assert_eq!(cookie(name), wanted, "{name}");
        }
        let address = |address: &str| with(&|endpoint| endpoint.address = address.parse().unwrap());
        assert_eq!(address("203.0.113.7:0"), Err(EndpointError::Port));
        assert_eq!(address("[::ffff:203.0.113.7]:443"), Err(EndpointError::Mapped));
    }

    #[test]
    fn places_nobody_else_reaches_are_for_labs() {
        let mut here = endpoint();
        assert_eq!(here.check_place(false), Ok(()));
        here.address = "127.0.0.1:443".parse().unwrap();
        assert_eq!(here.check_place(false), Err(EndpointError::Place));
        assert_eq!(here.check_place(true), Ok(()));
    }

    #[test]
    fn an_endpoint_reads_back_and_every_cut_is_refused() {
        for address in ["203.0.113.7:443", "[2001:db8::7]:8443"] {
            let endpoint = Endpoint { address: address.parse().unwrap(), ..endpoint() };
            let mut bytes = Vec::new();
            endpoint.put(&mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(Endpoint::read(&mut reader).as_ref(), Ok(&endpoint));
            assert_eq!(reader.finish(), Ok(()));
            for end in 0..bytes.len() {
                assert!(Endpoint::read(&mut Reader::new(&bytes[..end])).is_err(), "cut at {end}");
            }
            for (at, wrong) in [(0, 5), (bytes.len() - 1, 0), (bytes.len() - 1, 3)] {
                let mut bent = bytes.clone();
                bent[at] = wrong;
                assert!(Endpoint::read(&mut Reader::new(&bent)).is_err(), "{wrong} at {at}");
            }
            assert!(!format!("{endpoint:?}").contains("443"), "a debug print does not name the place");
        }
    }
}
