//! Time to answer when requests come at a fixed rate: 80 % of what each peer can do at most, and the rate that is
//! 80 % of what the slowest can, for all alike.
//!
//! Each request counts from the moment it was due (no coordinated omission). The first of each pair says how a peer
//! behaves near its own limit; a faster one has more to do there. The second puts the same demand to all.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

use anyhow::{Context, Result};

use super::super::load::{self, MAX_SECONDS, Origin, Outcome};
use super::super::peer::Peer;
use super::super::process_tree;
use super::super::site::Running;
use super::super::table::{Line, Summary, Table};
use super::certificate::HOST;
use super::setup::Service;
use super::{Bench, Case};

/// A peer at work, or the origin alone: what the load and this machine add by themselves.
struct Entrant {
    peer: Option<Peer>,
    /// Where it listens; nothing when it is out.
    at: Option<SocketAddrV4>,
    running: Option<Running>,
    trouble: String,
    /// Requests a second that it answered at most, and how busy its core was then.
    most: f64,
    busy: f64,
    own: Vec<Outcome>,
    common: Vec<Outcome>,
}

/// Measures every peer and prints two tables.
///
/// # Errors
/// When the load cannot be started.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let mut entrants = Vec::new();
    for peer in bench.peers(Case::Latency) {
        let mut entrant = Entrant::new(Some(peer));
        if let Err(error) = entrant.saturate(bench, peer, origin) {
            entrant.give_up(&format!("does not come up: {error:#}"));
        }
        entrants.push(entrant);
    }
    let working = entrants.iter().filter(|entrant| entrant.at.is_some());
    let Some(slowest) = working.map(|entrant| entrant.most).min_by(f64::total_cmp) else {
        println!("\n### {}\n\nNobody to measure.", Case::Latency.title());
        for entrant in &entrants {
            println!("{}: {}", entrant.name(), entrant.trouble);
        }
        return Ok(());
    };
    let mut floor = Entrant::new(None);
    floor.at = Some(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 11), origin.ports.http));
    for round in 1..=bench.run.options.rounds {
        if let Some(outcome) = floor.paced(bench, origin, slowest * LOAD)? {
            floor.common.push(outcome);
        }
        for entrant in &mut entrants {
            for (rate, own) in [(entrant.most * LOAD, true), (slowest * LOAD, false)] {
                let Some(outcome) = entrant.paced(bench, origin, rate)? else { continue };
                let name = entrant.name();
                eprintln!("latency round {round}: {name} at {rate:.0}/s, p99 {} us", outcome.p99);
                if own { entrant.own.push(outcome) } else { entrant.common.push(outcome) }
            }
        }
    }
    let title = format!("{}, each at 80 % of its own", Case::Latency.title());
    let own = entrants.iter().map(|entrant| entrant.line(&entrant.own, entrant.most * LOAD)).collect();
    println!("{}", table(&title, own).markdown());
    let title = format!("{}, all at 80 % of the slowest", Case::Latency.title());
    entrants.push(floor);
    let common = entrants.iter().map(|entrant| entrant.line(&entrant.common, slowest * LOAD)).collect();
    println!("{}", table(&title, common).markdown());
    Ok(())
}

/// Part of what a peer can do at most.
const LOAD: f64 = 0.8;

fn table(title: &str, lines: Vec<Line>) -> Table<'_> {
    let (cost, ratio) = ("p99 us: median (min-max)", "speed");
    let more = &["p50 us", "p99.9 us", "requests/s", "saturation/s", "core busy then"];
    Table { title, cost, ratio, more, target: Some(1.0), against: &[], lines }
}

/// `count` requests to `at`, `rate` of them due each second.
fn command(bench: &Bench, origin: &Origin, at: SocketAddrV4, rate: f64, count: u64) -> Command {
    bench.run.programs.load(&[
        ("mode", "paced".to_owned()),
        ("proxy", at.to_string()),
        ("host", HOST.to_owned()),
        ("port", origin.ports.http.to_string()),
        ("workers", CONNECTIONS.to_string()),
        ("rate", format!("{rate:.0}")),
        ("count", count.to_string()),
        ("max-seconds", MAX_SECONDS.to_string()),
    ])
}

