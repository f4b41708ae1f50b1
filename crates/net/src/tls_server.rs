//! TLS towards clients: certificates by name, a handshake with a deadline.
//!
//! Sessions are resumed by stateless tickets (RFC 8446 section 4.6.1) whose keys change every 6 hours and are one
//! for all shards, so that a client may come back on another shard. Not here: accepting, which certificate is
//! shown (`certificates.rs`), certificates made on the fly, reading of files.

use crate::acme_challenges::AcmeChallenges;
use crate::certificates::{Certificate, CertificateStore};
use crate::tls::{Roots, TlsConfigError, TlsError, TlsFault, provider};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use shoalway_types::Side;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Takes TLS connections from clients. Cheap to clone, shared by all shards.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

impl TlsServer {
    /// A server that shows `cert_chain` (the certificate, then its issuers) and signs with `key`, both PEM.
    ///
    /// With `client_ca` (PEM) a client must show a certificate of one of these authorities. `alpn` are the
    /// protocols spoken, best first; empty: the extension is ignored. A certificate that has expired is served
    /// as it is.
    ///
    /// # Errors
    /// [`TlsConfigError`] says which part cannot be used.
    pub fn from_pem(
        cert_chain: &[u8],
        key: &[u8],
        client_ca: Option<&[u8]>,
        alpn: &[&[u8]],
    ) -> Result<Self, TlsConfigError> {
        let certificate = Certificate::from_pem(cert_chain, key, None)?;
        Self::with_store(CertificateStore::new(&[certificate]), client_ca, alpn)
    }

    /// A server that shows what `store` chooses for each client; the rest as [`TlsServer::from_pem`] has it.
    ///
    /// # Errors
    /// [`TlsConfigError`] says which part cannot be used.
    pub fn with_store(
        store: Arc<CertificateStore>,
        client_ca: Option<&[u8]>,
        alpn: &[&[u8]],
    ) -> Result<Self, TlsConfigError> {
        let mut tls = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Rejected)?
            .with_client_cert_verifier(client_verifier(client_ca)?)
            .with_cert_resolver(store);
        tls.ticketer = Ticketer::new().map_err(TlsConfigError::Rejected)?;
        // Tickets need no store; the default one is a lock that all shards would meet at.
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(tls)) })
    }

    /// Does the handshake with a client over `tcp`, before `deadline`.
    ///
    /// # Errors
    /// [`TlsError`]; the connection is then closed. [`TlsFault::Checked`] is none in earnest.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn accept(&self, tcp: TcpStream, deadline: Instant) -> Result<TlsStream<TcpStream>, TlsError> {
        let started = Instant::now();
        // Boxed: a handshake is rare and its state should not widen the caller's future.
        let handshake = Box::pin(self.acceptor.accept(tcp));
        match tokio::time::timeout_at(deadline, handshake).await {
            Ok(done) => {
                let stream = done.map_err(|error: io::Error| TlsError::handshake(Side::Client, error))?;
                // RFC 8737 section 3: such a connection is closed and carries nothing.
                if stream.get_ref().1.alpn_protocol() == Some(AcmeChallenges::ALPN) {
                    return Err(TlsError::new(Side::Client, TlsFault::Checked));
                }
                Ok(stream)
            }
            Err(_elapsed) => {
                let after = deadline.saturating_duration_since(started);
                Err(TlsError::new(Side::Client, TlsFault::Timeout { after }))
            }
        }
    }
}

fn client_verifier(client_ca: Option<&[u8]>) -> Result<Arc<dyn ClientCertVerifier>, TlsConfigError> {
    let Some(pem) = client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let roots = Roots::Pem(pem.to_vec()).store()?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(TlsConfigError::ClientRoots)
}
