//! Names looked up where the configuration says: plain, inside TLS, inside HTTPS; and never told to a stranger.

use shoalway_testkit::{Dns, EncryptedDns, Origin, Proxy, Reply, TestCa};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A proxy that asks there and trusts this authority.
fn asking(upstream: &str, ca: &TestCa) -> Proxy {
    Proxy::builder(BIN).set("dns.upstream", format!("[{upstream:?}]")).trusting(ca).start()
}

#[test]
fn servers_inside_tls_are_asked_once_they_have_proved_who_they_are() {
    let (ca, stranger, origin) = (TestCa::new(), TestCa::new(), Origin::start(Reply::ok("found")));
    let (issued, known) = (ca.issue(&["dns.test", "127.0.0.1"]), [("site.test", "127.0.0.1")]);
    type Start = fn(&[(&str, &str)], &shoalway_testkit::ca::Issued) -> EncryptedDns;
    let (tls, https): (Start, Start) = (EncryptedDns::over_tls, EncryptedDns::over_https);
    for (start, before, behind) in [(tls, "tls://dns.test@", ""), (https, "https://", "/dns-query")] {
        let dns = start(&known, &issued);
        let upstream = format!("{before}{}{behind}", dns.addr());
        let url = origin.url_by_name("site.test", "/");

        let answer = asking(&upstream, &stranger).connect().get(&url);
        assert_eq!(answer.status, 502, "{upstream}: {}", answer.head);
        assert_eq!(dns.asked(), [] as [String; 0], "{upstream}: told to a stranger");

        let proxy = asking(&upstream, &ca);
        assert_eq!(proxy.connect().get(&url).text(), "found", "{upstream}");
        assert!(dns.asked().iter().all(|name| name == "site.test") && !dns.asked().is_empty(), "{upstream}");
        proxy.connect().get("http://other.test/").assert_refused(502, "dns_error");
    }
}

#[test]
fn a_certificate_for_another_name_is_no_proof() {
    let ca = TestCa::new();
    let dns = EncryptedDns::over_tls(&[("site.test", "127.0.0.1")], &ca.issue(&["dns.test"]));
    let proxy = asking(&format!("tls://other.test@{}", dns.addr()), &ca);
    assert_eq!(proxy.connect().get("http://site.test/").status, 502);
    assert_eq!(dns.asked(), [] as [String; 0]);
}

#[test]
fn a_second_server_is_asked_when_the_first_is_dead() {
    let (dead, alive) = (Dns::silent(), Dns::knowing(&[("site.test", "127.0.0.1")]));
    let origin = Origin::start(Reply::ok("found"));
    let servers = format!("[\"udp://{}\", \"udp://{}\"]", dead.addr(), alive.addr());
    let proxy = Proxy::builder(BIN).set("dns.upstream", servers).start();
    assert_eq!(proxy.connect().get(&origin.url_by_name("site.test", "/")).text(), "found");
}

#[test]
fn an_answer_is_asked_for_once_however_many_clients_wait() {
    let dns = Dns::knowing(&[("site.test", "127.0.0.1")]);
    let (proxy, origin) = (Proxy::builder(BIN).dns(&dns).start(), Origin::start(Reply::ok("found")));
    let url = origin.url_by_name("site.test", "/");
    for _ in 0..8 {
        assert_eq!(proxy.connect().get(&url).text(), "found");
    }
    // One question for each family of addresses.
    assert!(dns.asked().len() <= 2, "{:?}", dns.asked());
}
