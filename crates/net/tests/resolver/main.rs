//! The resolver against a name server on loopback: UDP, TCP, TLS, HTTPS. Time is moved, never waited for.

#![allow(clippy::disallowed_methods, reason = "the name server of these tests binds and spawns by itself")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test every failure is a panic")]

mod dns_server;
mod https;

use dns_server::{DnsServer, Question, Say, Way};
use shoalway_net::resolver::{ResolveError, Resolver, ResolverConfig, Upstream, Upstreams};
use shoalway_net::tls::Roots;
use shoalway_types::{DomainName, Failure, Host};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{advance, pause, resume};

const NXDOMAIN: u8 = 3;
const SERVFAIL: u8 = 2;

fn asking(upstream: Upstream) -> ResolverConfig {
    ResolverConfig { upstreams: Upstreams::Servers(vec![upstream]), ..ResolverConfig::default() }
}

fn resolver(server: &DnsServer) -> Resolver {
    Resolver::new(asking(Upstream::Udp(server.addr)), Handle::current()).unwrap()
}

/// Where questions are counted: over UDP a busy machine may see one twice.
fn resolver_over_tcp(server: &DnsServer) -> Resolver {
    Resolver::new(asking(Upstream::Tcp(server.addr)), Handle::current()).unwrap()
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

async fn look_up(resolver: &Resolver, text: &str) -> String {
    match resolver.look_up(&name(text)).await {
        Ok(answer) => answer.iter().map(|ip| ip.to_string()).collect::<Vec<_>>().join(" "),
        Err(error) => error.word().to_owned(),
    }
}

/// Moves the clock; nothing may be under way.
async fn later(by: Duration) {
    pause();
    advance(by).await;
    resume();
}

/// Both families of `a.example`, nothing else.
fn both(question: &Question) -> Say {
    match question.name.as_str() {
        "a.example" => Say::Addresses(ips(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]), 60),
        "four.example" if question.kind == 1 => Say::Addresses(ips(&["192.0.2.4"]), 60),
        "six.example" if question.kind == 28 => Say::Addresses(ips(&["2001:db8::6"]), 60),
        "half.example" if question.kind == 1 => Say::Addresses(ips(&["192.0.2.5"]), 60),
        "half.example" => Say::Code(SERVFAIL, 0),
        "four.example" | "six.example" | "none.example" => Say::Code(0, 30),
        "broken.example" => Say::Code(SERVFAIL, 0),
        "alias.example" => Say::Alias(20, "target.example", ips(&["192.0.2.9", "2001:db8::9"]), 600),
        _ => Say::Code(NXDOMAIN, 30),
    }
}

#[tokio::test]
async fn a_service_is_found_with_its_ports_and_priorities() {
    let server = DnsServer::start(|question| match (question.name.as_str(), question.kind) {
        ("_http._tcp.app.example", 33) => {
            Say::Services(vec![(10, 5, 8080, "b.example"), (0, 0, 8081, "a.example")], 20)
        }
        ("_gone._tcp.app.example", 33) => Say::Services(vec![(0, 0, 0, ".")], 20),
        ("_broken._tcp.app.example", 33) => Say::Code(SERVFAIL, 0),
        _ => Say::Code(NXDOMAIN, 30),
    });
    let resolver = resolver(&server);
    let found = resolver.look_up_srv(&name("_http._tcp.app.example")).await.unwrap();
    let shown: Vec<_> =
        found.list.iter().map(|s| format!("{} {} {}", s.priority, s.weight, s.target)).collect();
    assert_eq!(shown, ["10 5 b.example:8080", "0 0 a.example:8081"]);
    assert_eq!(found.ttl, Duration::from_secs(20));
    for (service, word) in [
        ("_gone._tcp.app.example", "dns_no_address"),
        ("_broken._tcp.app.example", "dns_server_failure"),
        ("_none._tcp.app.example", "dns_not_found"),
    ] {
        assert_eq!(resolver.look_up_srv(&name(service)).await.unwrap_err().word(), word, "{service}");
    }
}

