//! What a request and its answer look like on the far side of the proxy, byte for byte, and when connections live on.
//!
//! RFC 9110 and RFC 9112 as a proxy has to read them. Refused messages are in `smuggling.rs`.

use shoalway_testkit::{Origin, PATIENCE, Proxy, RawClient, Reply, millis};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

fn at_level(level: &str) -> Proxy {
    Proxy::builder(BIN).config(format!("[proxy]\nlevel = {level:?}")).start()
}

/// A proxy, an origin with this reply, and a client of the proxy.
fn chain(reply: Reply) -> (Proxy, Origin, RawClient) {
    let (proxy, origin) = (Proxy::start(BIN), Origin::start(reply));
    let client = proxy.connect();
    (proxy, origin, client)
}

// Connections

#[test]
fn connections_are_kept_and_reused_on_both_sides() {
    let (_proxy, origin, mut client) = chain(Reply::sized(100));
    for n in 0..20 {
        assert_eq!(client.get(&origin.url(&format!("/{n}"))).body.len(), 100);
    }
    assert_eq!((origin.requests().len(), origin.connections()), (20, 1));
}

#[test]
fn an_idle_connection_serves_other_clients_too() {
    let (proxy, origin, _client) = chain(Reply::sized(10));
    for _ in 0..20 {
        assert_eq!(proxy.connect().get(&origin.url("/")).status, 200);
    }
    // One for each shard at most: the shards may have raced each other once.
    assert!(origin.connections() <= 2, "{} connections", origin.connections());
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let proxy = Proxy::start(BIN);
    let origin = Origin::answering(|seen| match seen.target() {
        "/1" => Reply::slow(&["a", "b"], millis(60)),
        path => Reply::ok(path),
    });
    let host = origin.addr();
    let burst: String =
        (1..=5).map(|n| format!("GET http://{host}/{n} HTTP/1.1\r\nHost: {host}\r\n\r\n")).collect();
    let mut client = proxy.connect();
    client.send(burst);
    let bodies: Vec<String> = (0..5).map(|_| client.read_response().text()).collect();
    assert_eq!(bodies, ["ab", "/2", "/3", "/4", "/5"]);
}

#[test]
fn requests_sent_at_once_may_go_to_different_sites() {
    let proxy = Proxy::start(BIN);
    let (one, other) = (Origin::start(Reply::ok("one")), Origin::start(Reply::ok("other")));
    let mut client = proxy.connect();
    for (site, body) in [(&one, "one"), (&other, "other"), (&one, "one")] {
        assert_eq!(client.get(&site.url("/")).text(), body);
    }
    assert_eq!((one.connections(), other.connections()), (1, 1));
}

#[test]
fn a_client_that_asks_for_close_gets_it() {
    let (_proxy, origin, mut client) = chain(Reply::ok("last"));
    let host = origin.addr();
    client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    let answer = client.read_response();
    assert_eq!((answer.text().as_str(), answer.header("Connection")), ("last", Some("close")));
    client.expect_closed_within(PATIENCE);
}

