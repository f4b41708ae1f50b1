//! Addresses as SOCKS5 writes them in requests, replies and datagrams, RFC 1928 section 5.
//!
//! A name that spells an IP address becomes that address, so that rules see the same thing whichever way a client
//! writes it; an IPv4-mapped IPv6 address becomes IPv4 for the same reason. Not here: resolution.
//!
//! ```text
//! | 1 | IPv4 (4)      | port (2) |
//! | 3 | length | name | port (2) |
//! | 4 | IPv6 (16)     | port (2) |
//! ```

use shoalway_types::{Host, HostError, Target};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Host and port, where the port may be 0 and the host unspecified: "not known yet" in a UDP ASSOCIATE, "any" in a
/// BIND. `Debug` hides both.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Name or address.
    pub host: Host,
    /// 0 to 65535.
    pub port: u16,
}

impl Address {
    /// An address of its parts.
    #[must_use]
    pub const fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// Something to connect or send to, unless the port is 0.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        (self.port != 0).then(|| Target::new(self.host.clone(), self.port))
    }

    /// A socket address, unless the host is a name.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.ip()?, self.port))
    }

    /// Appends type, host and port: 7 octets for IPv4, 19 for IPv6, 4 and the name's length for a name.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => {
                out.push(V4);
                out.extend_from_slice(&ip.octets());
            }
            Host::Ip(IpAddr::V6(ip)) => {
                out.push(V6);
                out.extend_from_slice(&ip.octets());
            }
            Host::Name(name) => {
                // A `DomainName` has 253 octets at most, so nothing is cut off.
                let text = name.as_str().as_bytes();
                out.extend([NAME, u8::try_from(text.len()).unwrap_or(u8::MAX)]);
                out.extend(text.iter().take(usize::from(u8::MAX)));
            }
        }
        out.extend_from_slice(&self.port.to_be_bytes());
    }

    /// Reads one address and its length in octets, or nothing when `bytes` is only the beginning of one.
    ///
    /// # Errors
    /// [`AddressError`] for an unknown type, or a name that is none.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, AddressError> {
        let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
        match kind {
            V4 => Ok(fixed::<4>(rest)),
            V6 => Ok(fixed::<16>(rest)),
            NAME => named(rest),
            kind => Err(AddressError::Type { kind }),
        }
    }

    /// The same for the address of a UDP ASSOCIATE, from which the client means to send (RFC 1928 section 4). Clients
    /// that do not know it write zeros, and some write them as the name `0`, which is no name: "not known yet".
    ///
    /// # Errors
    /// [`AddressError`] as [`Self::decode`].
    pub fn decode_sender(bytes: &[u8]) -> Result<Option<(Self, usize)>, AddressError> {
        match bytes {
            [NAME, 1, b'0', high, low, ..] => {
                let unknown = Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                Ok(Some((Self::new(unknown, u16::from_be_bytes([*high, *low])), 5)))
            }
            _ => Self::decode(bytes),
        }
    }
}

