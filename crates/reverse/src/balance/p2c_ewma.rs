//! Of two by chance, the one that costs less: latency times what is in flight, for its weight.
//!
//! The power of two choices (Mitzenmacher, 2001) over a peak-sensitive latency (`upstream/ewma.rs`): a slow endpoint is
//! left at its first slow answer, a new one is not overrun, and no shard needs to know what the others decide. While one
//! of the two has not answered yet, only what is in flight counts.

use super::Candidates;
use crate::dice::draw;
use crate::upstream::Endpoint;

pub(super) fn pick(candidates: &Candidates<'_>, random: u64) -> Option<usize> {
    let one = by_chance(candidates, random, 2)?;
    let two = another(candidates, random, one).unwrap_or(one);
    let (Some(first), Some(second)) = (candidates.members.get(one), candidates.members.get(two)) else {
        return None;
    };
    Some(if is_cheaper(candidates, second, first) { two } else { one })
}

/// One that may be picked: a few draws, then whoever is next.
fn by_chance(candidates: &Candidates<'_>, random: u64, draws: u64) -> Option<usize> {
    let drawn = (draws..draws + DRAWS).map(|n| candidates.place(draw(random, n)));
    let mut place = 0;
    for drawn in drawn {
        place = drawn;
        if candidates.get(place).is_some() {
            return Some(place);
        }
    }
    if candidates.members.is_empty() { None } else { candidates.first_from(place) }
}

/// Another one that may be picked; `None` when there is none.
fn another(candidates: &Candidates<'_>, random: u64, one: usize) -> Option<usize> {
    let count = candidates.members.len();
    // A step from 1 to n - 1 never comes back to where it began.
    let step = |n: u64| 1 + crate::dice::below(draw(random, n), count.saturating_sub(1));
    let mut place = one;
    for n in DRAWS + 2..2 * DRAWS + 2 {
        place = (one + step(n)) % count.max(1);
        if place != one && candidates.get(place).is_some() {
            return Some(place);
        }
    }
    (0..count)
        .map(|step| (place + step) % count)
        .find(|place| *place != one && candidates.get(*place).is_some())
}

fn is_cheaper(candidates: &Candidates<'_>, one: &Endpoint, other: &Endpoint) -> bool {
    let load = |endpoint: &Endpoint| {
        f64::from(endpoint.state().in_flight().saturating_add(1)) / candidates.share(endpoint)
    };
    let latency = |endpoint: &Endpoint| endpoint.state().latency_micros(candidates.now);
    match (latency(one), latency(other)) {
        (Some(mine), Some(its)) => mine * load(one) < its * load(other),
        (None, _) | (_, None) => load(one) < load(other),
    }
}

/// Draws before it is looked in order: with half of a group gone, seven in eight picks end here.
const DRAWS: u64 = 3;
