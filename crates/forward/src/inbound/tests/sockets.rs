//! What needs real sockets: datagrams, BIND, ways through other proxies. Loopback only.

use super::*;
use crate::outbound::{Direct, ViaHttp, ViaSocks};
use shoalway_net::connect::Isolation;
use shoalway_net::listener::{Accepted, Inbound as _};
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::{TlsClient, TlsClientConfig};
use shoalway_net::tls_server::TlsServer;
use shoalway_types::Target;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A plan that really goes straight out.
fn real(rules: &[&str]) -> ForwardPlan {
    let plan = plan(Far::Hangs, rules);
    let outbound = Arc::new(Direct::new(plan.dialer.clone(), None));
    ForwardPlan { direct: Way { name: "direct".into(), identity: 2, outbound }, ..plan }
}

/// Both ends of a connection that the proxy serves.
async fn connect(shard: &Rc<Shard>, forward: &Rc<Forward>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    entrance::serve(Client {
        shard: Rc::clone(shard),
        forward: Rc::clone(forward),
        stream: Stream::tcp(stream),
        peer,
        admitted: Admitted::uncounted(),
    });
    client
}

async fn exactly<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

fn bound(reply: [u8; 10]) -> SocketAddr {
    let [5, 0, 0, 1, a, b, c, d, high, low] = reply else { panic!("{reply:?}") };
    SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))
}

