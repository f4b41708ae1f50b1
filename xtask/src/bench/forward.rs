//! `cargo xtask bench forward`: forward proxies, by HTTP and by SOCKS5.
//!
//! Here is how a peer is set up and asked. What is measured stands in `forward/case.rs`.

mod calls;
mod case;
mod idle;
mod start;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::load::{self, MAX_SECONDS, MAX_SECONDS_IDLE, Origin, Outcome, Programs};
use super::options::{Choice, Options};
use super::peer::Peer;
use super::rounds::{self, Contender};
use super::site::{Running, Site, Template};

pub(super) use case::Case;
use case::Row;

/// This benchmark's run.
type Bench = super::Bench<Case>;

/// Runs the wanted cases, or counts their system calls.
///
/// # Errors
/// When load or origin do not work.
pub(super) fn run(options: Options<Case>) -> Result<()> {
    let bench = Bench::prepare(options)?;
    if bench.options.calls {
        return calls::run(&bench);
    }
    for case in bench.options.cases() {
        match case {
            Case::Get | Case::Connect | Case::Socks5 | Case::Bulk | Case::BulkSmall => {
                let origin = Origin::start(&bench.programs, &bench.cores)?;
                rounds::run(bench.pace(), case.job(), contenders(&bench, case, &origin))?;
            }
            Case::Idle => idle::run(&bench)?,
            Case::Start => start::run(&bench)?,
        }
    }
    Ok(())
}

fn contenders<'a>(bench: &'a Bench, case: Case, origin: &'a Origin) -> Vec<Contender<'a>> {
    let rows = case.rows().into_iter().filter(|row| bench.peers.contains(&row.peer));
    let contender = |row: Row| {
        let in_all = row.peer.most_tunnels().filter(|_| case == Case::Socks5);
        let most = in_all.map_or(case.most(), |in_all| case.most().min(in_all / bench.options.rounds as u64));
        Contender {
            name: row.peer.name(),
            role: row.role,
            ours: row.peer == Peer::Shoalway,
            competes: case.counts_references() || !row.reference,
            most,
            start: Box::new(move || start_peer(bench, &row, origin)),
            load: Box::new(move |running, amount| load_peer(bench, case, &row, running, origin, amount)),
        }
    };
    rows.map(contender).collect()
}

fn start_peer(bench: &Bench, row: &Row, origin: &Origin) -> Result<Running> {
    let site = prepare(row.peer, origin)?;
    let command = command(row.peer, &site.dir, &bench.programs.ours());
    Running::start(command, site, row.door, &bench.cores)
}

fn prepare(peer: Peer, origin: &Origin) -> Result<Site> {
    Site::prepare(peer.name(), templates(peer), origin.ports, &[])
}

fn load_peer(
    bench: &Bench,
    case: Case,
    row: &Row,
    running: &Running,
    origin: &Origin,
    amount: u64,
) -> Result<Outcome> {
    load::run(load_command(&bench.programs, case, row, running, origin, amount), &bench.cores)
}

/// One load run as a command: `amount` units of `case` through `row`'s door.
fn load_command(
    programs: &Programs,
    case: Case,
    row: &Row,
    running: &Running,
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
    let seconds = if case == Case::Idle { MAX_SECONDS_IDLE } else { MAX_SECONDS };
    programs.load(&[
        ("mode", mode.to_owned()),
        ("proxy", running.address(row.door).to_string()),
        ("via", row.via.word().to_owned()),
        ("port", port.to_string()),
        ("workers", workers.to_string()),
        ("count", count.to_string()),
        ("bytes", bytes.to_string()),
        ("reuse", if row.peer.keeps_alive() { "yes" } else { "no" }.to_owned()),
        ("max-seconds", seconds.to_string()),
    ])
}

/// What has to be written before `peer` starts.
const fn templates(peer: Peer) -> &'static [Template] {
    match peer {
        Peer::Shoalway => &[("shoalway.conf", "shoalway.toml")],
        Peer::Squid => &[("squid.conf", "squid.conf")],
        Peer::TrafficServer => &[
            ("trafficserver.conf", "records.config"),
            ("trafficserver-ip_allow.conf", "ip_allow.yaml"),
            ("trafficserver-logging.conf", "logging.yaml"),
            ("trafficserver-runroot.conf", "runroot.yaml"),
            ("trafficserver-storage.conf", "storage.config"),
        ],
        Peer::Tinyproxy => &[("tinyproxy.conf", "tinyproxy.conf")],
        Peer::Haproxy => &[("haproxy.conf", "haproxy.conf")],
        Peer::Nginx => &[("nginx.conf", "nginx.conf")],
        Peer::Danted => &[("danted.conf", "danted.conf")],
        Peer::Microsocks => &[("microsocks.conf", "microsocks.args")],
        Peer::Envoy | Peer::Caddy | Peer::ShadowsocksRust | Peer::ShadowsocksLibev | Peer::Tor => &[],
    }
}

/// The command that starts `peer` in the foreground with one worker, its files being in `dir`.
fn command(peer: Peer, dir: &Path, ours: &Path) -> Command {
    let file = |name: &str| dir.join(name).display().to_string();
    let args: Vec<String> = match peer {
        Peer::Shoalway => vec!["run".into(), "-c".into(), file("shoalway.toml")],
        Peer::Squid => vec!["-N".into(), "-f".into(), file("squid.conf")],
        Peer::TrafficServer => vec![format!("--run-root={}", file("runroot.yaml"))],
        Peer::Tinyproxy => vec!["-d".into(), "-c".into(), file("tinyproxy.conf")],
        Peer::Haproxy => vec!["-db".into(), "-f".into(), file("haproxy.conf")],
        Peer::Nginx => vec!["-p".into(), dir.display().to_string(), "-c".into(), file("nginx.conf")],
        Peer::Danted => vec!["-f".into(), file("danted.conf"), "-p".into(), file("danted.pid")],
        Peer::Microsocks => arguments(&dir.join("microsocks.args")),
        Peer::Envoy | Peer::Caddy | Peer::ShadowsocksRust | Peer::ShadowsocksLibev | Peer::Tor => Vec::new(),
    };
    let mut command = Command::new(peer.program_at(ours));
    command.args(args).current_dir(dir);
    command
}

/// One argument a line; lines with `#` are comments.
fn arguments(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

impl Choice for Case {
    const ALL: &'static [Self] =
        &[Self::Get, Self::Connect, Self::Socks5, Self::Bulk, Self::BulkSmall, Self::Idle, Self::Start];
    const PEERS: &'static [Peer] = &Peer::FORWARD;

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Connect => "connect",
            Self::Socks5 => "socks5",
            Self::Bulk => "bulk",
            Self::BulkSmall => "bulk-1m",
            Self::Idle => "idle",
            Self::Start => "start",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::OriginPorts;
    use super::*;

    #[test]
    fn no_word_of_a_template_stays_unfilled() {
        let origin = OriginPorts { http: 1, echo: 2, source: 3 };
        for peer in Peer::FORWARD {
            let site = Site::prepare(peer.name(), templates(peer), origin, &[]).expect("templates are there");
            assert!(!templates(peer).is_empty(), "{}", peer.name());
            for (_, name) in templates(peer) {
                let text = std::fs::read_to_string(site.dir.join(name)).expect("written");
                assert!(!text.contains('@'), "{name}: {text}");
            }
        }
    }
}
