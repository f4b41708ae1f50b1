//! The control loop: signals and the socket's commands, one at a time, until the end.
//!
//! | Signal | Does |
//! |---|---|
//! | HUP | reload: all of the new configuration, or nothing |
//! | USR1 | open the access log again, after it was moved away |
//! | TERM, INT | drain, then end; a second one ends now |
//!
//! Not here: what a reload does (`reload`), the socket (`admin`).

use crate::admin::{Command, Reloaded};
use crate::cli::Exit;
use crate::reload::reload;
use crate::run::board::State;
use crate::run::opening::{Running, open_log};
use crate::run::shards;
use serde_json::json;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// How often files of certificates are looked at.
const CERTIFICATES: Duration = Duration::from_secs(2);
/// How often a drain looks whether all work is done.
const LOOK: Duration = Duration::from_millis(20);

/// The signals the program obeys.
pub struct Signals {
    hup: Signal,
    usr1: Signal,
    term: Signal,
    int: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }
}

/// Serves until told to end, then ends in good order.
pub async fn control(
    mut running: Running,
    mut signals: Signals,
    mut commands: mpsc::Receiver<Command>,
) -> Exit {
    let mut certificates = tokio::time::interval(CERTIFICATES);
    certificates.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = certificates.tick() => {
                running.parts.look_again_at_certificates();
                running.parts.overlaid().look_at_gates();
            }
            _ = signals.hup.recv() => drop(reload(&mut running).await),
            _ = signals.usr1.recv() => reopen(&running),
            _ = signals.term.recv() => break,
            _ = signals.int.recv() => break,
            Some(command) = commands.recv() => match command {
                // Whoever asked may be gone.
                Command::Reload(answer) => drop(answer.send(reload(&mut running).await)),
                Command::Drain(answer) => {
                    running.board.set_state(State::Draining);
                    answer.send(()).unwrap_or_default();
                    break;
                }
            },
        }
    }
    drain(&running, &mut signals, &mut commands).await;
    Box::pin(end(running)).await;
    Exit::Ok
}

/// Opens the access log's file again.
fn reopen(running: &Running) {
    match open_log(&running.settings.log) {
        Ok(destination) => {
            running.log.switch(destination);
            tracing::info!("the access log was opened again");
        }
        Err(error) => tracing::warn!(%error, "the access log stays where it was"),
    }
}

/// Takes no new work and waits for what is under way: until it is done, the limit is over, or somebody insists.
async fn drain(running: &Running, signals: &mut Signals, commands: &mut mpsc::Receiver<Command>) {
    running.board.set_state(State::Draining);
    running.notify.stopping();
    running.events.draining(running.fleet.connections());
    shards::drain(&running.fleet).await;
    let limit = Instant::now() + running.settings.limits.drain;
    while running.fleet.connections() > 0 {
        tokio::select! {
            _ = signals.term.recv() => return tracing::info!("told twice: ending now"),
            _ = signals.int.recv() => return tracing::info!("told twice: ending now"),
            Some(command) = commands.recv() => refuse(command),
            () = tokio::time::sleep(LOOK) => {}
            () = tokio::time::sleep_until(limit) => {
                let connections = running.fleet.connections();
                return tracing::warn!(connections, "the time to drain is over: connections are cut");
            }
        }
    }
}

/// A program that is ending reloads nothing.
fn refuse(command: Command) {
    match command {
        Command::Reload(answer) => {
            let text = "error: the proxy is draining\n".to_owned();
            let report = json!({ "ok": false, "error": "the proxy is draining" });
            drop(answer.send(Reloaded { ok: false, exit: Exit::TryLater.code(), text, report }));
        }
        Command::Drain(answer) => answer.send(()).unwrap_or_default(),
    }
}

/// Ends the shards, then the log with everything that is still on its way, then the control socket.
async fn end(running: Running) {
    let Running { fleet, threads, writer, admin, events, .. } = running;
    shards::stop(&fleet);
    shards::ended(threads, "shard").await;
    shards::ended(vec![writer], "writer").await;
    admin.end().await;
    events.stopped();
}
