//! Real clients: curl, h2load, openssl, Python, Chromium and ssh, each run to its end within a deadline; and nginx and HAProxy beside them.
//!
//! `.ci/setup` installs them; where one is missing the test fails and says so.

mod browser;
mod load;
mod openssl;
mod peer;
mod ran;
mod ssh;
mod strace;
mod tcpdump;

pub use browser::{Browsed, chromium, chromium_without_proxy};
pub use load::h2load;
pub use openssl::s_client;
pub use peer::Peer;
pub use ran::Ran;
pub use ssh::SshServer;
pub use strace::system_calls;
pub use tcpdump::Capture;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a real client may take; the test runner ends a test after 30 s.
pub(crate) const CLIENT_PATIENCE: Duration = Duration::from_secs(25);

/// What curl did.
#[derive(Debug)]
pub struct Curled {
    /// The run itself; its output is the body.
    pub ran: Ran,
    /// Status of the answer, 0 when none came.
    pub http_code: u16,
    /// Status of the proxy's answer to CONNECT, 0 when there was none.
    pub connect_code: u16,
}

/// Runs curl with these words, quiet but for errors.
#[track_caller]
#[must_use]
pub fn curl(words: &[&str]) -> Curled {
    curl_with_input(words, b"")
}

/// Runs curl with something to read for `--data-binary @-` or `-T -`.
#[track_caller]
#[must_use]
pub fn curl_with_input(words: &[&str], input: &[u8]) -> Curled {
    const CODES: &str = "%{stderr}codes %{http_code} %{http_connect}\n";
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--max-time", "20", "--noproxy", "", "-w", CODES]).args(words);
    let ran = Ran::of(&mut command, input, CLIENT_PATIENCE);
    let line = ran.stderr.lines().rev().find_map(|line| line.strip_prefix("codes "));
    let codes: Vec<u16> = line.unwrap_or_default().split(' ').filter_map(|code| code.parse().ok()).collect();
    let [http_code, connect_code] = codes[..] else { panic!("curl printed no codes: {ran}") };
    Curled { ran, http_code, connect_code }
}

impl Curled {
    /// It ended well with this status and body.
    #[track_caller]
    pub fn assert_got(&self, http_code: u16, body: &str) {
        let got = (self.ran.code, self.http_code, self.ran.text());
        assert_eq!(got, (Some(0), http_code, body.to_owned()), "{}", self.ran);
    }
}

/// Runs a Python script with `requests` and `socks` at hand; its arguments are `sys.argv[1:]`.
#[track_caller]
#[must_use]
pub fn python(script: &str, words: &[&str]) -> Ran {
    let python = workspace().join("target/testvenv/bin/python");
    assert!(python.exists(), "{} is missing: run .ci/setup", python.display());
    let mut command = Command::new(python);
    command.args(["-E", "-c", script]).args(words);
    Ran::of(&mut command, b"", CLIENT_PATIENCE)
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the workspace").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Origin, Reply};

    #[test]
    fn curl_tells_body_and_status() {
        let origin = Origin::start(Reply::ok("found").status(404));
        curl(&[&origin.url("/x")]).assert_got(404, "found");
        let echo = Origin::start(Reply::echo());
        curl_with_input(&["--data-binary", "@-", &echo.url("/")], b"posted").assert_got(200, "posted");
    }

    #[test]
    fn python_has_the_modules_that_tests_need() {
        let ran = python("import requests, socks, sys; print(sys.argv[1])", &["word"]);
        assert_eq!(ran.text(), "word\n", "{ran}");
    }
}
