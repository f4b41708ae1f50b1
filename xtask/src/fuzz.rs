//! `fuzz`: lists the fuzz targets, runs one for a time, replays the corpora as ordinary tests.
//!
//! Fuzzing needs a nightly compiler, so CI only replays what fuzzing has found and kept in `fuzz/corpus`.

use crate::ci::apart;
use crate::steps::{cargo, program, root, works};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Prints the names of all targets, one a line.
pub(crate) fn list() -> Result<()> {
    for name in targets(&root()?)? {
        println!("{name}");
    }
    Ok(())
}

/// Fuzzes one target for so many seconds, on top of its corpus.
///
/// # Errors
/// When the target or a tool is missing (the text says what to install), and when an input breaks it.
pub(crate) fn run(target: &str, seconds: &str) -> Result<()> {
    let seconds: u32 = seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?;
    let known = targets(&root()?)?;
    if !known.iter().any(|name| name == target) {
        bail!("no fuzz target {target}; there are: {}", known.join(", "));
    }
    if !works("rustc", &["+nightly", "--version"]) {
        bail!("fuzzing needs a nightly compiler: rustup toolchain install nightly --profile minimal");
    }
    if !works("cargo", &["+nightly", "fuzz", "--version"]) {
        bail!("fuzzing needs cargo-fuzz: cargo install cargo-fuzz --locked");
    }
    let limit = format!("-max_total_time={seconds}");
    program("cargo", &["+nightly", "fuzz", "run", target, "--", &limit], &[])
}

/// Runs the corpora through their targets when the workspace's own tests do not.
pub(crate) fn replay() -> Result<()> {
    match apart()?.iter().find(|manifest| manifest.starts_with("fuzz/")) {
        Some(manifest) => cargo(&["test", "--locked", "--quiet", "--manifest-path", manifest]),
        None => Ok(()),
    }
}

/// Names of the files in `fuzz/fuzz_targets`, sorted; none when there is no such folder.
pub(crate) fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    if !folder.is_dir() {
        return Ok(names);
    }
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "rs")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
