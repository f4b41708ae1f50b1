//! Questions under way: one per name however many wait, both families at once, at most 1,024 names.
//!
//! A question owns its place in the table and gives it back when it ends, is dropped with its runtime, or
//! panics. The tables are striped by name, so that shards seldom meet at a lock; each is held for a table
//! look-up, never across an await.

use super::ResolverConfig;
use super::answer::Answer;
use super::cache::{Cache, Known, Outcome};
use super::error::ResolveError;
use super::source::{Asking, Family, Reply, Source};
use super::srv::{Services, bounded};
use shoalway_types::DomainName;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Waits for the outcome of a question that others may wait for too.
pub(super) type Waiting = watch::Receiver<Option<Outcome>>;

/// How a look-up begins.
pub(super) enum Begin {
    /// It is over.
    Known(Outcome),
    /// A question is under way.
    Asked(Waiting),
}

/// Cache and questions; clones share them.
#[derive(Clone)]
pub(super) struct Flight {
    shared: Arc<Shared>,
}

struct Shared {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: RandomState,
    under_way: AtomicUsize,
    source: Arc<dyn Source>,
    control: tokio::runtime::Handle,
    config: ResolverConfig,
}

struct Stripe {
    cache: Cache,
    asked: HashMap<DomainName, Waiting>,
}

impl Flight {
    /// No question, an empty cache.
    pub(super) fn new(
        config: ResolverConfig,
        source: Arc<dyn Source>,
        control: tokio::runtime::Handle,
    ) -> Self {
        let count = config.cache_entries.clamp(1, STRIPES);
        let room = config.cache_entries / count;
        let stripe = || Stripe { cache: Cache::new(room, config.stale_for), asked: HashMap::new() };
        Self {
            shared: Arc::new(Shared {
                stripes: (0..count).map(|_| Mutex::new(stripe())).collect(),
                hasher: RandomState::new(),
                under_way: AtomicUsize::new(0),
                source,
                control,
                config,
            }),
        }
    }

    /// The outcome of `name`, or the question whose end brings it: joined when there is one, else started.
    pub(super) fn begin(&self, name: &DomainName, now: Instant) -> Begin {
        let (begin, question) = {
            let mut stripe = self.shared.stripe(name);
            match stripe.cache.get(name, now) {
                Known::Fresh(outcome) => (Begin::Known(outcome), None),
                Known::Stale { answer, refresh } => {
                    let wanted = refresh && !stripe.asked.contains_key(name);
                    let question = if wanted { self.start(&mut stripe, name) } else { None };
                    (Begin::Known(Ok(answer)), question.map(|(question, _)| question))
                }
                Known::Nothing => match stripe.asked.get(name) {
                    Some(waiting) => (Begin::Asked(waiting.clone()), None),
                    None => match self.start(&mut stripe, name) {
                        Some((question, waiting)) => (Begin::Asked(waiting), Some(question)),
                        None => (Begin::Known(Err(ResolveError::Busy)), None),
                    },
                },
            }
        };
        // With the lock released: a runtime that has ended drops the question here, which takes the lock.
        if let Some(question) = question {
            // The task is not kept: its waits are bounded by the source, and it ends with the control runtime.
            drop(self.shared.control.spawn(question.run()));
        }
        begin
    }

    /// The places of a service, asked for on the control runtime.
    pub(super) async fn ask_services(&self, name: &DomainName) -> Result<Services, ResolveError> {
        let (source, name) = (Arc::clone(&self.shared.source), name.clone());
        // The source bounds the wait.
        let asked = self.shared.control.spawn(async move { source.ask_services(&name).await });
        let services = asked.await.map_err(|_runtime_ended| ResolveError::Closed)??;
        Ok(Services { ttl: bounded(services.ttl, &self.shared.config), ..services })
    }

