//! The TLS client and server against each other over loopback, and against peers that do not speak TLS.

#![allow(clippy::disallowed_methods, reason = "tests listen and connect themselves")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test every failure is a panic")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::HandshakeKind;
use shoalway_net::certificates::{Certificate, CertificateStore};
use shoalway_net::tls::{Roots, TlsConfigError, TlsError, TlsFault};
use shoalway_net::tls_client::{Identity, TlsClient, TlsClientConfig};
use shoalway_net::tls_server::TlsServer;
use shoalway_types::{Failure, Host, Retry, Side};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::{client, server};

type Both = (Result<client::TlsStream<TcpStream>, TlsError>, Result<server::TlsStream<TcpStream>, TlsError>);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn roots(&self) -> Roots {
        Roots::Pem(self.pem())
    }

    fn certify(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Identity { cert_chain: cert.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
    }

    fn certify_expired(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        let cert = params.signed_by(&key, &self.0).unwrap();
        Identity { cert_chain: cert.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
    }
}

fn server(identity: &Identity, client_ca: Option<&[u8]>, alpn: &[&[u8]]) -> TlsServer {
    TlsServer::from_pem(&identity.cert_chain, &identity.key, client_ca, alpn).unwrap()
}

fn client(config: &TlsClientConfig) -> TlsClient {
    TlsClient::new(config).unwrap()
}

fn trusting(authority: &Authority) -> TlsClientConfig {
    TlsClientConfig { roots: authority.roots(), ..TlsClientConfig::default() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn shake(client: &TlsClient, host: &str, server: &TlsServer) -> Both {
    let (near, far) = pair().await;
    let host = Host::parse(host).unwrap();
    tokio::join!(client.connect(&host, near, soon()), server.accept(far, soon()))
}

/// Sends a word through, after which tickets have arrived too.
async fn greet(near: &mut client::TlsStream<TcpStream>, far: &mut server::TlsStream<TcpStream>) {
    let mut buf = [0; 5];
    far.write_all(b"hello").await.unwrap();
    near.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"hello");
}

#[tokio::test]
async fn a_checked_server_is_spoken_to_by_name_and_by_address() {
    let authority = Authority::new();
    let client = client(&trusting(&authority));
    for name in ["site.example", "127.0.0.1"] {
        let server = server(&authority.certify(name), None, &[]);
        let (near, far) = shake(&client, name, &server).await;
        greet(&mut near.unwrap(), &mut far.unwrap()).await;
    }
}

#[tokio::test]
async fn the_second_connection_resumes_the_first_on_any_clone() {
    let authority = Authority::new();
    let (client, server) =
        (client(&trusting(&authority)), server(&authority.certify("site.example"), None, &[]));
    for wanted in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (near, far) = shake(&client.clone(), "site.example", &server.clone()).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        greet(&mut near, &mut far).await;
        assert_eq!(near.get_ref().1.handshake_kind(), Some(wanted));
        assert_eq!(far.get_ref().1.handshake_kind(), Some(wanted));
    }
}

#[tokio::test]
async fn both_sides_agree_on_a_protocol() {
    let authority = Authority::new();
    let server = server(&authority.certify("site.example"), None, &[b"h2", b"http/1.1"]);
    for (offered, agreed) in [
        (vec![b"http/1.1".to_vec()], Ok(Some(&b"http/1.1"[..]))),
        (vec![], Ok(None)),
        (vec![b"spdy".to_vec()], Err(())),
    ] {
        let client = client(&TlsClientConfig { alpn: offered, ..trusting(&authority) });
        let (near, far) = shake(&client, "site.example", &server).await;
        match agreed {
            Ok(protocol) => assert_eq!(near.unwrap().get_ref().1.alpn_protocol(), protocol),
            Err(()) => {
                let (near, far) = (near.unwrap_err(), far.unwrap_err());
                assert_eq!((near.word(), near.side()), ("tls_alert_received", Side::Upstream));
                assert_eq!((far.word(), far.side()), ("tls_protocol_error", Side::Client));
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let client = client(&trusting(&authority));
    for (case, identity) in [
        ("another name", authority.certify("other.example")),
        ("an unknown authority", stranger.certify("site.example")),
        ("expired", authority.certify_expired("site.example")),
    ] {
        let (near, far) = shake(&client, "site.example", &server(&identity, None, &[])).await;
        let (near, far) = (near.unwrap_err(), far.unwrap_err());
        assert_eq!(near.proxy_status(), "tls_certificate_error", "{case}");
        assert_eq!((near.word(), near.side()), ("tls_certificate_error", Side::Upstream), "{case}");
        assert_eq!((near.retry(), far.word()), (Retry::Never, "tls_alert_received"), "{case}");
    }
}

#[tokio::test]
async fn a_client_shows_the_certificate_that_is_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let ca = authority.pem();
    let server = server(&authority.certify("site.example"), Some(&ca), &[]);
    let with = |identity| client(&TlsClientConfig { identity, ..trusting(&authority) });

    let (near, far) = shake(&with(Some(authority.certify("client.example"))), "site.example", &server).await;
    greet(&mut near.unwrap(), &mut far.unwrap()).await;
    for identity in [None, Some(stranger.certify("client.example"))] {
        let (_near, far) = shake(&with(identity), "site.example", &server).await;
        let error = far.unwrap_err();
        assert_eq!((error.word(), error.side()), ("tls_certificate_error", Side::Client));
    }
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_told_apart_from_one_that_leaves() {
    let authority = Authority::new();
    let (client, server) =
        (client(&trusting(&authority)), server(&authority.certify("site.example"), None, &[]));
    let host = Host::parse("site.example").unwrap();
    for (said, word) in
        [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "tls_protocol_error"), (b"", "tls_closed")]
    {
        let (near, mut far) = pair().await;
        far.write_all(said).await.unwrap();
        far.shutdown().await.unwrap();
        assert_eq!(client.connect(&host, near, soon()).await.unwrap_err().word(), word);

        let (mut near, far) = pair().await;
        near.write_all(said).await.unwrap();
        near.shutdown().await.unwrap();
        let error = server.accept(far, soon()).await.unwrap_err();
        assert_eq!((error.word(), error.side()), (word, Side::Client));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline() {
    let authority = Authority::new();
    let (client, server) =
        (client(&trusting(&authority)), server(&authority.certify("site.example"), None, &[]));
    let host = Host::parse("site.example").unwrap();
    let wait = Duration::from_secs(5);

    let (near, _far) = pair().await;
    let error = client.connect(&host, near, Instant::now() + wait).await.unwrap_err();
    assert!(matches!(error.fault(), TlsFault::Timeout { after } if *after == wait));
    assert_eq!((error.word(), error.proxy_status()), ("tls_timeout", "connection_timeout"));

    let (_near, far) = pair().await;
    let error = server.accept(far, Instant::now() + wait).await.unwrap_err();
    assert_eq!((error.word(), error.side()), ("tls_timeout", Side::Client));
}

#[test]
fn a_wrong_key_or_certificate_is_named() {
    let authority = Authority::new();
    let (one, two) = (authority.certify("one.example"), authority.certify("two.example"));
    let made = |cert: &[u8], key: &[u8], ca: Option<&[u8]>| match TlsServer::from_pem(cert, key, ca, &[]) {
        Ok(_) => "good",
        Err(TlsConfigError::KeyMismatch) => "mismatch",
        Err(TlsConfigError::Certificate(_)) => "certificate",
        Err(TlsConfigError::Key(_)) => "key",
        Err(_) => "other",
    };
    for (cert, key, ca, wanted) in [
        (&one.cert_chain[..], &one.key[..], None, "good"),
        (&one.cert_chain, &two.key, None, "mismatch"),
        (b"nothing", &one.key, None, "certificate"),
        (&one.key, &one.key, None, "certificate"),
        (&one.cert_chain, b"", None, "key"),
        (&one.cert_chain, &one.cert_chain, None, "key"),
        (&one.cert_chain, &one.key, Some(&b"nothing"[..]), "certificate"),
    ] {
        assert_eq!(made(cert, key, ca), wanted);
    }
    let config = TlsClientConfig { roots: Roots::Pem(b"nothing".to_vec()), ..TlsClientConfig::default() };
    assert!(matches!(TlsClient::new(&config), Err(TlsConfigError::Certificate(_))));
}

/// A certificate of this authority for `names`, with the kind of key that `algorithm` says.
fn several(
    authority: &Authority,
    names: &[&str],
    algorithm: &'static rcgen::SignatureAlgorithm,
) -> (Certificate, Vec<u8>) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let cert = CertificateParams::new(names).unwrap().signed_by(&key, &authority.0).unwrap();
    let shown = Certificate::from_pem(cert.pem().as_bytes(), key.serialize_pem().as_bytes(), None).unwrap();
    (shown, cert.der().to_vec())
}

/// The certificate that a client which asks for `name` is shown; none when it does not accept it.
async fn shown_to(server: &TlsServer, authority: &Authority, name: &str) -> Option<Vec<u8>> {
    let (connected, _accepted) = shake(&client(&trusting(authority)), name, server).await;
    let connected = connected.ok()?;
    let certs = connected.get_ref().1.peer_certificates()?;
    Some(certs.first()?.to_vec())
}

#[tokio::test]
async fn the_certificate_is_that_of_the_name_and_can_be_changed() {
    let authority = Authority::new();
    let ecdsa = &rcgen::PKCS_ECDSA_P256_SHA256;
    let (a, a_der) = several(&authority, &["a.example", "www.a.example"], ecdsa);
    let (b, b_der) = several(&authority, &["*.b.example"], &rcgen::PKCS_ED25519);
    assert_eq!(b.names(), ["*.b.example"]);
    let store = CertificateStore::new(&[a.clone(), b]);
    let server = TlsServer::with_store(store.clone(), None, &[]).unwrap();
    assert_eq!(shown_to(&server, &authority, "a.example").await, Some(a_der.clone()));
    assert_eq!(shown_to(&server, &authority, "WWW.a.example").await, Some(a_der));
    assert_eq!(shown_to(&server, &authority, "x.b.example").await, Some(b_der));
    // These get the first certificate, which is not for them.
    assert_eq!(shown_to(&server, &authority, "y.x.b.example").await, None);
    assert_eq!(shown_to(&server, &authority, "c.example").await, None);
    let (c, c_der) = several(&authority, &["a.example"], ecdsa);
    store.replace(&[c]);
    assert_eq!(shown_to(&server, &authority, "a.example").await, Some(c_der));
    store.replace(&[]);
    assert_eq!(shown_to(&server, &authority, "a.example").await, None);
}

#[test]
fn a_key_of_another_certificate_is_noticed() {
    let authority = Authority::new();
    let (one, other) = (authority.certify("a.example"), authority.certify("a.example"));
    let result = Certificate::from_pem(&one.cert_chain, &other.key, None);
    assert!(matches!(result, Err(TlsConfigError::KeyMismatch)));
}
