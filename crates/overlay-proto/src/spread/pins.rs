//! How long a unit keeps its exit: while a flow of it lives, then till 30 minutes idle, in all 12 hours (section 11).
//!
//! A table of 4,096 units, the least recently used out first. A unit whose exit is lost gets another one once; which
//! then stays, so that a site does not see its visitor wander. A unit falls to an exit that has less than its share of all
//! units that are remembered; which of those, hashing says. Not here: what becomes of live flows.

use super::choose::{SpreadSecret, Weighted, choose};
use super::unit::UnitId;
use crate::moment::Moment;
use shoalway_types::wallet::Address;
use std::collections::HashMap;
use std::time::Duration;

/// Units that are remembered.
pub const MAX_PINS: usize = 4_096;
/// A unit without flows is forgotten after this.
pub const MAX_IDLE: Duration = Duration::from_secs(30 * 60);
/// A unit without flows is forgotten this long after its exit was chosen.
pub const MAX_AGE: Duration = Duration::from_secs(12 * 3_600);

/// Far above the error of a sum of weights, far below one unit.
const ROUNDING: f64 = 1e-6;

struct Pin {
    exit: Address,
    lost: Option<Address>,
    flows: u32,
    chosen: Moment,
    used: Moment,
}

/// The table.
pub struct Pins {
    pins: HashMap<UnitId, Pin>,
    capacity: usize,
}

/// An exit for a unit, and why it is this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The exit.
    pub exit: Address,
    /// Why.
    pub why: Why,
}

/// Why a unit has its exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It fell to this exit just now.
    Chosen,
    /// It had this exit before.
    Pinned,
    /// The exit it had was lost.
    Moved,
}

impl Default for Pins {
    fn default() -> Self {
        Self::new(MAX_PINS)
    }
}

impl Pins {
    /// An empty table for so many units, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { pins: HashMap::new(), capacity: capacity.max(1) }
    }

    /// What a unit's exit is or would be; changes nothing. For `why`.
    #[must_use]
    pub fn look(
        &self,
        unit: &UnitId,
        secret: &SpreadSecret,
        exits: &[Weighted],
        now: Moment,
    ) -> Option<Choice> {
        match self.pins.get(unit) {
            Some(pin) if pin.holds(exits, now) => Some(Choice { exit: pin.exit, why: Why::Pinned }),
            Some(_) | None => {
                let exit = self.fair(unit, secret, exits, &[], now)?;
                Some(Choice { exit, why: Why::Chosen })
            }
        }
    }

    /// The exit for a new flow of a unit, which counts as begun; [`Pins::ended`] says when it is over. None, and
    /// nothing has begun, when no exit can be had.
    pub fn begin(
        &mut self,
        unit: UnitId,
        secret: &SpreadSecret,
        exits: &[Weighted],
        now: Moment,
    ) -> Option<Choice> {
        if let Some(pin) = self.pins.get_mut(&unit)
            && pin.holds(exits, now)
        {
            pin.flows = pin.flows.saturating_add(1);
            pin.used = now;
            return Some(Choice { exit: pin.exit, why: Why::Pinned });
        }
        let before = self.pins.get(&unit).filter(|pin| pin.fresh(now)).map(|pin| pin.exit);
        let exit = self.fair(&unit, secret, exits, before.as_slice(), now)?;
        self.make_room(&unit);
        let flows = self.pins.get(&unit).map_or(0, |pin| pin.flows).saturating_add(1);
        self.pins.insert(unit, Pin { exit, lost: before, flows, chosen: now, used: now });
        let why = if before.is_some() { Why::Moved } else { Why::Chosen };
        Some(Choice { exit, why })
    }

    /// A flow of a unit is over.
    pub fn ended(&mut self, unit: &UnitId, now: Moment) {
        if let Some(pin) = self.pins.get_mut(unit) {
            pin.flows = pin.flows.saturating_sub(1);
            pin.used = now;
        }
    }

    /// The exit of a unit was lost: another one for it, if it did not move before. None: it has moved once already, or
    /// there is no other exit; new flows of it fail until it is forgotten or its exit is back.
    pub fn lost(
        &mut self,
        unit: &UnitId,
        gone: Address,
        secret: &SpreadSecret,
        exits: &[Weighted],
        now: Moment,
    ) -> Option<Address> {
        let pin = self.pins.get(unit)?;
        if pin.exit != gone {
            return Some(pin.exit);
        }
        if pin.lost.is_some() {
            return None;
        }
        let exit = self.fair(unit, secret, exits, &[gone], now)?;
        let pin = self.pins.get_mut(unit)?;
        (pin.exit, pin.lost, pin.chosen) = (exit, Some(gone), now);
        Some(exit)
    }

    /// Whether any flow lives that goes through this exit.
    #[must_use]
    pub fn uses(&self, exit: Address) -> bool {
        self.pins.values().any(|pin| pin.exit == exit && pin.flows > 0)
    }

    /// How many units are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pins.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty()
    }

    /// The exit that hashing gives a unit among those that have less than their share of what is remembered: so none
    /// ever sees much more than that of a person, and none is left unused while others fill up.
    fn fair(
        &self,
        unit: &UnitId,
        secret: &SpreadSecret,
        exits: &[Weighted],
        without: &[Address],
        now: Moment,
    ) -> Option<Address> {
        let usable: Vec<Weighted> = exits
            .iter()
            .filter(|candidate| candidate.weight > 0.0 && !without.contains(&candidate.exit))
            .copied()
            .collect();
        let mut held: HashMap<Address, u32> = usable.iter().map(|candidate| (candidate.exit, 0)).collect();
        let fresh = self.pins.iter().filter(|(pinned, pin)| *pinned != unit && pin.fresh(now));
        for (_, pin) in fresh {
            held.entry(pin.exit).and_modify(|count| *count += 1);
        }
        let units = f64::from(held.values().sum::<u32>()) + 1.0;
        let weights: f64 = usable.iter().map(|candidate| candidate.weight).sum();
        let has_room = |candidate: &Weighted| {
            let share = units * candidate.weight / weights;
            // What rounding adds to a whole number does not count.
            f64::from(held.get(&candidate.exit).copied().unwrap_or(0)) < (share - ROUNDING).ceil()
        };
        let with_room: Vec<Weighted> = usable.iter().filter(|one| has_room(one)).copied().collect();
        choose(secret, unit, &with_room, &[]).or_else(|| choose(secret, unit, &usable, &[]))
    }

    fn make_room(&mut self, unit: &UnitId) {
        if self.pins.len() < self.capacity || self.pins.contains_key(unit) {
            return;
        }
        let oldest = self.pins.iter().min_by_key(|(_, pin)| (pin.flows > 0, pin.used)).map(|(unit, _)| *unit);
        if let Some(oldest) = oldest {
            self.pins.remove(&oldest);
        }
    }
}

