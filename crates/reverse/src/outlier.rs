//! Puts endpoints aside for their failures: passive health, from the requests themselves.
//!
//! Two signs: so many failures in a row, seen as they happen; and, at each sweep, a share of successes well below that of
//! the others. An endpoint is out for a time that grows with each ejection and shrinks with each quiet interval; never more
//! than a share of the endpoints at once, and never the last one. After Envoy's outlier detection, except that the success
//! rate is compared with that of the *others*: with three endpoints, one that fails always is never 1.9 deviations from a
//! mean it is part of. Not here: active checks (`health.rs`).

use crate::moment::Moment;
use crate::upstream::{Endpoint, Percent, UpstreamSet};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::time::Duration;

/// When an endpoint is put aside, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierConfig {
    /// Failures in a row. 0: not by this sign. Default 5.
    pub consecutive: u32,
    /// The second sign. `None`: not by it.
    pub success_rate: Option<SuccessRate>,
    /// How often success rates are compared and ejections forgiven. Default 10 s.
    pub interval: Duration,
    /// The first ejection; the n-th in a row is n times as long. Default 30 s.
    pub ejection: Duration,
    /// The longest ejection. Default 5 min.
    pub longest: Duration,
    /// Most of the endpoints that may be out at once; one always may if there are two, all never. Default 50 %.
    pub most: Percent,
}

/// When a share of successes is well below that of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessRate {
    /// Requests in an interval below which an endpoint is neither judged nor a measure. Default 100.
    pub requests: u64,
    /// Others with that many requests that are needed as a measure. Default 2.
    pub others: usize,
    /// How far below the mean of the others it must be: so many of their standard deviations, in tenths. Default 19.
    pub deviations_tenths: u32,
    /// And at least so much, so that equals are not told apart by chance. Default 10 %.
    pub margin: Percent,
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            consecutive: 5,
            success_rate: Some(SuccessRate::default()),
            interval: Duration::from_secs(10),
            ejection: Duration::from_secs(30),
            longest: Duration::from_mins(5),
            most: Percent::new(50),
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { requests: 100, others: 2, deviations_tenths: 19, margin: Percent::new(10) }
    }
}

impl OutlierConfig {
    /// Nobody is put aside.
    pub const OFF: Self = Self {
        consecutive: 0,
        success_rate: None,
        interval: Duration::from_secs(10),
        ejection: Duration::ZERO,
        longest: Duration::ZERO,
        most: Percent::new(0),
    };

    /// Whether nobody is ever put aside.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.most.get() == 0 || (self.consecutive == 0 && self.success_rate.is_none())
    }
}

/// An endpoint has failed for the `in_a_row`th time.
pub(crate) fn after_failure(set: &UpstreamSet, endpoint: &Endpoint, in_a_row: u32, now: Moment) {
    let threshold = set.outlier.consecutive;
    if threshold > 0 && in_a_row >= threshold {
        eject(set, endpoint, now);
    }
}

/// Compares success rates and forgives old ejections. To be called every [`OutlierConfig::interval`] by one caller an
/// upstream; `health/checks.rs` does.
pub fn sweep(set: &UpstreamSet, now: Moment) {
    let counted: Vec<(&Endpoint, u64, u64)> = set
        .endpoints()
        .iter()
        .map(|endpoint| {
            let (successes, failures) = endpoint.state().sweep();
            (endpoint, successes, successes + failures)
        })
        .collect();
    for (endpoint, ..) in &counted {
        // Not while it is out, nor in the interval in which it came back.
        let quiet = now.since(endpoint.state().ejected_until()) >= set.outlier.interval;
        if quiet && !endpoint.state().is_ejected(now) {
            endpoint.state().forgive();
        }
    }
    let Some(rate) = set.outlier.success_rate else { return };
    let judged: Vec<(&Endpoint, f64)> = counted
        .into_iter()
        .filter(|(_, _, requests)| *requests > 0 && *requests >= rate.requests)
        .map(|(endpoint, successes, requests)| (endpoint, share(successes, requests)))
        .collect();
    for (place, (endpoint, own)) in judged.iter().enumerate() {
        let others = judged.iter().enumerate().filter(|(other, _)| *other != place);
        let others: Vec<f64> = others.map(|(_, (_, share))| *share).collect();
        if others.len() >= rate.others.max(1) && *own < floor(&others, rate) {
            eject(set, endpoint, now);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// The share of successes below which an endpoint stands out from these others.
#[expect(clippy::cast_precision_loss, reason = "endpoints are few")]
fn floor(others: &[f64], rate: SuccessRate) -> f64 {
    let count = others.len() as f64;
    let mean = others.iter().sum::<f64>() / count;
    let variance = others.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / count;
    let deviations = variance.sqrt() * f64::from(rate.deviations_tenths) / 10.0;
    mean - deviations.max(f64::from(rate.margin.get()) / 100.0)
}

/// Ejects, if another one may be out. Whether it did.
fn eject(set: &UpstreamSet, endpoint: &Endpoint, now: Moment) -> bool {
    // Only one ejection is decided at a time, so that the bound holds. Who comes second goes on: if the endpoint keeps
    // failing, the next failure asks again.
    let Some(_turn) = Turn::take(&set.group.ejecting) else { return false };
    if endpoint.state().is_ejected(now) {
        return false;
    }
    let out = set.endpoints().iter().filter(|other| other.state().is_ejected(now)).count();
    if out >= most_out(set.endpoints().len(), set.outlier.most) {
        return false;
    }
    let OutlierConfig { ejection, longest, .. } = set.outlier;
    endpoint.state().eject(now, |step| ejection.saturating_mul(step).min(longest));
    true
}

/// How many of `count` endpoints may be out.
fn most_out(count: usize, most: Percent) -> usize {
    if most.get() == 0 {
        return 0;
    }
    (count * usize::from(most.get()) / 100).max(1).min(count.saturating_sub(1))
}

struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    fn take(flag: &'a AtomicBool) -> Option<Self> {
        flag.compare_exchange(false, true, AcqRel, Acquire).ok().map(|_| Self(flag))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

#[cfg(test)]
mod tests;
