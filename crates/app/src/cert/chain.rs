//! What a stored certificate says about itself (RFC 5280): names, times, who it is to whom asks for renewal.

use super::error::CertError;
use super::{CertName, moment};
use instant_acme::CertificateIdentifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use shoalway_net::certificates::Certificate;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::time::SystemTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate that can be shown, and what it says.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) certificate: Certificate,
    pub(super) validity: Validity,
    /// RFC 9773 section 4.1; none when it does not name its issuer's key.
    pub(super) id: Option<CertificateIdentifier<'static>>,
    /// Differs from certificate to certificate: what would be left to chance is taken from here, so that it does not
    /// change when the program starts again.
    pub(super) seed: u64,
}

/// From when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

impl Chain {
    /// Reads key and certificates from PEM.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let certificate = Certificate::from_pem(pem, pem, None).map_err(|error| error.to_string())?;
        let leaf = CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|error| error.to_string())?;
        let validity = Validity {
            from: moment(parsed.validity().not_before.timestamp().try_into().unwrap_or(0)),
            until: moment(parsed.validity().not_after.timestamp().try_into().unwrap_or(0)),
        };
        let mut hasher = DefaultHasher::new();
        leaf.as_ref().hash(&mut hasher);
        let id = CertificateIdentifier::try_from(&leaf).ok().map(CertificateIdentifier::into_owned);
        Ok(Self { certificate, validity, id, seed: hasher.finish() })
    }

    /// The same for a file of ours, which must be for `name`.
    ///
    /// # Errors
    /// [`CertError::Damaged`].
    pub(super) fn of_file(path: &Path, pem: &[u8], name: &CertName) -> Result<Self, CertError> {
        let chain = Self::from_pem(pem).map_err(|why| CertError::damaged(path, why))?;
        if !chain.is_for(name) {
            return Err(CertError::damaged(path, "the certificate is for another name"));
        }
        Ok(chain)
    }

    pub(super) fn is_for(&self, name: &CertName) -> bool {
        self.certificate.names().iter().any(|known| known == name.as_str())
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.validity.from <= now && now < self.validity.until
    }
}
