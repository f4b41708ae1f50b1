//! Each in turn, weights ignored.
//!
//! One counter that all shards advance. Who may not be picked loses the turn, and another turn is drawn: so the others keep
//! equal shares, where handing the turn to the neighbour would double the neighbour's.

use super::Candidates;
use crate::dice::draw;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    turn: AtomicUsize,
}

impl RoundRobin {
    pub(super) fn pick(&self, candidates: &Candidates<'_>, random: u64) -> Option<usize> {
        let count = candidates.members.len();
        let mut place = 0;
        for n in 0..count {
            place = self.turn.fetch_add(1, Relaxed) % count;
            if let Some(endpoint) = candidates.get(place)
                && candidates.takes_turn(endpoint, draw(random, n as u64 + 2))
            {
                return Some(place);
            }
        }
        // Other shards took the turns of those that may be picked, or all are warming up.
        if count == 0 { None } else { candidates.first_from(place) }
    }
}
