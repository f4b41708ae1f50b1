//! The active set: the k exits one's traffic leaves through for a day (section 11).
//!
//! Drawn by weight (what an exit can carry, at most 5 % of the sum) among those that differ in operator and network;
//! after a day drawn anew, one exit at a time and none that carries a flow. Not here: which unit goes where
//! ([`crate::spread`]).

use super::candidate::{Candidate, Rules};
use crate::moment::Moment;
use crate::spread::Weighted;
use rand_core::Rng;
use shoalway_types::wallet::Address;
use std::time::Duration;

/// An exit leaves the set at the earliest after this.
pub const MAX_TIME: Duration = Duration::from_secs(24 * 3_600);
/// An exit's weight is at most this share of all.
const CAP: f64 = 0.05;

/// What exits are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitWish {
    /// How many at once, 1 to 64.
    pub active: usize,
    /// Only of these countries; empty: of any.
    pub countries: Vec<[u8; 2]>,
    /// Only these nodes; empty: any.
    pub nodes: Vec<Address>,
}

impl Default for ExitWish {
    fn default() -> Self {
        Self { active: 4, countries: Vec::new(), nodes: Vec::new() }
    }
}

impl ExitWish {
    /// Whether an exit is of those that are wanted.
    #[must_use]
    pub fn fits(&self, candidate: &Candidate) -> bool {
        candidate.exit
            && (self.countries.is_empty() || self.countries.contains(&candidate.country))
            && (self.nodes.is_empty() || self.nodes.contains(&candidate.node))
    }
}

struct Member {
    candidate: Candidate,
    weight: f64,
    since: Moment,
}

/// The set.
pub struct ActiveExits {
    wish: ExitWish,
    rules: Rules,
    members: Vec<Member>,
    weighted: Vec<Weighted>,
}

impl ActiveExits {
    /// An empty set; [`ActiveExits::refresh`] fills it.
    #[must_use]
    pub const fn new(wish: ExitWish, rules: Rules) -> Self {
        Self { wish, rules, members: Vec::new(), weighted: Vec::new() }
    }

    /// The exits with the weights they had when they were drawn.
    #[must_use]
    pub fn weighted(&self) -> &[Weighted] {
        &self.weighted
    }

    /// What is known of a member.
    #[must_use]
    pub fn member(&self, node: Address) -> Option<&Candidate> {
        self.members.iter().map(|member| &member.candidate).find(|candidate| candidate.node == node)
    }

    /// Brings the set up to date with what the directory offers: those that are gone leave, one that is over its time
    /// and carries no flow leaves, and free places are drawn for. Returns whether anything changed.
    pub fn refresh(
        &mut self,
        offered: &[Candidate],
        in_use: &dyn Fn(Address) -> bool,
        now: Moment,
        rng: &mut dyn Rng,
    ) -> bool {
        let before: Vec<Address> = self.members.iter().map(|member| member.candidate.node).collect();
        self.members.retain(|member| {
            offered.iter().any(|offer| offer.node == member.candidate.node && self.wish.fits(offer))
        });
        let tired = self
            .members
            .iter()
            .position(|member| now.since(member.since) >= MAX_TIME && !in_use(member.candidate.node));
        let left = tired.map(|index| self.members.remove(index).candidate.node);
        while self.members.len() < self.wish.active && self.draw(offered, left, now, rng) {}
        if let Some(left) = left
            && self.members.len() < self.wish.active
        {
            // There is no other one: it stays for another day.
            self.draw_from(offered.iter().filter(|offer| offer.node == left).collect(), offered, now, rng);
        }
        self.weighted = self
            .members
            .iter()
            .map(|member| Weighted { exit: member.candidate.node, weight: member.weight })
            .collect();
        !before.iter().eq(self.members.iter().map(|member| &member.candidate.node))
    }

    fn draw(
        &mut self,
        offered: &[Candidate],
        without: Option<Address>,
        now: Moment,
        rng: &mut dyn Rng,
    ) -> bool {
        let fitting: Vec<&Candidate> =
            offered.iter().filter(|offer| Some(offer.node) != without && self.may_join(offer)).collect();
        self.draw_from(fitting, offered, now, rng)
    }

    fn may_join(&self, offer: &Candidate) -> bool {
        self.wish.fits(offer)
            && self.members.iter().all(|member| offer.beside(&member.candidate, self.rules).is_ok())
    }

    fn draw_from(
        &mut self,
        fitting: Vec<&Candidate>,
        offered: &[Candidate],
        now: Moment,
        rng: &mut dyn Rng,
    ) -> bool {
        let cap = (CAP * offered.iter().filter(|offer| offer.exit).map(carries).sum::<f64>()).max(1.0);
        let weights: Vec<f64> = fitting.iter().map(|offer| carries(offer).min(cap)).collect();
        let sum: f64 = weights.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let mut point = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * sum;
        let mut drawn = None;
        for (offer, weight) in fitting.into_iter().zip(weights) {
            drawn = Some((offer, weight));
            if point < weight {
                break;
            }
            point -= weight;
        }
        let Some((candidate, weight)) = drawn else { return false };
        self.members.push(Member { candidate: candidate.clone(), weight, since: now });
        true
    }
}