impl Pin {
    fn fresh(&self, now: Moment) -> bool {
        self.flows > 0 || (now.since(self.used) < MAX_IDLE && now.since(self.chosen) < MAX_AGE)
    }

    /// A pin holds while it is fresh and its exit is still there; for living flows also beyond the active set.
    fn holds(&self, exits: &[Weighted], now: Moment) -> bool {
        self.fresh(now) && (exits.iter().any(|candidate| candidate.exit == self.exit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits(count: u8) -> Vec<Weighted> {
        (1..=count).map(|n| Weighted { exit: Address([n; 20]), weight: 1.0 }).collect()
    }

    fn secret() -> SpreadSecret {
        SpreadSecret::new(&[3; 32])
    }

    const UNIT: UnitId = UnitId([9; 32]);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_unit_keeps_its_exit_although_better_ones_join() {
        let (mut pins, secret) = (Pins::default(), secret());
        let first = pins.begin(UNIT, &secret, &exits(1), Moment(0)).unwrap();
        assert_eq!(first, Choice { exit: Address([1; 20]), why: Why::Chosen });
        let second = pins.begin(UNIT, &secret, &exits(40), Moment(1)).unwrap();
        assert_eq!(second, Choice { exit: Address([1; 20]), why: Why::Pinned });
    }

    #[test]
    fn an_idle_unit_is_chosen_for_anew_after_its_time_and_a_living_one_never() {
        let (secret, few, many) = (secret(), exits(1), exits(40));
        let free = choose(&secret, &UNIT, &many, &[]).unwrap();
        for (ended, later, expected) in [
            (true, Duration::from_secs(29 * 60), Address([1; 20])),
            (true, Duration::from_secs(31 * 60), free),
            (false, 48 * HOUR, Address([1; 20])),
        ] {
            let mut pins = Pins::default();
            pins.begin(UNIT, &secret, &few, Moment(0)).unwrap();
            if ended {
                pins.ended(&UNIT, Moment(0));
            }
            let choice = pins.look(&UNIT, &secret, &many, Moment(0) + later).unwrap();
            assert_eq!(choice.exit, expected, "after {later:?}");
        }
    }

    #[test]
    fn twelve_hours_are_enough_even_for_a_busy_unit_between_flows() {
        let (mut pins, secret) = (Pins::default(), secret());
        let mut now = Moment(0);
        let mut choices = Vec::new();
        for _ in 0..40 {
            choices.push(pins.begin(UNIT, &secret, &exits(4), now).unwrap().why);
            pins.ended(&UNIT, now);
            now = now + Duration::from_secs(20 * 60);
        }
        let chosen = choices.iter().filter(|why| **why == Why::Chosen).count();
        assert_eq!(chosen, 2, "at the beginning and after twelve hours");
    }

    /// A page of 42 hosts: what each of 12 exits sees of it, whatever the secret.
    #[test]
    fn no_exit_gets_more_than_its_share_and_none_goes_empty() {
        for seed in 0..200 {
            let (mut pins, secret, all) = (Pins::default(), SpreadSecret::new(&[seed; 32]), exits(12));
            let mut held = [0; 12];
            for n in 0..42 {
                let choice = pins.begin(UnitId([n; 32]), &secret, &all, Moment(0)).unwrap();
                held[usize::from(choice.exit.0[0]) - 1] += 1;
            }
            assert!(held.iter().all(|count| (3..=4).contains(count)), "{held:?}");
        }
    }

    #[test]
    fn shares_follow_the_weights_also_for_few_units() {
        let (mut pins, secret) = (Pins::default(), secret());
        let all: Vec<Weighted> = exits(3).into_iter().zip([1.0, 2.0, 5.0]).map(weigh).collect();
        let mut held = [0u32; 3];
        for n in 0..80 {
            let choice = pins.begin(UnitId([n; 32]), &secret, &all, Moment(0)).unwrap();
            held[usize::from(choice.exit.0[0]) - 1] += 1;
        }
        for (held, share) in held.into_iter().zip([10u32, 20, 50]) {
            assert!(held.abs_diff(share) <= 1, "{held} is not near {share}");
        }
    }

    fn weigh((candidate, weight): (Weighted, f64)) -> Weighted {
        Weighted { weight, ..candidate }
    }

    #[test]
    fn a_unit_that_moves_goes_where_there_is_room() {
        let (mut pins, secret, all) = (Pins::default(), secret(), exits(4));
        for n in 0..40 {
            pins.begin(UnitId([n; 32]), &secret, &all, Moment(0)).unwrap();
        }
        let gone = Address([2; 20]);
        let mut moved = [0; 4];
        for n in 0..40 {
            let exit = pins.lost(&UnitId([n; 32]), gone, &secret, &all, Moment(1)).unwrap();
            moved[usize::from(exit.0[0]) - 1] += 1;
        }
        assert!(moved[1] == 0 && moved.iter().all(|count| *count <= 14), "{moved:?}");
    }

    #[test]
    fn a_unit_whose_exit_is_lost_moves_once() {
        let (mut pins, secret, all) = (Pins::default(), secret(), exits(5));
        let first = pins.begin(UNIT, &secret, &all, Moment(0)).unwrap().exit;
        let second = pins.lost(&UNIT, first, &secret, &all, Moment(1)).unwrap();
        assert_ne!(first, second);
        assert_eq!(pins.lost(&UNIT, first, &secret, &all, Moment(2)), Some(second), "told twice");
        assert_eq!(pins.lost(&UNIT, second, &secret, &all, Moment(3)), None);
        assert!(pins.uses(second) && !pins.uses(first));
    }

    #[test]
    fn an_exit_that_left_the_active_set_is_replaced_by_another() {
        let (mut pins, secret, all) = (Pins::default(), secret(), exits(5));
        let first = pins.begin(UNIT, &secret, &all, Moment(0)).unwrap().exit;
        let rest: Vec<Weighted> = all.into_iter().filter(|candidate| candidate.exit != first).collect();
        let next = pins.begin(UNIT, &secret, &rest, Moment(1)).unwrap();
        assert_eq!(next.why, Why::Moved);
        assert_ne!(next.exit, first);
        assert_eq!(pins.begin(UNIT, &secret, &[], Moment(2)), None, "no exit, no flow");
    }

    #[test]
    fn the_table_is_bounded_and_drops_the_least_recent_without_flows_first() {
        let (mut pins, secret) = (Pins::new(3), secret());
        for n in 0..3 {
            pins.begin(UnitId([n; 32]), &secret, &exits(2), Moment(u64::from(n))).unwrap();
        }
        pins.ended(&UnitId([1; 32]), Moment(1));
        pins.begin(UnitId([7; 32]), &secret, &exits(2), Moment(9)).unwrap();
        assert_eq!(pins.len(), 3);
        let why = |n| pins.look(&UnitId([n; 32]), &secret, &exits(2), Moment(9)).unwrap().why;
        assert_eq!([why(0), why(1), why(2)], [Why::Pinned, Why::Chosen, Why::Pinned]);
    }
}
