//! Gates: listeners that let nobody in while none of their upstreams is healthy, as tasks on one shard.
//!
//! What a gate has done to a listener is known here over reloads: each configuration brings gates of its own, which go on
//! from there. Not here: when a gate moves (`reverse/tcp_gateway/gate`).

use super::listeners::{Sockets, Wanted};
use super::shards::stand;
use crate::wiring::Plan;
use shoalway_net::counters::ListenerCounters;
use shoalway_net::listener::{self, ListenerId};
use shoalway_net::shard::Shard;
use shoalway_net::{hold, listener::Inbound};
use shoalway_reverse::routes::Then;
use shoalway_reverse::site_plan::SitePlan;
use shoalway_reverse::tcp_gateway::gate::{Gate, GateMode, LOOK, Move, close_on_all, has_healthy};
use shoalway_reverse::upstream::Upstream;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

/// A listener and what its gate looks at.
pub struct Gated {
    id: ListenerId,
    addr: SocketAddr,
    mode: GateMode,
    upstreams: Vec<Arc<Upstream>>,
    plan: Plan,
    /// One a shard.
    counters: Vec<Arc<ListenerCounters>>,
    /// Second handles of sockets that are to be held; none where the old sockets stay.
    handles: Vec<TcpListener>,
}

impl Gated {
    /// The gate of a listener; none for what has none.
    ///
    /// # Errors
    /// When the system gives no second handle of a socket.
    pub fn new(wanted: &Wanted, plan: &Plan) -> io::Result<Option<Self>> {
        let (mode, upstreams) = match plan {
            Plan::Sites(plan) => (plan.settings().gate, of_sites(plan)),
            Plan::Stream(plan) => (plan.gate, plan.route.upstreams().into_iter().cloned().collect()),
            Plan::Forward(_) | Plan::Datagrams(_) => return Ok(None),
        };
        let handles = match (&wanted.sockets, mode) {
            (Sockets::Tcp(sockets), GateMode::Hold) => {
                sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?
            }
            (Sockets::Tcp(_) | Sockets::Udp(_) | Sockets::Kept, _) => Vec::new(),
        };
        let listening = &wanted.listening;
        Ok(Some(Self {
            id: listening.id,
            addr: listening.address,
            mode,
            upstreams,
            plan: plan.clone(),
            counters: listening.counted.shards.iter().map(Arc::clone).collect(),
            handles,
        }))
    }

    fn is_healthy(&self) -> bool {
        // Without a gate any more, and without upstreams, the door stands open.
        self.mode == GateMode::Serve
            || self.upstreams.is_empty()
            || self.upstreams.iter().any(|upstream| has_healthy(upstream))
    }
}

/// All upstreams of all sites, those that stand in for others included.
fn of_sites(plan: &SitePlan) -> Vec<Arc<Upstream>> {
    let routes = plan.settings().sites.iter().flat_map(|site| &site.routes);
    let mut all = Vec::new();
    for route in routes {
        if let Then::Upstream(to) = &route.then {
            all.push(Arc::clone(&to.backend.upstream));
            all.extend(to.backend.fallback.iter().map(|other| Arc::clone(&other.upstream)));
        }
    }
    all
}

/// What the gates of this process have done.
#[derive(Default)]
struct Gates {
    /// Counts configurations: the gates of an old one end.
    turn: Cell<u64>,
    /// Listeners that are shut, and how.
    shut: RefCell<HashMap<ListenerId, GateMode>>,
    handles: RefCell<HashMap<ListenerId, Rc<Vec<TcpListener>>>>,
}

