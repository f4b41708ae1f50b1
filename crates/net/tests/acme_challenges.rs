//! A listener that a certificate authority looks at (RFC 8737), by a client that plays the authority.

#![allow(clippy::disallowed_methods, reason = "tests listen and connect themselves")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test every failure is a panic")]

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use shoalway_net::acme_challenges::AcmeChallenges;
use shoalway_net::certificates::{Certificate, CertificateStore};
use shoalway_net::tls::{Roots, TlsError, TlsFault};
use shoalway_net::tls_client::{TlsClient, TlsClientConfig};
use shoalway_net::tls_server::TlsServer;
use shoalway_types::{Failure as _, Host};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const SHOP: &str = "shop.example";

/// A certificate that signs itself, and its key.
fn certify(name: &str, extensions: Vec<CustomExtension>) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.custom_extensions = extensions;
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// What the server says to a client that believes `root` and offers `alpn`.
async fn meet(store: &Arc<CertificateStore>, root: &str, alpn: &[u8]) -> (bool, Result<(), TlsError>) {
    let server = TlsServer::with_store(Arc::clone(store), None, &[b"h2", AcmeChallenges::ALPN]).unwrap();
    let roots = Roots::Pem(root.as_bytes().to_vec());
    let config = TlsClientConfig { roots, alpn: vec![alpn.to_vec()], identity: None };
    let client = TlsClient::new(&config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let (host, deadline) = (Host::parse(SHOP).unwrap(), Instant::now() + Duration::from_secs(10));
    let (seen, served) =
        tokio::join!(client.connect(&host, tcp, deadline), server.accept(accepted, deadline));
    (seen.is_ok(), served.map(drop))
}

#[tokio::test]
async fn the_authority_sees_the_answer_and_everybody_else_the_site() {
    let (pem, key) = certify(SHOP, Vec::new());
    let site = Certificate::from_pem(pem.as_bytes(), key.as_bytes(), None).unwrap();
    let challenges = AcmeChallenges::new();
    let store = CertificateStore::with_challenges(&[site], Arc::clone(&challenges));
    assert!(meet(&store, &pem, b"h2").await.1.is_ok());

    // Nobody is being proven: who asks like an authority learns nothing, not even which site this is.
    let (_, served) = meet(&store, &pem, AcmeChallenges::ALPN).await;
    assert!(matches!(served.unwrap_err().fault(), TlsFault::Protocol(_)));

    let (answer, answer_key) = certify(SHOP, Vec::new());
    challenges.put_certificate("Shop.Example", answer.as_bytes(), answer_key.as_bytes()).unwrap();
    let (seen, served) = meet(&store, &answer, AcmeChallenges::ALPN).await;
    assert!(seen, "the certificate is the answer");
    let error = served.unwrap_err();
    assert!(matches!(error.fault(), TlsFault::Checked), "a connection that checks carries nothing: {error}");
    assert_eq!(error.word(), "acme_check");
    assert!(meet(&store, &pem, b"h2").await.1.is_ok(), "others are not shown the answer");

    challenges.remove_certificate(SHOP);
    assert!(!meet(&store, &answer, AcmeChallenges::ALPN).await.0);
}

#[test]
fn an_answer_may_have_the_extension_that_nobody_else_understands() {
    let (pem, key) = certify(SHOP, vec![CustomExtension::new_acme_identifier(&[7; 32])]);
    assert!(Certificate::from_pem(pem.as_bytes(), key.as_bytes(), None).is_err());
    assert!(AcmeChallenges::new().put_certificate(SHOP, pem.as_bytes(), key.as_bytes()).is_ok());
    assert!(AcmeChallenges::new().put_certificate(SHOP, b"", key.as_bytes()).is_err());
    assert!(AcmeChallenges::new().put_certificate(SHOP, pem.as_bytes(), b"").is_err());
}
