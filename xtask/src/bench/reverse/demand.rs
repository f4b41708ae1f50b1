//! How a peer is asked: the load of each case as a command, and its outcome.

use std::process::Command;

use anyhow::Result;

use super::super::load::{self, MAX_SECONDS, Origin, Outcome};
use super::super::site::Running;
use super::certificate::HOST;
use super::{Bench, Case, h2load};

/// Runs `amount` units of `case` through `running`.
///
/// # Errors
/// When the load cannot be started. That it failed is part of the outcome.
pub(super) fn run(
    bench: &Bench,
    case: Case,
    running: &Running,
    origin: &Origin,
    amount: u64,
) -> Result<Outcome> {
    if case.needs_h2load() {
        return h2load::run(bench, case, running, amount);
    }
    load::run(command(bench, case, running, origin, amount), &bench.run.cores)
}

/// The load of `case` where it is our own.
pub(super) fn command(bench: &Bench, case: Case, running: &Running, origin: &Origin, amount: u64) -> Command {
    let (mode, port, workers, count, bytes) = match case {
        Case::H1Small | Case::H1Middle | Case::Latency | Case::Reload | Case::H2 | Case::H2Bulk => {
            ("get", origin.ports.http, 64, amount, case.bytes())
        }
        Case::BodySmall => ("body", origin.ports.http, 8, amount, case.bytes()),
        Case::BodyLarge | Case::TlsBulk => ("body", origin.ports.http, 4, amount, case.bytes()),
        Case::TlsHandshake => ("handshake", origin.ports.http, 16, amount, 0),
        Case::L4Bulk => ("bulk", origin.ports.source, 1, 1, amount << 20),
        Case::L4Connect => ("exchange", origin.ports.echo, 16, amount, 0),
        Case::Idle => ("idle-get", origin.ports.http, 1, amount, 0),
    };
    let seconds = if case == Case::Idle { load::MAX_SECONDS_IDLE } else { MAX_SECONDS };
    bench.run.programs.load(&[
        ("mode", mode.to_owned()),
        ("proxy", running.address(case.door()).to_string()),
        ("host", HOST.to_owned()),
        ("port", port.to_string()),
        ("workers", workers.to_string()),
        ("count", count.to_string()),
        ("bytes", bytes.to_string()),
        ("max-seconds", seconds.to_string()),
    ])
}
