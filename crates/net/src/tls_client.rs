//! TLS towards upstreams: one shared configuration, a handshake with a deadline.
//!
//! Sessions are resumed (RFC 8446 section 2.2): the store of tickets is one for all shards and bounded by rustls
//! (256 servers). [`dial_link`] is the TLS of the overlay's links, with rules of its own. Not here: connecting
//! (`dialer.rs`), pooling of connections.

use crate::stream::{Io, Stream};
use crate::tls::{Roots, TlsConfigError, TlsError, TlsFault, certificates, private_key, provider, rejected};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::version::TLS13;
use rustls_pki_types::{DnsName, ServerName};
use shoalway_types::{Failure, Host, Retry, Side};
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

/// How a link of the overlay speaks TLS: 1.3 alone, `h2` alone, nothing ahead of the handshake's end, and no ticket of
/// an earlier connection, by which the entry could tell that two networks have one guest. Cheap to clone.
#[derive(Clone)]
pub struct LinkTls {
    connector: TlsConnector,
}

impl LinkTls {
    /// Links to servers whose certificates these roots vouch for. Reads files when the roots are the system's.
    ///
    /// # Errors
    /// [`TlsConfigError`] says which part cannot be used.
    pub fn new(roots: &Roots) -> Result<Self, TlsConfigError> {
        let mut tls = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsConfigError::Rejected)?
            .with_root_certificates(roots.store()?)
            .with_no_client_auth();
        tls.alpn_protocols = vec![H2.to_vec()];
        tls.enable_early_data = false;
        tls.resumption = Resumption::disabled();
        Ok(Self { connector: TlsConnector::from(Arc::new(tls)) })
    }
}

/// Why there is no TLS connection for a link. Nothing of the link has been sent.
#[derive(Debug, thiserror::Error)]
pub enum LinkTlsError {
    /// The handshake, or the certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server agreed on no HTTP/2.
    #[error("the server does not speak HTTP/2")]
    NotHttp2,
}

impl Failure for LinkTlsError {
    fn side(&self) -> Side {
        match self {
            Self::Tls(error) => error.side(),
            Self::NotHttp2 => Side::Upstream,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Tls(error) => error.retry(),
            Self::NotHttp2 => Retry::Never,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Tls(error) => error.word(),
            Self::NotHttp2 => "tls_protocol_error",
        }
    }
}

/// Does the handshake of a link over `tcp` and checks the certificate against `sni`, before `deadline`. The one place
/// that knows which library speaks TLS on links: what it gives has [`Stream::exporter`] and [`Stream::alpn`].
///
/// # Errors
/// [`LinkTlsError`]; the connection is then closed.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn dial_link(
    tls: &LinkTls,
    sni: &Host,
    tcp: TcpStream,
    deadline: Instant,
) -> Result<Stream, LinkTlsError> {
    let client = TlsClient { connector: tls.connector.clone() };
    let stream = client.connect(sni, tcp, deadline).await?;
    let stream = Stream::new(Io::TlsClient(Box::new(stream)));
    if stream.alpn() == Some(H2) { Ok(stream) } else { Err(LinkTlsError::NotHttp2) }
}

/// The protocol of RFC 9113 over TLS, as ALPN names it.
const H2: &[u8] = b"h2";

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
