//! Puts a configuration onto the shards, and ends them.
//!
//! Each shard takes everything in one turn: pool, log, listeners. Not here: what is put there (`wiring`), when
//! (`run/opening`, `reload`).

use super::gates::{self, Gated};
use super::listeners::{Change, Listening, Sockets};
use super::watchers::{Watch, watch};
use crate::log::Format;
use crate::node::Overlaid;
use crate::wiring::Plan;
use shoalway_forward::{Forward, ForwardPlan};
use shoalway_http::pool::{Pool, PoolRegistry};
use shoalway_net::counters::ListenerCounters;
use shoalway_net::fleet::{Fleet, Message};
use shoalway_net::journal::LineFormat;
use shoalway_net::limits::Limits;
use shoalway_net::listener::{Inbound, ListenerId};
use shoalway_net::shard::Shard;
use shoalway_reverse::udp_gateway::UdpGateway;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, UdpSocket};
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
    /// What listeners that the forward proxy has left are asked by.
    pub left: Vec<Arc<ForwardPlan>>,
    /// Listeners that the forward proxy left one configuration ago: nothing of them is needed any more.
    pub forgotten: Vec<Arc<str>>,
    /// Upstreams to be checked and found.
    pub watches: Vec<Watch>,
    /// The overlay's parts.
    pub overlaid: Overlaid,
}

struct Share {
    registry: Arc<PoolRegistry>,
    limits: Limits,
    format: Option<Arc<dyn LineFormat>>,
    listeners: Vec<Place>,
    gone: Vec<ListenerId>,
    left: Vec<Arc<ForwardPlan>>,
    forgotten: Vec<Arc<str>>,
    /// On the first shard alone.
    watches: Option<(Vec<Watch>, Vec<Gated>)>,
    overlaid: Overlaid,
}

struct Place {
    id: ListenerId,
    socket: Option<Socket>,
    counters: Arc<ListenerCounters>,
    plan: Plan,
}

enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// The listeners for datagrams of one shard.
#[derive(Default)]
struct Gateways(RefCell<HashMap<ListenerId, Rc<UdpGateway>>>);

/// Puts listeners with their plans (one each, in the same order) onto every shard; gives the listeners back.
///
/// # Errors
/// When a shard does not take a socket, or is gone.
pub async fn put(
    fleet: &Arc<Fleet>,
    change: Change,
    plans: &[Plan],
    load: Load,
) -> io::Result<Vec<Listening>> {
    let mut listening = Vec::new();
    let format = load.format.map(|format| Arc::new(format) as Arc<dyn LineFormat>);
    let gone: Vec<ListenerId> = change.gone.iter().map(|old| old.id).collect();
    let gated = change.wanted.iter().zip(plans).map(|(wanted, plan)| Gated::new(wanted, plan));
    let gated = gated.filter_map(Result::transpose).collect::<io::Result<Vec<Gated>>>()?;
    let mut watches = Some((load.watches, gated));
    let mut shares: Vec<Share> = Vec::new();
    for _ in 0..fleet.len() {
        shares.push(Share {
            registry: Arc::clone(&load.registry),
            limits: load.limits,
            format: format.clone(),
            listeners: Vec::new(),
            gone: gone.clone(),
            left: load.left.clone(),
            forgotten: load.forgotten.clone(),
            watches: watches.take(),
            overlaid: load.overlaid.clone(),
        });
    }
    for (wanted, plan) in change.wanted.into_iter().zip(plans) {
        let mut sockets = each(wanted.sockets);
        for (share, counters) in shares.iter_mut().zip(wanted.listening.counted.shards.iter()) {
            let (socket, counters) = (sockets.next(), Arc::clone(counters));
            let place = Place { id: wanted.listening.id, socket, counters, plan: plan.clone() };
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

fn each(sockets: Sockets) -> Box<dyn Iterator<Item = Socket>> {
    match sockets {
        Sockets::Kept => Box::new(std::iter::empty()),
        Sockets::Tcp(sockets) => Box::new(sockets.into_iter().map(Socket::Tcp)),
        Sockets::Udp(sockets) => Box::new(sockets.into_iter().map(Socket::Udp)),
    }
}

impl Share {
    fn take(self, shard: &Rc<Shard>) -> io::Result<()> {
        Pool::start(shard, self.registry, self.limits);
        shard.journal().set_format(self.format);
        for listener in self.forgotten {
            Forward::forget(shard, &listener);
        }
        let gateways = shard.local(Gateways::default);
        for id in &self.gone {
            shard.unlisten(*id);
            if let Some(gateway) = gateways.0.borrow_mut().remove(id) {
                gateway.stop();
            }
        }
        for plan in self.left {
            plan.on(shard).recheck(shard);
        }
        self.overlaid.start(shard);
        for place in self.listeners {
            place.take(shard, &gateways)?;
        }
        if let Some((watches, gated)) = self.watches {
            watch(watches, shard);
            gates::watch(gated, &self.gone, shard);
        }
        Ok(())
    }
}

impl Place {
    fn take(self, shard: &Rc<Shard>, gateways: &Gateways) -> io::Result<()> {
        let Self { id, socket, counters, plan } = self;
        match plan {
            Plan::Forward(plan) => {
                let forward = plan.on(shard);
                stand(shard, id, tcp(socket), counters, Rc::clone(&forward) as Rc<_>)?;
                forward.recheck(shard);
            }
            Plan::Sites(plan) => stand(shard, id, tcp(socket), counters, plan.on(shard))?,
            Plan::Stream(plan) => stand(shard, id, tcp(socket), counters, plan.on(shard))?,
            Plan::Datagrams(plan) => match socket {
                Some(Socket::Udp(socket)) => {
                    let gateway = plan.on(shard, socket, counters)?;
                    gateways.0.borrow_mut().insert(id, gateway);
                }
                Some(Socket::Tcp(_)) | None => {
                    if let Some(gateway) = gateways.0.borrow().get(&id) {
                        gateway.set_plan(plan);
                    }
                }
            },
        }
        Ok(())
    }
}

fn tcp(socket: Option<Socket>) -> Option<TcpListener> {
    match socket {
        Some(Socket::Tcp(socket)) => Some(socket),
        Some(Socket::Udp(_)) | None => None,
    }
}

/// Puts what takes connections behind a fresh socket, or behind the one that stands.
pub(super) fn stand(
    shard: &Rc<Shard>,
    id: ListenerId,
    socket: Option<TcpListener>,
    counters: Arc<ListenerCounters>,
    inbound: Rc<dyn Inbound>,
) -> io::Result<()> {
    match socket {
        Some(socket) => shard.listen(id, socket, counters, inbound),
        None => {
            shard.set_inbound(id, inbound);
            Ok(())
        }
    }
}

/// Tells every shard to take no new work.
pub async fn drain(fleet: &Fleet) {
    for shard in 0..fleet.len() {
        // A shard that is gone has nothing to drain.
        let drained = fleet.ask(shard, |shard| {
            gates::end(shard);
            shard.drain();
        });
        drained.await.unwrap_or_default();
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
