//! Why the first bytes of a TLS connection were refused.

use shoalway_types::{Failure, Retry, Side};

/// Why there is no hello to go by. Each is the client's fault; nothing has been sent to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The record is not of type 22.
    #[error("the client does not begin with a TLS handshake")]
    NotHandshake,
    /// The record's version does not begin with 3.
    #[error("the TLS record has an unknown version")]
    RecordVersion,
    /// A record without content.
    #[error("a TLS record of the hello is empty")]
    EmptyRecord,
    /// A record over 16,384 bytes.
    #[error("a TLS record of the hello is longer than 16,384 bytes")]
    RecordTooLong,
    /// Another message, in which clients do not begin.
    #[error("the first TLS message is no ClientHello")]
    NotClientHello,
    /// Not complete within the limit.
    #[error("the ClientHello takes more than {limit} bytes")]
    TooLong {
        /// How many bytes were allowed, records included.
        limit: usize,
    },
    /// Something goes beyond the end of what holds it.
    #[error("the ClientHello is cut off within a field")]
    Cut,
    /// Something stands behind the end.
    #[error("bytes follow the end of the ClientHello")]
    Trailing,
    /// The version in its old place does not begin with 3.
    #[error("the ClientHello has an unknown version")]
    Version,
    /// Over 32 bytes.
    #[error("the session id of the ClientHello is longer than 32 bytes")]
    SessionId,
    /// No cipher, or half of one.
    #[error("the cipher list of the ClientHello is empty or has an odd length")]
    CipherSuites,
    /// "No compression" is not among the methods.
    #[error("the ClientHello does not offer to go without compression")]
    Compression,
    /// An extension is there twice.
    #[error("the extension {0} of the ClientHello is there twice")]
    ExtensionTwice(u16),
    /// `pre_shared_key` is not the last extension.
    #[error("the pre-shared key of the ClientHello is not its last extension")]
    PreSharedKey,
    /// The list of names is empty, or cut off.
    #[error("the server name list of the ClientHello is malformed")]
    Sni,
    /// Two host names.
    #[error("the ClientHello names two hosts")]
    SniTwice,
    /// What no host name may hold.
    #[error("the server name of the ClientHello is no host name")]
    SniName,
    /// An address, which RFC 6066 does not permit.
    #[error("the server name of the ClientHello is an address")]
    SniAddress,
    /// A final dot, which RFC 6066 does not permit.
    #[error("the server name of the ClientHello ends with a dot")]
    SniTrailingDot,
    /// The list of protocols is empty, cut off, or holds an empty one.
    #[error("the protocol list (ALPN) of the ClientHello is malformed")]
    Alpn,
    /// The list of versions is empty, cut off, or has an odd length.
    #[error("the version list of the ClientHello is malformed")]
    SupportedVersions,
    /// The list of signature schemes is empty, cut off, or has an odd length.
    #[error("the signature algorithms of the ClientHello are malformed")]
    SignatureAlgorithms,
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
            Self::NotHandshake => "hello_not_handshake",
            Self::RecordVersion => "hello_record_version",
            Self::EmptyRecord => "hello_empty_record",
            Self::RecordTooLong => "hello_record_too_long",
            Self::NotClientHello => "hello_other_message",
            Self::TooLong { .. } => "hello_too_long",
            Self::Cut => "hello_cut",
            Self::Trailing => "hello_trailing",
            Self::Version => "hello_version",
            Self::SessionId => "hello_session_id",
            Self::CipherSuites => "hello_cipher_suites",
            Self::Compression => "hello_compression",
            Self::ExtensionTwice(_) => "hello_extension_twice",
            Self::PreSharedKey => "hello_pre_shared_key",
            Self::Sni => "hello_sni",
            Self::SniTwice => "hello_sni_twice",
            Self::SniName => "hello_sni_name",
            Self::SniAddress => "hello_sni_address",
            Self::SniTrailingDot => "hello_sni_trailing_dot",
            Self::Alpn => "hello_alpn",
            Self::SupportedVersions => "hello_supported_versions",
            Self::SignatureAlgorithms => "hello_signature_algorithms",
        }
    }
}
