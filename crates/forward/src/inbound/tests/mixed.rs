//! The first bytes, and handshakes that stall, come in pieces, or are no handshakes.

use super::*;
use std::time::Duration;
use tokio::time::Instant;

/// Beginnings of every dialect, each correct as far as it goes.
const BEGINNINGS: [&[u8]; 9] = [
    b"",
    b"P",
    b"GET http://a.example/ HTTP/1.1\r\nHost",
    b"CONNECT a.example:443 HTTP/1.1\r\n",
    b"\x05\x02\x00",
    b"\x05\x01\x00",
    b"\x05\x01\x00\x05\x01\x00\x03\x09a.ex",
    b"\x04\x01\x01\xbb\xc0\x00\x02\x09m",
    b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a.exam",
];

#[test]
fn a_handshake_that_stalls_is_closed_at_its_deadline() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Echo, &[]));
        let limit = forward.plan().limits.head;
        for beginning in BEGINNINGS {
            let begun = Instant::now();
            ask(client(&shard, &forward), beginning).await;
            let lasted = begun.elapsed();
            let what = beginning.escape_ascii();
            assert!(lasted >= limit && lasted < limit + Duration::from_secs(2), "{what}: {lasted:?}");
        }
    });
}

#[test]
fn one_byte_at_a_time_works_in_every_dialect() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Echo, &[]));
        for (name, request, granted) in OPENERS {
            let mut client = client(&shard, &forward);
            for byte in request.iter().chain(b"early") {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut said = vec![0; granted.len() + 5];
            client.read_exact(&mut said).await.unwrap();
            assert_eq!(said, [granted, b"early"].concat(), "{name}");
        }
    });
}

#[test]
fn a_client_that_leaves_in_any_phase_leaves_nothing_behind() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Echo, &[]));
        for (_name, request, _granted) in OPENERS {
            for cut in 0..=request.len() {
                let mut client = client(&shard, &forward);
                client.write_all(&request[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                drop(client);
            }
        }
        shard.tasks().drained().await;
        assert_eq!((shard.wheel().len(), shard.buffers().alive(), shard.tasks().panics()), (0, 0, 0));
    });
}

#[test]
fn other_languages_are_told_what_is_spoken_here() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Echo, &[]));
        for (bytes, line) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], "HTTP/1.1 505 "),
            (b"\x16\x03\x01\x02\x00\x01", "HTTP/1.1 400 "),
            (b"\x00\x01\x02", "HTTP/1.1 400 "),
            (b"{}", "HTTP/1.1 400 "),
            (b"\x06\x01\x00", "HTTP/1.1 400 "),
        ] {
            let said = ask(client(&shard, &forward), bytes).await;
            assert!(said.starts_with(line.as_bytes()), "{}: {}", bytes.escape_ascii(), said.escape_ascii());
        }
    });
}

#[test]
fn a_client_that_says_nothing_costs_little() {
    let size = size_of::<super::super::mixed::Sniff>();
    assert!(size <= 1 << 10, "{size}");
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Echo, &[]));
        let _silent = client(&shard, &forward);
        tokio::task::yield_now().await;
        assert_eq!((shard.buffers().alive(), shard.wheel().len()), (0, 1));
        // Idle: memory pressure or a drain may end it.
        assert_eq!(shard.wheel().end_idle(1, || Duration::ZERO), 1);
        shard.tasks().drained().await;
    });
}

#[test]
fn protocol_errors_get_their_own_codes() {
    Shard::test(async |shard| {
        let (forward, told) = (start(&shard, plan(Far::Echo, &[])), Told::on(&shard));
        for (bytes, said, line) in [
            (
                &b"\x05\x01\x00\x05\x09\x00\x01\x7f\x00\x00\x01\x00\x50"[..],
                &b"\x05\x00\x05\x07\x00\x01\0\0\0\0\0\0"[..],
                "socks5  :0 7 0/0 :0 - socks5_unknown_command",
            ),
            (
                b"\x05\x01\x00\x05\x01\x00\x09\x7f\x00\x00\x01\x00\x50",
                b"\x05\x00\x05\x08\x00\x01\0\0\0\0\0\0",
                "socks5  :0 8 0/0 :0 - socks5_unknown_address_type",
            ),
            (b"\x05\x01\x01", b"\x05\xff", "socks5  :0 255 0/0 :0 - socks5_no_method"),
            (
                b"\x04\x09\x00\x50\x7f\x00\x00\x01\x00",
                b"\x00\x5b\0\0\0\0\0\0",
                "socks4  :0 91 0/0 :0 - socks4_unknown_command",
            ),
        ] {
            assert_eq!(ask(client(&shard, &forward), bytes).await, said, "{line}");
            shard.tasks().drained().await;
            assert_eq!(told.lines().last().map(String::as_str), Some(line));
        }
    });
}
