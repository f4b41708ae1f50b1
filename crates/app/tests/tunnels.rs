//! What passes through tunnels: every byte, both ways at once, and the end of each direction on its own.

#![allow(clippy::disallowed_methods, reason = "a thread for each end of each tunnel")]

use shoalway_testkit::socks::Command;
use shoalway_testkit::tunnel::exchange;
use shoalway_testkit::{End, Far, PATIENCE, Proxy, RawClient, Step, TcpScript, millis, secs};
use std::net::SocketAddr;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// Blocks of 64 KiB that make 64 MiB.
const MIB_64: u64 = 1_024;

/// One way to open a tunnel.
type Opener = fn(RawClient, SocketAddr) -> RawClient;

const DIALECTS: [(&str, Opener); 3] = [
    ("CONNECT", |client, target| client.tunnel_to(target)),
    ("SOCKS5", |client, target| client.socks5_tunnel_to(target)),
    ("SOCKS4", |mut client, target| {
        assert_eq!(client.socks4_ask(Command::Connect, target, "").code, 90);
        client
    }),
];

/// Both ends of a fresh tunnel.
fn tunnel(proxy: &Proxy, far: &Far, open: Opener) -> (RawClient, RawClient) {
    let client = open(proxy.connect(), far.addr());
    (client, far.accept())
}

#[test]
fn half_a_close_leaves_the_other_half_open() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    for (name, open) in DIALECTS {
        let (mut client, mut there) = tunnel(&proxy, &far, open);
        client.send("question").half_close();
        there.expect("question").expect_closed_within(PATIENCE);
        there.send("a long answer");
        client.expect("a long answer");
        drop(there);
        client.expect_closed_within(PATIENCE);

        let (mut client, mut there) = tunnel(&proxy, &far, open);
        there.send("banner").half_close();
        client.expect("banner").expect_closed_within(PATIENCE);
        client.send("still talking");
        there.expect("still talking");
        assert!(there.is_quiet_and_open(), "{name}");
        drop(client);
        there.expect_closed_within(PATIENCE);
    }
}

#[test]
fn sixty_four_mebibytes_each_way_at_once_through_connect() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    let (client, there) = tunnel(&proxy, &far, DIALECTS[0].1);
    exchange(client, there, MIB_64);
    let line = &proxy.log_values(1)[0];
    assert_eq!(
        (line["bytes_up"].as_u64(), line["bytes_down"].as_u64()),
        (Some(64 << 20), Some(64 << 20)),
        "{line}"
    );
}

#[test]
fn sixty_four_mebibytes_each_way_at_once_through_socks5() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    let (client, there) = tunnel(&proxy, &far, DIALECTS[1].1);
    exchange(client, there, MIB_64);
}

#[test]
fn many_tunnels_carry_their_own_bytes() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    let pairs: Vec<_> = (0..24).map(|n| tunnel(&proxy, &far, DIALECTS[n % 3].1)).collect();
    let running = pairs.into_iter().map(|(client, there)| std::thread::spawn(|| exchange(client, there, 16)));
    for thread in running.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

#[test]
fn reloads_and_the_end_leave_a_running_transfer_whole() {
    let (mut proxy, far) = (Proxy::start(BIN), Far::listen());
    let (client, mut there) = tunnel(&proxy, &far, DIALECTS[0].1);
    let mut sender = client.second_handle();
    // More than all buffers between both ends hold, so it cannot end before the other end reads.
    let sending = std::thread::spawn(move || sender.send_pattern(1, 512));
    for _ in 0..3 {
        proxy.reload().unwrap();
    }
    proxy.terminate();
    shoalway_testkit::eventually(PATIENCE, "no more clients", || {
        RawClient::refused(proxy.addr()).then_some(())
    });
    assert!(!sending.is_finished());
    there.expect_pattern(1, 512);
    sending.join().unwrap();
    drop((client, there));
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
    let line = &proxy.log_values(1)[0];
    assert_eq!((line["bytes_up"].as_u64(), line["outcome"].as_str()), (Some(32 << 20), Some("ok")), "{line}");
}

#[test]
fn a_server_may_speak_first() {
    let (proxy, far) =
        (Proxy::start(BIN), TcpScript::start([Step::Send(b"220 ready\r\n".to_vec()), Step::Stall]));
    for (_name, open) in DIALECTS {
        open(proxy.connect(), far.addr()).expect("220 ready\r\n");
    }
}

#[test]
fn bytes_sent_before_the_tunnel_stands_are_carried() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    let mut client = proxy.connect();
    let target = far.addr();
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\nearly bytes"));
    assert_eq!(client.read_response_to("CONNECT").status, 200);
    far.accept().expect("early bytes");
}

#[test]
fn a_reset_is_not_turned_into_a_clean_end() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    for (name, open) in DIALECTS {
        let (mut client, there) = tunnel(&proxy, &far, open);
        there.reset();
        let (_bytes, end) = client.read_to_end(PATIENCE);
        assert_ne!(end, End::StillOpen, "{name}");
        let (client, mut there) = tunnel(&proxy, &far, open);
        client.reset();
        assert_ne!(there.read_to_end(PATIENCE).1, End::StillOpen, "{name}");
    }
}

#[test]
fn a_far_side_that_does_not_read_holds_the_sender_back() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    let (mut client, there) = tunnel(&proxy, &far, DIALECTS[0].1);
    let before = proxy.memory();
    let most = 256 << 20;
    let sent = client.send_until_blocked(most);
    assert!(sent < most, "all {sent} bytes were taken and nobody read them");
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes of memory for one tunnel");
    drop(there);
    assert_ne!(client.read_to_end(PATIENCE).1, End::StillOpen);
}

#[test]
fn a_silent_tunnel_ends_at_its_limit() {
    let proxy = Proxy::builder(BIN).set("limits.tunnel_idle", "\"1s\"").start();
    let far = Far::listen();
    for (_name, open) in DIALECTS {
        let (mut client, mut there) = tunnel(&proxy, &far, open);
        client.send("x");
        there.expect("x");
        client.expect_closed_within(secs(5));
        there.expect_closed_within(secs(5));
    }
}

#[test]
fn a_tunnel_that_speaks_in_one_direction_is_not_silent() {
    let proxy = Proxy::builder(BIN).set("limits.tunnel_idle", "\"1s\"").start();
    let mut script = Vec::new();
    for _ in 0..6 {
        script.extend([Step::Pause(millis(400)), Step::Send(b"tick".to_vec())]);
    }
    let far = TcpScript::start(script);
    let mut client = proxy.connect().tunnel_to(far.addr());
    client.expect("tick".repeat(6));
}
