//! What follows a change of protocol: bytes both ways between a client and its endpoint, until both have ended.
//!
//! It keeps its endpoint counted as in use and its route by number, not the plan. Not here: moving bytes (`net/relay`).

use crate::attempt::Attempt;
use shoalway_http::service::Tunnel;
use shoalway_net::clock;
use shoalway_net::counters::VerbLabel;
use shoalway_net::relay::{Outcome, relay};
use shoalway_net::shard::Shard;
use shoalway_types::{Protocol, Record, Target};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What is known of it.
pub(super) struct Facts {
    pub(super) listener: Arc<str>,
    pub(super) client: SocketAddr,
    pub(super) target: Option<Rc<Target>>,
    pub(super) rule: u32,
    pub(super) attempt: Attempt,
}

/// Relays as a task of the shard.
pub(super) fn spawn(shard: &Rc<Shard>, facts: Facts, tunnel: Tunnel, idle: Duration) {
    let tasks = shard.tasks().clone();
    tasks.spawn(run(Rc::clone(shard), facts, tunnel, idle));
}

async fn run(shard: Rc<Shard>, facts: Facts, tunnel: Tunnel, idle: Duration) {
    let Tunnel { client, upstream, addr, started, started_ms, status, admitted } = tunnel;
    // The head that tells the client of the change is ours, and no payload.
    let preface =
        upstream.early().windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4) as u64;
    let counters = Arc::clone(admitted.counters());
    let open = Open::new(&counters);
    let deadline = shard.deadline();
    let Outcome { up, down, end } = relay(&shard, client, upstream, &deadline, idle).await;
    drop(open);
    let down = down.saturating_sub(preface);
    let elapsed = clock::now().saturating_duration_since(started);
    counters.request(VerbLabel::Direct, status);
    counters.bytes_up.add(up);
    counters.bytes_down.add(down);
    counters.durations.observe(elapsed);
    let Facts { listener, client, target, rule, mut attempt } = facts;
    attempt.settle(end.word());
    shard.journal().write(&Record {
        started_ms,
        elapsed,
        listener: &listener,
        protocol: Protocol::Upgrade,
        client,
        user: None,
        method: "GET",
        host: target.as_ref().map(|target| &target.host),
        port: target.as_ref().map_or(0, |target| target.port),
        path: &[],
        status,
        bytes_up: up,
        bytes_down: down,
        verb: "upstream",
        rule,
        upstream: Some(addr).filter(|addr| addr.port() != 0),
        outcome: end.word(),
        user_agent: &[],
        referer: &[],
    });
}

/// Counts a tunnel while it is open, however it ends.
struct Open(Arc<shoalway_net::counters::ListenerCounters>);

impl Open {
    fn new(counters: &Arc<shoalway_net::counters::ListenerCounters>) -> Self {
        counters.tunnels.add(1);
        Self(Arc::clone(counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.tunnels.sub(1);
    }
}
