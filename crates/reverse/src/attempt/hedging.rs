//! A second try beside the first of a request, to another endpoint: when, whether, and what is written down of both.
//!
//! Only what may be carried out twice and can be sent whole is hedged, never what asks for another protocol, and never a
//! client that has its own endpoint: its sessions are there. Each takes a token of the upstream's budget and a place among its
//! retries. An endpoint that was overtaken has taken at least so long, and its average says so. Not here: connections and
//! bytes (`http/h1/exchange`).

use super::Attempt;
use crate::breaker::{Bound, Permit};
use crate::http_gateway::backends::Way;
use crate::upstream::Picked;
use shoalway_http::service::{Failed, Hedged};
use shoalway_net::clock;
use shoalway_net::shard::Shard;
use std::rc::Rc;
use std::time::Duration;

/// When a second try begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HedgeAfter {
    /// After so long without an answer.
    Time(Duration),
    /// After what 95 of 100 answers of the upstream are faster than; not before a hundred have come.
    P95,
}

/// The second try of a request.
pub(super) struct Hedge {
    picked: Picked,
    _retrying: Permit,
}

impl Attempt {
    /// When a second try is to begin; none: never.
    #[must_use]
    pub fn hedge_after(&self) -> Option<Duration> {
        let backend = self.backend.as_ref()?;
        let after = backend.plan().hedge?;
        let may = self.wanted.idempotent && !self.wanted.upgrade && self.wanted.key.sticky.is_none();
        if !may {
            return None;
        }
        match after {
            HedgeAfter::Time(time) => Some(time),
            HedgeAfter::P95 => backend.upstream().p95(),
        }
    }

    /// Begins a second try, if there is another endpoint, and leave.
    pub fn hedge(&mut self, shard: &Rc<Shard>) -> Option<Way> {
        let backend = self.backend.as_ref()?;
        let upstream = backend.upstream();
        let moment = upstream.moment(clock::now());
        let mut exclude = self.exclude;
        if !exclude.add(self.picked.as_ref()?) {
            return None;
        }
        let picked = upstream.pick(&self.wanted.key, &exclude, moment)?;
        let retrying = upstream.enter(Bound::Retries).ok()?;
        upstream.hedge_token(moment)?.spend();
        upstream.count_hedge(false);
        let way = self.way(shard, backend, &picked, false);
        self.hedge = Some(Box::new(Hedge { picked, _retrying: retrying }));
        Some(way)
    }

    /// What became of the second try.
    pub fn hedge_over(&mut self, ended: Hedged<'_>) {
        let (Some(backend), Some(hedge)) = (&self.backend, self.hedge.take()) else { return };
        let Hedge { picked: second, _retrying } = *hedge;
        let upstream = backend.upstream();
        let moment = upstream.moment(clock::now());
        let judged = |failed: &Failed| super::judge(failed, true).0;
        match ended {
            Hedged::Lost => {}
            Hedged::Failed(failed) => second.finish(judged(failed), moment),
            Hedged::Won => {
                upstream.count_hedge(true);
                if let Some(mut overtaken) = self.picked.replace(second) {
                    overtaken.answered(moment);
                }
            }
            Hedged::Alone(failed) => {
                if let Some(first) = self.picked.replace(second) {
                    let _room: bool = self.exclude.add(&first);
                    first.finish(judged(failed), moment);
                }
                self.try_until = self.wanted.deadlines.per_try.map(|limit| clock::now() + limit);
            }
        }
    }
}
