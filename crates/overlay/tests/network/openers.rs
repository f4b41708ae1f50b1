//! Openers that are not meant: each gets exactly what anybody gets who asks the site for the same.

use crate::origins::soon;
use crate::raw::{Raw, entry_key};
use crate::town::{COOKIE, Common, PATH, Town, TownNode, Wants};
use bytes::Bytes;
use shoalway_http::h2::claim::{Claim as _, ClaimHead, Cookies, TlsExporter};
use shoalway_http::h2::{TunnelError, Visit};
use shoalway_net::shard::Shard;
use shoalway_net::tls_client::dial_link;
use shoalway_overlay::link::dial::DialFault;
use shoalway_overlay::{chance, time};
use shoalway_overlay_proto::opener::{
    Binding, EXPORTER_LABEL, EntryKey, OpenerAsk, Purpose, SessionId, seal_opener,
};
use shoalway_types::Host;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// An answer, whole. None: it is a tunnel.
type Answer = Option<(u16, Vec<(String, Vec<u8>)>, Bytes)>;

/// A visitor of a node's site, with what its connection is bound to.
struct Visitor {
    visit: Visit,
    binding: Binding,
}

impl Visitor {
    async fn of(shard: &Rc<Shard>, common: &Common, node: &TownNode) -> Self {
        let tcp = TcpStream::connect(node.endpoint.address).await.unwrap();
        let sni = Host::parse(&node.endpoint.sni).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let stream = soon(dial_link(&common.dialing().tls, &sni, tcp, deadline)).await.unwrap();
        let binding = Binding::Exporter(stream.exporter(EXPORTER_LABEL.as_bytes()).unwrap());
        let authority = format!("{}:{}", node.endpoint.sni, node.endpoint.address.port());
        let visit = Visit::begin(shard, stream, &authority, Duration::from_secs(10)).await.unwrap();
        Self { visit, binding }
    }

    /// An opener for this connection.
    fn opener(&self, to: &EntryKey, purpose: Purpose<'_>) -> String {
        let session = SessionId::random(&mut chance::rng());
        let ask = OpenerAsk { purpose, session, time: time::unix(), token: None };
        seal_opener(to, &self.binding, &ask, &mut chance::rng()).unwrap().0
    }

    /// The answer to an extended CONNECT, with or without an opener.
    async fn tunnel(&mut self, path: &str, opener: Option<&str>) -> Answer {
        let cookie = opener.map(|opener| format!("a=b; {COOKIE}={opener}"));
        let fields: Vec<(&str, &[u8])> = cookie.iter().map(|value| ("cookie", value.as_bytes())).collect();
        match soon(self.visit.open_tunnel(path, &fields)).await {
            Ok(_) => None,
            Err(TunnelError::Refused(refusal)) => {
                let (status, fields) = (refusal.status, without_date(refusal.fields.clone()));
                let (body, whole) = soon(refusal.read(1 << 20)).await.unwrap();
                assert!(whole);
                Some((status, fields, body))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The answer to GET.
    async fn page(&mut self, path: &str, opener: Option<&str>) -> Answer {
        let cookie = opener.map(|opener| format!("{COOKIE}={opener}"));
        let fields: Vec<(&str, &[u8])> = cookie.iter().map(|value| ("cookie", value.as_bytes())).collect();
        let page = soon(self.visit.get(path, &fields, 1 << 20)).await.unwrap();
        Some((page.status, without_date(page.fields), page.body))
    }
}

fn without_date(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.retain(|(name, _)| name != "date");
    fields
}

#[test]
fn openers_that_are_not_meant_get_the_sites_answer_byte_for_byte() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let (entry, exit, common) = (&town.nodes[0], &town.nodes[1], &town.common);
        let site = Visitor::of(&shard, common, entry).await.tunnel(PATH, None).await;
        assert!(site.as_ref().is_some_and(|(status, ..)| *status == 404), "{site:?}");
        let right = entry_key(common, entry, entry.gate);
        let wrong_gate = entry_key(common, entry, [77; 32]);
        let public_gate = entry_key(common, entry, entry.link_gate);
        let mut wrong_key = entry_key(common, entry, entry.gate);
        wrong_key.link_key = *exit.plan.keys.load().link.public();
        let mut other_node = entry_key(common, entry, entry.gate);
        other_node.node = exit.address;
        for (what, to, purpose) in [
            ("a gate that is none", &wrong_gate, Purpose::New),
            ("a client through the gate that everybody knows", &public_gate, Purpose::New),
            ("a node through an invitation", &right, Purpose::Node),
            ("sealed to another key", &wrong_key, Purpose::New),
            ("sealed for another node", &other_node, Purpose::New),
        ] {
            let mut visitor = Visitor::of(&shard, common, entry).await;
            let opener = visitor.opener(to, purpose);
            assert_eq!(visitor.tunnel(PATH, Some(&opener)).await, site, "{what}");
        }
        let mut visitor = Visitor::of(&shard, common, entry).await;
        let opener = visitor.opener(&right, Purpose::New);
        let elsewhere = visitor.tunnel("/other", None).await;
        assert_eq!(visitor.tunnel("/other", Some(&opener)).await, elsewhere, "at another path");
        let page = visitor.page(PATH, None).await;
        assert_eq!(visitor.page(PATH, Some(&opener)).await, page, "with another method");
        for cut in [&opener[..213], &format!("{opener}A"), &opener.replace(|c: char| c.is_lowercase(), "?")] {
            assert_eq!(visitor.tunnel(PATH, Some(cut)).await, site, "of another form");
        }
        let mut other = Visitor::of(&shard, common, entry).await;
        assert_eq!(other.tunnel(PATH, Some(&opener)).await, site, "replayed on another connection");
        assert_eq!(visitor.tunnel(PATH, Some(&opener)).await, None, "where it belongs it opens");
        assert_eq!(visitor.tunnel(PATH, Some(&opener)).await, site, "and once only");
    });
}

