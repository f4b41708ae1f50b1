//! Memory of idle tunnels: how much the process tree grows when many are opened, divided by their number.
//!
//! Once each: memory does not depend on the minute as time does. Each tunnel carries one small exchange first, so that buffers have been used. Kernel memory is not counted.

use anyhow::Result;

use super::super::load::{Held, Origin};
use super::super::peer::Peer;
use super::super::table::{Line, Summary, Table};
use super::super::{machine, process_tree};
use super::case::{Case, Row};
use super::{Bench, load_command, start_peer};

/// Measures every peer in fresh processes and prints the table.
///
/// # Errors
/// When load or origin cannot be started.
pub(super) fn run(bench: &Bench) -> Result<()> {
    let origin = Origin::start(&bench.programs, &bench.cores)?;
    // Two sockets a tunnel, and what peers keep for themselves.
    let wished = if bench.options.quick { 1_000 } else { 10_000 };
    let count = wished.min(machine::descriptors().saturating_sub(RESERVE) / 2);
    let rows: Vec<Row> =
        Case::Idle.rows().into_iter().filter(|row| bench.peers.contains(&row.peer)).collect();
    let mut samples = Vec::new();
    for row in &rows {
        let sample = measure(bench, row, &origin, count);
        let said = sample.as_ref().map_or_else(|error| format!("{error:#}"), |bytes| format!("{bytes:.0} B"));
        eprintln!("idle: {} ({}) {said}", row.peer.name(), row.role);
        samples.push(sample);
    }
    let lines = rows.iter().zip(&samples).map(|(row, sample)| line(row, sample)).collect();
    let title = format!("{}, {count} open at once", Case::Idle.title());
    let cost = "bytes per tunnel";
    let table = Table {
        title: &title,
        cost,
        ratio: "tunnels per memory",
        more: &[],
        target: None,
        against: &[],
        lines,
    };
    println!("{}", table.markdown());
    Ok(())
}

/// Descriptors a proxy may need besides its tunnels.
const RESERVE: u64 = 4_000;

fn measure(bench: &Bench, row: &Row, origin: &Origin, count: u64) -> Result<f64> {
    let running = start_peer(bench, row, origin)?;
    let open = |count| {
        let command = load_command(&bench.programs, Case::Idle, row, &running, origin, count);
        Held::open(command, &bench.cores)
    };
    // A few first, so that what is allocated once is not charged to the many.
    drop(open(20)?);
    let before = process_tree::memory_kib(running.root());
    let held = open(count)?;
    let after = process_tree::memory_kib(running.root());
    anyhow::ensure!(held.count == count, "only {} of {count} tunnels: {}", held.count, running.last_words());
    Ok(after.saturating_sub(before) as f64 * 1024.0 / count as f64)
}

fn line(row: &Row, sample: &Result<f64>) -> Line {
    let cost = sample.as_ref().ok().and_then(|bytes| Summary::of(&[*bytes]));
    let trouble = sample.as_ref().err().map(|error| format!("{error:#}"));
    let ours = row.peer == Peer::Shoalway;
    let within =
        |cost: Summary| if cost.median <= TARGET { "target 4,096: reached" } else { "target 4,096: missed" };
    let remark = match (ours, cost) {
        (true, Some(cost)) => within(cost).to_owned(),
        (true | false, _) => trouble.unwrap_or_default().replace('|', "/"),
    };
    Line {
        name: row.peer.name().to_owned(),
        role: row.role.to_owned(),
        cost,
        ours,
        competes: !row.reference,
        more: Vec::new(),
        remark,
    }
}

/// Bytes of own memory that an idle tunnel of ours may hold.
const TARGET: f64 = 4096.0;
