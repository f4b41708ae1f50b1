//! `ci` and `lint`: the steps of CI in their order, quick ones first.
//!
//! `.ci/run` calls `ci`; a developer who runs it sees what CI sees.

use crate::steps::{cargo, program, root, step};
use crate::{bench, deps, examples, fuzz, testing, tidy};
use anyhow::Result;

/// Everything a change must pass.
pub(crate) fn run() -> Result<()> {
    step("setup", || program("bash", &[".ci/setup"], &[]))?;
    step("fmt", fmt)?;
    step("tidy", tidy::run)?;
    step("deps", deps::run)?;
    step("clippy", clippy)?;
    step("test", testing::unit_and_whole_program)?;
    step("corpora", fuzz::replay)?;
    step("examples", examples::check)?;
    step("doctest", testing::doc)?;
    step("doc", doc)
}

/// A short run beside the other proxies, for machines that have them; `ci` leaves it out, since it measures a release
/// build and judges nothing.
pub(crate) fn bench_smoke() -> Result<()> {
    let args = ["forward", "--quick"].map(str::to_owned);
    step("bench", || bench::run(&args))
}

/// What a compiler or formatter can say without running anything.
pub(crate) fn lint() -> Result<()> {
    step("fmt", fmt)?;
    step("clippy", clippy)?;
    step("doc", doc)
}

fn fmt() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    for apart in apart()? {
        cargo(&["fmt", "--manifest-path", &apart, "--check"])?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
}

fn doc() -> Result<()> {
    program(
        "cargo",
        &["doc", "--locked", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

/// Manifests of ours that the workspace leaves out.
pub(crate) fn apart() -> Result<Vec<String>> {
    let members = crate::metadata::load()?.member_manifests();
    let root = root()?;
    let mut found = Vec::new();
    for manifest in ["fuzz/Cargo.toml", "bench/Cargo.toml"] {
        let path = root.join(manifest);
        if path.exists() && !members.contains(&path) {
            found.push(manifest.to_owned());
        }
    }
    Ok(found)
}
