//! An upstream: a named group of endpoints, its balancing, its bounds; changed at run time without a reload.
//!
//! What is where: [`EndpointSpec`] an endpoint as written, [`EndpointState`] how it fares, [`UpstreamSet`] the list at one
//! moment with the choice among it, [`Picked`] one use of an endpoint, [`Registry`] what outlives a reload, [`Change`]
//! what an operator may do meanwhile. An [`Upstream`] belongs to a snapshot; its set is swapped when discovery or the
//! operator change it. Not here: connections, requests, what is discovered (`discovery.rs`).

mod change;
mod endpoint;
mod ewma;
mod latency;
mod levels;
mod picked;
mod registry;
mod set;
mod state;

pub use change::{Change, ChangeError, Source};
pub use endpoint::{Address, EndpointError, EndpointKey, EndpointSpec, MAX_PRIORITY, MAX_WEIGHT, Scheme};
pub use ewma::DECAY;
pub use levels::Percent;
pub use picked::{FailureKind, Outcome, Picked};
pub use registry::{FORGET, Registry};
pub use set::{Availability, Endpoint, UpstreamSet};
pub use state::{EndpointState, Totals, Verdict};

use crate::balance::{BalanceConfig, Exclude, PickKey};
use crate::breaker::{Bound, Breaker, BreakerLimits, Open, Permit};
use crate::budget::{BudgetConfig, Token};
use crate::discovery::Finder;
use crate::line::{LineConfig, Place};
use crate::moment::Moment;
use crate::outlier::OutlierConfig;
use arc_swap::ArcSwap;
use change::Parts;
use registry::Group;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// An upstream as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamConfig {
    /// Its name, by which states are found again after a reload; the same in every configuration for the same thing.
    pub name: Arc<str>,
    /// The endpoints that stand in the configuration.
    pub endpoints: Vec<EndpointSpec>,
    /// Where more are found at run time.
    pub finders: Vec<Finder>,
    /// How requests are spread.
    pub balance: BalanceConfig,
    /// When an endpoint is put aside for its failures.
    pub outlier: OutlierConfig,
    /// How much may be under way.
    pub breaker: BreakerLimits,
    /// How much may be retried.
    pub retries: BudgetConfig,
    /// How much may be hedged. Default: nothing.
    pub hedges: BudgetConfig,
}

impl UpstreamConfig {
    /// An upstream of these endpoints with every default.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, endpoints: Vec<EndpointSpec>) -> Self {
        Self {
            name: name.into(),
            endpoints,
            finders: Vec::new(),
            balance: BalanceConfig::default(),
            outlier: OutlierConfig::default(),
            breaker: BreakerLimits::default(),
            retries: BudgetConfig::RETRIES,
            hedges: BudgetConfig::NOTHING,
        }
    }
}

/// One upstream. Shared by all shards.
#[derive(Debug)]
pub struct Upstream {
    group: Arc<Group>,
    config: UpstreamConfig,
    current: ArcSwap<UpstreamSet>,
    /// Told after each swap.
    changed: watch::Sender<()>,
    /// What the current set was made of; held while the next one is made.
    parts: Mutex<Parts>,
}

impl Upstream {
    /// The upstream of a configuration. Endpoints that the registry knows keep their state, and what a finder found for
    /// the snapshot before is there from the start.
    #[must_use]
    pub fn new(registry: &Registry, config: UpstreamConfig, now: Moment) -> Self {
        let group = registry.group(&config.name, now);
        let sources: Vec<Source> = config.finders.iter().map(Finder::source).collect();
        let parts = Parts::new(config.endpoints.clone(), group.take_over(&sources));
        let set = UpstreamSet::build(&group, parts.list(), &config.balance, config.outlier, now);
        let current = ArcSwap::from_pointee(set);
        Self { group, config, current, changed: watch::Sender::new(()), parts: Mutex::new(parts) }
    }

    /// As configured.
    #[must_use]
    pub const fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// The moment of an instant, for all that wants one.
    #[must_use]
    pub fn moment(&self, at: tokio::time::Instant) -> Moment {
        self.group.epoch.moment(at)
    }

