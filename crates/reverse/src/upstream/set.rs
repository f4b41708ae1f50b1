//! The endpoints of one upstream at one moment, and the choice among them.
//!
//! ```text
//! pick -> sticky cookie names a usable endpoint ----------------------------> that one
//!      -> priority by healthy share -> own zone while it is healthy enough -> balancer
//!         chosen level has none left -> the other levels in order
//! ```
//! Immutable: a change makes another set (`change.rs`); how endpoints fare is in their shared states. The list is sorted
//! by priority, own zone first, so that every group a balancer works on is one slice. Shares of health are computed when
//! something has changed, not per pick (`levels.rs`). No allocation and no lock in [`UpstreamSet::pick`].

use super::endpoint::{EndpointKey, EndpointSpec};
use super::levels::{Chosen, Level, Levels};
use super::picked::Picked;
use super::registry::Group;
use super::state::EndpointState;
use crate::balance::{BalanceConfig, Candidates, Exclude, PickKey, StickyId, StickyTable};
use crate::moment::Moment;
use crate::outlier::OutlierConfig;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// One endpoint in a set.
#[derive(Debug)]
pub struct Endpoint {
    spec: EndpointSpec,
    weight: u32,
    state: Arc<EndpointState>,
    sticky_id: Option<StickyId>,
}

impl Endpoint {
    /// As configured or discovered.
    #[must_use]
    pub const fn spec(&self) -> &EndpointSpec {
        &self.spec
    }

    /// Its identity.
    #[must_use]
    pub const fn key(&self) -> &EndpointKey {
        &self.spec.key
    }

    /// Its weight in this set: the operator's at run time, else the configured one.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }

    /// How it fares.
    #[must_use]
    pub const fn state(&self) -> &Arc<EndpointState> {
        &self.state
    }

    /// The value of a sticky cookie for it; `None` when the upstream is not sticky.
    #[must_use]
    pub const fn sticky_id(&self) -> Option<StickyId> {
        self.sticky_id
    }

    /// Whether it may get anything at all, healthy or not.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.weight > 0 && !self.state.is_draining()
    }
}

/// How many endpoints there are to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// All of them.
    pub endpoints: usize,
    /// Neither draining nor of weight 0.
    pub available: usize,
    /// Of these, healthy: not down, not ejected.
    pub healthy: usize,
}

/// The endpoints of one upstream at one moment. Shared by all shards.
#[derive(Debug)]
pub struct UpstreamSet {
    pub(crate) group: Arc<Group>,
    pub(crate) outlier: OutlierConfig,
    balance: BalanceConfig,
    endpoints: Box<[Endpoint]>,
    levels: Levels,
    sticky: StickyTable,
}

impl UpstreamSet {
    /// A set of these endpoints; of two with the same identity the first counts.
    pub(crate) fn build(
        group: &Arc<Group>,
        specs: Vec<EndpointSpec>,
        balance: &BalanceConfig,
        outlier: OutlierConfig,
        now: Moment,
    ) -> Self {
        let specs = sorted(specs, balance.zone.as_deref());
        let keys: Vec<EndpointKey> = specs.iter().map(|spec| spec.key.clone()).collect();
        let states = group.states(&keys, now);
        let endpoint = |(spec, state): (EndpointSpec, Arc<EndpointState>)| Endpoint {
            weight: state.weight_override().unwrap_or(spec.weight).min(super::endpoint::MAX_WEIGHT),
            sticky_id: balance.sticky.as_ref().map(|secret| StickyId::of(secret, &group.name, &spec.key)),
            spec,
            state,
        };
        let endpoints: Box<[Endpoint]> = specs.into_iter().zip(states).map(endpoint).collect();
        Self {
            levels: Levels::of(&endpoints, balance),
            sticky: StickyTable::of(&endpoints),
            group: Arc::clone(group),
            outlier,
            balance: balance.clone(),
            endpoints,
        }
    }

