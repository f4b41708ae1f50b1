//! Tunnels: opened, refused with truthful codes, ended by rules that change, told about once.

use super::*;
use crate::inbound::connect::{Ends, run};
use crate::replies;
use crate::tunnels::Tunnels;
use std::time::Duration;
use tokio::time::Instant;

#[test]
fn a_tunnel_is_told_about_once_with_its_bytes() {
    Shard::test(async |shard| {
        let (forward, told) = (start(&shard, plan(Far::Echo, &["direct port:443"])), Told::on(&shard));
        for (n, (name, request, granted)) in OPENERS.into_iter().enumerate() {
            let mut client = client(&shard, &forward);
            client.write_all(request).await.unwrap();
            let mut said = vec![0; granted.len()];
            client.read_exact(&mut said).await.unwrap();
            assert_eq!(said, granted, "{name}");
            assert_eq!(shard.local(Tunnels::default).count().iter().map(|(_, n)| n).sum::<usize>(), 1);
            client.write_all(b"hello").await.unwrap();
            client.shutdown().await.unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"hello", "{name}");
            shard.tasks().drained().await;
            let lines = told.lines();
            assert_eq!(lines.len(), n + 1, "{lines:?}");
        }
        assert_eq!(
            told.lines(),
            [
                "connect CONNECT a.example:443 200 5/5 direct:1 - ok",
                "socks4 CONNECT 192.0.2.9:443 90 5/5 direct:1 - ok",
                "socks4 CONNECT a.example:443 90 5/5 direct:1 - ok",
                "socks5 CONNECT a.example:443 0 5/5 direct:1 - ok",
            ]
        );
    });
}

const KINDS: [ConnectErrorKind; 11] = [
    ConnectErrorKind::Dns,
    ConnectErrorKind::NameNotFound,
    ConnectErrorKind::Timeout,
    ConnectErrorKind::Refused,
    ConnectErrorKind::Unreachable,
    ConnectErrorKind::Reset,
    ConnectErrorKind::Forbidden,
    ConnectErrorKind::Tls,
    ConnectErrorKind::ProxyAuth,
    ConnectErrorKind::Proxy,
    ConnectErrorKind::Local,
];

#[test]
fn each_failure_is_told_truthfully_in_every_dialect() {
    Shard::test(async |shard| {
        for kind in KINDS {
            let (forward, reply) = (start(&shard, plan(Far::Fails(kind), &[])), replies::of_kind(kind));
            let get = &b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"[..];
            for (name, request) in
                OPENERS.iter().map(|(name, request, _)| (*name, *request)).chain([("GET", get)])
            {
                let mut client = client(&shard, &forward);
                client.write_all(request).await.unwrap();
                client.shutdown().await.unwrap();
                let mut said = Vec::new();
                client.read_to_end(&mut said).await.unwrap();
                let expected = match name {
                    "SOCKS4" | "SOCKS4a" => vec![0, 91],
                    "SOCKS5" => vec![5, 0, 5, reply.socks5.code()],
                    _ => format!("HTTP/1.1 {} ", reply.http).into_bytes(),
                };
                assert!(said.starts_with(&expected), "{kind:?} {name}: {}", said.escape_ascii());
            }
        }
    });
}

#[test]
fn a_rule_that_blocks_is_told_in_every_dialect_before_anything_is_tried() {
    Shard::test(async |shard| {
        let rules = ["direct port:1", "block port:443 say:'no'"];
        let (forward, told) = (start(&shard, plan(Far::Hangs, &rules)), Told::on(&shard));
        for (name, request, _) in OPENERS {
            let mut client = client(&shard, &forward);
            client.write_all(request).await.unwrap();
            client.shutdown().await.unwrap();
            let mut said = Vec::new();
            client.read_to_end(&mut said).await.unwrap();
            let text = String::from_utf8_lossy(&said);
            match name {
                "CONNECT" => {
                    assert!(text.starts_with("HTTP/1.1 403 ") && text.contains("details=\"rule:2\""))
                }
                "SOCKS5" => assert_eq!(said[2..4], [5, 2]),
                _ => assert_eq!(said[..2], [0, 91]),
            }
        }
        shard.tasks().drained().await;
        for line in told.lines() {
            assert!(line.contains(" block:2 ") && line.ends_with(" blocked"), "{line}");
        }
        assert_eq!(told.lines().len(), OPENERS.len());
    });
}

#[test]
fn a_rule_about_addresses_refuses_a_name_that_leads_there() {
    Shard::test(async |shard| {
        let rules = ["direct port:1", "block 10.9.0.0/16"];
        let (forward, told) = (start(&shard, plan(Far::Echo, &rules)), Told::on(&shard));
        let mut http = client(&shard, &forward);
        http.write_all(OPENERS[0].1).await.unwrap();
        let (status, text) = read_answer(&mut http).await;
        assert!(status == 403 && text.contains("rule:2"), "{text}");
        drop(http);
        let mut socks = client(&shard, &forward);
        socks.write_all(OPENERS[3].1).await.unwrap();
        let mut said = [0; 12];
        socks.read_exact(&mut said).await.unwrap();
        assert_eq!(said[2..4], [5, 2]);
        drop(socks);
        shard.tasks().drained().await;
        let line = told.lines()[0].clone();
        assert!(
            line.starts_with("connect CONNECT a.example:443 403 0/") && line.ends_with(" block:2 - blocked"),
            "{line}"
        );
    });
}

