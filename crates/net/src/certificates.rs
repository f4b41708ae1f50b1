//! Certificates of a TLS listener: chosen by the name a client asks for, several per name, changed while it runs.
//!
//! A name is looked up as it is, then as a wildcard of one label (RFC 9525 section 6.3); who asks for no name, or for
//! one there is none for, gets the first certificate. Of several the first that fits the client's signature schemes is
//! shown, so that an ECDSA and an RSA certificate can stand side by side. A handshake that is under way keeps what it was
//! shown. An authority that checks a name (RFC 8737) is shown what [`AcmeChallenges`] has for it, or nothing. Not here:
//! handshakes (`tls_server.rs`), files, who issues certificates.

use crate::acme_challenges::AcmeChallenges;
use crate::tls::{TlsConfigError, certificates, private_key, provider, rejected};
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// One certificate with its key, ready to be shown. Cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Arc<[String]>,
}

impl Certificate {
    /// A certificate with its issuers and its key, all PEM; `staple` is an OCSP answer in DER (RFC 6066 section 8).
    ///
    /// # Errors
    /// [`TlsConfigError`] says which part cannot be used.
    pub fn from_pem(chain: &[u8], key: &[u8], staple: Option<Vec<u8>>) -> Result<Self, TlsConfigError> {
        let chain = certificates(chain)?;
        let names = match chain.first().map(webpki::EndEntityCert::try_from) {
            Some(Ok(parsed)) => parsed.valid_dns_names().map(str::to_ascii_lowercase).collect(),
            Some(Err(_)) | None => Vec::new(),
        };
        let mut key =
            CertifiedKey::from_der(chain, private_key(key)?, provider().as_ref()).map_err(rejected)?;
        key.ocsp = staple;
        Ok(Self { key: Arc::new(key), names: names.into() })
    }

    /// The DNS names it is for, lower case, wildcards with their `*`.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

/// What a listener can show.
#[derive(Default)]
struct Shown {
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    first: Vec<Arc<CertifiedKey>>,
}

impl Shown {
    fn of(certificates: &[Certificate]) -> Self {
        let mut shown = Self::default();
        for certificate in certificates {
            for name in certificate.names.iter() {
                shown.by_name.entry(name.clone()).or_default().push(Arc::clone(&certificate.key));
            }
        }
        // Another certificate for the same names is the same choice with another kind of key.
        let names = certificates.first().map(|first| Arc::clone(&first.names)).unwrap_or_default();
        let alike = certificates.iter().enumerate().filter(|(at, other)| *at == 0 || other.names == names);
        shown.first = alike.map(|(_, certificate)| Arc::clone(&certificate.key)).collect();
        shown
    }

    fn find(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.first };
        let name = name.to_ascii_lowercase();
        let wildcard = || name.split_once('.').map(|(_label, rest)| format!("*.{rest}"));
        let exact = self.by_name.get(&name);
        let found = exact.or_else(|| self.by_name.get(&wildcard()?));
        found.unwrap_or(&self.first)
    }
}

/// The certificates of a listener, or of several. Shared by all shards.
pub struct CertificateStore {
    shown: ArcSwap<Shown>,
    challenges: Option<Arc<AcmeChallenges>>,
}

impl CertificateStore {
    /// A store of these. Without any, every handshake fails.
    #[must_use]
    pub fn new(certificates: &[Certificate]) -> Arc<Self> {
        Arc::new(Self { shown: ArcSwap::from_pointee(Shown::of(certificates)), challenges: None })
    }

    /// The same, answering authorities that check names besides. The server's protocols must then include
    /// [`AcmeChallenges::ALPN`]; a listener that requires certificates of clients cannot be checked this way.
    #[must_use]
    pub fn with_challenges(certificates: &[Certificate], challenges: Arc<AcmeChallenges>) -> Arc<Self> {
        let shown = ArcSwap::from_pointee(Shown::of(certificates));
        Arc::new(Self { shown, challenges: Some(challenges) })
    }

    /// Puts others in their place, for the handshakes to come.
    pub fn replace(&self, certificates: &[Certificate]) {
        self.shown.store(Arc::new(Shown::of(certificates)));
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateStore")
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(challenges) = &self.challenges
            && hello
                .alpn()
                .is_some_and(|mut offered| offered.any(|protocol| protocol == AcmeChallenges::ALPN))
        {
            return challenges.certificate(hello.server_name()?);
        }
        let shown = self.shown.load();
        let found = shown.find(hello.server_name());
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // A client that nothing fits learns so from the handshake itself.
        found.iter().find(fits).or_else(|| found.first()).map(Arc::clone)
    }
}
