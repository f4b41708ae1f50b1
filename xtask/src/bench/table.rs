//! From samples to a markdown table of ratios. Pure: numbers in, text out.

/// Median and range of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Summary {
    /// Of at least one sample.
    pub(super) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }

    /// `median (min-max)`, or the one sample, with as many digits as the numbers bear.
    pub(super) fn text(self) -> String {
        let digits = match self.median {
            small if small < 1.0 => 3,
            middle if middle < 10.0 => 2,
            large if large < 1000.0 => 1,
            _ => 0,
        };
        if self.min.total_cmp(&self.max).is_eq() {
            return format!("{:.digits$}", self.median);
        }
        format!("{:.digits$} ({:.digits$}-{:.digits$})", self.median, self.min, self.max)
    }
}

/// One line of a table.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) role: String,
    /// Cost per unit, lower is better; nothing makes the line invalid.
    pub(super) cost: Option<Summary>,
    /// Whether it is ours, and so never the mark.
    pub(super) ours: bool,
    /// Whether the best of all lines like it is the mark.
    pub(super) competes: bool,
    /// Texts of the further columns.
    pub(super) more: Vec<String>,
    /// Failures or other remarks; shown in the last column.
    pub(super) remark: String,
}

/// A whole table.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) title: &'a str,
    /// Head of the cost column, such as `CPU us per request`.
    pub(super) cost: &'a str,
    /// Head of the ratio column, such as `work per CPU second`.
    pub(super) ratio: &'a str,
    /// Heads of the further columns.
    pub(super) more: &'a [&'a str],
    /// What ours should reach as a multiple of the mark.
    pub(super) target: Option<f64>,
    /// Peers that have a target of their own, and it.
    pub(super) against: &'a [(&'a str, f64)],
    pub(super) lines: Vec<Line>,
}

impl Table<'_> {
    /// The competing line that costs least.
    fn mark(&self) -> Option<(&str, f64)> {
        let competing = self.lines.iter().filter(|line| line.competes && !line.ours);
        let costs = competing.filter_map(|line| Some((line.name.as_str(), line.cost?.median)));
        costs.filter(|(_, cost)| *cost > 0.0).min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// The table as markdown, cheapest first, and what it says about ours.
    pub(super) fn markdown(mut self) -> String {
        let key = |line: &Line| line.cost.map_or(f64::INFINITY, |cost| cost.median);
        self.lines.sort_by(|a, b| key(a).total_cmp(&key(b)));
        let mark = self.mark();
        let heads: Vec<&str> =
            ["proxy", "as", self.cost, self.ratio].into_iter().chain(self.more.iter().copied()).collect();
        let mut text = format!("\n### {}\n\n| {} | remark |\n", self.title, heads.join(" | "));
        text.push_str(&"|---".repeat(heads.len() + 1));
        text.push_str("|\n");
        for line in &self.lines {
            let name = if line.ours { format!("**{}**", line.name) } else { line.name.clone() };
            let cost = line.cost.map_or_else(|| "invalid".to_owned(), Summary::text);
            let ratio = line
                .cost
                .zip(mark)
                .map_or_else(String::new, |(cost, (_, mark))| format!("{:.2} x", mark / cost.median));
            let more = (0..self.more.len())
                .map(|at| line.more.get(at).map_or("", String::as_str))
                .collect::<Vec<_>>()
                .join(" | ");
            let more = if self.more.is_empty() { String::new() } else { format!(" {more} |") };
            let (role, remark) = (&line.role, &line.remark);
            text.push_str(&format!("| {name} | {role} | {cost} | {ratio} |{more} {remark} |\n"));
        }
        text.push_str(&self.verdict(mark));
        text
    }

    fn verdict(&self, mark: Option<(&str, f64)>) -> String {
        let Some((name, mark)) = mark else { return "\nNo peer to compare with.\n".to_owned() };
        let ours =
            self.lines.iter().filter(|line| line.ours).find_map(|line| Some((line, line.cost?.median)));
        let Some((line, cost)) = ours else {
            return format!("\nThe mark is {name}; ours was not measured.\n");
        };
        let compared = |target: Option<f64>, reached: f64| match target {
            Some(target) if reached >= target => format!("; target {target} x: reached"),
            Some(target) => format!("; target {target} x: missed"),
            None => String::new(),
        };
        let reached = mark / cost;
        let said = compared(self.target, reached);
        let mut text = format!("\n{} ({}) against {name}: {reached:.2} x{said}.\n", line.name, line.role);
        for (peer, target) in self.against {
            let peers = self.lines.iter().filter(|line| line.name == *peer && line.competes);
            let Some(theirs) = peers.filter_map(|line| Some(line.cost?.median)).next() else { continue };
            let reached = theirs / cost;
            let said = compared(Some(*target), reached);
            text.push_str(&format!("{} against {peer}: {reached:.2} x{said}.\n", line.name));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, cost: Option<f64>, ours: bool, competes: bool) -> Line {
        let cost = cost.and_then(|cost| Summary::of(&[cost]));
        Line {
            name: name.into(),
            role: "r".into(),
            cost,
            ours,
            competes,
            more: Vec::new(),
            remark: String::new(),
        }
    }

    fn table(lines: Vec<Line>) -> Table<'static> {
        Table {
            title: "t",
            cost: "us",
            ratio: "work",
            more: &[],
            target: Some(1.6),
            against: &[("slow", 4.0)],
            lines,
        }
    }

    #[test]
    fn the_median_of_odd_and_even_counts() {
        let summary = |samples: &[f64]| Summary::of(samples).map(|summary| summary.median);
        assert_eq!(summary(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(summary(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn ratios_are_to_the_best_competing_peer_and_invalid_lines_have_none() {
        let lines = vec![
            line("slow", Some(50.0), false, true),
            line("best", Some(26.0), false, true),
            line("reference", Some(10.0), false, false),
            line("broken", None, false, true),
            line("ours", Some(13.0), true, true),
        ];
        let text = table(lines).markdown();
        assert!(text.contains("| best | r | 26.0 | 1.00 x |"), "{text}");
        assert!(text.contains("| reference | r | 10.0 | 2.60 x |"), "{text}");
        assert!(text.contains("| broken | r | invalid |  |"), "{text}");
        assert!(text.contains("ours (r) against best: 2.00 x; target 1.6 x: reached."), "{text}");
        assert!(text.contains("ours against slow: 3.85 x; target 4 x: missed."), "{text}");
    }

    #[test]
    fn a_missed_target_is_said() {
        let text = table(vec![line("best", Some(26.0), false, true), line("ours", Some(20.0), true, true)])
            .markdown();
        assert!(text.contains("1.30 x; target 1.6 x: missed"), "{text}");
    }
}
