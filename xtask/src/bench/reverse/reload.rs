//! Reloads under load: what fails, what a client has to send again, and which WebSockets are cut.
//!
//! Each reload changes one site that nobody uses, and the next begins when the one before has taken effect. Two closed
//! loops run meanwhile, one over kept-alive connections and one with a new connection for each request, and fifty
//! WebSockets carry a frame every 50 ms.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::super::load::{self, Held, Origin, Outcome, Under};
use super::super::peer::Peer;
use super::super::site::Running;
use super::certificate::HOST;
use super::setup::{self, Service};
use super::{Bench, Case};

/// What the reloads of one peer did.
struct Reloads {
    kept_alive: Outcome,
    fresh: Outcome,
    websockets: Outcome,
    /// Median seconds from the order to the effect.
    seconds: f64,
}

/// Measures every peer once and prints the table.
///
/// # Errors
/// When the load cannot be started.
pub(super) fn run(bench: &Bench, origin: &Origin) -> Result<()> {
    let count = if bench.run.options.quick { 5 } else { 20 };
    let mut text = format!(
        "\n### {}: {count} reloads, {WEBSOCKETS} WebSockets\n\n\
         | proxy | requests | failed | sent again | WebSockets cut | ms per reload | remark |\n\
         |---|---|---|---|---|---|---|\n",
        Case::Reload.title()
    );
    for peer in bench.peers(Case::Reload) {
        let result = measure(bench, peer, origin, count);
        let line = line(peer, &result);
        eprintln!("reload: {line}");
        text.push_str(&line);
        text.push('\n');
    }
    println!("{text}");
    Ok(())
}

/// WebSockets open at once.
const WEBSOCKETS: u32 = 50;

fn measure(bench: &Bench, peer: Peer, origin: &Origin, count: u32) -> Result<Reloads> {
    let running = bench.start(peer, Case::Reload, origin, Service::Reloadable)?;
    let at = running.address(Case::Reload.door());
    takes_effect(at, 0)?;
    let cores = &bench.run.cores;
    // Longer than the reloads; the rest is waited for.
    let seconds = count + 10;
    let websockets = Held::open(command(bench, &running, origin, "websocket", WEBSOCKETS, 300), cores)?;
    ensure!(websockets.count == u64::from(WEBSOCKETS), "only {} WebSockets", websockets.count);
    let mut kept = Under::start(command(bench, &running, origin, "get", 16, seconds), cores)?;
    let mut reopening = command(bench, &running, origin, "get", 8, seconds);
    reopening.args(["--reuse", "no"]);
    let mut fresh = Under::start(reopening, cores)?;
    let mut times = Vec::new();
    for generation in 1..=count {
        let begin = Instant::now();
        setup::reload(peer, &running, generation)?;
        takes_effect(at, generation)?;
        times.push(begin.elapsed().as_secs_f64());
        // A pause that is shorter than any peer's life with one configuration.
        sleep(Duration::from_millis(300));
    }
    ensure!(kept.is_running()? && fresh.is_running()?, "the load ended before the last reload");
    let (kept_alive, fresh) = (kept.finish(load::parse)?.0, fresh.finish(load::parse)?.0);
    let websockets = websockets.finish()?;
    times.sort_by(f64::total_cmp);
    let seconds = times.get(times.len() / 2).copied().unwrap_or(0.0);
    Ok(Reloads { kept_alive, fresh, websockets, seconds })
}

fn command(
    bench: &Bench,
    running: &Running,
    origin: &Origin,
    mode: &str,
    workers: u32,
    seconds: u32,
) -> Command {
    bench.run.programs.load(&[
        ("mode", mode.to_owned()),
        ("proxy", running.address(Case::Reload.door()).to_string()),
        ("host", HOST.to_owned()),
        ("port", origin.ports.http.to_string()),
        ("workers", workers.to_string()),
        ("count", u64::MAX.to_string()),
        ("again", "yes".to_owned()),
        ("max-seconds", seconds.to_string()),
    ])
}

/// Waits until new connections are answered by this generation of the configuration.
fn takes_effect(at: SocketAddrV4, generation: u32) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    let wanted = format!("/{generation}/");
    let mut last = String::new();
    while Instant::now() < until {
        // A refused connection is the load's to count; here only the effect matters.
        if let Ok(location) = redirect(at) {
            if location.contains(&wanted) {
                return Ok(());
            }
            last = location;
        }
        sleep(Duration::from_millis(5));
    }
    bail!("generation {generation} is not in force after 10 s; it redirects to `{last}`");
}

fn redirect(at: SocketAddrV4) -> Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: generation.example\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut scratch) = (Vec::new(), [0; 4096]);
    // Until the head is there: some close a second after they have answered.
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut scratch)?;
        ensure!(count > 0, "closed before the answer was complete");
        answer.extend_from_slice(scratch.get(..count).unwrap_or_default());
    }
    let answer = String::from_utf8_lossy(&answer);
    let lines = answer.lines().filter_map(|line| line.split_once(": "));
    let mut location = lines.filter(|(name, _)| name.eq_ignore_ascii_case("location"));
    Ok(location.next().map_or_else(String::new, |(_, value)| value.to_owned()))
}

fn line(peer: Peer, result: &Result<Reloads>) -> String {
    let name = if peer == Peer::Shoalway { "**shoalway**" } else { peer.name() };
    let Reloads { kept_alive, fresh, websockets, seconds } = match result {
        Ok(result) => result,
        Err(error) => {
            let why = format!("{error:#}").replace('|', "/");
            return format!("| {name} | invalid | | | | | does not come up or reload: {why} |");
        }
    };
    let errors = [kept_alive, fresh, websockets].map(|outcome| outcome.error.as_str());
    let remark = errors.into_iter().find(|error| !error.is_empty()).unwrap_or_default().replace('|', "/");
    format!(
        "| {name} | {} | {} | {} | {} | {:.0} | {remark} |",
        kept_alive.done + fresh.done,
        kept_alive.failed + fresh.failed,
        kept_alive.again + fresh.again,
        websockets.failed,
        seconds * 1e3,
    )
}
