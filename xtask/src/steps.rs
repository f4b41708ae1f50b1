//! Runs one step of a command: says its name before, its seconds after, and stops at the first that fails.
//!
//! Not here: which steps there are (`ci.rs`).

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The root of the repository, wherever the command was started.
pub(crate) fn root() -> Result<PathBuf> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let own = PathBuf::from(own);
    let root = own.parent().context("xtask has no parent folder")?;
    Ok(root.to_path_buf())
}

/// Does `work` under a heading and prints how long it took, also when it fails.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {name}");
    let start = Instant::now();
    let done = work();
    let end = if done.is_ok() { "ok" } else { "FAILED" };
    println!("<== {name}: {end}, {:.1} s", start.elapsed().as_secs_f64());
    done.with_context(|| format!("step `{name}`"))
}

/// `cargo ARGS` in the root, with the terminal of this process.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    program("cargo", args, &[])
}

/// Runs a program in the root with extra environment variables.
///
/// # Errors
/// When it cannot be started or does not end with 0; the text is the command, ready to be repeated.
pub(crate) fn program(name: &str, args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let status = command(name)?
        .args(args)
        .envs(env.iter().copied())
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} {} ({status})", args.join(" "));
    }
    Ok(())
}

/// What a program prints on standard output, run in the root.
pub(crate) fn output(name: &str, args: &[&str]) -> Result<String> {
    let out = command(name)?
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !out.status.success() {
        bail!("{name} {} ({})", args.join(" "), out.status);
    }
    String::from_utf8(out.stdout).with_context(|| format!("{name} printed no UTF-8"))
}

/// Files below `places` (all when empty) that git tracks, or would if they were added, sorted; without those deleted.
pub(crate) fn files(places: &[&str]) -> Result<Vec<PathBuf>> {
    // A checkout may belong to another user than the one who tests it.
    let mut args =
        vec!["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"];
    args.extend(places);
    let root = root()?;
    let text = output("git", &args)?;
    let mut files: Vec<PathBuf> =
        text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.retain(|path| root.join(path).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// A program that starts in the root, without the variables that `cargo run` sets for `xtask` itself: some build
/// scripts watch them, and would build again each time the same thing is asked of cargo directly.
fn command(name: &str) -> Result<Command> {
    let mut command = Command::new(name);
    command.current_dir(root()?);
    for (key, _) in std::env::vars_os() {
        let text = key.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
    Ok(command)
}

/// Whether a program starts and ends with 0; what it prints is thrown away.
pub(crate) fn works(name: &str, args: &[&str]) -> bool {
    Command::new(name)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
