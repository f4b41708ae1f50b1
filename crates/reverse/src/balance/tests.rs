//! Every algorithm over whole sets: shares, bounds, who is never picked, what a change moves.

use super::*;
use crate::dice::stable_hash;
use crate::kit::{at, balance, counts, number, spec, specs, upstream};
use crate::upstream::{Change, Outcome, Upstream, Verdict};
use proptest::prelude::{any, prop_assert, proptest};
use proptest::test_runner::TestCaseError;

const ALL: [Algorithm; 5] = [
    Algorithm::RoundRobin,
    Algorithm::Weighted,
    Algorithm::LeastConnections,
    Algorithm::P2cEwma,
    Algorithm::ConsistentHash,
];

#[test]
fn round_robin_gives_each_the_same() {
    let upstream = upstream(specs(&[1, 9, 3]), balance(Algorithm::RoundRobin));
    assert_eq!(counts(&upstream, 3, 300, at(0)), [100, 100, 100]);
}

#[test]
fn weighted_gives_each_its_weight_and_none_in_a_burst() {
    let upstream = upstream(specs(&[5, 1, 1]), balance(Algorithm::Weighted));
    assert_eq!(counts(&upstream, 3, 700, at(0)), [500, 100, 100]);
    assert_eq!(counts(&upstream, 3, 3, at(0)), [2, 1, 0]);
}

#[test]
fn the_turn_of_one_that_is_down_is_shared_by_all_others() {
    for (algorithm, wanted) in
        [(Algorithm::RoundRobin, [0, 1_000, 1_000, 1_000]), (Algorithm::Weighted, [0, 500, 1_000, 1_500])]
    {
        let upstream = upstream(specs(&[1, 1, 2, 3]), balance(algorithm));
        upstream.set().endpoints()[0].state().set_verdict(Verdict::Down, at(0));
        assert_eq!(counts(&upstream, 4, 3_000, at(0)), wanted, "{algorithm:?}");
    }
}

#[test]
fn least_connections_fills_up_by_weight() {
    let upstream = upstream(specs(&[1, 2, 3]), balance(Algorithm::LeastConnections));
    let dice = Dice::new(1);
    let held: Vec<_> = (0..60)
        .map(|_| upstream.pick(&PickKey::by_chance(&dice), &Exclude::nobody(), at(0)).unwrap())
        .collect();
    let set = upstream.set();
    let in_flight: Vec<_> = set.endpoints().iter().map(|endpoint| endpoint.state().in_flight()).collect();
    assert_eq!(in_flight, [10, 20, 30]);
    drop(held);
    assert!(set.endpoints().iter().all(|endpoint| endpoint.state().in_flight() == 0));
}

#[test]
fn among_equals_chance_decides() {
    for algorithm in [Algorithm::LeastConnections, Algorithm::P2cEwma] {
        let upstream = upstream(specs(&[1; 10]), balance(algorithm));
        let counts = counts(&upstream, 10, 10_000, at(0));
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{algorithm:?} {counts:?}");
    }
}

#[test]
fn of_two_the_faster_and_less_busy_is_taken() {
    let upstream = upstream(specs(&[1, 1]), balance(Algorithm::P2cEwma));
    let set = upstream.set();
    let (slow, fast) = (set.endpoints()[0].state(), set.endpoints()[1].state());
    slow.observe(Duration::from_millis(100), at(0));
    assert!(counts(&upstream, 2, 100, at(0)).iter().all(|count| *count > 20), "one has no latency yet");
    fast.observe(Duration::from_millis(10), at(0));
    assert_eq!(counts(&upstream, 2, 100, at(0)), [0, 100]);
    (0..9).for_each(|_| fast.enter()); // ten times as busy with the next: as dear
    fast.enter();
    assert_eq!(counts(&upstream, 2, 100, at(0)), [100, 0]);
}

#[test]
fn keys_keep_their_endpoint() {
    let upstream = upstream(specs(&[1; 8]), balance(Algorithm::ConsistentHash));
    let home = |key: usize| owner(&upstream, stable_hash(&key.to_le_bytes()));
    for key in 0..200 {
        assert_eq!(home(key), home(key));
    }
}

