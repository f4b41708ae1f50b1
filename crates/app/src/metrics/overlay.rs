//! Metrics of the overlay's parts. No address is a label.
//!
//! Not here: who counts (`overlay`).

use super::{Kind, Page};
use crate::node::{NodePart, Overlaid, OverlayPart};
use std::sync::atomic::Ordering::Relaxed;

/// Of both parts; nothing of one that is not there.
pub(crate) fn overlay(parts: &Overlaid) -> String {
    let mut page = Page(String::new());
    if let Some(part) = &parts.overlay {
        client(&mut page, part);
    }
    if let Some(part) = &parts.node {
        node(&mut page, part);
    }
    page.0
}

fn client(page: &mut Page, part: &OverlayPart) {
    let board = part.overlay.shared().board.read();
    let up = board.entries.iter().filter(|entry| entry.is_up).count();
    for (name, help, value) in [
        ("shoalway_overlay_links", "Links to entries that stand now.", up),
        ("shoalway_overlay_circuits", "Paths through the overlay that stand now.", board.circuits),
        ("shoalway_overlay_stock", "Of these paths, those kept ready for new connections.", board.stock),
        ("shoalway_overlay_exits", "Exits that are used at present.", board.exits.len()),
    ] {
        page.head(name, Kind::Gauge, help);
        page.sample(name, &[], value);
    }
    let name = "shoalway_overlay_directory_number";
    page.head(name, Kind::Gauge, "Number of the directory in use; 0 while there is none.");
    page.sample(name, &[], board.directory);
}

fn node(page: &mut Page, part: &NodePart) {
    let name = "shoalway_node_sessions";
    page.head(name, Kind::Gauge, "Sessions of clients at this node now.");
    page.sample(name, &[], part.plan.sessions.len());
    let Some(exit) = &part.exit else { return };
    let counters = &exit.counters;
    for (name, help, counter) in [
        ("shoalway_exit_circuits_total", "Paths that ended here.", &counters.circuits),
        ("shoalway_exit_streams_total", "Connections made for others.", &counters.streams),
        ("shoalway_exit_refused_total", "Connections for others refused or failed.", &counters.refused),
        ("shoalway_exit_bytes_up_total", "Bytes to destinations.", &counters.bytes_up),
        ("shoalway_exit_bytes_down_total", "Bytes from destinations.", &counters.bytes_down),
    ] {
        page.head(name, Kind::Counter, help);
        page.sample(name, &[], counter.load(Relaxed));
    }
}
