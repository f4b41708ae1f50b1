//! SOCKS5 UDP ASSOCIATE: datagrams between one client and many targets. RFC 1928 sections 6 and 7.
//!
//! The association lives as long as its control connection. Only the client's datagrams are taken: from the address
//! of its control connection, from the port it named, or else the port its first good datagram came from. Answers are
//! passed on only from addresses the client has sent to; this is stricter than the RFC, which would let anybody who
//! finds the port speak to the client. Every target is decided about by the rules and looked at by the egress guard;
//! what may not go is dropped, as section 7 has it. Only straight out: an exit is not asked to carry datagrams.
//! Not here: datagrams' bytes and joining fragments (`wire/socks5_udp`).

mod port;
mod targets;

use super::socks::{Ask, NOWHERE, Wish};
use crate::facts::Facts;
use crate::forward::{Forward, Slot};
use crate::replies;
use crate::tunnels::Tunnels;
use port::Port;
use shoalway_net::connect::ConnectErrorKind;
use shoalway_net::deadline::{Deadline, Expiry, Wait};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_net::{clock, udp};
use shoalway_types::Protocol;
use shoalway_wire::socks5::address::Address;
use shoalway_wire::socks5_udp::reassembly::{Outcome, Reassembly};
use shoalway_wire::socks5_udp::{decode, encode_header};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use targets::{Resolved, Targets, Way};
use tokio::time::Instant;

/// Datagrams of one socket in a row before the others have their turn.
const ROW: usize = 32;

/// Begins an association; the rest runs as a task of its own.
pub(crate) async fn serve(mut ask: Ask, from: &Address) {
    let wish = Wish { command: "UDP", protocol: Protocol::Udp, target: None, decided: None };
    let reached = ask.talk.stream.socket().and_then(|socket| socket.local_addr().ok());
    let opened = udp::bind_association(reached.unwrap_or(NOWHERE).ip().to_canonical());
    let Ok((relay, bound)) = opened.and_then(|relay| relay.local_addr().map(|bound| (relay, bound))) else {
        return ask.refuse(wish, replies::of_kind(ConnectErrorKind::Local), "bind_failed");
    };
    let reply = ask.version.granted(bound);
    if ask.talk.send(&reply).await.is_err() {
        return;
    }
    let (forward, shard, version) = (Rc::clone(&ask.forward), Rc::clone(&ask.shard), ask.version);
    let (facts, talk) = ask.into_facts(wish);
    facts.say(version.code(None), 200);
    let association =
        Association::new(&shard, &forward, &facts, talk.stream, Port::new(relay), named_port(from, &facts));
    let idle = forward.plan().limits.tunnel_idle;
    drop(forward);
    shard.tasks().spawn(run(Rc::new(facts), Box::new(association), idle));
}

/// The port the client said it sends from. An address other than that of its connection is one behind a translator:
/// then the port is not the one we see either.
fn named_port(from: &Address, facts: &Facts) -> Option<u16> {
    let ip = from.host.ip()?;
    let ours = ip.is_unspecified() || ip.to_canonical() == facts.client.ip().to_canonical();
    (ours && from.port != 0).then_some(from.port)
}

async fn run(facts: Rc<Facts>, mut association: Box<Association>, idle: Duration) {
    let deadline = association.shard.deadline();
    deadline.after(idle, Wait::Busy);
    let entered = Tunnels::enter(&association.shard, &deadline, &facts);
    drop(facts);
    let outcome = poll_fn(|cx| association.poll(cx, &deadline, idle)).await;
    let facts = entered.facts();
    facts.told.up.set(association.up);
    facts.told.down.set(association.down);
    if facts.told.outcome.get().is_none() {
        facts.end(outcome);
    }
}

struct Association {
    shard: Rc<Shard>,
    /// What counts now, and what counted when a target was last asked about.
    slot: Rc<Slot>,
    forward: Rc<Forward>,
    control: Stream,
    /// Where the client sends to.
    relay: Port,
    /// Where its datagrams leave: IPv4, IPv6. Opened when first needed.
    out: [Option<Port>; 2],
    client_ip: IpAddr,
    user: Option<Rc<str>>,
    named_port: Option<u16>,
    /// Where the client sends from.
    client: Option<SocketAddr>,
    targets: Targets,
    fragments: Reassembly,
    began: Instant,
    active: Instant,
    up: u64,
    down: u64,
}

impl Association {
    fn new(
        shard: &Rc<Shard>,
        forward: &Rc<Forward>,
        facts: &Facts,
        control: Stream,
        relay: Port,
        named_port: Option<u16>,
    ) -> Self {
        Self {
            shard: Rc::clone(shard),
            slot: Rc::clone(forward.slot()),
            forward: Rc::clone(forward),
            control,
            relay,
            out: [None, None],
            client_ip: facts.client.ip(),
            user: facts.user.clone(),
            named_port,
            client: None,
            targets: Targets::default(),
            fragments: Reassembly::new(),
            began: clock::now(),
            active: clock::now(),
            up: 0,
            down: 0,
        }
    }

