//! How requests are spread over the endpoints of one group: what a pick is asked with, and which algorithm answers.
//!
//! | Algorithm | Choice | Cost |
//! |---|---|---|
//! | [`Algorithm::RoundRobin`] | each in turn, weights ignored | 1 |
//! | [`Algorithm::Weighted`] | each in turn, as often as its weight says, evenly spaced | 1 |
//! | [`Algorithm::LeastConnections`] | fewest in flight for its weight | n |
//! | [`Algorithm::P2cEwma`] | of two by chance, the one with less latency times load | 1 |
//! | [`Algorithm::ConsistentHash`] | the key's place on a ring, none above 1.25 times its share | n |
//!
//! A sticky cookie goes before any of them. Here an algorithm sees one slice (a priority, or the own zone in it) and who in
//! it may be picked; priorities, zones and panic are decided before (`upstream/levels.rs`). Nothing here allocates or
//! locks after the set was built.

mod consistent_hash;
mod least_connections;
mod p2c_ewma;
mod round_robin;
mod sticky;
mod weighted;

pub use consistent_hash::LOAD_BOUND_PERCENT;
pub(crate) use sticky::StickyTable;
pub use sticky::{StickyId, StickySecret};

use crate::dice::{Dice, below};
use crate::moment::Moment;
use crate::upstream::{Endpoint, Percent, Picked};
use consistent_hash::Ring;
use round_robin::RoundRobin;
use std::sync::Arc;
use std::time::Duration;
use weighted::Weighted;

/// How a group of endpoints shares its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Each in turn; a weight of 0 still gets nothing.
    RoundRobin,
    /// Each in turn, as often as its weight says, never in bursts.
    Weighted,
    /// The one with fewest in flight for its weight.
    LeastConnections,
    /// Of two by chance the one with the smaller product of latency and load: the default.
    #[default]
    P2cEwma,
    /// By [`PickKey::hash`], with bounded load; without a hash by chance on the ring.
    ConsistentHash,
}

impl Algorithm {
    pub(crate) const fn is_by_key(self) -> bool {
        match self {
            Self::ConsistentHash => true,
            Self::RoundRobin | Self::Weighted | Self::LeastConnections | Self::P2cEwma => false,
        }
    }
}

/// When health is no longer believed in a priority that is short of healthy endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panic {
    /// Less than this share of the weight is healthy. 0: never. Default 50 %.
    pub below: Percent,
    /// Only where at least so many endpoints may be used: of two or three, one or two may well be down, and then nobody
    /// wants them. Default 4.
    pub least: usize,
}

/// How requests are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct BalanceConfig {
    /// Which endpoint of a group.
    pub algorithm: Algorithm,
    /// The secret of sticky cookies; `None`: not sticky. Default: none.
    pub sticky: Option<StickySecret>,
    /// How long an endpoint that joins or comes back works up from a tenth of its share. 0: at once. Default 0.
    pub slow_start: Duration,
    /// The own zone, preferred within a priority. Default: none.
    pub zone: Option<Arc<str>>,
    /// The own zone is preferred while this much of its weight is healthy. Default 70 %.
    pub zone_share: Percent,
    /// A priority takes everything while this much of its weight is healthy. Default 70 %.
    pub overflow: Percent,
    /// When health is no longer believed.
    pub panic: Panic,
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            sticky: None,
            slow_start: Duration::ZERO,
            zone: None,
            zone_share: Percent::new(70),
            overflow: Percent::new(70),
            panic: Panic { below: Percent::new(50), least: 4 },
        }
    }
}

/// What is known of a request when its endpoint is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PickKey {
    /// 64 bits by chance, from the shard's [`Dice`].
    pub random: u64,
    /// [`crate::dice::stable_hash`] of what requests that belong together share: client, header, cookie or URI.
    pub hash: Option<u64>,
    /// What the request's sticky cookie says.
    pub sticky: Option<StickyId>,
}

impl PickKey {
    /// A request of which nothing is known.
    #[must_use]
    pub fn by_chance(dice: &Dice) -> Self {
        Self { random: dice.roll(), ..Self::default() }
    }

    /// A request with a key: [`crate::dice::stable_hash`] of `octets`.
    #[must_use]
    pub fn by_octets(dice: &Dice, octets: &[u8]) -> Self {
        Self { hash: Some(crate::dice::stable_hash(octets)), ..Self::by_chance(dice) }
    }
}

