//! Admits connections: caps of the process and of one client network, asked before any byte is read.
//!
//! Not here: which clients may use a proxy at all (the products ask their configuration), bandwidth, quotas.
//! IPv4 clients count by address, IPv6 clients by /64, which is one household.

use crate::counters::{ListenerCounters, ShardCounters};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

const STRIPES: usize = 16;

/// Open connections by client network; one a process.
pub struct ClientCaps {
    stripes: [Mutex<HashMap<IpAddr, u32>>; STRIPES],
    hasher: RandomState,
}

impl Default for ClientCaps {
    fn default() -> Self {
        Self { stripes: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl ClientCaps {
    /// Counts a connection of this client, unless it has `cap` already.
    fn enter(&self, client: IpAddr, cap: usize) -> bool {
        let key = network(client);
        let mut stripe = self.stripe(&key).lock().unwrap_or_else(PoisonError::into_inner);
        let count = stripe.entry(key).or_insert(0);
        if *count as usize >= cap {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, client: IpAddr) {
        let key = network(client);
        let mut stripe = self.stripe(&key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = stripe.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                stripe.remove(&key);
            }
        }
    }

    fn stripe(&self, key: &IpAddr) -> &Mutex<HashMap<IpAddr, u32>> {
        let [first, ..] = &self.stripes;
        let index = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or(0);
        self.stripes.get(index).unwrap_or(first)
    }
}

fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

/// A connection that was let in; counted until dropped.
pub struct Admitted {
    shard: Arc<ShardCounters>,
    listener: Arc<ListenerCounters>,
    capped: Option<(Arc<ClientCaps>, IpAddr)>,
    counted: bool,
}

impl Admitted {
    /// Counts a connection in, or says no when the client's network has `per_client` (0: no cap) already.
    pub(crate) fn enter(
        shard: &Arc<ShardCounters>,
        listener: &Arc<ListenerCounters>,
        caps: &Arc<ClientCaps>,
        client: IpAddr,
        per_client: usize,
    ) -> Option<Self> {
        let capped = match per_client {
            0 => None,
            cap if caps.enter(client, cap) => Some((Arc::clone(caps), client)),
            _ => {
                listener.refused.add(1);
                return None;
            }
        };
        shard.connections.add(1);
        listener.accepted.add(1);
        listener.open.add(1);
        Some(Self { shard: Arc::clone(shard), listener: Arc::clone(listener), capped, counted: true })
    }

    /// A connection that no listener let in: for streams that come from elsewhere, and for tests.
    #[must_use]
    pub fn uncounted() -> Self {
        let (shard, listener): (Arc<ShardCounters>, Arc<ListenerCounters>) = Default::default();
        shard.connections.add(1);
        listener.open.add(1);
        Self { shard, listener, capped: None, counted: true }
    }

    /// One of the streams within this connection, which counts for itself nowhere.
    #[must_use]
    pub fn within(&self) -> Self {
        let (shard, listener) = (Arc::clone(&self.shard), Arc::clone(&self.listener));
        Self { shard, listener, capped: None, counted: false }
    }

    /// The counters of the listener that took the connection.
    #[must_use]
    pub const fn counters(&self) -> &Arc<ListenerCounters> {
        &self.listener
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.counted {
            self.shard.connections.sub(1);
            self.listener.open.sub(1);
        }
        if let Some((caps, client)) = &self.capped {
            caps.leave(*client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_has_one_cap_and_its_neighbour_another() {
        let (shard, listener, caps) = (Arc::default(), Arc::default(), Arc::default());
        let enter = |ip: &str| Admitted::enter(&shard, &listener, &caps, ip.parse().unwrap(), 2);
        let first = enter("2001:db8::1");
        let second = enter("2001:db8::ffff:2");
        assert!(first.is_some() && second.is_some() && enter("2001:db8::3").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop(first);
        assert!(enter("2001:db8::3").is_some());
        assert_eq!((listener.accepted.get(), listener.open.get(), listener.refused.get()), (4, 1, 1));
        drop(second.map(|connection| connection.within()));
        assert_eq!((shard.connections.get(), listener.open.get()), (0, 0));
    }
}