    /// The upstream's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.group.name
    }

    /// The moment of an instant, for all that wants one.
    #[must_use]
    pub fn moment(&self, at: tokio::time::Instant) -> Moment {
        self.group.epoch.moment(at)
    }

    /// All endpoints, by priority.
    #[must_use]
    pub const fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How requests are spread.
    #[must_use]
    pub const fn balance(&self) -> &BalanceConfig {
        &self.balance
    }

    /// How many endpoints there are to choose from: what a gate asks before it refuses or holds.
    #[must_use]
    pub fn availability(&self, now: Moment) -> Availability {
        let available = || self.endpoints.iter().filter(|endpoint| endpoint.is_available());
        Availability {
            endpoints: self.endpoints.len(),
            available: available().count(),
            healthy: available().filter(|endpoint| endpoint.state.is_healthy(now)).count(),
        }
    }

    /// Chooses an endpoint that is neither draining, nor of weight 0, nor in `exclude`, and counts it as in flight.
    ///
    /// It is healthy too, unless so few are that health is not believed ([`BalanceConfig::panic`]). `None`: there is no
    /// such endpoint.
    #[must_use = "dropped at once it is an endpoint that was given up"]
    pub fn pick(self: &Arc<Self>, key: &PickKey, exclude: &Exclude, now: Moment) -> Option<Picked> {
        let index = self.sticky_choice(key, exclude, now).or_else(|| self.choice(key, exclude, now))?;
        Some(Picked::enter(Arc::clone(self), index, now))
    }

    fn sticky_choice(&self, key: &PickKey, exclude: &Exclude, now: Moment) -> Option<usize> {
        let index = self.sticky.find(key.sticky?)?;
        let endpoint = self.endpoints.get(index)?;
        let usable = endpoint.is_available() && endpoint.state.is_healthy(now) && !exclude.contains(endpoint);
        usable.then_some(index)
    }

    fn choice(&self, key: &PickKey, exclude: &Exclude, now: Moment) -> Option<usize> {
        self.levels.refresh(&self.endpoints, self.group.changes.count(), now);
        // Keys that belong together stay in one level as long as the shares do.
        let random = match key.hash {
            Some(hash) if self.balance.algorithm.is_by_key() => hash,
            Some(_) | None => key.random,
        };
        let Chosen { level, panic } = self.levels.choose(&self.balance, random)?;
        self.in_level(level, panic, key, exclude, now).or_else(|| {
            let mut others = self.levels.others(level);
            others.find_map(|other| self.in_level(other, false, key, exclude, now))
        })
    }

    fn in_level(
        &self,
        level: &Level,
        panic: bool,
        key: &PickKey,
        exclude: &Exclude,
        now: Moment,
    ) -> Option<usize> {
        let slow_start = self.balance.slow_start;
        let pick_from = |range: &Range<usize>, balancer: &crate::balance::Balancer| {
            let members = self.endpoints.get(range.clone())?;
            let candidates = Candidates { members, exclude, panic, now, slow_start };
            Some(range.start + balancer.pick(&candidates, key)?)
        };
        level
            .own_zone(self.balance.zone_share, panic)
            .and_then(|zone| pick_from(&zone.range, &zone.balancer))
            .or_else(|| pick_from(&level.all.range, &level.all.balancer))
    }
}

/// By priority, own zone first, then by identity; without doubles.
fn sorted(specs: Vec<EndpointSpec>, zone: Option<&str>) -> Vec<EndpointSpec> {
    let mut seen = HashSet::new();
    let mut specs: Vec<EndpointSpec> =
        specs.into_iter().filter(|spec| seen.insert(spec.key.clone())).collect();
    let foreign = |spec: &EndpointSpec| zone.is_some() && spec.zone.as_deref() != zone;
    specs.sort_by(|a, b| (a.priority, foreign(a), &a.key).cmp(&(b.priority, foreign(b), &b.key)));
    specs
}