/// Endpoints that a request has tried already and that are not picked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exclude {
    ids: [u64; Self::ROOM],
    count: usize,
}

impl Exclude {
    /// Most endpoints one request can exclude: as many as it may have tries and hedges.
    pub const ROOM: usize = 16;

    /// Excludes nobody.
    #[must_use]
    pub const fn nobody() -> Self {
        Self { ids: [0; Self::ROOM], count: 0 }
    }

    /// Excludes the endpoint that was picked. Says whether there was room.
    pub fn add(&mut self, picked: &Picked) -> bool {
        let Some(slot) = self.ids.get_mut(self.count) else { return false };
        *slot = picked.endpoint().state().id();
        self.count += 1;
        true
    }

    /// Whether this endpoint is excluded.
    #[must_use]
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        self.ids.iter().take(self.count).any(|id| *id == endpoint.state().id())
    }
}

/// The endpoints an algorithm works on, and who of them may be picked.
pub(crate) struct Candidates<'a> {
    pub(crate) members: &'a [Endpoint],
    pub(crate) exclude: &'a Exclude,
    /// Health is not asked for.
    pub(crate) panic: bool,
    pub(crate) now: Moment,
    pub(crate) slow_start: Duration,
}

impl<'a> Candidates<'a> {
    /// Whether this one may be picked.
    pub(crate) fn may(&self, endpoint: &Endpoint) -> bool {
        endpoint.is_available()
            && (self.panic || endpoint.state().is_healthy(self.now))
            && !self.exclude.contains(endpoint)
    }

    /// The member at a place, if it may be picked.
    pub(crate) fn get(&self, place: usize) -> Option<&'a Endpoint> {
        self.members.get(place).filter(|endpoint| self.may(endpoint))
    }

    /// What it should get beside the others: its weight, less while it warms up. More than 0.
    pub(crate) fn share(&self, endpoint: &Endpoint) -> f64 {
        f64::from(endpoint.weight().max(1)) * endpoint.state().warmth(self.now, self.slow_start)
    }

    /// Whether an endpoint whose turn it is takes it: while it warms up, only now and then.
    pub(crate) fn takes_turn(&self, endpoint: &Endpoint, random: u64) -> bool {
        let warmth = endpoint.state().warmth(self.now, self.slow_start);
        #[expect(clippy::cast_precision_loss, reason = "a coin")]
        let coin = random as f64 / u64::MAX as f64;
        coin <= warmth
    }

    /// The first that may be picked, looking from a place on and around.
    pub(crate) fn first_from(&self, start: usize) -> Option<usize> {
        let count = self.members.len();
        (0..count).map(|step| (start + step) % count).find(|place| self.get(*place).is_some())
    }

    /// A place by chance.
    pub(crate) fn place(&self, random: u64) -> usize {
        below(random, self.members.len())
    }
}

/// An algorithm with what it keeps for one slice of a set.
#[derive(Debug)]
pub(crate) enum Balancer {
    RoundRobin(RoundRobin),
    Weighted(Weighted),
    LeastConnections,
    P2cEwma,
    ConsistentHash(Ring),
}

impl Balancer {
    /// The algorithm, made ready for these endpoints.
    pub(crate) fn of(members: &[Endpoint], algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            Algorithm::Weighted => Self::Weighted(Weighted::of(members)),
            Algorithm::LeastConnections => Self::LeastConnections,
            Algorithm::P2cEwma => Self::P2cEwma,
            Algorithm::ConsistentHash => Self::ConsistentHash(Ring::of(members)),
        }
    }

    /// The place of the chosen member; `None` when none may be picked.
    pub(crate) fn pick(&self, candidates: &Candidates<'_>, key: &PickKey) -> Option<usize> {
        match self {
            Self::RoundRobin(turns) => turns.pick(candidates, key.random),
            Self::Weighted(turns) => turns.pick(candidates, key.random),
            Self::LeastConnections => least_connections::pick(candidates, key.random),
            Self::P2cEwma => p2c_ewma::pick(candidates, key.random),
            Self::ConsistentHash(ring) => ring.pick(candidates, key.hash.unwrap_or(key.random)),
        }
    }
}

#[cfg(test)]
mod tests;
