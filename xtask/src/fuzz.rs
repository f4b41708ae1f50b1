//! `fuzz`: lists the fuzz targets, or runs one for a time.
//!
//! Fuzzing needs a nightly compiler. What it has found and kept in `fuzz/corpus` is replayed by the ordinary tests of
//! the package `shoalway-fuzz`.

use crate::steps::{program, root, works};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Prints the names of all targets, one a line.
pub(crate) fn list() -> Result<()> {
    for name in targets(&root()?)? {
        println!("{name}");
    }
    Ok(())
}

/// Fuzzes one target for so many seconds, on top of its corpus; new inputs go to `target/fuzz`.
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
    // What is found is kept apart from what is replayed: a person decides what goes into fuzz/corpus.
    let (found, kept) = (format!("target/fuzz/{target}"), format!("fuzz/corpus/{target}"));
    std::fs::create_dir_all(root()?.join(&found))?;
    let limit = format!("-max_total_time={seconds}");
    let args = [
        "+nightly",
        "fuzz",
        "run",
        "--features",
        "libfuzzer",
        target,
        &found,
        &kept,
        "--",
        &limit,
        "-verbosity=0",
    ];
    // Link-time optimisation takes the symbols away that coverage needs.
    program("cargo", &args, &[("CARGO_PROFILE_RELEASE_LTO", "off")])
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
