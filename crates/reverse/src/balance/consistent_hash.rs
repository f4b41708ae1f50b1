//! The key's place on a ring, with bounded load.
//!
//! Each endpoint stands on the ring at [`POINTS`] places per unit of weight; a key belongs to the next place clockwise
//! (Karger and others, 1997). When an endpoint goes, only its keys move. An endpoint that has 1.25 times its share in
//! flight is passed over for this pick (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2016),
//! so that no key, however busy, overruns one endpoint. The share is reckoned over those that may be picked: someone
//! always has room.

use super::Candidates;
use crate::dice::{draw, stable_hash};
use crate::upstream::Endpoint;

/// Most that one endpoint may have in flight, in percent of its share, rounded up to whole requests.
pub const LOAD_BOUND_PERCENT: u32 = 125;

/// The ring of one group.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Sorted by hash.
    points: Box<[(u64, u32)]>,
}

impl Ring {
    pub(super) fn of(members: &[Endpoint]) -> Self {
        let total: u64 = members.iter().map(|endpoint| u64::from(endpoint.weight()) * POINTS).sum();
        // By powers of two: so a change of one weight seldom moves the points of the others.
        let shift = total.div_ceil(MAX_POINTS).next_power_of_two().trailing_zeros();
        let mut points = Vec::new();
        for (place, endpoint) in (0u32..).zip(members) {
            let seed = stable_hash(endpoint.key().to_string().as_bytes());
            let count = match u64::from(endpoint.weight()) * POINTS {
                0 => 0,
                count => (count >> shift).max(1),
            };
            points.extend((0..count).map(|n| (draw(seed, n), place)));
        }
        points.sort_unstable();
        Self { points: points.into() }
    }

    pub(super) fn pick(&self, candidates: &Candidates<'_>, hash: u64) -> Option<usize> {
        let bound = Bound::of(candidates)?;
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at_checked(start)?;
        let mut passed = usize::MAX;
        for (_, place) in after.iter().chain(before) {
            let place = *place as usize;
            if place == passed {
                continue;
            }
            passed = place;
            if let Some(endpoint) = candidates.get(place)
                && bound.has_room(candidates, endpoint)
            {
                return Some(place);
            }
        }
        // Other shards filled up whoever had room.
        super::least_connections::pick(candidates, hash)
    }
}

/// What each may have in flight at most, with the request to come.
struct Bound {
    per_share: f64,
}

impl Bound {
    fn of(candidates: &Candidates<'_>) -> Option<Self> {
        let (mut in_flight, mut shares) = (1.0, 0.0);
        for endpoint in candidates.members.iter().filter(|endpoint| candidates.may(endpoint)) {
            in_flight += f64::from(endpoint.state().in_flight());
            shares += candidates.share(endpoint);
        }
        let per_share = in_flight * f64::from(LOAD_BOUND_PERCENT) / 100.0 / shares;
        (shares > 0.0).then_some(Self { per_share })
    }

    fn has_room(&self, candidates: &Candidates<'_>, endpoint: &Endpoint) -> bool {
        f64::from(endpoint.state().in_flight()) < (self.per_share * candidates.share(endpoint)).ceil()
    }
}

/// Places per unit of weight: with 10 endpoints of equal weight shares differ by about 8 %.
const POINTS: u64 = 160;
/// Most places on one ring, 4 MiB; beyond it there are fewer per unit of weight.
const MAX_POINTS: u64 = 262_144;
