//! Priorities and zones: which part of a set the next request goes to.
//!
//! Each level (the endpoints of one priority) takes `healthy share / overflow` of all requests, at most all that is left:
//! with the default of 70 % a level takes everything while 70 % of its weight is healthy, and gives the next one what it
//! is short of below that. This is Envoy's scheme, where 70 % is an over-provisioning factor of 1.4. When all levels
//! together are short, each takes in proportion to its health, and one under the panic threshold no longer believes its
//! checks: that many failures at once are more likely a fault of the checks, and the few left would be overrun.

use super::set::Endpoint;
use crate::balance::{BalanceConfig, Balancer, Panic};
use crate::dice::{below, draw};
use crate::moment::Moment;
use std::ops::Range;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// A share in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// 0 to 100; more is 100.
    #[must_use]
    pub const fn new(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether `part` of `whole` is less than this.
    const fn is_more_than(self, part: u64, whole: u64) -> bool {
        part * 100 < whole * self.0 as u64
    }
}

/// A run of endpoints and what balances among them.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) range: Range<usize>,
    pub(super) balancer: Balancer,
}

/// The endpoints of one priority.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) all: Tier,
    /// Those of the own zone, when that is neither none nor all of them.
    zone: Option<Tier>,
    health: Health,
    zone_health: Health,
}

/// Weight that may be used, and how much of that is healthy.
#[derive(Debug, Default)]
struct Health {
    weight: AtomicU64,
    healthy: AtomicU64,
    members: AtomicUsize,
}

impl Health {
    fn count(&self, endpoints: &[Endpoint], now: Moment) {
        let (mut weight, mut healthy, mut members) = (0, 0, 0);
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_available()) {
            members += 1;
            weight += u64::from(endpoint.weight());
            if endpoint.state().is_healthy(now) {
                healthy += u64::from(endpoint.weight());
            }
        }
        self.weight.store(weight, Relaxed);
        self.healthy.store(healthy, Relaxed);
        self.members.store(members, Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (self.healthy.load(Relaxed), self.weight.load(Relaxed))
    }

    /// What it takes of all requests, in [`WHOLE`]ths.
    fn load(&self, overflow: Percent) -> u64 {
        match self.get() {
            (_, 0) => 0,
            (healthy, _) if overflow.get() == 0 => {
                if healthy > 0 {
                    WHOLE
                } else {
                    0
                }
            }
            (healthy, weight) => (healthy * WHOLE * 100 / (weight * u64::from(overflow.get()))).min(WHOLE),
        }
    }

    fn panics(&self, panic: Panic) -> bool {
        let (healthy, weight) = self.get();
        self.members.load(Relaxed) >= panic.least && panic.below.is_more_than(healthy, weight)
    }
}

impl Level {
    /// The own zone, while enough of it is healthy.
    pub(super) fn own_zone(&self, share: Percent, panic: bool) -> Option<&Tier> {
        let (healthy, weight) = self.zone_health.get();
        let usable = !panic && healthy > 0 && !share.is_more_than(healthy, weight);
        self.zone.as_ref().filter(|_| usable)
    }
}

/// What was chosen.
pub(super) struct Chosen<'a> {
    pub(super) level: &'a Level,
    /// Whether health is not to be believed in it.
    pub(super) panic: bool,
}

/// All levels of a set, with what was last computed of their health.
#[derive(Debug)]
pub(super) struct Levels {
    list: Box<[Level]>,
    /// The count of changes that the numbers are of, plus 1.
    stamp: AtomicU64,
    /// When the next ejection ends.
    until: AtomicU64,
}

impl Levels {
    /// The levels of endpoints that are sorted by priority, own zone first.
    pub(super) fn of(endpoints: &[Endpoint], balance: &BalanceConfig) -> Self {
        let mut list = Vec::new();
        let mut start = 0;
        for run in endpoints.chunk_by(|a, b| a.spec().priority == b.spec().priority) {
            list.push(level(run, start, balance));
            start += run.len();
        }
        Self { list: list.into(), stamp: AtomicU64::new(0), until: AtomicU64::new(0) }
    }

    /// Counts again if anything has changed. Two shards that do so at once write the same.
    pub(super) fn refresh(&self, endpoints: &[Endpoint], changes: u64, now: Moment) {
        let stamp = changes.wrapping_add(1);
        if self.stamp.load(Acquire) == stamp && now.as_micros() < self.until.load(Relaxed) {
            return;
        }
        for level in &self.list {
            let members = endpoints.get(level.all.range.clone()).unwrap_or_default();
            level.health.count(members, now);
            if let Some(zone) = &level.zone {
                level.zone_health.count(endpoints.get(zone.range.clone()).unwrap_or_default(), now);
            }
        }
        let ends = endpoints.iter().map(|endpoint| endpoint.state().ejected_until()).filter(|end| *end > now);
        self.until.store(ends.min().map_or(u64::MAX, Moment::as_micros), Relaxed);
        self.stamp.swap(stamp, AcqRel);
    }

    /// The level for a request that drew `random`; `None` when nobody is healthy and none panics.
    pub(super) fn choose(&self, balance: &BalanceConfig, random: u64) -> Option<Chosen<'_>> {
        let load = |level: &Level| level.health.load(balance.overflow);
        let total: u64 = self.list.iter().map(load).sum();
        let short = total < WHOLE;
        let panics = |level: &Level| short && level.health.panics(balance.panic);
        if total == 0 {
            let level = self.list.iter().find(|level| panics(level))?;
            return Some(Chosen { level, panic: true });
        }
        let drawn = below(draw(random, 1), usize::try_from(total.min(WHOLE)).unwrap_or_default());
        let mut left = u64::try_from(drawn).unwrap_or_default();
        let level = self.list.iter().find(|level| {
            let load = load(level);
            let here = left < load;
            left = left.saturating_sub(load);
            here
        })?;
        Some(Chosen { level, panic: panics(level) })
    }

    /// All levels but this one, in order.
    pub(super) fn others<'a>(&'a self, but: &'a Level) -> impl Iterator<Item = &'a Level> {
        self.list.iter().filter(move |level| !std::ptr::eq(*level, but))
    }
}

fn level(run: &[Endpoint], start: usize, balance: &BalanceConfig) -> Level {
    let own = |endpoint: &&Endpoint| balance.zone.is_some() && endpoint.spec().zone == balance.zone;
    let local = run.iter().take_while(own).count();
    let tier = |count: usize| Tier {
        range: start..start + count,
        balancer: Balancer::of(run.get(..count).unwrap_or_default(), balance.algorithm),
    };
    Level {
        all: tier(run.len()),
        zone: (local > 0 && local < run.len()).then(|| tier(local)),
        health: Health::default(),
        zone_health: Health::default(),
    }
}

/// All requests; shares are counted in these.
const WHOLE: u64 = 1_000_000;
