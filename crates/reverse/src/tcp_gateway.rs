//! Byte streams on one shard: accept, read what is in front, choose an endpoint, connect, relay.
//!
//! ```text
//! accept -> rate -> PROXY header -> hello -> endpoint -> PROXY header -> relay (splice)
//!                   `-------- head.rs -'    `- link.rs    `- origin.rs   `- carry.rs
//! ```
//! TLS that ends here takes the hello's place (`terminate.rs`). `establish.rs` is the order of these, which the accept mode decides, and is read first. Polled and boxed until the relay
//! begins, so that a stream that lasts for hours does not carry what came before. Not here: what is configured
//! (`stream_plan.rs`), how endpoints fare (`upstream.rs`), moving bytes (`net/relay`).

mod establish;

mod eager;
mod head;
mod link;
mod origin;
mod preconnect;

mod carry;

pub mod gate;

mod refusal;

mod terminate;

use crate::dice::Dice;
use crate::stream_plan::{Facts, ProxyIn, StreamCounters, StreamPlan};
use link::Open;
use preconnect::Ready;
use shoalway_net::admission::Admitted;
use shoalway_net::deadline::Deadline;
use shoalway_net::listener::{Accepted, Inbound};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// A listener for streams on one shard.
pub(crate) struct TcpGateway {
    plan: Arc<StreamPlan>,
    dice: Dice,
    open: Rc<dyn Open>,
    ready: Ready,
}

/// What stands behind the listener.
struct Entrance(Rc<TcpGateway>);

impl Inbound for Entrance {
    fn accept(&self, shard: &Rc<Shard>, accepted: Accepted) {
        let Accepted { stream, peer, admitted } = accepted;
        self.0.serve(shard, Stream::tcp(stream), peer, admitted);
    }
}

impl TcpGateway {
    pub(crate) fn inbound(plan: Arc<StreamPlan>, shard: &Rc<Shard>) -> Rc<dyn Inbound> {
        let open = Rc::new(plan.dialer.clone());
        Rc::new(Entrance(Self::with(plan, shard, open)))
    }

    fn with(plan: Arc<StreamPlan>, shard: &Rc<Shard>, open: Rc<dyn Open>) -> Rc<Self> {
        let ready = Ready::new(plan.accept);
        let gateway = Rc::new(Self { plan, dice: Dice::from_system(), open, ready });
        preconnect::begin(&gateway, shard);
        gateway
    }

    /// Takes a fresh connection, or closes it at once when its client may not have one more.
    fn serve(self: &Rc<Self>, shard: &Rc<Shard>, stream: Stream, peer: SocketAddr, admitted: Admitted) {
        if !self.lets_in(shard, peer) {
            admitted.counters().refused.add(1);
            return;
        }
        let facts = Facts::stream(shard, &self.plan.listener, peer, admitted);
        let session = Session { shard: Rc::clone(shard), stream, deadline: shard.deadline(), facts };
        shard.tasks().spawn(establish::run(Rc::clone(self), session));
    }

    fn lets_in(&self, shard: &Shard, peer: SocketAddr) -> bool {
        let may = match &self.plan.proxy_in {
            ProxyIn::Off => self.plan.keeps_rate(peer.ip()).then_some(()).ok_or(true),
            // Whose rate it is, the header will tell.
            ProxyIn::From(trusted) => trusted.contains(peer.ip()).then_some(()).ok_or(false),
        };
        if let (Err(by_rate), Some(counters)) = (may, self.counters(shard)) {
            let counter = if by_rate { &counters.rate_limited } else { &counters.untrusted };
            counter.add(1);
        }
        may.is_ok()
    }

    fn counters(&self, shard: &Shard) -> Option<&StreamCounters> {
        self.plan.counters.get(shard.id())
    }
}

/// One connection of a client.
struct Session {
    shard: Rc<Shard>,
    stream: Stream,
    deadline: Deadline,
    facts: Facts,
}

#[cfg(test)]
mod tests;
