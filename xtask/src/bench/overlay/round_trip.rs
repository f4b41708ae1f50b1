//! Time of 64 bytes there and back through a tunnel that stands, while nothing else is under way; and what each hop adds to it.

use std::net::SocketAddrV4;

use anyhow::{Result, ensure};

use super::super::load::{self, MAX_SECONDS, Origin, Outcome};
use super::super::peer::Peer;
use super::super::site::Running;
use super::super::table::{Line, Summary, Table};
use super::ours::Manner;
use super::{Bench, Case, hops, role};

/// Microseconds that a hop may add.
const TARGET: f64 = 200.0;

/// A peer at work, or none: the origin alone.
struct Entrant {
    peer: Option<Peer>,
    running: Option<Running>,
    trouble: String,
    /// Medians and 99th of a hundred, in microseconds.
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Measures every peer in turn and prints the table.
///
/// # Errors
/// When the load cannot be started.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let mut entrants = vec![Entrant::new(None)];
    for peer in bench.run.peers.iter().copied() {
        let mut entrant = Entrant::new(Some(peer));
        match bench.start(peer, &Manner::USUAL, origin) {
            Ok(running) => entrant.running = Some(running),
            Err(error) => entrant.trouble = format!("does not come up: {error:#}").replace('|', "/"),
        }
        entrants.push(entrant);
    }
    let count = if bench.run.options.quick { 2_000 } else { 10_000 };
    for round in 1..=bench.run.options.rounds {
        for entrant in &mut entrants {
            if entrant.peer.is_some() && entrant.running.is_none() {
                continue;
            }
            match measure(bench, entrant.running.as_ref(), origin, count) {
                Ok(outcome) => {
                    eprintln!("round-trip round {round}: {} p50 {} us", entrant.name(), outcome.p50);
                    entrant.p50.push(outcome.p50 as f64);
                    entrant.p99.push(outcome.p99 as f64);
                }
                Err(error) => {
                    entrant.trouble = format!("{error:#}").replace('|', "/");
                    entrant.running = None;
                }
            }
        }
    }
    let direct = entrants.iter().find(|entrant| entrant.peer.is_none());
    let direct = direct.and_then(|entrant| Summary::of(&entrant.p50)).map_or(0.0, |summary| summary.median);
    let table = Table {
        title: Case::RoundTrip.title(),
        cost: "p50 us: median (min-max)",
        ratio: "speed",
        more: &["p99 us", "us added a hop"],
        target: None,
        against: &[("shadowsocks-rust", 0.5)],
        lines: entrants.iter().map(|entrant| entrant.line(direct)).collect(),
    };
    println!("{}", table.markdown());
    Ok(())
}

fn measure(bench: &Bench, running: Option<&Running>, origin: &Origin, count: u64) -> Result<Outcome> {
    let options = Case::RoundTrip.load(origin.ports, count);
    let outcome = match running {
        Some(running) => bench.load(running, options)?,
        None => direct(bench, options, SocketAddrV4::new([127, 0, 0, 11].into(), origin.ports.echo))?,
    };
    ensure!(outcome.failed == 0, "{}", outcome.error);
    Ok(outcome)
}

/// Runs a load without any peer.
///
/// # Errors
/// When it cannot be started.
pub(super) fn direct(
    bench: &Bench,
    mut options: Vec<(&'static str, String)>,
    to: SocketAddrV4,
) -> Result<Outcome> {
    options.push(("proxy", to.to_string()));
    options.push(("via", "direct".to_owned()));
    options.push(("max-seconds", MAX_SECONDS.to_string()));
    load::run(bench.run.programs.load(&options), &bench.run.cores)
}

impl Entrant {
    const fn new(peer: Option<Peer>) -> Self {
        Self { peer, running: None, trouble: String::new(), p50: Vec::new(), p99: Vec::new() }
    }

    fn name(&self) -> &'static str {
        self.peer.map_or("no proxy", Peer::name)
    }

    fn line(&self, direct: f64) -> Line {
        let ours = self.peer == Some(Peer::Shoalway);
        let cost = Summary::of(&self.p50).filter(|_| self.trouble.is_empty());
        let added = self.peer.zip(cost).map(|(peer, cost)| (cost.median - direct) / f64::from(hops(peer)));
        let remark = match added {
            Some(added) if ours && added <= TARGET => format!("target {TARGET:.0} us a hop: reached"),
            Some(_) if ours => format!("target {TARGET:.0} us a hop: missed"),
            Some(_) | None => self.trouble.clone(),
        };
        Line {
            name: self.name().to_owned(),
            role: self.peer.map_or("the origin alone, for reference", role).to_owned(),
            cost,
            ours,
            competes: self.peer.is_some(),
            more: vec![
                Summary::of(&self.p99).map_or_else(String::new, |p99| format!("{:.0}", p99.median)),
                added.map_or_else(String::new, |added| format!("{added:.0}")),
            ],
            remark,
        }
    }
}
