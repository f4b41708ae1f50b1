//! Rounds of CPU time: every contender once, then every contender again, and the median of each.
//!
//! Interleaved, because a shared machine is faster at one minute than at the next. One contender works at a time.

use anyhow::Result;

use super::load::Outcome;
use super::process_tree;
use super::site::Running;
use super::table::{Line, Summary, Table};

/// How many rounds, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) rounds: usize,
    /// A quarter of the work.
    pub(super) quick: bool,
}

/// What one table is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    /// Units after which a fast contender is warm: in bulk whatever the load counts in.
    pub(super) warm_up: u64,
    /// Work per CPU second that ours should reach, as a multiple of the best peer's.
    pub(super) target: Option<f64>,
    /// Peers that have a target of their own, and it.
    pub(super) against: &'static [(&'static str, f64)],
    /// Short rounds in which ours and the best peer alternate after the others: for rows that are close.
    pub(super) pairs: usize,
}

/// What one thing costs: microseconds of CPU, but seconds for a GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Request,
    Tunnel,
    Handshake,
    Gib,
}

impl Unit {
    /// Head of the cost column.
    pub(super) const fn head(self) -> &'static str {
        match self {
            Self::Request => "CPU us per request: median (min-max)",
            Self::Tunnel => "CPU us per tunnel: median (min-max)",
            Self::Handshake => "CPU us per handshake: median (min-max)",
            Self::Gib => "CPU s per GiB: median (min-max)",
        }
    }

    const fn short(self) -> &'static str {
        match self {
            Self::Request | Self::Tunnel | Self::Handshake => "CPU us each",
            Self::Gib => "CPU s/GiB",
        }
    }
}

type Start<'a> = Box<dyn Fn() -> Result<Running> + 'a>;
type Load<'a> = Box<dyn Fn(&Running, u64) -> Result<Outcome> + 'a>;

/// One line of a table, before it is measured.
pub(super) struct Contender<'a> {
    pub(super) name: &'static str,
    /// What the table says it does.
    pub(super) role: &'static str,
    pub(super) ours: bool,
    /// Whether it may be the mark to beat.
    pub(super) competes: bool,
    /// The most units of one round.
    pub(super) most: u64,
    pub(super) start: Start<'a>,
    /// Runs so many units through it.
    pub(super) load: Load<'a>,
}

/// One measured round.
struct Sample {
    /// CPU seconds in the program and in the kernel.
    user: f64,
    kernel: f64,
    outcome: Outcome,
}

/// A contender at work.
struct Entrant<'a> {
    contender: Contender<'a>,
    /// Nothing when it did not come up or failed; then `trouble` says why.
    running: Option<Running>,
    trouble: String,
    /// Units of one round.
    amount: u64,
    samples: Vec<Sample>,
}

/// Measures `contenders` and prints the table.
///
/// # Errors
/// When the load cannot be started.
pub(super) fn run(pace: Pace, job: Job, contenders: Vec<Contender<'_>>) -> Result<()> {
    let mut entrants = Vec::new();
    for contender in contenders {
        let mut entrant = Entrant::start(contender);
        entrant.calibrate(pace, job)?;
        entrants.push(entrant);
    }
    for round in 1..=pace.rounds {
        for entrant in &mut entrants {
            let Some(sample) = entrant.measure(entrant.amount)? else { continue };
            eprintln!("{} round {round}: {} {}", job.name, entrant.contender.name, sample.brief(job.unit));
            if sample.outcome.failed > 0 {
                entrant.give_up(&format!("{} failed: {}", sample.outcome.failed, sample.outcome.error));
            }
            entrant.samples.push(sample);
        }
    }
    println!("{}", table(job, &entrants).markdown());
    if let Some(text) = pairs(pace, job, &entrants)? {
        println!("{text}\n");
    }
    Ok(())
}

impl<'a> Entrant<'a> {
    fn start(contender: Contender<'a>) -> Self {
        let started = (contender.start)();
        let mut entrant =
            Self { contender, running: None, trouble: String::new(), amount: 0, samples: Vec::new() };
        match started {
            Ok(running) => entrant.running = Some(running),
            Err(error) => entrant.give_up(&format!("does not come up: {error:#}")),
        }
        entrant
    }

    fn give_up(&mut self, why: &str) {
        eprintln!("{}: {why}", self.contender.name);
        why.replace('|', "/").clone_into(&mut self.trouble);
        self.running = None;
    }

    /// One run of `amount` units; nothing when it is out.
    fn measure(&self, amount: u64) -> Result<Option<Sample>> {
        let Some(running) = &self.running else { return Ok(None) };
        let before = process_tree::cpu(running.root());
        let outcome = (self.contender.load)(running, amount)?;
        let (user, kernel) = process_tree::cpu(running.root()).since(before);
        Ok(Some(Sample { user, kernel, outcome }))
    }

