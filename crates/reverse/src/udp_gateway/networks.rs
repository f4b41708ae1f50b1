//! Sessions of datagrams by client network, of all shards: nobody knows a client's address for sure, so all have bounds.
//!
//! Memory is bounded by the sessions there may be. Not here: how fast they begin (`policy/gcra`), connections
//! (`net/admission`).

use super::DatagramLimits;
use shoalway_policy::gcra::network;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many sessions are open, in all and by client network.
#[derive(Debug, Default)]
pub struct Networks {
    total: AtomicUsize,
    stripes: [Mutex<HashMap<IpAddr, usize>>; STRIPES],
    hasher: RandomState,
}

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The client network's.
    Network,
    /// The listener's.
    Listener,
}

impl Networks {
    /// Sessions that are open.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// Counts a session of this client until the seat is dropped.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, limits: &DatagramLimits) -> Result<Seat, Full> {
        let more = |total: usize| (total < limits.sessions).then_some(total + 1);
        self.total.fetch_update(Relaxed, Relaxed, more).ok().ok_or(Full::Listener)?;
        let network = network(client);
        if let Some(mut stripe) = self.stripe(&network) {
            let count = stripe.entry(network).or_insert(0);
            if limits.per_network > 0 && *count >= limits.per_network {
                self.total.fetch_sub(1, Relaxed);
                return Err(Full::Network);
            }
            *count += 1;
        }
        Ok(Seat { networks: Arc::clone(self), network })
    }

    fn stripe(&self, network: &IpAddr) -> Option<MutexGuard<'_, HashMap<IpAddr, usize>>> {
        let index = usize::try_from(self.hasher.hash_one(network) % STRIPES as u64).unwrap_or(0);
        // Under this lock there is one addition: nothing that could be half done.
        self.stripes.get(index).map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One session, counted.
#[derive(Debug)]
pub(super) struct Seat {
    networks: Arc<Networks>,
    network: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.networks.total.fetch_sub(1, Relaxed);
        let Some(mut stripe) = self.networks.stripe(&self.network) else { return };
        if let Some(count) = stripe.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                stripe.remove(&self.network);
            }
        }
    }
}

const STRIPES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_bound_and_all_have_one() {
        let networks = Arc::<Networks>::default();
        let limits = DatagramLimits { sessions: 3, per_network: 2, ..DatagramLimits::default() };
        let enter = |ip: &str| networks.enter(ip.parse().unwrap(), &limits).err();
        let held: Vec<_> =
            ["192.0.2.1", "192.0.2.1"].map(|ip| networks.enter(ip.parse().unwrap(), &limits).unwrap()).into();
        assert_eq!((enter("192.0.2.1"), networks.total()), (Some(Full::Network), 2));
        let other = networks.enter("2001:db8::1".parse().unwrap(), &limits).unwrap();
        assert_eq!((enter("192.0.2.9"), networks.total()), (Some(Full::Listener), 3));
        drop((held, other));
        assert_eq!((enter("192.0.2.1"), networks.total()), (None, 0));
        assert!(networks.stripes.iter().all(|stripe| stripe.lock().unwrap().is_empty()));
    }
}