/// Who gets a key while nothing else is under way.
fn owner(upstream: &Upstream, hash: u64) -> usize {
    let key = PickKey { hash: Some(hash), random: hash.rotate_left(17), sticky: None };
    let picked = upstream.pick(&key, &Exclude::nobody(), at(0)).unwrap();
    number(upstream, picked.endpoint().state().id())
}

#[test]
fn a_removed_endpoint_moves_its_keys_and_no_others() {
    let upstream = upstream(specs(&[1, 1, 2, 1, 1]), balance(Algorithm::ConsistentHash));
    let keys: Vec<u64> = (0..4_000u64).map(|key| stable_hash(&key.to_le_bytes())).collect();
    let before: Vec<_> = keys.iter().map(|key| owner(&upstream, *key)).collect();
    upstream.apply(&Change::Remove(spec(2).key), at(0)).unwrap();
    let mut moved = 0;
    for (key, before) in keys.iter().zip(before) {
        let after = owner(&upstream, *key);
        assert!(before == 2 || after == before, "a key of {before} moved to {after}");
        moved += usize::from(after != before);
    }
    // Its share is a third; the ring's unevenness is a few percent.
    assert!((1_100..1_560).contains(&moved), "{moved}");
}

#[test]
fn an_added_endpoint_takes_its_share_and_nothing_moves_between_others() {
    let upstream = upstream(specs(&[1; 4]), balance(Algorithm::ConsistentHash));
    let keys: Vec<u64> = (0..4_000u64).map(|key| stable_hash(&key.to_le_bytes())).collect();
    let before: Vec<_> = keys.iter().map(|key| owner(&upstream, *key)).collect();
    upstream.apply(&Change::Add(spec(4)), at(0)).unwrap();
    let moved = keys.iter().zip(before).filter(|(key, before)| {
        let after = owner(&upstream, **key);
        assert!(after == 4 || after == *before);
        after == 4
    });
    assert!((620..980).contains(&moved.count()));
}

#[test]
fn one_busy_key_spreads_over_all_and_none_is_above_its_bound() {
    let upstream = upstream(specs(&[1; 4]), balance(Algorithm::ConsistentHash));
    let key = PickKey { hash: Some(7), ..PickKey::default() };
    let held: Vec<_> = (0..100).map(|_| upstream.pick(&key, &Exclude::nobody(), at(0)).unwrap()).collect();
    let set = upstream.set();
    let mut in_flight: Vec<_> = set.endpoints().iter().map(|e| e.state().in_flight()).collect();
    in_flight.sort_unstable();
    assert!(in_flight[3] <= 32, "{in_flight:?}"); // 1.25 * 100 / 4
    assert!(in_flight[2] >= 25, "{in_flight:?}");
    drop(held);
}

#[test]
fn a_sticky_cookie_finds_its_endpoint_until_that_cannot_be_used() {
    for algorithm in ALL {
        let sticky = Some(StickySecret::new([1; 32]));
        let upstream = upstream(specs(&[1; 5]), BalanceConfig { sticky, ..balance(algorithm) });
        let first = upstream.pick(&PickKey::default(), &Exclude::nobody(), at(0)).unwrap();
        let id = StickyId::parse(first.sticky_id().unwrap().to_string().as_bytes());
        let mine = first.endpoint().state().id();
        let dice = Dice::new(3);
        let pick = |exclude: &Exclude| {
            let key = PickKey { sticky: id, hash: Some(dice.roll()), ..PickKey::by_chance(&dice) };
            upstream.pick(&key, exclude, at(0)).unwrap().endpoint().state().id()
        };
        assert!((0..50).all(|_| pick(&Exclude::nobody()) == mine), "{algorithm:?}");
        let mut exclude = Exclude::nobody();
        exclude.add(&first);
        assert!((0..50).all(|_| pick(&exclude) != mine));
        first.endpoint().state().set_draining(true, at(0));
        assert!((0..50).all(|_| pick(&Exclude::nobody()) != mine));
    }
}

