//! A CREATE that came to this node: opened, judged, passed on or answered (sections 6.1, 6.2).
//!
//! Opening one costs as much as a thousand records, so a shard spends at most half of its time on it. Not here: the bytes
//! (`overlay-proto`), the circuit that follows (`relay`, `exit`).

use super::Node;
use super::relay::Relay;
use crate::chance;
use crate::link::LinkHandle;
use crate::time;
use bytes::Bytes;
use shoalway_overlay_proto::create::hop::{HopRoles, Neighbour};
use shoalway_overlay_proto::create::{CreateFault, Opened, RelayRequest, Standing};
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::layer::RelayLayer;
use shoalway_overlay_proto::link::terms::{CircId, Code, NotTaken};
use shoalway_types::wallet::Address;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a shard's spending is looked at together.
const WINDOW: Duration = Duration::from_secs(1);

/// What a shard spends on CREATE: half of each second at most.
#[derive(Default)]
pub struct KemBudget {
    since: Cell<Option<Instant>>,
    spent: Cell<Duration>,
}

impl KemBudget {
    /// Does the work, unless the time is spent.
    fn spend<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let begin = Instant::now();
        let fresh = self.since.get().is_none_or(|since| begin.duration_since(since) >= WINDOW);
        if fresh {
            self.since.set(Some(begin));
            self.spent.set(Duration::ZERO);
        }
        if self.spent.get() * 2 > WINDOW {
            return None;
        }
        let value = work();
        self.spent.set(self.spent.get() + begin.elapsed());
        Some(value)
    }
}

/// Who asks for a circuit.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    /// The node that it came from; none: a client.
    pub(super) node: Option<Address>,
    /// Whose circuit it is where several clients share a trunk.
    pub(super) group: u32,
}

impl Node {
    /// Deals with a CREATE that came by `link`.
    pub(super) fn create(self: &Rc<Self>, link: &Rc<LinkHandle>, circ: CircId, body: &Bytes, asker: Asker) {
        let opened = self.budget.spend(|| self.open(body, asker));
        let result = match opened {
            None => Err(Code::Busy),
            Some(Err(fault)) => Err(fault.code()),
            Some(Ok(Opened::Relay(request))) => self.pass_on(link, circ, request, asker),
            Some(Ok(Opened::Exit(request))) => match (&self.plan.exit, self.shard()) {
                (Some(exit), Some(shard)) => exit.answer(&shard, self, link, circ, request),
                (None, _) | (_, None) => Err(Code::Refused),
            },
        };
        if let Err(code) = result {
            link.destroy(circ, code);
        }
    }

    fn open(&self, body: &[u8], asker: Asker) -> Result<Opened, CreateFault> {
        let keys = self.plan.keys.load();
        let mut kems = self.plan.kems.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = kems.open(&keys.network, keys.node, body, time::unix())?;
        drop(kems);
        let role = HopRoles {
            entry: keys.roles.contains(Roles::ENTRY),
            middle: keys.roles.contains(Roles::MIDDLE),
            exit: keys.roles.contains(Roles::EXIT) && self.plan.exit.is_some(),
        };
        let from = if asker.node.is_some() { Neighbour::Node } else { Neighbour::Client };
        opened.fits(Standing { role, from })?;
        Ok(opened)
    }

    fn pass_on(
        self: &Rc<Self>,
        link: &Rc<LinkHandle>,
        circ: CircId,
        request: RelayRequest,
        asker: Asker,
    ) -> Result<(), Code> {
        self.may_follow(request.next, asker.node)?;
        let shard = self.shard().ok_or(Code::ShuttingDown)?;
        let relay = Relay::begin(link, circ, request.layer.map(RelayLayer::new));
        let inner = Bytes::from(request.inner);
        if let Some(trunk) = self.trunks.standing(request.next) {
            hand_on(&relay, &trunk, inner, asker.group);
            return Ok(());
        }
        let node = Rc::clone(self);
        shard.tasks().spawn(async move {
            match node.trunk_to(request.next).await {
                Ok(trunk) => hand_on(&relay, &trunk, inner, asker.group),
                Err(code) => relay.refuse(code),
            }
        });
        Ok(())
    }

    /// Whether a circuit may go on to `next`: a node of this node's own directory that is neither it, nor of its family,
    /// nor where the circuit came from.
    fn may_follow(&self, next: Address, from: Option<Address>) -> Result<(), Code> {
        let keys = self.plan.keys.load();
        if next == keys.node || Some(next) == from {
            return Err(Code::Refused);
        }
        let directory = self.plan.book.directory().ok_or(Code::UnknownNext)?;
        let now = time::unix();
        let listed = directory.lookup(&next, now).ok_or(Code::UnknownNext)?;
        let related = self.own_descriptor(&keys).is_some_and(|own| own.is_family_of(listed.descriptor));
        if related && !keys.lab { Err(Code::Refused) } else { Ok(()) }
    }
}

fn hand_on(relay: &Rc<Relay>, trunk: &Rc<LinkHandle>, inner: Bytes, group: u32) {
    if relay.has_ended() {
        return;
    }
    match trunk.create(inner, group, relay.back(), &mut chance::rng()) {
        Ok(circ) => relay.joined(trunk, circ),
        Err(NotTaken::Full) => relay.refuse(Code::Busy),
        Err(NotTaken::Closing | NotTaken::Unknown | NotTaken::Length) => relay.refuse(Code::NextUnreachable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_of_each_second_is_spent_and_no_more() {
        let budget = KemBudget::default();
        let mut done = 0;
        // Each piece of work counts as 200 ms, without taking them.
        for _ in 0..10 {
            let before = budget.spent.get();
            if budget.spend(|| ()).is_some() {
                done += 1;
                budget.spent.set(before + Duration::from_millis(200));
            }
        }
        assert_eq!(done, 3, "200, 400 and 600 ms; then the rest waits for the next second");
        budget.since.set(budget.since.get().and_then(|since| since.checked_sub(WINDOW)));
        assert!(budget.spend(|| ()).is_some(), "the next second");
    }
}
