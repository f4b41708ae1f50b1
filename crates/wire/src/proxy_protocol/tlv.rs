//! What a sender tells beside the addresses: type, length, value; PROXY protocol section 2.2 and its subsections.
//!
//! All is checked when the header is read, so that walking through it cannot fail: lengths, the form of each value,
//! and that no type that says one thing is there twice. The text is silent on repeats; two readers could believe
//! two different hosts, so they are refused. Types without a meaning here may repeat. Not here: the checksum's value
//! (`v2.rs`), whether what is told is believed.

use super::Error;
use std::fmt;

pub(super) const ALPN: u8 = 0x01;
pub(super) const AUTHORITY: u8 = 0x02;
pub(super) const CRC32C: u8 = 0x03;
pub(super) const NOOP: u8 = 0x04;
pub(super) const UNIQUE_ID: u8 = 0x05;
pub(super) const SSL: u8 = 0x20;
pub(super) const NETNS: u8 = 0x30;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
const SSL_SIG_ALG: u8 = 0x24;
const SSL_KEY_ALG: u8 = 0x25;

/// Longest unique id, section 2.2.5.
pub const MAX_UNIQUE_ID: usize = 128;

/// One addition. `Debug` tells its type and length only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tlv<'a> {
    /// The protocol spoken inside, as in ALPN (RFC 7301).
    Alpn(&'a [u8]),
    /// The host the client named, as in SNI. UTF-8, otherwise unchecked.
    Authority(&'a str),
    /// The checksum of the header, found right.
    Crc32c(u32),
    /// Padding.
    Noop(&'a [u8]),
    /// What the sender calls the connection, at most 128 bytes.
    UniqueId(&'a [u8]),
    /// What the client's TLS was.
    Ssl(Ssl<'a>),
    /// The network namespace, ASCII.
    Netns(&'a str),
    /// A type without a meaning here: of an application (0xE0 to 0xEF), of an experiment, or newer than this.
    Other {
        /// Its type.
        kind: u8,
        /// Its value.
        value: &'a [u8],
    },
}

impl<'a> Tlv<'a> {
    fn read(kind: u8, value: &'a [u8]) -> Result<Self, Error> {
        let wrong = Error::TlvValue(kind);
        match kind {
            ALPN => Ok(Self::Alpn(value)),
            AUTHORITY => str::from_utf8(value).ok().map(Self::Authority).ok_or(wrong),
            CRC32C => value.try_into().ok().map(u32::from_be_bytes).map(Self::Crc32c).ok_or(wrong),
            NOOP => Ok(Self::Noop(value)),
            UNIQUE_ID => Some(value).filter(|id| id.len() <= MAX_UNIQUE_ID).map(Self::UniqueId).ok_or(wrong),
            SSL => Ssl::read(value).map(Self::Ssl),
            NETNS => ascii(value).map(Self::Netns).ok_or(wrong),
            kind => Ok(Self::Other { kind, value }),
        }
    }

    /// Its type and its value; a checksum has none before the header is whole.
    pub(super) const fn parts(&self) -> (u8, &'a [u8]) {
        match *self {
            Self::Alpn(value) => (ALPN, value),
            Self::Authority(text) => (AUTHORITY, text.as_bytes()),
            Self::Crc32c(_) => (CRC32C, &[]),
            Self::Noop(value) => (NOOP, value),
            Self::UniqueId(value) => (UNIQUE_ID, value),
            Self::Ssl(ssl) => (SSL, ssl.whole),
            Self::Netns(text) => (NETNS, text.as_bytes()),
            Self::Other { kind, value } => (kind, value),
        }
    }
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, value) = self.parts();
        write!(f, "Tlv({kind:#04x}, {} bytes)", value.len())
    }
}

/// What the client's TLS was, section 2.2.6.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ssl<'a> {
    whole: &'a [u8],
    client: u8,
    verify: u32,
    fields: &'a [u8],
}

impl<'a> Ssl<'a> {
    /// In [`Ssl::client`]: the client came over TLS.
    pub const TLS: u8 = 1;
    /// In [`Ssl::client`]: it showed a certificate on this connection.
    pub const CERTIFICATE: u8 = 2;
    /// In [`Ssl::client`]: it showed a certificate on this connection or an earlier one of its TLS session.
    pub const CERTIFICATE_IN_SESSION: u8 = 4;

    /// Reads the value of such an addition, as [`Ssl::compose`] writes it.
    ///
    /// # Errors
    /// [`Error`] as for a header.
    pub fn read(whole: &'a [u8]) -> Result<Self, Error> {
        let Some((&[client, a, b, c, d], fields)) = whole.split_first_chunk() else {
            return Err(Error::TlvValue(SSL));
        };
        let mut seen = Seen::default();
        for part in Raw(fields) {
            let (kind, value) = part?;
            seen.once(kind, matches!(kind, SSL_VERSION..=SSL_KEY_ALG))?;
            SslField::read(kind, value)?;
        }
        Ok(Self { whole, client, verify: u32::from_be_bytes([a, b, c, d]), fields })
    }

    /// Appends the value of such an addition to `out`.
    pub fn compose(client: u8, verify: u32, fields: &[SslField<'_>], out: &mut Vec<u8>) {
        out.push(client);
        out.extend_from_slice(&verify.to_be_bytes());
        for field in fields {
            let (kind, value) = field.parts();
            // No longer value can be part of a header, which is then refused for what this leaves.
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            out.push(kind);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
    }

    /// Bits that say what is known: [`Ssl::TLS`] and its neighbours.
    #[must_use]
    pub const fn client(&self) -> u8 {
        self.client
    }

    /// How the check of the client's certificate ended, in numbers of the sender's library. 0 is good, but also
    /// sent when there was none to check.
    #[must_use]
    pub const fn verify(&self) -> u32 {
        self.verify
    }

    /// Whether the client showed a certificate and the sender found it good.
    #[must_use]
    pub const fn certificate_verified(&self) -> bool {
        self.client & (Self::CERTIFICATE | Self::CERTIFICATE_IN_SESSION) != 0 && self.verify == 0
    }

    /// The details, in the order sent.
    pub fn fields(&self) -> impl Iterator<Item = SslField<'a>> + use<'a> {
        Raw(self.fields).map_while(Result::ok).map_while(|(kind, value)| SslField::read(kind, value).ok())
    }
}

/// One detail of the client's TLS. `Debug` tells its type and length only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SslField<'a> {
    /// The version of TLS, as `TLSv1.3`; ASCII.
    Version(&'a str),
    /// The common name of the client's certificate, UTF-8.
    CommonName(&'a str),
    /// The cipher, ASCII.
    Cipher(&'a str),
    /// How the server's certificate was signed, ASCII.
    SignatureAlgorithm(&'a str),
    /// The server's kind of key, ASCII.
    KeyAlgorithm(&'a str),
    /// A type without a meaning here.
    Other {
        /// Its type.
        kind: u8,
        /// Its value.
        value: &'a [u8],
    },
}

impl<'a> SslField<'a> {
    fn read(kind: u8, value: &'a [u8]) -> Result<Self, Error> {
        let wrong = Error::TlvValue(kind);
        match kind {
            SSL_VERSION => ascii(value).map(Self::Version).ok_or(wrong),
            SSL_CN => str::from_utf8(value).ok().map(Self::CommonName).ok_or(wrong),
            SSL_CIPHER => ascii(value).map(Self::Cipher).ok_or(wrong),
            SSL_SIG_ALG => ascii(value).map(Self::SignatureAlgorithm).ok_or(wrong),
            SSL_KEY_ALG => ascii(value).map(Self::KeyAlgorithm).ok_or(wrong),
            kind => Ok(Self::Other { kind, value }),
        }
    }

    const fn parts(&self) -> (u8, &'a [u8]) {
        match *self {
            Self::Version(text) => (SSL_VERSION, text.as_bytes()),
            Self::CommonName(text) => (SSL_CN, text.as_bytes()),
            Self::Cipher(text) => (SSL_CIPHER, text.as_bytes()),
            Self::SignatureAlgorithm(text) => (SSL_SIG_ALG, text.as_bytes()),
            Self::KeyAlgorithm(text) => (SSL_KEY_ALG, text.as_bytes()),
            Self::Other { kind, value } => (kind, value),
        }
    }
}

impl fmt::Debug for SslField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, value) = self.parts();
        write!(f, "SslField({kind:#04x}, {} bytes)", value.len())
    }
}

impl fmt::Debug for Ssl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssl({:#04x}, {}, {} bytes)", self.client, self.verify, self.fields.len())
    }
}

/// All additions of a header, checked.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// Checks `bytes`; also says where the value of the checksum stands in them, when there is one.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, Option<usize>), Error> {
        let mut seen = Seen::default();
        let mut checksum = None;
        let mut offset = 0;
        for part in Raw(bytes) {
            let (kind, value) = part?;
            seen.once(kind, matches!(kind, ALPN | AUTHORITY | CRC32C | UNIQUE_ID | SSL | NETNS))?;
            if let Tlv::Crc32c(_) = Tlv::read(kind, value)? {
                checksum = Some(offset + HEAD);
            }
            offset += HEAD + value.len();
        }
        Ok((Self(bytes), checksum))
    }

    /// The additions, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'a>> + use<'a> {
        Raw(self.0).map_while(Result::ok).map_while(|(kind, value)| Tlv::read(kind, value).ok())
    }
}

impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Type and length in front of each value.
const HEAD: usize = 3;

/// Types and values, of which only the lengths are looked at. Ends with the first error.
struct Raw<'a>(&'a [u8]);

impl<'a> Iterator for Raw<'a> {
    type Item = Result<(u8, &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        let split = bytes.split_first_chunk().and_then(|(&[kind, high, low], rest)| {
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            Some((kind, value, rest))
        });
        let Some((kind, value, rest)) = split else { return Some(Err(Error::TlvLength)) };
        self.0 = rest;
        Some(Ok((kind, value)))
    }
}

/// Which types have been there; all that may be there once are below 64.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    fn once(&mut self, kind: u8, only: bool) -> Result<(), Error> {
        let bit = if only { 1_u64.checked_shl(u32::from(kind)).unwrap_or(0) } else { 0 };
        if self.0 & bit != 0 {
            return Err(Error::TlvTwice(kind));
        }
        self.0 |= bit;
        Ok(())
    }
}

fn ascii(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok().filter(|text| text.is_ascii())
}
