//! Discovery on a shard, with a name server of a few lines on loopback (RFC 1035 section 4) and files that change.

#![allow(clippy::disallowed_methods, reason = "tests bind and spawn themselves")]

use super::*;
use crate::kit::spec;
use crate::upstream::{EndpointKey, Registry, UpstreamConfig};
use shoalway_net::resolver::{ResolverConfig, Upstream as NameServer, Upstreams};
use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;

/// What the name server knows: the records' type and data, by name and type.
type Zone = Arc<Mutex<HashMap<(String, u16), Vec<Vec<u8>>>>>;

const QUICK: Pace = Pace { name: Duration::from_millis(50), file: Duration::from_millis(20) };
const A: u16 = 1;
const SRV: u16 = 33;

fn wire_name(name: &str) -> Vec<u8> {
    let labels = name
        .split('.')
        .flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.bytes()));
    labels.chain([0]).collect()
}

fn question(message: &[u8]) -> (String, u16, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8(message[at + 1..end].to_vec()).unwrap().to_lowercase());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([message[at + 1], message[at + 2]]), at + 5)
}

/// Answers with what stands in the zone and a TTL of 1 s, with NXDOMAIN for all else; `broken` gets a SERVFAIL.
fn name_server(zone: &Zone) -> Resolver {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let zone = Arc::clone(zone);
    std::thread::spawn(move || {
        let mut buf = [0; 1_500];
        while let Ok((len, from)) = socket.recv_from(&mut buf) {
            let (name, kind, end) = question(&buf[..len]);
            let zone = zone.lock().unwrap();
            let known = zone.keys().any(|(other, _)| *other == name);
            let code = if zone.contains_key(&("broken".to_owned(), 0)) {
                2
            } else if known {
                0
            } else {
                3
            };
            let answers = zone.get(&(name, kind)).filter(|_| code == 0).cloned().unwrap_or_default();
            let mut reply = buf[..2].to_vec();
            reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(answers.len()).unwrap(), 0, 0, 0, 0]);
            reply.extend(&buf[12..end]);
            for data in &answers {
                reply.extend([0xc0, 12]);
                reply.extend(kind.to_be_bytes());
                reply.extend([0, 1, 0, 0, 0, 1, 0, u8::try_from(data.len()).unwrap()]);
                reply.extend(data);
            }
            drop(socket.send_to(&reply, from));
        }
    });
    let upstreams = Upstreams::Servers(vec![NameServer::Udp(addr)]);
    // Without stale answers: what the server says is what there is.
    let config = ResolverConfig { upstreams, stale_for: Duration::ZERO, ..ResolverConfig::default() };
    Resolver::new(config, tokio::runtime::Handle::current()).unwrap()
}

fn set(zone: &Zone, name: &str, kind: u16, data: Vec<Vec<u8>>) {
    zone.lock().unwrap().insert((name.to_owned(), kind), data);
}

