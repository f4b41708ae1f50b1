//! What a TLS client asks for, read without opening anything: name, protocols, versions, ciphers, fingerprint.
//!
//! Follows RFC 8446 sections 4.1.2, 4.2 and 5.1, RFC 6066 section 3 (SNI) and RFC 7301 section 3.1 (ALPN). What breaks
//! them in a way that two readers could understand differently is refused by name, never repaired: the server behind
//! may not see another name than the one that chose it. Not here: answering, decrypting an inner hello (RFC 9849), TLS
//! over QUIC packets (their reader hands the message to [`ClientHello::from_message`]), SSL 2.0's form.
//!
//! ```text
//! record    | 22 | 3, minor | length (2) | part of the message .. |            one or more
//! message   | 1 | length (3) | version (2) | random (32) | session | ciphers | compression | extensions |
//! extension | type (2) | length (2) | value .. |
//! ```

mod error;
mod extensions;
mod ja4;
mod records;
mod vector;

#[cfg(test)]
mod tests;

pub use error::Error;

use extensions::Extensions;
use shoalway_types::DomainName;
use vector::{U8, U16, u16s};

/// Bytes of records that are looked at where the caller says nothing else. Browsers' hellos with a post-quantum key
/// share take about 2 KiB.
pub const DEFAULT_LIMIT: usize = 16_384;

/// A ClientHello. `Debug` hides the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The version in its old place: 0x0303 since TLS 1.2, whatever the client really offers.
    pub legacy_version: u16,
    /// The host the client names (SNI): lower case, no address, no final dot.
    pub sni: Option<DomainName>,
    /// Protocols the client would speak inside, best first; empty without ALPN. Each has 1 to 255 bytes.
    pub alpn: Vec<Box<[u8]>>,
    /// Versions offered, best first; empty without the extension. GREASE values (RFC 8701) stand here as sent.
    pub supported_versions: Vec<u16>,
    /// Cipher suites, best first, with GREASE values.
    pub cipher_suites: Vec<u16>,
    /// Types of all extensions in the order sent, with GREASE values. None is there twice.
    pub extensions: Vec<u16>,
    /// Signature schemes of `signature_algorithms`, best first, with GREASE values.
    pub signature_algorithms: Vec<u16>,
    /// Whether `encrypted_client_hello` (RFC 9849) is there, real or GREASE: the name is then perhaps not the true one.
    pub encrypted_client_hello: bool,
}

/// Reads a hello from the start of `bytes`, which are TLS records as they came; [`DEFAULT_LIMIT`] is a good `limit`.
///
/// `None` while it is incomplete and fewer than `limit` bytes are there. Nothing is consumed: whoever speaks TLS reads
/// the same bytes again.
///
/// # Errors
/// [`Error`] when this is no hello, not one that can be understood in one way only, or not complete within `limit`.
pub fn read(bytes: &[u8], limit: usize) -> Result<Option<ClientHello>, Error> {
    match records::message(bytes, limit)? {
        Some(message) => ClientHello::from_message(&message).map(Some),
        None => Ok(None),
    }
}

impl ClientHello {
    /// Reads a whole handshake message, its type and length included, without records around it.
    ///
    /// # Errors
    /// As [`read`].
    pub fn from_message(message: &[u8]) -> Result<Self, Error> {
        let Some((&[kind, a, b, c], body)) = message.split_first_chunk() else { return Err(Error::Cut) };
        if kind != records::CLIENT_HELLO {
            return Err(Error::NotClientHello);
        }
        if usize::try_from(u32::from_be_bytes([0, a, b, c])) != Ok(body.len()) {
            return Err(Error::Cut);
        }
        Self::from_body(body)
    }

    fn from_body(body: &[u8]) -> Result<Self, Error> {
        let Some((&[major, minor], rest)) = body.split_first_chunk() else { return Err(Error::Cut) };
        if major != 3 {
            return Err(Error::Version);
        }
        let Some((_random, rest)) = rest.split_first_chunk::<32>() else { return Err(Error::Cut) };
        let (session, rest) = U8.split(rest).ok_or(Error::Cut)?;
        if session.len() > 32 {
            return Err(Error::SessionId);
        }
        let (ciphers, rest) = U16.split(rest).ok_or(Error::Cut)?;
        let cipher_suites = u16s(ciphers).ok_or(Error::CipherSuites)?;
        let (compressions, rest) = U8.split(rest).ok_or(Error::Cut)?;
        if !compressions.contains(&0) {
            return Err(Error::Compression);
        }
        let extensions = Extensions::read(rest)?;
        Ok(Self {
            legacy_version: u16::from_be_bytes([major, minor]),
            sni: extensions.sni,
            alpn: extensions.alpn,
            supported_versions: extensions.supported_versions,
            cipher_suites,
            extensions: extensions.types,
            signature_algorithms: extensions.signature_algorithms,
            encrypted_client_hello: extensions.encrypted_client_hello,
        })
    }

    /// The JA4 fingerprint of a client over TCP, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`: 36 ASCII characters.
    /// It tells programs apart, not persons, and whoever wants can have another's.
    #[must_use]
    pub fn ja4(&self) -> String {
        ja4::fingerprint(self)
    }

    /// The lists of which [`ClientHello::ja4`] is the digest (`JA4_r`): sorted, in hexadecimal.
    #[must_use]
    pub fn ja4_raw(&self) -> String {
        ja4::raw(self)
    }
}
