//! Ways out through another proxy: a second instance of the program plays it. Names travel there unresolved.

use shoalway_testkit::proxy::Builder;
use shoalway_testkit::{
    Dns, Origin, PATIENCE, Proxy, Refusing, Reply, Step, TcpEcho, TcpScript, TestCa, exchange_far,
};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A proxy whose only way out is this URL, with a name server that knows nothing.
fn near(url: &str, dns: &Dns) -> Builder {
    let config = format!("rules = [\"via:far all\"]\n[exits.far]\nurl = {url:?}");
    Proxy::builder(BIN).dns(dns).config(config)
}

/// The far proxy, for which `site.test` is this machine.
fn far() -> (Proxy, Dns) {
    let dns = Dns::knowing(&[("site.test", "127.0.0.1")]);
    (Proxy::builder(BIN).dns(&dns).set("log.privacy", "\"full\"").start(), dns)
}

#[test]
fn every_scheme_carries_every_dialect_and_resolves_at_the_far_end() {
    for scheme in ["http", "socks4a", "socks5", "socks5h"] {
        let (origin, echo) = (Origin::start(Reply::ok("reached")), TcpEcho::start());
        let ((far, far_dns), near_dns) = (far(), Dns::knowing(&[]));
        let near = near(&far.url(scheme), &near_dns).start();
        let target = format!("site.test:{}", echo.addr().port());

        assert_eq!(near.connect().get(&origin.url_by_name("site.test", "/")).text(), "reached", "{scheme}");
        near.connect().tunnel_to(&target).send("a").expect("a");
        near.connect().socks5_tunnel_to(&target).send("b").expect("b");
        near.connect().tunnel_to(echo.addr()).send("c").expect("c");

        assert_eq!(near_dns.asked(), [] as [String; 0], "{scheme}: a name was looked up on the near side");
        assert!(far_dns.asked().contains(&"site.test".to_owned()), "{scheme}");
        assert_eq!(far.log_values(2)[0]["host"], "site.test", "{scheme}");
    }
}

