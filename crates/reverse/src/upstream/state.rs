//! How one endpoint fares: atomics that every shard and every snapshot shares.
//!
//! One a process and endpoint, found again by identity over reloads and discoveries (`registry.rs`), so health,
//! counts and ejections outlive both. Everything is relaxed: each word is true by itself, and a pick that sees one
//! of two changes is a pick made a moment earlier. Who changes what: requests through
//! [`crate::upstream::Picked`], `outlier.rs` ejects, `health/checks.rs` sets the verdict, `change.rs` drains and
//! weighs.

use super::endpoint::EndpointKey;
use super::ewma::PeakEwma;
use super::picked::FailureKind;
use crate::moment::Moment;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What active checks say of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not checked, or not yet: it is used.
    Unknown,
    /// It passes.
    Up,
    /// It fails: it is not used.
    Down,
}

impl Verdict {
    /// Its word in `status` and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What an endpoint has done since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Times it was picked.
    pub picks: u64,
    /// Of these, ended well.
    pub successes: u64,
    /// Of these, failed by its fault.
    pub failures: u64,
    /// Of these, given up for reasons that are not its own.
    pub neutral: u64,
    /// Times it was ejected.
    pub ejections: u64,
}

/// Counts every change of who may be picked, in one upstream; whoever has computed something of that looks here
/// whether it still holds.
#[derive(Debug, Default)]
pub(crate) struct Changes(AtomicU64);

impl Changes {
    pub(crate) fn bump(&self) {
        self.0.fetch_add(1, AcqRel);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Acquire)
    }
}

/// How one endpoint fares.
#[derive(Debug)]
pub struct EndpointState {
    id: u64,
    key: EndpointKey,
    changes: Arc<Changes>,
    in_flight: AtomicU32,
    latency: PeakEwma,
    consecutive: AtomicU32,
    ejected_until: AtomicU64,
    /// How often it was ejected of late: each time is longer than the one before.
    ejection_steps: AtomicU32,
    verdict: AtomicU8,
    /// The word of the last check. Only checks and `status` come here.
    last_check: Mutex<Option<&'static str>>,
    draining: AtomicBool,
    /// The operator's weight, plus 1; 0 when there is none.
    weight: AtomicU32,
    slow_start: AtomicU64,
    picks: AtomicU64,
    successes: AtomicU64,
    /// By [`FailureKind`].
    failures: [AtomicU64; 5],
    neutral: AtomicU64,
    ejections: AtomicU64,
    /// Successes and failures that the last sweep has seen.
    swept: [AtomicU64; 2],
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl EndpointState {
    pub(crate) fn new(key: EndpointKey, changes: Arc<Changes>) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            key,
            changes,
            in_flight: AtomicU32::new(0),
            latency: PeakEwma::default(),
            consecutive: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            ejection_steps: AtomicU32::new(0),
            verdict: AtomicU8::new(0),
            last_check: Mutex::new(None),
            draining: AtomicBool::new(false),
            weight: AtomicU32::new(0),
            slow_start: AtomicU64::new(0),
            picks: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            failures: Default::default(),
            neutral: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            swept: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    /// A number no other endpoint of this process has had.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Whose state this is.
    #[must_use]
    pub const fn key(&self) -> &EndpointKey {
        &self.key
    }

    /// Requests or streams under way, on all shards.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// The moving average of its latency; `None` before its first answer.
    #[must_use]
    pub fn latency(&self, now: Moment) -> Option<Duration> {
        self.latency_micros(now).map(|micros| Duration::from_secs_f64(micros / 1e6))
    }

    pub(crate) fn latency_micros(&self, now: Moment) -> Option<f64> {
        self.latency.estimate(now)
    }

    /// Failures since the last success.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive.load(Relaxed)
    }