fn addresses(list: &[u8]) -> Vec<Vec<u8>> {
    list.iter().map(|last| Ipv4Addr::new(192, 0, 2, *last).octets().to_vec()).collect()
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn keys(upstream: &Upstream) -> Vec<String> {
    let set = upstream.set();
    let mut keys: Vec<_> = set.endpoints().iter().map(|e| EndpointKey::to_string(e.key())).collect();
    keys.sort();
    keys
}

/// Waits for the upstream to have these endpoints.
async fn expect(upstream: &Upstream, wanted: &[&str]) {
    let mut changes = upstream.changes();
    let end = Instant::now() + Duration::from_secs(20);
    while keys(upstream) != wanted {
        let changed = tokio::time::timeout_at(end, changes.changed()).await;
        assert!(changed.is_ok(), "{:?}, not {wanted:?}", keys(upstream));
    }
}

fn upstream(registry: &Registry, endpoints: Vec<EndpointSpec>, finder: Finder) -> Arc<Upstream> {
    let config = UpstreamConfig { finders: vec![finder], ..UpstreamConfig::new("app", endpoints) };
    Arc::new(Upstream::new(registry, config, registry.epoch().moment(Instant::now())))
}

fn registry() -> Registry {
    Registry::new(Instant::now())
}

#[test]
fn a_name_s_addresses_are_followed_and_a_name_server_that_fails_takes_nobody_away() {
    Shard::test_in_real_time(async |shard| {
        let zone = Zone::default();
        set(&zone, "app.example", A, addresses(&[1, 2]));
        let (resolver, registry) = (name_server(&zone), registry());
        let finder = Finder::Name { name: name("app.example"), port: 8080, scheme: Scheme::Http };
        let upstream = upstream(&registry, vec![], finder);
        let discovery = Discovery::start(&upstream, QUICK, &resolver, &shard);
        expect(&upstream, &["http://192.0.2.1:8080", "http://192.0.2.2:8080"]).await;
        let kept = upstream.set().endpoints()[1].state().id();
        set(&zone, "app.example", A, addresses(&[3, 2]));
        expect(&upstream, &["http://192.0.2.2:8080", "http://192.0.2.3:8080"]).await;
        assert_eq!(upstream.set().endpoints()[0].state().id(), kept);

        let before = upstream.set();
        zone.lock().unwrap().clear();
        set(&zone, "broken", 0, vec![]);
        assert!(resolver.look_up(&name("other.example")).await.is_err());
        tokio::time::timeout(Duration::from_secs(2), upstream.changes().changed()).await.unwrap_err();
        assert!(Arc::ptr_eq(&before, &upstream.set()));
        drop(discovery);
    });
}

#[test]
fn a_reload_begins_with_what_the_same_finder_found_before() {
    let registry = registry();
    let finder = |port| Finder::Name { name: name("app.example"), port, scheme: Scheme::Http };
    let before = upstream(&registry, vec![spec(1)], finder(80));
    before.discovered(finder(80).source(), vec![spec(2)], before.moment(Instant::now()));
    assert_eq!(keys(&upstream(&registry, vec![], finder(80))), ["http://10.0.0.2:80"]);
    assert!(keys(&upstream(&registry, vec![], finder(81))).is_empty());
}

#[test]
fn a_service_brings_ports_priorities_and_weights() {
    Shard::test_in_real_time(async |shard| {
        let zone = Zone::default();
        let place = |priority: u16, weight: u16, port: u16, target: &str| {
            let mut data: Vec<u8> = [priority, weight, port].into_iter().flat_map(u16::to_be_bytes).collect();
            data.extend(wire_name(target));
            data
        };
        let all = vec![
            place(10, 7, 81, "a.example"),
            place(20, 0, 82, "b.example"),
            place(10, 1, 83, "gone.example"),
        ];
        set(&zone, "_http._tcp.app.example", SRV, all);
        set(&zone, "a.example", A, addresses(&[1]));
        set(&zone, "b.example", A, addresses(&[2]));
        let resolver = name_server(&zone);
        let finder = Finder::Service { name: name("_http._tcp.app.example"), scheme: Scheme::H2c };
        let upstream = upstream(&registry(), vec![], finder);
        let _discovery = Discovery::start(&upstream, QUICK, &resolver, &shard);
        expect(&upstream, &["h2c://192.0.2.1:81", "h2c://192.0.2.2:82"]).await;
        let set_now = upstream.set();
        let shown: Vec<_> = set_now.endpoints().iter().map(|e| (e.spec().priority, e.weight())).collect();
        assert_eq!(shown, [(0, 7), (1, 1)]);
        // Its TTL is a second: the next answer comes soon.
        set(&zone, "_http._tcp.app.example", SRV, vec![place(10, 7, 90, "b.example")]);
        expect(&upstream, &["h2c://192.0.2.2:90"]).await;
    });
}

#[test]
fn a_file_is_followed_and_one_with_a_mistake_changes_nothing() {
    Shard::test_in_real_time(async |shard| {
        let path = std::env::temp_dir().join(format!("shoalway-followed-{}", std::process::id()));
        std::fs::write(&path, "192.0.2.1:80 weight=3\n").unwrap();
        let resolver = name_server(&Zone::default());
        let finder = Finder::File { path: path.clone(), scheme: Scheme::Http };
        let upstream = upstream(&registry(), vec![spec(9)], finder);
        let discovery = Discovery::start(&upstream, QUICK, &resolver, &shard);
        expect(&upstream, &["http://10.0.0.9:80", "http://192.0.2.1:80"]).await;
        std::fs::write(&path, "192.0.2.1:80\n192.0.2.2 heavy\n").unwrap();
        tokio::time::timeout(Duration::from_millis(300), upstream.changes().changed()).await.unwrap_err();
        std::fs::write(&path, "192.0.2.2:80 # the other one\n").unwrap();
        expect(&upstream, &["http://10.0.0.9:80", "http://192.0.2.2:80"]).await;
        std::fs::remove_file(&path).unwrap();
        assert_eq!(discovery.running(), 1);
        let tasks = discovery.tasks.clone();
        drop(discovery);
        tasks.drained().await;
        assert_eq!(keys(&upstream).len(), 2);
    });
}
