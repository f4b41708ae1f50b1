//! Rules on live traffic: what a refusal looks like, that `why` says the same, and what the egress guard keeps shut.

use shoalway_testkit::real::curl;
use shoalway_testkit::{Dns, Origin, PATIENCE, Proxy, RawClient, Reply, TcpEcho, UdpEcho};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

#[test]
fn a_refusal_names_its_rule_in_page_and_field() {
    let proxy = Proxy::builder(BIN)
        .rules(&["direct port:1", "block domain:*.ads.test,ads.test say:'no advertising here'"])
        .start();
    for url in ["http://ads.test/", "http://deep.below.ads.test/x?y"] {
        let answer = proxy.connect().get(url);
        answer.assert_refused(403, "http_request_denied");
        let details = answer.proxy_status("details").unwrap_or_default();
        assert!(details.contains("rule:2"), "{}", answer.head);
        let page = answer.text();
        assert!(page.contains("no advertising here") && page.contains("rule 2"), "{page}");
        assert!(
            answer.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")),
            "{}",
            answer.head
        );
    }
    let answer = proxy.connect().connect_request("ads.test:443");
    answer.assert_refused(403, "http_request_denied");
    assert_eq!(proxy.connect().socks5_connect("ads.test:80").code, 2);
}

#[test]
fn what_a_page_repeats_cannot_become_markup() {
    let proxy = Proxy::builder(BIN).rules(&["block all say:'<b>bold</b> & \"quoted\"'"]).start();
    let page = proxy.connect().get("http://site.test/<script>alert(1)</script>").text();
    assert!(!page.contains("<b>bold") && !page.contains("<script>alert"), "{page}");
}

#[test]
fn a_refused_request_leaves_the_connection_usable() {
    let (proxy, origin) =
        (Proxy::builder(BIN).rules(&["block domain:*.test"]).start(), Origin::start(Reply::ok("fine")));
    let mut client = proxy.connect();
    assert_eq!(client.get("http://a.test/").status, 403);
    assert_eq!(client.get(&origin.url("/")).text(), "fine");
}

#[test]
fn a_refused_name_is_not_even_looked_up() {
    let dns = Dns::knowing(&[]);
    let proxy = Proxy::builder(BIN).dns(&dns).rules(&["block domain:*.test"]).start();
    assert_eq!(proxy.connect().get("http://a.test/").status, 403);
    assert_eq!(proxy.connect().socks5_connect("b.test:80").code, 2);
    assert_eq!(dns.asked(), [] as [String; 0]);
}

/// Rules of every kind; `PORT` is the origin's.
const RULES: &[&str] = &[
    "block  domain:*.blocked.test,exact.test",
    "direct domain:good.below.test",
    "block  domain:*.below.test",
    "block  method:DELETE,PUT",
    "block  port:9000-9010",
    "block  client:127.0.0.64/26",
    "block  127.0.0.32/27",
    "block  !private",
    "allow  all",
];

/// Method, host, client, and the rule that must decide.
const QUESTIONS: &[(&str, &str, &str, u64)] = &[
    ("GET", "a.blocked.test", "127.0.0.1", 1),
    ("GET", "A.Deeper.BLOCKED.test", "127.0.0.1", 1),
    ("GET", "exact.test", "127.0.0.1", 1),
    ("GET", "good.below.test", "127.0.0.1", 2),
    ("GET", "bad.below.test", "127.0.0.1", 3),
    ("DELETE", "127.0.0.1", "127.0.0.1", 4),
    ("PUT", "127.0.0.1", "127.0.0.1", 4),
    ("GET", "127.0.0.1:9005", "127.0.0.1", 5),
    ("GET", "127.0.0.1", "127.0.0.65", 6),
    ("GET", "127.0.0.33", "127.0.0.1", 7),
    ("GET", "127.0.0.1", "127.0.0.1", 9),
    ("POST", "127.0.0.1", "127.0.0.1", 9),
];

