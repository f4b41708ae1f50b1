//! The program under test: the real binary with two shards, ports of its own choosing and all files in a directory of
//! its own.
//!
//! Contract: `shoalway run --json -c FILE -o KEY=VALUE` prints one JSON line an event to standard output:
//! `{"event":"listening","listener":"proxy","address":"127.0.0.1:43210"}` for each listener (`proxy`, `admin`, and
//! `socket` with a path), then `{"event":"ready"}`, and after a SIGHUP `{"event":"reloaded"}` or
//! `{"event":"reload_failed"}`. What it does not keep fails the test with everything the program said.

mod builder;
mod facts;
mod metrics;
mod output;

pub use builder::Builder;
pub use facts::raise_own_limit;
pub use metrics::Metrics;
pub use rustix::process::Signal;

use crate::client::RawClient;
use crate::http::Response;
use crate::real::Ran;
use crate::temp::TempDir;
use crate::wait::{PATIENCE, eventually};
use output::{Events, Lines};
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// Runs a command of the program to its end in this directory, with nothing of the machine's environment that matters
/// to proxies.
#[track_caller]
#[must_use]
pub fn run(bin: &str, dir: &TempDir, words: &[&str]) -> Ran {
    let mut command = Command::new(bin);
    command.args(words);
    Ran::of(builder::clean(&mut command, dir), b"", PATIENCE)
}

/// A running proxy. Dropping it kills it; in a failed test it also prints what the program said.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    events: Events,
    errors: Lines,
    bin: String,
    arguments: Vec<String>,
    dir: TempDir,
}

impl Proxy {
    /// A proxy still to be configured; tests pass `env!("CARGO_BIN_EXE_shoalway")`.
    #[must_use]
    pub fn builder(bin: &str) -> Builder {
        Builder::new(bin)
    }

    /// A proxy with every setting at its default.
    #[track_caller]
    #[must_use]
    pub fn start(bin: &str) -> Self {
        Builder::new(bin).start()
    }

    /// Where it takes clients; the first of several.
    #[track_caller]
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.events.listening("proxy").parse().expect("address of the proxy listener")
    }

    /// Where another listener is: `sites.HOST` or `streams.NAME`; the first of several.
    #[track_caller]
    #[must_use]
    pub fn listening(&self, name: &str) -> SocketAddr {
        self.events.listening(name).parse().expect("address of a listener")
    }

    /// Where the admin port is.
    #[track_caller]
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.events.listening("admin").parse().expect("address of the admin listener")
    }

    /// The control socket.
    #[track_caller]
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.events.listening("socket").into()
    }

    /// Its URL with this scheme, for `curl -x` and its like.
    #[track_caller]
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr())
    }

    /// A raw client of it.
    #[track_caller]
    #[must_use]
    pub fn connect(&self) -> RawClient {
        RawClient::connect(self.addr())
    }

    /// The directory with its files.
    #[must_use]
    pub fn dir(&self) -> &TempDir {
        &self.dir
    }

    /// Waits for `n` lines of the access log and gives all there are.
    #[track_caller]
    #[must_use]
    pub fn log_lines(&self, n: usize) -> Vec<String> {
        eventually(PATIENCE, &format!("{n} lines in the access log"), || {
            let text = fs::read_to_string(self.dir.join("access.log")).ok()?;
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (lines.len() >= n && text.ends_with('\n')).then_some(lines)
        })
    }

    /// The same as JSON values.
    #[track_caller]
    #[must_use]
    pub fn log_values(&self, n: usize) -> Vec<Value> {
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.log_lines(n).iter().map(parse).collect()
    }

    /// Asks the admin port.
    #[track_caller]
    #[must_use]
    pub fn admin(&self, path: &str) -> Response {
        let mut client = RawClient::connect(self.admin_addr());
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin_addr()));
        client.read_response()
    }

    /// The metrics page, which must parse.
    #[track_caller]
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let page = self.admin("/metrics");
        assert_eq!(page.status, 200, "{}", page.head);
        Metrics::parse(&page.text())
    }

    /// Runs a command of the same binary with the same file and overrides.
    #[track_caller]
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(&self.bin);
        command.args(words).args(&self.arguments);
        Ran::of(builder::clean(&mut command, &self.dir), b"", PATIENCE)
    }

    /// `shoalway status --json`.
    #[track_caller]
    #[must_use]
    pub fn status_json(&self) -> Value {
        let ran = self.command(&["status", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran}");
        serde_json::from_str(&ran.text()).unwrap_or_else(|e| panic!("{e}: {ran}"))
    }

    /// Replaces the configuration file; nothing reads it before a reload.
    pub fn write_config(&self, text: &str) {
        self.dir.write("shoalway.toml", builder::with_version(text));
    }

    /// Sends SIGHUP and waits for what came of it.
    ///
    /// # Errors
    /// The whole event when the program refused the new file.
    #[track_caller]
    pub fn reload(&self) -> Result<(), Value> {
        let before = self.events.count();
        self.signal(Signal::HUP);
        let event = self.events.next_of(before, &["reloaded", "reload_failed"]);
        if event["event"] == "reloaded" { Ok(()) } else { Err(event) }
    }

    /// Sends a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("send a signal");
    }

    /// Sends SIGTERM, so that it drains.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_for_exit(&mut self, within: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually(within, "the program's end", || child.try_wait().expect("wait for a child"))
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait for a child").is_none()
    }

    /// SIGTERM and a bounded wait; the exit code must be 0.
    #[track_caller]
    pub fn stop(mut self) {
        self.terminate();
        let status = self.wait_for_exit(PATIENCE);
        assert_eq!(status.code(), Some(0), "exit code after SIGTERM");
    }

    /// Everything it wrote to standard output so far: its events, or text where it was started without `--json`.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.events.text()
    }

    /// Everything it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.errors.text()
    }

    /// Waits until standard error has this text, and gives all of it.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str) -> String {
        let what = format!("{text:?} on standard error");
        eventually(PATIENCE, &what, || Some(self.stderr()).filter(|all| all.contains(text)))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Proxy {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the program said")]
    fn drop(&mut self) {
        drop(self.child.kill()); // it may have ended by itself
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- events\n{}--- standard error\n{}---", self.events.text(), self.errors.text());
        }
    }
}

#[cfg(test)]
mod tests;
