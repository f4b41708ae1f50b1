//! The PROXY protocol, versions 1 and 2: what a proxy in front says of the connection it relays.
//!
//! Follows "The PROXY protocol, Versions 1 & 2" by HAProxy Technologies (sections 2.1 and 2.2). Nothing is repaired:
//! whatever does not match the text is an [`Error`], and the connection ends. Not here: who may send a header. The
//! receiver must know by configuration whether one comes (section 2), since whoever may send it may be anybody.
//!
//! ```text
//! 1 | "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443" CR LF                        | TCP6, or UNKNOWN and anything
//! 2 | signature (12) | 2, command | family, transport | length (2) | addresses | type (1), length (2), value .. |
//! ```

pub mod tlv;

mod address;
mod crc32c;
mod error;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

pub use address::{Endpoints, Transport, UnixAddress};
pub use error::{EncodeError, Error};
pub use v1::{MAX_LINE, encode_v1};
pub use v2::{Checksum, encode_v2};

use tlv::Tlvs;

/// Bytes that may follow the first 16 of version 2 where the caller says nothing else. The addresses take at most
/// 216 of them; the rest is for additions, of which a client certificate's name and an id of 128 bytes are usual.
pub const DEFAULT_LIMIT: usize = 4_096;

/// Which form a header had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// A header as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The form it had.
    pub version: Version,
    /// Who is connected with whom.
    pub endpoints: Endpoints<'a>,
    /// What else the sender tells; nothing in version 1.
    pub tlvs: Tlvs<'a>,
}

/// What the first bytes of a connection are the beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detected {
    /// Too few bytes to tell; never said of 12 or more.
    NeedMore,
    /// A header of this version.
    Header(Version),
    /// Something else.
    Other,
}

/// Tells whether a header begins here.
///
/// For log lines and for peers that are trusted either way. A receiver must not use it to leave the choice to the
/// client (sections 2 and 5): who may choose to send a header may choose its own address.
#[must_use]
pub fn detect(bytes: &[u8]) -> Detected {
    if bytes.starts_with(v1::PREFIX) {
        Detected::Header(Version::V1)
    } else if bytes.starts_with(v2::SIGNATURE) {
        Detected::Header(Version::V2)
    } else if v1::PREFIX.starts_with(bytes) || v2::SIGNATURE.starts_with(bytes) {
        Detected::NeedMore
    } else {
        Detected::Other
    }
}

/// Reads a header of either version from the start of `bytes`, with [`DEFAULT_LIMIT`].
///
/// `None` while it is incomplete; otherwise the header and how many bytes it took. What follows is payload.
///
/// # Errors
/// [`Error`] when this is no header, or not one to the letter. The connection must then be closed.
pub fn decode(bytes: &[u8]) -> Result<Option<(Header<'_>, usize)>, Error> {
    decode_within(bytes, DEFAULT_LIMIT)
}

/// As [`decode`]; `limit` is how many bytes may follow the first 16 of version 2 (12 to 65,535).
///
/// # Errors
/// As [`decode`].
pub fn decode_within(bytes: &[u8], limit: usize) -> Result<Option<(Header<'_>, usize)>, Error> {
    match detect(bytes) {
        Detected::NeedMore => Ok(None),
        Detected::Header(Version::V1) => v1::decode(bytes),
        Detected::Header(Version::V2) => v2::decode(bytes, limit),
        Detected::Other => Err(Error::Signature),
    }
}
