//! SOCKS4, SOCKS4a and SOCKS5 as clients see them: truthful replies, BIND, datagrams with fragments.
//!
//! RFC 1928; log-in (RFC 1929) is in `auth.rs`, tunnels' content in `tunnels.rs`.

#![allow(clippy::disallowed_methods, reason = "a test is its own client and stranger")]

use shoalway_testkit::socks::{Command, UdpAssociation};
use shoalway_testkit::{
    Dns, End, Hanging, PATIENCE, Proxy, RawClient, Refusing, TcpEcho, UdpEcho, eventually, millis,
};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// Reply to CONNECT for this target.
fn reply(proxy: &Proxy, target: impl ToString) -> u8 {
    proxy.connect().socks5_connect(target).code
}

#[test]
fn replies_tell_what_happened() {
    let dns = Dns::knowing(&[("site.test", "127.0.0.1")]);
    let proxy = Proxy::builder(BIN)
        .dns(&dns)
        .rules(&["block domain:*.blocked.test", "block port:25"])
        .set("limits.connect_timeout", "\"400ms\"")
        .start();
    let (echo, refusing, hanging) = (TcpEcho::start(), Refusing::start(), Hanging::start());
    assert_eq!(reply(&proxy, echo.addr()), 0, "success");
    assert_eq!(reply(&proxy, format!("site.test:{}", echo.addr().port())), 0, "success by name");
    assert_eq!(reply(&proxy, refusing.addr()), 5, "connection refused");
    assert_eq!(reply(&proxy, "a.blocked.test:80"), 2, "not allowed by a rule");
    assert_eq!(reply(&proxy, "127.0.0.1:25"), 2, "not allowed by a rule");
    assert_eq!(reply(&proxy, "unknown.test:80"), 4, "no such host");
    assert_eq!(reply(&proxy, hanging.addr()), 6, "no answer in time");
    assert_eq!(reply(&proxy, "255.255.255.255:80"), 2, "not allowed for anyone");
}

#[test]
fn socks4_tells_success_and_failure() {
    let dns = Dns::knowing(&[("site.test", "127.0.0.1")]);
    let proxy = Proxy::builder(BIN).dns(&dns).rules(&["block port:25"]).start();
    let (echo, refusing) = (TcpEcho::start(), Refusing::start());
    for (target, code) in [
        (echo.addr().to_string(), 90),
        (format!("site.test:{}", echo.addr().port()), 90),
        (refusing.addr().to_string(), 91),
        ("unknown.test:80".to_owned(), 91),
        ("127.0.0.1:25".to_owned(), 91),
    ] {
        assert_eq!(proxy.connect().socks4_ask(Command::Connect, &target, "me").code, code, "{target}");
    }
}

#[test]
fn success_is_said_only_after_the_far_side_is_connected() {
    let (proxy, hanging) =
        (Proxy::builder(BIN).set("limits.connect_timeout", "\"2s\"").start(), Hanging::start());
    let mut client = proxy.connect();
    assert_eq!(client.socks5_greet(&[0]), 0);
    client.send(
        [&[5, 1, 0][..], &shoalway_testkit::socks::socks5_address(&hanging.addr().to_string())].concat(),
    );
    assert_eq!(client.read_to_end(millis(500)), (vec![], End::StillOpen));
    assert_ne!(client.socks5_reply().code, 0);
}

#[test]
fn ipv6_targets_are_reached() {
    let (proxy, echo) = (Proxy::start(BIN), TcpEcho::start_on("[::1]:0".parse().unwrap()));
    let mut client = proxy.connect().socks5_tunnel_to(echo.addr());
    client.send("six").expect("six");
}

#[test]
fn what_is_not_offered_is_refused_by_its_own_code() {
    let proxy = Proxy::start(BIN);
    let ask = |request: &[u8]| {
        let mut client = proxy.connect();
        assert_eq!(client.socks5_greet(&[0]), 0);
        client.send(request);
        let code = client.socks5_reply().code;
        client.expect_closed_within(PATIENCE);
        code
    };
    assert_eq!(ask(&[5, 9, 0, 1, 127, 0, 0, 1, 0, 80]), 7, "command");
    assert_eq!(ask(&[5, 1, 0, 9, 127, 0, 0, 1, 0, 80]), 8, "address type");
}

#[test]
fn a_client_without_an_acceptable_method_is_told_and_left() {
    let proxy = Proxy::start(BIN);
    for methods in [&[][..], &[1], &[0x80, 3]] {
        let mut client = proxy.connect();
        assert_eq!(client.socks5_greet(methods), 0xff, "{methods:?}");
        client.expect_closed_within(PATIENCE);
    }
}

#[test]
fn a_request_sent_together_with_the_greeting_and_its_payload_works() {
    let (proxy, echo) = (Proxy::start(BIN), TcpEcho::start());
    let mut client = proxy.connect();
    let address = shoalway_testkit::socks::socks5_address(&echo.addr().to_string());
    client.send([&[5, 1, 0, 5, 1, 0][..], &address, b"early"].concat());
    client.expect([5, 0]);
    assert_eq!(client.socks5_reply().code, 0);
    client.expect("early");
}

// BIND

