//! A listener's plan on one shard: its workers for the ways out, and what stands behind the listener.
//!
//! A reload makes a new one. The connections that are open find it through their slot, so that none of them keeps
//! an old set of rules alive for longer than its next request. Not here: the decision ([`crate::dispatch`]), the
//! protocols (`inbound`).

use crate::inbound::mixed;
use crate::login::Verdicts;
use crate::plan::{Auth, ForwardPlan, Way};
use crate::tunnels::Tunnels;
use shoalway_http::h1::ServerConfig;
use shoalway_http::pool::Pool;
use shoalway_net::connect::Connect;
use shoalway_net::listener::{Accepted, Inbound};
use shoalway_net::shard::Shard;
use shoalway_policy::{ExitId, OverlayId, Verb};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A shard's worker for one way out.
pub struct Worker {
    /// Makes connections.
    pub connect: Rc<dyn Connect>,
    /// What a rule that takes it is called in the log: `direct`, `via:NAME`.
    pub word: Arc<str>,
    /// See [`Way::identity`].
    pub identity: u64,
    /// Whether connections are made from here to the target itself: names are then resolved here, and the egress
    /// guard looks at addresses.
    pub is_direct: bool,
}

impl Worker {
    fn new(way: &Way, word: Arc<str>, is_direct: bool, shard: &Rc<Shard>) -> Rc<Self> {
        Rc::new(Self { connect: way.outbound.on(shard), word, identity: way.identity, is_direct })
    }
}

/// A listener on one shard.
pub struct Forward {
    plan: Arc<ForwardPlan>,
    direct: Rc<Worker>,
    exits: Vec<Rc<Worker>>,
    overlay: Vec<Rc<Worker>>,
    server: Rc<ServerConfig>,
    pool: Rc<Pool>,
    verdicts: Option<Rc<Verdicts>>,
    slot: Rc<Slot>,
}

impl Forward {
    pub(crate) fn new(plan: Arc<ForwardPlan>, shard: &Rc<Shard>) -> Rc<Self> {
        let direct = Worker::new(&plan.direct, "direct".into(), true, shard);
        let exit = |way: &Way| Worker::new(way, format!("via:{}", way.name).into(), false, shard);
        let exits = plan.exits.iter().map(exit).collect();
        let overlay = |way: &Way| Worker::new(way, "overlay".into(), false, shard);
        let overlay = plan.overlay.iter().map(overlay).collect();
        let verdicts = match &plan.auth {
            Auth::None => None,
            Auth::Users { users, .. } => Some(Verdicts::of(shard, users)),
        };
        let slots = shard.local(Slots::default);
        let slot = Rc::clone(slots.0.borrow_mut().entry(Arc::clone(&plan.listener)).or_default());
        let server = Rc::new(ServerConfig { net: plan.limits, http: plan.http });
        let pool = shard.local(Pool::default);
        let forward =
            Rc::new(Self { direct, exits, overlay, server, pool, verdicts, slot: Rc::clone(&slot), plan });
        *slot.0.borrow_mut() = Some(Rc::clone(&forward));
        forward
    }

    /// What it was made of.
    #[must_use]
    pub const fn plan(&self) -> &Arc<ForwardPlan> {
        &self.plan
    }

    /// The way straight out.
    #[must_use]
    pub const fn direct(&self) -> &Rc<Worker> {
        &self.direct
    }

    /// A named way, unless there is none of that id.
    #[must_use]
    pub fn exit(&self, id: ExitId) -> Option<&Rc<Worker>> {
        self.exits.get(usize::from(id.0))
    }

    /// The overlay as a rule asks for it, unless there is none.
    #[must_use]
    pub fn overlay(&self, id: OverlayId) -> Option<&Rc<Worker>> {
        self.overlay.get(usize::from(id.0))
    }

    /// What `allow` takes.
    #[must_use]
    pub fn default_way(&self) -> Option<Rc<Worker>> {
        match self.plan.default_exit {
            None => Some(Rc::clone(&self.direct)),
            Some(id) => self.exit(id).map(Rc::clone),
        }
    }

    /// The verb of a decision as the log has it.
    #[must_use]
    pub fn word(&self, verb: Verb) -> Arc<str> {
        match verb {
            Verb::Block => "block".into(),
            Verb::Direct => Arc::clone(&self.direct.word),
            Verb::Allow => "allow".into(),
            Verb::Via(id) => self.exit(id).map_or_else(|| "via".into(), |worker| Arc::clone(&worker.word)),
            Verb::Overlay(_) => "overlay".into(),
        }
    }

    /// Ends the tunnels and associations of this listener that this plan would not let begin: their rule says
    /// `block` now, their user is gone, or their client is no longer let in. Within a tick of the wheel (100 ms).
    /// Returns how many.
    pub fn recheck(&self, shard: &Shard) -> usize {
        shard.local(Tunnels::default).recheck(&self.plan)
    }

    /// Lets go of a listener that was removed, so that its plan is not kept for ever. Its open connections go on by
    /// the plan they have.
    pub fn forget(shard: &Shard, listener: &str) {
        if let Some(slot) = shard.local(Slots::default).0.borrow_mut().remove(listener) {
            slot.0.borrow_mut().take();
        }
    }

    pub(crate) const fn server(&self) -> &Rc<ServerConfig> {
        &self.server
    }

    pub(crate) const fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    pub(crate) const fn verdicts(&self) -> Option<&Rc<Verdicts>> {
        self.verdicts.as_ref()
    }

    pub(crate) const fn slot(&self) -> &Rc<Slot> {
        &self.slot
    }
}

impl Inbound for Forward {
    fn accept(&self, shard: &Rc<Shard>, accepted: Accepted) {
        // None only when the listener is being removed: the connection is closed.
        if let Some(forward) = self.slot.current() {
            mixed::accept(&forward, shard, accepted);
        }
    }
}

/// Where the connections of a listener find what counts for it now.
#[derive(Default)]
pub(crate) struct Slot(RefCell<Option<Rc<Forward>>>);

impl Slot {
    /// What counts now; none before there was any.
    pub(crate) fn current(&self) -> Option<Rc<Forward>> {
        self.0.borrow().as_ref().map(Rc::clone)
    }

    /// Whether `forward` is what counts now.
    pub(crate) fn is_current(&self, forward: &Rc<Forward>) -> bool {
        self.0.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, forward))
    }
}

/// All slots of a shard, by listener.
#[derive(Default)]
struct Slots(RefCell<HashMap<Arc<str>, Rc<Slot>>>);
