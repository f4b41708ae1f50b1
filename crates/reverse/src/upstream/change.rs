//! Changes at run time: what an operator may ask for, and the lists a set is made of.
//!
//! Pure lists; [`super::Upstream`] makes the next set of them. Not here: who may ask (the admin API).

use super::endpoint::{EndpointKey, EndpointSpec, MAX_WEIGHT};
use super::set::{Endpoint, UpstreamSet};
use crate::moment::Moment;
use std::collections::BTreeMap;

/// What an operator may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// One more endpoint.
    Add(EndpointSpec),
    /// An endpoint less; what is under way on it goes on.
    Remove(EndpointKey),
    /// Nothing new goes to an endpoint, sticky sessions neither; what is under way on it goes on.
    Drain(EndpointKey),
    /// The end of a drain.
    Resume(EndpointKey),
    /// Another weight, 0 to [`MAX_WEIGHT`]; `None` is the configured one again.
    Weight(EndpointKey, Option<u32>),
}

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No such endpoint.
    #[error("the upstream has no such endpoint")]
    Unknown,
    /// It is there already.
    #[error("the upstream has this endpoint already")]
    Exists,
    /// Out of range.
    #[error("a weight is a number from 0 to {MAX_WEIGHT}")]
    Weight,
}

/// One source of discovery: the same for the same finder, so that a reload begins with what it found before
/// ([`crate::discovery::Finder::source`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(pub u64);

/// What a set is made of.
#[derive(Debug)]
pub(super) struct Parts {
    configured: Vec<EndpointSpec>,
    discovered: BTreeMap<Source, Vec<EndpointSpec>>,
    added: Vec<EndpointSpec>,
    removed: Vec<EndpointKey>,
}

impl Parts {
    pub(super) const fn new(
        configured: Vec<EndpointSpec>,
        discovered: BTreeMap<Source, Vec<EndpointSpec>>,
    ) -> Self {
        Self { configured, discovered, added: Vec::new(), removed: Vec::new() }
    }

    /// All of it; an earlier part goes before a later one of the same identity.
    pub(super) fn list(&self) -> Vec<EndpointSpec> {
        let parts = self.added.iter().chain(&self.configured).chain(self.discovered.values().flatten());
        parts.filter(|spec| !self.removed.contains(&spec.key)).cloned().collect()
    }

    pub(super) fn discovered(&mut self, source: Source, endpoints: Vec<EndpointSpec>) {
        self.discovered.insert(source, endpoints);
    }

    pub(super) fn apply(
        &mut self,
        change: &Change,
        set: &UpstreamSet,
        now: Moment,
    ) -> Result<(), ChangeError> {
        match change {
            Change::Add(spec) => self.add(spec, set)?,
            Change::Remove(key) => {
                find(set, key)?;
                self.added.retain(|spec| spec.key != *key);
                self.removed.push(key.clone());
            }
            Change::Drain(key) => find(set, key)?.state().set_draining(true, now),
            Change::Resume(key) => find(set, key)?.state().set_draining(false, now),
            Change::Weight(_, Some(weight)) if *weight > MAX_WEIGHT => return Err(ChangeError::Weight),
            Change::Weight(key, weight) => find(set, key)?.state().set_weight(*weight),
        }
        Ok(())
    }

    fn add(&mut self, spec: &EndpointSpec, set: &UpstreamSet) -> Result<(), ChangeError> {
        if spec.weight > MAX_WEIGHT {
            return Err(ChangeError::Weight);
        }
        if find(set, &spec.key).is_ok() {
            return Err(ChangeError::Exists);
        }
        self.removed.retain(|key| *key != spec.key);
        self.added.push(spec.clone());
        Ok(())
    }
}

fn find<'a>(set: &'a UpstreamSet, key: &EndpointKey) -> Result<&'a Endpoint, ChangeError> {
    set.endpoints().iter().find(|endpoint| endpoint.key() == key).ok_or(ChangeError::Unknown)
}