#[test]
fn why_says_what_live_traffic_does() {
    let dns = Dns::knowing(&[("good.below.test", "127.0.0.1")]);
    let origin = Origin::start(Reply::ok("reached"));
    let proxy = Proxy::builder(BIN).dns(&dns).rules(RULES).set("log.privacy", "\"full\"").start();
    for (n, (method, host, from, rule)) in QUESTIONS.iter().enumerate() {
        let host =
            if host.contains(':') { (*host).to_owned() } else { format!("{host}:{}", origin.addr().port()) };
        let url = format!("http://{host}/");
        let why = proxy.command(&["why", &url, "--json", "--method", method, "--from", from]);
        let told: serde_json::Value =
            serde_json::from_str(&why.text()).unwrap_or_else(|e| panic!("{e}: {why}"));

        let mut client = RawClient::connect_from(from, proxy.addr());
        client.send(format!("{method} {url} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.read_response();
        let line = proxy.log_values(n + 1).remove(n);

        assert_eq!(
            (&told["rule"], &told["verb"]),
            (&line["rule"], &line["verb"]),
            "{method} {url} from {from}"
        );
        assert_eq!(line["rule"], *rule, "{method} {url} from {from}: {line}");
        let blocked = line["verb"] == "block";
        assert_eq!(answer.status == 403, blocked, "{method} {url}: {}", answer.head);
        assert_eq!(why.code, Some(if blocked { 11 } else { 0 }), "{why}");
    }
}

#[test]
fn an_address_rule_also_holds_for_names_that_resolve_there() {
    let dns = Dns::knowing(&[("inner.test", "127.0.0.40"), ("other.test", "127.0.0.1")]);
    let origin = Origin::start(Reply::ok("reached"));
    let proxy = Proxy::builder(BIN).dns(&dns).rules(&["block 127.0.0.32/27"]).start();
    assert_eq!(proxy.connect().get(&origin.url_by_name("inner.test", "/")).status, 403);
    assert_eq!(proxy.connect().get(&origin.url_by_name("other.test", "/")).text(), "reached");
}

#[test]
fn a_list_of_names_is_a_rule() {
    let config = "rules = [\"block list:ads\"]\n[lists.ads]\nfile = \"ads.txt\"";
    let names = "# comment\nads.test\n*.wild.test\n0.0.0.0 hosts-form.test\n||tree.test^\n";
    let dns = Dns::knowing(&[]);
    let proxy = Proxy::builder(BIN).dns(&dns).file("ads.txt", names).config(config).start();
    // A plain name and one of a hosts file stand for themselves, as in a rule; `||` for all below as well.
    for (host, status) in [
        ("ads.test", 403),
        ("below.ads.test", 502),
        ("a.wild.test", 403),
        ("wild.test", 502),
        ("hosts-form.test", 403),
        ("below.hosts-form.test", 502),
        ("tree.test", 403),
        ("below.tree.test", 403),
        ("notads.test", 502),
    ] {
        assert_eq!(proxy.connect().get(&format!("http://{host}/")).status, status, "{host}");
    }
}

// What may be reached

#[test]
fn what_reach_leaves_out_is_refused_in_every_dialect() {
    let dns = Dns::knowing(&[("inner.test", "127.0.0.1")]);
    let (origin, echo) = (Origin::start(Reply::ok("reached")), TcpEcho::start());
    let proxy = Proxy::builder(BIN).dns(&dns).set("proxy.reach", "[\"public\"]").start();
    for url in [origin.url("/"), origin.url_by_name("inner.test", "/")] {
        proxy.connect().get(&url).assert_refused(403, "destination_ip_prohibited");
    }
    for target in [echo.addr().to_string(), format!("inner.test:{}", echo.addr().port())] {
        proxy.connect().connect_request(&target).assert_refused(403, "destination_ip_prohibited");
        assert_eq!(proxy.connect().socks5_connect(&target).code, 2, "{target}");
    }
    assert_eq!((origin.connections(), echo.connections()), (0, 0));
}

#[test]
fn other_spellings_of_loopback_are_loopback() {
    let echo = TcpEcho::start();
    let proxy = Proxy::builder(BIN).set("proxy.reach", "[\"public\"]").start();
    let port = echo.addr().port();
    for host in ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "localhost"] {
        let answer = proxy.connect().connect_request(&format!("{host}:{port}"));
        assert!(matches!(answer.status, 400..=599), "{host}: {}", answer.head);
    }
    // Numbers that some resolvers read as 127.0.0.1.
    for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1"] {
        let answer = proxy.connect().connect_request(&format!("{host}:{port}"));
        assert!(matches!(answer.status, 400..=599), "{host}: {}", answer.head);
    }
    assert_eq!(echo.connections(), 0);
}

#[test]
fn datagrams_obey_reach() {
    let (echo, proxy) = (UdpEcho::start(), Proxy::builder(BIN).set("proxy.reach", "[\"public\"]").start());
    let udp = proxy.connect().socks5_udp();
    udp.send(echo.addr(), b"never");
    udp.control.second_handle().half_close().expect_closed_within(PATIENCE);
    assert_eq!(echo.senders(), []);
}

#[test]
fn clouds_metadata_is_out_of_reach_once_reach_is_set() {
    let proxy = Proxy::builder(BIN).set("proxy.reach", "[\"public\", \"private\", \"loopback\"]").start();
    let url = "http://169.254.169.254/latest/meta-data/";
    proxy.connect().get(url).assert_refused(403, "destination_ip_prohibited");
}

#[test]
fn curl_shows_the_page_of_a_refusal() {
    let proxy = Proxy::builder(BIN).rules(&["block all say:'not today'"]).start();
    let got = curl(&["-x", &proxy.url("http"), "http://site.test/"]);
    assert_eq!(got.http_code, 403);
    assert!(got.ran.text().contains("not today"), "{}", got.ran);
}
