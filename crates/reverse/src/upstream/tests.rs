//! Whole upstreams: reloads, an operator's changes, priorities, zones, panic; and two balancers in virtual time.

use super::*;
use crate::balance::{Algorithm, Panic};
use crate::dice::Dice;
use crate::kit::{at, balance, counts, number, spec, specs, upstream};
use std::time::Duration;
use tokio::time::Instant;

fn in_level(n: usize, priority: u8) -> EndpointSpec {
    EndpointSpec { priority, ..spec(n) }
}

fn in_zone(n: usize, zone: &str) -> EndpointSpec {
    EndpointSpec { zone: Some(zone.into()), ..spec(n) }
}

/// Takes these endpoints down.
fn down(upstream: &Upstream, which: &[usize]) {
    for endpoint in upstream.set().endpoints() {
        if which.contains(&number(upstream, endpoint.state().id())) {
            endpoint.state().set_verdict(Verdict::Down, at(0));
        }
    }
}

#[test]
fn a_reload_keeps_what_is_known_of_endpoints_that_stay() {
    let registry = Registry::new(Instant::now());
    let before = Upstream::new(&registry, UpstreamConfig::new("app", specs(&[1, 1])), at(0));
    before.apply(&Change::Drain(spec(0).key), at(0)).unwrap();
    before.apply(&Change::Weight(spec(1).key, Some(7)), at(0)).unwrap();
    let picked = before.pick(&PickKey::default(), &Exclude::nobody(), at(0)).unwrap();
    let permit = before.enter(Bound::Requests).unwrap();
    let after = Upstream::new(&registry, UpstreamConfig::new("app", specs(&[1, 1, 1])), at(5));
    drop(before);
    let set = after.set();
    let [first, second, third] = set.endpoints() else { panic!("three endpoints") };
    assert!(first.state().is_draining() && !first.is_available());
    assert_eq!((second.weight(), second.state().in_flight()), (7, 1));
    assert_eq!((third.weight(), third.state().totals().picks), (1, 0));
    assert_eq!(after.breaker().used(Bound::Requests), 1);
    picked.finish(Outcome::Success, at(9));
    drop(permit);
    assert_eq!((second.state().in_flight(), second.state().totals().successes), (0, 1));
    assert_eq!(after.breaker().used(Bound::Requests), 0);
}

#[test]
fn an_operator_changes_an_upstream_without_a_reload() {
    let upstream = upstream(specs(&[1, 1]), balance(Algorithm::RoundRobin));
    let shares = || counts(&upstream, 4, 120, at(0));
    let apply = |change| upstream.apply(&change, at(0));
    assert_eq!(shares(), [60, 60, 0, 0]);
    apply(Change::Add(spec(2))).unwrap();
    assert_eq!(shares(), [40, 40, 40, 0]);
    apply(Change::Drain(spec(0).key)).unwrap();
    assert_eq!(shares(), [0, 60, 60, 0]);
    apply(Change::Weight(spec(1).key, Some(0))).unwrap();
    assert_eq!(shares(), [0, 0, 120, 0]);
    apply(Change::Resume(spec(0).key)).unwrap();
    apply(Change::Weight(spec(1).key, None)).unwrap();
    apply(Change::Remove(spec(2).key)).unwrap();
    assert_eq!(shares(), [60, 60, 0, 0]);
    upstream.discovered(Source(0), vec![spec(2), spec(3)], at(0));
    assert_eq!(shares(), [40, 40, 0, 40]); // removed by the operator stays removed
    apply(Change::Add(spec(2))).unwrap();
    assert_eq!(shares(), [30, 30, 30, 30]);
    upstream.discovered(Source(0), vec![], at(0));
    assert_eq!(shares(), [40, 40, 40, 0]);
}

#[test]
fn a_change_that_makes_no_sense_changes_nothing() {
    let upstream = upstream(specs(&[1]), balance(Algorithm::RoundRobin));
    let before = upstream.set();
    let heavy = EndpointSpec { weight: MAX_WEIGHT + 1, ..spec(5) };
    for (change, why) in [
        (Change::Add(spec(0)), ChangeError::Exists),
        (Change::Add(heavy), ChangeError::Weight),
        (Change::Remove(spec(9).key), ChangeError::Unknown),
        (Change::Drain(spec(9).key), ChangeError::Unknown),
        (Change::Resume(spec(9).key), ChangeError::Unknown),
        (Change::Weight(spec(9).key, None), ChangeError::Unknown),
        (Change::Weight(spec(0).key, Some(MAX_WEIGHT + 1)), ChangeError::Weight),
    ] {
        assert_eq!(upstream.apply(&change, at(0)), Err(why), "{change:?}");
    }
    assert!(Arc::ptr_eq(&before, &upstream.set()));
}

