//! What the TLS client and the TLS server share: provider, trust anchors, PEM, and the errors of both.
//!
//! Cryptography is aws-lc-rs, named explicitly: no process-wide default is read or set. TLS 1.2 and 1.3.
//! Not here: handshakes (`tls_client.rs`, `tls_server.rs`), certificates made on the fly.

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use shoalway_types::{Failure, Retry, Side};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Whom a client believes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// The certificates the system trusts.
    #[default]
    System,
    /// Only these: one or more certificates in PEM.
    Pem(Vec<u8>),
}

impl Roots {
    /// The trust anchors. `System` reads files: call it while starting, not on a shard.
    ///
    /// # Errors
    /// [`TlsConfigError`] when there is no usable certificate.
    pub(crate) fn store(&self) -> Result<RootCertStore, TlsConfigError> {
        let mut store = RootCertStore::empty();
        match self {
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                store.add_parsable_certificates(found.certs);
            }
            Self::Pem(pem) => {
                for cert in certificates(pem)? {
                    store.add(cert).map_err(TlsConfigError::Rejected)?;
                }
            }
        }
        if store.is_empty() { Err(TlsConfigError::NoRoots) } else { Ok(store) }
    }
}

/// The provider of cryptography; cheap to make, its parts are static.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificates in `pem`, at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let certs: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(TlsConfigError::Certificate)?;
    if certs.is_empty() { Err(TlsConfigError::Certificate(pem::Error::NoItemsFound)) } else { Ok(certs) }
}

/// The first private key in `pem`: PKCS#8, PKCS#1 or SEC1.
pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(TlsConfigError::Key)
}

/// Tells the one mistake people make from the others.
pub(crate) fn rejected(error: rustls::Error) -> TlsConfigError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsConfigError::KeyMismatch,
        other => TlsConfigError::Rejected(other),
    }
}

/// Why a TLS client or server cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// No certificate in PEM where one is needed.
    #[error("no certificate can be read")]
    Certificate(#[source] pem::Error),
    /// No private key in PEM where one is needed.
    #[error("no private key can be read; it must be PEM, without a passphrase")]
    Key(#[source] pem::Error),
    /// The key is of another certificate.
    #[error("the private key does not belong to the first certificate of the chain")]
    KeyMismatch,
    /// The system trusts nobody, or its certificates were not found.
    #[error("no trusted certificate authority was found")]
    NoRoots,
    /// A certificate or key is there and cannot be used.
    #[error("the certificate or key cannot be used")]
    Rejected(#[source] rustls::Error),
    /// The certificates that clients are checked against cannot be used.
    #[error("the certificates for checking clients cannot be used")]
    ClientRoots(#[source] rustls::server::VerifierBuilderError),
}

/// Why a TLS handshake was not completed. No byte of the application has been sent.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct TlsError {
    peer: Side,
    #[source]
    fault: TlsFault,
}

/// What went wrong in a handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// Not completed in time.
    #[error("no TLS handshake within {after:?}")]
    Timeout {
        /// The time that was given.
        after: Duration,
    },
    /// The name can stand in no certificate.
    #[error("the name cannot be checked against a certificate")]
    Name,
    /// The peer's certificate is expired, for another name, or of an unknown authority.
    #[error("the certificate is not valid")]
    Certificate(#[source] io::Error),
    /// The peer refused us with an alert.
    #[error("the peer sent a TLS alert")]
    Alert(#[source] io::Error),
    /// The peer does not speak TLS, or none of our versions and suites.
    #[error("the TLS handshake failed")]
    Protocol(#[source] io::Error),
    /// The connection ended.
    #[error("the connection ended during the TLS handshake")]
    Closed(#[source] io::Error),
    /// Nothing: a certificate authority has checked our name (RFC 8737), which ends with the handshake.
    #[error("a certificate authority has checked the name")]
    Checked,
}

impl TlsError {
    pub(crate) const fn new(peer: Side, fault: TlsFault) -> Self {
        Self { peer, fault }
    }

    /// Sorts what the driver of rustls reports.
    pub(crate) fn handshake(peer: Side, error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let fault = match inner {
            None => TlsFault::Closed(error),
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                TlsFault::Certificate(error)
            }
            Some(rustls::Error::AlertReceived(_)) => TlsFault::Alert(error),
            Some(_) => TlsFault::Protocol(error),
        };
        Self::new(peer, fault)
    }

    /// What went wrong.
    #[must_use]
    pub const fn fault(&self) -> &TlsFault {
        &self.fault
    }

    /// The error type for a `Proxy-Status` field, RFC 9209 section 2.3.
    #[must_use]
    pub const fn proxy_status(&self) -> &'static str {
        match self.fault {
            TlsFault::Timeout { .. } => "connection_timeout",
            TlsFault::Name | TlsFault::Certificate(_) => "tls_certificate_error",
            TlsFault::Alert(_) => "tls_alert_received",
            TlsFault::Protocol(_) => "tls_protocol_error",
            TlsFault::Closed(_) | TlsFault::Checked => "connection_terminated",
        }
    }
}

impl Failure for TlsError {
    fn side(&self) -> Side {
        self.peer
    }

    fn retry(&self) -> Retry {
        match self.fault {
            TlsFault::Timeout { .. } | TlsFault::Closed(_) => Retry::Safe,
            TlsFault::Name
            | TlsFault::Certificate(_)
            | TlsFault::Alert(_)
            | TlsFault::Protocol(_)
            | TlsFault::Checked => Retry::Never,
        }
    }

    fn word(&self) -> &'static str {
        match self.fault {
            TlsFault::Timeout { .. } => "tls_timeout",
            TlsFault::Name | TlsFault::Certificate(_) => "tls_certificate_error",
            TlsFault::Alert(_) => "tls_alert_received",
            TlsFault::Protocol(_) => "tls_protocol_error",
            TlsFault::Closed(_) => "tls_closed",
            TlsFault::Checked => "acme_check",
        }
    }
}
