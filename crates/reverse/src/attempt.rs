//! One request's tries: which endpoint, under which bounds, whether once more, and what is written down of each.
//!
//! ```text
//! begin: breaker -> deposit -> pick ─> try ─> answered ──────────────> settle (success, or a status that counts as failure)
//!                       ^               └─> failed, or such a status ─> again? policy, deadline, budget, breaker, pick ─┐
//!                       └──────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! When nobody in the group can be picked its fallback is asked, once. One value a connection, used again for each request:
//! nothing here allocates. A second try beside a slow one is in `hedging.rs`. Not here: connections
//! (`http_gateway/backends.rs`), messages.

mod hedging;

pub use hedging::HedgeAfter;

use self::hedging::Hedge;
use crate::balance::{Exclude, PickKey};
use crate::breaker::{Bound, Open, Permit};
use crate::http_gateway::backends::{BackendOnShard, Way};
use crate::http_gateway::told::Told;
use crate::moment::Moment;
use crate::retry::{Again, Ended, Tried};
use crate::site_plan::Backend;
use crate::upstream::{FailureKind, Outcome, Picked};
use shoalway_http::service::Failed;
use shoalway_net::clock;
use shoalway_net::connect::ConnectErrorKind;
use shoalway_net::shard::Shard;
use shoalway_types::{Failure, Retry, Side};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Why a request goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A breaker is open.
    Breaker(Open),
    /// It has waited in line for as long as it may.
    Late,
    /// There is no endpoint that could serve.
    NobodyLeft,
}

impl Refused {
    /// Its word for the log and for details.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Breaker(Open(bound)) => bound.word(),
            Self::Late => "queue_time",
            Self::NobodyLeft => "no_healthy_upstream",
        }
    }

    /// The error type of RFC 9209 section 2.3.
    #[must_use]
    pub const fn proxy_status(self) -> &'static str {
        match self {
            Self::Breaker(_) | Self::Late => "connection_limit_reached",
            Self::NobodyLeft => "destination_unavailable",
        }
    }
}

/// What a request may take.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadlines {
    /// All tries together.
    pub total: Option<Duration>,
    /// One try.
    pub per_try: Option<Duration>,
}

/// What counts of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// What its endpoint is chosen by.
    pub key: PickKey,
    /// Its method may be carried out twice: RFC 9110 section 9.2.2.
    pub idempotent: bool,
    /// It asks for another protocol.
    pub upgrade: bool,
    /// What it may take.
    pub deadlines: Deadlines,
}

/// What the tries of one request have come to.
#[derive(Default)]
pub struct Attempt {
    /// The client's connection, where endpoints are told of it.
    told: Option<Rc<Told>>,
    backend: Option<Rc<BackendOnShard>>,
    picked: Option<Picked>,
    /// Requests and connections.
    permits: [Option<Permit>; 2],
    retrying: Option<Permit>,
    hedge: Option<Box<Hedge>>,
    begun: Option<Instant>,
    exclude: Exclude,
    wanted: Wanted,
    number: u8,
    total_until: Option<Instant>,
    try_until: Option<Instant>,
    /// The answer that is passed on counts as a failure.
    bad_status: bool,
}

impl Attempt {
    /// What endpoints that want to know are told of the client's connection.
    pub fn tell(&mut self, told: Rc<Told>) {
        self.told = Some(told);
    }

    /// The first try of a request.
    ///
    /// # Errors
    /// [`Refused`]: it is to be answered with 503.
    pub fn begin(
        &mut self,
        shard: &Rc<Shard>,
        backend: &Rc<BackendOnShard>,
        wanted: Wanted,
    ) -> Result<Way, Refused> {
        let now = clock::now();
        self.clear();
        self.wanted = wanted;
        self.begun = Some(now);
        self.total_until = wanted.deadlines.total.map(|total| now + total);
        match self.enter(shard, backend, now) {
            Ok(way) => Ok(way),
            Err(refused) => {
                let fallback = backend.fallback().map(Rc::clone).ok_or(refused)?;
                self.enter(shard, &fallback, now)
            }
        }
    }

