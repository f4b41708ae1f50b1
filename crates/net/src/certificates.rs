//! Certificates of a TLS listener: chosen by the name a client asks for, several per name, changed while it runs.
//!
//! A client is shown what its site has for the name: of several sites on one listener each shows its own, whatever other
//! names the certificates of the others hold. Where the site has none for it, any certificate for the name will do: for
//! the name as it is, then as a wildcard of one label (RFC 9525 section 6.3). Who asks for no name, or for one there is
//! none for, gets the site's certificate, or the first. Of several the first that fits the client's signature schemes is
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
    site: Option<Arc<str>>,
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
        Ok(Self { key: Arc::new(key), names: names.into(), site: None })
    }

    /// The same as that of one site: `host` is what the site is called, a name, `*.NAME` for all names below it, or `*` for
    /// those that no other site has. Before, it is nobody's in particular.
    #[must_use]
    pub fn of_site(self, host: &str) -> Self {
        Self { site: Some(host.trim_end_matches('.').to_ascii_lowercase().into()), ..self }
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
    by_site: HashMap<Arc<str>, Vec<Certificate>>,
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
            if let Some(site) = &certificate.site {
                shown.by_site.entry(Arc::clone(site)).or_default().push(certificate.clone());
            }
        }
        // Another certificate for the same names is the same choice with another kind of key.
        let names = certificates.first().map(|first| Arc::clone(&first.names)).unwrap_or_default();
        let alike = certificates.iter().enumerate().filter(|(at, other)| *at == 0 || other.names == names);
        shown.first = alike.map(|(_, certificate)| Arc::clone(&certificate.key)).collect();
        shown
    }

    fn find(&self, name: Option<&str>) -> Vec<&Arc<CertifiedKey>> {
        let Some(name) = name else { return self.first.iter().collect() };
        let name = name.to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_label, rest)| format!("*.{rest}")).unwrap_or_default();
        let own = self.site(&name).unwrap_or_default();
        let is_for = |own: &&Certificate| own.names.iter().any(|known| *known == name || *known == wildcard);
        let fitting: Vec<_> = own.iter().filter(is_for).map(|own| &own.key).collect();
        if !fitting.is_empty() {
            return fitting;
        }
        match self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard)) {
            Some(others) => others.iter().collect(),
            None if own.is_empty() => self.first.iter().collect(),
            None => own.iter().map(|own| &own.key).collect(),
        }
    }

    /// What the site has that this name leads to: its own, else the nearest with a wildcard, else that of all others.
    fn site(&self, name: &str) -> Option<&[Certificate]> {
        if let Some(own) = self.by_site.get(name) {
            return Some(own);
        }
        let mut rest = name;
        while let Some((_label, above)) = rest.split_once('.') {
            if let Some(own) = self.by_site.get(format!("*.{above}").as_str()) {
                return Some(own);
            }
            rest = above;
        }
        self.by_site.get("*").map(Vec::as_slice)
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
        found.iter().copied().find(fits).or_else(|| found.first().copied()).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn certificate(names: &[&str], site: Option<&str>) -> Certificate {
        let params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let key = KeyPair::generate().unwrap();
        let (pem, key_pem) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
        let made = Certificate::from_pem(pem.as_bytes(), key_pem.as_bytes(), None).unwrap();
        match site {
            Some(site) => made.of_site(site),
            None => made,
        }
    }

    #[test]
    fn each_site_shows_its_own_and_only_where_it_has_none_that_of_another() {
        let all = [
            certificate(&["a.example", "b.example", "c.example"], Some("A.example.")),
            certificate(&["b.example", "x.y.example"], Some("b.example")),
            certificate(&["d.example"], Some("c.example")),
            certificate(&["*.y.example", "far.example"], Some("*.y.example")),
            certificate(&["far.example"], Some("*")),
            certificate(&["nobody.example"], None),
        ];
        let shown = Shown::of(&all);
        for (name, wanted) in [
            (Some("a.example"), 0),
            (Some("B.example"), 1),
            (Some("c.example"), 0), // its own is not for it
            (Some("d.example"), 2),
            (Some("x.y.example"), 3), // whatever the other one holds
            (Some("far.example"), 4),
            (Some("nobody.example"), 5),
            (Some("else.example"), 4),
            (Some("deep.x.y.example"), 3), // for the site, though not by its names
            (None, 0),
        ] {
            let found = shown.find(name);
            assert!(
                found.len() == 1 && Arc::ptr_eq(found[0], &all[wanted].key),
                "{name:?}: {} found, not number {wanted}",
                found.len()
            );
        }
    }

    #[test]
    fn a_site_may_have_two_kinds_of_key() {
        let two =
            [certificate(&["a.example"], Some("a.example")), certificate(&["a.example"], Some("a.example"))];
        assert_eq!(Shown::of(&two).find(Some("a.example")).len(), 2);
        assert!(Shown::of(&[]).find(Some("a.example")).is_empty());
    }
}
