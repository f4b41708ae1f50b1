//! Why a PROXY protocol header was refused, or cannot be written.

use shoalway_types::{Failure, Retry, Side};

/// Why the bytes are no header. Each is the peer's fault and ends the connection (PROXY protocol section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection begins with something else.
    #[error("the connection does not begin with a PROXY protocol header")]
    Signature,
    /// No CR LF within 107 bytes.
    #[error("the PROXY line does not end within 107 bytes")]
    LineTooLong,
    /// A CR without LF behind it, or an LF without CR before it.
    #[error("a CR or an LF stands alone in the PROXY line")]
    BareLineEnd,
    /// Neither TCP4, TCP6 nor UNKNOWN.
    #[error("the PROXY line names no protocol of TCP4, TCP6 and UNKNOWN")]
    Protocol,
    /// Not exactly two addresses and two ports with one space before each.
    #[error("the PROXY line has not exactly two addresses and two ports")]
    Fields,
    /// An address that is not one of the family named.
    #[error("an address of the PROXY line is not one of its protocol")]
    Address,
    /// A port that is not a number from 0 to 65535 without leading zeros.
    #[error("a port of the PROXY line is not a number from 0 to 65535")]
    Port,
    /// The version is not 2.
    #[error("the binary PROXY header has version {0}, not 2")]
    Version(u8),
    /// Neither LOCAL nor PROXY.
    #[error("the binary PROXY header has the unknown command {0}")]
    Command(u8),
    /// A family or transport that is not assigned, or one that is unspecified beside one that is not.
    #[error("the binary PROXY header has the unknown family and transport {0:#04x}")]
    Family(u8),
    /// More than the limit.
    #[error("the binary PROXY header announces {announced} bytes, and {limit} are allowed")]
    TooLong {
        /// Bytes behind the first 16.
        announced: usize,
        /// How many were allowed.
        limit: usize,
    },
    /// The length has no room for the addresses.
    #[error("the binary PROXY header is too short for its addresses")]
    TooShort,
    /// The last addition goes beyond the header's end.
    #[error("an addition to the PROXY header does not end where the header does")]
    TlvLength,
    /// The value of an addition is not of its type's form.
    #[error("the addition of type {0:#04x} to the PROXY header has a value that its type does not allow")]
    TlvValue(u8),
    /// An addition that says one thing is there twice.
    #[error("the addition of type {0:#04x} to the PROXY header is there twice")]
    TlvTwice(u8),
    /// The checksum is of another header.
    #[error("the checksum of the PROXY header does not match")]
    Checksum,
}

impl Failure for Error {
    fn side(&self) -> Side {
        Side::Client
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Signature => "proxy_protocol_signature",
            Self::LineTooLong => "proxy_protocol_line_too_long",
            Self::BareLineEnd => "proxy_protocol_bare_line_end",
            Self::Protocol => "proxy_protocol_protocol",
            Self::Fields => "proxy_protocol_fields",
            Self::Address => "proxy_protocol_address",
            Self::Port => "proxy_protocol_port",
            Self::Version(_) => "proxy_protocol_version",
            Self::Command(_) => "proxy_protocol_command",
            Self::Family(_) => "proxy_protocol_family",
            Self::TooLong { .. } => "proxy_protocol_too_long",
            Self::TooShort => "proxy_protocol_too_short",
            Self::TlvLength => "proxy_protocol_tlv_length",
            Self::TlvValue(_) => "proxy_protocol_tlv_value",
            Self::TlvTwice(_) => "proxy_protocol_tlv_twice",
            Self::Checksum => "proxy_protocol_checksum",
        }
    }
}

/// Why a header cannot be written. Nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The additions do not fit in 65,535 bytes with the addresses.
    #[error("the PROXY header would be longer than 65,535 bytes")]
    TooLong,
    /// A receiver would refuse an addition.
    #[error("an addition to the PROXY header cannot be written: {0}")]
    Tlv(#[source] Error),
    /// The checksum is asked for with [`super::Checksum`], not given.
    #[error("the checksum of the PROXY header is calculated, not given")]
    Checksum,
}

impl Failure for EncodeError {
    fn side(&self) -> Side {
        Side::Local
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn word(&self) -> &'static str {
        match self {
            Self::TooLong => "proxy_protocol_unwritable_length",
            Self::Tlv(_) => "proxy_protocol_unwritable_tlv",
            Self::Checksum => "proxy_protocol_given_checksum",
        }
    }
}
