//! What a circuit costs that is made when a flow comes: CPU of all three processes, for a flow with one and for a flow on one that
//! stands. The rest is the circuit.
//!
//! A client may make 128 circuits at once and 4 a second then; each round therefore has new processes and stays below.

use anyhow::{Result, ensure};

use super::super::load::{Origin, Outcome};
use super::super::peer::Peer;
use super::super::process_tree;
use super::super::site::Running;
use super::super::table::{Line, Summary, Table};
use super::ours::Manner;
use super::{Bench, Case};

/// Flows before those that are measured, and those.
const WARM_UP: u64 = 15;
const FLOWS: u64 = 90;
/// Of a flow on a standing circuit: as many users, since a circuit takes 64 streams at once.
const USERS: u64 = 3;
/// Microseconds of CPU that a circuit may cost.
const TARGET: f64 = 600.0;

/// Measures and prints the table.
///
/// # Errors
/// When ours does not come up or the load fails.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let (mut cold, mut warm, mut circuits) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=bench.run.options.rounds {
        let with = micros(bench, &Manner::COLD, origin)?;
        let without = micros(bench, &Manner::USUAL, origin)?;
        eprintln!("circuit round {round}: {with:.0} us with, {without:.0} us without");
        cold.push(with);
        warm.push(without);
        circuits.push(with - without);
    }
    let line = |name: &str, role: &str, samples: &[f64], remark: String| Line {
        name: name.to_owned(),
        role: role.to_owned(),
        cost: Summary::of(samples),
        ours: false,
        competes: true,
        more: Vec::new(),
        remark,
    };
    let reached = Summary::of(&circuits).is_some_and(|cost| cost.median <= TARGET);
    let remark = format!("target {TARGET:.0} us: {}", if reached { "reached" } else { "missed" });
    let lines = vec![
        line("a flow with its circuit", "one at a time", &cold, String::new()),
        line("a flow on a circuit that stands", "one at a time", &warm, String::new()),
        line("a circuit", "the difference", &circuits, remark),
    ];
    let table = Table {
        title: Case::Circuit.title(),
        cost: "CPU us: median (min-max)",
        ratio: "per CPU second",
        more: &[],
        target: None,
        against: &[],
        lines,
    };
    println!("{}", table.markdown());
    Ok(())
}

fn micros(bench: &Bench, manner: &Manner, origin: &Origin) -> Result<f64> {
    let running = bench.start(Peer::Shoalway, manner, origin)?;
    flows(bench, &running, origin, WARM_UP)?;
    let before = process_tree::cpu_precisely(running.root());
    let outcome = flows(bench, &running, origin, FLOWS)?;
    let burnt = process_tree::cpu_precisely(running.root()) - before;
    Ok(burnt * 1e6 / outcome.done as f64)
}

fn flows(bench: &Bench, running: &Running, origin: &Origin, count: u64) -> Result<Outcome> {
    let mut options = Case::Circuit.load(origin.ports, count);
    options.push(("users", USERS.to_string()));
    let outcome = bench.load(running, options)?;
    ensure!(outcome.failed == 0, "{}", outcome.error);
    Ok(outcome)
}
