//! Looks whether a name answers a challenge, by connecting.

use super::state::Problem;
use crate::wait::PATIENCE;
use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What has to be found where.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) token: String,
    pub(super) key_authorization: String,
}

const ALPN: &[u8] = b"acme-tls/1";
/// id-pe-acmeIdentifier, RFC 8737 section 6.1.
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// Looks at `at`; without an address the name does not resolve.
pub(super) fn look(proof: &Proof, at: Option<SocketAddr>) -> Result<(), Problem> {
    let name = &proof.name;
    let Some(at) = at else {
        let detail = format!("DNS problem: NXDOMAIN looking up A for {name}");
        return Err(Problem::new(400, "dns", &detail));
    };
    let tcp = TcpStream::connect_timeout(&at, PATIENCE).and_then(|tcp| {
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        Ok(tcp)
    });
    let tcp = tcp.map_err(|error| connection(name, &error))?;
    if proof.kind == "http-01" { by_http(proof, tcp) } else { by_tls(proof, tcp) }
}

fn by_http(proof: &Proof, mut tcp: TcpStream) -> Result<(), Problem> {
    let Proof { name, token, key_authorization, .. } = proof;
    let ask = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    );
    let mut text = String::new();
    tcp.write_all(ask.as_bytes())
        .and_then(|()| tcp.read_to_string(&mut text))
        .map_err(|error| connection(name, &error))?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    if !head.starts_with("HTTP/1.1 200 ") {
        let line = head.lines().next().unwrap_or_default();
        return Err(unauthorized(&format!("Invalid response from http://{name}/: {line}")));
    }
    if body.trim_end() != key_authorization {
        return Err(unauthorized("The key authorization file from the server did not match this challenge"));
    }
    Ok(())
}

fn by_tls(proof: &Proof, mut tcp: TcpStream) -> Result<(), Problem> {
    let server = ServerName::try_from(proof.name.clone()).expect("a name that was ordered");
    let mut connection_state = ClientConnection::new(config(), server).expect("settings of TLS");
    while connection_state.is_handshaking() {
        connection_state.complete_io(&mut tcp).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Problem::new(400, "tls", &format!("remote error: {error}")),
            _ => connection(&proof.name, &error),
        })?;
    }
    if connection_state.alpn_protocol() != Some(ALPN) {
        return Err(unauthorized("The server does not speak acme-tls/1"));
    }
    let shown = connection_state.peer_certificates().and_then(<[_]>::first).expect("a certificate");
    let wanted = digest::digest(&digest::SHA256, proof.key_authorization.as_bytes());
    certificate_proves(shown, &proof.name, wanted.as_ref()).map_err(unauthorized)
}

/// RFC 8737 section 3: one name alone, and the digest in a critical extension.
fn certificate_proves(shown: &CertificateDer<'_>, name: &str, digest: &[u8]) -> Result<(), &'static str> {
    let (rest, certificate) = X509Certificate::from_der(shown).map_err(|_not| "Not a certificate")?;
    if !rest.is_empty() {
        return Err("Something after the certificate");
    }
    let names = certificate.subject_alternative_name().ok().flatten().ok_or("No subjectAltName")?;
    match names.value.general_names.as_slice() {
        [GeneralName::DNSName(only)] if only.eq_ignore_ascii_case(name) => {}
        _ => return Err("The subjectAltName is not that one name"),
    }
    let mut found = certificate.extensions().iter().filter(|one| one.oid.to_id_string() == ACME_IDENTIFIER);
    let extension = found.next().ok_or("No acmeIdentifier")?;
    let octet_string = [&[4, 32], digest].concat();
    if !extension.critical || extension.value != octet_string {
        return Err("Incorrect validation certificate for tls-alpn-01 challenge");
    }
    Ok(())
}

fn connection(name: &str, error: &io::Error) -> Problem {
    let what = if error.kind() == io::ErrorKind::ConnectionRefused { "Connection refused" } else { "Error" };
    Problem::new(400, "connection", &format!("Fetching {name}: {what}"))
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(403, "unauthorized", detail)
}

fn config() -> Arc<ClientConfig> {
    let provider = Arc::new(provider::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnySigner(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

/// Takes a certificate of anybody, who must yet have its key: RFC 8737 wants a self-signed one.
#[derive(Debug)]
struct AnySigner(Arc<CryptoProvider>);

impl ServerCertVerifier for AnySigner {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 was asked for".to_owned()))
    }

    /// By the key alone: a certificate with a critical extension that it does not know is not even read by rustls.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (_, parsed) = X509Certificate::from_der(cert)
            .map_err(|_not| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
