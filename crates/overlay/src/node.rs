//! A node at work: entry, middle, exit, as its wallet's delegation says.
//!
//! [`NodePlan`] is what all shards share, [`Node`] one shard's part: the links that came in here, the trunks dialled from
//! here, the circuits that pass or end here. A circuit never leaves its shard. What is where:
//!
//! - [`arrive`]: links that come in by the site's door, and sessions that go on after a cut;
//! - [`trunks`]: links to other nodes, dialled once and shared by all circuits;
//! - [`hop`]: a CREATE that came, and what becomes of it; [`relay`]: a circuit that passes through;
//! - `load`: how much may wait in all links together.
//!
//! Not here: connecting to destinations (`exit`), keys and their rotation (`keys`), the site (`reverse`).

pub mod arrive;
pub mod hop;
mod load;
pub mod relay;
pub mod trunks;

use crate::directory::Book;
use crate::exit::ExitPlan;
use crate::keys::{NodeKeys, SharedKems, SharedKeys};
use crate::link::LinkHandle;
use crate::link::accept::{Arrival, Welcome};
use crate::link::dial::Dialing;
use crate::time;
use arrive::{ClientSide, Sessions};
use bytes::Bytes;
use hop::KemBudget;
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::descriptor::{Descriptor, DescriptorChecks, SignedDescriptor};
use shoalway_overlay_proto::identity::Delegation;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::opener::{Asked, SessionId};
use shoalway_types::wallet::Address;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use trunks::Trunks;

/// What all shards of a node share.
pub struct NodePlan {
    /// Who it is.
    pub keys: SharedKeys,
    /// Its keys for circuits.
    pub kems: SharedKems,
    /// What it knows of the network.
    pub book: Arc<dyn Book>,
    /// How it dials other nodes.
    pub dialing: Dialing,
    /// What it does as an exit; none: it is none.
    pub exit: Option<Arc<ExitPlan>>,
    /// Sessions of its clients.
    pub sessions: Sessions,
}

/// A node on one shard.
pub struct Node {
    plan: Arc<NodePlan>,
    shard: Weak<Shard>,
    trunks: Trunks,
    budget: KemBudget,
    /// Links that came in, to be told when the node ends.
    links: RefCell<HashMap<u32, Weak<LinkHandle>>>,
    /// Clients whose sessions live here.
    clients: RefCell<HashMap<SessionId, Rc<ClientSide>>>,
    /// Its own descriptor as it was read last.
    own: RefCell<Option<(Bytes, Rc<Descriptor>)>>,
    /// The number of the next link: clients are told apart by it where they share a trunk.
    next_group: Cell<u32>,
}

/// The nodes on a shard, by wallet: a test may have several.
#[derive(Default)]
struct Nodes(RefCell<HashMap<Address, Rc<Node>>>);

impl Node {
    /// The shard's part of a node.
    #[must_use]
    pub fn of(shard: &Rc<Shard>, plan: &Arc<NodePlan>) -> Rc<Self> {
        let nodes = shard.local(Nodes::default);
        let address = plan.keys.load().node;
        let mut nodes = nodes.0.borrow_mut();
        let node = nodes.entry(address).or_insert_with(|| Self::new(shard, plan));
        if !Arc::ptr_eq(&node.plan, plan) {
            *node = Self::new(shard, plan);
        }
        Rc::clone(node)
    }

    fn new(shard: &Rc<Shard>, plan: &Arc<NodePlan>) -> Rc<Self> {
        let node = Rc::new(Self {
            plan: Arc::clone(plan),
            shard: Rc::downgrade(shard),
            trunks: Trunks::default(),
            budget: KemBudget::default(),
            links: RefCell::default(),
            clients: RefCell::default(),
            own: RefCell::default(),
            next_group: Cell::new(1),
        });
        shard.tasks().spawn(load::keep(Rc::downgrade(&node), Rc::downgrade(shard)));
        node
    }

    /// What it was made of.
    #[must_use]
    pub const fn plan(&self) -> &Arc<NodePlan> {
        &self.plan
    }

    /// The shard; none while that ends.
    pub(crate) fn shard(&self) -> Option<Rc<Shard>> {
        self.shard.upgrade()
    }

    /// What the node publishes about itself, which stands in no directory when it is unlisted. None before the first.
    pub(crate) fn own_descriptor(&self, keys: &NodeKeys) -> Option<Rc<Descriptor>> {
        let mut known = self.own.borrow_mut();
        if let Some((bytes, descriptor)) = &*known
            && *bytes == keys.descriptor
        {
            return Some(Rc::clone(descriptor));
        }
        let delegation = Delegation::parse(&keys.delegation).ok()?;
        let now = time::unix();
        let verified = delegation.check(&keys.network, now).ok()?;
        // Where it is need not be told to itself: only who it belongs to counts here.
        let checks =
            DescriptorChecks { network: &keys.network, lab: true, delegation: verified.terms(), now };
        let descriptor = SignedDescriptor::parse(&keys.descriptor).ok()?.check(&checks).ok()?;
        let descriptor = Rc::new(descriptor);
        *known = Some((keys.descriptor.clone(), Rc::clone(&descriptor)));
        Some(descriptor)
    }

    /// Answers a neighbour's question for the directory.
    pub(crate) fn answer(&self, link: &LinkHandle, kind: DirKind, number: u64) {
        let body: Bytes = match kind {
            DirKind::Own => self.plan.keys.load().own_entry(),
            DirKind::Networks | DirKind::Headers | DirKind::Snapshot | DirKind::Newest => {
                self.plan.book.answer(kind, number)
            }
        };
        link.dir_answer(body);
    }

    /// Notes a link and gives it its number.
    pub(crate) fn enter(&self, link: &Rc<LinkHandle>) -> u32 {
        let group = self.next_group.get();
        self.next_group.set(group.wrapping_add(1).max(1));
        self.links.borrow_mut().insert(group, Rc::downgrade(link));
        group
    }

    /// A link is gone.
    pub(crate) fn leave(&self, group: u32) {
        self.links.borrow_mut().remove(&group);
    }

    /// Links that came in or were dialled, with the bytes that wait in each.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let links = self.links.borrow();
        let alive = links.values().filter_map(Weak::upgrade);
        alive.fold((0, 0), |(count, bytes), link| (count + 1, bytes + link.buffered()))
    }
}

impl Welcome for NodePlan {
    fn takes(&self, asked: &Asked) -> bool {
        self.sessions.takes(asked)
    }

    fn arrive(self: Arc<Self>, shard: &Rc<Shard>, arrival: Arrival) {
        arrive::arrive(shard, &self, arrival);
    }
}