impl Entrant {
    const fn new(peer: Option<Peer>) -> Self {
        let trouble = String::new();
        Self {
            peer,
            at: None,
            running: None,
            trouble,
            most: 0.0,
            busy: 0.0,
            own: Vec::new(),
            common: Vec::new(),
        }
    }

    fn name(&self) -> &'static str {
        self.peer.map_or("no proxy", Peer::name)
    }

    fn give_up(&mut self, why: &str) {
        eprintln!("{}: {why}", self.name());
        self.at = None;
        why.replace('|', "/").clone_into(&mut self.trouble);
        self.running = None;
    }

    /// Starts the peer and finds how many requests a second it answers when all are due at once: the median of three runs.
    fn saturate(&mut self, bench: &Bench, peer: Peer, origin: &Origin) -> Result<()> {
        let running = bench.start(peer, Case::Latency, origin, Service::Steady)?;
        let amount = if bench.run.options.quick { 20_000 } else { 60_000 };
        let (mut rates, mut busy) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let before = process_tree::cpu(running.root());
            // All are due at once: the same load and as many connections as at a fixed rate, and nothing waits.
            let command = command(bench, origin, running.address(Case::Latency.door()), 1e9, amount);
            let outcome = load::run(command, &bench.run.cores)?;
            let (user, kernel) = process_tree::cpu(running.root()).since(before);
            anyhow::ensure!(outcome.failed == 0, "{} failed: {}", outcome.failed, outcome.error);
            rates.push(outcome.done as f64 / outcome.seconds);
            busy.push((user + kernel) / outcome.seconds);
        }
        self.most = Summary::of(&rates).context("three runs")?.median;
        self.busy = Summary::of(&busy).context("three runs")?.median;
        self.at = Some(running.address(Case::Latency.door()));
        self.running = Some(running);
        Ok(())
    }

    /// One run at `rate`; nothing when the peer is out.
    fn paced(&mut self, bench: &Bench, origin: &Origin, rate: f64) -> Result<Option<Outcome>> {
        let Some(at) = self.at else { return Ok(None) };
        let seconds = if bench.run.options.quick { 2 } else { 8 };
        let command = command(bench, origin, at, rate, (rate * f64::from(seconds)) as u64);
        let outcome = load::run(command, &bench.run.cores)?;
        if outcome.failed > 0 {
            self.give_up(&format!("{} failed: {}", outcome.failed, outcome.error));
            return Ok(None);
        }
        Ok(Some(outcome))
    }

    fn line(&self, outcomes: &[Outcome], rate: f64) -> Line {
        let summary = |of: fn(&Outcome) -> u64| {
            let values: Vec<f64> = outcomes.iter().map(|outcome| of(outcome) as f64).collect();
            Summary::of(&values).filter(|_| self.trouble.is_empty())
        };
        let median = |of| summary(of).map_or_else(String::new, |summary| format!("{:.0}", summary.median));
        let cost = summary(|outcome| outcome.p99);
        let valid = |text: String| if cost.is_some() { text } else { String::new() };
        Line {
            name: self.name().to_owned(),
            role: self.peer.map_or("the origin alone, for reference", |_| Case::Latency.role()).to_owned(),
            cost,
            ours: self.peer == Some(Peer::Shoalway),
            competes: self.peer.is_some(),
            more: vec![
                median(|outcome| outcome.p50),
                median(|outcome| outcome.p999),
                valid(format!("{rate:.0}")),
                self.peer.map_or_else(String::new, |_| valid(format!("{:.0}", self.most))),
                self.peer.map_or_else(String::new, |_| valid(format!("{:.0} %", self.busy * 100.0))),
            ],
            remark: self.trouble.clone(),
        }
    }
}

/// Kept-alive connections; a request waits when all are busy.
const CONNECTIONS: u32 = 128;
