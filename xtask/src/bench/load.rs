//! Load generator and origin as processes: built, started on their core, bounded, and what they report.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::cores::Cores;
use super::{machine, site};

/// The programs of a run, built for release.
#[derive(Debug)]
pub(super) struct Programs {
    /// Our proxy; nothing when it could not be built or is not wanted.
    pub(super) shoalway: Option<PathBuf>,
    load: PathBuf,
    origin: PathBuf,
    delay: PathBuf,
}

/// Whether programs are built before they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    First,
    /// Those that are there, whatever the sources say.
    AsIs,
}

impl Programs {
    /// Load and origin, and our proxy when `ours`; built before, or as they are.
    ///
    /// # Errors
    /// When load and origin cannot be built or are not there.
    pub(super) fn find(build: Build, ours: bool) -> Result<Self> {
        let builds = |package| build == Build::AsIs || cargo_build(package);
        ensure!(builds("shoalway-bench"), "bench/ does not build");
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| machine::workspace().join("target"), PathBuf::from);
        let release = target.join("release");
        let [shoalway, load, origin, delay] =
            ["shoalway", "bench-load", "bench-origin", "bench-delay"].map(|name| release.join(name));
        for program in [&load, &origin, &delay] {
            ensure!(program.is_file(), "{} is not there; leave --no-build out once", program.display());
        }
        let shoalway = (ours && builds("shoalway") && shoalway.is_file()).then_some(shoalway);
        Ok(Self { shoalway, load, origin, delay })
    }

    /// One load run as a command, with its options by name.
    pub(super) fn load(&self, options: &[(&str, String)]) -> Command {
        let mut command = Command::new(&self.load);
        for (name, value) in options {
            command.arg(format!("--{name}")).arg(value);
        }
        piped(command)
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

/// A long path at work: a relay that passes everything on later by a fixed time in each direction.
pub(super) struct Delay(Child);

impl Delay {
    /// Starts it on the load's core, from port `listen` of 127.0.0.1 to `to`, and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) fn start(
        programs: &Programs,
        cores: &Cores,
        listen: u16,
        to: SocketAddrV4,
        milliseconds: u32,
    ) -> Result<Self> {
        let mut command = Command::new(&programs.delay);
        command.args(["--listen", &listen.to_string(), "--to", &to.to_string()]);
        command.args(["--ms", &milliseconds.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cores.spawn(cores.load, &mut command)?;
        let output = child.stdout.take();
        let delay = Self(child);
        let mut line = String::new();
        BufReader::new(output.context("the delay's output")?).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "the delay did not come up");
        Ok(delay)
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        end(&mut self.0);
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
    /// Requests sent again because a kept-alive connection closed under them.
    pub(super) again: u64,
    /// Microseconds from due to answered, at a fixed rate.
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) error: String,
}

/// `command` with all its ends in our hands.
pub(super) fn piped(mut command: Command) -> Command {
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A load run that takes longer is ended by itself and says so.
pub(super) const MAX_SECONDS: u32 = 90;
/// Some peers take minutes to open ten thousand tunnels.
pub(super) const MAX_SECONDS_IDLE: u32 = 300;

/// Runs `command` to its end on the load's core.
///
/// # Errors
/// When it cannot be started. That it failed is part of the outcome.
pub(super) fn run(command: Command, cores: &Cores) -> Result<Outcome> {
    Ok(Under::start(command, cores)?.finish(parse)?.0)
}

/// A load run under way.
pub(super) struct Under(Option<Child>);

impl Under {
    /// Starts it on the load's core.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(mut command: Command, cores: &Cores) -> Result<Self> {
        Ok(Self(Some(cores.spawn(cores.load, &mut command)?)))
    }

    /// Waits for its end; `parse` finds the outcome in a line of its output. Also gives the whole output.
    ///
    /// # Errors
    /// When its output cannot be read. That it failed is part of the outcome.
    pub(super) fn finish(mut self, parse: impl Fn(&str) -> Option<Outcome>) -> Result<(Outcome, String)> {
        let output = self.0.take().context("already ended")?.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = || String::from_utf8_lossy(&output.stderr).lines().take(4).collect::<Vec<_>>().join(" ");
        let outcome = text.lines().find_map(parse);
        let outcome = outcome.unwrap_or_else(|| Outcome { failed: 1, error: last(), ..Outcome::default() });
        Ok((outcome, text))
    }

    /// Whether it has not ended by itself.
    ///
    /// # Errors
    /// As [`Child::try_wait`].
    pub(super) fn is_running(&mut self) -> Result<bool> {
        Ok(match &mut self.0 {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

/// Tunnels, connections or WebSockets that are held open; dropped, they close.
pub(super) struct Held {
    child: Child,
    output: BufReader<ChildStdout>,
    /// How many there are.
    pub(super) count: u64,
}

impl Held {
    /// Opens them and returns when all are open.
    ///
    /// # Errors
    /// When the load ends or says something else; with what it said.
    pub(super) fn open(mut command: Command, cores: &Cores) -> Result<Self> {
        let mut child = cores.spawn(cores.load, &mut command)?;
        let mut output = BufReader::new(child.stdout.take().context("load's output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let count = line.trim().strip_prefix("ready ").and_then(|count| count.parse().ok());
        let Some(count) = count else {
            let mut error = String::new();
            child.stderr.take().context("load's errors")?.read_to_string(&mut error)?;
            end(&mut child);
            anyhow::bail!("{}", error.lines().next().unwrap_or("the load ended"));
        };
        Ok(Self { child, output, count })
    }

    /// Tells the load to end, and reads what it did.
    ///
    /// # Errors
    /// When it says nothing.
    pub(super) fn finish(mut self) -> Result<Outcome> {
        drop(self.child.stdin.take());
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        parse(line.trim_end()).context("the load ended without an outcome")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Reads the line that starts with `outcome`.
pub(super) fn parse(line: &str) -> Option<Outcome> {
    let rest = line.strip_prefix("outcome ")?;
    let (numbers, error) = rest.split_once(" error=")?;
    let mut outcome = Outcome { error: error.to_owned(), ..Outcome::default() };
    for pair in numbers.split(' ') {
        let (name, value) = pair.split_once('=')?;
        let value: u64 = value.parse().ok()?;
        match name {
            "done" => outcome.done = value,
            "failed" => outcome.failed = value,
            "again" => outcome.again = value,
            "p50" => outcome.p50 = value,
            "p99" => outcome.p99 = value,
            "p999" => outcome.p999 = value,
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
            parse("outcome done=5 failed=1 again=2 p50=3 p99=9 p999=10 bytes=500 ms=1500 error=closed in the handshake").expect("a line");
        let (done, failed, again, bytes, seconds) = (5, 1, 2, 500, 1.5);
        let error = "closed in the handshake".to_owned();
        let expected = Outcome { done, failed, again, p50: 3, p99: 9, p999: 10, bytes, seconds, error };
        assert_eq!(outcome, expected);
        assert_eq!(parse("ready 5"), None);
        assert_eq!(parse("outcome done=x failed=1 bytes=1 ms=1 error="), None);
    }
}
