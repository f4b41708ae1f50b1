//! Rounds of CPU time: every peer once, then every peer again, and the median of each.
//!
//! Interleaved, because a shared machine is faster at one minute than at the next. One peer works at a time.

use anyhow::Result;

use super::case::{Case, Row};
use super::load::{self, Origin, Outcome};
use super::peer::Peer;
use super::site::Running;
use super::table::{Line, Summary, Table};
use super::{Bench, process_tree};

/// One measured round.
struct Sample {
    /// CPU seconds in the program and in the kernel.
    user: f64,
    kernel: f64,
    outcome: Outcome,
}

/// A row at work.
struct Entrant {
    row: Row,
    /// Nothing when it did not come up or failed; then `trouble` says why.
    running: Option<Running>,
    trouble: String,
    /// Units of one round.
    amount: u64,
    samples: Vec<Sample>,
}

/// Measures `case` and prints its table.
///
/// # Errors
/// When load or origin cannot be started.
pub(super) fn run(bench: &Bench, case: Case) -> Result<()> {
    let origin = Origin::start(&bench.programs, &bench.cores)?;
    let rows = case.rows().into_iter().filter(|row| bench.peers.contains(&row.peer));
    let mut entrants = Vec::new();
    for row in rows {
        let mut entrant = Entrant::start(bench, row, &origin);
        entrant.calibrate(bench, case, &origin)?;
        entrants.push(entrant);
    }
    for round in 1..=bench.options.rounds {
        for entrant in &mut entrants {
            let Some(sample) = entrant.measure(bench, case, &origin, entrant.amount)? else { continue };
            eprintln!("{} round {round}: {} {}", case.name(), entrant.row.peer.name(), sample.brief(case));
            if sample.outcome.failed > 0 {
                entrant.give_up(&format!("{} failed: {}", sample.outcome.failed, sample.outcome.error));
            }
            entrant.samples.push(sample);
        }
    }
    println!("{}", table(case, &entrants).markdown());
    Ok(())
}

impl Entrant {
    fn start(bench: &Bench, row: Row, origin: &Origin) -> Self {
        let started = Running::start(row.peer, row.door, &bench.cores, origin.ports, &bench.programs.ours());
        let mut entrant = Self { row, running: None, trouble: String::new(), amount: 0, samples: Vec::new() };
        match started {
            Ok(running) => entrant.running = Some(running),
            Err(error) => entrant.give_up(&format!("did not come up: {error:#}")),
        }
        entrant
    }

    fn give_up(&mut self, why: &str) {
        eprintln!("{}: {why}", self.row.peer.name());
        why.replace('|', "/").clone_into(&mut self.trouble);
        self.running = None;
    }

    /// One run of `amount` units; nothing when the peer is out.
    fn measure(&self, bench: &Bench, case: Case, origin: &Origin, amount: u64) -> Result<Option<Sample>> {
        let Some(running) = &self.running else { return Ok(None) };
        let command =
            load::command(&bench.programs, case, &self.row, running.address(self.row.door), origin, amount);
        let before = process_tree::cpu(running.root());
        let outcome = load::run(command, &bench.cores)?;
        let (user, kernel) = process_tree::cpu(running.root()).since(before);
        Ok(Some(Sample { user, kernel, outcome }))
    }

    /// The most units of one round.
    fn most(&self, bench: &Bench, case: Case) -> u64 {
        let rounds = bench.options.rounds as u64;
        let in_all = self.row.peer.most_tunnels().filter(|_| case == Case::Socks5);
        in_all.map_or(case.most(), |in_all| case.most().min(in_all / rounds))
    }

    /// Sees that it works at all, warms it up, and finds how many units burn enough CPU time to be told apart.
    fn calibrate(&mut self, bench: &Bench, case: Case, origin: &Origin) -> Result<()> {
        let seconds = if bench.options.quick { 0.6 } else { 2.8 };
        let mut amount = 20;
        for _ in 0..6 {
            let Some(sample) = self.measure(bench, case, origin, amount)? else { return Ok(()) };
            if sample.outcome.failed > 0 {
                self.give_up(&format!("does not work: {}", sample.outcome.error));
                return Ok(());
            }
            let burnt = sample.user + sample.kernel;
            if burnt > 0.3 || (burnt > 0.1 && amount >= case.warm_up()) {
                amount = ((amount as f64 * seconds / burnt) as u64).clamp(20, self.most(bench, case));
                break;
            }
            amount = (amount * 10).min(case.most());
        }
        self.amount = amount;
        Ok(())
    }
}

impl Sample {
    /// Units of work done: requests and tunnels, or GiB.
    fn work(&self, case: Case) -> f64 {
        if case.is_bulk() {
            self.outcome.bytes as f64 / (1_u64 << 30) as f64
        } else {
            self.outcome.done as f64
        }
    }

    /// CPU per unit: microseconds per request or tunnel, seconds per GiB.
    fn cost(&self, case: Case) -> f64 {
        let per_unit = (self.user + self.kernel) / self.work(case);
        if case.is_bulk() { per_unit } else { per_unit * 1e6 }
    }

    fn brief(&self, case: Case) -> String {
        let unit = if case.is_bulk() { "CPU s/GiB" } else { "CPU us each" };
        let burnt = self.user + self.kernel;
        format!("{:.3} {unit} ({burnt:.2} s CPU, {:.1} s)", self.cost(case), self.outcome.seconds)
    }
}

fn table(case: Case, entrants: &[Entrant]) -> Table<'static> {
    let lines = entrants.iter().map(|entrant| line(case, entrant)).collect();
    Table {
        title: case.title(),
        cost: match case {
            Case::Bulk | Case::BulkSmall => "CPU s per GiB: median (min-max)",
            Case::Get | Case::Start => "CPU us per request: median (min-max)",
            Case::Connect | Case::Socks5 | Case::Idle => "CPU us per tunnel: median (min-max)",
        },
        ratio: "work per CPU second",
        more: &["in kernel", "core busy"],
        target: case.target(),
        lines,
    }
}

fn line(case: Case, entrant: &Entrant) -> Line {
    let valid = entrant.trouble.is_empty();
    let costs: Vec<f64> = entrant.samples.iter().map(|sample| sample.cost(case)).collect();
    let share = |of: fn(&Sample) -> f64| {
        let shares: Vec<f64> = entrant.samples.iter().map(of).collect();
        Summary::of(&shares)
            .filter(|_| valid)
            .map_or_else(String::new, |share| format!("{:.0} %", share.median * 100.0))
    };
    Line {
        name: entrant.row.peer.name().to_owned(),
        role: entrant.row.role.to_owned(),
        cost: Summary::of(&costs).filter(|_| valid),
        ours: entrant.row.peer == Peer::Shoalway,
        competes: case.counts_references() || !entrant.row.reference,
        more: vec![
            share(|sample| sample.kernel / (sample.user + sample.kernel)),
            share(|sample| (sample.user + sample.kernel) / sample.outcome.seconds),
        ],
        remark: entrant.trouble.clone(),
    }
}
