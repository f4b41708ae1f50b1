//! What the program says when it is started without a command: what it does, and the next three things to try.
//!
//! Not here: starting (`run`).

use crate::run::opening::Running;
use std::fmt::Write;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Says it on standard output.
pub fn banner(running: &Running) {
    let mut forward = running.listening.iter().filter(|listening| listening.forward().is_some());
    let Some(first) = forward.next() else { return };
    let rules = running.settings.rules.len();
    let file = running.request.file.as_ref().map(|path| path.display().to_string());
    let also: Vec<SocketAddr> = forward.map(|listening| listening.address).collect();
    let text = Banner {
        address: first.address,
        tls: first.forward().is_some_and(|listener| listener.tls.is_some()),
        also,
        rules,
        file,
        metrics: running.admin.address(),
    };
    // Nobody listening to the banner is no reason to end.
    drop(std::io::stdout().lock().write_all(text.render().as_bytes()));
}

struct Banner {
    address: SocketAddr,
    tls: bool,
    also: Vec<SocketAddr>,
    rules: usize,
    file: Option<String>,
    metrics: Option<SocketAddr>,
}

impl Banner {
    fn render(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            // Writing into a String has no way to fail.
            writeln!(out, "{text}").unwrap_or_default();
        };
        line(format!("shoalway {}", env!("CARGO_PKG_VERSION")));
        line(String::new());
        let tls = if self.tls { " inside TLS" } else { "" };
        line(format!("  Proxy    {}  HTTP, SOCKS4, SOCKS4a, SOCKS5{tls}, all on this port", self.address));
        for address in &self.also {
            line(format!("           {address}"));
        }
        let rules = match self.rules {
            0 => "no rules: everything goes straight out".to_owned(),
            1 => "1 rule".to_owned(),
            n => format!("{n} rules"),
        };
        match &self.file {
            Some(file) => line(format!("  Config   {file}, {rules}")),
            None => line(format!("  Config   none found: defaults, {rules}")),
        }
        if let Some(address) = self.metrics {
            line(format!("  Metrics  http://{address}/metrics"));
        }
        line(String::new());
        line("Nothing on this system was changed. Ctrl-C ends it, a second one at once.".to_owned());
        line(String::new());
        let scheme = if self.tls { "https" } else { "http" };
        line("Try, in another terminal:".to_owned());
        line(format!("  curl -x {scheme}://{} https://example.com/", near(self.address)));
        for try_this in [
            "  shoalway exec -- curl https://example.com/    # any program, the proxy set for it alone",
            "  shoalway why https://example.com/             # which rule decides; sends nothing",
        ] {
            line(try_this.to_owned());
        }
        out
    }
}

/// The address as a program on this machine reaches it.
fn near(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_says_what_runs_and_what_to_try() {
        let banner = Banner {
            address: "0.0.0.0:3128".parse().unwrap(),
            tls: false,
            also: vec!["[::1]:3128".parse().unwrap()],
            rules: 0,
            file: None,
            metrics: None,
        };
        let text = banner.render();
        for part in [
            "0.0.0.0:3128",
            "[::1]:3128",
            "Nothing on this system was changed",
            "curl -x http://127.0.0.1:3128 ",
            "shoalway exec",
            "shoalway why",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let tls = Banner { tls: true, ..banner }.render();
        assert!(tls.contains("curl -x https://127.0.0.1:3128 "), "{tls}");
    }
}
