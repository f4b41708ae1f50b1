//! Headless Chromium: loads one page, through a proxy or straight, and prints the document.

use super::ran::Ran;
use crate::temp::TempDir;
use crate::wait::secs;
use std::process::Command;
use std::time::Duration;

/// A browser takes seconds to start; the test runner gives such tests 60 s.
const BROWSER_PATIENCE: Duration = secs(55);

/// What a browser did without a proxy.
#[derive(Debug)]
pub struct Browsed {
    /// The run; its output is the document after its scripts ran.
    pub ran: Ran,
    /// Its own log of what went over the network, as JSON.
    pub net_log: String,
}

/// The document of `url` after its scripts ran, loaded through `proxy` (`http://host:port` or `socks5://host:port`).
/// A fresh profile, no bypass for loopback, and no certificate of an https page is questioned.
#[track_caller]
#[must_use]
pub fn chromium(url: &str, proxy: &str) -> Ran {
    let profile = TempDir::new();
    let mut command = headless(&profile);
    command.args(["--virtual-time-budget=15000", "--proxy-bypass-list=<-loopback>"]);
    command.arg(format!("--proxy-server={proxy}")).arg(url);
    Ran::of(&mut command, b"", BROWSER_PATIENCE)
}

/// The document once everything in it has loaded, without a proxy; every name of the page is 127.0.0.1. A page that has
/// more to do than to load holds the browser with an image that is answered late.
#[track_caller]
#[must_use]
pub fn chromium_without_proxy(url: &str) -> Browsed {
    let profile = TempDir::new();
    let log = profile.join("net.json");
    let mut command = headless(&profile);
    command.args(["--no-proxy-server", "--host-resolver-rules=MAP * 127.0.0.1"]);
    command.arg(format!("--log-net-log={}", log.display())).arg(url);
    let ran = Ran::of(&mut command, b"", BROWSER_PATIENCE);
    let net_log = std::fs::read_to_string(log).expect("the browser's log of its network");
    Browsed { ran, net_log }
}

fn headless(profile: &TempDir) -> Command {
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
        "--ignore-certificate-errors",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.env("HOME", profile.path());
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Origin, Reply};

    /// The origin plays the proxy: it answers whatever it is asked for.
    #[test]
    fn chromium_loads_a_page_through_a_proxy() {
        let page = "<p id=p></p><script>document.getElementById('p').textContent = 6 * 7</script>";
        let proxy = Origin::start(Reply::html(page));
        let ran = chromium("http://site.test/page", &proxy.url(""));
        assert!(ran.text().contains(">42</p>"), "{ran}");
        assert!(proxy.requests().iter().any(|seen| seen.target() == "http://site.test/page"));
    }
}
