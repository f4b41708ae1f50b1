//! The TLS of links over loopback: what both ends can export, and what a link refuses.

#![allow(clippy::disallowed_methods, reason = "tests listen and connect themselves")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test every failure is a panic")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS12;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::{Roots, TlsFault};
use shoalway_net::tls_client::{LinkTls, LinkTlsError, TlsClient, TlsClientConfig, dial_link};
use shoalway_net::tls_server::TlsServer;
use shoalway_types::Host;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const LABEL: &[u8] = b"EXPORTER-shoalway-test";
const NAME: &str = "site.example";

struct Certified {
    ca: String,
    cert: String,
    key: String,
}

impl Certified {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![NAME.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        Self { ca: ca.pem(), cert: cert.pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> Roots {
        Roots::Pem(self.ca.clone().into_bytes())
    }

    fn link(&self) -> LinkTls {
        LinkTls::new(&self.roots()).unwrap()
    }

    fn server(&self, alpn: &[&[u8]]) -> TlsServer {
        TlsServer::from_pem(self.cert.as_bytes(), self.key.as_bytes(), None, alpn).unwrap()
    }

    fn old_server(&self) -> TlsAcceptor {
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(tls))
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn host() -> Host {
    Host::parse(NAME).unwrap()
}

async fn linked(link: &LinkTls, server: &TlsServer) -> (Result<Stream, LinkTlsError>, Option<Stream>) {
    let (near, far) = pair().await;
    let name = host();
    let (near, far) = tokio::join!(dial_link(link, &name, near, soon()), server.accept(far, soon()));
    (near, far.ok().map(|tls| Stream::new(Io::TlsServer(Box::new(tls)))))
}

#[tokio::test]
async fn both_ends_export_the_same_and_no_other_connection_does() {
    let certified = Certified::new();
    let (link, server) = (certified.link(), certified.server(&[b"h2", b"http/1.1"]));
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (near, far) = linked(&link, &server).await;
        let (near, far) = (near.unwrap(), far.unwrap());
        assert!(near.is_tls13() && far.is_tls13());
        assert_eq!((near.alpn(), far.alpn()), (Some(&b"h2"[..]), Some(&b"h2"[..])));
        let exported = near.exporter(LABEL).unwrap();
        assert_eq!(far.exporter(LABEL), Some(exported));
        assert_ne!(far.exporter(b"EXPORTER-shoalway-other"), Some(exported));
        seen.push(exported);
    }
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn what_is_no_tls_1_3_exports_nothing() {
    let certified = Certified::new();
    let config = TlsClientConfig { roots: certified.roots(), ..TlsClientConfig::default() };
    let (client, name) = (TlsClient::new(&config).unwrap(), host());
    let (near, far) = pair().await;
    let (near, far) = tokio::join!(client.connect(&name, near, soon()), certified.old_server().accept(far));
    let near = Stream::new(Io::TlsClient(Box::new(near.unwrap())));
    let far = Stream::new(Io::TlsServer(Box::new(far.unwrap())));
    assert_eq!((near.exporter(LABEL), far.exporter(LABEL)), (None, None));
    let (near, _far) = pair().await;
    assert_eq!(Stream::tcp(near).exporter(LABEL), None);
}

#[tokio::test]
async fn a_link_speaks_tls_1_3_and_http_2_or_not_at_all() {
    let certified = Certified::new();
    let (near, far) = pair().await;
    let name = host();
    let link = certified.link();
    let (near, far) = tokio::join!(dial_link(&link, &name, near, soon()), certified.old_server().accept(far));
    assert!(far.is_err());
    assert!(
        matches!(near.err(), Some(LinkTlsError::Tls(error)) if matches!(error.fault(), TlsFault::Alert(_)))
    );
    let (near, _far) = linked(&certified.link(), &certified.server(&[])).await;
    assert!(matches!(near.err(), Some(LinkTlsError::NotHttp2)));
    let (near, far) = linked(&certified.link(), &certified.server(&[b"http/1.1"])).await;
    assert!(matches!(near.err(), Some(LinkTlsError::Tls(_))) && far.is_none());
    let (near, _far) = linked(&Certified::new().link(), &certified.server(&[b"h2"])).await;
    assert!(
        matches!(near.err(), Some(LinkTlsError::Tls(error)) if matches!(error.fault(), TlsFault::Certificate(_)))
    );
}

#[tokio::test]
async fn a_server_offers_no_early_data_and_takes_none() {
    let certified = Certified::new();
    let server = certified.server(&[b"h2"]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certified.ca.as_bytes()).unwrap()).unwrap();
    let mut tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.enable_early_data = true;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let client = TlsConnector::from(Arc::new(tls));
    for resumed in [false, true] {
        let (near, far) = pair().await;
        let name = ServerName::try_from(NAME).unwrap();
        let offered = std::cell::Cell::new(None);
        let shaking = client.connect_with(name, near, |session| {
            offered.set(Some(session.early_data().is_some()));
        });
        let (near, far) = tokio::join!(shaking, server.accept(far, soon()));
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        // A ticket came, and it allows no early data.
        assert_eq!(offered.get(), Some(false));
        let kind = near.get_ref().1.handshake_kind();
        assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed);
        far.write_all(b"x").await.unwrap();
        near.read_exact(&mut [0]).await.unwrap();
    }
}
