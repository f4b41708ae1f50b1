//! TLS towards upstreams: one shared configuration, a handshake with a deadline.
//!
//! Sessions are resumed (RFC 8446 section 2.2): the store of tickets is one for all shards and bounded by rustls
//! (256 servers). Not here: connecting (`dialer.rs`), pooling of connections.

use crate::tls::{Roots, TlsConfigError, TlsError, TlsFault, certificates, private_key, provider, rejected};
use rustls::ClientConfig;
use rustls_pki_types::{DnsName, ServerName};
use shoalway_types::{Host, Side};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How TLS to upstreams is spoken. No `Debug`: it may hold a private key.
#[derive(Clone, Default)]
pub struct TlsClientConfig {
    /// Whom to believe. Default: the system's certificates.
    pub roots: Roots,
    /// Protocols to offer, best first, such as `b"http/1.1"`. Default: none, the extension is not sent.
    pub alpn: Vec<Vec<u8>>,
    /// The certificate to show when the server asks for one. Default: none.
    pub identity: Option<Identity>,
}

/// A certificate chain and its key, both PEM. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, then its issuers.
    pub cert_chain: Vec<u8>,
    /// The private key, without a passphrase.
    pub key: Vec<u8>,
}

/// Makes TLS connections to upstreams. Cheap to clone, shared by all shards.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
}

impl TlsClient {
    /// A client of this configuration. Reads files when the roots are the system's.
    ///
    /// # Errors
    /// [`TlsConfigError`] says which part cannot be used.
    pub fn new(config: &TlsClientConfig) -> Result<Self, TlsConfigError> {
        Ok(Self { connector: TlsConnector::from(Arc::new(client_config(config)?)) })
    }

    /// Does the handshake over `tcp` and checks the certificate against `host`, before `deadline`.
    ///
    /// A name is sent as SNI (RFC 6066 section 3), an address is not.
    ///
    /// # Errors
    /// [`TlsError`]; the connection is then closed.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn connect(
        &self,
        host: &Host,
        tcp: TcpStream,
        deadline: Instant,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let started = Instant::now();
        let name = server_name(host)?;
        // Boxed: a handshake is rare and its state should not widen the caller's future.
        let handshake = Box::pin(self.connector.connect(name, tcp));
        match tokio::time::timeout_at(deadline, handshake).await {
            Ok(done) => done.map_err(|error: io::Error| TlsError::handshake(Side::Upstream, error)),
            Err(_elapsed) => {
                let after = deadline.saturating_duration_since(started);
                Err(TlsError::new(Side::Upstream, TlsFault::Timeout { after }))
            }
        }
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, TlsError> {
    match host {
        Host::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => DnsName::try_from(name.as_str().to_owned())
            .map(ServerName::DnsName)
            .map_err(|_not_dns| TlsError::new(Side::Client, TlsFault::Name)),
    }
}

/// The rustls form of a client configuration.
pub(crate) fn client_config(config: &TlsClientConfig) -> Result<ClientConfig, TlsConfigError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsConfigError::Rejected)?
        .with_root_certificates(config.roots.store()?);
    let mut tls = match &config.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(certificates(&identity.cert_chain)?, private_key(&identity.key)?)
            .map_err(rejected)?,
    };
    tls.alpn_protocols.clone_from(&config.alpn);
    Ok(tls)
}
