//! Each in turn, as often as its weight says, evenly spaced: weights 5, 1, 1 give `a a b a c a a`.
//!
//! The smooth weighted round robin of nginx changes a number on every endpoint at every pick, which shards could only do
//! under a lock. Here its whole round is written down when the set is built, and a counter walks it. Weights are divided
//! by what they have in common, and scaled down if a round would still be longer than [`MAX_ROUND`].

use super::Candidates;
use crate::dice::draw;
use crate::upstream::Endpoint;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// One round, and how far it has come.
#[derive(Debug)]
pub(crate) struct Weighted {
    round: Box<[u32]>,
    turn: AtomicUsize,
}

impl Weighted {
    pub(super) fn of(members: &[Endpoint]) -> Self {
        let weights: Vec<u32> = members.iter().map(Endpoint::weight).collect();
        Self { round: round(&weights), turn: AtomicUsize::new(0) }
    }

    pub(super) fn pick(&self, candidates: &Candidates<'_>, random: u64) -> Option<usize> {
        let length = self.round.len();
        let mut place = 0;
        for n in 0..length {
            let turn = self.turn.fetch_add(1, Relaxed) % length;
            place = self.round.get(turn).map_or(0, |place| *place as usize);
            if let Some(endpoint) = candidates.get(place)
                && candidates.takes_turn(endpoint, draw(random, n as u64 + 2))
            {
                return Some(place);
            }
        }
        if length == 0 { None } else { candidates.first_from(place) }
    }
}

/// The places of one round. Each appears as often as its weight says, divided by what all weights share.
fn round(weights: &[u32]) -> Box<[u32]> {
    let weights = reduced(weights);
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    let turn = |_| {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        // The first of those with most credit: `max_by_key` would take the last.
        let (place, most) = credit.iter_mut().enumerate().rev().max_by_key(|(_, credit)| **credit)?;
        *most -= total;
        u32::try_from(place).ok()
    };
    (0..total).filter_map(turn).collect()
}

fn reduced(weights: &[u32]) -> Vec<i64> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let total: u64 = weights.iter().map(|weight| u64::from(weight / common)).sum();
    let scale = total.div_ceil(MAX_ROUND).max(1);
    let scaled = |weight: &u32| match i64::from(weight / common) {
        0 => 0,
        weight => (weight / i64::try_from(scale).unwrap_or(i64::MAX)).max(1),
    };
    weights.iter().map(scaled).collect()
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Longest round; 64 KiB of places. Beyond it weights are rounded.
const MAX_ROUND: u64 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_smooth() {
        for (weights, wanted) in [
            (vec![5, 1, 1], vec![0, 0, 1, 0, 2, 0, 0]),
            (vec![10, 2, 2], vec![0, 0, 1, 0, 2, 0, 0]),
            (vec![1, 1, 1], vec![0, 1, 2]),
            (vec![3, 0, 1], vec![0, 0, 2, 0]),
            (vec![0, 0], vec![]),
            (vec![], vec![]),
        ] {
            assert_eq!(round(&weights).to_vec(), wanted, "{weights:?}");
        }
    }

    #[test]
    fn long_rounds_are_cut_and_nobody_is_cut_out() {
        let weights = [65_535, 65_534, 1];
        let round = round(&weights);
        assert!(round.len() as u64 <= MAX_ROUND + 3, "{}", round.len());
        let count = |place: u32| round.iter().filter(|other| **other == place).count();
        assert!(count(0).abs_diff(count(1)) <= 1 && count(2) == 1);
    }
}
