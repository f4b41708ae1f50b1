//! Headless Chromium through the proxy: a page with its parts, over HTTP and over SOCKS5, plain and https.

use shoalway_testkit::real::chromium;
use shoalway_testkit::{Origin, Proxy, Reply, TestCa};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A page whose script fetches three more things and writes what came into the document.
const PAGE: &str = "<!doctype html><title>t</title><p id=p>loading</p><script>
Promise.all([1, 2, 3].map(n => fetch('/part/' + n).then(r => r.text())))
  .then(parts => document.getElementById('p').textContent = parts.join('+'));
</script>";

fn site() -> Origin {
    Origin::answering(|seen| match seen.target() {
        "/" => Reply::html(PAGE),
        path => Reply::ok(path.trim_start_matches("/part/")),
    })
}

#[test]
fn chromium_loads_a_page_with_its_parts_over_http() {
    let (proxy, origin) = (Proxy::start(BIN), site());
    let ran = chromium(&origin.url("/"), &proxy.url("http"));
    assert!(ran.text().contains(">1+2+3</p>"), "{ran}");
    assert!(proxy.log_values(4).iter().any(|line| line["protocol"] == "http"));
}

#[test]
fn chromium_loads_a_page_with_its_parts_over_socks5() {
    let (proxy, origin) = (Proxy::start(BIN), site());
    let ran = chromium(&origin.url("/"), &proxy.url("socks5"));
    assert!(ran.text().contains(">1+2+3</p>"), "{ran}");
    assert!(origin.requests().len() >= 4);
}

#[test]
fn chromium_loads_an_https_page_through_connect() {
    let (proxy, ca) = (Proxy::start(BIN), TestCa::new());
    let origin = Origin::tls(&ca.issue(&["127.0.0.1"]), Reply::html("<p id=p>private</p>"));
    let ran = chromium(&origin.url("/"), &proxy.url("http"));
    assert!(ran.text().contains(">private</p>"), "{ran}");
}

#[test]
fn chromium_shows_the_page_of_a_refusal() {
    let proxy = Proxy::builder(BIN).rules(&["block all say:'ask the librarian'"]).start();
    // A port that Chromium itself does not refuse.
    let ran = chromium("http://site.test/", &proxy.url("http"));
    assert!(ran.text().contains("ask the librarian"), "{ran}");
}