/// What an exit says it carries; one that says nothing counts as the smallest.
fn carries(candidate: &Candidate) -> f64 {
    f64::from(candidate.kibps.max(1))
}

#[cfg(test)]
mod tests {
    use super::super::candidate::candidate;
    use super::*;
    use crate::path::tests::Counting;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn set(active: usize) -> ActiveExits {
        ActiveExits::new(ExitWish { active, ..ExitWish::default() }, Rules::default())
    }

    fn nodes(set: &ActiveExits) -> Vec<u8> {
        set.weighted().iter().map(|member| member.exit.0[0]).collect()
    }

    #[test]
    fn the_set_has_as_many_as_wanted_of_different_operators_and_networks() {
        let mut offered: Vec<Candidate> = (1..=20).map(candidate).collect();
        for twin in &mut offered[2..] {
            twin.operator = Address([1; 20]);
        }
        let mut set = set(4);
        assert!(set.refresh(&offered, &|_| false, Moment(0), &mut Counting(7)));
        let of_one = nodes(&set).into_iter().filter(|node| *node == 1 || *node >= 3).count();
        assert!(of_one <= 1, "{:?} are of one operator", nodes(&set));
        assert_eq!(nodes(&set).len(), 2, "only two operators are there");
        offered.extend((30..=40).map(candidate));
        set.refresh(&offered, &|_| false, Moment(1), &mut Counting(8));
        assert_eq!(nodes(&set).len(), 4);
    }

    #[test]
    fn what_left_the_directory_leaves_the_set_and_the_rest_stays() {
        let mut offered: Vec<Candidate> = (1..=8).map(candidate).collect();
        let mut set = set(4);
        set.refresh(&offered, &|_| false, Moment(0), &mut Counting(1));
        let before = nodes(&set);
        let gone = before[1];
        offered.retain(|offer| offer.node.0[0] != gone);
        assert!(set.refresh(&offered, &|_| false, Moment(1), &mut Counting(2)));
        let after = nodes(&set);
        assert_eq!(after.len(), 4);
        assert_eq!([after[0], after[1], after[2]], [before[0], before[2], before[3]]);
    }

    #[test]
    fn after_a_day_one_exit_at_a_time_is_replaced_and_none_that_carries_a_flow() {
        let offered: Vec<Candidate> = (1..=30).map(candidate).collect();
        let mut set = set(3);
        set.refresh(&offered, &|_| false, Moment(0), &mut Counting(1));
        let before = nodes(&set);
        assert!(!set.refresh(&offered, &|_| false, Moment(0) + 23 * HOUR, &mut Counting(2)));
        let busy = before[0];
        let in_use = |node: Address| node.0[0] == busy;
        assert!(set.refresh(&offered, &in_use, Moment(0) + 25 * HOUR, &mut Counting(3)));
        let after = nodes(&set);
        assert!(after.contains(&busy));
        assert!(!after.contains(&before[1]), "the first idle one went");
        assert!(after.contains(&before[2]));
        assert_eq!(after.len(), 3);
    }

    #[test]
    fn an_exit_without_a_substitute_stays_after_its_day() {
        let offered = [candidate(1)];
        let mut set = set(1);
        set.refresh(&offered, &|_| false, Moment(0), &mut Counting(1));
        set.refresh(&offered, &|_| false, Moment(0) + 25 * HOUR, &mut Counting(2));
        assert_eq!(nodes(&set), [1]);
    }

    #[test]
    fn countries_and_nodes_that_are_wished_for_are_kept_to() {
        let mut offered: Vec<Candidate> = (1..=9).map(candidate).collect();
        offered[4].country = *b"IS";
        offered[5].exit = false;
        for (wish, expected) in [
            (ExitWish { countries: vec![*b"IS"], ..ExitWish::default() }, vec![5]),
            (ExitWish { nodes: vec![Address([3; 20])], ..ExitWish::default() }, vec![3]),
            (ExitWish { nodes: vec![Address([6; 20])], ..ExitWish::default() }, vec![]),
        ] {
            let mut set = ActiveExits::new(wish, Rules::default());
            set.refresh(&offered, &|_| false, Moment(0), &mut Counting(1));
            assert_eq!(nodes(&set), expected);
        }
    }

    #[test]
    fn no_exit_weighs_more_than_a_twentieth_of_all() {
        let mut offered: Vec<Candidate> = (1..=40).map(candidate).collect();
        offered[0].kibps = 1_000_000;
        let mut taken = 0u32;
        for seed in 0..400 {
            let mut set = set(1);
            set.refresh(&offered, &|_| false, Moment(0), &mut Counting(seed));
            taken += u32::from(nodes(&set) == [1]);
        }
        // The cap is 5 % of 1,039,000 = 51,950 against 39 x 1,000: more than half, but not all.
        assert!((150..320).contains(&taken), "{taken} of 400");
    }
}
