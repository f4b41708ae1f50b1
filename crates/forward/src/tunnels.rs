//! The tunnels and associations that are open on a shard: listed for `status`, ended when a reload forbids them.
//!
//! Holds no connection alive: ends are reached through their deadlines, facts weakly. Not here: moving bytes
//! (`inbound/connect`, `net/relay`).

use crate::dispatch::{Asked, decide, recheck};
use crate::facts::Facts;
use crate::plan::ForwardPlan;
use shoalway_net::deadline::{Deadline, Ender};
use shoalway_net::shard::Shard;
use shoalway_policy::Verb;
use shoalway_types::Protocol;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// The register of one shard; found through [`Shard::local`].
#[derive(Default)]
pub struct Tunnels {
    open: RefCell<HashMap<u64, Open>>,
    next: Cell<u64>,
}

struct Open {
    ender: Ender,
    facts: Weak<Facts>,
}

impl Tunnels {
    /// Puts a session on the list until what is returned is dropped. `deadline` is what its task waits on.
    pub(crate) fn enter(shard: &Shard, deadline: &Deadline, facts: &Rc<Facts>) -> Entered {
        let tunnels = shard.local(Self::default);
        let id = tunnels.next.get();
        tunnels.next.set(id + 1);
        let open = Open { ender: deadline.ender(), facts: Rc::downgrade(facts) };
        tunnels.open.borrow_mut().insert(id, open);
        facts.admitted.counters().tunnels.add(1);
        Entered { tunnels, id, facts: Rc::clone(facts) }
    }

    /// How many are open, by protocol.
    #[must_use]
    pub fn count(&self) -> Vec<(Protocol, usize)> {
        let open = self.open.borrow();
        let protocols =
            [Protocol::Connect, Protocol::Upgrade, Protocol::Socks4, Protocol::Socks5, Protocol::Udp];
        let is = |protocol| move |open: &&Open| open.facts.upgrade().is_some_and(|f| f.protocol == protocol);
        protocols.into_iter().map(|protocol| (protocol, open.values().filter(is(protocol)).count())).collect()
    }

    /// Looks at the facts of each.
    pub fn each(&self, mut look: impl FnMut(&Facts)) {
        for facts in self.open.borrow().values().filter_map(|open| open.facts.upgrade()) {
            look(&facts);
        }
    }

    /// Ends those of the plan's listener that it would not let begin. Returns how many.
    pub(crate) fn recheck(&self, plan: &ForwardPlan) -> usize {
        let mut ended = 0;
        for open in self.open.borrow().values() {
            let Some(facts) = open.facts.upgrade() else { continue };
            if facts.listener == plan.listener && !still_allowed(plan, &facts) {
                facts.end("rules_changed");
                let _told = open.ender.end();
                ended += 1;
            }
        }
        ended
    }
}

/// A long-lived session keeps its decision: another exit is no reason to end it, only a block is.
fn still_allowed(plan: &ForwardPlan, facts: &Facts) -> bool {
    let user = facts.user.as_deref();
    if !plan.admits(facts.client.ip()) || !plan.knows(user) {
        return false;
    }
    let Some(target) = &facts.target else { return true };
    let asked = Asked {
        client: facts.client.ip(),
        user,
        host: &target.host,
        port: target.port,
        method: facts.rule_method(),
    };
    let goes_straight = match decide(&plan.rules, &asked).verb {
        Verb::Block => return false,
        Verb::Direct => true,
        Verb::Allow => plan.default_exit.is_none(),
        Verb::Via(_) | Verb::Overlay(_) => false,
    };
    match facts.told.upstream.get() {
        Some(addr) if goes_straight => recheck(&plan.rules, plan.default_exit, &asked, addr.ip()).is_ok(),
        Some(_) | None => true,
    }
}

/// A place on the list; left when dropped.
pub(crate) struct Entered {
    tunnels: Rc<Tunnels>,
    id: u64,
    facts: Rc<Facts>,
}

impl Entered {
    /// The facts.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.facts.admitted.counters().tunnels.sub(1);
        self.tunnels.open.borrow_mut().remove(&self.id);
    }
}
