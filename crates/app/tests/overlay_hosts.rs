//! Who asks and where to never meet: client, entry, exit and web on hosts of their own, with captures on every link and scans
//! of what the programs remember.
//!
//! `SHOALWAY_HOSTS_SECONDS` makes the time of use longer than CI's minute: `cargo xtask e2e` sets ten.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so"
)]

#[path = "overlay/ground.rs"]
mod ground;

use ground::{BIN, Ground};
use shoalway_overlay_proto::identity::Roles;
use shoalway_testkit::hosts::{LinkCapture, Packet, TestHosts, scan};
use shoalway_testkit::proxy::Signal;
use shoalway_testkit::{Dns, Origin, Proxy, Reply, eventually, secs};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Distinctive, so that its four octets are found nowhere by chance.
const CLIENT: [u8; 4] = [10, 213, 87, 149];
const ENTRY: &str = "10.2.0.1:443";
const EXIT: &str = "10.3.0.1:443";
const WEB: &str = "10.4.0.1:80";

/// The network, each program on its host.
struct Town {
    hosts: TestHosts,
    _ground: Ground,
    /// The entry's configuration, to start it again.
    entry_config: String,
    entry: Proxy,
    exit: Proxy,
    client: Proxy,
    web: Origin,
    _dns: Dns,
    /// The site's name: nobody could guess it.
    name: String,
    /// What the address of its page holds.
    path: String,
    links: Vec<(&'static str, LinkCapture)>,
}

fn random(prefix: &str) -> String {
    let (one, other) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    format!("{prefix}{one:016x}{:08x}", other & 0xffff_ffff)
}

fn program(config: &str) -> shoalway_testkit::proxy::Builder {
    Proxy::builder(BIN).unset("proxy.listen").config(config)
}

impl Town {
    fn build() -> Self {
        let hosts = TestHosts::new(&[
            ("client", CLIENT),
            ("entry", [10, 2, 0, 1]),
            ("exit", [10, 3, 0, 1]),
            ("web", [10, 4, 0, 1]),
        ]);
        let links = ["client", "entry", "exit", "web"].map(|name| (name, hosts.capture(name))).into();
        let ground = Ground::new();
        let entry_wallet = ground.delegate(1, Roles::ENTRY | Roles::DIRECTORY);
        let exit_wallet = ground.delegate(2, Roles::EXIT | Roles::MIDDLE);
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (name, path) = (format!("{}.example", random("n")), format!("/{}", random("p")));
        let web = hosts.run_on("web", || Origin::start_on(at(WEB), Reply::ok("the page")));
        let dns = hosts.run_on("exit", || Dns::knowing(&[(&name, "10.4.0.1")]));
        let entry_config = ground.directory(at(ENTRY), &[entry_wallet, exit_wallet]);
        let entry = hosts.run_on("entry", || program(&entry_config).start());
        let config = ground.exit(at(EXIT), &entry);
        let exit = hosts.run_on("exit", || program(&config).dns(&dns).start());
        eventually(secs(30), "a snapshot with both nodes", || {
            (exit.status_json()["node"]["directory"]["nodes"] == 2).then_some(())
        });
        let config = ground.client(&entry);
        let client = hosts.run_on("client", || Proxy::builder(BIN).config(config).start());
        let town = Self {
            hosts,
            _ground: ground,
            entry_config,
            entry,
            exit,
            client,
            web,
            _dns: dns,
            name,
            path,
            links,
        };
        eventually(secs(30), "a page through the overlay", || (town.get("http", "") == "200").then_some(()));
        town
    }

