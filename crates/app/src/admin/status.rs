//! The status as JSON: what the program does, in numbers; no client, user or destination is in it.
//!
//! Keys never change their meaning. Not here: the text of `shoalway status` (`operate`).

use super::upstreams;
use crate::config::settings::Transport;
use crate::log::Moment;
use crate::metrics::resident_bytes;
use crate::run::board::{Board, Counted, ListenerFacts, State};
use crate::run::listeners::Role;
use serde_json::{Value, json};
use shoalway_net::counters::{ListenerCounters, VerbLabel};

/// The status.
#[must_use]
pub fn status(board: &Board) -> Value {
    let now = board.in_force();
    let sum =
        |of: fn(&ListenerCounters) -> u64| now.counters.iter().map(|counted| counted.sum(of)).sum::<u64>();
    let blocked = |counted: &Counted| counted.requests_where(|verb| verb == VerbLabel::Block);
    json!({
        "state": board.state().word(),
        "draining": board.state() == State::Draining,
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "started": Moment::at(board.started_s).to_string(),
        "uptime_s": board.started.elapsed().as_secs(),
        "shards": board.fleet.len(),
        "listeners": now.listeners.iter().map(listener).collect::<Vec<_>>(),
        "sites": now.sites.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "upstreams": upstreams::all(board),
        "admin": now.admin.map(|address| address.to_string()),
        "connections": board.fleet.connections(),
        "connections_limit": now.connections,
        "tunnels": sum(|counters| counters.tunnels.get()),
        "accepted": sum(|counters| counters.accepted.get()),
        "refused": sum(|counters| counters.refused.get()),
        "requests": now.counters.iter().map(Counted::requests).sum::<u64>(),
        "blocked": now.counters.iter().map(blocked).sum::<u64>(),
        "bytes_up": sum(|counters| counters.bytes_up.get()),
        "bytes_down": sum(|counters| counters.bytes_down.get()),
        "memory": resident_bytes(),
        "rules": now.rules,
        "exits": now.exits,
        "config": now.file.as_ref().map(|path| path.display().to_string()),
        "loaded": Moment::at(now.loaded_s).to_string(),
        "reloads": board.reloads.load(std::sync::atomic::Ordering::Relaxed),
        "reloads_refused": board.reloads_refused.load(std::sync::atomic::Ordering::Relaxed),
        "access_log": now.access_log,
    })
}

fn listener(facts: &ListenerFacts) -> Value {
    let (role, name) = match &facts.role {
        Role::Forward(_) => ("proxy", None),
        Role::Sites { .. } => ("sites", None),
        Role::Stream(name) => ("stream", Some(name.as_str())),
    };
    let auth = matches!(&facts.role, Role::Forward(settings) if settings.auth);
    let transport = match facts.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    json!({
        "address": facts.address.to_string(),
        "for": role,
        "name": name,
        "transport": transport,
        "tls": facts.tls(),
        "auth": auth,
    })
}
