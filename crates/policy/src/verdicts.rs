//! What was found out about log-ins, kept for a while: a password check is slow on purpose, a request is not.
//!
//! Neither user nor password is stored, only a keyed BLAKE2b hash of both (RFC 7693 section 2.9: hashing with a
//! key in front is a MAC), so the memory of the process tells nothing to who does not have the key. The table is a
//! fixed number of small sets; a new verdict takes the place of the least useful one of its set: free, expired,
//! failed, used longest ago. Wrong passwords poured in thus push out one another, not those who are logged in.
//!
//! One per shard and not shared: answering needs no lock. Not here: the check itself (`users`), and dropping the
//! cache when the file of users changes: make a new one, or call [`VerdictCache::clear`].

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use blake2::digest::Digest;
use blake2::digest::consts::U16;

/// How long a success is kept by default: 5 minutes.
pub const DEFAULT_VERDICT_TTL: Duration = Duration::from_secs(300);
/// How long a failure is kept at most: 10 seconds, so that a corrected file of users soon counts.
pub const FAILED_VERDICT_TTL: Duration = Duration::from_secs(10);
/// Verdicts that share a place. More make eviction fairer and look-ups longer.
const WAYS: usize = 8;

/// A bounded memory of verdicts. `Send` but not `Sync`.
pub struct VerdictCache {
    slots: Box<[Cell<Slot>]>,
    ways: usize,
    ttl: Duration,
    key: [u8; 32],
}

#[derive(Clone, Copy)]
struct Slot {
    /// `None` is a free slot.
    verdict: Option<bool>,
    digest: [u8; 16],
    expires: Duration,
    used: Duration,
}

impl VerdictCache {
    /// A cache of at most `capacity` verdicts (0 keeps none) that keeps successes for `ttl` and failures for
    /// `ttl`, too, but [`FAILED_VERDICT_TTL`] at most. `key` is random and secret.
    #[must_use]
    pub fn new(capacity: usize, ttl: Duration, key: [u8; 32]) -> Self {
        let ways = capacity.min(WAYS);
        let slots = capacity.checked_div(ways).unwrap_or(0) * ways;
        Self { slots: vec![Cell::new(Slot::FREE); slots].into_boxed_slice(), ways, ttl, key }
    }

    /// The verdict on a log-in, when it is known at `now` (time since a start of the caller's choice).
    #[must_use]
    pub fn get(&self, user: &str, password: &[u8], now: Duration) -> Option<bool> {
        let digest = self.digest(user, password);
        let cell = self.set_of(&digest).iter().find(|cell| cell.get().holds(&digest))?;
        let slot = cell.get();
        if slot.expires <= now {
            return None;
        }
        cell.set(Slot { used: now, ..slot });
        slot.verdict
    }

    /// Keeps the verdict on a log-in.
    pub fn put(&self, user: &str, password: &[u8], verdict: bool, now: Duration) {
        let digest = self.digest(user, password);
        let set = self.set_of(&digest);
        let known = set.iter().find(|cell| cell.get().holds(&digest));
        let Some(cell) = known.or_else(|| set.iter().min_by_key(|cell| cell.get().usefulness(now))) else {
            return;
        };
        let ttl = if verdict { self.ttl } else { self.ttl.min(FAILED_VERDICT_TTL) };
        cell.set(Slot { verdict: Some(verdict), digest, expires: now.saturating_add(ttl), used: now });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for cell in &self.slots {
            cell.set(Slot::FREE);
        }
    }

    /// Which slots a digest may be in. The digest is keyed, so nobody can aim at a set.
    fn set_of(&self, digest: &[u8; 16]) -> &[Cell<Slot>] {
        let sets = self.slots.len().checked_div(self.ways).unwrap_or(0);
        let [a, b, c, d, ..] = *digest;
        let spread = u32::from_le_bytes([a, b, c, d]) as usize;
        let first = spread.checked_rem(sets).unwrap_or(0) * self.ways;
        self.slots.get(first..first + self.ways).unwrap_or_default()
    }

    /// Lengths stand in front, so that `a` + `bc` is not `ab` + `c`.
    fn digest(&self, user: &str, password: &[u8]) -> [u8; 16] {
        let mut hash = blake2::Blake2b::<U16>::new();
        hash.update(self.key);
        hash.update((user.len() as u64).to_le_bytes());
        hash.update(user.as_bytes());
        hash.update(password);
        hash.finalize().into()
    }
}

impl Slot {
    const FREE: Self = Self { verdict: None, digest: [0; 16], expires: Duration::ZERO, used: Duration::ZERO };

    fn holds(&self, digest: &[u8; 16]) -> bool {
        self.verdict.is_some() && self.digest == *digest
    }

