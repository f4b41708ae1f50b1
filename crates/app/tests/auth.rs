//! Log-in by a file of users: Basic over HTTP (RFC 7617), username and password over SOCKS5 (RFC 1929).

use shoalway_testkit::real::curl;
use shoalway_testkit::socks::Command;
use shoalway_testkit::{Origin, PATIENCE, Proxy, Reply, TcpEcho};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// One user for each kind of hash, all with the same password.
const USERS: &str = "\
bee:$2y$05$gUJcHTVDmirNlsvhuW3wBOUkg7vY3w6OgoRvVhNodksn73PHl9e5O
ann:$argon2id$v=19$m=256,t=1,p=1$xRH58+SOtdUhQIPphJL1gQ$AIpkTUILqtnGFAUIkUy/jprsePHHPrbuEmEYeJQ42aY
abe:$apr1$xZPHxwyd$XXQW2zpl8VfUnQYVhqGBi/
";
const PASSWORD: &str = "open sesame";
/// `ann:open sesame` in base64.
const ANN: &str = "Basic YW5uOm9wZW4gc2VzYW1l";

fn proxy() -> Proxy {
    Proxy::builder(BIN)
        .file("users.htpasswd", USERS)
        .config("[proxy]\nauth = [\"basic\"]\nusers = \"users.htpasswd\"\nrealm = \"Reading Room\"")
        .set("log.privacy", "\"full\"")
        .start()
}

#[test]
fn without_a_log_in_the_answer_is_407_with_a_challenge() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("reached")));
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.get(&origin.url("/"));
        assert_eq!(answer.status, 407);
        let challenge = answer.header("Proxy-Authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Basic realm=\"Reading Room\""), "{}", answer.head);
    }
    assert_eq!(proxy.connect().connect_request(&origin.addr().to_string()).status, 407);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn every_kind_of_hash_lets_its_user_in_and_nobody_else() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("reached")));
    for user in ["bee", "ann", "abe"] {
        for tunnel in [&[][..], &["-p"]] {
            let try_with = |password: &str| {
                let (x, login) = (proxy.url("http"), format!("{user}:{password}"));
                let url = origin.url("/");
                curl(&[&["-x", &x, "-U", &login, &url][..], tunnel].concat())
            };
            try_with(PASSWORD).assert_got(200, "reached");
            let wrong = try_with("open sesame!");
            assert_eq!(wrong.http_code.max(wrong.connect_code), 407, "{user}: {}", wrong.ran);
        }
    }
}

#[test]
fn curl_logs_in_over_socks5() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("reached")));
    for user in ["bee", "ann", "abe"] {
        let login = format!("{user}:{PASSWORD}");
        curl(&["-x", &proxy.url("socks5h"), "-U", &login, &origin.url("/")]).assert_got(200, "reached");
    }
}

#[test]
fn the_log_in_stays_with_the_proxy_and_the_user_reaches_the_log() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("reached")));
    let (mut client, host) = (proxy.connect(), origin.addr());
    client.send(format!(
        "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {ANN}\r\nAuthorization: Basic eDp5\r\n\r\n"
    ));
    assert_eq!(client.read_response().text(), "reached");
    let seen = origin.only_request();
    assert_eq!(seen.lines(), [format!("Host: {host}"), "Authorization: Basic eDp5".to_owned()]);
    let line = &proxy.log_lines(1)[0];
    assert!(line.contains("\"ann\"") && !line.contains("sesame") && !line.contains("YW5u"), "{line}");
}

#[test]
fn odd_log_ins_are_no_log_in() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("reached")));
    let host = origin.addr();
    for value in [
        "Basic",
        "Basic ",
        "Basic ????",
        "Basic YW5u",
        "Bearer YW5uOm9wZW4gc2VzYW1l",
        "Basic YW5uOg==",
        "YW5u",
    ] {
        let mut client = proxy.connect();
        client.send(format!(
            "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {value}\r\n\r\n"
        ));
        assert_eq!(client.read_response().status, 407, "{value}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_log_in_counts_for_one_request_and_not_for_the_connection() {
    let (proxy, origin) = (proxy(), Origin::start(Reply::ok("reached")));
    let (mut client, host) = (proxy.connect(), origin.addr());
    client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {ANN}\r\n\r\n"));
    assert_eq!(client.read_response().status, 200);
    assert_eq!(client.get(&origin.url("/")).status, 407);
}

#[test]
fn socks5_asks_for_a_name_and_password() {
    let (proxy, echo) = (proxy(), TcpEcho::start());
    let mut client = proxy.connect();
    assert_eq!(client.socks5_greet(&[0, 2]), 2);
    assert_eq!(client.socks5_log_in("ann", PASSWORD), 0);
    assert_eq!(client.socks5_ask(Command::Connect, echo.addr()).code, 0);
    client.send("in").expect("in");

    for (user, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("", ""), ("ann", "")] {
        let mut client = proxy.connect();
        assert_eq!(client.socks5_greet(&[2]), 2);
        assert_ne!(client.socks5_log_in(user, password), 0, "{user}");
        client.expect_closed_within(PATIENCE);
    }

    let mut client = proxy.connect();
    assert_eq!(client.socks5_greet(&[0]), 0xff);
    client.expect_closed_within(PATIENCE);
}

#[test]
fn datagrams_need_a_log_in_too() {
    let (proxy, echo) = (proxy(), shoalway_testkit::UdpEcho::start());
    let mut client = proxy.connect();
    assert_eq!(client.socks5_greet(&[2]), 2);
    assert_eq!(client.socks5_log_in("bee", PASSWORD), 0);
    let udp = client.socks5_udp_logged_in();
    udp.send(echo.addr(), b"in");
    assert_eq!(udp.receive().1, b"in");
}

#[test]
fn socks4_has_no_password_and_is_refused() {
    let (proxy, echo) = (proxy(), TcpEcho::start());
    assert_ne!(proxy.connect().socks4_ask(Command::Connect, echo.addr(), "ann").code, 90);
    assert_eq!(echo.connections(), 0);
}

#[test]
fn rules_know_the_user() {
    let origin = Origin::start(Reply::ok("reached"));
    let proxy = Proxy::builder(BIN)
        .file("users.htpasswd", USERS)
        .config("[proxy]\nauth = [\"basic\"]\nusers = \"users.htpasswd\"")
        .rules(&["block user:abe"])
        .start();
    for (user, status) in [("ann", 200), ("abe", 403)] {
        let login = format!("{user}:{PASSWORD}");
        assert_eq!(
            curl(&["-x", &proxy.url("http"), "-U", &login, &origin.url("/")]).http_code,
            status,
            "{user}"
        );
    }
}
