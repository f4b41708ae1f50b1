//! One picked endpoint: counts it as in flight, and writes down how it ended.
//!
//! Dropping it without [`Picked::finish`] is an end that says nothing about the endpoint: the client left, or a hedge
//! was faster. Not here: what is done with the endpoint.

use super::set::{Endpoint, UpstreamSet};
use crate::balance::StickyId;
use crate::moment::Moment;
use crate::outlier;
use shoalway_types::Side;
use std::sync::Arc;
use std::time::Duration;

/// How an endpoint failed. Each is the endpoint's fault, or that of the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection, or no TLS session.
    Connect,
    /// Connected, and then silent for too long.
    Timeout,
    /// The connection broke before the end.
    Broken,
    /// It said what makes no sense in its protocol.
    Protocol,
    /// It answered that it cannot: a status that the site counts as a failure.
    Status,
}

/// How a picked endpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// It failed.
    Failure(FailureKind),
    /// The end says nothing about it: the client left, a rule ended it, this machine ran out of something.
    Neutral,
}

impl Outcome {
    /// The outcome of an error: a failure when the upstream is to blame, else nothing that concerns it.
    #[must_use]
    pub const fn of_error(side: Side, kind: FailureKind) -> Self {
        match side {
            Side::Upstream => Self::Failure(kind),
            Side::Client | Side::Policy | Side::Local => Self::Neutral,
        }
    }
}

/// A picked endpoint. While it lives the endpoint has one more in flight.
#[derive(Debug)]
#[must_use = "dropped at once it is an endpoint that was given up"]
pub struct Picked {
    set: Arc<UpstreamSet>,
    index: usize,
    begun: Moment,
    answered: bool,
    told: bool,
}

impl Picked {
    pub(super) fn enter(set: Arc<UpstreamSet>, index: usize, now: Moment) -> Self {
        let picked = Self { set, index, begun: now, answered: false, told: false };
        picked.endpoint().state().enter();
        picked
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        #[expect(clippy::indexing_slicing, reason = "the index is of this set, which does not change")]
        &self.set.endpoints()[self.index]
    }

    /// The set it was picked from.
    #[must_use]
    pub const fn set(&self) -> &Arc<UpstreamSet> {
        &self.set
    }

    /// What a sticky cookie should say so that the next request comes here; `None` when the upstream is not sticky.
    #[must_use]
    pub fn sticky_id(&self) -> Option<StickyId> {
        self.endpoint().sticky_id()
    }

    /// The endpoint has answered: the head of a response, or a connection where there is nothing more to time. The
    /// time since the pick counts as its latency; the rest (bodies, streams) does not. Only the first call counts.
    pub fn answered(&mut self, now: Moment) {
        if !std::mem::replace(&mut self.answered, true) {
            self.endpoint().state().observe(now.since(self.begun), now);
        }
    }

    /// Writes down how it ended. A success without [`Picked::answered`] is timed to here.
    pub fn finish(mut self, outcome: Outcome, now: Moment) {
        self.told = true;
        match outcome {
            Outcome::Success => {
                self.answered(now);
                self.endpoint().state().succeeded();
            }
            Outcome::Failure(kind) => self.failed(kind, now),
            Outcome::Neutral => self.endpoint().state().given_up(),
        }
    }

    fn failed(&self, kind: FailureKind, now: Moment) {
        let state = self.endpoint().state();
        // An endpoint that fails fast must not look like a fast one.
        state.observe(now.since(self.begun).max(FAILURE_LATENCY), now);
        let in_a_row = state.failed(kind);
        outlier::after_failure(&self.set, self.endpoint(), in_a_row, now);
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        let state = self.endpoint().state();
        if !self.told {
            state.given_up();
        }
        state.leave();
    }
}

/// What a failure costs in the latency average, at least.
const FAILURE_LATENCY: Duration = Duration::from_millis(250);