#[test]
fn an_exit_takes_no_clients() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let exit = &town.nodes[1];
        let site = Visitor::of(&shard, &town.common, exit).await.tunnel(PATH, None).await;
        let mut visitor = Visitor::of(&shard, &town.common, exit).await;
        let opener = visitor.opener(&entry_key(&town.common, exit, exit.gate), Purpose::New);
        assert_eq!(visitor.tunnel(PATH, Some(&opener)).await, site);
        let refused = Raw::client(&shard, &town.common, exit).await;
        assert!(matches!(refused.err(), Some(DialFault::NotAccepted { status: 404 })));
    });
}

#[test]
fn a_connection_that_has_spent_its_openers_gets_the_sites_answer() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let (entry, common) = (town.entry(), &town.common);
        let mut visitor = Visitor::of(&shard, common, entry).await;
        let site = visitor.tunnel(PATH, None).await;
        let mut broken = entry_key(common, entry, entry.gate);
        broken.network = [0; 32];
        for _ in 0..4 {
            let opener = visitor.opener(&broken, Purpose::New);
            assert_eq!(visitor.tunnel(PATH, Some(&opener)).await, site);
        }
        let right = entry_key(common, entry, entry.gate);
        let opener = visitor.opener(&right, Purpose::New);
        assert_eq!(visitor.tunnel(PATH, Some(&opener)).await, site, "the fifth of one connection");
        let mut fresh = Visitor::of(&shard, common, entry).await;
        let opener = fresh.opener(&right, Purpose::New);
        assert_eq!(fresh.tunnel(PATH, Some(&opener)).await, None);
    });
}

/// A connection of this number.
struct Connection(u64);

impl TlsExporter for Connection {
    fn export(&self, label: &[u8]) -> Option<[u8; 32]> {
        assert_eq!(label, EXPORTER_LABEL.as_bytes());
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.0.to_be_bytes());
        Some(bytes)
    }
}

#[test]
fn ten_thousand_replayed_openers_are_claimed_by_nobody() {
    Shard::test_in_real_time(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let entry = town.entry();
        let binding = Binding::Exporter(Connection(0).export(EXPORTER_LABEL.as_bytes()).unwrap());
        let session = SessionId::random(&mut chance::rng());
        let ask = OpenerAsk { purpose: Purpose::New, session, time: time::unix(), token: None };
        let key = entry_key(&town.common, entry, entry.gate);
        let (opener, _) = seal_opener(&key, &binding, &ask, &mut chance::rng()).unwrap();
        let cookie = format!("{COOKIE}={opener}");
        // At the door itself: 10,000 handshakes would show no more.
        let claimed = |connection: u64| {
            let (spent, values) = (Cell::new(0), [cookie.as_bytes()]);
            let head = ClaimHead {
                method: "CONNECT",
                protocol: Some("websocket"),
                path: PATH,
                authority: &entry.endpoint.sni,
                cookies: Cookies::new(&values),
                client: "192.0.2.1:1".parse().unwrap(),
                is_tls13_h2: true,
                spent: &spent,
            };
            entry.door.claim(&head, &Connection(connection)).is_some()
        };
        assert_eq!((1..=10_000).filter(|number| claimed(*number)).count(), 0);
        assert!(claimed(0), "the connection it was made for");
    });
}
