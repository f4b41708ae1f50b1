//! Memory of idle kept-alive clients: how much the process tree grows when many have come, asked once, and stayed.
//!
//! Once each: memory does not depend on the minute as time does. Kernel memory is not counted.

use anyhow::Result;

use super::super::load::{Held, Origin};
use super::super::peer::Peer;
use super::super::table::{Line, Summary, Table};
use super::super::{machine, process_tree};
use super::setup::Service;
use super::{Bench, Case, demand};

/// MiB by which a peer grew, and that it has in all.
struct Memory {
    grown: f64,
    all: f64,
}

/// Measures every peer in fresh processes and prints the table.
///
/// # Errors
/// When the load cannot be started.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let wished = if bench.run.options.quick { 1_000 } else { 10_000 };
    // One socket a client, and what peers keep for themselves; HAProxy reserves two for each.
    let count = wished.min(machine::descriptors().saturating_sub(RESERVE) / 2);
    let mut lines = Vec::new();
    for peer in bench.peers(Case::Idle) {
        let memory = measure(bench, peer, origin, count);
        let said = memory
            .as_ref()
            .map_or_else(|error| format!("{error:#}"), |memory| format!("{:.2} MiB", memory.grown));
        eprintln!("idle: {} {said}", peer.name());
        lines.push(line(peer, &memory));
    }
    let title = format!("{}, {count} open at once", Case::Idle.title());
    let table = Table {
        title: &title,
        cost: "MiB grown",
        ratio: "clients per memory",
        more: &["MiB in all"],
        target: None,
        against: &[("haproxy", 1.0)],
        lines,
    };
    println!("{}", table.markdown());
    Ok(())
}

/// Descriptors a proxy may need besides those of its clients.
const RESERVE: u64 = 1_200;

fn measure(bench: &Bench, peer: Peer, origin: &Origin, count: u64) -> Result<Memory> {
    let running = bench.start(peer, Case::Idle, origin, Service::Steady)?;
    let open =
        |count| Held::open(demand::command(bench, Case::Idle, &running, origin, count), &bench.run.cores);
    // A few first, so that what is allocated once is not charged to the many.
    drop(open(20)?);
    let before = process_tree::memory_kib(running.root());
    let held = open(count)?;
    let after = process_tree::memory_kib(running.root());
    anyhow::ensure!(held.count == count, "only {} of {count} clients: {}", held.count, running.last_words());
    Ok(Memory { grown: after.saturating_sub(before) as f64 / 1024.0, all: after as f64 / 1024.0 })
}

fn line(peer: Peer, memory: &Result<Memory>) -> Line {
    let known = memory.as_ref().ok();
    Line {
        name: peer.name().to_owned(),
        role: Case::Idle.role().to_owned(),
        cost: known.and_then(|memory| Summary::of(&[memory.grown])),
        ours: peer == Peer::Shoalway,
        competes: true,
        more: vec![known.map_or_else(String::new, |memory| format!("{:.1}", memory.all))],
        remark: memory
            .as_ref()
            .err()
            .map_or_else(String::new, |error| format!("{error:#}").replace('|', "/")),
    }
}
