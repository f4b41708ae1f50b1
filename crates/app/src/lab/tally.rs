//! Which exit carried which host: counted, and drawn as a table.
//!
//! Pure. Not here: where flows are read from and when the table is drawn (`watch`).

use super::places::{EXITS, Part};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Width of the longest bar.
const BAR: usize = 12;

/// What the exits have carried.
#[derive(Debug, Default)]
pub struct Tally {
    exits: BTreeMap<Part, Carried>,
    flows: u64,
}

#[derive(Debug, Default)]
struct Carried {
    /// Flows by host.
    hosts: BTreeMap<String, u64>,
    flows: u64,
    /// The host of the newest flow.
    newest: String,
}

impl Tally {
    /// A flow to a host left through an exit.
    pub fn flow(&mut self, exit: Part, host: &str) {
        self.flows += 1;
        let carried = self.exits.entry(exit).or_default();
        carried.flows += 1;
        host.clone_into(&mut carried.newest);
        *carried.hosts.entry(host.to_owned()).or_default() += 1;
    }

    /// Flows in all.
    #[must_use]
    pub const fn flows(&self) -> u64 {
        self.flows
    }

    /// Exits that carried anything.
    #[must_use]
    pub fn used(&self) -> usize {
        self.exits.len()
    }

    /// Hosts in all, each once for each exit that carried it.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.exits.values().map(|carried| carried.hosts.len()).sum()
    }

    /// The share of all hosts that the exit with the most has carried, in percent.
    #[must_use]
    pub fn largest_percent(&self) -> u32 {
        let most = self.exits.values().map(|carried| carried.hosts.len()).max().unwrap_or(0);
        let percent = most * 100 / self.hosts().max(1);
        u32::try_from(percent).unwrap_or(100)
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let hosts: BTreeMap<String, Vec<&String>> =
            self.exits.iter().map(|(exit, carried)| (exit.label(), carried.hosts.keys().collect())).collect();
        json!({
            "flows": self.flows,
            "hosts": self.hosts(),
            "exits_used": self.used(),
            "largest_percent": self.largest_percent(),
            "exits": hosts,
        })
    }

    /// A line for each exit, and one for all of them; no line is longer than `width` characters.
    #[must_use]
    pub fn table(&self, width: usize) -> Vec<String> {
        let most = self.exits.values().map(|carried| carried.hosts.len()).max().unwrap_or(0);
        let mut lines = vec![cut("  exit     leaves from   hosts              flows  which", width)];
        let none = Carried::default();
        for exit in (1..=EXITS).map(Part::Exit) {
            let carried = self.exits.get(&exit).unwrap_or(&none);
            lines.push(cut(&carried.line(exit, most), width));
        }
        lines.push(cut(&self.sum(), width));
        lines
    }

    /// One sentence about all exits.
    #[must_use]
    pub fn sum(&self) -> String {
        format!(
            "  {} flows to {} hosts left through {} of {EXITS} exits; the largest share is {} %",
            self.flows,
            self.hosts(),
            self.used(),
            self.largest_percent()
        )
    }
}

impl Carried {
    fn line(&self, exit: Part, most: usize) -> String {
        let count = self.hosts.len();
        let bar = "#".repeat((count * BAR).div_ceil(most.max(1)));
        let (label, address) = (exit.label(), exit.address());
        let mut line = format!("  {label:<8} {address:<13} {count:>3} {bar:<BAR$} {:>7}  ", self.flows);
        // The newest first, since the end of a long line is not seen.
        let others = self.hosts.keys().filter(|host| **host != self.newest);
        for host in std::iter::once(&self.newest).chain(others).filter(|host| !host.is_empty()) {
            // Writing into a String has no way to fail.
            write!(line, "{} ", host.trim_end_matches(".internal")).unwrap_or_default();
        }
        line.trim_end().to_owned()
    }
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_flows_are_told_apart_and_the_largest_share_is_of_hosts() {
        let mut tally = Tally::default();
        for (exit, host) in [(1, "a"), (1, "a"), (1, "b"), (2, "c"), (3, "d")] {
            tally.flow(Part::Exit(exit), host);
        }
        assert_eq!((tally.flows(), tally.hosts(), tally.used(), tally.largest_percent()), (5, 4, 3, 50));
        assert_eq!(tally.to_json()["exits"]["exit 1"], json!(["a", "b"]));
    }

    #[test]
    fn the_table_has_a_line_for_each_exit_and_none_too_long() {
        let mut tally = Tally::default();
        for object in 1..=42 {
            tally.flow(Part::Exit(object % 12 + 1), &super::super::places::object_host(object));
        }
        let table = tally.table(60);
        assert_eq!(table.len(), 14);
        assert!(table.iter().all(|line| line.chars().count() <= 60));
        let wide = tally.table(200);
        assert!(
            wide[2].contains("exit 2") && wide[2].contains("127.77.1.2") && wide[2].contains("h37.lab37")
        );
        assert!(wide[13].contains("12 of 12 exits"));
        assert_eq!(Tally::default().largest_percent(), 0);
    }
}