#[test]
fn an_endpoint_that_comes_back_works_up_to_its_share() {
    for algorithm in ALL {
        let slow = BalanceConfig { slow_start: Duration::from_secs(10), ..balance(algorithm) };
        let upstream = upstream(specs(&[1; 4]), slow);
        let set = upstream.set();
        let state = set.endpoints()[0].state();
        state.set_verdict(Verdict::Down, at(0));
        state.set_verdict(Verdict::Up, at(1_000));
        // What ends at once leaves nothing in flight: keep some under way.
        let share = |ms: u64| {
            let dice = Dice::new(9);
            let held: Vec<_> = (0..2_000)
                .map(|_| upstream.pick(&PickKey::by_chance(&dice), &Exclude::nobody(), at(ms)).unwrap())
                .collect();
            let mine = held.iter().filter(|picked| picked.endpoint().state().id() == state.id()).count();
            drop(held);
            mine
        };
        let (early, late, whole) = (share(1_000), share(6_000), share(60_000));
        assert!(early < 160 && (200..400).contains(&late), "{algorithm:?} {early} {late}");
        assert!((400..=625).contains(&whole), "{algorithm:?} {whole}");
    }
}

#[test]
fn nobody_to_pick_from_is_nobody_picked() {
    for algorithm in ALL {
        let nobody = upstream(vec![], balance(algorithm));
        assert!(nobody.pick(&PickKey::default(), &Exclude::nobody(), at(0)).is_none());
        let weightless = upstream(specs(&[0, 0]), balance(algorithm));
        assert!(weightless.pick(&PickKey::default(), &Exclude::nobody(), at(0)).is_none());
        let one = upstream(specs(&[1]), balance(algorithm));
        let picked = one.pick(&PickKey::default(), &Exclude::nobody(), at(0)).unwrap();
        let mut exclude = Exclude::nobody();
        assert!(exclude.add(&picked));
        assert!(one.pick(&PickKey::default(), &exclude, at(0)).is_none(), "{algorithm:?}");
    }
}

