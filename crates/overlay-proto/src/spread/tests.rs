//! What spreading gives over many sessions: how even it is, and what moves when exits come and go.

use super::*;
use crate::Moment;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use shoalway_types::wallet::Address;
use std::collections::BTreeMap;

const HOSTS: u8 = 42;

fn exits(count: u8) -> Vec<Weighted> {
    (1..=count).map(|n| Weighted { exit: Address([n; 20]), weight: 1.0 }).collect()
}

fn secret(seed: u32) -> SpreadSecret {
    SpreadSecret::new(&crate::kdf::hash(&[b"session", &seed.to_be_bytes()]))
}

/// The units of a page with 42 hosts.
fn page() -> impl Iterator<Item = UnitId> {
    let affinity = Affinity::default();
    (1..=HOSTS).map(move |n| {
        let host = shoalway_types::Host::parse(&format!("h{n:02}.demo.example")).unwrap();
        unit(Spread::Host, &Isolation::default(), &host, 0, &affinity)
    })
}

/// How many units of the page the busiest exit has, and how many exits have none.
fn busiest(choices: impl Iterator<Item = Address>) -> (usize, usize) {
    let mut held = BTreeMap::new();
    choices.for_each(|exit| *held.entry(exit).or_insert(0) += 1);
    (held.values().copied().max().unwrap_or(0), 12 - held.len())
}

/// How likely it is that one of 12 exits carries over a quarter of a page: 1 % by hashing alone, never by pins.
#[test]
fn hashing_alone_is_even_on_average_and_pins_are_always() {
    let (exits, sessions) = (exits(12), 2_000);
    let (mut crowded, mut unused) = (0, 0);
    for seed in 0..sessions {
        let secret = secret(seed);
        let (most, empty) = busiest(page().map(|unit| choose(&secret, &unit, &exits, &[]).unwrap()));
        crowded += u32::from(most * 4 > usize::from(HOSTS));
        unused += u32::from(empty > 0);
    }
    assert!((sessions / 500..sessions / 50).contains(&crowded), "{crowded} of {sessions} over a quarter");
    assert!((sessions / 5..sessions * 2 / 5).contains(&unused), "{unused} of {sessions} with an unused exit");
    for seed in 0..200 {
        let (mut pins, secret) = (Pins::default(), secret(seed));
        let chosen = page().map(|unit| pins.begin(unit, &secret, &exits, Moment(0)).unwrap().exit);
        assert_eq!(busiest(chosen), (4, 0), "42 over 12, whatever the session");
    }
}

proptest! {
    #[test]
    fn when_exits_come_and_go_only_units_of_theirs_move(
        seed in any::<u32>(),
        count in 2_u8..64,
        which in any::<u8>(),
    ) {
        let (secret, all) = (secret(seed), exits(count));
        let one = Address([which % count + 1; 20]);
        let fewer: Vec<Weighted> = all.iter().filter(|candidate| candidate.exit != one).copied().collect();
        for unit in page() {
            let with = choose(&secret, &unit, &all, &[]).unwrap();
            let without = choose(&secret, &unit, &fewer, &[]).unwrap();
            // It left: its own go elsewhere. It joined: some come to it. Nothing else moves.
            prop_assert!(with == without || with == one);
            prop_assert_eq!(choose(&secret, &unit, &all, &[one]), Some(without));
        }
    }

    #[test]
    fn the_order_in_which_exits_are_listed_decides_nothing(seed in any::<u32>(), turn in 0_usize..12) {
        let (secret, all) = (secret(seed), exits(12));
        let mut turned = all.clone();
        turned.rotate_left(turn);
        for unit in page() {
            prop_assert_eq!(choose(&secret, &unit, &all, &[]), choose(&secret, &unit, &turned, &[]));
        }
    }

    #[test]
    fn pinned_units_stay_where_they_are_whatever_exits_join(seed in any::<u32>(), joined in 5_u8..64) {
        let (mut pins, secret) = (Pins::default(), secret(seed));
        let units: Vec<UnitId> = page().collect();
        let mut begin = |unit: &UnitId, exits: &[Weighted]| pins.begin(*unit, &secret, exits, Moment(0)).unwrap();
        let before: Vec<Address> = units.iter().map(|unit| begin(unit, &exits(4)).exit).collect();
        for (unit, before) in units.iter().zip(before) {
            prop_assert_eq!(begin(unit, &exits(joined)), Choice { exit: before, why: Why::Pinned });
        }
    }
}
