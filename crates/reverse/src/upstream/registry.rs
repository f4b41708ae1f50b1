//! Finds endpoint states again: one a process, by upstream name and endpoint identity.
//!
//! A reload builds a new set beside the old one; both ask here, so both count in the same atomics. A state that no set
//! uses is kept for [`FORGET`], so that an endpoint which DNS drops and brings back is not new. Locks are taken when a
//! set is built, never by a pick.

use super::change::Source;
use super::endpoint::{EndpointKey, EndpointSpec};
use super::latency::Latencies;
use super::state::{Changes, EndpointState};
use crate::breaker::Breaker;
use crate::budget::Budget;
use crate::moment::{Epoch, Moment};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long the state of an endpoint outlives its last use.
pub const FORGET: Duration = Duration::from_mins(10);

/// All upstreams of the process. Shared; outlives every snapshot.
#[derive(Debug)]
pub struct Registry {
    epoch: Epoch,
    groups: Mutex<HashMap<Arc<str>, Weak<Group>>>,
}

impl Registry {
    /// A registry without upstreams, whose moments count from `start`.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self { epoch: Epoch::new(start), groups: Mutex::default() }
    }

    /// Where its moments count from.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What all sets of the upstream called `name` share.
    pub(crate) fn group(&self, name: &Arc<str>, now: Moment) -> Arc<Group> {
        // A panic under this lock leaves a table that is whole: every change is one insert or removal.
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = groups.get(name).and_then(Weak::upgrade) {
            return found;
        }
        groups.retain(|_, group| group.strong_count() > 0);
        let fresh = Arc::new(Group::new(Arc::clone(name), self.epoch, now));
        groups.insert(Arc::clone(name), Arc::downgrade(&fresh));
        fresh
    }
}

/// What all sets of one upstream share, whatever their configuration.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: Epoch,
    pub(crate) changes: Arc<Changes>,
    /// Held by the one ejection that may be decided at a time.
    pub(crate) ejecting: AtomicBool,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) retries: Arc<Budget>,
    pub(crate) hedges: Arc<Budget>,
    /// Second tries: begun, and those that answered first.
    pub(crate) hedged: [AtomicU64; 2],
    pub(crate) latencies: Latencies,
    states: Mutex<HashMap<EndpointKey, Kept>>,
    /// What each source found last: what a reload begins with.
    discovered: Mutex<BTreeMap<Source, Vec<EndpointSpec>>>,
}

#[derive(Debug)]
struct Kept {
    state: Arc<EndpointState>,
    used: Moment,
}

impl Group {
    fn new(name: Arc<str>, epoch: Epoch, now: Moment) -> Self {
        Self {
            name,
            epoch,
            changes: Arc::default(),
            ejecting: AtomicBool::new(false),
            breaker: Arc::default(),
            retries: Arc::new(Budget::new(now)),
            hedges: Arc::new(Budget::new(now)),
            hedged: Default::default(),
            latencies: Latencies::default(),
            states: Mutex::default(),
            discovered: Mutex::default(),
        }
    }

    /// Remembers what a source found.
    pub(crate) fn discovered(&self, source: Source, endpoints: &[EndpointSpec]) {
        let mut discovered = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        discovered.insert(source, endpoints.to_vec());
    }

    /// What these sources found last.
    pub(crate) fn take_over(&self, sources: &[Source]) -> BTreeMap<Source, Vec<EndpointSpec>> {
        let discovered = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        discovered
            .iter()
            .filter(|(source, _)| sources.contains(source))
            .map(|(s, e)| (*s, e.clone()))
            .collect()
    }

    /// The states of `keys`, in their order. One that joins others which exist already begins slowly.
    pub(crate) fn states(&self, keys: &[EndpointKey], now: Moment) -> Vec<Arc<EndpointState>> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let first = states.is_empty();
        let found = keys.iter().map(|key| {
            let kept = states.entry(key.clone()).or_insert_with(|| {
                let state = Arc::new(EndpointState::new(key.clone(), Arc::clone(&self.changes)));
                if !first {
                    state.begin_slow_start(now);
                }
                Kept { state, used: now }
            });
            kept.used = now;
            Arc::clone(&kept.state)
        });
        let found = found.collect();
        states.retain(|_, kept| Arc::strong_count(&kept.state) > 1 || now.since(kept.used) < FORGET);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{EndpointSpec, Scheme};

    fn key(port: u16) -> EndpointKey {
        EndpointSpec::parse(&format!("192.0.2.1:{port}"), Scheme::Tcp).unwrap().key
    }

    #[test]
    fn a_state_is_found_again_by_name_and_identity() {
        let registry = Registry::new(Instant::now());
        let now = Moment::from_micros(1);
        let group = registry.group(&"app".into(), now);
        let before = group.states(&[key(1), key(2)], now);
        let again = registry.group(&"app".into(), now).states(&[key(2)], now);
        let other = registry.group(&"other".into(), now).states(&[key(2)], now);
        assert_eq!((again[0].id() == before[1].id(), other[0].id() == before[1].id()), (true, false));
    }

    #[test]
    fn a_state_outlives_its_last_use_for_ten_minutes() {
        let registry = Registry::new(Instant::now());
        let start = Moment::from_micros(1);
        let group = registry.group(&"app".into(), start);
        let ids = |states: Vec<Arc<EndpointState>>| states.iter().map(|state| state.id()).collect::<Vec<_>>();
        let first = ids(group.states(&[key(1)], start));
        let soon = start.plus(FORGET / 2);
        drop(group.states(&[key(2)], soon));
        assert_eq!(ids(group.states(&[key(1)], soon)), first);
        drop(group.states(&[key(2)], soon.plus(FORGET)));
        assert_ne!(ids(group.states(&[key(1)], soon.plus(FORGET))), first);
    }

    #[test]
    fn who_joins_later_begins_slowly() {
        let registry = Registry::new(Instant::now());
        let (start, length) = (Moment::from_micros(1), Duration::from_secs(10));
        let group = registry.group(&"app".into(), start);
        let later = start.plus(Duration::from_mins(1));
        assert!(group.states(&[key(1)], start)[0].warmth(later, length) > 0.99);
        assert!(group.states(&[key(1), key(2)], later)[1].warmth(later, length) < 0.11);
    }
}
