//! Ejections: when, for how long, how many at most; and under threads that all see failures.

use super::*;
use crate::balance::{Algorithm, Exclude, PickKey};
use crate::dice::Dice;
use crate::kit::{at, balance, fail, number, specs, upstream_with};
use crate::upstream::{FailureKind, Outcome, Upstream};

fn upstream(endpoints: usize, outlier: OutlierConfig) -> Upstream {
    upstream_with(specs(&vec![1; endpoints]), balance(Algorithm::RoundRobin), outlier)
}

fn consecutive() -> OutlierConfig {
    OutlierConfig { success_rate: None, ..OutlierConfig::default() }
}

fn fail_by_status(endpoint: &Endpoint, times: u32) {
    for _ in 0..times {
        endpoint.state().failed(FailureKind::Status);
    }
}

/// Who is out, by number.
fn out(upstream: &Upstream, ms: u64) -> Vec<usize> {
    let set = upstream.set();
    let out = set.endpoints().iter().filter(|endpoint| endpoint.state().is_ejected(at(ms)));
    out.map(|endpoint| number(upstream, endpoint.state().id())).collect()
}

#[test]
fn five_failures_in_a_row_put_an_endpoint_aside_for_half_a_minute() {
    let upstream = upstream(4, consecutive());
    fail(&upstream, 1, 4, at(0));
    assert_eq!(out(&upstream, 0), []);
    fail(&upstream, 1, 1, at(0));
    assert_eq!((out(&upstream, 29_999), out(&upstream, 30_000)), (vec![1], vec![]));
}

#[test]
fn a_success_between_begins_the_count_anew() {
    let upstream = upstream(4, consecutive());
    for _ in 0..5 {
        fail(&upstream, 1, 4, at(0));
        upstream.set().endpoints()[1].state().succeeded();
    }
    assert_eq!(out(&upstream, 0), []);
}

#[test]
fn each_ejection_is_longer_up_to_a_bound_and_quiet_intervals_forgive() {
    let upstream = upstream(4, consecutive());
    let mut now = 0;
    let eject = |upstream: &Upstream, now: &mut u64| {
        fail(upstream, 0, 5, at(*now));
        let until = upstream.set().endpoints()[0].state().ejected_until();
        let length = until.since(at(*now)).as_secs();
        *now += length * 1_000;
        length
    };
    let lengths: Vec<u64> = (0..12).map(|_| eject(&upstream, &mut now)).collect();
    assert_eq!(lengths, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    sweep(&upstream.set(), at(now + 9_999)); // not yet a quiet interval
    now += 10_000;
    for _ in 0..11 {
        sweep(&upstream.set(), at(now));
    }
    assert_eq!(eject(&upstream, &mut now), 60);
}

#[test]
fn never_more_than_the_share_and_never_the_last() {
    for (endpoints, most, wanted) in
        [(1, 100, 0), (2, 50, 1), (2, 100, 1), (3, 50, 1), (3, 10, 1), (10, 30, 3), (4, 100, 3), (4, 0, 0)]
    {
        let upstream = upstream(endpoints, OutlierConfig { most: Percent::new(most), ..consecutive() });
        let set = upstream.set();
        for endpoint in set.endpoints() {
            after_failure(&set, endpoint, 5, at(0));
        }
        assert_eq!(out(&upstream, 0).len(), wanted, "{most} % of {endpoints}");
    }
}

#[test]
fn off_is_off() {
    let upstream = upstream(3, OutlierConfig::OFF);
    fail(&upstream, 0, 100, at(0));
    sweep(&upstream.set(), at(10_000));
    assert_eq!(out(&upstream, 10_000), []);
}

#[test]
fn success_rates_are_compared_with_those_of_the_others() {
    // Successes of 1,000 requests each; who stands out.
    for (successes, wanted) in [
        (vec![990, 985, 300], vec![2]),
        (vec![990, 985, 995, 870], vec![3]),
        (vec![990, 985, 920], vec![]),      // within the margin
        (vec![500, 480, 490, 510], vec![]), // all alike: not this endpoint's fault
        (vec![900, 100], vec![]),           // one other is no measure
        (vec![950, 640, 990, 600], vec![]), // they differ anyway
        (vec![1_000, 1_000, 0], vec![2]),
    ] {
        let upstream =
            upstream(successes.len(), OutlierConfig { consecutive: 0, ..OutlierConfig::default() });
        for (endpoint, successes) in upstream.set().endpoints().iter().zip(&successes) {
            (0..*successes).for_each(|_| endpoint.state().succeeded());
            fail_by_status(endpoint, 1_000 - *successes);
        }
        sweep(&upstream.set(), at(10_000));
        assert_eq!(out(&upstream, 10_000), wanted, "{successes:?}");
        sweep(&upstream.set(), at(50_000)); // nothing has happened since
        assert_eq!(out(&upstream, 50_000), []);
    }
}

#[test]
fn few_requests_are_no_measure() {
    let upstream = upstream(3, OutlierConfig { consecutive: 0, ..OutlierConfig::default() });
    for (n, endpoint) in upstream.set().endpoints().iter().enumerate() {
        match n {
            0 => fail_by_status(endpoint, 99),
            _ => (0..99).for_each(|_| endpoint.state().succeeded()),
        }
    }
    sweep(&upstream.set(), at(10_000));
    assert_eq!(out(&upstream, 10_000), []);
}

#[test]
fn threads_that_eject_at_the_same_instant_do_not_pass_the_bound() {
    // Many endpoints: counting who is out takes a while, and somebody else may decide meanwhile.
    let upstream = upstream(199, OutlierConfig { most: Percent::new(1), longest: LENGTH, ..consecutive() });
    let (set, arrived) = (upstream.set(), std::sync::atomic::AtomicUsize::new(0));
    let meet = |times: usize| {
        arrived.fetch_add(1, AcqRel);
        while arrived.load(Acquire) < 2 * times {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (set, meet) = (&set, &meet);
            scope.spawn(move || {
                for round in 0..8_000 {
                    let now = at(round * 60_000); // the last round's ejection is over
                    meet(2 * round as usize + 1);
                    after_failure(set, &set.endpoints()[thread], 5, now);
                    meet(2 * round as usize + 2);
                    let out = set.endpoints().iter().filter(|endpoint| endpoint.state().is_ejected(now));
                    assert_eq!(out.count(), 1);
                }
            });
        }
    });
}

const LENGTH: Duration = Duration::from_secs(30);

#[test]
fn threads_that_all_see_failures_never_eject_more_than_may_be_out() {
    for round in 0..20 {
        let upstream = upstream(6, OutlierConfig { consecutive: 2, ..consecutive() });
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let upstream = &upstream;
                scope.spawn(move || {
                    let dice = Dice::new(round * 4 + thread);
                    for n in 0..2_000 {
                        let key = PickKey::by_chance(&dice);
                        let picked = upstream.pick(&key, &Exclude::nobody(), at(n)).unwrap();
                        picked.finish(Outcome::Failure(FailureKind::Timeout), at(n));
                        assert!(out(upstream, n).len() <= 3);
                    }
                });
            }
        });
        let set = upstream.set();
        assert_eq!(out(&upstream, 2_000).len(), 3, "what fails is out in the end");
        assert_eq!(set.endpoints().iter().map(|endpoint| endpoint.state().in_flight()).sum::<u32>(), 0);
        assert_eq!(set.endpoints().iter().map(|e| e.state().totals().failures).sum::<u64>(), 8_000);
    }
}
