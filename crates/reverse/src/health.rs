//! Active checks: when an endpoint counts as down, and as up again. The machine without I/O.
//!
//! ```text
//!            first result decides            `fall` failures in a row
//! Unknown ───────────────────────> Up ────────────────────────────────> Down
//!                                  ^       `rise` passes in a row          │
//!                                  └───────────────────────────────────────┘
//! ```
//! While a verdict is in doubt (the last result speaks against it) the next check comes after `fast`, not `every`. Times
//! are spread by `jitter`, so that many proxies and endpoints do not check in step. What is where: [`probe`] one check over
//! the network, [`checks`] the driver that keeps all endpoints of an upstream checked. Not here: passive signs
//! (`outlier.rs`). gRPC health checks (grpc.health.v1) need an HTTP/2 client and are a kind of their own.

pub mod checks;
pub mod grpc;
pub mod probe;

use crate::dice::below;
use crate::upstream::Verdict;
use std::time::Duration;

/// How often is checked, and how many results decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthConfig {
    /// Between checks while all is clear. Default 5 s.
    pub every: Duration,
    /// Between checks while a verdict is in doubt. Default 1 s.
    pub fast: Duration,
    /// The longest a check may take, connecting included. Default 2 s.
    pub timeout: Duration,
    /// Passes in a row that make an endpoint up, 1 and more. Default 2.
    pub rise: u32,
    /// Failures in a row that make it down, 1 and more. Default 3.
    pub fall: u32,
    /// How far the times are spread, in percent up and down, 0 to 50. Default 10.
    pub jitter: u8,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            fast: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            jitter: 10,
        }
    }
}

/// Whether a check passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It did.
    Passed,
    /// It did not.
    Failed,
}

/// What the checks of one endpoint say so far.
#[derive(Debug)]
pub struct Health {
    verdict: Verdict,
    /// Results in a row that speak against the verdict.
    against: u32,
}

impl Health {
    /// Begins with a verdict that is known already, or with [`Verdict::Unknown`].
    #[must_use]
    pub const fn new(verdict: Verdict) -> Self {
        Self { verdict, against: 0 }
    }

    /// What the checks say.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes one result. `Some`: the verdict has changed to this.
    pub fn report(&mut self, checked: Checked, config: &HealthConfig) -> Option<Verdict> {
        let (says, needed) = match checked {
            Checked::Passed => (Verdict::Up, config.rise),
            Checked::Failed => (Verdict::Down, config.fall),
        };
        if self.verdict == says {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.verdict != Verdict::Unknown && self.against < needed {
            return None;
        }
        *self = Self::new(says);
        Some(says)
    }

    /// How long until the next check; `random` are 64 bits by chance.
    #[must_use]
    pub fn wait(&self, config: &HealthConfig, random: u64) -> Duration {
        let wait = if self.against > 0 { config.fast.min(config.every) } else { config.every };
        let percent = below(random, 2 * usize::from(config.jitter.min(50)) + 1);
        let percent = 100 - u32::from(config.jitter.min(50)) + u32::try_from(percent).unwrap_or(0);
        wait * percent / 100
    }

    /// How long until the first check: a part of `fast`, so that a start knows soon and does not check all at once.
    #[must_use]
    pub fn first_wait(config: &HealthConfig, random: u64) -> Duration {
        let percent = u32::try_from(below(random, 100)).unwrap_or(0);
        config.fast.min(config.every) * percent / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` a pass, `-` a failure; each answered by `U`, `D` when the verdict changes, else `.`.
    fn run(verdict: Verdict, results: &str) -> String {
        let mut health = Health::new(verdict);
        let one = |result: char| {
            let checked = if result == '+' { Checked::Passed } else { Checked::Failed };
            match health.report(checked, &HealthConfig::default()) {
                Some(Verdict::Up) => 'U',
                Some(Verdict::Down) => 'D',
                Some(Verdict::Unknown) => '?',
                None => '.',
            }
        };
        results.chars().map(one).collect()
    }

    #[test]
    fn verdicts_change_after_enough_results_in_a_row() {
        for (verdict, results, wanted) in [
            (Verdict::Unknown, "+", "U"),
            (Verdict::Unknown, "-", "D"),
            (Verdict::Up, "---", "..D"),
            (Verdict::Up, "--+--+---", "........D"),
            (Verdict::Down, "++", ".U"),
            (Verdict::Down, "+-+-++", ".....U"),
            (Verdict::Unknown, "+---++---", "U..D.U..D"),
            (Verdict::Up, "+++++", "....."),
        ] {
            assert_eq!(run(verdict, results), wanted, "{verdict:?} {results}");
        }
    }

    #[test]
    fn a_verdict_in_doubt_is_checked_faster() {
        let config = HealthConfig { jitter: 0, ..HealthConfig::default() };
        let mut health = Health::new(Verdict::Up);
        assert_eq!(health.wait(&config, 0), config.every);
        health.report(Checked::Failed, &config);
        assert_eq!(health.wait(&config, u64::MAX), config.fast);
        health.report(Checked::Passed, &config);
        assert_eq!(health.wait(&config, 0), config.every);
    }

    #[test]
    fn times_are_spread_by_the_jitter_and_no_further() {
        let (config, health) = (HealthConfig::default(), Health::new(Verdict::Up));
        assert_eq!(health.wait(&config, 0), Duration::from_millis(4_500));
        assert_eq!(health.wait(&config, u64::MAX), Duration::from_millis(5_500));
        assert_eq!(Health::first_wait(&config, 0), Duration::ZERO);
        assert!(Health::first_wait(&config, u64::MAX) < config.fast);
        let wild = HealthConfig { jitter: 255, ..config };
        assert_eq!(health.wait(&wild, 0), Duration::from_millis(2_500));
    }
}
