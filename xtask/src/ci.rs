//! `ci` and `lint`: the steps of CI in their order, quick ones first.
//!
//! `.ci/run` calls `ci`; a developer who runs it sees what CI sees.

use crate::steps::{cargo, program, step};
use crate::{bench, deps, examples, testing, tidy};
use anyhow::Result;

/// Everything a change must pass.
pub(crate) fn run() -> Result<()> {
    step("setup", || program("bash", &[".ci/setup"], &[]))?;
    step("fmt", fmt)?;
    step("tidy", tidy::run)?;
    step("deps", deps::run)?;
    step("clippy", clippy)?;
    step("test", testing::unit_and_whole_program)?;
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
    cargo(&["fmt", "--all", "--check"])
}

fn clippy() -> Result<()> {
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
}

fn doc() -> Result<()> {
    program(
        "cargo",
        &["doc", "--locked", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
        // Private items are documented too, so a link to one is no dead end.
        &[("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links")],
    )
}
