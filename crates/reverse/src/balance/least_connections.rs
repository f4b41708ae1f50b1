//! The one with fewest in flight for its weight; among equals, by chance.
//!
//! Looks at every endpoint: meant for groups of up to a few hundred. Counts are of the whole process, not of a shard.

use super::Candidates;
use crate::dice::draw;

pub(super) fn pick(candidates: &Candidates<'_>, random: u64) -> Option<usize> {
    let count = candidates.members.len();
    let start = candidates.place(draw(random, 2));
    let mut best: Option<(usize, f64)> = None;
    for place in (0..count).map(|step| (start + step) % count) {
        let Some(endpoint) = candidates.get(place) else { continue };
        let load = f64::from(endpoint.state().in_flight().saturating_add(1)) / candidates.share(endpoint);
        if best.is_none_or(|(_, least)| load < least) {
            best = Some((place, load));
        }
    }
    best.map(|(place, _)| place)
}