    /// Gets the page with curl on the client's host. The status, or what went wrong.
    fn get(&self, scheme: &str, more: &str) -> String {
        let proxy = self.client.url(scheme);
        let url = format!("http://{}{}{more}", self.name, self.path);
        let mut curl = self.hosts.on("client", "curl");
        curl.args(["-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "-x", &proxy, &url]);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    }

    fn packets(&self, name: &str) -> Vec<Packet> {
        self.links.iter().find(|(link, _)| *link == name).unwrap().1.packets()
    }
}

/// An address as it may stand in memory, a log or a packet.
fn spellings(ip: [u8; 4]) -> Vec<Vec<u8>> {
    let text = ip.map(|part| part.to_string()).join(".");
    let hex: String = ip.iter().map(|part| format!("{part:02x}")).collect();
    let turned: Vec<u8> = ip.iter().rev().copied().collect();
    vec![ip.to_vec(), turned, text.into_bytes(), hex.to_uppercase().into_bytes(), hex.into_bytes()]
}

/// Nothing of these stands in what a program wrote or remembers.
fn assert_unknown(who: &str, program: &Proxy, needles: &[Vec<u8>]) {
    let needles: Vec<&[u8]> = needles.iter().map(Vec::as_slice).collect();
    let found = scan(program.id(), &needles);
    assert!(found.is_empty(), "{who} remembers: {found:#?}");
    let written = [program.stdout().into_bytes(), program.stderr().into_bytes()];
    let logs = walk(program.dir().path()).into_iter().map(|file| std::fs::read(file).unwrap_or_default());
    for text in written.into_iter().chain(logs) {
        for needle in &needles {
            let wrote = text.windows(needle.len()).any(|window| window == *needle);
            assert!(!wrote, "{who} wrote {} down", needle.escape_ascii());
        }
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// What the client's host sent and got: only packets with the entry.
fn assert_only_with_the_entry(packets: &[Packet]) {
    let client = CLIENT.map(|part| part.to_string()).join(".");
    // The switch has no address, and joins a group when a port comes up.
    let of_the_switch = |head: &str| head.starts_with("IP 0.0.0.0 > 224.0.0.22: igmp");
    for packet in packets.iter().filter(|packet| !of_the_switch(&packet.head)) {
        let head = &packet.head;
        let to_entry = head.starts_with(&format!("IP {client}.")) && head.contains("> 10.2.0.1.443:");
        let from_entry = head.starts_with("IP 10.2.0.1.443 >");
        assert!(to_entry || from_entry, "the client's host has a packet with somebody else: {head}");
    }
}

#[test]
fn who_asks_and_where_to_never_meet() {
    let town = Town::build();
    let seconds = std::env::var("SHOALWAY_HOSTS_SECONDS").map_or(60, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let (client, site) =
        (spellings(CLIENT), vec![town.name.clone().into_bytes(), town.path.clone().into_bytes()]);
    let mut pages = 0u32;
    while Instant::now() < until {
        let scheme = ["http", "socks5h"][pages as usize % 2];
        assert_eq!(town.get(scheme, &format!("?{pages}")), "200");
        pages += 1;
        if pages % 8 == 1 {
            assert_unknown("the exit", &town.exit, &client);
            assert_unknown("the entry", &town.entry, &site);
        }
    }
    assert!(pages > 10, "{pages} pages");
    let web = town.packets("web");
    assert!(web.iter().any(|packet| packet.holds(b"GET /")), "the capture at the web sees requests");
    for (who, packets) in [("exit", town.packets("exit")), ("web", web)] {
        for needle in &client {
            let shown = packets.iter().find(|packet| packet.holds(needle));
            assert!(shown.is_none(), "a packet at the {who} shows the client: {shown:?}");
        }
    }
    for (who, packets) in [("client", town.packets("client")), ("entry", town.packets("entry"))] {
        for needle in &site {
            let shown = packets.iter().find(|packet| packet.holds(needle));
            assert!(shown.is_none(), "a packet at the {who} shows the site: {shown:?}");
        }
    }
    assert_only_with_the_entry(&town.packets("client"));
    for seen in town.web.requests() {
        assert!(!format!("{seen:?}").contains("10.213.87.149"), "the site was told who asks");
    }
}

#[test]
fn the_clients_host_speaks_with_its_entry_alone_while_programs_are_killed_and_come_back() {
    let mut town = Town::build();
    let before = town.web.connections();
    town.entry.signal(Signal::KILL);
    town.entry.wait_for_exit(secs(10));
    for scheme in ["http", "socks5h", "http"] {
        assert_ne!(town.get(scheme, "?down"), "200");
    }
    assert_eq!(town.web.connections(), before, "the site was reached another way");
    assert_only_with_the_entry(&town.packets("client"));
    let config = town.entry_config.clone();
    town.entry = town.hosts.run_on("entry", || program(&config).start());
    eventually(secs(30), "a page after the entry is back", || {
        (town.get("http", "?back") == "200").then_some(())
    });
    town.exit.signal(Signal::KILL);
    town.exit.wait_for_exit(secs(10));
    assert_ne!(town.get("http", "?no-exit"), "200", "there is no other exit");
    town.client.signal(Signal::KILL);
    town.client.wait_for_exit(secs(10));
    assert_only_with_the_entry(&town.packets("client"));
}