proptest! {
    /// Whatever the weights, drains and verdicts: what is picked may be, and if somebody may be, somebody is.
    #[test]
    fn only_who_may_be_picked_is_picked(
        which in 0usize..5,
        endpoints in proptest::collection::vec((0u32..4, any::<bool>(), 0u8..3, 0u8..3), 1..12),
        seed in any::<u64>(),
        tries in 1usize..5,
    ) {
        let mut all = specs(&endpoints.iter().map(|(weight, ..)| *weight).collect::<Vec<_>>());
        for (spec, (_, _, _, priority)) in all.iter_mut().zip(&endpoints) {
            spec.priority = *priority;
        }
        let panic = Panic { below: Percent::new(0), least: 0 };
        let upstream = upstream(all, BalanceConfig { panic, ..balance(ALL[which]) });
        let set = upstream.set();
        for endpoint in set.endpoints() {
            let n = number(&upstream, endpoint.state().id());
            let (_, draining, verdict, _) = endpoints[n];
            endpoint.state().set_draining(draining, at(0));
            let verdict = [Verdict::Unknown, Verdict::Up, Verdict::Down][usize::from(verdict)];
            endpoint.state().set_verdict(verdict, at(0));
        }
        let usable = set.availability(at(0)).healthy;
        let (dice, mut exclude) = (Dice::new(seed), Exclude::nobody());
        for tried in 0..tries {
            let key = PickKey { hash: Some(dice.roll()), ..PickKey::by_chance(&dice) };
            match set.pick(&key, &exclude, at(0)) {
                None => prop_assert!(tried >= usable),
                Some(picked) => {
                    let (endpoint, state) = (picked.endpoint(), picked.endpoint().state());
                    prop_assert!(endpoint.weight() > 0 && !state.is_draining() && state.is_healthy(at(0)));
                    prop_assert!(!exclude.contains(endpoint));
                    exclude.add(&picked);
                }
            }
        }
    }

    /// However picks and ends follow each other, a bounded ring leaves nobody above 1.25 times its share, rounded up.
    #[test]
    fn the_load_bound_is_never_exceeded(
        weights in proptest::collection::vec(1u32..5, 1..8),
        steps in proptest::collection::vec((any::<bool>(), 0u64..4, any::<proptest::sample::Index>()), 1..300),
    ) {
        let upstream = upstream(specs(&weights), balance(Algorithm::ConsistentHash));
        let (set, total) = (upstream.set(), f64::from(weights.iter().sum::<u32>()));
        let mut held = Vec::new();
        for (ends, key, which) in steps {
            if ends && !held.is_empty() {
                drop(held.swap_remove(which.index(held.len())));
                continue;
            }
            let key = PickKey { hash: Some(stable_hash(&key.to_le_bytes())), ..PickKey::default() };
            let picked = set.pick(&key, &Exclude::nobody(), at(0)).unwrap();
            let endpoint = picked.endpoint();
            let in_flight = held.len() as f64 + 1.0;
            let bound = (1.25 * in_flight * f64::from(endpoint.weight()) / total).ceil();
            prop_assert!(f64::from(endpoint.state().in_flight()) <= bound);
            held.push(picked);
        }
    }

    /// In every whole round each gets exactly its weight.
    #[test]
    fn weights_are_kept_exactly(weights in proptest::collection::vec(0u32..20, 1..10)) {
        let upstream = upstream(specs(&weights), balance(Algorithm::Weighted));
        let total: u32 = weights.iter().sum();
        let counts = counts(&upstream, weights.len(), total as usize * 20, at(0));
        for (count, weight) in counts.iter().zip(&weights) {
            check_share(*count, *weight as usize * 20)?;
        }
    }

    /// Least connections never lets two differ by more than one request in the load for their weight.
    #[test]
    fn least_connections_stays_even(weights in proptest::collection::vec(1u32..6, 1..8), picks in 1usize..200) {
        let upstream = upstream(specs(&weights), balance(Algorithm::LeastConnections));
        let (set, dice) = (upstream.set(), Dice::new(5));
        let held: Vec<_> = (0..picks)
            .map(|_| set.pick(&PickKey::by_chance(&dice), &Exclude::nobody(), at(0)).unwrap())
            .collect();
        for one in set.endpoints() {
            for other in set.endpoints() {
                let load = |e: &Endpoint, more: u32| {
                    f64::from(e.state().in_flight() + more) / f64::from(e.weight())
                };
                prop_assert!(load(one, 0) <= load(other, 1) + 1e-9);
            }
        }
        drop(held);
    }
}

fn check_share(count: usize, wanted: usize) -> Result<(), TestCaseError> {
    prop_assert!(count == wanted, "{count}, not {wanted}");
    Ok(())
}

#[test]
fn picks_and_ends_on_many_threads_leave_nothing_in_flight() {
    for algorithm in ALL {
        let upstream = upstream(specs(&[1, 2, 3, 4]), balance(algorithm));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let upstream = &upstream;
                scope.spawn(move || {
                    let dice = Dice::new(thread);
                    for n in 0..5_000u64 {
                        let key = PickKey::by_octets(&dice, &n.to_le_bytes());
                        let picked = upstream.pick(&key, &Exclude::nobody(), at(n)).unwrap();
                        match n % 3 {
                            0 => picked.finish(Outcome::Success, at(n + 1)),
                            1 => picked.finish(Outcome::Neutral, at(n + 1)),
                            _ => drop(picked),
                        }
                    }
                });
            }
        });
        let set = upstream.set();
        let totals: Vec<_> = set.endpoints().iter().map(|endpoint| endpoint.state().totals()).collect();
        assert!(set.endpoints().iter().all(|endpoint| endpoint.state().in_flight() == 0), "{algorithm:?}");
        assert_eq!(totals.iter().map(|totals| totals.picks).sum::<u64>(), 20_000);
        assert_eq!(totals.iter().map(|totals| totals.successes + totals.neutral).sum::<u64>(), 20_000);
    }
}
