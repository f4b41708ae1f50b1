//! Load generator and origin as processes: built, started on their core, bounded, and what they report.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::case::{Case, Row};
use super::cores::Cores;
use super::{machine, site};

/// The programs of a run, built for release.
#[derive(Debug)]
pub(super) struct Programs {
    /// Our proxy; nothing when it could not be built or is not wanted.
    pub(super) shoalway: Option<PathBuf>,
    load: PathBuf,
    origin: PathBuf,
}

impl Programs {
    /// Builds load and origin, and our proxy when `ours`.
    ///
    /// # Errors
    /// When load and origin cannot be built.
    pub(super) fn build(ours: bool) -> Result<Self> {
        ensure!(cargo_build("shoalway-bench"), "bench/ does not build");
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| machine::workspace().join("target"), PathBuf::from);
        let release = target.join("release");
        let shoalway = release.join("shoalway");
        let shoalway = (ours && cargo_build("shoalway") && shoalway.is_file()).then_some(shoalway);
        Ok(Self { shoalway, load: release.join("bench-load"), origin: release.join("bench-origin") })
    }

    /// The path of our proxy, or a name that does not exist.
    pub(super) fn ours(&self) -> PathBuf {
        self.shoalway.clone().unwrap_or_else(|| PathBuf::from("shoalway"))
    }
}

fn cargo_build(package: &str) -> bool {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--locked", "--quiet", "-p", package])
        .current_dir(machine::workspace());
    command.status().is_ok_and(|status| status.success())
}

/// The origin at work; it ends with its standard input.
pub(super) struct Origin {
    child: Child,
    /// Where it listens, on each of its addresses.
    pub(super) ports: OriginPorts,
}

/// The origin's ports, one a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct OriginPorts {
    /// Answers GET.
    pub(super) http: u16,
    /// Sends back what it gets.
    pub(super) echo: u16,
    /// Sends as many bytes as it is asked for.
    pub(super) source: u16,
}

impl Origin {
    /// Starts it on the load's core and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) fn start(programs: &Programs, cores: &Cores) -> Result<Self> {
        let ports =
            OriginPorts { http: site::free_port()?, echo: site::free_port()?, source: site::free_port()? };
        let mut command = Command::new(&programs.origin);
        for (name, port) in [("--http", ports.http), ("--echo", ports.echo), ("--source", ports.source)] {
            command.arg(name).arg(port.to_string());
        }
        command.args(["--max-seconds", "7200"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cores.spawn(cores.load, &mut command)?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("origin's output")?).read_line(&mut line)?;
        let origin = Self { child, ports };
        ensure!(line.trim() == "ready", "the origin did not come up");
        Ok(origin)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a child of ours that may have ended already.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// What a load run reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) error: String,
}

/// One load run as a command: `amount` units of `case` through `row`'s door at `at`.
pub(super) fn command(
    programs: &Programs,
    case: Case,
    row: &Row,
    at: SocketAddrV4,
    origin: &Origin,
    amount: u64,
) -> Command {
    let (mode, port, workers, count, bytes) = match case {
        Case::Get | Case::Start => ("get", origin.ports.http, 64, amount, 0),
        Case::Connect | Case::Socks5 => ("exchange", origin.ports.echo, 16, amount, 0),
        Case::Bulk => ("bulk", origin.ports.source, 1, 1, amount << 20),
        Case::BulkSmall => ("bulk", origin.ports.source, 1, amount, 1 << 20),
        Case::Idle => ("idle", origin.ports.echo, 1, amount, 0),
    };
    let mut command = Command::new(&programs.load);
    let pairs = [
        ("--mode", mode.to_owned()),
        ("--proxy", at.to_string()),
        ("--via", row.via.word().to_owned()),
        ("--port", port.to_string()),
        ("--workers", workers.to_string()),
        ("--count", count.to_string()),
        ("--bytes", bytes.to_string()),
        ("--reuse", if row.peer.keeps_alive() { "yes" } else { "no" }.to_owned()),
        ("--max-seconds", if case == Case::Idle { MAX_SECONDS_IDLE } else { MAX_SECONDS }.to_string()),
    ];
    for (name, value) in pairs {
        command.args([name, &value]);
    }
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A load run that takes longer is ended by itself and says so.
const MAX_SECONDS: u32 = 90;
/// Some peers take minutes to open ten thousand tunnels.
const MAX_SECONDS_IDLE: u32 = 300;

/// Runs `command` to its end on the load's core.
///
/// # Errors
/// When it cannot be started. That it failed is part of the outcome.
pub(super) fn run(mut command: Command, cores: &Cores) -> Result<Outcome> {
    let child = cores.spawn(cores.load, &mut command)?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = || String::from_utf8_lossy(&output.stderr).lines().take(4).collect::<Vec<_>>().join(" ");
    let outcome = text.lines().find_map(parse);
    Ok(outcome.unwrap_or_else(|| Outcome { failed: 1, error: last(), ..Outcome::default() }))
}

/// Idle tunnels that are held open; dropped, they close.
pub(super) struct Held {
    child: Child,
    /// How many there are.
    pub(super) tunnels: u64,
}

impl Held {
    /// Opens them and returns when all are open.
    ///
    /// # Errors
    /// When the load ends or says something else; with what it said.
    pub(super) fn open(mut command: Command, cores: &Cores) -> Result<Self> {
        let mut child = cores.spawn(cores.load, &mut command)?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("load's output")?).read_line(&mut line)?;
        let tunnels = line.trim().strip_prefix("ready ").and_then(|count| count.parse().ok());
        if tunnels.is_none() {
            let mut error = String::new();
            child.stderr.take().context("load's errors")?.read_to_string(&mut error)?;
            end(&mut child);
            anyhow::bail!("{}", error.lines().next().unwrap_or("the load ended"));
        }
        Ok(Self { child, tunnels: tunnels.unwrap_or(0) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Reads the line that starts with `outcome`.
fn parse(line: &str) -> Option<Outcome> {
    let rest = line.strip_prefix("outcome ")?;
    let (numbers, error) = rest.split_once(" error=")?;
    let mut outcome = Outcome { error: error.to_owned(), ..Outcome::default() };
    for pair in numbers.split(' ') {
        let (name, value) = pair.split_once('=')?;
        let value: u64 = value.parse().ok()?;
        match name {
            "done" => outcome.done = value,
            "failed" => outcome.failed = value,
            "bytes" => outcome.bytes = value,
            "ms" => outcome.seconds = value as f64 / 1000.0,
            _ => return None,
        }
    }
    Some(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_line_is_read_with_its_error() {
        let outcome =
            parse("outcome done=5 failed=1 bytes=500 ms=1500 error=closed in the handshake").expect("a line");
        let expected =
            Outcome { done: 5, failed: 1, bytes: 500, seconds: 1.5, error: "closed in the handshake".into() };
        assert_eq!(outcome, expected);
        assert_eq!(parse("ready 5"), None);
        assert_eq!(parse("outcome done=x failed=1 bytes=1 ms=1 error="), None);
    }
}
