//! The rules for what is no Rust file: documents, fuzz corpora, words that belong to one machine only.

use super::source::Source;
use super::{Finding, Weight};
use crate::fuzz;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One screen of picture, a map, flows, invariants: more is not read.
const ARCHITECTURE_LIMIT: usize = 150;

/// Places and settings of one machine, in halves so that this file is not a finding itself.
const OF_ONE_MACHINE: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/Us", "ers/"),
    ("replace", "-with"),
    ("index", "-url"),
    ("--index", " http"),
    ("[source", "."),
];

/// Everything there is to say about the repository as a whole.
pub(crate) fn check(root: &Path, files: &[PathBuf], sources: &[Source]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    corpora(root, &mut findings)?;
    for path in files {
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        if path.starts_with("fuzz/corpus") {
            continue;
        }
        machine(path, &text, &mut findings);
        if path.extension().is_some_and(|end| end == "md") {
            links(root, path, &text, &mut findings);
        }
        if path == Path::new("docs/claims.md") {
            claims(path, &text, sources, &mut findings);
        }
        let lines = text.lines().count();
        if path == Path::new("ARCHITECTURE.md") && lines > ARCHITECTURE_LIMIT {
            findings.push(Finding::about(path, format!("{lines} lines, the limit is {ARCHITECTURE_LIMIT}")));
        }
    }
    Ok(findings)
}

/// Each fuzz target has at least one input that CI replays.
fn corpora(root: &Path, findings: &mut Vec<Finding>) -> Result<()> {
    for target in fuzz::targets(root)? {
        let folder = Path::new("fuzz/corpus").join(&target);
        let empty = std::fs::read_dir(root.join(&folder)).map_or(true, |mut inputs| inputs.next().is_none());
        if empty {
            findings.push(Finding::about(&folder, "the fuzz target has no corpus to replay"));
        }
    }
    Ok(())
}

fn machine(path: &Path, text: &str, findings: &mut Vec<Finding>) {
    let words: Vec<String> = OF_ONE_MACHINE.iter().map(|(a, b)| format!("{a}{b}")).collect();
    for (at, line) in text.lines().enumerate() {
        if let Some(word) = words.iter().find(|word| stands_alone(line, word)) {
            findings.push(Finding::at(
                path,
                at + 1,
                Weight::Wrong,
                format!("`{word}` is of one machine only"),
            ));
        }
    }
}

/// Whether `word` is in the line and no longer path or word goes before it.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        !before.ends_with(|c: char| c.is_alphanumeric() || "/._-~}".contains(c))
    })
}

/// A link to a file of ours leads to one.
fn links(root: &Path, path: &Path, text: &str, findings: &mut Vec<Finding>) {
    let folder = root.join(path.parent().unwrap_or(Path::new("")));
    for (at, line) in text.lines().enumerate() {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:") || file.is_empty();
            if !elsewhere && !folder.join(file).exists() {
                findings.push(Finding::at(path, at + 1, Weight::Wrong, format!("{target} leads nowhere")));
            }
        }
    }
}

/// The last column of each row names tests in backticks, and each of them exists.
fn claims(path: &Path, text: &str, sources: &[Source], findings: &mut Vec<Finding>) {
    let tests: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.functions().into_iter().map(move |function| (source, function)))
        .filter(|(source, function)| source.is_test(function.line))
        .map(|(_, function)| function.name)
        .collect();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let row = line.trim_end();
        let column = row.strip_suffix('|').unwrap_or(row).rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = column.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !line.contains("test |") && !line.starts_with("|--") {
            findings.push(Finding::at(path, at + 1, Weight::Wrong, "a claim without a test: delete it"));
        }
        for name in names {
            let bare = name.rsplit("::").next().unwrap_or(name);
            if !tests.contains(bare) {
                findings.push(Finding::at(path, at + 1, Weight::Wrong, format!("no test is named {bare}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_path_of_a_site_is_not() {
        let check = |line: &str, wanted: usize| {
            let mut findings = Vec::new();
            machine(Path::new("a.md"), line, &mut findings);
            assert_eq!(findings.len(), wanted, "{line}");
        };
        check(&["see /wo", "rk/main"].concat(), 1);
        check(&["\"/ro", "ot/x\""].concat(), 1);
        check(&["http://example.org/wo", "rk/main"].concat(), 0);
        check(&["${CI}/wo", "rk/main"].concat(), 0);
    }

    #[test]
    fn a_claim_names_a_test_that_exists() {
        let test = "//! x\n#[test]\nfn it_is_true() {}\n".to_owned();
        let sources = [Source::read(PathBuf::from("crates/app/tests/a.rs"), test)];
        let check = |row: &str, wanted: &[&str]| {
            let mut findings = Vec::new();
            claims(Path::new("c.md"), row, &sources, &mut findings);
            assert_eq!(texts(&findings), wanted, "{row}");
        };
        check("| claim | test |", &[]);
        check("| It is true. | `app::a::it_is_true` |", &[]);
        check("| It is false. | `app::a::it_is_false` |", &["c.md:1: no test is named it_is_false"]);
        check("| It is `said`. | |", &["c.md:1: a claim without a test: delete it"]);
    }
}
