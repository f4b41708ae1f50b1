//! Who a client says it is: verdicts on log-ins, looked up on the shard, found out off it.
//!
//! A hash that is made to be slow must not hold up a shard, and not be computed for each request. Not here: the file
//! of users, and the cache itself (`policy`), reading log-ins (`http/auth`, `wire/socks5`).

use shoalway_net::shard::Shard;
use shoalway_policy::{DEFAULT_VERDICT_TTL, Users, VerdictCache};
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Verdicts a shard keeps.
const KEPT: usize = 4_096;

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is the user's.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// Too many are being checked at once.
    Busy,
}

/// The verdicts of one shard on the users of one file.
pub struct Verdicts {
    users: Arc<Users>,
    cache: VerdictCache,
    epoch: Instant,
}

/// The verdicts made last; listeners with the same users share them.
#[derive(Default)]
struct Latest(RefCell<Option<Rc<Verdicts>>>);

impl Verdicts {
    /// The shard's verdicts on these users. Other users than last time: a new cache, so that what was found out by
    /// an old file counts no more.
    pub(crate) fn of(shard: &Shard, users: &Arc<Users>) -> Rc<Self> {
        let latest = shard.local(Latest::default);
        if let Some(found) = latest.0.borrow().as_ref().filter(|found| Arc::ptr_eq(&found.users, users)) {
            return Rc::clone(found);
        }
        let cache = VerdictCache::new(KEPT, DEFAULT_VERDICT_TTL, random_key());
        let fresh = Rc::new(Self { users: Arc::clone(users), cache, epoch: shard.now() });
        *latest.0.borrow_mut() = Some(Rc::clone(&fresh));
        fresh
    }

    /// The verdict, when it is known.
    #[must_use]
    pub fn known(&self, shard: &Shard, user: &str, password: &[u8]) -> Option<Verdict> {
        let right = self.cache.get(user, password, self.time(shard))?;
        Some(if right { Verdict::Right } else { Verdict::Wrong })
    }

    /// Finds the verdict out, and remembers it.
    pub async fn find_out(&self, shard: &Shard, user: &str, password: &[u8]) -> Verdict {
        if let Some(known) = self.known(shard, user, password) {
            return known;
        }
        let (users, name, secret) = (Arc::clone(&self.users), user.to_owned(), password.to_vec());
        let Ok(right) = shard.blocking().run(move || users.check(&name, &secret)).await else {
            return Verdict::Busy;
        };
        self.cache.put(user, password, right, self.time(shard));
        if right { Verdict::Right } else { Verdict::Wrong }
    }

    fn time(&self, shard: &Shard) -> Duration {
        shard.now().saturating_duration_since(self.epoch)
    }
}

/// 256 bits from the standard library's keyed hash, whose keys come from the system's source of randomness.
fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    for (n, part) in key.chunks_mut(8).enumerate() {
        part.copy_from_slice(&RandomState::new().hash_one(n).to_le_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ann` with the password `open sesame`.
    const ANN: &str = "ann:$apr1$xZPHxwyd$XXQW2zpl8VfUnQYVhqGBi/";

    #[test]
    fn a_verdict_is_found_out_once_and_forgotten_with_its_file() {
        Shard::test_in_real_time(async |shard| {
            let users = Arc::new(Users::parse(ANN).unwrap());
            let verdicts = Verdicts::of(&shard, &users);
            assert_eq!(verdicts.known(&shard, "ann", b"open sesame"), None);
            assert_eq!(verdicts.find_out(&shard, "ann", b"open sesame").await, Verdict::Right);
            assert_eq!(verdicts.find_out(&shard, "ann", b"shut").await, Verdict::Wrong);
            let again = Verdicts::of(&shard, &users);
            assert_eq!(again.known(&shard, "ann", b"open sesame"), Some(Verdict::Right));
            assert_eq!(again.known(&shard, "ann", b"shut"), Some(Verdict::Wrong));
            let reloaded = Verdicts::of(&shard, &Arc::new(Users::parse(ANN).unwrap()));
            assert_eq!(reloaded.known(&shard, "ann", b"open sesame"), None);
        });
    }
}
