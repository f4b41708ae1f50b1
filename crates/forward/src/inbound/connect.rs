//! A tunnel: bytes both ways between a client and the far side, until both have ended.
//!
//! Spawned fresh, so that a tunnel of hours does not carry what opened it. It keeps its decision, not the rules: a
//! reload that forbids it ends it from outside ([`crate::tunnels`]). Not here: opening it, moving bytes
//! (`net/relay`).

use crate::facts::Facts;
use crate::tunnels::Tunnels;
use shoalway_net::relay::{End, relay};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::rc::Rc;
use std::time::Duration;

/// Both ends of a tunnel.
pub(crate) struct Ends {
    pub(crate) client: Stream,
    pub(crate) upstream: Stream,
    /// Bytes at the front of `upstream` that are ours: the head that told the client so.
    pub(crate) preface: u64,
    /// Silence in both directions.
    pub(crate) idle: Duration,
}

/// Relays between both ends as a task of the shard.
pub(crate) fn spawn(facts: Facts, ends: Ends) {
    let shard = Rc::clone(&facts.shard);
    shard.tasks().spawn(run(Rc::new(facts), ends));
}

pub(super) fn run(facts: Rc<Facts>, ends: Ends) -> impl Future<Output = ()> {
    let shard: Rc<Shard> = Rc::clone(&facts.shard);
    async move {
        let Ends { client, upstream, preface, idle } = ends;
        let deadline = shard.deadline();
        let entered = Tunnels::enter(&shard, &deadline, &facts);
        drop(facts);
        let outcome = relay(&shard, client, upstream, &deadline, idle).await;
        let facts = entered.facts();
        facts.told.up.set(outcome.up);
        facts.told.down.set(outcome.down.saturating_sub(preface));
        if outcome.end != End::Ended || facts.told.outcome.get().is_none() {
            facts.end(outcome.end.word());
        }
    }
}
