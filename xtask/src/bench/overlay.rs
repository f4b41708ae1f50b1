//! `cargo xtask bench overlay`: two hops of ours, one hop of shadowsocks, three hops of Tor, each by SOCKS5 and with all its processes.
//!
//! What is measured stands in `overlay/case.rs`; how a peer is set up in `overlay/ours.rs`, `shadowsocks.rs` and `tor.rs`. All
//! processes of a peer share the proxy's core: what counts is their CPU time together.

mod case;
mod circuit;
mod first_byte;
mod fleet;
mod memory;
mod ours;
mod parts;
mod round_trip;
mod shadowsocks;
mod tor;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::certificate::Certificate;
use super::load::{self, MAX_SECONDS, Origin, Outcome};
use super::options::{Choice, Options};
use super::peer::Peer;
use super::rounds::{self, Contender};
use super::site::{Door, Running};

pub(super) use case::Case;
use ours::Manner;

/// This benchmark's run, with what all its cases share.
struct Bench {
    run: super::Bench<Case>,
    certificate: Certificate,
}

/// Runs the wanted cases.
///
/// # Errors
/// When load or origin do not work, or no certificate can be made.
pub(super) fn run(options: Options<Case>) -> Result<()> {
    let run = super::Bench::prepare(options)?;
    let certificate = Certificate::make()?;
    let bench = Bench { run, certificate };
    for case in bench.run.options.cases() {
        let origin = Origin::start(&bench.run.programs, &bench.run.cores)?;
        match case {
            Case::Bulk | Case::Streams => {
                rounds::run(bench.run.pace(), case.job(), contenders(&bench, case, &origin))?;
            }
            Case::RoundTrip => round_trip::run(&bench, &origin)?,
            Case::Parts | Case::Circuit | Case::FirstByte | Case::Memory => {
                if !bench.run.peers.contains(&Peer::Shoalway) {
                    eprintln!("{}: left out, it is about ours alone", case.name());
                    continue;
                }
                let done = match case {
                    Case::Parts => parts::run(&bench, &origin),
                    Case::Circuit => circuit::run(&bench, &origin),
                    Case::FirstByte => first_byte::run(&bench, &origin),
                    Case::Memory | Case::Bulk | Case::Streams | Case::RoundTrip => {
                        memory::run(&bench, &origin)
                    }
                };
                if let Err(error) = done {
                    println!("\n### {}\n\nNot measured: {error:#}", case.title());
                }
            }
        }
    }
    Ok(())
}

fn contenders<'a>(bench: &'a Bench, case: Case, origin: &'a Origin) -> Vec<Contender<'a>> {
    let contender = |peer: Peer| Contender {
        name: peer.name(),
        role: role(peer),
        ours: peer == Peer::Shoalway,
        competes: true,
        most: case.most(peer),
        start: Box::new(move || bench.start(peer, &Manner::USUAL, origin)),
        load: Box::new(move |running, amount| {
            let mut options = case.load(origin.ports, amount);
            options.push(("users", case::users(case, peer).to_string()));
            bench.load(running, options)
        }),
    };
    bench.run.peers.iter().copied().map(contender).collect()
}

/// What the tables say a peer does.
const fn role(peer: Peer) -> &'static str {
    match peer {
        Peer::Shoalway => "2 hops: client, entry, exit",
        Peer::ShadowsocksRust | Peer::ShadowsocksLibev => "1 hop: client, server",
        Peer::Tor => "3 hops: client, 3 relays",
        Peer::Squid
        | Peer::TrafficServer
        | Peer::Tinyproxy
        | Peer::Haproxy
        | Peer::Nginx
        | Peer::Danted
        | Peer::Microsocks
        | Peer::Envoy
        | Peer::Caddy => "",
    }
}

/// How many nodes lie between client and origin.
const fn hops(peer: Peer) -> u32 {
    match peer {
        Peer::Shoalway => 2,
        Peer::Tor => 3,
        Peer::ShadowsocksRust
        | Peer::ShadowsocksLibev
        | Peer::Squid
        | Peer::TrafficServer
        | Peer::Tinyproxy
        | Peer::Haproxy
        | Peer::Nginx
        | Peer::Danted
        | Peer::Microsocks
        | Peer::Envoy
        | Peer::Caddy => 1,
    }
}

/// How long a network may take until it carries the first bytes; Tor's needs a consensus, ours a snapshot.
const BOOTSTRAP: Duration = Duration::from_secs(60);

impl Bench {
    /// Starts all processes of `peer` and waits until bytes pass through them.
    ///
    /// # Errors
    /// When it does not come up, or no bytes pass within [`BOOTSTRAP`].
    fn start(&self, peer: Peer, manner: &Manner, origin: &Origin) -> Result<Running> {
        let (site, members) = match peer {
            Peer::Shoalway => ours::prepare(self, manner, origin.ports)?,
            Peer::Tor => tor::prepare(origin.ports)?,
            other => shadowsocks::prepare(other, origin.ports)?,
        };
        let command = fleet::command(&site, &members)?;
        let running = Running::start(command, site, Door::Proxy, &self.run.cores)?;
        self.until_it_carries(&running, origin)?;
        Ok(running)
    }

    fn until_it_carries(&self, running: &Running, origin: &Origin) -> Result<()> {
        let until = Instant::now() + BOOTSTRAP;
        loop {
            let outcome = self.load(running, case::one_exchange(origin.ports))?;
            if outcome.failed == 0 {
                return Ok(());
            }
            if Instant::now() >= until {
                let words = running.last_words();
                bail!("carries nothing after {} s: {}; {words}", BOOTSTRAP.as_secs(), outcome.error);
            }
            sleep(Duration::from_millis(500));
        }
    }

    /// Runs the load that `options` describe through a peer's SOCKS5 port.
    ///
    /// # Errors
    /// When it cannot be started.
    fn load(&self, running: &Running, options: Vec<(&str, String)>) -> Result<Outcome> {
        load::run(self.load_command(running, options), &self.run.cores)
    }

    fn load_command(&self, running: &Running, mut options: Vec<(&str, String)>) -> Command {
        options.push(("proxy", running.address(Door::Proxy).to_string()));
        options.push(("via", "socks5".to_owned()));
        options.push(("max-seconds", MAX_SECONDS.to_string()));
        self.run.programs.load(&options)
    }
}
