//! A host: a checked, lower-case name or an IP address.
//!
//! Names follow RFC 1123 section 2.1 with two concessions to practice: an underscore may stand in a label
//! (service names, RFC 2782), and one final dot is dropped. Names outside ASCII are refused: clients send the
//! `xn--` form. Not here: resolution (`net/resolver`), who may be reached (`net/egress_guard`, `policy`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in text form, RFC 1035 section 2.3.4 (255 octets on the wire).
pub const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A domain name: lower case, no final dot, 1 to 253 octets, labels of 1 to 63.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Box<str>);

impl DomainName {
    /// Checks and lower-cases a name.
    ///
    /// # Errors
    /// [`HostError`] when the name is empty, too long, or holds what no name may hold.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(HostError::TooLong);
        }
        for label in text.split('.') {
            check_label(label)?;
        }
        Ok(Self(text.to_ascii_lowercase().into_boxed_str()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.is_empty() || label.len() > MAX_LABEL {
        return Err(HostError::Label);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Label);
    }
    if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(HostError::Character);
    }
    Ok(())
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Where a request wants to go, without the port. `Debug` hides it; `Display` does not.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name, not yet resolved.
    Name(DomainName),
    /// An address. IPv4-mapped IPv6 addresses are kept as IPv4, so that no rule can be walked around.
    Ip(IpAddr),
}

impl Host {
    /// Reads a name, an IPv4 address, or an IPv6 address with or without brackets.
    ///
    /// A last label of digits only is an IPv4 address or a mistake, never a name: `127.1` and `2130706433` are
    /// refused, since peers disagree on what they mean (WHATWG URL, "ends in a number").
    ///
    /// # Errors
    /// [`HostError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Brackets)?;
            return Self::v6(inner);
        }
        if text.contains(':') {
            return Self::v6(text);
        }
        let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next().unwrap_or_default();
        let numeric =
            last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
        if !last.is_empty() && numeric {
            return text
                .parse::<Ipv4Addr>()
                .map(|ip| Self::Ip(ip.into()))
                .map_err(|_not_one| HostError::Address);
        }
        DomainName::parse(text).map(Self::Name)
    }

    fn v6(text: &str) -> Result<Self, HostError> {
        let ip = text.parse::<Ipv6Addr>().map_err(|_not_one| HostError::Address)?;
        Ok(Self::from(IpAddr::V6(ip)))
    }

    /// The address, when this is one.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// The name, when this is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name.as_str()),
            Self::Ip(_) => None,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

impl fmt::Display for Host {
    /// As it stands in an authority: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// Over 253 octets.
    #[error("the host name is longer than 253 octets")]
    TooLong,
    /// A label is empty, over 63 octets, or begins or ends with a hyphen.
    #[error("a label of the host name is empty, too long, or begins or ends with a hyphen")]
    Label,
    /// A character that stands in no host name.
    #[error("the host name has a character outside letters, digits, hyphen and underscore")]
    Character,
    /// Looks like an address and is none.
    #[error("the address is not valid")]
    Address,
    /// An opening bracket without its closing one.
    #[error("the brackets around the IPv6 address do not match")]
    Brackets,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_people_and_clients_write_them() {
        for (text, shown) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("1.example", "1.example"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_no_host_may_hold_is_refused() {
        for (text, why) in [
            ("", HostError::Empty),
            (".", HostError::Empty),
            ("a..b", HostError::Label),
            ("-a.example", HostError::Label),
            ("a b", HostError::Character),
            ("a/b", HostError::Character),
            ("b\u{fc}cher.example", HostError::Character),
            ("127.1", HostError::Address),
            ("2130706433", HostError::Address),
            ("0x7f.0.0.1", HostError::Address),
            ("a.0x7f", HostError::Address),
            ("[::1", HostError::Brackets),
            ("::1::", HostError::Address),
        ] {
            assert_eq!(Host::parse(text), Err(why), "{text}");
        }
        assert_eq!(Host::parse(&"a".repeat(64)), Err(HostError::Label));
        assert_eq!(Host::parse(&"a.".repeat(127)), Ok(Host::parse(&"a.".repeat(127)).unwrap()));
        assert_eq!(Host::parse(&"a.".repeat(128)), Err(HostError::TooLong));
    }

    #[test]
    fn debug_output_tells_no_destination() {
        assert_eq!(format!("{:?}", Host::parse("secret.example").unwrap()), "[hidden]");
    }
}
