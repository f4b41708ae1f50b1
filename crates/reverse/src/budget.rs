//! Budgets: retries and hedges may be a share of the requests, and a few a second where there are few requests.
//!
//! A token bucket over atomics: each request pays in a fraction of a token, each retry takes a whole one. Without it a
//! failing upstream gets its load multiplied just when it cannot bear it. After Finagle's retry budgets. Counted in
//! thousandths of a token; one a process and upstream.

use crate::moment::Moment;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

/// How much may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetConfig {
    /// What each request pays in, in percent of a token: 20 lets one in five be retried. 0 to 1,000.
    pub percent: u32,
    /// Tokens that come every second by themselves; so many are there at the start. 0 to 1,000,000.
    pub per_second: u32,
    /// Tokens that requests can save up. 0 to 1,000,000.
    pub most: u32,
}

impl BudgetConfig {
    /// Retries: 20 %, 10 a second, 100 saved.
    pub const RETRIES: Self = Self { percent: 20, per_second: 10, most: 100 };
    /// Retries of streams, of which nothing was sent: two for each, 10 a second, 100 saved. With two of three endpoints
    /// dead each stream may need them, for as long as nobody has been ejected.
    pub const STREAM_RETRIES: Self = Self { percent: 200, per_second: 10, most: 100 };
    /// Hedges: 5 %, 1 a second, 20 saved.
    pub const HEDGES: Self = Self { percent: 5, per_second: 1, most: 20 };
    /// Nothing at all.
    pub const NOTHING: Self = Self { percent: 0, per_second: 0, most: 0 };
}

/// What is left to spend.
#[derive(Debug)]
pub struct Budget {
    balance: AtomicI64,
    /// Until when tokens that come by themselves have been paid in, in microseconds.
    paid_until: AtomicU64,
}

impl Budget {
    /// A budget that has saved nothing; the first second's tokens are there.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        let before = now.as_micros().saturating_sub(SECOND);
        Self { balance: AtomicI64::new(0), paid_until: AtomicU64::new(before) }
    }

    /// A first try was made: it pays in.
    pub fn deposit(&self, config: &BudgetConfig) {
        // Shards that do this at once may pass the limit by a token each.
        if config.percent > 0 && self.balance.load(Relaxed) < i64::from(config.most) * TOKEN {
            self.balance.fetch_add(i64::from(config.percent) * TOKEN / 100, Relaxed);
        }
    }

    /// Takes a token, if there is one.
    pub fn withdraw(self: &Arc<Self>, config: &BudgetConfig, now: Moment) -> Option<Token> {
        self.refill(config, now);
        let less = |balance: i64| (balance >= TOKEN).then(|| balance - TOKEN);
        self.balance.fetch_update(Relaxed, Relaxed, less).ok()?;
        Some(Token { budget: Arc::clone(self), spent: false })
    }

    /// Whole tokens that are left.
    #[must_use]
    pub fn left(&self) -> u32 {
        u32::try_from(self.balance.load(Relaxed).max(0) / TOKEN).unwrap_or(u32::MAX)
    }

    /// Pays in what time brings; never more than a second's worth lies there of it.
    fn refill(&self, config: &BudgetConfig, now: Moment) {
        let until = self.paid_until.load(Relaxed);
        let rate = u64::from(config.per_second);
        let elapsed = now.as_micros().saturating_sub(until);
        // Thousandths of a token; what is less than one waits for the next time.
        let earned = elapsed.min(SECOND) * rate / 1_000;
        if earned == 0 {
            return;
        }
        let paid = if elapsed < SECOND { until + earned * 1_000 / rate } else { now.as_micros() };
        if self.paid_until.compare_exchange(until, paid, Relaxed, Relaxed).is_err() {
            return; // another shard has paid it in
        }
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        let room = i64::from(config.per_second) * TOKEN - self.balance.load(Relaxed);
        if room > 0 {
            self.balance.fetch_add(earned.min(room), Relaxed);
        }
    }
}

/// A token that was taken. Dropped unspent it goes back: a retry that was planned and not sent costs nothing.
#[derive(Debug)]
#[must_use = "dropped unspent, the token goes back"]
pub struct Token {
    budget: Arc<Budget>,
    spent: bool,
}

impl Token {
    /// The retry is sent.
    pub fn spend(mut self) {
        self.spent = true;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.spent {
            self.budget.balance.fetch_add(TOKEN, Relaxed);
        }
    }
}

