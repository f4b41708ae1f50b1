//! docs/dependencies.md: a line of reason for each direct dependency, and no line that is stale.

use crate::metadata::Package;
use crate::steps::root;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

const PLACE: &str = "docs/dependencies.md";

/// One finding per dependency without a reason and per reason without a dependency.
pub(crate) fn check(members: &[&Package]) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(root()?.join(PLACE)).with_context(|| format!("cannot read {PLACE}"))?;
    let used: BTreeSet<&str> = members
        .iter()
        .flat_map(|package| &package.dependencies)
        .filter(|dependency| !dependency.ours)
        .map(|dependency| dependency.name.as_str())
        .collect();
    Ok(compare(&used, &reasons(&text)))
}

fn compare(used: &BTreeSet<&str>, explained: &BTreeSet<&str>) -> Vec<String> {
    let missing = used.difference(explained).map(|name| format!("{PLACE} gives no reason for {name}"));
    let stale = explained.difference(used).map(|name| format!("{PLACE} explains {name}, which nothing uses"));
    missing.chain(stale).collect()
}

/// Names in the first column of the tables, each in backticks: ``| `name` | reason |``.
fn reasons(text: &str) -> BTreeSet<&str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once("` |")).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_reason_and_a_reason_without_dependency_are_named() {
        let explained = reasons("| crate | why |\n|---|---|\n| `bytes` | buffers |\n| `old` | gone |\n");
        let used = BTreeSet::from(["bytes", "new"]);
        assert_eq!(
            compare(&used, &explained),
            [
                "docs/dependencies.md gives no reason for new",
                "docs/dependencies.md explains old, which nothing uses"
            ]
        );
    }
}
