//! `test [CRATE]`: nextest where it is installed, `cargo test` where it is not, then the doc tests; `e2e`: whole hosts.
//!
//! Timeouts, groups and the `ci` profile stand in `.config/nextest.toml`; `cargo test` knows none of them, so
//! it runs the whole-program tests one after another.

use crate::metadata;
use crate::steps::{cargo, program, step, works};
use anyhow::{Result, bail};

/// All tests, or those of one crate, named with or without its `shoalway-`.
pub(crate) fn run(crate_name: Option<&str>) -> Result<()> {
    let Some(name) = crate_name else {
        step("setup", || program("bash", &[".ci/setup"], &[]))?;
        step("test", unit_and_whole_program)?;
        return step("doctest", doc);
    };
    let package = package(name)?;
    step("test", || tests(&["--package", &package]))?;
    if metadata::load()?.has_library(&package) {
        step("doctest", || cargo(&["test", "--locked", "--quiet", "--doc", "--package", &package]))?;
    }
    Ok(())
}

/// Unit tests and whole-program tests of the workspace.
pub(crate) fn unit_and_whole_program() -> Result<()> {
    tests(&["--workspace"])
}

/// The overlay on hosts of their own: namespaces with captures on every link, which takes root. CI runs the same for a
/// minute.
pub(crate) fn hosts(seconds: &str) -> Result<()> {
    if seconds.parse::<u32>().is_err() {
        bail!("{seconds} is no number of seconds");
    }
    step("setup", || program("bash", &[".ci/setup"], &[]))?;
    step("hosts", || {
        let args =
            ["test", "--locked", "--package", "shoalway", "--test", "overlay_hosts", "--", "--nocapture"];
        program("cargo", &args, &[("SHOALWAY_HOSTS_SECONDS", seconds)])
    })
}

/// Doc tests of the workspace.
pub(crate) fn doc() -> Result<()> {
    cargo(&["test", "--locked", "--quiet", "--doc", "--workspace"])
}

fn tests(which: &[&str]) -> Result<()> {
    if works("cargo", &["nextest", "--version"]) {
        let mut args = vec!["nextest", "run", "--locked", "--profile", "ci", "--no-tests", "pass"];
        args.extend(which);
        return cargo(&args);
    }
    println!("cargo-nextest is missing; cargo test does the same with fewer guards");
    let mut args = vec!["test", "--locked", "--all-targets"];
    args.extend(which);
    args.extend(["--", "--test-threads", "1"]);
    cargo(&args)
}

fn package(name: &str) -> Result<String> {
    let members = metadata::load()?.member_names();
    let long = format!("shoalway-{name}");
    let wanted = if name == "app" { "shoalway" } else { name };
    match members.iter().find(|member| **member == wanted || **member == long) {
        Some(member) => Ok(member.clone()),
        None => bail!("no crate {name} here; there are: {}", members.join(", ")),
    }
}
