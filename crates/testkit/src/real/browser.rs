//! Headless Chromium: loads one page through a proxy and prints the document.

use super::ran::Ran;
use crate::temp::TempDir;
use crate::wait::secs;
use std::process::Command;
use std::time::Duration;

/// A browser takes seconds to start; the test runner gives such tests 60 s.
const BROWSER_PATIENCE: Duration = secs(55);

/// The document of `url` after its scripts ran, loaded through `proxy` (`http://host:port` or `socks5://host:port`).
/// A fresh profile, no bypass for loopback, and no certificate of an https page is questioned.
#[track_caller]
#[must_use]
pub fn chromium(url: &str, proxy: &str) -> Ran {
    let profile = TempDir::new();
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
        "--proxy-bypass-list=<-loopback>",
        "--virtual-time-budget=15000",
        "--dump-dom",
    ]);
    command.arg(format!("--proxy-server={proxy}"));
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.env("HOME", profile.path()).arg(url);
    Ran::of(&mut command, b"", BROWSER_PATIENCE)
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