#[test]
fn socks5_bind_waits_for_one_connection() {
    let proxy = Proxy::start(BIN);
    let mut client = proxy.connect();
    assert_eq!(client.socks5_greet(&[0]), 0);
    let bound = client.socks5_ask(Command::Bind, "127.0.0.1:0");
    assert_eq!(bound.code, 0, "first reply");
    let mut peer = RawClient::connect(bound.bound);
    let came = client.socks5_reply();
    assert_eq!((came.code, came.bound), (0, peer.local_addr()), "second reply");
    peer.send("in");
    client.expect("in").send("out");
    peer.expect("out");
}

#[test]
fn socks4_bind_waits_for_one_connection() {
    let proxy = Proxy::start(BIN);
    let mut client = proxy.connect();
    let bound = client.socks4_ask(Command::Bind, "127.0.0.1:9", "me");
    assert_eq!(bound.code, 90, "first reply");
    // 0.0.0.0 stands for the address the client connected to.
    let ip = if bound.bound.ip().is_unspecified() { proxy.addr().ip() } else { bound.bound.ip() };
    let mut peer = RawClient::connect((ip, bound.bound.port()).into());
    assert_eq!(client.socks4_reply().code, 90, "second reply");
    peer.send("in");
    client.expect("in");
}

#[test]
fn a_bind_ends_with_its_client() {
    let proxy = Proxy::start(BIN);
    let mut client = proxy.connect();
    assert_eq!(client.socks5_greet(&[0]), 0);
    let reply = client.socks5_ask(Command::Bind, "127.0.0.1:0");
    assert_eq!(reply.code, 0);
    drop(client);
    eventually(PATIENCE, "the bound port closes", || RawClient::refused(reply.bound).then_some(()));
}

// Datagrams

fn association(proxy: &Proxy) -> UdpAssociation {
    proxy.connect().socks5_udp()
}

#[test]
fn datagrams_go_to_names_and_to_both_families() {
    let dns = Dns::knowing(&[("site.test", "127.0.0.1")]);
    let proxy = Proxy::builder(BIN).dns(&dns).start();
    let (four, six) = (UdpEcho::start(), UdpEcho::start_on("[::1]:0".parse().unwrap()));
    let udp = association(&proxy);
    for (target, from) in [
        (four.addr().to_string(), four.addr()),
        (six.addr().to_string(), six.addr()),
        (format!("site.test:{}", four.addr().port()), four.addr()),
    ] {
        udp.send(&target, target.as_bytes());
        assert_eq!(udp.receive(), (from, target.into_bytes()));
    }
}

#[test]
fn fragments_are_joined_and_gaps_dropped() {
    let (proxy, echo) = (Proxy::start(BIN), UdpEcho::start());
    let udp = association(&proxy);
    udp.send_fragment(1, echo.addr(), b"one ");
    udp.send_fragment(2, echo.addr(), b"two ");
    udp.send_fragment(0x83, echo.addr(), b"three");
    assert_eq!(udp.receive().1, b"one two three");
    udp.send_fragment(1, echo.addr(), b"lost ");
    udp.send_fragment(0x83, echo.addr(), b"its middle");
    udp.send(echo.addr(), b"whole");
    assert_eq!(udp.receive().1, b"whole");
}

#[test]
fn datagrams_of_strangers_and_garbage_are_dropped() {
    let (proxy, echo) = (Proxy::start(BIN), UdpEcho::start());
    let udp = association(&proxy);
    udp.send(echo.addr(), b"mine");
    assert_eq!(udp.receive().1, b"mine");
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let header =
        [&[0, 0, 0][..], &shoalway_testkit::socks::socks5_address(&echo.addr().to_string()), b"theirs"]
            .concat();
    stranger.send_to(&header, udp.relay).unwrap();
    for garbage in
        [&b""[..], b"\x00", b"\x01\x02\x03\x04", &[0, 0, 0, 3, 255, b'x'], &[0, 0, 0, 9, 1, 2, 3, 4, 0, 9]]
    {
        udp.send_raw(garbage);
    }
    udp.send(echo.addr(), b"again");
    assert_eq!(udp.receive().1, b"again");
    let senders = echo.senders();
    assert_eq!(senders.len(), 2, "only the client's own datagrams went on: {senders:?}");
}

#[test]
fn rules_hold_for_datagrams() {
    let (open, closed) = (UdpEcho::start(), UdpEcho::start());
    let rule = format!("block port:{}", closed.addr().port());
    let proxy = Proxy::builder(BIN).rules(&[&rule]).start();
    let udp = association(&proxy);
    udp.send(closed.addr(), b"never");
    udp.send(open.addr(), b"passes");
    assert_eq!(udp.receive(), (open.addr(), b"passes".to_vec()));
    assert_eq!(closed.senders(), []);
}

#[test]
fn an_association_ends_with_its_connection() {
    let (proxy, echo) = (Proxy::start(BIN), UdpEcho::start());
    let udp = association(&proxy);
    udp.send(echo.addr(), b"alive");
    assert_eq!(udp.receive().1, b"alive");
    let (socket, relay) = (udp.socket, udp.relay);
    drop(udp.control);
    socket.connect(relay).unwrap();
    // A closed UDP port answers by ICMP, which a connected socket sees as an error of a later call.
    eventually(PATIENCE, "the relay's port closes", || socket.send(b"x").err());
    assert_eq!(proxy.log_values(1)[0]["protocol"], "udp");
}
