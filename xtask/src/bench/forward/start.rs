//! Time from exec to the first accepted connection, median of eleven; ours without a file, as a newcomer starts it.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::load::Origin;
use super::super::peer::Peer;
use super::super::site::{Door, Running};
use super::super::table::{Line, Summary, Table};
use super::case::Case;
use super::{Bench, prepare};

/// Measures every peer and prints the table.
///
/// # Errors
/// When the origin cannot be started, whose ports the configurations name.
pub(super) fn run(bench: &Bench) -> Result<()> {
    let origin = Origin::start(&bench.programs, &bench.cores)?;
    let mut lines = Vec::new();
    for row in Case::Start.rows().iter().filter(|row| bench.peers.contains(&row.peer)) {
        let times: Result<Vec<f64>> =
            (0..TIMES).map(|_| Ok(once(bench, row.peer, &origin)?.as_secs_f64() * 1e3)).collect();
        let ours = row.peer == Peer::Shoalway;
        let (cost, remark) = match &times {
            Ok(times) => (Summary::of(times), String::new()),
            Err(error) => (None, format!("{error:#}").replace('|', "/")),
        };
        let remark = match cost {
            Some(cost) if ours && cost.median < TARGET => "target 50: reached".to_owned(),
            Some(_) if ours => "target 50: missed".to_owned(),
            Some(_) | None => remark,
        };
        eprintln!("start: {} {}", row.peer.name(), cost.map_or_else(|| remark.clone(), Summary::text));
        let role = if ours { "no file" } else { "with its file" };
        let (name, more) = (row.peer.name().to_owned(), Vec::new());
        lines.push(Line { name, role: role.to_owned(), cost, ours, competes: true, more, remark });
    }
    let cost = "ms: median (min-max)";
    let table = Table {
        title: Case::Start.title(),
        cost,
        ratio: "starts per second",
        more: &[],
        target: None,
        against: &[],
        lines,
    };
    println!("{}", table.markdown());
    Ok(())
}

fn once(bench: &Bench, peer: Peer, origin: &Origin) -> Result<Duration> {
    let site = prepare(peer, origin)?;
    let ours = bench.programs.ours();
    if peer != Peer::Shoalway {
        let (command, at) = (super::command(peer, &site.dir, &ours), site.address(Door::Proxy));
        return Running::timed(command, site, at, &bench.cores);
    }
    ensure!(TcpListener::bind(DEFAULT_PORT).is_ok(), "its default port {DEFAULT_PORT} is in use");
    let mut command = Command::new(ours);
    // An empty folder: a configuration file in the current one would be read.
    let empty = site.dir.join("empty");
    std::fs::create_dir_all(&empty)?;
    command.current_dir(&empty);
    Running::timed(command, site, DEFAULT_PORT, &bench.cores)
}

/// Where ours listens when it is told nothing.
const DEFAULT_PORT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128);
/// Starts of each peer.
const TIMES: usize = 11;
/// Milliseconds that ours may take.
const TARGET: f64 = 50.0;
