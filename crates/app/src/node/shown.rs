//! What a person at this machine is told of the overlay: values for `status`, metrics and `why`.
//!
//! Entries and exits are named by their addresses, which the person chose; destinations stand in the answer to `why`
//! alone, which only the control socket gives. Not here: text for people (`operate`).

use super::{NodePart, Overlaid, OverlayPart};
use serde_json::{Value, json};
use shoalway_overlay::directory::Book as _;
use shoalway_overlay::time;
use shoalway_overlay_proto::descriptor::SignedDescriptor;
use shoalway_overlay_proto::snapshot::Age;
use shoalway_overlay_proto::spread::Why;
use std::sync::atomic::Ordering::Relaxed;

/// Both parts; null for one that is not there.
#[must_use]
pub fn status(parts: &Overlaid) -> (Value, Value) {
    (parts.overlay.as_deref().map_or(Value::Null, overlay), parts.node.as_deref().map_or(Value::Null, node))
}

/// Whether the local part cannot open anything: no link to an entry stands, or there is no directory.
#[must_use]
pub fn is_cut_off(part: &OverlayPart) -> bool {
    let board = part.overlay.shared().board.read();
    board.directory == 0 || !board.entries.iter().any(|entry| entry.is_up)
}

fn overlay(part: &OverlayPart) -> Value {
    let (board, plan) = (part.overlay.shared().board.read(), &part.overlay.shared().plan);
    let entries = board.entries.iter().map(|entry| {
        json!({
            "node": entry.node.to_string(),
            "up": entry.is_up,
            "round_trip_ms": entry.round_trip.map(|time| time.as_secs_f64() * 1_000.0),
            "fault": entry.fault,
        })
    });
    json!({
        "ready": !is_cut_off(part),
        "lab": part.library.is_lab(),
        "network": network_name(&part.library),
        "hops": plan.hops,
        "entries": entries.collect::<Vec<_>>(),
        "exits": board.exits.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "circuits": board.circuits,
        "stock": board.stock,
        "directory": directory(&part.library),
        "trouble": board.trouble,
    })
}

fn network_name(library: &shoalway_overlay::directory::Library) -> Option<String> {
    library.with_network(|network| network.newest().terms().name.clone())
}

fn directory(library: &shoalway_overlay::directory::Library) -> Value {
    if let Some(fork) = library.fork() {
        return json!({ "forked": fork.number() });
    }
    let Some(directory) = library.directory() else { return Value::Null };
    let age = match directory.age(time::unix_now()) {
        Age::Normal => "normal",
        Age::Old => "old",
        Age::TooOld => "too old",
        Age::Future => "from the future",
    };
    json!({
        "number": directory.number_and_hash().0,
        "published": directory.snapshot().published().0,
        "age": age,
        "nodes": directory.snapshot().nodes().len(),
        "members": directory.members().len(),
    })
}

fn node(part: &NodePart) -> Value {
    let keys = part.plan.keys.load();
    let terms = part.life.terms();
    let listed =
        part.plan.book.directory().is_some_and(|directory| directory.admits(&keys.node, time::unix_now()));
    let descriptor = SignedDescriptor::parse(&keys.descriptor).ok();
    let descriptor = descriptor.as_ref().map(SignedDescriptor::unchecked);
    let counted = part.exit.as_ref().map(|exit| {
        json!({
            "circuits": exit.counters.circuits.load(Relaxed),
            "streams": exit.counters.streams.load(Relaxed),
            "refused": exit.counters.refused.load(Relaxed),
            "bytes_up": exit.counters.bytes_up.load(Relaxed),
            "bytes_down": exit.counters.bytes_down.load(Relaxed),
            "closed": exit.closed.load(Relaxed),
        })
    });
    let monthly = part.monthly.as_ref().map(|monthly| {
        let (used, since, most) = monthly.used();
        json!({ "used": used, "since": since.0, "most": most })
    });
    let refreshed = part.refresh.as_ref().and_then(|refresh| refresh.last.read());
    json!({
        "address": keys.node.to_string(),
        "site": part.site,
        "lab": part.lab,
        "network": network_name(&part.library),
        "roles": keys.roles.names().collect::<Vec<_>>(),
        "delegated_until": terms.not_after.0,
        "known": listed,
        "endpoints": descriptor.map(|said| said.endpoints.len()),
        "descriptor": descriptor.map(|said| json!({ "seq": said.seq, "expires": said.expires.0 })),
        "clients": part.plan.sessions.len(),
        "exit": counted,
        "monthly": monthly,
        "directory": directory(&part.library),
        "publishes": part.publisher.as_ref().map(|publisher| {
            let (wallets, known) = publisher.count();
            json!({ "wallets": wallets, "known": known })
        }),
        "refreshed": refreshed.as_ref().and_then(|last| last.as_ref().ok()),
        "trouble": part.life.trouble().or_else(|| refreshed.and_then(Result::err)),
    })
}

/// The newest flows of the local part to a host, newest last: for `why`.
#[must_use]
pub fn flows(parts: &Overlaid, host: &str) -> Value {
    let Some(part) = &parts.overlay else { return Value::Null };
    let board = part.overlay.shared().board.read();
    let of_host = |target: &str| target.rsplit_once(':').map_or(target, |(host, _)| host) == host;
    let flows = board.flows.iter().filter(|flow| of_host(&flow.target)).map(|flow| {
        json!({ "target": flow.target, "exit": flow.exit.to_string(), "why": word(flow.why), "at_ms": flow.at_ms })
    });
    json!({ "flows": flows.collect::<Vec<_>>(), "exits": board.exits.iter().map(ToString::to_string).collect::<Vec<_>>() })
}

/// Every flow that is remembered: for the table of a lab.
#[must_use]
pub fn all_flows(part: &OverlayPart) -> Vec<shoalway_overlay::client::status::FlowStatus> {
    part.overlay.shared().board.read().flows.into_iter().collect()
}

const fn word(why: Why) -> &'static str {
    match why {
        Why::Chosen => "it fell to this exit just then",
        Why::Pinned => "its site had this exit already",
        Why::Moved => "the exit it had was lost",
    }
}