#[tokio::test]
async fn each_kind_of_answer_is_understood() {
    let server = DnsServer::start(both);
    let resolver = resolver(&server);
    for (name, wanted) in [
        ("a.example", "2001:db8::1 192.0.2.1 192.0.2.2"),
        ("A.Example.", "2001:db8::1 192.0.2.1 192.0.2.2"),
        ("four.example", "192.0.2.4"),
        ("six.example", "2001:db8::6"),
        ("half.example", "192.0.2.5"),
        ("alias.example", "2001:db8::9 192.0.2.9"),
        ("none.example", "dns_no_address"),
        ("nowhere.example", "dns_not_found"),
        ("broken.example", "dns_server_failure"),
        ("something.onion", "dns_not_found"),
    ] {
        assert_eq!(look_up(&resolver, name).await, wanted, "{name}");
    }
    assert!(server.asked().iter().all(|question| !question.name.ends_with("onion")), "RFC 7686: never asked");
}

#[tokio::test]
async fn an_answer_is_given_for_its_ttl_then_refreshed_behind_the_back() {
    let last = Arc::new(AtomicU8::new(1));
    let now = Arc::clone(&last);
    let server = DnsServer::start(move |question| match question.kind {
        1 => Say::Addresses(vec![IpAddr::from([192, 0, 2, now.load(Ordering::SeqCst)])], 60),
        _ => Say::Code(0, 60),
    });
    let resolver = resolver_over_tcp(&server);
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
    last.store(2, Ordering::SeqCst);
    later(Duration::from_secs(59)).await;
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
    assert_eq!(server.asked().len(), 2);
    later(Duration::from_secs(2)).await;
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1", "stale, at once");
    while look_up(&resolver, "a.example").await != "192.0.2.2" {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.asked().len(), 4, "one refresh, both families");
}

#[tokio::test]
async fn the_shortest_ttl_of_an_alias_chain_holds() {
    let server = DnsServer::start(both);
    let config = ResolverConfig { stale_for: Duration::ZERO, ..asking(Upstream::Tcp(server.addr)) };
    let resolver = Resolver::new(config, Handle::current()).unwrap();
    for (by, asked) in [(0, 2), (19, 2), (2, 4)] {
        later(Duration::from_secs(by)).await;
        assert_eq!(look_up(&resolver, "alias.example").await, "2001:db8::9 192.0.2.9");
        assert_eq!(server.asked().len(), asked);
    }
}

#[tokio::test]
async fn no_such_name_is_remembered_as_its_soa_says() {
    let server = DnsServer::start(both);
    let resolver = resolver_over_tcp(&server);
    for (by, asked) in [(0, 2), (29, 2), (2, 4)] {
        later(Duration::from_secs(by)).await;
        assert_eq!(look_up(&resolver, "nowhere.example").await, "dns_not_found");
        assert_eq!(server.asked().len(), asked);
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_short_is_asked_for_over_tcp() {
    let server = DnsServer::start(|question| match question.way {
        Way::Udp => Say::Truncated,
        Way::Tcp | Way::Tls | Way::Https => both(question),
    });
    assert_eq!(look_up(&resolver(&server), "a.example").await, "2001:db8::1 192.0.2.1 192.0.2.2");
    assert!(server.asked().iter().any(|question| question.way == Way::Tcp));
}

#[tokio::test]
async fn tcp_alone_is_enough() {
    let server = DnsServer::start(both);
    assert_eq!(look_up(&resolver_over_tcp(&server), "a.example").await, "2001:db8::1 192.0.2.1 192.0.2.2");
    assert!(server.asked().iter().all(|question| question.way == Way::Tcp));
}

#[tokio::test]
async fn silence_ends_in_a_timeout_and_an_answer_comes_when_the_server_is_back() {
    let silent = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&silent);
    let server = DnsServer::start(
        move |question| {
            if now.load(Ordering::SeqCst) { Say::Silence } else { both(question) }
        },
    );
    let resolver = resolver(&server);
    pause(); // nothing comes, so the clock runs by itself
    let error = resolver.look_up(&name("a.example")).await.unwrap_err();
    resume();
    assert!(matches!(error, ResolveError::Timeout { after } if after == Duration::from_secs(4)), "{error:?}");
    silent.store(false, Ordering::SeqCst);
    later(Duration::from_secs(2)).await;
    assert_eq!(look_up(&resolver, "a.example").await, "2001:db8::1 192.0.2.1 192.0.2.2");
}

#[tokio::test]
async fn the_systems_own_configuration_is_the_default() {
    let resolver = Resolver::new(ResolverConfig::default(), Handle::current()).unwrap();
    assert_eq!(look_up(&resolver, "localhost").await, "::1 127.0.0.1");
}

#[tokio::test]
async fn a_dead_server_does_not_stop_the_one_beside_it() {
    let alive = DnsServer::start(both);
    let dead = DnsServer::start(|_| Say::Silence);
    let both = vec![Upstream::Udp(dead.addr), Upstream::Udp(alive.addr)];
    let config = ResolverConfig { upstreams: Upstreams::Servers(both), ..ResolverConfig::default() };
    let resolver = Resolver::new(config, Handle::current()).unwrap();
    assert_eq!(look_up(&resolver, "a.example").await, "2001:db8::1 192.0.2.1 192.0.2.2");
}

#[test]
fn shards_on_threads_of_their_own_share_one_question() {
    let server = DnsServer::start(both);
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let resolver = Resolver::new(asking(Upstream::Tcp(server.addr)), control.handle().clone()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let shard = tokio::runtime::LocalRuntime::new().unwrap();
                for _ in 0..50 {
                    assert_eq!(
                        shard.block_on(look_up(&resolver, "a.example")),
                        "2001:db8::1 192.0.2.1 192.0.2.2"
                    );
                }
            });
        }
    });
    assert_eq!(server.asked().len(), 2);
}

