//! The header in front of each datagram of a SOCKS5 UDP association, RFC 1928 section 7.
//!
//! Not here: the association (its control connection speaks [`crate::socks5`]), who may send, joining fragments
//! ([`reassembly`]).
//!
//! ```text
//! | 0 0 | fragment | address | payload |      fragment 0: stands alone; 1 to 127: position; + 128: the last one
//! ```

pub mod reassembly;

use crate::socks5::address::{Address, AddressError};
use shoalway_types::{Failure, Retry, Side};

/// Longest header: reserved octets, fragment, and an address with a name of 255 octets.
pub const MAX_HEADER: usize = 3 + 2 + 255 + 2;

/// One datagram, taken apart in place.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// As sent: 0, or a position and the mark of the last one.
    pub frag: u8,
    /// Where the payload goes (from a client), or came from (from a relay). The port is never 0.
    pub target: Address,
    /// What is behind the header; may be empty.
    pub payload: &'a [u8],
}

/// Takes a datagram apart.
///
/// # Errors
/// [`DatagramError`]; section 7 has such datagrams dropped without a word.
pub fn decode(datagram: &[u8]) -> Result<Datagram<'_>, DatagramError> {
    let Some((&[first, second, frag], rest)) = datagram.split_first_chunk::<3>() else {
        return Err(DatagramError::Short);
    };
    // The only mark by which a datagram of something else can be told.
    if (first, second) != (0, 0) {
        return Err(DatagramError::Reserved);
    }
    let (target, used) = Address::decode(rest)?.ok_or(DatagramError::Short)?;
    if target.port == 0 {
        return Err(DatagramError::Port);
    }
    Ok(Datagram { frag, target, payload: rest.get(used..).unwrap_or_default() })
}

/// Appends the header of an unfragmented datagram; the payload follows it. `address` is the sender of a reply on its
/// way to the client, or the target on the way to an upstream proxy.
pub fn encode_header(address: &Address, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0]);
    address.encode(out);
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// Ends within its header.
    #[error("the datagram ends within its header")]
    Short,
    /// The first two octets are not 0.
    #[error("the datagram does not begin with two zero octets")]
    Reserved,
    /// The address cannot be read.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing can be sent to port 0.
    #[error("the port is 0")]
    Port,
}

impl Failure for DatagramError {
    /// The one who sent it: here the client, the upstream proxy where its datagrams are read.
    fn side(&self) -> Side {
        Side::Client
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Short => "socks5_udp_short",
            Self::Reserved => "socks5_udp_reserved",
            Self::Address(AddressError::Type { .. }) => "socks5_udp_unknown_address_type",
            Self::Address(AddressError::Name(_)) => "socks5_udp_bad_name",
            Self::Port => "socks5_udp_bad_port",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn datagrams_are_taken_apart() {
        for (datagram, frag, target, payload) in [
            (&b"\0\0\0\x01\xc0\x00\x02\x01\x00\x35query"[..], 0, "192.0.2.1:53", &b"query"[..]),
            (b"\0\0\0\x01\xc0\x00\x02\x01\x00\x35", 0, "192.0.2.1:53", b""),
            (b"\0\0\x01\x03\x09a.example\x00\x35one", 1, "a.example:53", b"one"),
            (
                b"\0\0\xff\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x35x",
                255,
                "[2001:db8::1]:53",
                b"x",
            ),
        ] {
            let read = decode(datagram).unwrap();
            assert_eq!(
                (read.frag, read.target.to_string(), read.payload),
                (frag, target.to_owned(), payload)
            );
        }
    }

    #[test]
    fn bad_datagrams_are_dropped_with_a_word() {
        for (datagram, word) in [
            (&b""[..], "socks5_udp_short"),
            (b"\0\0", "socks5_udp_short"),
            (b"\0\0\0", "socks5_udp_short"),
            (b"\0\0\0\x01\xc0\x00\x02\x01\x00", "socks5_udp_short"),
            (b"\0\0\0\x03\x09a.exam", "socks5_udp_short"),
            (b"\0\x01\0\x01\xc0\x00\x02\x01\x00\x35", "socks5_udp_reserved"),
            (b"\x05\x00\0\x01\xc0\x00\x02\x01\x00\x35", "socks5_udp_reserved"),
            (b"\0\0\0\x02\xc0\x00\x02\x01\x00\x35", "socks5_udp_unknown_address_type"),
            (b"\0\0\0\x03\x00\x00\x35", "socks5_udp_bad_name"),
            (b"\0\0\0\x01\xc0\x00\x02\x01\x00\x00", "socks5_udp_bad_port"),
        ] {
            assert_eq!(decode(datagram).err().map(|error| error.word()), Some(word), "{datagram:?}");
        }
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let longest =
            format!("{}:65535", ["a".repeat(63).as_str(); 3].join(".") + &format!(".{}", "b".repeat(61)));
        let named = |text: &str| Address::from(shoalway_types::Target::parse(text, None).unwrap());
        for address in [
            SocketAddr::from(([192, 0, 2, 1], 53)).into(),
            SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 53)).into(),
            named("a.example:53"),
            named(&longest),
        ] {
            let mut datagram = Vec::new();
            encode_header(&address, &mut datagram);
            assert!(datagram.len() <= MAX_HEADER);
            datagram.extend_from_slice(b"payload");
            let read = decode(&datagram).unwrap();
            assert_eq!((read.frag, read.target, read.payload), (0, address, &b"payload"[..]));
        }
    }
}
