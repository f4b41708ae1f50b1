//! Memory: how much entry and exit grow with each idle circuit, and how large a client with 64 of them is.
//!
//! Once: memory does not depend on the minute. Each circuit carries one idle tunnel that has been used; at the entry that is a
//! circuit and nothing else. A client may make 128 circuits at once, and memory comes in pieces of many KiB: therefore eight
//! clients, and growth from the moment at which each has its link and one circuit. Kernel memory is not counted.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::load::{Held, MAX_SECONDS_IDLE, Origin};
use super::super::peer::Peer;
use super::super::process_tree;
use super::super::site::{Door, Running};
use super::ours::{CROWD, Manner};
use super::{Bench, Case, fleet};

/// Circuits of the client that is weighed.
const WEIGHED: u64 = 64;
/// Circuits of each of the others: fewer than a client may make at once.
const EACH: u64 = 110;
/// KiB of a circuit, MB of a client.
const TARGETS: (f64, f64) = (8.0, 40.0);
/// Until buffers that are kept for a moment are given back.
const REST: Duration = Duration::from_secs(2);

/// Measures and prints the table.
///
/// # Errors
/// When ours does not come up or the load fails.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let manner = Manner { crowded: true, ..Manner::COLD };
    let running = bench.start(Peer::Shoalway, &manner, origin)?;
    let mut others = Vec::new();
    for (_, _, port) in CROWD {
        let port = fs::read_to_string(running.site().dir.join(port))?;
        others.push(format!("127.0.0.1:{port}"));
    }
    let first = running.address(Door::Proxy).to_string();
    let hold = |proxy: &String, count| hold(bench, origin, proxy, count);
    let mut held = vec![hold(&first, 1)?];
    for proxy in &others {
        held.push(hold(proxy, 1)?);
    }
    sleep(REST);
    let (entry_before, exit_before) = (resident(&running, "entry")?, resident(&running, "exit")?);
    held.push(hold(&first, WEIGHED - 1)?);
    sleep(REST);
    let client = resident(&running, "client")?;
    for proxy in &others {
        held.push(hold(proxy, EACH)?);
    }
    sleep(REST);
    let (entry, exit) = (resident(&running, "entry")?, resident(&running, "exit")?);
    let all: u64 = held.iter().map(|held| held.count).sum();
    let grown = (all - 1 - others.len() as u64) as f64;
    print(all, (entry - entry_before) / grown, (exit - exit_before) / grown, client * 1024.0 / 1e6);
    println!("| entry with {all} circuits, resident | {:.1} MB | |", entry * 1024.0 / 1e6);
    Ok(())
}

fn print(all: u64, entry: f64, exit: f64, client: f64) {
    let said = |reached| if reached { "reached" } else { "missed" };
    let (circuit, most) = TARGETS;
    println!("\n### {}, {all} circuits of {} clients\n", Case::Memory.title(), 1 + CROWD.len());
    println!("| what | size | remark |\n|---|---|---|");
    let reached = said(entry <= circuit);
    println!("| growth of the entry per circuit | {entry:.1} KiB | target {circuit} KiB: {reached} |");
    println!("| growth of the exit per circuit with a tunnel | {exit:.1} KiB | |");
    let reached = said(client <= most);
    println!("| client with {WEIGHED} circuits, resident | {client:.1} MB | target {most} MB: {reached} |");
}

/// Opens tunnels through a client and holds them.
fn hold(bench: &Bench, origin: &Origin, proxy: &str, count: u64) -> Result<Held> {
    let mut options = Case::Memory.load(origin.ports, count);
    options.push(("proxy", proxy.to_owned()));
    options.push(("via", "socks5".to_owned()));
    options.push(("max-seconds", MAX_SECONDS_IDLE.to_string()));
    let held = Held::open(bench.run.programs.load(&options), &bench.run.cores)?;
    ensure!(held.count == count, "{} of {count} tunnels are open", held.count);
    Ok(held)
}

/// Resident memory of one of ours in KiB.
fn resident(running: &Running, name: &str) -> Result<f64> {
    let pid = fleet::pid(running.site(), name)?;
    Ok(process_tree::resident_kib(pid).context("its process has ended")? as f64)
}
