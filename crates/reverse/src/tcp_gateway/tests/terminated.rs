//! TLS that ends here, over loopback sockets: what is inside reaches the endpoint, with what was agreed.

use super::sockets::{echo_server, far, listen};
use super::*;
use crate::stream_plan::{Additions, Preconnect, ProxyIn, ProxyOut};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::{Identity, TlsClient, TlsClientConfig};
use shoalway_net::tls_server::TlsServer;
use shoalway_policy::Cidr;
use shoalway_types::Host;
use shoalway_wire::proxy_protocol::tlv::{Ssl, SslField, Tlv};
use shoalway_wire::proxy_protocol::{self};
use std::time::Duration;
use tokio::net::TcpStream;

/// A certificate that nobody else has signed, and its key.
struct Pems {
    cert: Vec<u8>,
    key: Vec<u8>,
}

fn issue(name: &str) -> Pems {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    Pems { cert: cert.pem().into_bytes(), key: signing_key.serialize_pem().into_bytes() }
}

fn server(own: &Pems, clients: Option<&Pems>, alpn: &[&[u8]]) -> TlsServer {
    TlsServer::from_pem(&own.cert, &own.key, clients.map(|pems| &pems.cert[..]), alpn).unwrap()
}

fn client(server: &Pems, shown: Option<&Pems>, alpn: &[&str]) -> TlsClient {
    let identity = shown.map(|pems| Identity { cert_chain: pems.cert.clone(), key: pems.key.clone() });
    let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsClient::new(&TlsClientConfig { roots: Roots::Pem(server.cert.clone()), identity, alpn }).unwrap()
}

async fn opened(
    tls: &TlsClient,
    tcp: TcpStream,
) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + use<>, shoalway_net::tls::TlsError> {
    tls.connect(&Host::parse("mail.test").unwrap(), tcp, Instant::now() + PATIENCE).await
}

#[test]
fn what_is_inside_reaches_the_endpoint_with_what_was_agreed_in_every_mode() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let (own, shown) = (issue("mail.test"), issue("client.test"));
        let modes = [
            AcceptMode::Lazy,
            AcceptMode::Eager,
            AcceptMode::Preconnect(Preconnect::default()),
            AcceptMode::Defer,
        ];
        for (n, accept) in modes.into_iter().enumerate() {
            let upstream = world.upstream(&format!("app{n}"), &[&echo_server(&shard)]);
            let mut plan = world.plan(Route::One(upstream), accept);
            plan.tls = Some(server(&own, Some(&shown), &[b"imap", b"h2"]));
            plan.proxy_out =
                ProxyOut::V2(Additions { checksum: true, authority: true, tls: true, unique_id: false });
            let (at, ..) = listen(&shard, plan);
            let tcp = TcpStream::connect(at).await.unwrap();
            let from = tcp.local_addr().unwrap();
            let mut stream = opened(&client(&own, Some(&shown), &["h2"]), tcp).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
            let said = rest(&mut stream).await;
            let (header, length) = proxy_protocol::decode(&said).unwrap().unwrap();
            assert_eq!(
                (&said[length..], header.endpoints.client()),
                (&b"hello"[..], Some(from)),
                "{accept:?}"
            );
            let tlvs: Vec<_> = header.tlvs.iter().collect();
            assert_eq!(tlvs[..2], [Tlv::Alpn(b"h2"), Tlv::Authority("mail.test")]);
            let Tlv::Ssl(ssl) = tlvs[2] else { panic!("{tlvs:?}") };
            assert_eq!(ssl.client(), Ssl::TLS | Ssl::CERTIFICATE | Ssl::CERTIFICATE_IN_SESSION);
            let fields: Vec<_> = ssl.fields().collect();
            assert!(ssl.certificate_verified() && fields[0] == SslField::Version("TLSv1.3"));
            assert!(
                matches!(fields[1], SslField::Cipher(name) if name.starts_with("TLS_AES_")),
                "{fields:?}"
            );
            until(|| !world.told.0.lock().unwrap().is_empty()).await;
            let told = world.told.take();
            assert!(told[0].ends_with(&format!(" TLS mail.test app{n} 5/{} ok", said.len())), "{told:?}");
        }
    });
}

