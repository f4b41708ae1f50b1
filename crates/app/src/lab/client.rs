//! The lab's client: the overlay as one who was invited has it, and a proxy in front of which everything goes through it.
//!
//! It begins with an invitation to the entries and nothing else; the directory comes through one of them. Not here: the
//! client's part itself (`overlay`), rules (`policy`).

use super::ground::Ground;
use super::node::LabNode;
use super::places::Part;
use super::{LabError, LabOptions, made};
use shoalway_forward::outbound::Direct;
use shoalway_forward::{Auth, ForwardPlan, Way};
use shoalway_http::level::Level;
use shoalway_net::limits::Limits;
use shoalway_overlay::client::{Overlay, OverlayPlan};
use shoalway_overlay::directory::Library;
use shoalway_overlay_proto::path::{Entries, ExitWish};
use shoalway_policy::{Names, RuleSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The only rule: nothing goes another way.
const RULE: &str = "overlay all";
/// Circuits kept ready.
const STOCK: usize = 8;
/// Tells the overlay's connections from all others.
const IDENTITY: u64 = 1;

/// The client's part, with an invitation to every entry.
#[must_use]
pub fn overlay(ground: &Ground, nodes: &[LabNode], options: &LabOptions) -> Overlay {
    let entries = nodes.iter().filter(|node| matches!(node.part, Part::Entry(_)));
    Overlay::new(OverlayPlan {
        hops: options.hops,
        spread: options.spread,
        exits: ExitWish { active: usize::from(options.exits), ..ExitWish::default() },
        invited: entries.map(|node| node.invitation.clone()).collect(),
        library: Arc::new(Library::new(*ground.id())),
        dialing: ground.dialing(),
        state: None,
        kept: Entries::default(),
        optimistic: false,
        stock: STOCK,
        home: 0,
    })
}

/// The proxy.
///
/// # Errors
/// [`LabError`]
pub fn proxy(ground: &Ground, overlay: &Overlay, limits: Limits) -> Result<ForwardPlan, LabError> {
    let names = Names { exits: &[], lists: &BTreeMap::new(), overlay: true };
    let rules = RuleSet::parse(&[RULE], &names);
    let rules = made("rules", rules.map_err(|errors| format!("{errors:?}")))?;
    let exits = overlay.shared().plan.exits.clone();
    let wishes = rules.overlay_wishes().len();
    let way = Way { name: "overlay".into(), identity: IDENTITY, outbound: overlay.way(exits) };
    let direct = Direct::new(ground.dialer().clone(), None);
    Ok(ForwardPlan {
        listener: "lab".into(),
        clients: Vec::new(),
        auth: Auth::None,
        level: Level::default(),
        rules: Arc::new(rules),
        direct: Way { name: "direct".into(), identity: 0, outbound: Arc::new(direct) },
        exits: Vec::new(),
        overlay: vec![way; wishes],
        default_exit: None,
        dialer: ground.dialer().clone(),
        limits,
        http: shoalway_wire::http1::limits::Limits::default(),
        tls: None,
    })
}
