//! Memory: how much the entry grows with each idle circuit, and how large a client with 64 of them is.
//!
//! Once: memory does not depend on the minute. Each circuit carries one idle tunnel that has been used; at the entry that is a
//! circuit and nothing else. Kernel memory is not counted.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::load::{Held, Origin};
use super::super::peer::Peer;
use super::super::process_tree;
use super::super::site::Running;
use super::ours::Manner;
use super::{Bench, Case, fleet};

/// With these comes what comes once, whatever their number.
const FIRST: u64 = 16;
/// Circuits of the client that is weighed.
const CLIENT: u64 = 64;
/// Further ones, by which the others grow: with those before fewer than a client may have. Above 128 in all they come four a second.
const MORE: u64 = 176;
const MORE_QUICK: u64 = 56;
/// KiB of a circuit, MB of a client.
const TARGETS: (f64, f64) = (8.0, 40.0);
/// Until buffers that are kept for a moment are given back.
const REST: Duration = Duration::from_secs(2);

/// Measures and prints the table.
///
/// # Errors
/// When ours does not come up or the load fails.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let running = bench.start(Peer::Shoalway, &Manner::COLD, origin)?;
    let none = resident(&running, "entry")?;
    let first = hold(bench, &running, origin, FIRST)?;
    let (before, exit_before) = (resident(&running, "entry")?, resident(&running, "exit")?);
    let second = hold(bench, &running, origin, CLIENT - FIRST)?;
    let client = resident(&running, "client")?;
    let more = if bench.run.options.quick { MORE_QUICK } else { MORE };
    let third = hold(bench, &running, origin, more)?;
    let grown = second.count + third.count;
    let (all, count) = (first.count + grown, grown as f64);
    let (entry, exit) = (resident(&running, "entry")?, resident(&running, "exit")?);
    let circuit = (entry - before) / count;
    let megabytes = client * 1024.0 / 1e6;
    let said = |reached| if reached { "reached" } else { "missed" };
    println!("\n### {}, {all} circuits\n", Case::Memory.title());
    println!("| what | size | remark |\n|---|---|---|");
    println!(
        "| growth of the entry per circuit | {circuit:.1} KiB | target {} KiB: {} |",
        TARGETS.0,
        said(circuit <= TARGETS.0)
    );
    let whole = (entry - none) / all as f64;
    println!("| the same with what comes once, from the first circuit on | {whole:.1} KiB | |");
    println!("| growth of the exit per circuit with a tunnel | {:.1} KiB | |", (exit - exit_before) / count);
    println!(
        "| client with {CLIENT} circuits, resident | {megabytes:.1} MB | target {} MB: {} |",
        TARGETS.1,
        said(megabytes <= TARGETS.1)
    );
    println!("| entry with {all} circuits, resident | {:.1} MB | |", entry * 1024.0 / 1e6);
    Ok(())
}

fn hold(bench: &Bench, running: &Running, origin: &Origin, count: u64) -> Result<Held> {
    let command = bench.load_command(running, Case::Memory.load(origin.ports, count));
    let held = Held::open(command, &bench.run.cores)?;
    ensure!(held.count == count, "{} of {count} tunnels are open", held.count);
    sleep(REST);
    Ok(held)
}

/// Resident memory of one of ours in KiB.
fn resident(running: &Running, name: &str) -> Result<f64> {
    let pid = fleet::pid(running.site(), name)?;
    Ok(process_tree::resident_kib(pid).context("its process has ended")? as f64)
}