#[test]
fn a_connection_the_origin_closed_while_idle_is_not_used_again() {
    let (_proxy, origin, mut client) = chain(Reply::ok("fine"));
    assert_eq!(client.get(&origin.url("/1")).text(), "fine");
    origin.cut_connections();
    assert_eq!(client.get(&origin.url("/2")).text(), "fine");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn an_origin_that_closes_after_each_answer_does_not_cost_the_client_its_connection() {
    let (_proxy, origin, mut client) = chain(Reply::ok("x").with("Connection: close").close());
    for _ in 0..3 {
        let answer = client.get(&origin.url("/"));
        assert_eq!((answer.status, answer.header("Connection")), (200, None));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_connection_with_an_unread_answer_is_never_reused() {
    let (proxy, origin, mut client) = chain(Reply::sized(20_000_000));
    let host = origin.addr();
    client.send(format!("GET http://{host}/big HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.read_until("\r\n\r\n");
    client.reset();
    let ended = proxy.log_values(1);
    assert_ne!(ended[0]["outcome"], "ok", "{}", ended[0]);
    let answer = proxy.connect().get(&origin.url("/small"));
    assert_eq!(answer.body.len(), 20_000_000);
    assert_eq!(origin.connections(), 2);
}

// Bodies

#[test]
fn chunks_and_trailers_pass_in_both_directions() {
    let (_proxy, origin, mut client) =
        chain(Reply::chunked(&["first", "second"], &["X-Sum: 7", "X-More: 8"]));
    let host = origin.addr();
    client.send(format!(
        "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Up\r\n\r\n\
         4;ext=1\r\nupup\r\n3\r\nend\r\n0\r\nX-Up: yes\r\n\r\n"
    ));
    let answer = client.read_response();
    assert_eq!(
        (answer.text().as_str(), &answer.trailers[..]),
        ("firstsecond", &["X-Sum: 7", "X-More: 8"].map(String::from)[..])
    );
    let seen = origin.only_request();
    assert_eq!((seen.body.as_slice(), &seen.trailers[..]), (&b"upupend"[..], &["X-Up: yes".to_owned()][..]));
    assert_eq!(client.get(&origin.url("/next")).status, 200);
}

#[test]
fn large_bodies_pass_whole_both_ways() {
    let (_proxy, origin, mut client) = chain(Reply::echo());
    let body: Vec<u8> = (0..8_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let host = origin.addr();
    client.send(format!(
        "PUT http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    assert!(client.read_response().body == body, "the body came back changed");
    assert_eq!(client.get(&origin.url("/next")).status, 200);
}

#[test]
fn an_answer_without_length_ends_when_the_origin_ends() {
    let (_proxy, origin, mut client) = chain(Reply::until_close("all there is"));
    assert_eq!(client.get(&origin.url("/")).text(), "all there is");
}

#[test]
fn answers_without_body_keep_the_connection_in_step() {
    let proxy = Proxy::start(BIN);
    let origin = Origin::answering(|seen| match (seen.method(), seen.target()) {
        ("HEAD", _) => Reply::ok("not sent"),
        (_, "/204") => Reply::empty(204),
        (_, "/304") => Reply::empty(304).with("Content-Length: 500"),
        _ => Reply::ok("sent"),
    });
    let (mut client, host) = (proxy.connect(), origin.addr());
    let mut ask = |method: &str, path: &str| {
        client.send(format!("{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.read_response_to(method);
        (answer.status, answer.header("Content-Length").map(str::to_owned), answer.text())
    };
    assert_eq!(ask("HEAD", "/"), (200, Some("8".into()), String::new()));
    assert_eq!(ask("GET", "/204"), (204, None, String::new()));
    assert_eq!(ask("GET", "/304"), (304, Some("500".into()), String::new()));
    assert_eq!(ask("GET", "/"), (200, Some("4".into()), "sent".into()));
    assert_eq!(origin.connections(), 1);
}

// Interim and early answers

#[test]
fn interim_answers_are_passed_on_before_the_final_one() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let (_proxy, origin, mut client) = chain(Reply::ok("page").after_interim(hints));
    let host = origin.addr();
    client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let first = client.read_response();
    assert_eq!((first.status, first.header("Link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(client.read_response().text(), "page");
}

#[test]
fn http_1_0_clients_get_no_interim_answers() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let (_proxy, origin, mut client) = chain(Reply::ok("page").after_interim(hints));
    client.send(format!("GET http://{}/ HTTP/1.0\r\n\r\n", origin.addr()));
    assert_eq!(client.read_response().text(), "page");
}

#[test]
fn the_body_waits_for_the_origins_100() {
    let (_proxy, origin, mut client) = chain(Reply::echo());
    let host = origin.addr();
    client.send(format!(
        "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(client.read_response().status, 100);
    client.send("body");
    assert_eq!(client.read_response().text(), "body");
}

#[test]
fn a_final_answer_may_come_before_the_upload_ends() {
    let (_proxy, origin, mut client) = chain(Reply::ok("too much").status(413).early());
    let host = origin.addr();
    client.send(format!(
        "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000000\r\n\r\npart"
    ));
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
}

#[test]
fn a_refused_expectation_leaves_the_body_unsent() {
    let (_proxy, origin, mut client) = chain(Reply::ok("no").status(417).early().close());
    let host = origin.addr();
    client.send(format!(
        "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(client.read_response().status, 417);
}

// Versions and methods

#[test]
fn http_1_0_clients_get_bodies_they_can_read() {
    for reply in
        [Reply::chunked(&["one", "two"], &["X-T: 1"]), Reply::ok("onetwo"), Reply::until_close("onetwo")]
    {
        let (_proxy, origin, mut client) = chain(reply);
        client.send(format!("GET http://{}/ HTTP/1.0\r\n\r\n", origin.addr()));
        let answer = client.read_response();
        assert_eq!((answer.text().as_str(), answer.header("Transfer-Encoding")), ("onetwo", None));
        client.expect_closed_within(PATIENCE);
        let seen = origin.only_request();
        assert!(seen.head.starts_with("GET / HTTP/1.1\r\n"), "{}", seen.head);
        assert_eq!(seen.header("Host"), Some(origin.addr().to_string().as_str()));
    }
}

#[test]
fn http_1_0_clients_that_ask_to_stay_are_told_that_they_may_not() {
    // RFC 9112 section 9.3: "A proxy server MUST NOT maintain a persistent connection with an HTTP/1.0 client".
    let (_proxy, origin, mut client) = chain(Reply::ok("once"));
    client.send(format!("GET http://{}/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", origin.addr()));
    let answer = client.read_response();
    assert_eq!((answer.text().as_str(), answer.header("Connection")), ("once", Some("close")));
    client.expect_closed_within(PATIENCE);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn unknown_methods_are_passed_on() {
    let (_proxy, origin, mut client) = chain(Reply::ok("found"));
    let host = origin.addr();
    client.send(format!("M-SEARCH http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(client.read_response().text(), "found");
    assert_eq!(origin.only_request().method(), "M-SEARCH");
}

#[test]
fn max_forwards_counts_down_and_ends_here_at_zero() {
    for method in ["TRACE", "OPTIONS"] {
        let (_proxy, origin, mut client) = chain(Reply::ok("origin"));
        let host = origin.addr();
        let mut ask = |hops: &str| {
            client.send(format!(
                "{method} http://{host}/x HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: {hops}\r\nCookie: secret\r\n\r\n"
            ));
            client.read_response()
        };
        let here = ask("0");
        assert!(matches!(here.status, 200 | 204), "{method}: {}", here.head);
        assert!(!here.text().contains("secret"), "{method} tells a cookie: {}", here.text());
        assert!(origin.requests().is_empty(), "{method} with 0 went on");
        assert_eq!(ask("4").text(), "origin");
        assert_eq!(origin.only_request().header("Max-Forwards"), Some("3"));
    }
}

#[test]
fn options_for_a_whole_server_become_an_asterisk() {
    let (_proxy, origin, mut client) = chain(Reply::ok("origin"));
    let host = origin.addr();
    client.send(format!("OPTIONS http://{host} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(client.read_response().status, 200);
    assert_eq!(origin.only_request().target(), "*");
}

// Headers

#[test]
fn at_level_elite_the_origin_sees_exactly_what_the_client_sent() {
    let (_proxy, origin, mut client) = chain(Reply::ok(""));
    let host = origin.addr();
    client.send(format!(
        "GET http://{host}/a?b=c%20d HTTP/1.1\r\nhOsT: {host}\r\nX-Twice: 1\r\nUser-Agent: test\r\naccept: */*\r\n\
         X-Twice: 2\r\nX-Empty:\r\nCookie: a=b\r\n\r\n"
    ));
    assert_eq!(client.read_response().status, 200);
    assert_eq!(
        origin.only_request().head,
        format!(
            "GET /a?b=c%20d HTTP/1.1\r\nhOsT: {host}\r\nX-Twice: 1\r\nUser-Agent: test\r\naccept: */*\r\n\
             X-Twice: 2\r\nX-Empty:\r\nCookie: a=b\r\n\r\n"
        )
    );
}

#[test]
fn fields_of_one_hop_end_at_the_proxy() {
    let (_proxy, origin, mut client) = chain(
        Reply::ok("")
            .with("Connection: X-Back")
            .with("X-Back: 1")
            .with("Keep-Alive: timeout=5")
            .with("X-Stays: 1"),
    );
    let host = origin.addr();
    client.send(format!(
        "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
         Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers\r\n\
         Upgrade: h2c\r\nX-Stays: 1\r\n\r\n"
    ));
    let answer = client.read_response();
    assert_eq!(origin.only_request().lines(), [format!("Host: {host}"), "X-Stays: 1".to_owned()]);
    for gone in ["Connection", "X-Back", "Keep-Alive", "Via", "Proxy-Status"] {
        assert_eq!(answer.header(gone), None, "{gone} in {}", answer.head);
    }
    assert_eq!(answer.header("X-Stays"), Some("1"));
}

#[test]
fn a_client_cannot_have_host_or_length_removed_by_naming_them() {
    let (_proxy, origin, mut client) = chain(Reply::echo());
    let host = origin.addr();
    client.send(format!(
        "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: Host, Content-Length\r\nContent-Length: 2\r\n\r\nhi"
    ));
    assert_eq!(client.read_response().text(), "hi");
    assert_eq!(origin.only_request().lines(), [format!("Host: {host}"), "Content-Length: 2".to_owned()]);
}

#[test]
fn level_transparent_names_the_proxy_and_the_client() {
    let (proxy, origin) = (at_level("transparent"), Origin::start(Reply::ok("")));
    let mut client = RawClient::connect_from("127.0.0.7", proxy.addr());
    let answer = client.get(&origin.url("/"));
    let seen = origin.only_request();
    assert!(seen.header("Via").is_some_and(|via| via.starts_with("1.1 ")), "{}", seen.head);
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.7"));
    assert!(seen.header("Forwarded").is_some_and(|value| value.contains("for=127.0.0.7")), "{}", seen.head);
    assert!(answer.header("Via").is_some_and(|via| via.starts_with("1.1 ")), "{}", answer.head);
}

#[test]
fn level_anonymous_names_the_proxy_and_hides_the_client() {
    let (proxy, origin) = (at_level("anonymous"), Origin::start(Reply::ok("")));
    let mut client = RawClient::connect_from("127.0.0.7", proxy.addr());
    assert_eq!(client.get(&origin.url("/")).status, 200);
    let seen = origin.only_request();
    assert!(seen.header("Via").is_some_and(|via| via.starts_with("1.1 ")), "{}", seen.head);
    assert!(!seen.head.contains("127.0.0.7"), "{}", seen.head);
}

#[test]
fn level_transparent_appends_to_what_other_proxies_wrote() {
    let (proxy, origin) = (at_level("transparent"), Origin::start(Reply::ok("")));
    let host = origin.addr();
    let mut client = proxy.connect();
    client.send(format!(
        "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nVia: 1.0 earlier\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
    ));
    assert_eq!(client.read_response().status, 200);
    let seen = origin.only_request();
    let all = |name: &str| -> String {
        let is = |line: &&&str| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name));
        let lines = seen.lines();
        let values: Vec<&str> =
            lines.iter().filter(is).filter_map(|line| line.split_once(": ")).map(|(_, v)| v).collect();
        values.join(", ")
    };
    assert!(all("Via").starts_with("1.0 earlier, 1.1 "), "{}", seen.head);
    assert_eq!(all("X-Forwarded-For"), "192.0.2.9, 127.0.0.1");
}

// Loops

#[test]
fn a_request_to_the_proxy_itself_is_cut() {
    for level in ["elite", "transparent"] {
        let proxy = at_level(level);
        proxy.connect().get(&format!("http://{}/", proxy.addr())).assert_refused(502, "proxy_loop_detected");
        let answer = proxy.connect().connect_request(&proxy.addr().to_string());
        answer.assert_refused(502, "proxy_loop_detected");
    }
}

#[test]
fn two_proxies_that_lead_to_each_other_cut_the_loop() {
    let level = "[proxy]\nlevel = \"anonymous\"\n";
    let leads_to = |other: &Proxy| {
        format!("rules = [\"via:other all\"]\n{level}[exits.other]\nurl = \"http://{}\"", other.addr())
    };
    let one = Proxy::builder(BIN).config(level).start();
    let other = Proxy::builder(BIN).config(leads_to(&one)).start();
    one.write_config(&leads_to(&other));
    one.reload().unwrap();
    let answer = one.connect().get("http://site.test/");
    answer.assert_refused(502, "proxy_loop_detected");
}

#[test]
fn two_proxies_in_a_row_are_no_loop() {
    let level = "[proxy]\nlevel = \"transparent\"\n";
    let (far, origin) = (Proxy::builder(BIN).config(level).start(), Origin::start(Reply::ok("through both")));
    let rules = format!("rules = [\"via:far all\"]\n{level}[exits.far]\nurl = \"http://{}\"", far.addr());
    let near = Proxy::builder(BIN).config(rules).start();
    assert_eq!(near.connect().get(&origin.url("/")).text(), "through both");
}

#[test]
fn a_request_meant_for_an_origin_is_answered_here() {
    let proxy = Proxy::start(BIN);
    let mut client = proxy.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.addr()));
    let answer = client.read_response();
    assert_eq!(answer.status, 400, "{}", answer.head);
    assert!(answer.text().contains("proxy"), "{}", answer.text());
}
