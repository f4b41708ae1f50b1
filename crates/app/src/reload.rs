//! Reload: the whole new configuration takes force, or nothing changes and whoever asked is told why.
//!
//! ```text
//! load, check -> open new listeners, admin port, socket, log -> build -> swap on every shard -> close what is gone
//!      \------------------\--------------------------------------\---> report; all that was opened closes again
//! ```
//! Connections that are open go on; tunnels that the new rules would not let begin are ended. Counters go on. What
//! only a start can change (number of shards, memory, caps on connections) is named in a warning. Not here: signals.

use crate::admin::Reloaded;
use crate::admin::socket::ControlSocket;
use crate::cli::Exit;
use crate::config::settings::AdminSettings;
use crate::config::{Ending, Loaded, Report, Settings, load};
use crate::log::writer::Destination;
use crate::run::failure::StartError;
use crate::run::listeners::{self, Binding, Change, Listening};
use crate::run::opening::{Running, admin_port, control_socket, format, open_log, own, socket_is_written};
use crate::run::shards::{self, Load};
use crate::wiring::{self, Built, Surrounded};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::runtime::Handle;

/// Everything of a new configuration, opened and built, but not in force.
struct Prepared {
    settings: Settings,
    change: Change,
    built: Built,
    log: Option<Destination>,
    port: Option<NewPort>,
    socket: Option<Option<ControlSocket>>,
}

/// What becomes of the admin port: a new one, or none.
type NewPort = Option<(SocketAddr, TcpListener)>;

enum Refused {
    Config(Box<Report>),
    Start(StartError),
    Busy,
}

