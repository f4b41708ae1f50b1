//! Exactness, generations, memory and age.

use super::*;
use crate::vectors::Stated;

fn set() -> CreateSet {
    CreateSet::new(&mut Stated::new(0..16))
}

fn enc(number: usize) -> EncHash {
    EncHash::of(&number.to_be_bytes())
}

#[test]
fn what_was_inserted_is_there_and_nothing_else() {
    let mut seen = set();
    for number in 0..5000 {
        assert!(!seen.contains(enc(number)));
        seen.insert(enc(number));
        assert!(seen.contains(enc(number)));
    }
    assert!((0..5000).all(|number| seen.contains(enc(number))));
    assert!(!(5000..9000).any(|number| seen.contains(enc(number))));
}

#[test]
fn the_entry_of_zero_is_an_entry_like_others() {
    let mut seen = set();
    assert!(!seen.contains(EncHash(0)));
    seen.insert(EncHash(0));
    assert!(seen.contains(EncHash(0)) && !seen.contains(EncHash(1)));
}

#[test]
fn two_generations_are_kept_and_the_third_drops_the_first() {
    let mut seen = set();
    (0..2 * GENERATION).for_each(|number| seen.insert(enc(number)));
    let kept = |seen: &CreateSet, numbers: std::ops::Range<usize>| {
        numbers.filter(|number| seen.contains(enc(*number))).count()
    };
    assert_eq!(kept(&seen, 0..2 * GENERATION), 2 * GENERATION);
    assert!(seen.memory() <= 10_500_000, "{}", seen.memory());
    seen.insert(enc(2 * GENERATION));
    assert_eq!(kept(&seen, 0..GENERATION), 0);
    assert_eq!(kept(&seen, GENERATION..2 * GENERATION + 1), GENERATION + 1);
}

#[test]
fn an_empty_set_holds_no_memory_and_a_little_used_one_little() {
    let mut seen = set();
    assert_eq!(seen.memory(), 0);
    (0..1000).for_each(|number| seen.insert(enc(number)));
    assert!(seen.memory() <= 40_000, "{}", seen.memory());
}

#[test]
fn an_opener_is_admitted_once_within_ten_minutes() {
    let mut seen = OpenerSet::default();
    assert!(seen.admit(&[1; 32], Moment(0)));
    assert!(!seen.admit(&[1; 32], Moment(0) + OPENER_MEMORY));
    assert!(seen.admit(&[2; 32], Moment(0) + OPENER_MEMORY));
    let later = Moment(0) + OPENER_MEMORY + Duration::from_micros(1);
    assert!(seen.admit(&[1; 32], later));
    assert!(!seen.admit(&[2; 32], later));
}

#[test]
fn a_full_set_of_openers_refuses_until_the_oldest_is_forgotten() {
    let mut seen = OpenerSet::default();
    let opener = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    assert!((0..OPENERS).all(|number| seen.admit(&opener(number), Moment(number as u64))));
    assert!(!seen.admit(&opener(OPENERS), Moment(OPENERS as u64)));
    let first_forgotten = Moment(0) + OPENER_MEMORY + Duration::from_micros(1);
    assert!(seen.admit(&opener(OPENERS), first_forgotten));
    assert!(!seen.admit(&opener(OPENERS + 1), first_forgotten));
}
