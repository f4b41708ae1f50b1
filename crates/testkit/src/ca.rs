//! A certificate authority for one test: it signs what it is asked, and its own certificate is a file for the clients.

use crate::temp::TempDir;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
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

    /// What the authority says of a certificate for a day from now on: an OCSP answer in DER beside the certificate, made
    /// by `openssl`. `V` is valid, `R` revoked.
    #[must_use]
    pub fn ocsp(&self, issued: &Issued, state: &str) -> PathBuf {
        let leaf = x509_parser::parse_x509_certificate(issued.chain[0].as_ref()).expect("own certificate").1;
        let revoked = if state == "R" { "200101000000Z" } else { "" };
        let line = format!("{state}\t400101000000Z\t{revoked}\t{:X}\tunknown\t/CN=x\n", leaf.serial);
        // A serial number has an even number of digits there.
        let line = match format!("{:X}", leaf.serial) {
            odd if odd.len() % 2 == 1 => line.replacen(&format!("\t{odd}\t"), &format!("\t0{odd}\t"), 1),
            _ => line,
        };
        let (index, ca) = (self.dir.write("index.txt", line), self.file());
        let key = self.dir.write_private("ca.key", self.issuer.key().serialize_pem());
        let answer = issued.cert.with_extension("ocsp");
        let words: [(&str, &Path); 7] = [
            ("-index", &index),
            ("-CA", &ca),
            ("-rsigner", &ca),
            ("-rkey", &key),
            ("-issuer", &ca),
            ("-cert", &issued.cert),
            ("-respout", &answer),
        ];
        let mut command = Command::new("openssl");
        command.arg("ocsp").args(words.iter().flat_map(|(word, path)| [OsStr::new(word), path.as_os_str()]));
        let ran = command.args(["-ndays", "1", "-no_nonce", "-noverify"]).output().expect("run openssl");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        answer
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