#[test]
fn an_endpoint_that_speaks_first_is_heard_inside_tls() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let own = issue("mail.test");
        for accept in [AcceptMode::Lazy, AcceptMode::Eager] {
            let (far, far_at) = far();
            let mut plan = world.plan(Route::One(world.upstream(&far_at, &[&far_at])), accept);
            plan.tls = Some(server(&own, None, &[]));
            let (at, ..) = listen(&shard, plan);
            let tcp = TcpStream::connect(at).await.unwrap();
            let tls = client(&own, None, &[]);
            let endpoint = async {
                let (mut endpoint, _) = far.accept().await.unwrap();
                endpoint.write_all(b"220 ready\r\n").await.unwrap();
                endpoint
            };
            let (stream, _endpoint) = tokio::join!(opened(&tls, tcp), endpoint);
            assert_eq!(read(&mut stream.unwrap(), 11).await, b"220 ready\r\n");
        }
    });
}

#[test]
fn the_order_of_handshake_and_endpoint_is_the_modes() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let own = issue("mail.test");
        for (accept, before) in
            [(AcceptMode::Lazy, false), (AcceptMode::Eager, true), (AcceptMode::Defer, false)]
        {
            let (far, far_at) = far();
            let mut plan = world.plan(Route::One(world.upstream(&far_at, &[&far_at])), accept);
            plan.tls = Some(server(&own, None, &[]));
            let (at, ..) = listen(&shard, plan);
            let tcp = TcpStream::connect(at).await.unwrap();
            let mut endpoint = None;
            if before {
                // The client has not said a word.
                endpoint = Some(far.accept().await.unwrap());
            }
            let mut stream = opened(&client(&own, None, &[]), tcp).await.unwrap();
            if accept == AcceptMode::Defer {
                let silent = tokio::time::timeout(Duration::from_millis(100), far.accept()).await;
                assert!(silent.is_err(), "nothing inside, and the endpoint was called");
            }
            stream.write_all(b"x").await.unwrap();
            let (mut endpoint, _) = match endpoint {
                Some(endpoint) => endpoint,
                None => far.accept().await.unwrap(),
            };
            assert_eq!(read(&mut endpoint, 1).await, b"x");
        }
    });
}

#[test]
fn whoever_does_not_agree_on_tls_reaches_nobody_and_is_counted() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let own = issue("mail.test");
        let upstream = world.upstream("app", &[&echo_server(&shard)]);
        let mut plan = world.plan(Route::One(upstream), AcceptMode::Eager);
        plan.tls = Some(server(&own, Some(&own), &[]));
        let (at, plan, _) = listen(&shard, plan);
        let mut plain = TcpStream::connect(at).await.unwrap();
        plain.write_all(b"EHLO plain.test\r\n").await.unwrap();
        // What is said is an alert, not an echo.
        assert_eq!(rest(&mut plain).await.first(), Some(&21));
        let tcp = TcpStream::connect(at).await.unwrap();
        if let Ok(mut nameless) = opened(&client(&own, None, &[]), tcp).await {
            drop(nameless.write_all(b"x").await);
            assert_eq!(rest(&mut nameless).await, b"");
        }
        until(|| world.told.0.lock().unwrap().len() == 2).await;
        let told = world.told.take();
        assert!(told[0].ends_with(" 0/0 tls_protocol_error"), "{told:?}");
        assert!(told[1].ends_with(" 0/0 tls_certificate_error"), "{told:?}");
        assert_eq!(plan.counters[0].bad_heads.get(), 2);
    });
}

#[test]
fn a_proxy_header_stands_before_tls() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let own = issue("mail.test");
        let upstream = world.upstream("app", &[&echo_server(&shard)]);
        let mut plan = world.plan(Route::One(upstream), AcceptMode::Eager);
        plan.tls = Some(server(&own, None, &[]));
        plan.proxy_in = ProxyIn::From(std::iter::once(Cidr::parse("127.0.0.0/8").unwrap()).collect());
        plan.proxy_out = ProxyOut::V1;
        let (at, ..) = listen(&shard, plan);
        let mut tcp = TcpStream::connect(at).await.unwrap();
        let line = b"PROXY TCP4 198.51.100.7 203.0.113.1 1234 443\r\n";
        tcp.write_all(line).await.unwrap();
        let mut stream = opened(&client(&own, None, &[]), tcp).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(rest(&mut stream).await, [&line[..], b"x"].concat());
        until(|| !world.told.0.lock().unwrap().is_empty()).await;
        assert!(world.told.take()[0].starts_with("198.51.100.7:1234 TLS mail.test "));
    });
}
