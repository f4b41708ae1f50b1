//! A certificate authority for one test: it signs what it is asked, and its own certificate is a file for the clients.

use crate::temp::TempDir;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;

/// A fresh authority with its files.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key, as files and in memory.
pub struct Issued {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
}

impl TestCa {
    /// Makes an authority.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters of an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test Authority");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("sign an authority");
        let dir = TempDir::new();
        dir.write("ca.pem", issuer.pem());
        Self { issuer, dir }
    }

    /// PEM file with the authority's certificate, for `--cacert` and its like.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A certificate for these names and IP addresses.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let file = names.first().map_or("nameless", String::as_str).replace([':', '*', '/'], "_");
        let params = CertificateParams::new(names).expect("names of a certificate");
        let key = key();
        let cert = params.signed_by(&key, &self.issuer).expect("sign a certificate");
        Issued {
            cert: self.dir.write(&format!("{file}.pem"), cert.pem()),
            key: self.dir.write_private(&format!("{file}.key"), key.serialize_pem()),
            chain: vec![cert.der().clone()],
            secret: PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("own key"),
        }
    }

    /// TLS settings of a client that trusts this authority alone.
    #[must_use]
    pub fn client_config(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("own root");
        let config = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl Issued {
    /// TLS settings of a server with this certificate, speaking HTTP/1.1.
    #[must_use]
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.secret.clone_key())
            .expect("own certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("make a key")
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
