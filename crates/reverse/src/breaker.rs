//! Circuit breakers of one upstream: how much of it may be under way at once. Over that: refused at once, by name.
//!
//! Counts are one a process; limits come with each question, so that a reload changes them and keeps the counts.
//! After Envoy's thresholds. Not here: errors and latency (`outlier.rs`), how often something is retried
//! (`budget.rs`), queues: what waits for a connection holds a permit of [`Bound::Pending`] meanwhile.

use crate::line::Line;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Connections to the upstream, idle ones excluded.
    Connections,
    /// Requests that wait for a connection.
    Pending,
    /// Requests under way, those that wait included.
    Requests,
    /// Of these, tries after the first.
    Retries,
}

impl Bound {
    /// The stable word of the refusal, for logs, metrics and `Proxy-Status` details.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connections => "breaker_connections",
            Self::Pending => "breaker_pending",
            Self::Requests => "breaker_requests",
            Self::Retries => "breaker_retries",
        }
    }
}

/// The most that may be under way at once. 0 lets nothing through; `u32::MAX` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerLimits {
    /// Default: no bound; `limits.connections` of the process holds.
    pub connections: u32,
    /// Default 1,024.
    pub pending: u32,
    /// Default: no bound.
    pub requests: u32,
    /// Default 64; the retry budget is usually narrower.
    pub retries: u32,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self { connections: u32::MAX, pending: 1_024, requests: u32::MAX, retries: 64 }
    }
}

impl BreakerLimits {
    const fn of(&self, bound: Bound) -> u32 {
        match bound {
            Bound::Connections => self.connections,
            Bound::Pending => self.pending,
            Bound::Requests => self.requests,
            Bound::Retries => self.retries,
        }
    }
}

/// A breaker is open: as much as it allows is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.word())]
pub struct Open(
    /// Which one.
    pub Bound,
);

/// What is under way in one upstream.
#[derive(Debug, Default)]
pub struct Breaker {
    used: [AtomicU32; 4],
    refused: [AtomicU32; 4],
    line: Arc<Line>,
}

impl Breaker {
    /// Lets one more through, until the permit is dropped.
    ///
    /// # Errors
    /// [`Open`] when `limits` has as many under way.
    pub fn enter(self: &Arc<Self>, bound: Bound, limits: &BreakerLimits) -> Result<Permit, Open> {
        let limit = limits.of(bound);
        let [used, refused] = [slot(&self.used, bound), slot(&self.refused, bound)];
        let more = |used: u32| (used < limit).then(|| used.saturating_add(1));
        if used.fetch_update(Relaxed, Relaxed, more).is_err() {
            refused.fetch_add(1, Relaxed);
            return Err(Open(bound));
        }
        Ok(Permit { breaker: Arc::clone(self), bound })
    }

    /// How much is under way.
    #[must_use]
    pub fn used(&self, bound: Bound) -> u32 {
        slot(&self.used, bound).load(Relaxed)
    }

    /// Those who wait for room.
    #[must_use]
    pub const fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Whether one more would be let through now.
    #[must_use]
    pub fn has_room(&self, bound: Bound, limits: &BreakerLimits) -> bool {
        slot(&self.used, bound).load(SeqCst) < limits.of(bound)
    }

    /// How often it was open, modulo 2^32.
    #[must_use]
    pub fn refused(&self, bound: Bound) -> u32 {
        slot(&self.refused, bound).load(Relaxed)
    }
}

/// One of what a breaker counts. Dropping it makes room.
#[derive(Debug)]
#[must_use = "the permit holds only while it lives"]
pub struct Permit {
    breaker: Arc<Breaker>,
    bound: Bound,
}

impl Drop for Permit {
    fn drop(&mut self) {
        slot(&self.breaker.used, self.bound).fetch_sub(1, SeqCst);
        match self.bound {
            Bound::Requests | Bound::Connections => self.breaker.line.next(),
            Bound::Pending | Bound::Retries => {}
        }
    }
}

const fn slot(counts: &[AtomicU32; 4], bound: Bound) -> &AtomicU32 {
    let [connections, pending, requests, retries] = counts;
    match bound {
        Bound::Connections => connections,
        Bound::Pending => pending,
        Bound::Requests => requests,
        Bound::Retries => retries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [Bound; 4] = [Bound::Connections, Bound::Pending, Bound::Requests, Bound::Retries];

    #[test]
    fn each_bound_opens_at_its_own_limit_and_says_its_name() {
        let breaker = Arc::new(Breaker::default());
        let limits = BreakerLimits { connections: 1, pending: 2, requests: 3, retries: 0 };
        for (bound, limit) in BOUNDS.into_iter().zip([1, 2, 3, 0]) {
            let held: Vec<_> = (0..limit).map(|_| breaker.enter(bound, &limits).unwrap()).collect();
            let open = breaker.enter(bound, &limits).unwrap_err();
            assert_eq!((open, open.to_string().as_str()), (Open(bound), bound.word()));
            assert_eq!((breaker.used(bound), breaker.refused(bound)), (limit, 1));
            drop(held);
            assert_eq!(breaker.used(bound), 0);
        }
    }

    #[test]
    fn a_reload_changes_the_limit_and_keeps_the_count() {
        let breaker = Arc::new(Breaker::default());
        let wide = BreakerLimits { requests: 10, ..BreakerLimits::default() };
        let held: Vec<_> = (0..10).map(|_| breaker.enter(Bound::Requests, &wide).unwrap()).collect();
        let narrow = BreakerLimits { requests: 3, ..wide };
        assert!(breaker.enter(Bound::Requests, &narrow).is_err());
        drop(held.into_iter().skip(2).collect::<Vec<_>>());
        assert!(breaker.enter(Bound::Requests, &narrow).is_ok());
    }

    #[test]
    fn permits_never_leak_and_the_limit_is_never_passed_whoever_races() {
        let breaker = Arc::new(Breaker::default());
        let limits = BreakerLimits { requests: 5, ..BreakerLimits::default() };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..20_000 {
                        let permit = breaker.enter(Bound::Requests, &limits);
                        assert!(breaker.used(Bound::Requests) <= 5);
                        if n % 3 == 0 {
                            drop(breaker.enter(Bound::Requests, &limits));
                        }
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(breaker.used(Bound::Requests), 0);
    }

    #[test]
    fn a_panic_gives_its_permit_back() {
        let breaker = Arc::new(Breaker::default());
        let inside = Arc::clone(&breaker);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _permit = inside.enter(Bound::Connections, &BreakerLimits::default());
            std::panic::resume_unwind(Box::new("on purpose"));
        }));
        assert!(panicked.is_err());
        assert_eq!(breaker.used(Bound::Connections), 0);
    }
}