    fn start(&self, stripe: &mut Stripe, name: &DomainName) -> Option<(Question, Waiting)> {
        if self.shared.under_way.fetch_add(1, Ordering::Relaxed) >= MAX_QUESTIONS {
            self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let (outcome, waiting) = watch::channel(None);
        stripe.asked.insert(name.clone(), waiting.clone());
        Some((Question { shared: Arc::clone(&self.shared), name: name.clone(), outcome }, waiting))
    }
}

impl Shared {
    fn stripe(&self, name: &DomainName) -> MutexGuard<'_, Stripe> {
        let hash = usize::try_from(self.hasher.hash_one(name) % STRIPES as u64).unwrap_or_default();
        #[expect(
            clippy::indexing_slicing,
            reason = "there is at least one stripe, and the index is modulo their number"
        )]
        let stripe = &self.stripes[hash % self.stripes.len()];
        // A panic under this lock leaves a table that is whole: every change is one insert or remove.
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question under way. Its end, however it comes, frees its place.
struct Question {
    shared: Arc<Shared>,
    name: DomainName,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Question {
    async fn run(self) {
        let source = Arc::clone(&self.shared.source);
        let mut v4 = source.ask(&self.name, Family::V4);
        let mut v6 = source.ask(&self.name, Family::V6);
        let (first, rest, patience) = tokio::select! {
            reply = &mut v4 => (reply, v6, LATE_V6),
            reply = &mut v6 => (reply, v4, LATE_V4),
        };
        let second = self.second(&first, rest, patience).await;
        self.publish(&first, Some(&second));
    }

    /// Waits for the other family; when it is late, those who wait get what there is.
    async fn second(&self, first: &Reply, mut rest: Asking<'_>, patience: Duration) -> Reply {
        if first.addresses.is_ok() {
            match timeout(patience, &mut rest).await {
                Ok(reply) => return reply,
                Err(_late) => self.publish(first, None),
            }
        }
        rest.await
    }

    fn publish(&self, first: &Reply, second: Option<&Reply>) {
        let (outcome, ttl) = merge(first, second, &self.shared.config);
        self.shared.stripe(&self.name).cache.put(&self.name, outcome.clone(), ttl, Instant::now());
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.shared.stripe(&self.name).asked.remove(&self.name);
        self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One outcome of both families. A failure of one never hides the addresses of the other, but then the outcome
/// is asked for again soon.
fn merge(first: &Reply, second: Option<&Reply>, config: &ResolverConfig) -> (Outcome, Duration) {
    let replies = || std::iter::once(first).chain(second);
    let ttl = replies().filter_map(|reply| reply.ttl).min();
    let found: Vec<_> =
        replies().filter_map(|reply| reply.addresses.as_ref().ok()).flatten().copied().collect();
    let failed =
        replies().find_map(|reply| reply.addresses.as_ref().err().filter(|error| !error.is_negative()));
    let not_found = replies().any(|reply| matches!(reply.addresses, Err(ResolveError::NotFound)));

    if !found.is_empty() {
        let positive = replies().filter(|reply| reply.addresses.is_ok()).filter_map(|reply| reply.ttl).min();
        let ttl = positive.unwrap_or_default().max(config.min_ttl).min(config.max_ttl);
        let whole = second.is_some() && failed.is_none();
        let ttl = if whole { ttl } else { ttl.min(HALF_TTL) };
        return (Ok(Answer::of(&found)), ttl);
    }
    match failed {
        // There is nothing below a name that does not exist (RFC 8020), whatever the other question met.
        _ if not_found => (Err(ResolveError::NotFound), negative(ttl, config)),
        Some(error) => (Err(error.clone()), FAILURE_TTL),
        None => (Err(ResolveError::NoAddress), negative(ttl, config)),
    }
}

/// RFC 2308 section 5: without an SOA a negative answer is not kept; the shortest time takes its place, so that
/// a client in a loop does not become a loop of questions.
fn negative(ttl: Option<Duration>, config: &ResolverConfig) -> Duration {
    ttl.unwrap_or_default().max(config.min_ttl).min(config.negative_ttl)
}

/// Most names being asked for at once. A name server that answers in 20 ms serves 50,000 new names a second.
const MAX_QUESTIONS: usize = 1_024;
/// Enough that shards do not meet; few enough that a small cache is not cut into crumbs.
const STRIPES: usize = 16;
/// How long AAAA may come after A, RFC 8305 section 3 (there 50 ms; longer, since all who wait share the answer).
const LATE_V6: Duration = Duration::from_millis(250);
/// How long A may come after AAAA. Longer: more machines have only IPv4 than have only IPv6.
const LATE_V4: Duration = Duration::from_secs(1);
/// How long half an answer is fresh.
const HALF_TTL: Duration = Duration::from_secs(30);
/// How long a failure is remembered, RFC 9520 section 3.2: at least 1 s.
const FAILURE_TTL: Duration = Duration::from_secs(1);
