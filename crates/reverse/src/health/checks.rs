//! Keeps the endpoints of one upstream checked: a task an endpoint, and one that follows the set and sweeps outliers.
//!
//! Runs on one shard for the whole process; results land in the endpoints' shared states. An endpoint that stays in the set
//! keeps its task over discoveries and an operator's changes. Without checks configured, verdicts are forgotten, so that an
//! endpoint that was down when checks were turned off is not down for ever. Not here: what a check is (`probe.rs`), what its
//! results mean (`health.rs`).

use super::probe::{Probe, Prober};
use super::{Checked, Health, HealthConfig};
use crate::dice::Dice;
use crate::outlier;
use crate::upstream::{EndpointKey, EndpointState, Upstream, Verdict};
use shoalway_net::shard::Shard;
use shoalway_net::tasks::TaskGroup;
use shoalway_types::Sensitive;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The active checks of an upstream as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecksConfig {
    /// What is checked.
    pub probe: Probe,
    /// How often, and how many results decide.
    pub health: HealthConfig,
}

/// The checks of one upstream. They end when this is dropped; the snapshot that replaces it starts its own.
#[derive(Debug)]
pub struct Checks {
    tasks: TaskCount,
    _stop: watch::Sender<()>,
}

/// The tasks' group, which has no form to print.
struct TaskCount(TaskGroup);

impl std::fmt::Debug for TaskCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tasks", self.0.alive())
    }
}

impl Checks {
    /// Begins to check the endpoints of `upstream` on this shard, and to sweep its outliers. To be called once for each
    /// upstream of a snapshot, with or without checks.
    #[must_use = "dropped at once nothing is checked"]
    pub fn start(
        upstream: Arc<Upstream>,
        config: Option<ChecksConfig>,
        prober: Prober,
        shard: &Rc<Shard>,
    ) -> Self {
        let tasks = TaskGroup::new("checks");
        let (stop, stopped) = watch::channel(());
        let follower = Follower {
            upstream,
            config,
            prober,
            shard: Rc::clone(shard),
            tasks: tasks.clone(),
            running: RefCell::default(),
        };
        tasks.spawn(async move { follower.run(stopped).await });
        Self { tasks: TaskCount(tasks), _stop: stop }
    }

    /// Tasks that run: one for the set and one for each endpoint that is checked.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tasks.0.alive()
    }
}

/// Follows the set of an upstream.
struct Follower {
    upstream: Arc<Upstream>,
    config: Option<ChecksConfig>,
    prober: Prober,
    shard: Rc<Shard>,
    tasks: TaskGroup,
    /// Dropping a sender ends the endpoint's task.
    running: RefCell<HashMap<EndpointKey, watch::Sender<()>>>,
}

impl Follower {
    async fn run(self, mut stopped: watch::Receiver<()>) {
        let mut changed = self.upstream.changes();
        let interval = self.upstream.config().outlier.interval.max(SHORTEST_SWEEP);
        let sweeps = !self.upstream.config().outlier.is_off();
        let mut sweep_at = Instant::now() + interval;
        loop {
            changed.mark_unchanged();
            self.adopt();
            tokio::select! {
                // Nothing is ever sent: this is the end of whoever holds the other side.
                _ = stopped.changed() => return,
                changed = changed.changed() => if changed.is_err() { return },
                () = sleep_until(sweep_at), if sweeps => {
                    sweep_at = Instant::now() + interval;
                    outlier::sweep(&self.upstream.set(), self.upstream.moment(Instant::now()));
                }
            }
        }
    }

    /// Starts checks of endpoints that are new and ends those of endpoints that are gone.
    fn adopt(&self) {
        let set = self.upstream.set();
        let Some(config) = &self.config else {
            let now = self.upstream.moment(Instant::now());
            set.endpoints().iter().for_each(|endpoint| endpoint.state().set_verdict(Verdict::Unknown, now));
            return;
        };
        let mut before = self.running.take();
        let wanted = set.endpoints().iter().filter(|endpoint| config.probe.fits(endpoint.key().scheme));
        let running = wanted.map(|endpoint| {
            let task = before.remove(endpoint.key()).unwrap_or_else(|| self.check(config, endpoint.state()));
            (endpoint.key().clone(), task)
        });
        self.running.replace(running.collect());
    }

    fn check(&self, config: &ChecksConfig, state: &Arc<EndpointState>) -> watch::Sender<()> {
        let (stop, stopped) = watch::channel(());
        let checker = Checker {
            upstream: Arc::clone(&self.upstream),
            state: Arc::clone(state),
            config: config.clone(),
            prober: self.prober.clone(),
            shard: Rc::clone(&self.shard),
            dice: Dice::from_system(),
        };
        self.tasks.spawn(checker.run(stopped));
        stop
    }
}

/// Checks one endpoint.
struct Checker {
    upstream: Arc<Upstream>,
    state: Arc<EndpointState>,
    config: ChecksConfig,
    prober: Prober,
    shard: Rc<Shard>,
    dice: Dice,
}

impl Checker {
    async fn run(self, mut stopped: watch::Receiver<()>) {
        let mut health = Health::new(self.state.verdict());
        let mut wait = Health::first_wait(&self.config.health, self.dice.roll());
        loop {
            let work = async {
                sleep(wait).await;
                let (probe, limit) = (&self.config.probe, self.config.health.timeout);
                self.prober.check_on(&self.shard, self.state.key(), probe, limit).await
            };
            let result = tokio::select! {
                _ = stopped.changed() => return,
                result = work => result,
            };
            let word = result.as_ref().map_or_else(super::probe::ProbeFailure::word, |()| "ok");
            let checked = if result.is_ok() { Checked::Passed } else { Checked::Failed };
            self.state.checked(word);
            if let Some(verdict) = health.report(checked, &self.config.health) {
                self.tell(verdict, word);
            }
            wait = health.wait(&self.config.health, self.dice.roll());
        }
    }

    fn tell(&self, verdict: Verdict, why: &'static str) {
        let upstream: &str = &self.upstream.config().name;
        let endpoint = Sensitive(self.state.key());
        match verdict {
            Verdict::Down => tracing::warn!(upstream, %endpoint, why, "endpoint is down"),
            Verdict::Up | Verdict::Unknown => tracing::info!(upstream, %endpoint, "endpoint is up"),
        }
        self.state.set_verdict(verdict, self.upstream.moment(Instant::now()));
    }
}

/// Sweeps come no more often, whatever the configuration says.
const SHORTEST_SWEEP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
