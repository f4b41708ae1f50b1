//! Over TLS on loopback: what the connection's two ends export, and bytes through all layers.

use crate::kit::{ByCookie, KEY, LABEL, PATIENCE, SITE, pattern, receive, send, serve};
use rcgen::{CertificateParams, KeyPair};
use shoalway_http::h1::ServerConfig;
use shoalway_http::h2::duplex::FRAME;
use shoalway_http::h2::{TunnelRequest, open_tunnel};
use shoalway_net::shard::Shard;
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::{LinkTls, dial_link};
use shoalway_net::tls_server::TlsServer;
use shoalway_types::Host;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A link's TLS and the server it trusts.
fn certified() -> (LinkTls, TlsServer) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec![SITE.to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let server =
        TlsServer::from_pem(cert.as_bytes(), key.serialize_pem().as_bytes(), None, &[b"h2", b"http/1.1"]);
    (LinkTls::new(&Roots::Pem(cert.into_bytes())).unwrap(), server.unwrap())
}

/// Both ends of a TLS connection.
async fn pair(link: &LinkTls, server: &TlsServer) -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let (deadline, host) = (Instant::now() + PATIENCE, Host::parse(SITE).unwrap());
    let (near, far) = tokio::join!(
        dial_link(link, &host, near.unwrap(), deadline),
        server.accept(far.unwrap().0, deadline)
    );
    (near.unwrap(), Stream::new(Io::TlsServer(Box::new(far.unwrap()))))
}

#[test]
fn a_claim_can_bind_a_request_to_its_tls_connection() {
    Shard::test_in_real_time(async |shard| {
        let (link, server) = certified();
        let claim = Arc::new(ByCookie::default());
        let mut known = Vec::new();
        for _ in 0..2 {
            let (near, far) = pair(&link, &server).await;
            serve(&shard, ServerConfig::default(), far, Some(&claim));
            let exported = near.exporter(LABEL).unwrap();
            let request =
                TunnelRequest { authority: SITE, path: "/", fields: &[("cookie", KEY)], patience: PATIENCE };
            assert!(open_tunnel(&shard, near, &request).await.is_ok());
            claim.taken();
            let shown = claim.shown.lock().unwrap().pop().unwrap();
            assert_eq!((shown.is_tls13_h2, shown.exported), (true, Some(exported)));
            known.push(exported);
        }
        assert_ne!(known[0], known[1]);
    });
}

#[test]
fn ten_mebibytes_go_each_way_through_tls() {
    Shard::test_in_real_time(async |shard| {
        let (link, server) = certified();
        let claim = Arc::new(ByCookie::default());
        let (near, far) = pair(&link, &server).await;
        serve(&shard, ServerConfig::default(), far, Some(&claim));
        let request =
            TunnelRequest { authority: SITE, path: "/", fields: &[("cookie", KEY)], patience: PATIENCE };
        let (_visit, near) = open_tunnel(&shard, near, &request).await.unwrap();
        let (mut near_in, mut near_out) = near.duplex.split();
        let (mut far_in, mut far_out) = claim.taken().duplex.split();
        let (up, down) = (pattern(10 << 20, 1), pattern(10 << 20, 2));
        let (_, _, got_up, got_down) = tokio::join!(
            async {
                send(&mut near_out, up.clone(), FRAME).await.unwrap();
                near_out.finish();
            },
            async {
                send(&mut far_out, down.clone(), FRAME).await.unwrap();
                far_out.finish();
            },
            receive(&mut far_in, usize::MAX),
            receive(&mut near_in, usize::MAX)
        );
        assert!(got_up.unwrap() == up && got_down.unwrap() == down);
    });
}
