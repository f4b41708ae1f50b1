//! A child process run to its end within a deadline, and what it said.

use crate::wait::eventually;
use std::fmt;
use std::io::{Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

/// How a process ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Exit code; none when a signal or the deadline ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs it with this input; kills it and fails the test when it takes longer than `within`.
    #[track_caller]
    #[must_use]
    pub fn of(command: &mut Command, input: &[u8], within: Duration) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child =
            Killed(command.spawn().unwrap_or_else(|e| panic!("start {name}: {e}: run .ci/setup")));
        let stdout = reader(child.0.stdout.take().expect("standard output"));
        let stderr = reader(child.0.stderr.take().expect("standard error"));
        let (mut stdin, input) = (child.0.stdin.take().expect("standard input"), input.to_vec());
        thread::spawn(move || drop(stdin.write_all(&input))); // a client may end without reading all of it
        let status = eventually(within, &format!("the end of {name}"), || child.0.try_wait().expect("wait"));
        let text = |stream: Receiver<Vec<u8>>| stream.recv_timeout(within).unwrap_or_default();
        let (stdout, stderr) = (text(stdout), text(stderr));
        Self { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// It ended with this code.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}\n--- output\n{}\n--- errors\n{}", self.code, self.text(), self.stderr)
    }
}

/// A child that does not outlive the wait for it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill()); // it has usually ended
        drop(self.0.wait());
    }
}

fn reader(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes)); // what came before an error is shown
        drop(sender.send(bytes)); // nobody may wait any more
    });
    receiver
}