#[test]
fn every_change_wakes_those_who_follow_the_set() {
    let upstream = upstream(specs(&[1]), balance(Algorithm::RoundRobin));
    let mut follower = upstream.changes();
    assert!(!follower.has_changed().unwrap());
    upstream.apply(&Change::Add(spec(1)), at(0)).unwrap();
    assert!(follower.has_changed().unwrap());
    follower.mark_unchanged();
    assert!(upstream.apply(&Change::Add(spec(1)), at(0)).is_err());
    assert!(!follower.has_changed().unwrap());
}

#[test]
fn a_priority_overflows_into_the_next_as_it_fails() {
    // Healthy of ten in priority 0, and what of 10,000 requests they get.
    for (healthy, wanted) in [(10, 10_000), (8, 10_000), (7, 10_000), (5, 7_143), (2, 2_857), (0, 0)] {
        let all = (0..20).map(|n| in_level(n, u8::from(n >= 10))).collect();
        let upstream = upstream(all, balance(Algorithm::RoundRobin));
        down(&upstream, &(healthy..10).collect::<Vec<_>>());
        let counts = counts(&upstream, 20, 10_000, at(0));
        let first: usize = counts.iter().take(10).sum();
        assert!(first.abs_diff(wanted) < 200, "{healthy}: {first}");
        assert_eq!(counts.iter().sum::<usize>(), 10_000);
        assert!(counts[healthy..10].iter().all(|count| *count == 0));
    }
}

#[test]
fn the_next_priority_is_taken_when_the_first_was_tried_in_vain() {
    let upstream = upstream(vec![in_level(0, 0), in_level(1, 3)], balance(Algorithm::P2cEwma));
    let first = upstream.pick(&PickKey::default(), &Exclude::nobody(), at(0)).unwrap();
    assert_eq!(number(&upstream, first.endpoint().state().id()), 0);
    let mut exclude = Exclude::nobody();
    exclude.add(&first);
    let second = upstream.pick(&PickKey::default(), &exclude, at(0)).unwrap();
    assert_eq!(number(&upstream, second.endpoint().state().id()), 1);
}

#[test]
fn the_own_zone_is_preferred_while_enough_of_it_is_healthy() {
    let all: Vec<_> = (0..10).map(|n| in_zone(n, if n < 5 { "a" } else { "b" })).collect();
    for (unhealthy, own) in [(0, 1_000), (1, 1_000), (2, 375), (5, 0)] {
        let zone = BalanceConfig { zone: Some("a".into()), ..balance(Algorithm::RoundRobin) };
        let upstream = upstream(all.clone(), zone);
        down(&upstream, &(0..unhealthy).collect::<Vec<_>>());
        let counts = counts(&upstream, 10, 1_000, at(0));
        assert_eq!(counts.iter().take(5).sum::<usize>(), own, "{unhealthy}");
    }
}

#[test]
fn in_panic_the_own_zone_is_not_overrun() {
    let all: Vec<_> = (0..6).map(|n| in_zone(n, if n < 2 { "a" } else { "b" })).collect();
    let zone = BalanceConfig { zone: Some("a".into()), ..balance(Algorithm::RoundRobin) };
    let upstream = upstream(all, zone);
    down(&upstream, &[2, 3, 4, 5]);
    assert_eq!(counts(&upstream, 6, 600, at(0)), [100; 6]);
}

#[test]
fn health_is_not_believed_when_too_few_are_left_and_only_then() {
    for (endpoints, healthy, picked) in [
        (4, 2, 2), // half is not under half
        (4, 1, 4), // panic
        (4, 0, 4),
        (3, 1, 1), // too few to be sure: the one that is up gets all
        (3, 0, 0),
    ] {
        let upstream = upstream(specs(&vec![1; endpoints]), balance(Algorithm::RoundRobin));
        down(&upstream, &(healthy..endpoints).collect::<Vec<_>>());
        let used = counts(&upstream, endpoints, 1_000, at(0)).iter().filter(|count| **count > 0).count();
        assert_eq!(used, picked, "{healthy} of {endpoints}");
        let availability = upstream.set().availability(at(0));
        assert_eq!((availability.available, availability.healthy), (endpoints, healthy));
    }
}

#[test]
fn panic_spares_who_drains_and_can_be_turned_off() {
    let config = balance(Algorithm::P2cEwma);
    let upstream_on = upstream(specs(&[1; 5]), config.clone());
    down(&upstream_on, &[0, 1, 2, 3, 4]);
    upstream_on.apply(&Change::Drain(spec(0).key), at(0)).unwrap();
    let counted = counts(&upstream_on, 5, 1_000, at(0));
    assert!(counted[0] == 0 && counted.iter().skip(1).all(|count| *count > 0), "{counted:?}");
    let panic = Panic { below: Percent::new(0), ..config.panic };
    let off = upstream(specs(&[1; 5]), BalanceConfig { panic, ..config });
    down(&off, &[0, 1, 2, 3, 4]);
    assert_eq!(counts(&off, 5, 100, at(0)), [0; 5]);
}

