//! The authority of this machine: for names that no public authority may certify.
//!
//! Its root is made once and is limited to those names (RFC 5280 section 4.2.1.10), so that trusting it cannot make
//! anybody else's name false, even with its key. It is never installed anywhere by itself. A damaged root is not made
//! anew in silence: people trust the old one. Not here: renewal (`keeper`).

use super::error::CertError;
use super::name::{CertName, LOCAL};
use super::storage::{self, Storage};
use super::{moment, words};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const DAY: Duration = Duration::from_hours(24);
/// Life of the root: nobody likes to trust a new one often.
const ROOT_LIFE: Duration = Duration::from_hours(24 * 3650);
/// Life of what it signs; browsers take no more than 398 days.
const LIFE: Duration = Duration::from_hours(24 * 90);

/// The authority, with its key. No `Debug`: it holds a secret.
pub struct LocalAuthority {
    issuer: Issuer<'static, KeyPair>,
    until: SystemTime,
}

/// The authority's own certificate, for who wants to trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// PEM file.
    pub path: PathBuf,
    /// The certificate, PEM.
    pub pem: String,
    /// Until when it is valid.
    pub until: SystemTime,
}

impl LocalAuthority {
    /// Opens the authority, and makes it when there is none.
    ///
    /// # Errors
    /// [`CertError`] when its files cannot be read or are damaged.
    pub fn open(storage: &Storage, now: SystemTime) -> Result<Self, CertError> {
        let (path, key_path) = (place(storage), storage.path(storage::LOCAL, "ca.key"));
        let (Some(pem), Some(key)) = (storage::read(&path)?, storage::read(&key_path)?) else {
            if path.exists() {
                return Err(CertError::damaged(
                    &key_path,
                    "it is missing, and the certificate beside it is there",
                ));
            }
            return Self::make(&path, &key_path, now);
        };
        let root = root(&path, &pem)?;
        let key = str::from_utf8(&key).ok().and_then(|text| KeyPair::from_pem(text).ok());
        let key = key.ok_or_else(|| CertError::damaged(&key_path, "it is no private key"))?;
        let der =
            CertificateDer::from_pem_slice(&pem).map_err(|why| CertError::damaged(&path, why.to_string()))?;
        let matches = X509Certificate::from_der(&der).is_ok_and(|(_, parsed)| {
            parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
        });
        if !matches {
            return Err(CertError::damaged(&key_path, "it does not belong to the certificate beside it"));
        }
        let issuer =
            Issuer::from_ca_cert_der(&der, key).map_err(|why| CertError::damaged(&path, why.to_string()))?;
        Ok(Self { issuer, until: root.until })
    }

    fn make(path: &Path, key_path: &Path, now: SystemTime) -> Result<Self, CertError> {
        let fail = |error: rcgen::Error| CertError::Unfit {
            name: "the local authority".into(),
            why: error.to_string(),
        };
        let key = KeyPair::generate().map_err(fail)?;
        let params = root_params(now).map_err(fail)?;
        let certificate = params.self_signed(&key).map_err(fail)?;
        // The key first: a certificate without its key would look damaged.
        storage::write(key_path, key.serialize_pem().as_bytes())?;
        storage::write(path, certificate.pem().as_bytes())?;
        tracing::info!(file = %path.display(), "a local authority was made; `shoalway ca show` says how to trust it");
        Ok(Self { until: now + ROOT_LIFE, issuer: Issuer::new(params, key) })
    }

    /// A key and a certificate for `name`, PEM, in this order. The root is not among them: who does not have it does not
    /// trust it either.
    ///
    /// # Errors
    /// [`CertError::Unfit`], also when the authority itself has expired.
    pub fn issue(&self, name: &CertName, now: SystemTime) -> Result<String, CertError> {
        let unfit = |why: String| CertError::Unfit { name: name.to_string(), why };
        if now + DAY >= self.until {
            return Err(unfit(format!("the local authority ended on {}", words(self.until))));
        }
        let fail = |error: rcgen::Error| unfit(error.to_string());
        let mut params = CertificateParams::new(vec![name.to_string()]).map_err(fail)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.not_before = (now - DAY).into();
        params.not_after = (now + LIFE).min(self.until).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fail)?;
        Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
    }
}

impl Root {
    /// The certificate of the authority, if there is one.
    ///
    /// # Errors
    /// [`CertError`] when its file cannot be read or is damaged.
    pub fn find(storage: &Storage) -> Result<Option<Self>, CertError> {
        let path = place(storage);
        storage::read(&path)?.map(|pem| root(&path, &pem)).transpose()
    }
}

fn place(storage: &Storage) -> PathBuf {
    storage.path(storage::LOCAL, "ca.pem")
}