    /// The endpoints as they are now. One request works on one set.
    #[must_use]
    pub fn set(&self) -> Arc<UpstreamSet> {
        self.current.load_full()
    }

    /// Becomes ready after each change of the set; closes with the upstream.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Chooses an endpoint of the current set: [`UpstreamSet::pick`].
    #[must_use = "dropped at once it is an endpoint that was given up"]
    pub fn pick(&self, key: &PickKey, exclude: &Exclude, now: Moment) -> Option<Picked> {
        self.current.load().pick(key, exclude, now)
    }

    /// Lets one more connection, waiting request, request or retry through.
    ///
    /// # Errors
    /// [`Open`] when as many as the configuration allows are under way.
    pub fn enter(&self, bound: Bound) -> Result<Permit, Open> {
        self.group.breaker.enter(bound, &self.config.breaker)
    }

    /// Goes to the end of the line of those who wait for room under these bounds; for how long at most.
    pub fn wait_in_line(&self, config: LineConfig, now: Moment) -> (Place, Duration) {
        let (breaker, limits) = (&self.group.breaker, &self.config.breaker);
        let free =
            || breaker.has_room(Bound::Requests, limits) && breaker.has_room(Bound::Connections, limits);
        breaker.line().join(config, now, free)
    }

    /// What is under way, for `status` and metrics.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.group.breaker
    }

    /// A request makes its first try: it pays into the budgets.
    pub fn first_try(&self) {
        self.group.retries.deposit(&self.config.retries);
        self.group.hedges.deposit(&self.config.hedges);
    }

    /// A token for a retry, if the budget has one; to be spent when the retry is sent.
    #[must_use = "dropped unspent, the token goes back"]
    pub fn retry_token(&self, now: Moment) -> Option<Token> {
        self.group.retries.withdraw(&self.config.retries, now)
    }

    /// A token for a hedge, if the budget has one; to be spent when the hedge is sent.
    #[must_use = "dropped unspent, the token goes back"]
    pub fn hedge_token(&self, now: Moment) -> Option<Token> {
        self.group.hedges.withdraw(&self.config.hedges, now)
    }

    /// An answer took so long, for [`Upstream::p95`].
    pub(crate) fn took(&self, latency: Duration) {
        self.group.latencies.observe(latency);
    }

    /// What 95 of 100 answers are faster than; none while too few were measured, or nobody asked for it to be.
    #[must_use]
    pub fn p95(&self) -> Option<Duration> {
        self.group.latencies.p95()
    }

    /// Counts a second try that begins, or that has answered first.
    pub(crate) fn count_hedge(&self, won: bool) {
        let [begun, first] = &self.group.hedged;
        if won { first } else { begun }.fetch_add(1, Relaxed);
    }

    /// Second tries beside slow ones, and how many of them answered first.
    #[must_use]
    pub fn hedged(&self) -> (u64, u64) {
        let [begun, first] = &self.group.hedged;
        (begun.load(Relaxed), first.load(Relaxed))
    }

    /// Does what an operator asks. Drain and weight last as long as the endpoint's state, over reloads too; what was added
    /// or removed lasts until the next reload builds this upstream from its configuration.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub fn apply(&self, change: &Change, now: Moment) -> Result<(), ChangeError> {
        self.rebuild(now, |parts, set| parts.apply(change, set, now))
    }

    /// Replaces what one source of discovery has found.
    pub fn discovered(&self, source: Source, endpoints: Vec<EndpointSpec>, now: Moment) {
        let replaced: Result<(), std::convert::Infallible> = self.rebuild(now, |parts, _set| {
            self.group.discovered(source, &endpoints);
            parts.discovered(source, endpoints);
            Ok(())
        });
        let Ok(()) = replaced;
    }

    fn rebuild<E>(
        &self,
        now: Moment,
        edit: impl FnOnce(&mut Parts, &UpstreamSet) -> Result<(), E>,
    ) -> Result<(), E> {
        // A panic under this lock leaves lists that are whole, and the set as it was.
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut parts, &self.current.load())?;
        let UpstreamConfig { balance, outlier, .. } = &self.config;
        let set = UpstreamSet::build(&self.group, parts.list(), balance, *outlier, now);
        self.current.store(Arc::new(set));
        self.changed.send_replace(());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