    /// The least is given up first.
    fn usefulness(&self, now: Duration) -> (u8, Duration) {
        let class = match self.verdict {
            None => 0,
            Some(_) if self.expires <= now => 1,
            Some(false) => 2,
            Some(true) => 3,
        };
        (class, self.used)
    }
}

impl fmt::Debug for VerdictCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerdictCache").field("capacity", &self.slots.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn cache(capacity: usize) -> VerdictCache {
        VerdictCache::new(capacity, DEFAULT_VERDICT_TTL, [7; 32])
    }

    #[test]
    fn successes_last_five_minutes_and_failures_ten_seconds() {
        let cache = cache(64);
        cache.put("ann", b"right", true, at(100));
        cache.put("ann", b"wrong", false, at(100));
        for (password, now, verdict) in [
            (&b"right"[..], 100, Some(true)),
            (b"wrong", 109, Some(false)),
            (b"wrong", 110, None),
            (b"right", 399, Some(true)),
            (b"right", 400, None),
            (b"other", 100, None),
        ] {
            assert_eq!(cache.get("ann", password, at(now)), verdict, "{now}");
        }
    }

    #[test]
    fn a_short_ttl_shortens_failures_too() {
        let cache = VerdictCache::new(8, at(3), [1; 32]);
        cache.put("ann", b"wrong", false, at(0));
        assert_eq!(cache.get("ann", b"wrong", at(2)), Some(false));
        assert_eq!(cache.get("ann", b"wrong", at(3)), None);
    }

    #[test]
    fn the_border_between_user_and_password_counts() {
        let cache = cache(64);
        cache.put("ab", b"c", true, at(0));
        assert_eq!(cache.get("a", b"bc", at(0)), None);
        assert_eq!(cache.get("abc", b"", at(0)), None);
    }

    #[test]
    fn a_new_verdict_replaces_the_old_one_on_the_same_log_in() {
        let cache = cache(1);
        cache.put("ann", b"pw", false, at(0));
        cache.put("ann", b"pw", true, at(1));
        assert_eq!(cache.get("ann", b"pw", at(200)), Some(true));
    }

    #[test]
    fn failures_never_push_out_successes_while_one_can_go() {
        let cache = cache(8);
        for n in 0..7 {
            cache.put(&format!("user{n}"), b"pw", true, at(0));
        }
        for n in 0..1000_u32 {
            cache.put("ann", &n.to_le_bytes(), false, at(1));
        }
        for n in 0..7 {
            assert_eq!(cache.get(&format!("user{n}"), b"pw", at(2)), Some(true), "user{n}");
        }
        assert_eq!(cache.get("ann", &999_u32.to_le_bytes(), at(2)), Some(false));
        assert_eq!(cache.get("ann", &998_u32.to_le_bytes(), at(2)), None);
    }

    #[test]
    fn of_the_successes_the_one_used_longest_ago_goes_first() {
        let cache = cache(2);
        cache.put("ann", b"pw", true, at(0));
        cache.put("bob", b"pw", true, at(1));
        assert_eq!(cache.get("ann", b"pw", at(2)), Some(true));
        cache.put("eve", b"pw", true, at(3));
        assert_eq!(cache.get("bob", b"pw", at(4)), None);
        assert_eq!(cache.get("ann", b"pw", at(4)), Some(true));
    }

    #[test]
    fn expired_successes_go_before_fresh_failures() {
        let cache = cache(2);
        cache.put("ann", b"pw", true, at(0));
        cache.put("bob", b"no", false, at(300));
        cache.put("eve", b"pw", true, at(301));
        assert_eq!(cache.get("bob", b"no", at(302)), Some(false));
        assert_eq!(cache.get("eve", b"pw", at(302)), Some(true));
    }

    #[test]
    fn the_size_is_bounded_and_none_is_a_size() {
        for capacity in [0, 1, 7, 8, 9, 100] {
            let cache = cache(capacity);
            for n in 0..500_u32 {
                cache.put("ann", &n.to_le_bytes(), true, at(0));
            }
            let kept = (0..500_u32).filter(|n| cache.get("ann", &n.to_le_bytes(), at(0)).is_some()).count();
            assert!(kept <= capacity && (kept > 0) == (capacity > 0), "{kept} of {capacity}");
        }
    }

    #[test]
    fn clearing_forgets_everything() {
        let cache = cache(8);
        cache.put("ann", b"pw", true, at(0));
        cache.clear();
        assert_eq!(cache.get("ann", b"pw", at(0)), None);
    }

    #[test]
    fn debug_output_tells_no_key() {
        assert_eq!(format!("{:?}", cache(8)), "VerdictCache { capacity: 8, .. }");
    }
}