    /// Moves what can be moved. Ready with a word when it is over.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: &Deadline, idle: Duration) -> Poll<&'static str> {
        if let Poll::Ready(outcome) = self.poll_control(cx) {
            return Poll::Ready(outcome);
        }
        let before = self.up + self.down;
        while let Poll::Ready(Resolved { target, to, payload }) = self.targets.poll_resolved(cx) {
            self.targets.learn(target, to, clock::now());
            if let Some(to) = to {
                self.send_out(cx, to, &payload);
            }
        }
        self.poll_client(cx);
        self.poll_far(cx);
        if self.up + self.down != before {
            self.active = clock::now();
        }
        self.poll_deadline(cx, deadline, idle)
    }

    /// The control connection says nothing more; its end is the association's end (RFC 1928 section 7).
    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        let mut scrap = [0; 256];
        for _ in 0..ROW {
            match std::task::ready!(self.control.poll_fill(cx, &mut scrap)) {
                Ok(0) => return Poll::Ready("ok"),
                Ok(_) => {}
                Err(_) => return Poll::Ready("client_reset"),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Silence, and fragments whose rest never came. The deadline is moved when it comes, not with each datagram.
    fn poll_deadline(&mut self, cx: &Context<'_>, deadline: &Deadline, idle: Duration) -> Poll<&'static str> {
        while let Poll::Ready(expiry) = deadline.poll(cx) {
            let quiet = clock::now().saturating_duration_since(self.active);
            if expiry == Expiry::Ended {
                return Poll::Ready("ended");
            }
            if quiet >= idle {
                return Poll::Ready("tunnel_idle");
            }
            self.fragments.expire(self.age());
            deadline.after(idle.saturating_sub(quiet), Wait::Busy);
        }
        if let Some(expires) = self.fragments.expires() {
            let left = expires.saturating_sub(self.age());
            deadline.after(left.min(idle), Wait::Busy);
            // The new time may have passed already; otherwise this leaves the waker.
            if deadline.poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    fn age(&self) -> Duration {
        clock::now().saturating_duration_since(self.began)
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) {
        for _ in 0..ROW {
            let Poll::Ready((datagram, from)) = self.relay.poll_receive(cx, &self.shard) else { return };
            self.take(cx, datagram.filled(), from);
        }
        cx.waker().wake_by_ref();
    }

    fn take(&mut self, cx: &mut Context<'_>, bytes: &[u8], from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if !self.is_client(from) {
            return;
        }
        let Ok(datagram) = decode(bytes) else { return };
        self.client = Some(from);
        let now = self.age();
        // Taken out so that what it lends does not lock up the rest.
        let mut fragments = std::mem::take(&mut self.fragments);
        if let Outcome::Whole { target, payload } = fragments.accept(datagram, now) {
            self.go(cx, target, &payload);
        }
        self.fragments = fragments;
    }

    fn is_client(&self, from: SocketAddr) -> bool {
        from.ip() == self.client_ip.to_canonical()
            && self.named_port.is_none_or(|port| port == from.port())
            && self.client.is_none_or(|client| client == from)
    }

    /// Sends a payload to its target, when it may go there.
    fn go(&mut self, cx: &mut Context<'_>, target: Address, payload: &[u8]) {
        if !self.slot.is_current(&self.forward)
            && let Some(current) = self.slot.current()
        {
            self.forward = current;
            self.targets.clear();
        }
        match self.targets.way(
            &self.forward,
            self.client_ip,
            self.user.as_ref(),
            target,
            payload,
            clock::now(),
        ) {
            Way::To(to) => self.send_out(cx, to, payload),
            Way::Closed => {}
            // Looked at at once: an answer from the cache leaves no waker behind.
            Way::Resolving => cx.waker().wake_by_ref(),
        }
    }

    fn send_out(&mut self, cx: &mut Context<'_>, to: SocketAddr, payload: &[u8]) {
        let [four, six] = &mut self.out;
        let (place, any) = match to {
            SocketAddr::V4(_) => (four, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            SocketAddr::V6(_) => (six, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        };
        if place.is_none() {
            *place = udp::bind_association(any).ok().map(Port::new);
        }
        let Some(port) = place else { return };
        self.targets.spoken_to(to, clock::now());
        port.send(cx, to, payload);
        self.up += payload.len() as u64;
        // A socket opened just now has not been asked for what it receives.
        cx.waker().wake_by_ref();
    }

    fn poll_far(&mut self, cx: &mut Context<'_>) {
        let Some(client) = self.client else { return };
        for place in 0..self.out.len() {
            for _ in 0..ROW {
                let Some(port) = self.out.get_mut(place).and_then(Option::as_mut) else { break };
                let Poll::Ready((datagram, from)) = port.poll_receive(cx, &self.shard) else { break };
                if self.targets.was_spoken_to(from) {
                    self.give(cx, client, from, datagram.filled());
                }
            }
        }
    }

    fn give(&mut self, cx: &mut Context<'_>, client: SocketAddr, from: SocketAddr, payload: &[u8]) {
        let mut message = Vec::with_capacity(payload.len() + 22);
        encode_header(&Address::from(from), &mut message);
        message.extend_from_slice(payload);
        self.relay.send(cx, client, &message);
        self.down += payload.len() as u64;
    }
}
