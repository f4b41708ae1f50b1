//! A bucket of tokens: a burst, then so many a second (section 12).

use crate::Moment;

/// How often something may happen.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    /// Millionths of a token that are there.
    level: u64,
    full: u64,
    /// Millionths of a token that come in a second.
    per_second: u64,
    filled: Moment,
}

impl Bucket {
    /// A full bucket of `burst` tokens into which `tokens` come each `seconds`.
    pub(crate) const fn new(burst: u32, tokens: u32, seconds: u32, now: Moment) -> Self {
        let full = burst as u64 * TOKEN;
        Self { level: full, full, per_second: tokens as u64 * TOKEN / seconds as u64, filled: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Moment) -> bool {
        let micros = u64::try_from(now.since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let come = micros.saturating_mul(self.per_second) / 1_000_000;
        if come > 0 {
            self.filled = now;
            self.level = self.level.saturating_add(come).min(self.full);
        }
        let Some(left) = self.level.checked_sub(TOKEN) else { return false };
        self.level = left;
        true
    }
}

const TOKEN: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_taken_at_once_and_then_so_many_a_second() {
        let start = Moment(77);
        let mut bucket = Bucket::new(3, 4, 1, start);
        let taken = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, start), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(249)), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(250)), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(750)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(3600)), 3);
    }

    #[test]
    fn asking_often_does_not_slow_the_filling() {
        let mut bucket = Bucket::new(1, 60, 3600, Moment(0));
        assert!(bucket.take(Moment(0)));
        let taken = (1..=3_600_000_u64).step_by(37).filter(|milli| bucket.take(Moment(milli * 1000))).count();
        assert!((58..=60).contains(&taken), "{taken}");
    }
}