    fn enter(
        &mut self,
        shard: &Rc<Shard>,
        backend: &Rc<BackendOnShard>,
        now: Instant,
    ) -> Result<Way, Refused> {
        let upstream = backend.upstream();
        let limits = upstream.config().breaker;
        let requests = upstream.enter(Bound::Requests).map_err(Refused::Breaker)?;
        // Without a bound nobody asks how many there are: one shared counter less.
        let connections = match limits.connections {
            u32::MAX => None,
            _ => Some(upstream.enter(Bound::Connections).map_err(Refused::Breaker)?),
        };
        let moment = upstream.moment(now);
        let picked = upstream.pick(&self.wanted.key, &self.exclude, moment).ok_or(Refused::NobodyLeft)?;
        upstream.first_try();
        self.permits = [Some(requests), connections];
        self.number += 1;
        Ok(self.go(shard, backend, picked, now))
    }

    fn go(&mut self, shard: &Rc<Shard>, backend: &Rc<BackendOnShard>, picked: Picked, now: Instant) -> Way {
        let way = self.way(shard, backend, &picked, self.wanted.upgrade);
        self.try_until = self.wanted.deadlines.per_try.map(|limit| now + limit);
        self.picked = Some(picked);
        if self.backend.as_ref().is_none_or(|before| !Rc::ptr_eq(before, backend)) {
            self.backend = Some(Rc::clone(backend));
        }
        way
    }

    fn way(&self, shard: &Rc<Shard>, backend: &Rc<BackendOnShard>, picked: &Picked, upgrade: bool) -> Way {
        let own = self.told.as_ref().and_then(|told| told.way(backend, picked));
        own.unwrap_or_else(|| backend.way(shard, picked, upgrade))
    }

    /// How long the current try may still take until its answer begins.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        let until = match (self.total_until, self.try_until) {
            (Some(total), Some(one)) => total.min(one),
            (Some(until), None) | (None, Some(until)) => until,
            (None, None) => return None,
        };
        Some(until.saturating_duration_since(clock::now()))
    }

    /// The endpoint that the current try goes to.
    #[must_use]
    pub const fn picked(&self) -> Option<&Picked> {
        self.picked.as_ref()
    }

    /// Whether this request may be sent again with its content.
    #[must_use]
    pub fn keeps_uploads(&self) -> bool {
        let again = |plan: &Backend| plan.retry.tries > 1 || plan.hedge.is_some();
        self.wanted.idempotent && self.backend.as_ref().is_some_and(|backend| again(backend.plan()))
    }

    /// The head of a final answer is here.
    pub fn answered(&mut self, status: u16) {
        let Some(backend) = &self.backend else { return };
        self.bad_status = backend.plan().retry.statuses.contains(status);
        if let (Some(HedgeAfter::P95), Some(begun)) = (backend.plan().hedge, self.begun.take()) {
            backend.upstream().took(clock::now().saturating_duration_since(begun));
        }
        if let Some(picked) = &mut self.picked {
            picked.answered(backend.upstream().moment(clock::now()));
        }
    }

    /// Another try after one that brought no answer; `sent` says that something of the request was sent.
    pub fn again_after(&mut self, shard: &Rc<Shard>, failed: &Failed, sent: bool) -> Option<Way> {
        let (outcome, side, retry) = judge(failed, sent);
        if !self.backend.as_ref()?.plan().retry.on.covers(outcome) {
            return None;
        }
        self.again(shard, outcome, Ended::Failed { side, retry })
    }

    /// Another try instead of an answer with this status.
    pub fn again_instead_of(&mut self, shard: &Rc<Shard>, status: u16) -> Option<Way> {
        if !self.bad_status {
            return None;
        }
        self.again(shard, Outcome::Failure(FailureKind::Status), Ended::Status(status))
    }

    fn again(&mut self, shard: &Rc<Shard>, outcome: Outcome, ended: Ended) -> Option<Way> {
        let backend = Rc::clone(self.backend.as_ref()?);
        let now = clock::now();
        let tried = Tried {
            number: self.number,
            idempotent: self.wanted.idempotent,
            replayable: true,
            answer_begun: false,
            ended,
        };
        let in_time = self.total_until.is_none_or(|until| now < until);
        if !in_time || backend.plan().retry.again(tried) != Again::Yes {
            return None;
        }
        let upstream = backend.upstream();
        let moment = upstream.moment(now);
        let token = upstream.retry_token(moment)?;
        let permit = upstream.enter(Bound::Retries).ok()?;
        if let Some(picked) = &self.picked {
            let _room: bool = self.exclude.add(picked);
        }
        let way = match upstream.pick(&self.wanted.key, &self.exclude, moment) {
            Some(next) => {
                self.finish(outcome, moment);
                self.number += 1;
                self.go(shard, &backend, next, now)
            }
            None => self.fall_back(shard, &backend, outcome, moment, now)?,
        };
        self.retrying = Some(permit);
        token.spend();
        Some(way)
    }

    /// The group has nobody left for this request.
    fn fall_back(
        &mut self,
        shard: &Rc<Shard>,
        backend: &BackendOnShard,
        outcome: Outcome,
        moment: Moment,
        now: Instant,
    ) -> Option<Way> {
        let fallback = Rc::clone(backend.fallback()?);
        let failed = self.picked.take();
        match self.enter(shard, &fallback, now) {
            Ok(way) => {
                if let Some(failed) = failed {
                    failed.finish(outcome, moment);
                }
                Some(way)
            }
            Err(_refused) => {
                self.picked = failed;
                None
            }
        }
    }

    /// The request ends without an answer from the endpoint.
    pub fn failed(&mut self, failed: &Failed) {
        let (outcome, ..) = judge(failed, true);
        self.end(outcome);
    }

    /// The request has ended with this word of the engine.
    pub fn settle(&mut self, outcome: &str) {
        if self.picked.is_some() {
            self.end(match outcome {
                "ok" if self.bad_status => Outcome::Failure(FailureKind::Status),
                "ok" => Outcome::Success,
                "http_response_incomplete" => Outcome::Failure(FailureKind::Broken),
                "http_protocol_error" => Outcome::Failure(FailureKind::Protocol),
                "http_response_timeout" => Outcome::Failure(FailureKind::Timeout),
                _the_client_or_we => Outcome::Neutral,
            });
        }
        self.clear();
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(backend) = &self.backend {
            let moment = backend.upstream().moment(clock::now());
            self.finish(outcome, moment);
        }
    }

    fn finish(&mut self, outcome: Outcome, moment: Moment) {
        if let Some(picked) = self.picked.take() {
            picked.finish(outcome, moment);
        }
    }

    fn clear(&mut self) {
        self.picked = None;
        self.permits = [None, None];
        self.retrying = None;
        self.hedge = None;
        self.begun = None;
        self.exclude = Exclude::nobody();
        self.number = 0;
        self.total_until = None;
        self.try_until = None;
        self.bad_status = false;
    }
}