/// A certificate for `name` signed by itself, and the server's side of it.
fn certificate(name: &str, alpn: &[u8]) -> (Roots, rustls::ServerConfig) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    (Roots::Pem(made.cert.pem().into_bytes()), config)
}

#[tokio::test]
async fn dns_over_tls_asks_a_server_it_has_checked() {
    let (roots, tls) = certificate("dns.example", b"dot");
    let server = DnsServer::start_tls(tls, both);
    let upstream = |certified: &str| Upstream::Tls { addr: server.addr, name: name(certified) };
    let config = ResolverConfig { roots: roots.clone(), ..asking(upstream("dns.example")) };
    let resolver = Resolver::new(config, Handle::current()).unwrap();
    assert_eq!(look_up(&resolver, "a.example").await, "2001:db8::1 192.0.2.1 192.0.2.2");
    assert!(server.asked().iter().all(|question| question.way == Way::Tls));

    let config = ResolverConfig { roots, ..asking(upstream("other.example")) };
    let resolver = Resolver::new(config, Handle::current()).unwrap();
    assert_eq!(look_up(&resolver, "four.example").await, "dns_unreachable");
    assert!(
        server.asked().iter().all(|question| question.name == "a.example"),
        "nothing was told to a stranger"
    );
}

#[tokio::test]
async fn dns_over_https_asks_a_server_it_has_checked() {
    let (roots, tls) = certificate("dns.example", b"h2");
    let server = DnsServer::start_tls(tls, both);
    let upstream = |certified: &str| Upstream::Https {
        addr: server.addr,
        name: Host::Name(name(certified)),
        path: "/dns-query".to_owned(),
    };
    let config = ResolverConfig { roots: roots.clone(), ..asking(upstream("dns.example")) };
    let resolver = Resolver::new(config, Handle::current()).unwrap();
    assert_eq!(look_up(&resolver, "a.example").await, "2001:db8::1 192.0.2.1 192.0.2.2");
    assert_eq!(look_up(&resolver, "nowhere.example").await, "dns_not_found");
    assert!(server.asked().iter().all(|question| question.way == Way::Https));

    let asked = server.asked().len();
    let config = ResolverConfig { roots, ..asking(upstream("other.example")) };
    let resolver = Resolver::new(config, Handle::current()).unwrap();
    assert_eq!(look_up(&resolver, "four.example").await, "dns_unreachable");
    assert_eq!(server.asked().len(), asked, "nothing was told to a stranger");
}
