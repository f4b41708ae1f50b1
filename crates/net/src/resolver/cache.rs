//! A bounded store of outcomes: fresh, stale, or gone. Pure: the time comes in.
//!
//! When it is full, the clock algorithm (second chance) makes room: an entry read since the hand last passed is
//! spared once. RFC 8767 section 5 says what stale means here: past its TTL, still better than nothing.

use super::answer::Answer;
use super::error::ResolveError;
use shoalway_types::DomainName;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// What a question ended with.
pub(super) type Outcome = Result<Answer, ResolveError>;

/// What the cache knows of a name.
#[derive(Debug)]
pub(super) enum Known {
    /// To be used as it is.
    Fresh(Outcome),
    /// To be used, and to be refreshed when `refresh` says so.
    Stale { answer: Answer, refresh: bool },
    /// Nothing.
    Nothing,
}

/// At most `room` outcomes.
pub(super) struct Cache {
    places: HashMap<DomainName, usize>,
    slots: Vec<Slot>,
    hand: usize,
    room: usize,
    stale_for: Duration,
}

struct Slot {
    name: DomainName,
    outcome: Outcome,
    fresh_until: Instant,
    /// A refresh failed: no other before this instant.
    refresh_at: Instant,
    used: bool,
}

impl Cache {
    /// A cache of `room` names that gives answers for `stale_for` after their time.
    pub(super) fn new(room: usize, stale_for: Duration) -> Self {
        Self { places: HashMap::new(), slots: Vec::new(), hand: 0, room, stale_for }
    }

    /// What is known of `name` at `now`.
    pub(super) fn get(&mut self, name: &DomainName, now: Instant) -> Known {
        let Some(slot) = self.places.get(name).and_then(|place| self.slots.get_mut(*place)) else {
            return Known::Nothing;
        };
        slot.used = true;
        if now < slot.fresh_until {
            return Known::Fresh(slot.outcome.clone());
        }
        match &slot.outcome {
            Ok(answer) if now < slot.fresh_until + self.stale_for => {
                Known::Stale { answer: answer.clone(), refresh: now >= slot.refresh_at }
            }
            Ok(_) | Err(_) => Known::Nothing,
        }
    }

    /// Keeps `outcome` for `ttl`. A failure never replaces an answer that is still good as a stale one; it only
    /// holds the next refresh back.
    pub(super) fn put(&mut self, name: &DomainName, outcome: Outcome, ttl: Duration, now: Instant) {
        if self.room == 0 {
            return;
        }
        let failed = outcome.as_ref().is_err_and(|error| !error.is_negative());
        let slot = Slot { name: name.clone(), outcome, fresh_until: now + ttl, refresh_at: now, used: true };
        match self.places.get(name).and_then(|place| self.slots.get_mut(*place)) {
            Some(old) if failed && old.outcome.is_ok() && now < old.fresh_until + self.stale_for => {
                old.refresh_at = now + RECHECK;
            }
            Some(old) => *old = slot,
            None => self.insert(slot),
        }
    }

    fn insert(&mut self, slot: Slot) {
        if self.slots.len() < self.room {
            self.places.insert(slot.name.clone(), self.slots.len());
            self.slots.push(slot);
            return;
        }
        // Ends within two rounds: the first round takes every mark away.
        while let Some(old) = self.slots.get_mut(self.hand) {
            let place = self.hand;
            self.hand = (place + 1) % self.room;
            if std::mem::take(&mut old.used) {
                continue;
            }
            self.places.remove(&old.name);
            self.places.insert(slot.name.clone(), place);
            *old = slot;
            return;
        }
    }
}

/// How long a failed refresh is not repeated while stale answers are given, RFC 8767 section 5.
const RECHECK: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    fn name(number: usize) -> DomainName {
        DomainName::parse(&format!("n{number}.example")).unwrap()
    }

    fn answer(last: u8) -> Outcome {
        Ok(Answer::new([Ipv4Addr::new(192, 0, 2, last)], []))
    }

    fn shown(known: &Known) -> &'static str {
        match known {
            Known::Fresh(Ok(_)) => "fresh",
            Known::Fresh(Err(_)) => "negative",
            Known::Stale { refresh: true, .. } => "stale, refresh",
            Known::Stale { refresh: false, .. } => "stale",
            Known::Nothing => "nothing",
        }
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_gone() {
        let start = Instant::now();
        let mut cache = Cache::new(4, HOUR);
        cache.put(&name(1), answer(1), MINUTE, start);
        cache.put(&name(2), Err(ResolveError::NotFound), MINUTE, start);
        for (after, positive, negative) in [
            (Duration::ZERO, "fresh", "negative"),
            (Duration::from_millis(59_999), "fresh", "negative"),
            (MINUTE, "stale, refresh", "nothing"),
            (Duration::from_millis(3_659_999), "stale, refresh", "nothing"),
            (MINUTE + HOUR, "nothing", "nothing"),
        ] {
            assert_eq!(shown(&cache.get(&name(1), start + after)), positive, "{after:?}");
            assert_eq!(shown(&cache.get(&name(2), start + after)), negative, "{after:?}");
        }
    }

    #[test]
    fn a_failed_refresh_keeps_the_stale_answer_and_waits_half_a_minute() {
        let start = Instant::now();
        let mut cache = Cache::new(4, HOUR);
        cache.put(&name(1), answer(1), MINUTE, start);
        let failed = start + MINUTE * 2;
        cache.put(&name(1), Err(ResolveError::ServerFailure { code: 2 }), Duration::from_secs(1), failed);
        assert_eq!(shown(&cache.get(&name(1), failed)), "stale");
        assert_eq!(shown(&cache.get(&name(1), failed + RECHECK)), "stale, refresh");
        cache.put(&name(1), Err(ResolveError::NotFound), MINUTE, failed + RECHECK);
        assert_eq!(shown(&cache.get(&name(1), failed + RECHECK)), "negative");
    }

    #[test]
    fn a_full_cache_forgets_what_nobody_read() {
        let now = Instant::now();
        let mut cache = Cache::new(3, HOUR);
        for number in 1..=3 {
            cache.put(&name(number), answer(1), MINUTE, now);
        }
        cache.put(&name(4), answer(4), MINUTE, now); // all were new: the first goes
        assert_eq!(shown(&cache.get(&name(1), now)), "nothing");
        assert_eq!(shown(&cache.get(&name(2), now)), "fresh"); // read: spared
        cache.put(&name(5), answer(5), MINUTE, now);
        assert_eq!(shown(&cache.get(&name(2), now)), "fresh");
        assert_eq!(shown(&cache.get(&name(3), now)), "nothing");
    }

    #[test]
    fn the_cache_never_outgrows_its_room() {
        let now = Instant::now();
        let mut cache = Cache::new(10, HOUR);
        for number in 0..1_000 {
            cache.put(&name(number), answer(1), MINUTE, now);
            assert_eq!(shown(&cache.get(&name(number), now)), "fresh");
        }
        assert_eq!((cache.slots.len(), cache.places.len()), (10, 10));
        let mut off = Cache::new(0, HOUR);
        off.put(&name(1), answer(1), MINUTE, now);
        assert_eq!(shown(&off.get(&name(1), now)), "nothing");
    }
}
