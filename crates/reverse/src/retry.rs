//! Whether a failed try may be followed by another: a pure answer from the failure, the request and the policy.
//!
//! RFC 9110 section 9.2.2: what was sent may be sent again only when the method is idempotent, or when it is known
//! that nothing of it was acted on. Not here: the budget that has to agree (`budget.rs`), the breaker, which endpoint
//! is next (`balance.rs` with the tried ones excluded), deadlines.

use crate::upstream::{FailureKind, Outcome};
use shoalway_types::{Failure, Retry, Side};

/// A set of HTTP statuses, 100 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    /// No status.
    #[must_use]
    pub const fn none() -> Self {
        Self([0; 8])
    }

    /// These; numbers outside 100 to 599 are passed over.
    #[must_use]
    pub fn of(statuses: impl IntoIterator<Item = u16>) -> Self {
        statuses.into_iter().fold(Self::none(), Self::with)
    }

    /// The set with one more.
    #[must_use]
    pub fn with(mut self, status: u16) -> Self {
        if let Some((word, bit)) = place(status)
            && let Some(word) = self.0.get_mut(word)
        {
            *word |= bit;
        }
        self
    }

    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        place(status).is_some_and(|(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }
}

fn place(status: u16) -> Option<(usize, u64)> {
    let offset = status.checked_sub(100).filter(|offset| *offset < 500)?;
    Some((usize::from(offset / 64), 1 << (offset % 64)))
}

/// When a try is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries of one request, the first included, 1 to 8. Default 3.
    pub tries: u8,
    /// Failures after which there may be another try. Default: all.
    pub on: RetryOn,
    /// Answers that count as failures of the endpoint and are tried elsewhere where that is safe. Default 502, 503, 504.
    pub statuses: StatusSet,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { tries: 3, on: RetryOn::default(), statuses: StatusSet::of([502, 503, 504]) }
    }
}

/// Which failures may be followed by another try, where that is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn {
    /// There was no connection: nothing was sent.
    pub connect: bool,
    /// The connection broke, or what came over it made no sense.
    pub broken: bool,
    /// There was no answer in time.
    pub timeout: bool,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self { connect: true, broken: true, timeout: true }
    }
}

impl RetryOn {
    /// Whether a try that ended so may be followed by another. Statuses are another matter.
    #[must_use]
    pub const fn covers(self, outcome: Outcome) -> bool {
        match outcome {
            // What failed on this machine was no connection either.
            Outcome::Neutral | Outcome::Failure(FailureKind::Connect) => self.connect,
            Outcome::Failure(FailureKind::Broken | FailureKind::Protocol) => self.broken,
            Outcome::Failure(FailureKind::Timeout) => self.timeout,
            Outcome::Failure(FailureKind::Status) | Outcome::Success => true,
        }
    }
}

/// How a try ended that was no plain success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Without an answer.
    Failed {
        /// Whose fault it was.
        side: Side,
        /// What the error says about trying again.
        retry: Retry,
    },
    /// With this status.
    Status(u16),
}

impl Ended {
    /// How a try ended with this error.
    #[must_use]
    pub fn failed(error: &impl Failure) -> Self {
        Self::Failed { side: error.side(), retry: error.retry() }
    }
}

/// One request after one of its tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Tries so far, this one included.
    pub number: u8,
    /// Whether its method is idempotent, RFC 9110 section 9.2.2.
    pub idempotent: bool,
    /// Whether all of its body can still be sent: there is none, or it was kept.
    pub replayable: bool,
    /// Whether the client has had a part of the answer.
    pub answer_begun: bool,
    /// How this try ended.
    pub ended: Ended,
}

/// Whether there is another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Yes, if the budget agrees.
    Yes,
    /// No.
    No(NoRetry),
}

/// Why there is no other try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRetry {
    /// The answer is one to pass on.
    Answered,
    /// The client has had a part of an answer.
    AnswerBegun,
    /// As many tries as the policy allows have been made.
    Tries,
    /// It would end the same way, or it is not the upstream's fault.
    Pointless,
    /// Something was sent, and the method is not idempotent.
    NotIdempotent,
    /// The body cannot be sent again.
    Body,
}

impl NoRetry {
    /// Its stable word for logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::AnswerBegun => "answer_begun",
            Self::Tries => "tries",
            Self::Pointless => "pointless",
            Self::NotIdempotent => "not_idempotent",
            Self::Body => "body",
        }
    }
}