fn fixed<const LENGTH: usize>(bytes: &[u8]) -> Option<(Address, usize)>
where
    IpAddr: From<[u8; LENGTH]>,
{
    let (ip, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let port = rest.first_chunk::<2>()?;
    let host = Host::from(IpAddr::from(*ip));
    Some((Address::new(host, u16::from_be_bytes(*port)), 1 + LENGTH + 2))
}

/// Judges a name only when the port is there too: an address is read as a whole or not at all.
fn named(bytes: &[u8]) -> Result<Option<(Address, usize)>, AddressError> {
    let Some((&length, rest)) = bytes.split_first() else { return Ok(None) };
    let length = usize::from(length);
    let Some((name, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let Some(port) = rest.first_chunk::<2>() else { return Ok(None) };
    let name = str::from_utf8(name).map_err(|_not_text| AddressError::Name(HostError::Character))?;
    let host = Host::parse(name).map_err(AddressError::Name)?;
    Ok(Some((Address::new(host, u16::from_be_bytes(*port)), 2 + length + 2)))
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip().into(), addr.port())
    }
}

impl From<Target> for Address {
    fn from(target: Target) -> Self {
        Self::new(target.host, target.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Why bytes are no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither IPv4, IPv6 nor a name. Its length is unknown, so nothing behind it can be read.
    #[error("address type {kind} is not known")]
    Type {
        /// As sent.
        kind: u8,
    },
    /// A name that is empty, too long, or holds what no name may hold.
    #[error("the name cannot be used: {0}")]
    Name(HostError),
}

const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (bytes, shown) in [
            (&b"\x01\xc0\x00\x02\x01\x00\x50"[..], "192.0.2.1:80"),
            (b"\x01\0\0\0\0\0\0", "0.0.0.0:0"),
            (b"\x03\x09a.example\x01\xbb", "a.example:443"),
            (b"\x03\x01a\x00\x00", "a:0"),
            (b"\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb", "[2001:db8::1]:443"),
        ] {
            let (address, used) = Address::decode(bytes).unwrap().unwrap();
            assert_eq!((address.to_string(), used), (shown.to_owned(), bytes.len()), "{bytes:?}");
            let mut written = Vec::new();
            address.encode(&mut written);
            assert_eq!(written, bytes);
            for cut in 0..bytes.len() {
                assert_eq!(Address::decode(&bytes[..cut]), Ok(None), "{bytes:?} at {cut}");
            }
            let more = [bytes, b"rest"].concat();
            assert_eq!(Address::decode(&more).unwrap().unwrap().1, bytes.len());
        }
    }

    #[test]
    fn addresses_in_disguise_are_seen_through() {
        for (bytes, shown) in [
            (&b"\x03\x09127.0.0.1\x00\x50"[..], "127.0.0.1:80"),
            (b"\x03\x03::1\x00\x50", "[::1]:80"),
            (b"\x03\x0aA.Example.\x00\x50", "a.example:80"),
            (b"\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01\x00\x50", "127.0.0.1:80"),
        ] {
            assert_eq!(Address::decode(bytes).unwrap().unwrap().0.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (bytes, error) in [
            (&b"\x00"[..], AddressError::Type { kind: 0 }),
            (b"\x02", AddressError::Type { kind: 2 }),
            (b"\x05\0\0", AddressError::Type { kind: 5 }),
            (b"\x03\x00\x00\x50", AddressError::Name(HostError::Empty)),
            (b"\x03\x02a\x00\x00\x50", AddressError::Name(HostError::Character)),
            (b"\x03\x02\xc3\xbc\x00\x50", AddressError::Name(HostError::Character)),
            (b"\x03\x01\xff\x00\x50", AddressError::Name(HostError::Character)),
            (b"\x03\x03a b\x00\x50", AddressError::Name(HostError::Character)),
            (b"\x03\x05127.1\x00\x50", AddressError::Name(HostError::Address)),
        ] {
            assert_eq!(Address::decode(bytes), Err(error), "{bytes:?}");
        }
        let longest = [&b"\x03\xff"[..], &[b'a'; 255], b"\x00\x50"].concat();
        assert_eq!(Address::decode(&longest), Err(AddressError::Name(HostError::TooLong)));
    }

    #[test]
    fn port_0_is_an_address_and_no_target() {
        let any = Address::from(SocketAddr::from(([0, 0, 0, 0], 0)));
        assert_eq!((any.target(), any.socket_addr()), (None, Some(SocketAddr::from(([0, 0, 0, 0], 0)))));
        let named = Address::from(Target::parse("a.example:80", None).unwrap());
        assert_eq!(
            (named.target().unwrap().to_string(), named.socket_addr()),
            ("a.example:80".to_owned(), None)
        );
        assert_eq!(format!("{named:?}"), "[hidden]");
    }
}
