//! `tidy`: what neither the compiler nor clippy looks at. Every finding has a place and a sentence.
//!
//! `source.rs` reads one Rust file, `rules.rs` judges it, `repository.rs` judges the rest of the repository.

mod repository;
mod rules;
mod source;

use crate::steps::{files, root};
use anyhow::{Context, Result, bail};
use source::Source;
use std::fmt;
use std::path::Path;

/// Something that has to change, or only to be known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    place: String,
    what: String,
    weight: Weight,
}

/// Whether a finding fails the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It does.
    Wrong,
    /// It is printed, as something to look at.
    Noted,
}

impl Finding {
    /// A finding in a line, counted from 1.
    fn at(path: &Path, line: usize, weight: Weight, what: impl Into<String>) -> Self {
        Self { place: format!("{}:{line}", path.display()), what: what.into(), weight }
    }

    /// A finding about a whole file or folder.
    fn about(path: &Path, what: impl Into<String>) -> Self {
        Self { place: path.display().to_string(), what: what.into(), weight: Weight::Wrong }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noted = match self.weight {
            Weight::Wrong => "",
            Weight::Noted => "(noted) ",
        };
        write!(f, "{}: {noted}{}", self.place, self.what)
    }
}

/// Reads every file git knows or would add, and prints what is wrong with it.
pub(crate) fn run() -> Result<()> {
    let root = root()?;
    let files = files(&[])?;
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let text = std::fs::read_to_string(root.join(path)).with_context(|| path.display().to_string())?;
        let source = Source::read(path.clone(), text);
        findings.extend(rules::check(&source));
        sources.push(source);
    }
    findings.extend(repository::check(&root, &files, &sources)?);
    report(&findings, sources.len())
}

fn report(findings: &[Finding], sources: usize) -> Result<()> {
    for finding in findings {
        println!("{finding}");
    }
    let wrong = findings.iter().filter(|finding| finding.weight == Weight::Wrong).count();
    println!("{sources} source files, {wrong} findings, {} notes", findings.len() - wrong);
    if wrong > 0 {
        bail!("{wrong} findings");
    }
    Ok(())
}