/// Whether a request came to nothing because of those it was sent to.
#[must_use]
pub fn is_upstreams_fault(failed: &Failed) -> bool {
    judge(failed, true).1 == Side::Upstream
}

/// What a failure says about the endpoint, whose fault it is, and whether it may be tried again.
fn judge(failed: &Failed, sent: bool) -> (Outcome, Side, Retry) {
    let after = if sent { Retry::IfIdempotent } else { Retry::Safe };
    match failed {
        Failed::Connect(error) => {
            let retry = match error.kind {
                // A name that does not exist is one endpoint's: another one may have a better name.
                ConnectErrorKind::NameNotFound | ConnectErrorKind::ProxyAuth => Retry::Safe,
                ConnectErrorKind::Dns
                | ConnectErrorKind::Timeout
                | ConnectErrorKind::Refused
                | ConnectErrorKind::Unreachable
                | ConnectErrorKind::Reset
                | ConnectErrorKind::Forbidden
                | ConnectErrorKind::Tls
                | ConnectErrorKind::Proxy
                | ConnectErrorKind::Local => error.retry(),
            };
            let outcome = match error.side() {
                Side::Upstream => Outcome::Failure(FailureKind::Connect),
                Side::Client | Side::Policy | Side::Local => Outcome::Neutral,
            };
            (outcome, error.side(), retry)
        }
        Failed::UpstreamClosed => (Outcome::Failure(FailureKind::Broken), Side::Upstream, after),
        Failed::UpstreamTimeout => (Outcome::Failure(FailureKind::Timeout), Side::Upstream, after),
        Failed::BadAnswer(_) => {
            (Outcome::Failure(FailureKind::Protocol), Side::Upstream, Retry::IfIdempotent)
        }
        Failed::Refused(_) | Failed::ClientTimeout => (Outcome::Neutral, Side::Client, Retry::Never),
        Failed::Ended => (Outcome::Neutral, Side::Policy, Retry::Never),
    }
}
