//! A name server that cannot make up its mind, under load: addresses come and go, it fails, it denies that the name
//! exists, and no request is lost.

use super::{Served, get, site, to};
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::resolver::{Resolver, ResolverConfig, Upstream as NameServer, Upstreams};
use shoalway_reverse::discovery::{Discovery, Finder, Pace};
use shoalway_reverse::upstream::{Scheme, Upstream};
use shoalway_testkit::{Dns, Origin, PATIENCE, RawClient, Reply, eventually};
use shoalway_types::DomainName;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const NAME: &str = "app.example";
const PACE: Pace = Pace { name: Duration::from_millis(20), file: Duration::from_secs(1) };

/// Two origins on one port of two addresses, as a name has them.
fn two() -> [Origin; 2] {
    eventually(PATIENCE, "a port that is free on both addresses", || {
        let one = Origin::start(Reply::ok("ok"));
        let addr = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), one.addr().port()));
        std::net::TcpListener::bind(addr).ok()?; // given back at once
        Some([one, Origin::start_on(addr, Reply::ok("ok"))])
    })
}

/// A listener before whatever this name server says, and its upstream.
fn before(dns: &Dns, port: u16) -> (Served, Arc<Upstream>) {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let name = DomainName::parse(NAME).unwrap();
    let finder = Finder::Name { name, port, scheme: Scheme::Http };
    let served = Served::start(move |tools| {
        let backend = tools.backend_with(&[], |config| config.finders = vec![finder], |_| {});
        tell.send(Arc::clone(&backend.upstream)).unwrap();
        site(vec![to("*", &backend)])
    });
    let upstream: Arc<Upstream> = told.recv().unwrap();
    let (server, found) = (dns.addr(), Arc::clone(&upstream));
    served.on_shard(move |shard, _tools| {
        let upstreams = Upstreams::Servers(vec![NameServer::Udp(server)]);
        // Stale answers would hide from the upstream what is told here.
        let config = ResolverConfig { upstreams, stale_for: Duration::ZERO, ..ResolverConfig::default() };
        let resolver = Resolver::new(config, tokio::runtime::Handle::current()).unwrap();
        let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
        let dialer = Dialer::new(resolver, guard, DialConfig::default());
        let discovery = Discovery::start(&found, PACE, dialer.resolver(), shard);
        shard.tasks().spawn(async move {
            std::future::pending::<()>().await;
            drop(discovery);
        });
    });
    (served, upstream)
}

/// Waits until the upstream has just these addresses.
fn expect(upstream: &Upstream, wanted: &[&str]) {
    eventually(PATIENCE, &format!("{wanted:?}"), || {
        let set = upstream.set();
        let keys: Vec<String> = set.endpoints().iter().map(|endpoint| endpoint.key().to_string()).collect();
        let all = wanted.iter().all(|addr| keys.iter().any(|key| key.contains(&format!("//{addr}:"))));
        (all && keys.len() == wanted.len()).then_some(())
    });
}

/// Ends the load also when the test fails, so that its threads can be joined.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_flapping_name_loses_no_request() {
    let [one, two] = two();
    let dns = Dns::failing();
    let (a, b) = ("127.0.0.1", "127.0.0.2");
    dns.now_knows(&[(NAME, a)]);
    let (served, upstream) = before(&dns, one.addr().port());
    expect(&upstream, &[a]);
    let (stop, answered, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let load = || {
        let mut client = RawClient::connect(served.addr);
        while !stop.load(SeqCst) {
            let good = client.send(get("/")).read_response().status == 200;
            if good { &answered } else { &failed }.fetch_add(1, SeqCst);
        }
    };
    // Long enough for what is wrong to be seen: more questions came than one try asks, and requests went on.
    let bad_time = || {
        let (asked, before) = (dns.asked().len(), answered.load(SeqCst));
        eventually(PATIENCE, "questions and answers meanwhile", || {
            (dns.asked().len() >= asked + 2 && answered.load(SeqCst) >= before + 200).then_some(())
        });
    };
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(load);
        scope.spawn(load);
        for (names, wanted) in [(&[(NAME, a), (NAME, b)][..], &[a, b][..]), (&[(NAME, b)], &[b])] {
            dns.now_knows(names);
            expect(&upstream, wanted);
        }
        dns.now_fails();
        bad_time();
        expect(&upstream, &[b]);
        dns.now_knows(&[(NAME, a)]);
        expect(&upstream, &[a]);
        dns.now_knows(&[]);
        bad_time();
        expect(&upstream, &[a]);
        dns.now_knows(&[(NAME, b)]);
        expect(&upstream, &[b]);
    });
    assert_eq!(failed.load(SeqCst), 0, "of {}", answered.load(SeqCst));
    assert!(!one.requests().is_empty() && !two.requests().is_empty());
}