fn datagram(to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    shoalway_wire::socks5_udp::encode_header(&to.into(), &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = [0; 2048];
    let (n, from) =
        tokio::time::timeout(Duration::from_secs(10), socket.recv_from(&mut bytes)).await.unwrap().unwrap();
    (bytes[..n].to_vec(), from)
}

#[test]
fn datagrams_go_both_ways_between_those_who_may_speak() {
    Shard::test_in_real_time(async |shard| {
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (to, shut) = (far.local_addr().unwrap(), closed.local_addr().unwrap());
        let (forward, told) =
            (start(&shard, real(&[&format!("block port:{}", shut.port())])), Told::on(&shard));
        let mut control = connect(&shard, &forward).await;
        control.write_all(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0").await.unwrap();
        assert_eq!(exactly(&mut control).await, [5, 0]);
        let relay = bound(exactly(&mut control).await);

        let (client, stranger) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        client.send_to(&datagram(to, b"one"), relay).await.unwrap();
        let (payload, way) = receive(&far).await;
        assert_eq!(payload, b"one");
        // Neither a stranger's datagram, nor garbage, nor one to a closed port goes on; the next good one does.
        stranger.send_to(&datagram(to, b"theirs"), relay).await.unwrap();
        client.send_to(b"garbage", relay).await.unwrap();
        client.send_to(&datagram(shut, b"never"), relay).await.unwrap();
        client.send_to(&datagram(to, b"two"), relay).await.unwrap();
        assert_eq!(receive(&far).await.0, b"two");
        assert!(closed.try_recv_from(&mut [0; 16]).is_err());
        // Nobody answers whom the client has not spoken to.
        stranger.send_to(b"psst", way).await.unwrap();
        far.send_to(b"answer", way).await.unwrap();
        assert_eq!(receive(&client).await, (datagram(to, b"answer"), relay));

        drop(control);
        shard.tasks().drained().await;
        assert_eq!(told.lines(), ["udp UDP :0 0 6/6 :0 - ok"]);
    });
}

#[test]
fn rules_that_changed_hold_for_the_next_datagram() {
    Shard::test_in_real_time(async |shard| {
        let (far, other) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let (to, second) = (far.local_addr().unwrap(), other.local_addr().unwrap());
        let forward = start(&shard, real(&[]));
        let mut control = connect(&shard, &forward).await;
        control.write_all(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0").await.unwrap();
        assert_eq!(exactly(&mut control).await, [5, 0]);
        let relay = bound(exactly(&mut control).await);
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&datagram(to, b"before"), relay).await.unwrap();
        assert_eq!(receive(&far).await.0, b"before");
        assert_eq!(start(&shard, real(&[&format!("block port:{}", to.port())])).recheck(&shard), 0);
        client.send_to(&datagram(to, b"after"), relay).await.unwrap();
        client.send_to(&datagram(second, b"elsewhere"), relay).await.unwrap();
        assert_eq!(receive(&other).await.0, b"elsewhere");
        assert!(far.try_recv_from(&mut [0; 16]).is_err());
    });
}

#[test]
fn an_exit_carries_no_datagrams_and_does_not_listen() {
    Shard::test_in_real_time(async |shard| {
        let forward = start(&shard, real(&["via:other all"]));
        let mut client = connect(&shard, &forward).await;
        client.write_all(b"\x05\x01\x00\x05\x02\x00\x01\x7f\0\0\x01\0\0").await.unwrap();
        assert_eq!(exactly(&mut client).await, [5, 0, 5, 2]);
    });
}

#[test]
fn bind_lets_in_whom_the_client_expects() {
    Shard::test_in_real_time(async |shard| {
        let (forward, told) = (start(&shard, real(&[])), Told::on(&shard));
        let mut client = connect(&shard, &forward).await;
        client.write_all(b"\x05\x01\x00\x05\x02\x00\x01\x7f\0\0\x01\x00\x09").await.unwrap();
        assert_eq!(exactly(&mut client).await, [5, 0]);
        let listens = bound(exactly(&mut client).await);
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stranger = socket.connect(listens).await.unwrap();
        assert_eq!(stranger.read(&mut [0; 1]).await.unwrap_or(0), 0, "a stranger is closed");
        let mut expected = TcpStream::connect(listens).await.unwrap();
        assert_eq!(bound(exactly(&mut client).await), expected.local_addr().unwrap());
        expected.write_all(b"in").await.unwrap();
        assert_eq!(exactly(&mut client).await, *b"in");
        client.write_all(b"out").await.unwrap();
        assert_eq!(exactly(&mut expected).await, *b"out");
        drop((client, expected));
        shard.tasks().drained().await;
        assert!(told.lines()[0].starts_with("socks5 BIND 127.0.0.1:9 0 3/2 "), "{:?}", told.lines());
    });
}

/// A proxy that reads until `ends`, says its lines one after the other, and returns what it read.
async fn scripted(listener: TcpListener, script: Vec<(usize, &'static [u8])>) -> Vec<Vec<u8>> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    for (length, says) in script {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.unwrap();
        heard.push(bytes);
        stream.write_all(says).await.unwrap();
    }
    heard
}

async fn through(
    shard: &Rc<Shard>,
    outbound: Arc<dyn Outbound>,
    target: &str,
) -> Result<Connected, ConnectError> {
    let session = Session {
        client: "127.0.0.1:1".parse().unwrap(),
        user: None,
        isolation: Isolation::default(),
        target: Rc::new(Target::parse(target, None).unwrap()),
        limit: Duration::from_secs(5),
        permit: None,
    };
    outbound.on(shard).connect(&session).await
}

/// Runs a proxy by script, goes through it, and returns what it heard and what came of it.
async fn play(
    shard: &Rc<Shard>,
    script: Vec<(usize, &'static [u8])>,
    make: impl FnOnce(Dialer, Target) -> Arc<dyn Outbound>,
) -> (Vec<Vec<u8>>, Result<Connected, ConnectError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Target::parse(&listener.local_addr().unwrap().to_string(), None).unwrap();
    let outbound = make(plan(Far::Hangs, &[]).dialer, proxy);
    tokio::join!(scripted(listener, script), through(shard, outbound, "name.invalid:443"))
}

#[test]
fn names_are_resolved_at_the_far_end_of_every_exit() {
    Shard::test_in_real_time(async |shard| {
        let login = shoalway_wire::socks5::Login::new(b"me", b"pw").unwrap();
        let connect = "CONNECT name.invalid:443 HTTP/1.1\r\nHost: name.invalid:443\r\n\
                       Proxy-Authorization: Basic bWU6cHc=\r\n\r\n";
        let socks4: &[u8] = b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00name.invalid\x00";
        let socks5: &[u8] = b"\x05\x01\x00\x03\x0cname.invalid\x01\xbb";

        let ok = (connect.len(), &b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\n\r\nfirst"[..]);
        let (heard, connected) = play(&shard, vec![ok], |dialer, proxy| {
            Arc::new(ViaHttp::new(dialer, proxy, None, Some(("me", "pw"))))
        })
        .await;
        assert_eq!(heard, [connect.as_bytes()]);
        assert_eq!(&connected.unwrap().stream.early()[..], b"first");

        let (heard, connected) =
            play(&shard, vec![(socks4.len(), b"\x00\x5a\0\0\0\0\0\0first")], |dialer, proxy| {
                Arc::new(ViaSocks::socks4a(dialer, proxy, b"me"))
            })
            .await;
        assert_eq!(heard, [socks4]);
        assert_eq!(&connected.unwrap().stream.early()[..], b"first");

        let script: Vec<(usize, &[u8])> =
            vec![(4, b"\x05\x02"), (7, b"\x01\x00"), (socks5.len(), b"\x05\0\0\x01\0\0\0\0\0\0first")];
        let (heard, connected) =
            play(&shard, script, |dialer, proxy| Arc::new(ViaSocks::socks5(dialer, proxy, Some(login))))
                .await;
        assert_eq!(heard, [&b"\x05\x02\x00\x02"[..], b"\x01\x02me\x02pw", socks5]);
        assert_eq!(&connected.unwrap().stream.early()[..], b"first");
    });
}

#[test]
fn what_an_upstream_proxy_refuses_is_told_on() {
    Shard::test_in_real_time(async |shard| {
        let http = "CONNECT name.invalid:443 HTTP/1.1\r\nHost: name.invalid:443\r\n\r\n".len();
        for (says, kind) in [
            (&b"HTTP/1.1 407 No\r\n\r\n"[..], ConnectErrorKind::ProxyAuth),
            (b"HTTP/1.1 403 No\r\n\r\n", ConnectErrorKind::Proxy),
            (b"220 smtp.example\r\n\r\n", ConnectErrorKind::Proxy),
            (b"HTTP/1.1 2", ConnectErrorKind::Reset),
        ] {
            let (_, connected) = play(&shard, vec![(http, says)], |dialer, proxy| {
                Arc::new(ViaHttp::new(dialer, proxy, None, None))
            })
            .await;
            assert_eq!(connected.err().map(|error| error.kind), Some(kind), "{}", says.escape_ascii());
        }
        for (says, kind) in
            [(&b"\x05\xff"[..], ConnectErrorKind::ProxyAuth), (b"HTTP/1.1", ConnectErrorKind::Proxy)]
        {
            let (_, connected) = play(&shard, vec![(3, says)], |dialer, proxy| {
                Arc::new(ViaSocks::socks5(dialer, proxy, None))
            })
            .await;
            assert_eq!(connected.err().map(|error| error.kind), Some(kind), "{}", says.escape_ascii());
        }
    });
}

#[test]
fn plain_requests_reach_an_http_exit_whole_and_with_its_log_in() {
    Shard::test_in_real_time(async |shard| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Target::parse(&listener.local_addr().unwrap().to_string(), None).unwrap();
        let plan = plan(Far::Hangs, &["via:other all"]);
        let outbound = Arc::new(ViaHttp::new(plan.dialer.clone(), proxy, None, Some(("me", "pw"))));
        let exits = vec![Way { name: "other".into(), identity: 3, outbound }];
        let forward = start(&shard, ForwardPlan { exits, ..plan });
        let heard = "GET http://one.invalid/x HTTP/1.1\r\nHost: one.invalid\r\n\
                     Proxy-Authorization: Basic bWU6cHc=\r\n\r\n";
        let ok = &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..];
        // Both targets over one connection: the script accepts no second one.
        let upstream = scripted(listener, vec![(heard.len(), ok), (heard.len(), ok)]);
        let mut client = client(&shard, &forward);
        let asks = async {
            for host in ["one.invalid", "two.invalid"] {
                let request = format!(
                    "GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic bWluZQ==\r\n\r\n"
                );
                client.write_all(request.as_bytes()).await.unwrap();
                assert_eq!(read_answer(&mut client).await.0, 200, "{host}");
            }
        };
        let (seen, ()) = tokio::join!(upstream, asks);
        assert_eq!(String::from_utf8_lossy(&seen[0]), heard);
        assert_eq!(String::from_utf8_lossy(&seen[1]), heard.replace("one", "two"));
    });
}

/// A certificate for 127.0.0.1 that signs itself, and its key.
fn certificate() -> (Vec<u8>, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes())
}

#[test]
fn a_tls_listener_serves_whoever_knows_its_certificate() {
    Shard::test_in_real_time(async |shard| {
        let (cert, key) = certificate();
        let tls = Some(TlsServer::from_pem(&cert, &key, None, &[]).unwrap());
        let far = start(&shard, ForwardPlan { tls, ..plan(Far::Echo, &[]) });
        let dialer = far.plan().dialer.clone();
        for (roots, good) in [(cert, true), (certificate().0, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let proxy = Target::parse(&listener.local_addr().unwrap().to_string(), None).unwrap();
            let config = TlsClientConfig { roots: Roots::Pem(roots), ..TlsClientConfig::default() };
            let tls = TlsClient::new(&config).unwrap();
            let outbound = Arc::new(ViaHttp::new(dialer.clone(), proxy, Some(tls), None));
            let serve = async {
                let (stream, peer) = listener.accept().await.unwrap();
                far.accept(&shard, Accepted { stream, peer, admitted: Admitted::uncounted() });
            };
            let ((), connected) = tokio::join!(serve, through(&shard, outbound, "name.invalid:443"));
            let Ok(mut connected) = connected else {
                assert!(!good);
                continue;
            };
            assert!(good);
            connected.stream.write_all(b"hello").await.unwrap();
            connected.stream.flush().await.unwrap();
            let mut back = [0; 5];
            connected.stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"hello");
        }
    });
}

#[test]
fn clients_that_have_no_business_here_are_closed_unheard() {
    Shard::test_in_real_time(async |shard| {
        let clients = vec![shoalway_policy::Cidr::parse("192.0.2.0/24").unwrap()];
        let forward = start(&shard, ForwardPlan { clients, ..plan(Far::Echo, &[]) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let admitted = Admitted::uncounted();
        let counters = Arc::clone(admitted.counters());
        forward.accept(&shard, Accepted { stream, peer: "198.51.100.1:9".parse().unwrap(), admitted });
        assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert_eq!((counters.refused.get(), counters.open.get()), (1, 0));
        // A listener that is taken away keeps nothing of its plan, and serves nobody.
        let plan = Arc::downgrade(forward.plan());
        Forward::forget(&shard, "test");
        drop(forward);
        assert!(plan.upgrade().is_none());
    });
}