#[test]
fn an_exit_inside_tls_is_verified() {
    let (ca, stranger, origin) = (TestCa::new(), TestCa::new(), Origin::start(Reply::ok("reached")));
    let issued = ca.issue(&["127.0.0.1"]);
    let tls = format!("{{ cert = {:?}, key = {:?} }}", issued.cert, issued.key);
    let far = Proxy::builder(BIN).set("proxy.tls", tls).start();
    let dns = Dns::knowing(&[]);

    let trusting = near(&far.url("https"), &dns).trusting(&ca).start();
    assert_eq!(trusting.connect().get(&origin.url("/")).text(), "reached");
    trusting.connect().tunnel_to(origin.addr()).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").read_response();

    let doubting = near(&far.url("https"), &dns).trusting(&stranger).start();
    doubting.connect().get(&origin.url("/")).assert_refused(502, "tls_certificate_error");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn an_exit_is_logged_in_to() {
    let users = "abe:$apr1$xZPHxwyd$XXQW2zpl8VfUnQYVhqGBi/\n"; // open sesame
    let far = Proxy::builder(BIN)
        .file("users.htpasswd", users)
        .config("[proxy]\nauth = [\"basic\"]\nusers = \"users.htpasswd\"")
        .start();
    let (origin, dns) = (Origin::start(Reply::ok("reached")), Dns::knowing(&[]));
    for scheme in ["http", "socks5h"] {
        let with = |login: &str| format!("{scheme}://{login}{}", far.addr());
        let right = near(&with("abe:open%20sesame@"), &dns).start();
        assert_eq!(right.connect().get(&origin.url("/")).text(), "reached", "{scheme}");
        right.connect().tunnel_to(origin.addr()).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").read_response();
        for login in ["abe:wrong@", ""] {
            let wrong = near(&with(login), &dns).start();
            let answer = wrong.connect().get(&origin.url("/"));
            assert_eq!(answer.status, 502, "{scheme} {login}: {}", answer.head);
            assert_eq!(wrong.connect().connect_request("127.0.0.1:9").status, 502, "{scheme} {login}");
        }
    }
    assert!(origin.requests().iter().all(|seen| seen.header("Proxy-Authorization").is_none()));
}

#[test]
fn a_dead_exit_fails_and_nothing_goes_out_directly() {
    let (origin, refusing, dns) = (Origin::start(Reply::ok("leaked")), Refusing::start(), Dns::knowing(&[]));
    for scheme in ["http", "https", "socks4a", "socks5h"] {
        let near = near(&format!("{scheme}://{}", refusing.addr()), &dns).start();
        let answer = near.connect().get(&origin.url("/"));
        answer.assert_refused(502, "connection_refused");
        assert_ne!(near.connect().socks5_connect(origin.addr()).code, 0, "{scheme}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn what_the_far_proxy_refuses_is_refused_here() {
    let far = Proxy::builder(BIN).rules(&["block port:9"]).start();
    let dns = Dns::knowing(&[]);
    for scheme in ["http", "socks4a", "socks5h"] {
        let near = near(&far.url(scheme), &dns).start();
        let answer = near.connect().connect_request("127.0.0.1:9");
        assert!(matches!(answer.status, 403 | 502), "{scheme}: {}", answer.head);
        assert!(answer.proxy_status("error").is_some(), "{scheme}: {}", answer.head);
        assert_ne!(near.connect().socks5_connect("127.0.0.1:9").code, 0, "{scheme}");
    }
}

#[test]
fn an_exit_that_stalls_or_talks_garbage_meets_a_deadline() {
    let dns = Dns::knowing(&[]);
    for (scheme, step) in [
        ("http", Step::Stall),
        ("socks4a", Step::Stall),
        ("socks5h", Step::Stall),
        ("http", Step::Send(b"\x05\xff\r\n\r\n".to_vec())),
        ("socks4a", Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())),
        ("socks5h", Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())),
        ("socks5h", Step::Send(vec![5, 0, 5, 0, 0, 1])),
        ("http", Step::Reset),
        ("socks5h", Step::Close),
    ] {
        let exit = TcpScript::start([Step::Read(1), step.clone(), Step::Stall]);
        let url = format!("{scheme}://{}", exit.addr());
        let near = near(&url, &dns).set("limits.connect_timeout", "\"400ms\"").start();
        let answer = near.connect().connect_request("site.test:443");
        assert!(matches!(answer.status, 502 | 504), "{scheme} {step:?}: {}", answer.head);
    }
}

#[test]
fn large_transfers_pass_through_two_proxies() {
    let (dns, (far, _far_dns)) = (Dns::knowing(&[]), far());
    for scheme in ["http", "socks5h"] {
        let near = near(&far.url(scheme), &dns).start();
        exchange_far(|addr| near.connect().tunnel_to(addr), 128);
    }
}

#[test]
fn a_rule_chooses_between_exits() {
    let (one, other) = (Proxy::start(BIN), Proxy::start(BIN));
    let origin = Origin::start(Reply::ok("reached"));
    let config = format!(
        "rules = [\"via:one client:127.0.0.2\", \"via:other client:127.0.0.3\"]\n\
         [exits.one]\nurl = \"http://{}\"\n[exits.other]\nurl = \"socks5h://{}\"",
        one.addr(),
        other.addr()
    );
    let near = Proxy::builder(BIN).config(config).start();
    for (from, through) in [("127.0.0.2", &one), ("127.0.0.3", &other)] {
        let mut client = shoalway_testkit::RawClient::connect_from(from, near.addr());
        assert_eq!(client.get(&origin.url("/")).text(), "reached");
        assert_eq!(through.status_json()["accepted"], 1, "{from}");
    }
    assert_eq!(near.connect().get(&origin.url("/")).text(), "reached");
    // A way through SOCKS is kept for the next request, and logged when it ends.
    drop(near);
    assert_eq!((one.log_lines(1).len(), other.log_lines(1).len()), (1, 1));
}

#[test]
fn a_tunnel_through_an_exit_ends_with_either_side() {
    let (dns, (far, _far_dns)) = (Dns::knowing(&[]), far());
    let near = near(&far.url("socks5h"), &dns).start();
    let there = shoalway_testkit::Far::listen();
    let mut client = near.connect().tunnel_to(there.addr());
    let mut end = there.accept();
    end.send("bye").half_close();
    client.expect("bye").expect_closed_within(PATIENCE);
    client.send("you too");
    end.expect("you too");
    drop(client);
    end.expect_closed_within(PATIENCE);
}
