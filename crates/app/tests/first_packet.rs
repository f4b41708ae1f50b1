//! How the reverse proxy reacts to a SYN, as tcpdump sees it: who answers, and when the upstream gets its own.
//!
//! What each capture must be stands in docs/guide/the-first-packet.md, under a heading; the test reads it from there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads best so, and opens its own sockets"
)]

use shoalway_testkit::proxy::Signal;
use shoalway_testkit::real::Capture;
use shoalway_testkit::{Far, PATIENCE, Proxy, RawClient, eventually};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");
const GUIDE: &str = include_str!("../../../docs/guide/the-first-packet.md");

/// A proxy and a server on addresses of this test alone, and a capture of what passes there from before the start.
struct Scene {
    capture: Capture,
    proxy: Proxy,
    far: Far,
    door: SocketAddr,
}

impl Scene {
    /// `number` makes the addresses; `config` is told where to listen and where the server is.
    fn new(number: u8, config: impl Fn(&str, SocketAddr) -> String) -> Self {
        let [front, behind] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(127, 77, number, last)));
        let capture = Capture::start(front, behind);
        let far = Far::listen_on((behind, 0).into());
        let listen = format!("listen = \"{front}:0\"");
        let proxy = Proxy::builder(BIN)
            .unset("proxy.listen")
            .set("runtime.shards", 1)
            .config(config(&listen, far.addr()))
            .start();
        let name = if proxy.stdout().contains("sites.*") { "sites.*" } else { "streams.s" };
        let door = proxy.listening(name);
        Self { capture, proxy, far, door }
    }

    /// Waits for the last line of the capture in the guide under this heading, and compares all of them.
    fn assert_as_in_the_guide(&self, heading: &str) {
        let wanted = guide(heading);
        let last = wanted.last().unwrap();
        let times = wanted.iter().filter(|line| line == &last).count();
        let seen = self.capture.wait_for(last, times);
        let seen = seen.get(..wanted.len()).unwrap_or(&seen);
        assert_eq!(seen, wanted, "{heading}:\n{}", seen.join("\n"));
    }

    /// A client that says nothing comes first, then one that speaks; the server is called for the second alone.
    fn assert_silence_costs_nothing(&self) {
        let called = || self.capture.segments().iter().filter(|line| *line == CALLED).count();
        let before = called();
        let _silent = RawClient::connect(self.door);
        RawClient::connect(self.door).send("hello");
        self.far.accept().expect("hello");
        self.capture.wait_for(HANDSHAKE_DONE, before + 1);
        assert_eq!(called(), before + 1);
    }
}

/// The upstream gets its SYN.
const CALLED: &str = "proxy  -> server  SYN";
const HANDSHAKE_DONE: &str = "proxy  -> server  ACK";

/// The first block of text below a heading of the guide, without what stands behind a `#`.
fn guide(heading: &str) -> Vec<String> {
    let (_, below) = GUIDE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{heading}"));
    let (_, block) = below.split_once("```text\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let line = |line: &str| line.split('#').next().unwrap_or_default().trim_end().to_owned();
    block.lines().map(line).filter(|line| !line.is_empty()).collect()
}

fn stream(listen: &str, to: SocketAddr, accept: &str) -> String {
    format!("[streams.s]\n{listen}\nto = \"{to}\"\naccept = \"{accept}\"\n")
}

/// One that reads the client's hello.
fn by_name(listen: &str, to: SocketAddr, accept: &str) -> String {
    format!("[streams.s]\n{listen}\nsni = {{ \"*\" = \"{to}\" }}\naccept = \"{accept}\"\n")
}

/// Whether each thread of a process is stopped: proc(5), the state in `stat`.
fn stands_still(process: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap()).all(|stat| {
        let (_, behind_name) = stat.rsplit_once(')').unwrap();
        behind_name.trim_start().starts_with('T')
    })
}

#[test]
fn the_kernel_answers_a_syn_while_the_program_stands_still() {
    let scene = Scene::new(1, |listen, to| stream(listen, to, "eager"));
    scene.proxy.signal(Signal::STOP);
    eventually(PATIENCE, "all threads to stand still", || stands_still(scene.proxy.id()).then_some(()));
    let mut client = RawClient::connect(scene.door);
    client.send("hello");
    scene.capture.wait_for("client -> proxy   5 octets", 1);
    assert!(!scene.capture.segments().iter().any(|line| line == CALLED));
    scene.proxy.signal(Signal::CONT);
    scene.far.accept().expect("hello");
    scene.assert_as_in_the_guide("The kernel answers, not the proxy");
}

#[test]
fn eager_calls_the_upstream_before_the_client_has_said_anything() {
    let scene = Scene::new(2, |listen, to| by_name(listen, to, "eager"));
    let mut client = RawClient::connect(scene.door);
    let mut far = scene.far.accept();
    far.send("220 ready\r\n");
    client.expect("220 ready\r\n");
    scene.assert_as_in_the_guide("`eager`: at once, and the server may speak first");
}

#[test]
fn lazy_calls_the_upstream_when_it_knows_which() {
    let scene = Scene::new(3, |listen, to| by_name(listen, to, "lazy"));
    let mut client = RawClient::connect(scene.door);
    // No TLS: that no name comes is known from the first octet on.
    client.send("hello");
    scene.far.accept().expect("hello");
    scene.assert_as_in_the_guide("`lazy`: when it is known where to");
    scene.assert_silence_costs_nothing();
}

#[test]
fn a_site_calls_its_upstream_when_it_has_read_a_head() {
    let scene = Scene::new(4, |listen, to| format!("[sites.\"*\"]\n{listen}\nto = \"http://{to}\"\n"));
    let mut client = RawClient::connect(scene.door);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    scene.far.accept().read_until("\r\n\r\n");
    let seen = scene.capture.wait_for(HANDSHAKE_DONE, 1);
    let at =
        |line: &str| seen.iter().position(|seen| seen == line).unwrap_or_else(|| panic!("{line}: {seen:?}"));
    assert!(at("client -> proxy   27 octets") < at(CALLED), "{seen:?}");
}

#[test]
fn defer_calls_the_upstream_after_the_first_octet() {
    let scene = Scene::new(5, |listen, to| stream(listen, to, "defer"));
    let mut client = RawClient::connect(scene.door);
    client.send("hello");
    scene.far.accept().expect("hello");
    scene.assert_as_in_the_guide("`defer`: not before the client speaks");
    scene.assert_silence_costs_nothing();
}

#[test]
fn preconnect_has_called_the_upstream_before_any_client_comes() {
    let scene = Scene::new(6, |listen, to| stream(listen, to, "preconnect"));
    scene.capture.wait_for(HANDSHAKE_DONE, 2);
    let mut client = RawClient::connect(scene.door);
    // The one that is taken is replaced.
    scene.capture.wait_for(HANDSHAKE_DONE, 3);
    client.send("hello");
    scene.assert_as_in_the_guide("`preconnect`: before anybody asks");
}

#[test]
fn a_dead_upstream_looks_alive_for_one_round_trip() {
    let scene = Scene::new(7, |listen, _| {
        // An address of the capture where nobody listens.
        stream(listen, "127.77.7.2:1".parse().unwrap(), "eager")
    });
    // Whether the client's call still says "connected" before the end arrives is chance.
    let client = TcpStream::connect(scene.door);
    scene.assert_as_in_the_guide("A dead upstream looks alive for one round trip");
    drop(client);
}