    /// Sees that it works at all, warms it up, and finds how many units burn enough CPU time to be told apart.
    fn calibrate(&mut self, pace: Pace, job: Job) -> Result<()> {
        let seconds = if pace.quick { 0.6 } else { 2.8 };
        let mut amount = 20;
        for _ in 0..6 {
            let Some(sample) = self.measure(amount)? else { return Ok(()) };
            if sample.outcome.failed > 0 {
                self.give_up(&format!("does not work: {}", sample.outcome.error));
                return Ok(());
            }
            let burnt = sample.user + sample.kernel;
            if burnt > 0.3 || (burnt > 0.1 && amount >= job.warm_up) {
                amount = ((amount as f64 * seconds / burnt) as u64).clamp(20, self.contender.most);
                break;
            }
            amount = (amount * 10).min(self.contender.most);
        }
        self.amount = amount;
        Ok(())
    }

    /// Median cost of the rounds; nothing when it failed.
    fn cost(&self, unit: Unit) -> Option<Summary> {
        let costs: Vec<f64> = self.samples.iter().map(|sample| sample.cost(unit)).collect();
        Summary::of(&costs).filter(|_| self.trouble.is_empty())
    }
}

impl Sample {
    /// Units of work done: GiB or things.
    fn work(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Gib => self.outcome.bytes as f64 / (1_u64 << 30) as f64,
            Unit::Request | Unit::Tunnel | Unit::Handshake => self.outcome.done as f64,
        }
    }

    fn cost(&self, unit: Unit) -> f64 {
        let per_unit = (self.user + self.kernel) / self.work(unit);
        match unit {
            Unit::Gib => per_unit,
            Unit::Request | Unit::Tunnel | Unit::Handshake => per_unit * 1e6,
        }
    }

    fn brief(&self, unit: Unit) -> String {
        let burnt = self.user + self.kernel;
        let seconds = self.outcome.seconds;
        format!("{:.3} {} ({burnt:.2} s CPU, {seconds:.1} s)", self.cost(unit), unit.short())
    }
}

fn table(job: Job, entrants: &[Entrant<'_>]) -> Table<'static> {
    Table {
        title: job.title,
        cost: job.unit.head(),
        ratio: "work per CPU second",
        more: &["in kernel", "core busy"],
        target: job.target,
        against: job.against,
        lines: entrants.iter().map(|entrant| line(job, entrant)).collect(),
    }
}

fn line(job: Job, entrant: &Entrant<'_>) -> Line {
    let share = |of: fn(&Sample) -> f64| {
        let shares: Vec<f64> = entrant.samples.iter().map(of).collect();
        Summary::of(&shares)
            .filter(|_| entrant.trouble.is_empty())
            .map_or_else(String::new, |share| format!("{:.0} %", share.median * 100.0))
    };
    Line {
        name: entrant.contender.name.to_owned(),
        role: entrant.contender.role.to_owned(),
        cost: entrant.cost(job.unit),
        ours: entrant.contender.ours,
        competes: entrant.contender.competes,
        more: vec![
            share(|sample| sample.kernel / (sample.user + sample.kernel)),
            share(|sample| (sample.user + sample.kernel) / sample.outcome.seconds),
        ],
        remark: entrant.trouble.clone(),
    }
}

/// Ours and the best peer, strictly in turn, a third of a round each: what they cost, and the ratio of each pair.
fn pairs(pace: Pace, job: Job, entrants: &[Entrant<'_>]) -> Result<Option<String>> {
    let best = |wanted: &dyn Fn(&Contender<'_>) -> bool| {
        let valid = entrants.iter().filter(|entrant| wanted(&entrant.contender));
        let costs = valid.filter_map(|entrant| Some((entrant, entrant.cost(job.unit)?.median)));
        costs.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(entrant, _)| entrant)
    };
    let ours = best(&|contender| contender.ours);
    let mark = best(&|contender| contender.competes && !contender.ours);
    let (Some(ours), Some(mark)) = (ours, mark) else { return Ok(None) };
    let (mut ours_cost, mut mark_cost, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=if pace.quick { job.pairs.min(2) } else { job.pairs } {
        let one = |entrant: &Entrant<'_>| entrant.measure((entrant.amount / 3).max(20));
        let (Some(a), Some(b)) = (one(mark)?, one(ours)?) else { return Ok(None) };
        if a.outcome.failed + b.outcome.failed > 0 {
            return Ok(Some(format!("The pairs failed: {}{}", a.outcome.error, b.outcome.error)));
        }
        let (a, b) = (a.cost(job.unit), b.cost(job.unit));
        eprintln!(
            "{} pair {round}: {} {a:.3}, {} {b:.3}",
            job.name, mark.contender.name, ours.contender.name
        );
        mark_cost.push(a);
        ours_cost.push(b);
        ratios.push(a / b);
    }
    let text = |samples: &[f64]| Summary::of(samples).map(Summary::text);
    let (Some(a), Some(b), Some(ratio)) = (text(&mark_cost), text(&ours_cost), text(&ratios)) else {
        return Ok(None);
    };
    let role = ours.contender.role;
    let (mark, ours) = (mark.contender.name, ours.contender.name);
    let (count, unit) = (ratios.len(), job.unit.short());
    Ok(Some(format!(
        "In {count} alternating pairs: {mark} {a}, {ours} ({role}) {b} {unit}; work per CPU second of {ours} against {mark}, pair by pair: {ratio} x."
    )))
}