fn root(path: &Path, pem: &[u8]) -> Result<Root, CertError> {
    let damaged = |why: String| CertError::damaged(path, why);
    let der = CertificateDer::from_pem_slice(pem).map_err(|error| damaged(error.to_string()))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| damaged(error.to_string()))?;
    if !parsed.is_ca() {
        return Err(damaged("it is no authority's certificate".to_owned()));
    }
    let until = moment(parsed.validity().not_after.timestamp().try_into().unwrap_or(0));
    let pem = String::from_utf8(pem.to_vec()).map_err(|error| damaged(error.to_string()))?;
    Ok(Root { path: path.to_owned(), pem, until })
}

fn root_params(now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Shoalway");
    params.distinguished_name.push(DnType::CommonName, "Shoalway local authority");
    params.not_before = (now - DAY).into();
    params.not_after = (now + ROOT_LIFE).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: LOCAL.iter().map(|top| GeneralSubtree::DnsName((*top).to_owned())).collect(),
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)),
            GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)),
        ],
    });
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::{ServerName, UnixTime};
    use shoalway_testkit::TempDir;
    use std::sync::Arc;

    /// What a client that trusts the root says to a certificate, by rustls.
    fn verdict(root: &Root, issued: &str, name: &str, now: SystemTime) -> Result<(), rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.pem.as_bytes()).unwrap()).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let leaf = CertificateDer::from_pem_slice(issued.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        use rustls::client::danger::ServerCertVerifier as _;
        let verifier = verifier.build().unwrap();
        verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::since_unix_epoch(since)).map(drop)
    }

    #[test]
    fn who_trusts_the_root_trusts_what_it_signs_and_only_local_names() {
        let (dir, now) = (TempDir::new(), SystemTime::now());
        let storage = Storage::open(dir.path()).unwrap();
        let authority = LocalAuthority::open(&storage, now).unwrap();
        let root = Root::find(&storage).unwrap().unwrap();
        // What is made now, and what is read again later, is one authority.
        let again = LocalAuthority::open(&storage, now).unwrap();
        for (signer, name, ask, good) in [
            (&authority, "nas.internal", "nas.internal", true),
            (&again, "nas.internal", "nas.internal", true),
            (&again, "*.nas.internal", "a.nas.internal", true),
            (&again, "localhost", "localhost", true),
            (&again, "nas.home.arpa", "nas.home.arpa", true),
            (&again, "nas.internal", "other.internal", false),
            (&again, "bank.example", "bank.example", false), // never asked for by us; a thief of the key might
        ] {
            let issued = signer.issue(&CertName::parse(name).unwrap(), now).unwrap();
            assert_eq!(verdict(&root, &issued, ask, now).is_ok(), good, "{name} {ask}");
        }
        let issued = again.issue(&CertName::parse("nas.internal").unwrap(), now).unwrap();
        assert!(verdict(&root, &issued, "nas.internal", now + LIFE + DAY).is_err());
    }

    #[test]
    fn a_damaged_authority_is_reported_and_not_replaced() {
        let (dir, now) = (TempDir::new(), SystemTime::now());
        let storage = Storage::open(dir.path()).unwrap();
        drop(LocalAuthority::open(&storage, now).unwrap());
        let (pem, key) = (storage.path("local", "ca.pem"), storage.path("local", "ca.key"));
        let (good_pem, good_key) = (std::fs::read(&pem).unwrap(), std::fs::read(&key).unwrap());
        let other = KeyPair::generate().unwrap().serialize_pem();
        for (pem_text, key_text) in [
            (&b"nonsense"[..], &good_key[..]),
            (&good_pem, &b"nonsense"[..]),
            (&good_pem, other.as_bytes()),
            (&good_pem[..good_pem.len() / 2], &good_key),
            (b"", &good_key),
        ] {
            std::fs::write(&pem, pem_text).unwrap();
            std::fs::write(&key, key_text).unwrap();
            let error = LocalAuthority::open(&storage, now).err().unwrap();
            assert_eq!(error.code(), "A002", "{error}");
            assert_eq!(std::fs::read(&pem).unwrap(), pem_text);
        }
        std::fs::write(&pem, &good_pem).unwrap();
        std::fs::remove_file(&key).unwrap();
        assert_eq!(LocalAuthority::open(&storage, now).err().unwrap().code(), "A002");
    }

    #[test]
    fn an_authority_that_has_ended_signs_nothing() {
        let (dir, now) = (TempDir::new(), SystemTime::now());
        let authority = LocalAuthority::open(&Storage::open(dir.path()).unwrap(), now).unwrap();
        let error = authority.issue(&CertName::parse("nas.internal").unwrap(), now + ROOT_LIFE).unwrap_err();
        assert_eq!(error.code(), "A014");
    }
}