const TOKEN: i64 = 1_000;
const SECOND: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    fn at(ms: u64) -> Moment {
        Moment::from_micros(60 * SECOND + ms * 1_000)
    }

    fn budget() -> Arc<Budget> {
        Arc::new(Budget::new(at(0)))
    }

    fn spend_all(budget: &Arc<Budget>, config: &BudgetConfig, now: Moment) -> u32 {
        let mut spent = 0;
        while let Some(token) = budget.withdraw(config, now) {
            token.spend();
            spent += 1;
        }
        spent
    }

    #[test]
    fn one_in_five_may_be_retried_and_ten_a_second() {
        let (budget, config) = (budget(), BudgetConfig::RETRIES);
        assert_eq!(spend_all(&budget, &config, at(0)), 10);
        for _ in 0..100 {
            budget.deposit(&config);
        }
        assert_eq!(spend_all(&budget, &config, at(0)), 20);
        assert_eq!(spend_all(&budget, &config, at(500)), 5);
        assert_eq!(spend_all(&budget, &config, at(60_000)), 10);
        for _ in 0..100_000 {
            budget.deposit(&config);
        }
        assert_eq!(spend_all(&budget, &config, at(60_000)), 100);
    }

    #[test]
    fn a_budget_of_nothing_gives_nothing() {
        let budget = budget();
        budget.deposit(&BudgetConfig::NOTHING);
        assert_eq!(spend_all(&budget, &BudgetConfig::NOTHING, at(10_000)), 0);
    }

    #[test]
    fn slow_tokens_are_not_lost_to_frequent_questions() {
        let (budget, config) = (budget(), BudgetConfig::HEDGES);
        let spent: u32 = (0..=10_000).map(|ms| spend_all(&budget, &config, at(ms))).sum();
        assert_eq!(spent, 11);
    }

    #[test]
    fn parts_of_a_token_are_not_lost_between_questions() {
        let (budget, config) = (budget(), BudgetConfig::RETRIES);
        let moment = |n: u64| at(0).plus(std::time::Duration::from_micros(n * 150));
        let spent: u32 = (0..=66_667).map(|n| spend_all(&budget, &config, moment(n))).sum();
        assert_eq!(spent, 110); // ten at once, then ten a second for ten seconds
    }

    #[test]
    fn an_unspent_token_goes_back() {
        let (budget, config) = (budget(), BudgetConfig::HEDGES);
        let token = budget.withdraw(&config, at(0)).unwrap();
        assert!(budget.withdraw(&config, at(0)).is_none());
        drop(token);
        budget.withdraw(&config, at(0)).unwrap().spend();
        assert_eq!((budget.withdraw(&config, at(0)).is_none(), budget.left()), (true, 0));
    }

    #[test]
    fn threads_never_spend_more_than_there_is() {
        let (budget, config) = (budget(), BudgetConfig { percent: 100, per_second: 0, most: 1_000_000 });
        let spent = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (budget, spent) = (&budget, &spent);
                scope.spawn(move || {
                    for n in 0..10_000 {
                        if thread % 2 == 0 {
                            budget.deposit(&config);
                        }
                        match budget.withdraw(&config, at(0)) {
                            Some(token) if n % 2 == 0 => {
                                token.spend();
                                spent.fetch_add(1, Relaxed);
                            }
                            Some(_) | None => {}
                        }
                    }
                });
            }
        });
        assert_eq!(spent.load(Relaxed) + u64::from(budget.left()), 20_000);
    }

    proptest! {
        #[test]
        fn retries_stay_within_share_rate_and_savings(steps in proptest::collection::vec(any::<(bool, u8)>(), 1..2_000)) {
            let (budget, config) = (budget(), BudgetConfig::RETRIES);
            let (mut requests, mut retries, mut ms) = (0u64, 0u64, 0u64);
            for (request, wait) in steps {
                ms += u64::from(wait % 20);
                if request {
                    budget.deposit(&config);
                    requests += 1;
                } else if let Some(token) = budget.withdraw(&config, at(ms)) {
                    token.spend();
                    retries += 1;
                }
                let allowed = requests as f64 * 0.2 + 10.0 + ms as f64 / 100.0;
                assert!(retries as f64 <= allowed + 1e-9, "{retries} of {allowed}");
            }
        }
    }
}
