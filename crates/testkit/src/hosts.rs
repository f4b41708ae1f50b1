//! Hosts of a test: network namespaces joined by a switch, what passes on each link, what a process remembers.
//!
//! ```text
//! client --- veth ---+--------------+--- veth --- entry
//!                    |  tap: switch |
//!   exit --- veth ---+--------------+--- veth --- web        a capture on each port of the switch
//! ```
//! Each host has one IPv4 address, no route beyond the switch, and nobody else's sockets. Who is where is written down on
//! every host and on the switch, so that nothing is asked for aloud: a frame goes to its host's link and to no other, and
//! what a capture sees was sent by a program. IPv6 is there and silent until a program uses it. Takes root. Everything is gone when dropped. Not
//! here: what runs on the hosts.

mod capture;
mod memory;

pub use capture::{LinkCapture, Packet};
pub use memory::{Found, scan};

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A host: a namespace with one address.
#[derive(Debug, Clone)]
pub struct TestHost {
    /// What the test calls it.
    pub name: &'static str,
    /// Its address.
    pub ip: Ipv4Addr,
    namespace: String,
    /// The switch's end of its link.
    port: String,
}

/// Hosts on one switch.
pub struct TestHosts {
    prefix: String,
    hosts: Vec<TestHost>,
}

impl TestHosts {
    /// Makes a host for each name, with this address and a network of eight bits, so that all reach each other.
    ///
    /// # Panics
    /// Without root or iproute2.
    #[must_use]
    pub fn new(hosts: &[(&'static str, [u8; 4])]) -> Self {
        let number = NEXT.fetch_add(1, Relaxed);
        // Interface names have 15 characters.
        let prefix = format!("s{:x}-{number:x}", std::process::id() & 0xf_ffff);
        let mut made = Self { prefix, hosts: Vec::new() };
        made.ip(&["netns", "add", &made.tap()]);
        // The switch is no host: it has nothing to say.
        let silent = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done";
        made.run("ip", &["netns", "exec", &made.tap(), "sh", "-c", silent]);
        made.in_tap(&["link", "add", "switch", "type", "bridge"]);
        made.in_tap(&["link", "set", "switch", "multicast", "off", "up"]);
        for (index, (name, ip)) in hosts.iter().enumerate() {
            made.add(index, name, Ipv4Addr::from(*ip));
        }
        made.introduce();
        made
    }

    /// Tells every host and the switch where all the others are.
    fn introduce(&self) {
        for (number, host) in self.hosts.iter().enumerate() {
            let mac = mac(number);
            self.run(
                "bridge",
                &["-n", &self.tap(), "fdb", "replace", &mac, "dev", &host.port, "master", "static"],
            );
            for other in self.hosts.iter().filter(|other| other.ip != host.ip) {
                let ip = host.ip.to_string();
                let words = ["-n", &other.namespace, "neigh", "replace", &ip, "lladdr", &mac, "dev", "eth0"];
                self.ip(&[&words[..], &["nud", "permanent"]].concat());
            }
        }
    }

    fn tap(&self) -> String {
        format!("{}-tap", self.prefix)
    }

    fn add(&mut self, index: usize, name: &'static str, ip: Ipv4Addr) {
        let host = TestHost {
            name,
            ip,
            namespace: format!("{}-{name}", self.prefix),
            port: format!("{}p{index}", self.prefix),
        };
        let inside = format!("{}h{index}", self.prefix);
        let (tap, space) = (self.tap(), host.namespace.as_str());
        self.ip(&["netns", "add", space]);
        self.ip(&[
            "link", "add", &host.port, "netns", &tap, "type", "veth", "peer", "name", &inside, "netns", space,
        ]);
        self.in_tap(&["link", "set", &host.port, "multicast", "off", "master", "switch", "up"]);
        let quiet = ["learning", "flood", "mcast_flood", "bcast_flood"].map(|what| [what, "off"]).concat();
        self.run("bridge", &[&["-n", &tap, "link", "set", "dev", &host.port][..], &quiet].concat());
        let (address, mac) = (format!("{ip}/8"), mac(index));
        for words in [
            &["link", "set", "lo", "up"][..],
            &[
                "link",
                "set",
                &inside,
                "name",
                "eth0",
                "address",
                &mac,
                "arp",
                "off",
                "multicast",
                "off",
                "addrgenmode",
                "none",
            ],
            &["addr", "add", &address, "dev", "eth0"],
            &["link", "set", "eth0", "up"],
        ] {
            self.ip(&[&["-n", space][..], words].concat());
        }
        self.hosts.push(host);
    }

    /// A host by its name.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> &TestHost {
        self.hosts.iter().find(|host| host.name == name).unwrap_or_else(|| panic!("no host {name}"))
    }

    /// A command that will run on a host.
    #[must_use]
    pub fn on(&self, name: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host(name).namespace, program]);
        command
    }

    /// Begins to capture on a host's link, at the switch.
    #[must_use]
    pub fn capture(&self, name: &str) -> LinkCapture {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.tap(), "tcpdump", "-i", &self.host(name).port]);
        LinkCapture::start(command)
    }

    /// Runs a piece of the test itself on a host: in a thread that has entered its namespace, so that the sockets it
    /// opens are the host's.
    ///
    /// # Panics
    /// When the namespace cannot be entered.
    pub fn run_on<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.host(name).namespace);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let space = std::fs::File::open(&path).unwrap_or_else(|error| panic!("open {path}: {error}"));
                rustix::thread::move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&space),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .unwrap_or_else(|error| panic!("enter {path}: {error}"));
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn in_tap(&self, words: &[&str]) {
        self.ip(&[&["-n", &self.tap()][..], words].concat());
    }

    fn ip(&self, words: &[&str]) {
        self.run("ip", words);
    }

    fn run(&self, program: &str, words: &[&str]) {
        let output = Command::new(program).args(words).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run .ci/setup"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?} (it takes root): {said}");
    }
}

/// The link-layer address of a host.
fn mac(number: usize) -> String {
    format!("02:00:00:00:00:{:02x}", number + 1)
}

impl Drop for TestHosts {
    fn drop(&mut self) {
        let spaces = self.hosts.iter().map(|host| host.namespace.clone()).chain([self.tap()]);
        for space in spaces {
            // One that was not made yet when a test failed is not there.
            drop(Command::new("ip").args(["netns", "del", &space]).stderr(Stdio::null()).status());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn hosts_reach_each_other_and_captures_see_whose_packets_pass() {
        let hosts =
            TestHosts::new(&[("one", [10, 1, 0, 1]), ("other", [10, 2, 0, 1]), ("third", [10, 3, 0, 1])]);
        let elsewhere = hosts.capture("third");
        let capture = hosts.capture("other");
        let listener = hosts.run_on("other", || TcpListener::bind("10.2.0.1:700").unwrap());
        let server = std::thread::spawn(move || {
            let (mut tcp, peer) = listener.accept().unwrap();
            tcp.write_all(peer.ip().to_string().as_bytes()).unwrap();
        });
        let mut client = hosts.run_on("one", || TcpStream::connect("10.2.0.1:700").unwrap());
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        server.join().unwrap();
        assert_eq!(said, "10.1.0.1");
        let packets = capture.wait_for("Flags [F");
        assert!(packets.iter().any(|packet| packet.holds(b"10.1.0.1")), "the text on the wire");
        let known = |packet: &Packet| packet.head.contains("10.1.0.1.") && packet.head.contains("10.2.0.1.");
        assert!(elsewhere.packets().is_empty(), "nothing passes where it is not meant for");
        assert!(packets.iter().all(known), "nothing but these two: {packets:?}");
    }
}