impl From<StartError> for Refused {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

/// Loads the configuration again and puts it in force, or changes nothing.
pub async fn reload(running: &mut Running) -> Reloaded {
    running.notify.reloading();
    // Boxed: a reload is rare, and whoever waits for one waits for much else.
    let outcome = match Box::pin(prepare(running)).await {
        Ok((prepared, warnings)) => match Box::pin(swap(running, prepared)).await {
            Ok(()) => accepted(running, &warnings),
            Err(error) => refused(running, &Refused::Start(error)),
        },
        Err(refusal) => refused(running, &refusal),
    };
    running.notify.ready();
    outcome
}

async fn prepare(running: &Running) -> Result<(Prepared, Report), Refused> {
    let request = running.request.clone();
    let loaded = running.blocking.run(move || load(&request)).await.map_err(|_busy| Refused::Busy)?;
    let loaded = loaded.map_err(Refused::Config)?;
    let written = socket_is_written(&loaded);
    let Loaded { mut settings, report, .. } = loaded;
    wiring::keep_unchanged(&mut settings, &running.settings);
    let change = change(running, &settings)?;
    let port = new_port(running, &settings.admin)?;
    let socket = match running.admin.socket() {
        Some(path) if path == settings.admin.socket => None,
        Some(_) | None => Some(control_socket(&settings.admin, written)?),
    };
    let log = if settings.log.access == running.settings.log.access {
        None
    } else {
        Some(open_log(&settings.log)?)
    };
    let also_own = match &port {
        Some(new) => own(new.as_ref()),
        None => running.admin.address().into_iter().collect(),
    };
    let built = build(running, &settings, &change, also_own).await?;
    Ok((Prepared { settings, change, built, log, port, socket }, report))
}

/// Opens what is new, beside all sockets that stand.
fn change(running: &Running, settings: &Settings) -> Result<Change, StartError> {
    let admin: Vec<SocketAddr> = running.admin.address().into_iter().collect();
    let wanted = Binding::all(settings);
    listeners::change(&running.listening, &running.counted(), &wanted, &admin, running.fleet.len())
}

/// The admin port when it is another than before; none inside when it goes.
fn new_port(running: &Running, settings: &AdminSettings) -> Result<Option<NewPort>, StartError> {
    if running.admin.wanted() == settings.listen {
        return Ok(None);
    }
    let listening = running.listening.iter().map(|listening| listening.address);
    let own: Vec<SocketAddr> = listening.chain(running.admin.address()).collect();
    admin_port(settings, &own).map(Some)
}

async fn build(
    running: &Running,
    settings: &Settings,
    change: &Change,
    also_own: Vec<SocketAddr>,
) -> Result<Built, Refused> {
    let control = Handle::current();
    let addresses = wiring::addresses_of_servers(&settings.dns, &control).await.map_err(StartError::from)?;
    let listening: Vec<Listening> = change.wanted.iter().map(|wanted| wanted.listening.clone()).collect();
    let left = change.left_by_forward.clone();
    let (settings, before, connections) = (settings.clone(), running.parts.clone(), running.connections);
    let work = move || {
        let from = Surrounded {
            listening: &listening,
            left: &left,
            also_own: &also_own,
            addresses: &addresses,
            control: &control,
            connections,
        };
        wiring::build(&settings, Some(&before), &from)
    };
    let built = running.blocking.run(work).await.map_err(|_busy| Refused::Busy)?;
    Ok(built.map_err(StartError::from)?)
}

async fn swap(running: &mut Running, mut new: Prepared) -> Result<(), StartError> {
    warn_of_what_stays(&running.settings, &new.settings);
    new.built.parts.take_force();
    let upstreams = new.built.upstreams();
    let left = new.change.left_by_forward.iter().map(|old| Arc::clone(&old.counted.name)).collect();
    let load = Load {
        registry: running.registry.clone(),
        limits: wiring::limits(&new.settings.limits, running.connections),
        format: format(&new.settings.log),
        left: new.built.left,
        forgotten: forgotten(&running.left, &new.change),
        watches: new.built.watches,
        overlaid: new.built.parts.overlaid().clone(),
    };
    let system = |what| move |source| StartError::System { what, source };
    if let Some(log) = new.log {
        running.log.switch(log);
    }
    running.listening =
        shards::put(&running.fleet, new.change, &new.built.plans, load).await.map_err(system("listener"))?;
    if let Some(port) = new.port {
        running.admin.set_port(port).map_err(system("admin port"))?;
    }
    if let Some(socket) = new.socket {
        running.admin.set_socket(socket).map_err(system("control socket"))?;
    }
    running.messages.set_level(new.settings.log.level);
    running.parts = new.built.parts;
    running.keep();
    running.upstreams = upstreams;
    running.left = left;
    running.settings = new.settings;
    running.trace().await;
    running.publish();
    Ok(())
}

/// Listeners that the forward proxy left one configuration ago and has not come back to, nor leaves again.
fn forgotten(left: &[Arc<str>], change: &Change) -> Vec<Arc<str>> {
    let back = |name: &Arc<str>| {
        let wanted = change.wanted.iter().map(|wanted| &wanted.listening);
        let mut forward = wanted.filter(|listening| listening.forward().is_some());
        let leaves = change.left_by_forward.iter().any(|old| old.counted.name == *name);
        leaves || forward.any(|listening| listening.counted.name == *name)
    };
    left.iter().filter(|name| !back(name)).cloned().collect()
}

/// Some things are fixed while the program runs.
fn warn_of_what_stays(old: &Settings, new: &Settings) {
    let caps = |settings: &Settings| {
        let limits = &settings.limits;
        (limits.connections, limits.connections_per_client, limits.memory)
    };
    if old.shards != new.shards || caps(old) != caps(new) {
        tracing::warn!(
            "runtime.shards, limits.memory, limits.connections and limits.connections_per_client change at the next start"
        );
    }
}

fn accepted(running: &Running, report: &Report) -> Reloaded {
    running.board.reloads.fetch_add(1, Relaxed);
    running.events.reloaded();
    let (text, report) = (report.to_text(Ending::Check), report.to_json());
    Reloaded { ok: true, exit: Exit::Ok.code(), text, report }
}

fn refused(running: &Running, refusal: &Refused) -> Reloaded {
    running.board.reloads_refused.fetch_add(1, Relaxed);
    let since = running.since();
    let kept = format!("Nothing changed: the configuration loaded at {since} stays in force.\n");
    let (exit, text, report) = match refusal {
        Refused::Config(report) => {
            (Exit::BadConfig, report.to_text(Ending::Kept { since: &since }), report.to_json())
        }
        Refused::Start(error) => {
            let hint = error.hint();
            let fix = if hint.is_empty() { String::new() } else { format!("  = {hint}\n") };
            let text = format!("error[{}]: {error}\n{fix}{kept}", error.code());
            (error.exit(), text, failure(error.code(), &error.to_string(), &hint))
        }
        Refused::Busy => {
            let text = format!("error: too much slow work at once; try again\n{kept}");
            (Exit::TryLater, text, failure("", "too much slow work at once", "try again"))
        }
    };
    running.events.reload_failed(&report, &text);
    Reloaded { ok: false, exit: exit.code(), text, report }
}

fn failure(code: &str, error: &str, hint: &str) -> Value {
    json!({ "ok": false, "errors": 1, "code": code, "error": error, "hint": hint })
}
