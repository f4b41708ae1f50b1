//! TLS passed through by the name that a real client asks for, however its hello is cut.

use super::*;
use std::time::Duration;

const REST: &str = "10.0.0.1:25";
const SHOP: &str = "10.0.0.2:443";

fn started(shard: &Rc<Shard>) -> (World, Started) {
    let world = World::new(shard);
    for far in [REST, SHOP] {
        world.fake.set(far, Far::Echo);
    }
    let (rest, shop) = (world.upstream("rest", &[REST]), world.upstream("shop", &[SHOP]));
    let started =
        world.start(world.plan(world.sni(&[("*", &rest), ("shop.example", &shop)]), AcceptMode::Lazy));
    (world, started)
}

#[test]
fn a_hello_reaches_its_upstream_unchanged_however_it_is_cut() {
    Shard::test(async |shard| {
        let (world, started) = started(&shard);
        let hello = hello("shop.example", &["h2", "http/1.1"]);
        for size in [1, 2, 3, 7, 100, 300, hello.len()] {
            let mut client = started.client();
            for piece in hello.chunks(size) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            assert_eq!(ask(&mut client, b"and more").await, [&hello[..], b"and more"].concat(), "{size}");
        }
        let line = format!("192.0.2.7:5000 TLS shop.example shop {0}/{0} ok", hello.len() + 8);
        assert_eq!(world.told.take(), vec![line; 7]);
    });
}

#[test]
fn a_hello_in_many_records_is_read_as_one() {
    Shard::test(async |shard| {
        let (world, started) = started(&shard);
        let hello = hello("shop.example", &[]);
        let (head, message) = hello.split_at(5);
        let records: Vec<u8> = message
            .chunks(50)
            .flat_map(|part| [&head[..3], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat())
            .collect();
        assert_eq!(ask(&mut started.client(), &records).await, records);
        assert!(world.told.take()[0].contains("shop.example shop"));
    });
}

#[test]
fn what_is_no_tls_or_names_nobody_known_goes_to_the_rest() {
    Shard::test(async |shard| {
        let (world, started) = started(&shard);
        for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), hello("else.example", &[])] {
            assert_eq!(ask(&mut started.client(), &bytes).await, bytes);
            assert!(world.told.take()[0].contains(" rest "));
        }
    });
}

#[test]
fn a_hello_that_two_could_read_differently_goes_nowhere() {
    Shard::test(async |shard| {
        let (world, started) = started(&shard);
        let mut wrong = hello("shop.example", &[]);
        let name = wrong.windows(12).position(|bytes| bytes == b"shop.example").unwrap();
        wrong[name + 4] = 0;
        let mut long = b"\x16\x03\x01\x40\x00\x01\x00\xff\xff".to_vec();
        long.resize(17_000, 0);
        for (bytes, word) in [
            (wrong, "hello_sni_name"),
            (long, "hello_too_long"),
            (vec![22, 3, 1, 0, 0], "hello_empty_record"),
        ] {
            let mut client = started.client();
            client.write_all(&bytes).await.unwrap();
            assert_eq!(rest(&mut client).await, b"");
            assert_eq!(world.told.take(), [format!("192.0.2.7:5000 TCP   0/0 {word}")]);
        }
        assert_eq!((world.dials().len(), started.counters().bad_heads.get()), (0, 3));
    });
}

#[test]
fn half_a_hello_is_waited_for_no_longer_than_the_limit() {
    Shard::test(async |shard| {
        let (world, started) = started(&shard);
        let hello = hello("shop.example", &[]);
        let (before, mut client) = (Instant::now(), started.client());
        client.write_all(&hello[..hello.len() / 2]).await.unwrap();
        assert_eq!(rest(&mut client).await, b"");
        assert_eq!(before.elapsed().as_secs(), 10);
        let mut left = started.client();
        left.write_all(&hello[..9]).await.unwrap();
        drop(left);
        started.settle().await;
        let words = ["head_timeout", "client_gone"];
        assert_eq!(world.told.take(), words.map(|word| format!("192.0.2.7:5000 TCP   0/0 {word}")));
        assert!(before.elapsed() < Duration::from_secs(11));
    });
}

#[test]
fn without_a_rule_for_the_rest_strangers_are_closed() {
    Shard::test(async |shard| {
        let world = World::new(&shard);
        world.fake.set(SHOP, Far::Echo);
        let shop = world.upstream("shop", &[SHOP]);
        let started = world.start(world.plan(world.sni(&[("shop.example", &shop)]), AcceptMode::Lazy));
        for bytes in [b"GET /".to_vec(), hello("else.example", &[])] {
            let mut client = started.client();
            client.write_all(&bytes).await.unwrap();
            assert_eq!(rest(&mut client).await, b"");
            assert!(world.told.take()[0].ends_with("no_route"));
        }
        assert_eq!((started.counters().unrouted.get(), world.dials().len()), (2, 0));
    });
}