impl RetryPolicy {
    /// Whether `tried` may be followed by another try.
    #[must_use]
    pub fn again(&self, tried: Tried) -> Again {
        match self.refusal(tried) {
            None => Again::Yes,
            Some(why) => Again::No(why),
        }
    }

    fn refusal(&self, tried: Tried) -> Option<NoRetry> {
        if tried.answer_begun {
            return Some(NoRetry::AnswerBegun);
        }
        let retry = match tried.ended {
            Ended::Status(status) if !self.statuses.contains(status) => return Some(NoRetry::Answered),
            Ended::Status(_) => Retry::IfIdempotent,
            Ended::Failed { side: Side::Client | Side::Policy, .. } => return Some(NoRetry::Pointless),
            Ended::Failed { side: Side::Upstream | Side::Local, retry } => retry,
        };
        let unsafe_again = match retry {
            Retry::Never => Some(NoRetry::Pointless),
            Retry::Safe => None,
            Retry::IfIdempotent => (!tried.idempotent).then_some(NoRetry::NotIdempotent),
        };
        unsafe_again
            .or_else(|| (!tried.replayable).then_some(NoRetry::Body))
            .or_else(|| (tried.number >= self.tries).then_some(NoRetry::Tries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_what_may_be_tried_again() {
        use NoRetry::{Answered, Body, NotIdempotent, Pointless, Tries};
        let failed = |side, retry| Ended::Failed { side, retry };
        let refused = failed(Side::Upstream, Retry::Safe);
        let broken = failed(Side::Upstream, Retry::IfIdempotent);
        for (ended, number, idempotent, replayable, wanted) in [
            (refused, 1, true, true, None),
            (refused, 1, false, true, None), // nothing was sent: even a POST
            (refused, 2, false, true, None),
            (refused, 3, true, true, Some(Tries)),
            (refused, 1, true, false, Some(Body)),
            (broken, 1, true, true, None),
            (broken, 1, false, true, Some(NotIdempotent)),
            (broken, 1, true, false, Some(Body)),
            (failed(Side::Upstream, Retry::Never), 1, true, true, Some(Pointless)),
            (failed(Side::Client, Retry::Safe), 1, true, true, Some(Pointless)),
            (failed(Side::Policy, Retry::Safe), 1, true, true, Some(Pointless)),
            (failed(Side::Local, Retry::Safe), 1, true, true, None),
            (Ended::Status(503), 1, true, true, None),
            (Ended::Status(503), 1, false, true, Some(NotIdempotent)),
            (Ended::Status(500), 1, true, true, Some(Answered)),
            (Ended::Status(200), 1, true, true, Some(Answered)),
        ] {
            let tried = Tried { number, idempotent, replayable, answer_begun: false, ended };
            let wanted = wanted.map_or(Again::Yes, Again::No);
            assert_eq!(RetryPolicy::default().again(tried), wanted, "{tried:?}");
            let begun = Tried { answer_begun: true, ..tried };
            assert_eq!(RetryPolicy::default().again(begun), Again::No(NoRetry::AnswerBegun));
        }
    }

    #[test]
    fn each_kind_of_failure_has_its_own_switch() {
        let none = RetryOn { connect: false, broken: false, timeout: false };
        use FailureKind::{Broken, Connect, Protocol, Timeout};
        for (on, kinds) in [
            (RetryOn { connect: true, ..none }, &[Connect][..]),
            (RetryOn { broken: true, ..none }, &[Broken, Protocol]),
            (RetryOn { timeout: true, ..none }, &[Timeout]),
            (none, &[]),
            (RetryOn::default(), &[Connect, Broken, Protocol, Timeout]),
        ] {
            for kind in [Connect, Broken, Protocol, Timeout] {
                assert_eq!(on.covers(Outcome::Failure(kind)), kinds.contains(&kind), "{on:?} {kind:?}");
            }
        }
    }

    #[test]
    fn statuses_are_a_set() {
        let set = StatusSet::of([100, 503, 599, 99, 600, 0]);
        let members: Vec<u16> = (0..=u16::MAX).filter(|status| set.contains(*status)).collect();
        assert_eq!(members, [100, 503, 599]);
        assert!(!StatusSet::none().contains(200));
    }
}