#[test]
fn rules_that_changed_end_a_tunnel_that_is_busy() {
    Shard::test(async |shard| {
        let (forward, told) = (start(&shard, plan(Far::Echo, &[])), Told::on(&shard));
        let mut client = client(&shard, &forward);
        client.write_all(OPENERS[3].1).await.unwrap();
        let mut said = [0; 12];
        client.read_exact(&mut said).await.unwrap();

        assert_eq!(start(&shard, plan(Far::Echo, &["block port:80"])).recheck(&shard), 0);
        let begun = Instant::now();
        assert_eq!(start(&shard, plan(Far::Echo, &["block domain:a.example"])).recheck(&shard), 1);
        // It goes on talking; that does not help it.
        while client.write_all(b"still here").await.is_ok() {
            if client.read(&mut said).await.is_ok_and(|n| n == 0) {
                break;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        shard.tasks().drained().await;
        let lines = told.lines();
        assert!(lines.len() == 1 && lines[0].ends_with(" rules_changed"), "{lines:?}");
    });
}

#[test]
fn a_user_who_was_removed_loses_his_tunnels() {
    Shard::test_in_real_time(async |shard| {
        let users = |text: &str| {
            let users = Arc::new(shoalway_policy::Users::parse(text).unwrap());
            Auth::Users { users, realm: "test".into() }
        };
        let ann = "ann:$apr1$xZPHxwyd$XXQW2zpl8VfUnQYVhqGBi/";
        let with = |auth| ForwardPlan { auth, ..plan(Far::Echo, &[]) };
        let (forward, told) = (start(&shard, with(users(ann))), Told::on(&shard));
        let mut client = client(&shard, &forward);
        client.write_all(b"\x05\x01\x02\x01\x03ann\x0bopen sesame").await.unwrap();
        client.write_all(&OPENERS[3].1[3..]).await.unwrap();
        let mut said = [0; 14];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(said[..6], [5, 2, 1, 0, 5, 0]);
        assert_eq!(start(&shard, with(users(&ann.replace("ann:", "bob:")))).recheck(&shard), 1);
        shard.tasks().drained().await;
        assert_eq!(told.lines(), ["socks5 CONNECT a.example:443 0 0/0 direct:0 ann rules_changed"]);
    });
}

#[test]
fn a_wrong_password_is_refused_and_counted() {
    Shard::test_in_real_time(async |shard| {
        let users =
            Arc::new(shoalway_policy::Users::parse("ann:$apr1$xZPHxwyd$XXQW2zpl8VfUnQYVhqGBi/").unwrap());
        let auth = Auth::Users { users, realm: "test".into() };
        let (forward, told) = (start(&shard, ForwardPlan { auth, ..plan(Far::Echo, &[]) }), Told::on(&shard));
        let said = ask(client(&shard, &forward), b"\x05\x01\x02\x01\x03ann\x04shut").await;
        assert_eq!(said, b"\x05\x02\x01\x01");
        assert_eq!(ask(client(&shard, &forward), b"\x05\x01\x00").await, b"\x05\xff");
        assert_eq!(ask(client(&shard, &forward), OPENERS[1].1).await[..2], [0, 91]);
        shard.tasks().drained().await;
        assert_eq!(told.lines().len(), 3, "{:?}", told.lines());
    });
}

#[test]
fn a_silent_tunnel_ends_at_its_limit() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Echo, &[]));
        let limit = forward.plan().limits.tunnel_idle;
        for (name, request, _) in OPENERS {
            let begun = Instant::now();
            ask(client(&shard, &forward), request).await;
            let lasted = begun.elapsed();
            assert!(lasted >= limit && lasted < limit + Duration::from_secs(1), "{name}: {lasted:?}");
        }
    });
}

#[test]
fn a_tunnel_is_small() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Echo, &[]));
        let (one, _other) = tokio::io::duplex(1);
        let (two, _far) = tokio::io::duplex(1);
        let ask = super::super::socks::Ask::new(
            Client {
                shard: Rc::clone(&shard),
                forward: Rc::clone(&forward),
                stream: Stream::other(one),
                peer: "127.0.0.1:1".parse().unwrap(),
                admitted: Admitted::uncounted(),
            },
            super::super::socks::Version::Five,
        );
        let (facts, talk) =
            ask.into_facts(super::super::socks::Wish::none(super::super::socks::Version::Five));
        assert!(size_of_val(&facts) <= 512, "facts: {}", size_of_val(&facts));
        let ends =
            Ends { client: talk.stream, upstream: Stream::other(two), preface: 0, idle: Duration::ZERO };
        let future = run(Rc::new(facts), ends);
        assert!(size_of_val(&future) <= 768, "relay: {}", size_of_val(&future));
    });
}
