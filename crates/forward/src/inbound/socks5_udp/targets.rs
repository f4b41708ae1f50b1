//! Where an association's datagrams go: decisions and addresses, remembered for a minute, at most 256.
//!
//! A name is resolved once for a target; of its addresses the first that rules and guard let pass is taken, IPv4
//! before IPv6, since nothing tells that a datagram's way is dead. Not here: sending.

use crate::dispatch::{Asked, recheck};
use crate::forward::Forward;
use shoalway_net::connect::LocalFuture;
use shoalway_net::resolver::Answer;
use shoalway_types::Host;
use shoalway_wire::socks5::address::Address;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Targets remembered, and addresses that may answer.
const MOST: usize = 256;
/// How long a decision about a target counts.
const FRESH: Duration = Duration::from_secs(60);
/// Names being resolved at once; each holds one datagram.
const RESOLVING: usize = 16;

/// What becomes of a datagram.
pub(super) enum Way {
    /// It goes there.
    To(SocketAddr),
    /// It may not go, or there is no room to find out.
    Closed,
    /// It waits until its name is resolved.
    Resolving,
}

/// A name that was resolved, with the datagram that waited for it.
pub(super) struct Resolved {
    pub(super) target: Address,
    pub(super) to: Option<SocketAddr>,
    pub(super) payload: Box<[u8]>,
}

struct Pending {
    target: Address,
    payload: Box<[u8]>,
    work: LocalFuture<'static, Option<SocketAddr>>,
}

struct Known {
    to: Option<SocketAddr>,
    since: Instant,
}

/// The targets of one association.
#[derive(Default)]
pub(super) struct Targets {
    known: HashMap<Address, Known>,
    spoken: HashMap<SocketAddr, Instant>,
    pending: Vec<Pending>,
}

impl Targets {
    /// Forgets all decisions: other rules count now.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.spoken.clear();
        self.pending.clear();
    }

    /// Where a datagram for this target goes.
    pub(super) fn way(
        &mut self,
        forward: &Rc<Forward>,
        client: IpAddr,
        user: Option<&Rc<str>>,
        target: Address,
        payload: &[u8],
        now: Instant,
    ) -> Way {
        if let Some(known) = self.known.get(&target)
            && now.saturating_duration_since(known.since) < FRESH
        {
            return known.to.map_or(Way::Closed, Way::To);
        }
        let asked = Asked {
            client,
            user: user.map(|user| &**user),
            host: &target.host,
            port: target.port,
            method: "",
        };
        let straight = forward.dispatch(&asked).way.is_some_and(|way| way.is_direct);
        let to = match &target.host {
            Host::Ip(ip) if straight => {
                let addr = SocketAddr::new(*ip, target.port);
                forward.plan().dialer.guard().check(client, addr).is_ok().then_some(addr)
            }
            Host::Name(_) if straight => {
                return self.resolve(forward, client, user, target, payload);
            }
            Host::Ip(_) | Host::Name(_) => None,
        };
        self.learn(target, to, now);
        to.map_or(Way::Closed, Way::To)
    }

    fn resolve(
        &mut self,
        forward: &Rc<Forward>,
        client: IpAddr,
        user: Option<&Rc<str>>,
        target: Address,
        payload: &[u8],
    ) -> Way {
        let asked_already = self.pending.iter().any(|pending| pending.target == target);
        if asked_already || self.pending.len() >= RESOLVING {
            return Way::Closed;
        }
        let work = Box::pin(look_up(Rc::clone(forward), client, user.map(Rc::clone), target.clone()));
        self.pending.push(Pending { target, payload: payload.into(), work });
        Way::Resolving
    }

    /// The next name that was resolved.
    pub(super) fn poll_resolved(&mut self, cx: &mut Context<'_>) -> Poll<Resolved> {
        for place in 0..self.pending.len() {
            let Some(pending) = self.pending.get_mut(place) else { break };
            if let Poll::Ready(to) = pending.work.as_mut().poll(cx) {
                let Pending { target, payload, .. } = self.pending.swap_remove(place);
                return Poll::Ready(Resolved { target, to, payload });
            }
        }
        Poll::Pending
    }

    /// Remembers what came out.
    pub(super) fn learn(&mut self, target: Address, to: Option<SocketAddr>, now: Instant) {
        make_room(&mut self.known, |known| known.since);
        self.known.insert(target, Known { to, since: now });
    }

    /// The client has sent to this address: it may answer.
    pub(super) fn spoken_to(&mut self, addr: SocketAddr, now: Instant) {
        if let Some(last) = self.spoken.get_mut(&addr) {
            *last = now;
            return;
        }
        make_room(&mut self.spoken, |last| *last);
        self.spoken.insert(addr, now);
    }

    /// Whether the client has sent to this address.
    pub(super) fn was_spoken_to(&self, addr: SocketAddr) -> bool {
        self.spoken.contains_key(&addr)
    }
}

/// Lets the oldest go when the map is full.
fn make_room<K: Clone + Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, age: impl Fn(&V) -> Instant) {
    if map.len() < MOST {
        return;
    }
    if let Some(oldest) = map.iter().min_by_key(|(_, value)| age(value)).map(|(key, _)| key.clone()) {
        map.remove(&oldest);
    }
}

async fn look_up(
    forward: Rc<Forward>,
    client: IpAddr,
    user: Option<Rc<str>>,
    target: Address,
) -> Option<SocketAddr> {
    let Host::Name(name) = &target.host else { return None };
    let plan = forward.plan();
    let answer: Answer = plan.dialer.resolver().look_up(name).await.ok()?;
    let asked = Asked { client, user: user.as_deref(), host: &target.host, port: target.port, method: "" };
    let four = answer.v4().iter().map(|ip| IpAddr::V4(*ip));
    let six = answer.v6().iter().map(|ip| IpAddr::V6(*ip));
    four.chain(six).map(|ip| SocketAddr::new(ip, target.port)).find(|addr| {
        plan.dialer.guard().check(client, *addr).is_ok()
            && recheck(&plan.rules, plan.default_exit, &asked, addr.ip()).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound_and_the_oldest_goes_first() {
        let (mut targets, start) = (Targets::default(), Instant::now());
        let addr = |n: u16| SocketAddr::from(([192, 0, 2, 1], n));
        for n in 0..1_000_u16 {
            let now = start + Duration::from_millis(n.into());
            targets.spoken_to(addr(n), now);
            targets.learn(addr(n).into(), None, now);
            targets.spoken_to(addr(0), now);
        }
        assert_eq!((targets.spoken.len(), targets.known.len()), (MOST, MOST));
        assert!(targets.was_spoken_to(addr(0)) && targets.was_spoken_to(addr(999)));
        assert!(!targets.was_spoken_to(addr(1)));
        targets.clear();
        assert!(!targets.was_spoken_to(addr(999)));
    }
}
