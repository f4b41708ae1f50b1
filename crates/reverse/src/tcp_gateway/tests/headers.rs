//! PROXY headers: who is believed, what endpoints are told.

use super::*;
use crate::stream_plan::{Additions, ProxyIn, ProxyOut};
use shoalway_policy::Cidr;
use shoalway_wire::proxy_protocol::tlv::Tlv;
use shoalway_wire::proxy_protocol::{self, Checksum, Endpoints, Transport, encode_v2};

const FAR: &str = "10.0.0.1:25";
const LINE: &[u8] = b"PROXY TCP4 198.51.100.7 203.0.113.1 1234 443\r\n";

fn started(world: &World, change: impl FnOnce(&mut StreamPlan)) -> Started {
    world.fake.set(FAR, Far::Echo);
    let mut plan = world.plan(Route::One(world.upstream("app", &[FAR])), AcceptMode::Lazy);
    plan.proxy_in = ProxyIn::From(std::iter::once(Cidr::parse("192.0.2.0/24").unwrap()).collect());
    change(&mut plan);
    world.start(plan)
}

fn binary(tlvs: &[Tlv<'_>]) -> Vec<u8> {
    let ends = ["[2001:db8::7]:1234", "[2001:db8::1]:443"].map(|addr| addr.parse().unwrap());
    let mut header = Vec::new();
    let endpoints = Endpoints::between(Transport::Stream, ends[0], ends[1]);
    encode_v2(&endpoints, tlvs, Checksum::Crc32c, &mut header).unwrap();
    header
}

#[test]
fn the_client_of_a_believed_header_is_the_one_that_is_told_of() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let started = started(&world, |_plan| {});
        for (header, client) in [(LINE.to_vec(), "198.51.100.7:1234"), (binary(&[]), "[2001:db8::7]:1234")] {
            for cut in 1..header.len() {
                let mut stream = started.client();
                stream.write_all(&header[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                stream.write_all(&header[cut..]).await.unwrap();
                assert_eq!(ask(&mut stream, b"hello").await, b"hello");
                assert_eq!(world.told.take(), [format!("{client} TCP 10.0.0.1 app 5/5 ok")]);
            }
        }
        let unknown = [b"PROXY UNKNOWN\r\n".to_vec(), b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec()];
        for header in unknown {
            assert_eq!(ask(&mut started.client(), &[&header[..], b"x"].concat()).await, b"x");
            assert!(world.told.take()[0].starts_with("192.0.2.7:5000 "));
        }
    });
}

#[test]
fn who_is_not_believed_is_closed_unread_and_a_wrong_header_ends_it() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let started = started(&world, |_plan| {});
        let mut stranger = started.client_from("203.0.113.9:1");
        assert!(stranger.write_all(LINE).await.is_err());
        assert_eq!((started.counters().untrusted.get(), world.told.take().len()), (1, 0));
        let mut broken = binary(&[]);
        *broken.last_mut().unwrap() ^= 1;
        for (bytes, word) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "proxy_protocol_signature"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".to_vec(), "proxy_protocol_fields"),
            (broken, "proxy_protocol_checksum"),
        ] {
            let mut client = started.client();
            client.write_all(&bytes).await.unwrap();
            assert_eq!(rest(&mut client).await, b"");
            assert!(world.told.take()[0].ends_with(word), "{word}");
        }
        assert_eq!(world.dials().len(), 0);
    });
}

#[test]
fn a_silent_proxy_is_closed_at_the_heads_limit() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let started = started(&world, |_plan| {});
        let before = Instant::now();
        assert_eq!(rest(&mut started.client()).await, b"");
        assert_eq!(before.elapsed().as_secs(), 10);
    });
}

#[test]
fn an_endpoint_is_told_by_a_line() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let started = started(&world, |plan| plan.proxy_out = ProxyOut::V1);
        let said = ask(&mut started.client(), &[&binary(&[])[..], b"hello"].concat()).await;
        assert_eq!(said, b"PROXY TCP6 2001:db8::7 2001:db8::1 1234 443\r\nhello");
        // The header is no payload of the client's.
        assert!(world.told.take()[0].contains(" 5/50 ok"));
    });
}

#[test]
fn an_endpoint_is_told_by_a_binary_header_with_what_is_known() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        let all = Additions { checksum: true, authority: true, tls: true, unique_id: true };
        let started = started(&world, |plan| {
            plan.proxy_out = ProxyOut::V2(all);
            let app = plan.route.unseen().unwrap();
            plan.route = world.sni(&[("*", app)]);
        });
        let hello = hello("shop.example", &[]);
        let incoming = binary(&[Tlv::Authority("old.example"), Tlv::UniqueId(b"id-7")]);
        let said = ask(&mut started.client(), &[&incoming[..], &hello].concat()).await;
        let (header, length) = proxy_protocol::decode(&said).unwrap().unwrap();
        assert_eq!(header.endpoints.client(), Some("[2001:db8::7]:1234".parse().unwrap()));
        assert_eq!(header.endpoints.destination(), Some("[2001:db8::1]:443".parse().unwrap()));
        let tlvs: Vec<_> = header.tlvs.iter().collect();
        assert_eq!(tlvs[..2], [Tlv::Authority("shop.example"), Tlv::UniqueId(b"id-7")]);
        assert!(matches!(tlvs[2..], [Tlv::Crc32c(_)]));
        assert_eq!(said[length..], hello);
        // Without TLS the incoming name is all there is; without an id a fresh one is made.
        let incoming = binary(&[Tlv::Authority("old.example")]);
        let said = ask(&mut started.client(), &[&incoming[..], b"plain"].concat()).await;
        let (header, _) = proxy_protocol::decode(&said).unwrap().unwrap();
        let tlvs: Vec<_> = header.tlvs.iter().collect();
        assert_eq!(tlvs[0], Tlv::Authority("old.example"));
        assert!(matches!(tlvs[1], Tlv::UniqueId(id) if id.len() == 32));
    });
}