#[test]
fn the_end_of_an_ejection_is_noticed_though_nobody_says_so() {
    let upstream = upstream(vec![in_level(0, 0), in_level(1, 1)], balance(Algorithm::RoundRobin));
    upstream.set().endpoints()[0].state().eject(at(0), |_step| Duration::from_secs(30));
    assert_eq!(counts(&upstream, 2, 100, at(29_999)), [0, 100]);
    assert_eq!(counts(&upstream, 2, 100, at(30_000)), [100, 0]);
}

#[test]
fn failures_cost_latency_and_dropped_picks_cost_nothing() {
    let upstream = upstream(specs(&[1]), balance(Algorithm::P2cEwma));
    let pick = || upstream.pick(&PickKey::default(), &Exclude::nobody(), at(0)).unwrap();
    let state = Arc::clone(upstream.set().endpoints()[0].state());
    drop(pick());
    pick().finish(Outcome::Neutral, at(5_000));
    assert_eq!((state.latency(at(0)), state.totals().neutral), (None, 2));
    let mut answered = pick();
    answered.answered(at(20));
    answered.finish(Outcome::Success, at(60_000)); // a long body is not a slow endpoint
    assert_eq!(state.latency(at(20)).unwrap().as_millis(), 20);
    pick().finish(Outcome::Failure(FailureKind::Connect), at(20));
    assert_eq!(state.latency(at(20)).unwrap().as_millis(), 250);
    assert_eq!((state.consecutive_failures(), state.failures(FailureKind::Connect)), (1, 1));
}

#[test]
fn only_the_upstream_s_own_faults_are_its_failures() {
    use shoalway_types::Side;
    for side in [Side::Client, Side::Policy, Side::Local] {
        assert_eq!(Outcome::of_error(side, FailureKind::Broken), Outcome::Neutral);
    }
    let failed = Outcome::of_error(Side::Upstream, FailureKind::Broken);
    assert_eq!(failed, Outcome::Failure(FailureKind::Broken));
}

/// A millisecond-by-millisecond queue: each endpoint serves one request at a time. Returns the latencies, sorted.
fn simulate(algorithm: Algorithm, service_ms: &[u64], every_us: u64, requests: u64) -> Vec<u64> {
    let upstream = upstream(specs(&vec![1; service_ms.len()]), balance(algorithm));
    let (dice, mut free_at) = (Dice::new(11), vec![0u64; service_ms.len()]);
    let mut running: std::collections::BTreeMap<(u64, u64), Picked> = std::collections::BTreeMap::new();
    let mut latencies = Vec::new();
    let moment = |us: u64| at(0).plus(Duration::from_micros(us));
    for n in 0..requests {
        let now = n * every_us;
        while let Some(entry) = running.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((end, _), picked) = entry.remove_entry();
            picked.finish(Outcome::Success, moment(end));
        }
        let picked = upstream.pick(&PickKey::by_chance(&dice), &Exclude::nobody(), moment(now)).unwrap();
        let place = number(&upstream, picked.endpoint().state().id());
        // Service times vary by half.
        let jitter = 500 + dice.roll() % 1_000;
        free_at[place] = free_at[place].max(now) + service_ms[place] * jitter;
        latencies.push(free_at[place] - now);
        running.insert((free_at[place], n), picked);
    }
    latencies.sort_unstable();
    latencies
}

#[test]
fn beside_one_slow_endpoint_p2c_stays_fast_where_round_robin_queues() {
    // Five endpoints of 10 ms and one of 100 ms, at 60 % of what they can serve together.
    let service = [10, 10, 10, 10, 10, 100];
    let every_us = 3_270;
    let mean = |latencies: &[u64]| latencies.iter().sum::<u64>() / latencies.len() as u64;
    let p99 = |latencies: &[u64]| latencies[latencies.len() * 99 / 100];
    let turns = simulate(Algorithm::RoundRobin, &service, every_us, 20_000);
    let p2c = simulate(Algorithm::P2cEwma, &service, every_us, 20_000);
    let told =
        format!("mean {} and {} us, p99 {} and {} us", mean(&turns), mean(&p2c), p99(&turns), p99(&p2c));
    assert!(mean(&p2c) * 10 < mean(&turns), "{told}");
    assert!(p99(&p2c) * 10 < p99(&turns), "{told}");
    assert!(mean(&p2c) < 40_000, "{told}");
}

#[test]
fn among_equals_p2c_is_no_slower_than_round_robin_by_much() {
    let (service, every_us) = ([10; 6], 2_800);
    let median = |latencies: &[u64]| latencies[latencies.len() / 2];
    let turns = simulate(Algorithm::RoundRobin, &service, every_us, 20_000);
    let p2c = simulate(Algorithm::P2cEwma, &service, every_us, 20_000);
    assert!(median(&p2c) < median(&turns) * 2, "{} {}", median(&p2c), median(&turns));
}
