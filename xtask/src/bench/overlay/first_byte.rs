//! A new flow over a long path: from the client's connection to the end of its first exchange, 10 ms each way between client and entry.
//!
//! The path is a relay that passes bytes on later. It accepts connections at once, as no long path does: to a direct connection
//! one there and back for TCP's own handshake has to be added, which the table does.

use std::net::SocketAddrV4;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::load::{Delay, Origin, Outcome};
use super::super::peer::Peer;
use super::super::site::free_port;
use super::super::table::{Line, Summary, Table};
use super::ours::{Detour, Manner};
use super::round_trip::direct;
use super::{Bench, Case};

const MILLISECONDS: u32 = 10;
/// Flows of one round: fewer than circuits in stock.
const FLOWS: u64 = 6;
const STOCK: u32 = 8;
/// Circuits are made ready one at a time with pauses of two seconds on average.
const UNTIL_STOCKED: Duration = Duration::from_secs(40);
/// What a flow may take, as a multiple of a direct one over the same path.
const TARGET: f64 = 1.15;

/// Measures and prints the table.
///
/// # Errors
/// When ours does not come up or the load fails.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let echo = SocketAddrV4::new([127, 0, 0, 11].into(), origin.ports.echo);
    let port = free_port()?;
    let path = Delay::start(&bench.run.programs, &bench.run.cores, port, echo, MILLISECONDS)?;
    let at = SocketAddrV4::new([127, 0, 0, 1].into(), port);
    let outcome = direct(bench, Case::FirstByte.load(origin.ports, 50), at)?;
    drop(path);
    ensure!(outcome.failed == 0, "{}", outcome.error);
    let handshake = f64::from(2 * MILLISECONDS);
    let reference = outcome.p50 as f64 / 1e3 + handshake;
    let mut lines = vec![line("no proxy", "TCP's handshake, then the exchange", &[reference], false, 0.0)];
    for (role, optimistic) in [("waits for the exit's word", false), ("optimistic", true)] {
        let mut samples = Vec::new();
        for round in 1..=if bench.run.options.quick { 1 } else { bench.run.options.rounds } {
            let outcome = measure(bench, origin, optimistic)?;
            eprintln!("first-byte round {round}, {role}: p50 {} us", outcome.p50);
            samples.push(outcome.p50 as f64 / 1e3);
        }
        lines.push(line("shoalway", role, &samples, true, reference));
    }
    let table = Table {
        title: Case::FirstByte.title(),
        cost: "ms: median (min-max)",
        ratio: "speed",
        more: &[],
        target: None,
        against: &[],
        lines,
    };
    println!("{}", table.markdown());
    Ok(())
}

fn measure(bench: &Bench, origin: &Origin, optimistic: bool) -> Result<Outcome> {
    let by = Detour { from: free_port()?, to: free_port()? };
    let entry = SocketAddrV4::new([127, 0, 0, 1].into(), by.to);
    let path = Delay::start(&bench.run.programs, &bench.run.cores, by.from, entry, MILLISECONDS)?;
    let manner = Manner { optimistic, stock: STOCK, by: Some(by), ..Manner::COLD };
    let running = bench.start(Peer::Shoalway, &manner, origin)?;
    sleep(UNTIL_STOCKED);
    let outcome = bench.load(&running, Case::FirstByte.load(origin.ports, FLOWS))?;
    drop(path);
    ensure!(outcome.failed == 0, "{}", outcome.error);
    Ok(outcome)
}

fn line(name: &str, role: &str, samples: &[f64], ours: bool, reference: f64) -> Line {
    let cost = Summary::of(samples);
    let remark = match cost {
        Some(cost) if ours && cost.median <= reference * TARGET => format!("target {TARGET} x: reached"),
        Some(_) if ours => format!("target {TARGET} x: missed"),
        Some(_) | None => String::new(),
    };
    let (name, role) = (name.to_owned(), role.to_owned());
    Line { name, role, cost, ours, competes: !ours, more: Vec::new(), remark }
}
