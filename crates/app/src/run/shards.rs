//! Puts a configuration onto the shards, and ends them.
//!
//! Each shard takes everything in one turn: pool, log, listeners. Not here: what is put there (`wiring`), when
//! (`run/opening`, `reload`).

use super::listeners::{Change, Listening};
use crate::log::Format;
use shoalway_forward::ForwardPlan;
use shoalway_http::pool::{Pool, PoolRegistry};
use shoalway_net::counters::ListenerCounters;
use shoalway_net::fleet::{Fleet, Message};
use shoalway_net::journal::LineFormat;
use shoalway_net::limits::Limits;
use shoalway_net::listener::ListenerId;
use shoalway_net::shard::Shard;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long threads may take to end after they were told to.
const END: Duration = Duration::from_secs(2);
/// How often is looked whether they have.
const LOOK: Duration = Duration::from_millis(5);

/// What goes onto every shard.
pub struct Load {
    /// Idle upstream connections of all shards.
    pub registry: Arc<PoolRegistry>,
    /// Deadlines and bounds.
    pub limits: Limits,
    /// Form of the access log; none: off.
    pub format: Option<Format>,
}

struct Share {
    registry: Arc<PoolRegistry>,
    limits: Limits,
    format: Option<Arc<dyn LineFormat>>,
    listeners: Vec<Place>,
    gone: Vec<ListenerId>,
}

struct Place {
    id: ListenerId,
    socket: Option<TcpListener>,
    counters: Arc<ListenerCounters>,
    plan: Arc<ForwardPlan>,
}

/// Puts listeners with their plans (one each, in the same order) onto every shard; gives the listeners back.
///
/// # Errors
/// When a shard does not take a socket, or is gone.
pub async fn put(
    fleet: &Arc<Fleet>,
    change: Change,
    plans: &[Arc<ForwardPlan>],
    load: &Load,
) -> io::Result<Vec<Listening>> {
    let mut listening = Vec::new();
    let format = load.format.map(|format| Arc::new(format) as Arc<dyn LineFormat>);
    let share = || Share {
        registry: Arc::clone(&load.registry),
        limits: load.limits,
        format: format.clone(),
        listeners: Vec::new(),
        gone: change.gone.clone(),
    };
    let mut shares: Vec<Share> = (0..fleet.len()).map(|_| share()).collect();
    for (wanted, plan) in change.wanted.into_iter().zip(plans) {
        let mut sockets = wanted.sockets.into_iter();
        for (share, counters) in shares.iter_mut().zip(wanted.listening.counted.shards.iter()) {
            let (socket, counters) = (sockets.next(), Arc::clone(counters));
            let place = Place { id: wanted.listening.id, socket, counters, plan: Arc::clone(plan) };
            share.listeners.push(place);
        }
        listening.push(wanted.listening);
    }
    for (shard, share) in shares.into_iter().enumerate() {
        let taken = fleet.ask(shard, move |shard| share.take(shard)).await;
        taken.ok_or_else(|| io::Error::other("a shard is gone"))??;
    }
    Ok(listening)
}

impl Share {
    fn take(self, shard: &Rc<Shard>) -> io::Result<()> {
        Pool::start(shard, self.registry, self.limits);
        shard.journal().set_format(self.format);
        for id in self.gone {
            shard.unlisten(id);
        }
        for place in self.listeners {
            let forward = place.plan.on(shard);
            match place.socket {
                Some(socket) => shard.listen(place.id, socket, place.counters, forward)?,
                None => {
                    shard.set_inbound(place.id, Rc::clone(&forward) as Rc<_>);
                    forward.recheck(shard);
                }
            }
        }
        Ok(())
    }
}

/// Tells every shard to take no new work.
pub async fn drain(fleet: &Fleet) {
    for shard in 0..fleet.len() {
        // A shard that is gone has nothing to drain.
        fleet.ask(shard, |shard| shard.drain()).await.unwrap_or_default();
    }
}

/// Tells every shard to end.
pub fn stop(fleet: &Fleet) {
    for shard in 0..fleet.len() {
        if fleet.send(shard, Message::Stop).is_err() {
            tracing::warn!(shard, "a shard has no room for the message to stop");
        }
    }
}

/// Waits for threads to end, but not for ever.
pub async fn ended(threads: Vec<JoinHandle<()>>, what: &'static str) {
    let give_up = Instant::now() + END;
    for thread in threads {
        while !thread.is_finished() {
            if Instant::now() >= give_up {
                tracing::warn!(what, "a thread does not end");
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        // A panic was told by its hook.
        drop(thread.join());
    }
}