/// Watches these gates and no others. `gone` are listeners that there are no more.
pub fn watch(gated: Vec<Gated>, gone: &[ListenerId], shard: &Rc<Shard>) {
    let gates = shard.local(Gates::default);
    gates.turn.set(gates.turn.get() + 1);
    for id in gone {
        gates.shut.borrow_mut().remove(id);
        gates.handles.borrow_mut().remove(id);
    }
    for mut gated in gated {
        let handles = std::mem::take(&mut gated.handles);
        if !handles.is_empty() {
            gates.handles.borrow_mut().insert(gated.id, Rc::new(handles));
        }
        if gated.mode == GateMode::Hold && !gates.handles.borrow().contains_key(&gated.id) {
            tracing::warn!("gate = \"hold\" of a listener that stands already takes force at the next start");
            gated.mode = GateMode::Serve;
        }
        if gated.mode != GateMode::Serve || gates.shut.borrow().contains_key(&gated.id) {
            shard.tasks().spawn(look(gated, Rc::clone(&gates), Rc::clone(shard)));
        }
    }
}

/// Ends all gates, and lets go of the sockets they hold: the process takes nobody in any more.
pub fn end(shard: &Shard) {
    let gates = shard.local(Gates::default);
    gates.turn.set(gates.turn.get() + 1);
    gates.handles.borrow_mut().clear();
}

async fn look(gated: Gated, gates: Rc<Gates>, shard: Rc<Shard>) {
    let turn = gates.turn.get();
    let mut gate = Gate::default();
    if gates.shut.borrow().contains_key(&gated.id) {
        gate.moved(Move::Shut);
    }
    while gates.turn.get() == turn {
        let to = gate.look(gated.is_healthy());
        let done = match to {
            Move::Stay => Ok(()),
            Move::Shut => shut(&gated, &gates, &shard).await,
            Move::Open => open(&gated, &gates, &shard).await,
        };
        match done {
            Ok(()) => {
                if to != Move::Stay {
                    tracing::warn!(shut = to == Move::Shut, "the gate of a listener moved");
                }
                gate.moved(to);
            }
            Err(error) => tracing::debug!(%error, "the gate of a listener did not move; it is tried again"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn shut(gated: &Gated, gates: &Gates, shard: &Shard) -> io::Result<()> {
    match gated.mode {
        GateMode::Serve => return Ok(()),
        GateMode::Refuse => close_on_all(shard.fleet(), gated.id).await?,
        GateMode::Hold => gates.of(gated.id).iter().try_for_each(hold::hold)?,
    }
    gates.shut.borrow_mut().insert(gated.id, gated.mode);
    Ok(())
}

async fn open(gated: &Gated, gates: &Gates, shard: &Shard) -> io::Result<()> {
    let how = gates.shut.borrow().get(&gated.id).copied();
    match how {
        None | Some(GateMode::Serve) => {}
        Some(GateMode::Refuse) => reopen(gated, shard).await?,
        Some(GateMode::Hold) => gates.of(gated.id).iter().try_for_each(hold::release)?,
    }
    gates.shut.borrow_mut().remove(&gated.id);
    Ok(())
}

impl Gates {
    fn of(&self, id: ListenerId) -> Rc<Vec<TcpListener>> {
        self.handles.borrow().get(&id).map(Rc::clone).unwrap_or_default()
    }
}

/// Listens on the same address again, on every shard.
async fn reopen(gated: &Gated, shard: &Shard) -> io::Result<()> {
    let fleet = Arc::clone(shard.fleet());
    let sockets = listener::bind(gated.addr, fleet.len())?;
    for (place, (socket, counters)) in sockets.into_iter().zip(&gated.counters).enumerate() {
        let (id, plan, counters) = (gated.id, gated.plan.clone(), Arc::clone(counters));
        let stands = move |shard: &Rc<Shard>| {
            let inbound: Rc<dyn Inbound> = match plan {
                Plan::Sites(plan) => plan.on(shard),
                Plan::Stream(plan) => plan.on(shard),
                // They have no gate.
                Plan::Forward(_) | Plan::Datagrams(_) => return Ok(()),
            };
            stand(shard, id, Some(socket), counters, inbound)
        };
        let done = fleet.ask(place, stands).await;
        done.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))??;
    }
    Ok(())
}
