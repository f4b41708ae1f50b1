//! The bulk download, and what each of our three processes takes for it: how much a core of the entry carries.

use anyhow::{Result, ensure};

use super::super::load::Origin;
use super::super::peer::Peer;
use super::super::process_tree;
use super::super::table::{Line, Summary, Table};
use super::ours::Manner;
use super::{Bench, Case, fleet};

/// Gbit that a core of the entry should carry in a second.
const TARGET: f64 = 8.0;

const PARTS: [(&str, &str); 3] = [
    ("client", "SOCKS5, records, one TLS"),
    ("entry", "two TLS, no records"),
    ("exit", "one TLS, records, the origin"),
];

/// Measures and prints the table.
///
/// # Errors
/// When ours does not come up or the load fails.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let running = bench.start(Peer::Shoalway, &Manner::USUAL, origin)?;
    let mib = if bench.run.options.quick { 1_024 } else { 4_096 };
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); PARTS.len()];
    for round in 0..=bench.run.options.rounds {
        let before = cpu(&running)?;
        let outcome = bench.load(&running, Case::Parts.load(origin.ports, mib))?;
        ensure!(outcome.failed == 0, "{}", outcome.error);
        let gib = outcome.bytes as f64 / (1_u64 << 30) as f64;
        let after = cpu(&running)?;
        // The first round warms up.
        if round > 0 {
            for ((costs, before), after) in samples.iter_mut().zip(before).zip(after) {
                costs.push((after - before) / gib);
            }
        }
    }
    let lines = PARTS.iter().zip(&samples).map(|((name, role), costs)| line(name, role, costs)).collect();
    let table = Table {
        title: Case::Parts.title(),
        cost: "CPU s per GiB: median (min-max)",
        ratio: "work per CPU second",
        more: &["Gbit/s per core"],
        target: None,
        against: &[],
        lines,
    };
    println!("{}", table.markdown());
    Ok(())
}

/// CPU seconds of each part.
fn cpu(running: &super::Running) -> Result<Vec<f64>> {
    PARTS.iter().map(|(name, _)| Ok(process_tree::cpu_precisely(fleet::pid(running.site(), name)?))).collect()
}

fn line(name: &str, role: &str, costs: &[f64]) -> Line {
    let cost = Summary::of(costs);
    let gbits = cost.map(|cost| (1_u64 << 33) as f64 / 1e9 / cost.median);
    let remark = match gbits {
        Some(gbits) if name == "entry" && gbits >= TARGET => format!("target {TARGET} Gbit/s: reached"),
        Some(_) if name == "entry" => format!("target {TARGET} Gbit/s: missed"),
        Some(_) | None => String::new(),
    };
    Line {
        name: name.to_owned(),
        role: role.to_owned(),
        cost,
        ours: false,
        competes: true,
        more: vec![gbits.map_or_else(String::new, |gbits| format!("{gbits:.1}"))],
        remark,
    }
}
