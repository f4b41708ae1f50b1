//! How much of an upstream may be under way, what is tried again, who is put aside.
//!
//! Not here: what follows from it (`reverse`).

use super::upstreams::status_range;
use super::{Check, unknown_word};
use crate::config::at::{At, Many};
use crate::config::catalogue::Code;
use crate::config::file::{
    BreakerSection, HedgeSection, OutlierSection, QueueSection, RetrySection, StreamRetrySection,
};
use crate::config::report::Problem;
use crate::config::settings::Bounds;
use shoalway_reverse::attempt::HedgeAfter;
use shoalway_reverse::breaker::BreakerLimits;
use shoalway_reverse::budget::BudgetConfig;
use shoalway_reverse::line::LineConfig;
use shoalway_reverse::outlier::{OutlierConfig, SuccessRate};
use shoalway_reverse::retry::{RetryOn, RetryPolicy, StatusSet};
use shoalway_reverse::upstream::Percent;
use std::time::Duration;

/// The tables of a site or stream.
pub(super) struct Tables<'a> {
    pub(super) breaker: &'a BreakerSection,
    pub(super) queue: Option<&'a QueueSection>,
    pub(super) retries: Retries<'a>,
    pub(super) hedge: Option<&'a HedgeSection>,
    pub(super) outliers: &'a OutlierSection,
    pub(super) panic_below: &'a At<String>,
}

/// What is said of tries.
pub(super) enum Retries<'a> {
    Site(&'a RetrySection),
    Stream(&'a StreamRetrySection),
}

/// Reads all of them.
pub(super) fn bounds(tables: &Tables<'_>, check: &mut Check<'_>) -> Bounds {
    let (retry, budget) = match tables.retries {
        Retries::Site(section) => of_site(section, check),
        Retries::Stream(section) => {
            let StreamRetrySection { tries, budget, least, saved } = section;
            let policy = RetryPolicy { tries: small(tries), ..RetryPolicy::default() };
            (policy, spending(budget, least, saved, check))
        }
    };
    Bounds {
        breaker: breaker(tables.breaker),
        line: tables.queue.map(|queue| line(queue, tables.breaker, check)),
        retry,
        budget,
        hedge: tables.hedge.map(|section| hedge(section, check)),
        outlier: outlier(tables.outliers, check),
        panic_below: percent("panic_below", tables.panic_below, check),
    }
}

fn breaker(section: &BreakerSection) -> BreakerLimits {
    let BreakerSection { connections, pending, requests, retries } = section;
    BreakerLimits {
        connections: connections.as_ref().map_or(u32::MAX, count),
        pending: count(pending),
        requests: requests.as_ref().map_or(u32::MAX, count),
        retries: count(retries),
    }
}

fn line(section: &QueueSection, breaker: &BreakerSection, check: &mut Check<'_>) -> LineConfig {
    let QueueSection { longest, target } = section;
    if breaker.requests.is_none() && breaker.connections.is_none() {
        let places = [longest, target].into_iter().find(|at| at.is_written()).map(At::place);
        if let Some(place) = places {
            check.no_effect(
                place,
                "queue",
                "without `breaker.requests` or `breaker.connections` nobody waits",
            );
        }
    }
    let bounds = || Duration::from_millis(1)..=Duration::from_secs(10);
    LineConfig {
        longest: check.time("longest", longest, bounds()),
        target: check.time("target", target, bounds()),
    }
}

fn of_site(section: &RetrySection, check: &mut Check<'_>) -> (RetryPolicy, BudgetConfig) {
    let RetrySection { tries, on, status, budget, least, saved } = section;
    let policy = RetryPolicy { tries: small(tries), on: kinds(on, check), statuses: statuses(status, check) };
    (policy, spending(budget, least, saved, check))
}

fn spending(budget: &At<String>, least: &At<i64>, saved: &At<i64>, check: &mut Check<'_>) -> BudgetConfig {
    let percent = check.share("budget", budget, 0..=1_000);
    BudgetConfig { percent, per_second: count(least), most: count(saved) }
}

/// When another upstream is asked too.
fn hedge(section: &HedgeSection, check: &mut Check<'_>) -> (HedgeAfter, BudgetConfig) {
    let HedgeSection { after, budget } = section;
    let times = Duration::from_millis(1)..=Duration::from_mins(1);
    let after = match after.get().trim() {
        "p95" => HedgeAfter::P95,
        _ => HedgeAfter::Time(check.time("after", after, times)),
    };
    let percent = check.share("budget", budget, 1..=100);
    (after, BudgetConfig { percent, ..BudgetConfig::HEDGES })
}

fn kinds(words: &Many, check: &mut Check<'_>) -> RetryOn {
    let mut on = RetryOn { connect: false, broken: false, timeout: false };
    for at in words.items() {
        match at.get().as_str() {
            "connect" => on.connect = true,
            "broken" => on.broken = true,
            "timeout" => on.timeout = true,
            _ => check.add(unknown_word("on", at, &["connect", "broken", "timeout"], &[])),
        }
    }
    on
}

fn statuses(list: &Many, check: &mut Check<'_>) -> StatusSet {
    let mut statuses = StatusSet::none();
    for at in list.items() {
        match status_range(at.get()) {
            Some(range) => statuses = range.fold(statuses, StatusSet::with),
            None => {
                let message = format!("`status` is out of range: `{}`", at.get());
                let problem = Problem::new(Code::Range, at.place(), message);
                check.add(problem.label("statuses are numbers from 100 to 599, such as 503 or 500-504"));
            }
        }
    }
    statuses
}

fn outlier(section: &OutlierSection, check: &mut Check<'_>) -> OutlierConfig {
    let OutlierSection { failures, margin, requests, interval, out, longest, most } = section;
    let (least, day) = (Duration::from_millis(100), Duration::from_hours(24));
    let margin = percent("margin", margin, check);
    let rate = SuccessRate { requests: u64::from(count(requests)), margin, ..SuccessRate::default() };
    let ejection = check.time("out", out, least..=day);
    OutlierConfig {
        consecutive: count(failures),
        success_rate: (margin.get() < 100).then_some(rate),
        interval: check.time("interval", interval, least..=Duration::from_hours(1)),
        ejection,
        longest: check.time("longest", longest, least..=day).max(ejection),
        most: percent("most", most, check),
    }
}

fn percent(key: &str, at: &At<String>, check: &mut Check<'_>) -> Percent {
    Percent::new(u8::try_from(check.share(key, at, 0..=100)).unwrap_or(100))
}

/// A number that the schema has bounded.
fn count(at: &At<i64>) -> u32 {
    u32::try_from(*at.get()).unwrap_or_default()
}

fn small(at: &At<i64>) -> u8 {
    u8::try_from(*at.get()).unwrap_or(1)
}
