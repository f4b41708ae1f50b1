//! The peers: packages, programs, and the command that starts each in the foreground with one worker.

use std::path::Path;
use std::process::Command;

use super::machine;

/// A proxy that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Shoalway,
    Squid,
    TrafficServer,
    Tinyproxy,
    Haproxy,
    Nginx,
    Danted,
    Microsocks,
}

/// A configuration: name of the template in `bench/peers/` and of the file made from it.
pub(super) type Template = (&'static str, &'static str);

/// nginx's stream module, a package and a file of its own.
pub(super) const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

impl Peer {
    pub(super) const ALL: [Self; 8] = [
        Self::Shoalway,
        Self::Squid,
        Self::TrafficServer,
        Self::Tinyproxy,
        Self::Haproxy,
        Self::Nginx,
        Self::Danted,
        Self::Microsocks,
    ];
    /// Forward proxies that speak HTTP.
    pub(super) const FORWARD_HTTP: [Self; 4] =
        [Self::Shoalway, Self::Squid, Self::TrafficServer, Self::Tinyproxy];
    /// Forward proxies that speak SOCKS5.
    pub(super) const FORWARD_SOCKS: [Self; 3] = [Self::Shoalway, Self::Danted, Self::Microsocks];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Shoalway => "shoalway",
            Self::Squid => "squid",
            Self::TrafficServer => "trafficserver",
            Self::Tinyproxy => "tinyproxy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Danted => "danted",
            Self::Microsocks => "microsocks",
        }
    }

    /// The Debian packages it comes from.
    pub(super) const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Shoalway => &[],
            Self::Squid => &["squid"],
            Self::TrafficServer => &["trafficserver"],
            Self::Tinyproxy => &["tinyproxy"],
            Self::Haproxy => &["haproxy"],
            Self::Nginx => &["nginx", "libnginx-mod-stream"],
            Self::Danted => &["dante-server"],
            Self::Microsocks => &["microsocks"],
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Shoalway => "shoalway",
            Self::Squid => "squid",
            Self::TrafficServer => "traffic_server",
            Self::Tinyproxy => "tinyproxy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Danted => "danted",
            Self::Microsocks => "microsocks",
        }
    }

    /// Whether it serves more than one plain request on a connection. tinyproxy closes after each, and does not
    /// say so in its answer.
    pub(super) fn keeps_alive(self) -> bool {
        self != Self::Tinyproxy
    }

    /// The most tunnels it can open in all rounds together. danted binds every outgoing connection to a port, which
    /// the kernel gives out again only a minute after its end.
    pub(super) const fn most_tunnels(self) -> Option<u64> {
        if matches!(self, Self::Danted) { Some(22_000) } else { None }
    }

    /// Whether its program, and what its configuration loads, is there.
    pub(super) fn is_installed(self) -> bool {
        machine::find_program(self.program()).is_some()
            && (self != Self::Nginx || Path::new(NGINX_STREAM).exists())
    }

    /// What has to be written before it starts.
    pub(super) const fn templates(self) -> &'static [Template] {
        match self {
            Self::Shoalway => &[("shoalway.conf", "shoalway.toml")],
            Self::Squid => &[("squid.conf", "squid.conf")],
            Self::TrafficServer => &[
                ("trafficserver.conf", "records.config"),
                ("trafficserver-ip_allow.conf", "ip_allow.yaml"),
                ("trafficserver-logging.conf", "logging.yaml"),
                ("trafficserver-runroot.conf", "runroot.yaml"),
                ("trafficserver-storage.conf", "storage.config"),
            ],
            Self::Tinyproxy => &[("tinyproxy.conf", "tinyproxy.conf")],
            Self::Haproxy => &[("haproxy.conf", "haproxy.conf")],
            Self::Nginx => &[("nginx.conf", "nginx.conf")],
            Self::Danted => &[("danted.conf", "danted.conf")],
            Self::Microsocks => &[("microsocks.conf", "microsocks.args")],
        }
    }

    /// The command that starts it in the foreground, its files being in `dir`. `ours` is our own binary.
    pub(super) fn command(self, dir: &Path, ours: &Path) -> Command {
        let file = |name: &str| dir.join(name).display().to_string();
        let (program, args): (String, Vec<String>) = match self {
            Self::Shoalway => {
                (ours.display().to_string(), vec!["run".into(), "-c".into(), file("shoalway.toml")])
            }
            Self::Squid => (self.found(), vec!["-N".into(), "-f".into(), file("squid.conf")]),
            Self::TrafficServer => (self.found(), vec![format!("--run-root={}", file("runroot.yaml"))]),
            Self::Tinyproxy => (self.found(), vec!["-d".into(), "-c".into(), file("tinyproxy.conf")]),
            Self::Haproxy => (self.found(), vec!["-db".into(), "-f".into(), file("haproxy.conf")]),
            Self::Nginx => {
                (self.found(), vec!["-p".into(), dir.display().to_string(), "-c".into(), file("nginx.conf")])
            }
            Self::Danted => {
                (self.found(), vec!["-f".into(), file("danted.conf"), "-p".into(), file("danted.pid")])
            }
            Self::Microsocks => (self.found(), arguments(&dir.join("microsocks.args"))),
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(dir);
        command
    }

    fn found(self) -> String {
        machine::find_program(self.program())
            .map_or_else(|| self.program().to_owned(), |at| at.display().to_string())
    }
}

/// One argument a line; lines with `#` are comments.
fn arguments(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}
