//! Real upstreams that die or freeze under real load: with one of three gone no request is lost.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so, and runs its clients in threads"
)]

use shoalway_testkit::real::{Peer, h2load};
use shoalway_testkit::{PATIENCE, Proxy, TestCa, eventually};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A site before three nginx, with TLS; a frozen one is given up after 300 ms.
fn before(three: &[Peer], ca: &TestCa) -> Proxy {
    let urls: Vec<String> = three.iter().map(|peer| format!("\"http://{}\"", peer.addr())).collect();
    let issued = ca.issue(&["app.test"]);
    let site = format!(
        "[sites.\"app.test\"]\nlisten = \"127.0.0.1:0\"\nto = [{}]\ntimeouts = {{ first_byte = \"300ms\" }}\n\
         tls = {{ cert = \"{}\", key = \"{}\" }}\n",
        urls.join(", "),
        issued.cert.display(),
        issued.key.display()
    );
    Proxy::builder(BIN).unset("proxy.listen").config(site).start()
}

/// Successes of one of the three, by its place in the configuration.
fn successes(proxy: &Proxy, peer: &Peer) -> f64 {
    let endpoint = format!("http://{}", peer.addr());
    proxy.metrics().sum("shoalway_endpoint_successes_total", &[("endpoint", &endpoint)])
}

/// Asks over both versions while something happens to the first of three servers; every request is answered.
fn under_load(happens: impl FnOnce(&mut Peer)) {
    let (ca, mut three) = (TestCa::new(), Vec::new());
    three.extend((0..3).map(|n| Peer::nginx(&format!("server {n}"), "")));
    let proxy = before(&three, &ca);
    let to = format!("--connect-to={}", proxy.listening("sites.app.test"));
    let url = "https://app.test/index.html";
    std::thread::scope(|scope| {
        scope.spawn(|| h2load(20_000, &[&to, "-c4", "-m8", url]));
        scope.spawn(|| h2load(10_000, &[&to, "-c8", "--h1", url]));
        eventually(PATIENCE, "answers of the first", || {
            (successes(&proxy, &three[0]) >= 100.0).then_some(())
        });
        happens(&mut three[0]);
    });
    let [first, second, third] = [0, 1, 2].map(|n| successes(&proxy, &three[n]));
    assert!(first < second && first < third, "it went on answering: {first} {second} {third}");
    assert_eq!(first + second + third, 30_000.0);
}

#[test]
fn one_of_three_is_killed_under_load_and_no_request_is_lost() {
    under_load(Peer::kill);
}

#[test]
fn one_of_three_freezes_under_load_and_no_request_is_lost() {
    under_load(|first| first.freeze());
}