    /// What active checks say.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.verdict.load(Relaxed) {
            1 => Verdict::Up,
            2 => Verdict::Down,
            _unknown => Verdict::Unknown,
        }
    }

    /// How the last active check ended: `ok`, or the word of its failure. `None`: there was none.
    #[must_use]
    pub fn last_check(&self) -> Option<&'static str> {
        *self.last_check.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when it is ejected; in the past when it is not.
    #[must_use]
    pub fn ejected_until(&self) -> Moment {
        Moment::from_micros(self.ejected_until.load(Relaxed))
    }

    /// Whether it is ejected.
    #[must_use]
    pub fn is_ejected(&self, now: Moment) -> bool {
        now < self.ejected_until()
    }

    /// Whether neither checks nor failures speak against it.
    #[must_use]
    pub fn is_healthy(&self, now: Moment) -> bool {
        self.verdict() != Verdict::Down && !self.is_ejected(now)
    }

    /// Whether the operator lets it run empty.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// The weight the operator gave it at run time.
    #[must_use]
    pub fn weight_override(&self) -> Option<u32> {
        self.weight.load(Relaxed).checked_sub(1)
    }

    /// How much of its share it gets at `now` when a slow start lasts `length`: from a tenth to all of it.
    #[must_use]
    pub fn warmth(&self, now: Moment, length: Duration) -> f64 {
        if length.is_zero() {
            return 1.0;
        }
        // The end of an ejection is an event that nobody writes down.
        let begun = self.slow_start.load(Relaxed).max(self.ejected_until.load(Relaxed));
        if begun == 0 {
            return 1.0;
        }
        let share = now.since(Moment::from_micros(begun)).as_secs_f64() / length.as_secs_f64();
        share.clamp(LEAST_WARMTH, 1.0)
    }

    /// What it has done so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            picks: self.picks.load(Relaxed),
            successes: self.successes.load(Relaxed),
            failures: self.failures.iter().map(|kind| kind.load(Relaxed)).sum(),
            neutral: self.neutral.load(Relaxed),
            ejections: self.ejections.load(Relaxed),
        }
    }

    /// How often it failed in this way.
    #[must_use]
    pub fn failures(&self, kind: FailureKind) -> u64 {
        self.failures.get(kind as usize).map_or(0, |count| count.load(Relaxed))
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.picks.fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn observe(&self, latency: Duration, now: Moment) {
        self.latency.observe(latency, now);
    }

    pub(crate) fn succeeded(&self) {
        self.successes.fetch_add(1, Relaxed);
        if self.consecutive.load(Relaxed) != 0 {
            self.consecutive.store(0, Relaxed);
        }
    }

    /// Returns the failures in a row with this one.
    pub(crate) fn failed(&self, kind: FailureKind) -> u32 {
        if let Some(count) = self.failures.get(kind as usize) {
            count.fetch_add(1, Relaxed);
        }
        self.consecutive.fetch_add(1, Relaxed).saturating_add(1)
    }

    pub(crate) fn given_up(&self) {
        self.neutral.fetch_add(1, Relaxed);
    }

    pub(crate) fn checked(&self, word: &'static str) {
        *self.last_check.lock().unwrap_or_else(PoisonError::into_inner) = Some(word);
    }

    /// What active checks say from now on. Coming up begins a slow start.
    pub(crate) fn set_verdict(&self, verdict: Verdict, now: Moment) {
        let word = match verdict {
            Verdict::Unknown => 0,
            Verdict::Up => 1,
            Verdict::Down => 2,
        };
        let before = self.verdict.swap(word, Relaxed);
        if before == word {
            return;
        }
        if before == 2 {
            self.consecutive.store(0, Relaxed);
            self.begin_slow_start(now);
        }
        self.changes.bump();
    }

    pub(crate) fn set_draining(&self, draining: bool, now: Moment) {
        if self.draining.swap(draining, Relaxed) == draining {
            return;
        }
        if !draining {
            self.begin_slow_start(now);
        }
        self.changes.bump();
    }

    pub(crate) fn set_weight(&self, weight: Option<u32>) {
        self.weight.store(weight.map_or(0, |weight| weight.saturating_add(1)), Relaxed);
        self.changes.bump();
    }

    pub(crate) fn begin_slow_start(&self, now: Moment) {
        self.slow_start.store(now.as_micros(), Relaxed);
    }

    /// Ejects it for `length` of its next step. Only `outlier.rs` calls this, one at a time in an upstream.
    pub(crate) fn eject(&self, now: Moment, length: impl FnOnce(u32) -> Duration) {
        let step = self.ejection_steps.fetch_add(1, Relaxed).saturating_add(1);
        self.ejected_until.store(now.plus(length(step)).as_micros(), Relaxed);
        self.consecutive.store(0, Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        self.changes.bump();
    }

    /// An interval without an ejection: the next one is a step shorter.
    pub(crate) fn forgive(&self) {
        let steps = self.ejection_steps.load(Relaxed);
        if steps > 0 {
            self.ejection_steps.store(steps - 1, Relaxed);
        }
    }

    /// Successes and failures since the last time this was asked.
    pub(crate) fn sweep(&self) -> (u64, u64) {
        let totals = self.totals();
        let since = |swept: &AtomicU64, total: u64| total.saturating_sub(swept.swap(total, Relaxed));
        let [successes, failures] = &self.swept;
        (since(successes, totals.successes), since(failures, totals.failures))
    }
}

/// What an endpoint gets at the beginning of a slow start.
const LEAST_WARMTH: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{EndpointSpec, Scheme};

    fn state() -> EndpointState {
        let spec = EndpointSpec::parse("192.0.2.1:80", Scheme::Tcp).unwrap();
        EndpointState::new(spec.key, Arc::default())
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn failures_in_a_row_end_with_a_success() {
        let state = state();
        assert_eq!((state.failed(FailureKind::Connect), state.failed(FailureKind::Timeout)), (1, 2));
        state.succeeded();
        assert_eq!(state.consecutive_failures(), 0);
        assert_eq!(state.failed(FailureKind::Connect), 1);
        assert_eq!((state.failures(FailureKind::Connect), state.failures(FailureKind::Status)), (2, 0));
        assert_eq!(state.totals(), Totals { successes: 1, failures: 3, ..Totals::default() });
        assert_eq!(state.sweep(), (1, 3));
        assert_eq!(state.sweep(), (0, 0));
    }

    #[test]
    fn an_endpoint_that_comes_up_warms_up() {
        let (state, length) = (state(), Duration::from_secs(10));
        assert!((state.warmth(at(100), length) - 1.0).abs() < 1e-9);
        state.set_verdict(Verdict::Down, at(100));
        assert!(!state.is_healthy(at(100)));
        state.set_verdict(Verdict::Up, at(110));
        for (second, percent) in [(110, 10.0), (112, 20.0), (115, 50.0), (120, 100.0), (500, 100.0)] {
            assert!((state.warmth(at(second), length) * 100.0 - percent).abs() < 1e-6, "{second}");
            assert!((state.warmth(at(second), Duration::ZERO) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn an_ejection_ends_by_itself_and_is_followed_by_a_slow_start() {
        let state = state();
        let grow = |step: u32| Duration::from_secs(30) * step;
        state.eject(at(10), grow);
        assert!(state.is_ejected(at(39)) && state.is_healthy(at(40)));
        assert!((state.warmth(at(45), Duration::from_secs(10)) - 0.5).abs() < 1e-9);
        state.eject(at(50), grow);
        assert!(state.is_ejected(at(109)) && !state.is_ejected(at(110)));
        state.forgive();
        state.forgive();
        state.forgive();
        state.eject(at(200), grow);
        assert_eq!(state.ejected_until(), at(230));
    }

    #[test]
    fn a_weight_of_nothing_is_not_no_weight() {
        let state = state();
        for weight in [None, Some(0), Some(7), Some(u32::MAX - 1)] {
            state.set_weight(weight);
            assert_eq!(state.weight_override(), weight);
        }
    }

    #[test]
    fn every_change_of_who_may_be_picked_is_counted_once() {
        let state = state();
        state.set_verdict(Verdict::Unknown, at(1));
        state.set_draining(false, at(1));
        assert_eq!(state.changes.count(), 0);
        state.set_verdict(Verdict::Up, at(1));
        state.set_draining(true, at(1));
        state.eject(at(1), |_step| Duration::from_secs(1));
        assert_eq!(state.changes.count(), 3);
    }
}
