//! What was seen before: encapsulations in CREATE (ovl1 section 6.1) and openers behind a front (section 4).
//!
//! Both sets are exact. That of CREATE saves work, and safety does not rest on it; that of openers does what channel
//! binding does elsewhere. Not here: clocks, and when a key's set goes with its key (`create`).

use rand_core::CryptoRng;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::Moment;
use crate::kdf::hash;

/// Entries of one generation of [`CreateSet`].
pub const GENERATION: usize = 1 << 18;
/// Entries of [`OpenerSet`]; a full set refuses.
pub const OPENERS: usize = 1 << 16;
/// How long an opener is remembered.
pub const OPENER_MEMORY: Duration = Duration::from_secs(600);

/// What stands for an encapsulation: `H(enc)[0..16]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncHash(u128);

impl EncHash {
    /// Of an encapsulation of any suite.
    #[must_use]
    pub fn of(enc: &[u8]) -> Self {
        let [high @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash(&[enc]);
        Self(u128::from_be_bytes(high))
    }
}

/// The encapsulations that one KEM key opened: two generations, the older dropped when the newer is full.
#[derive(Debug)]
pub struct CreateSet {
    newer: Table,
    older: Table,
}

impl CreateSet {
    /// An empty set. The generator draws where entries stand, so that nobody can choose them to stand together.
    #[must_use]
    pub fn new(rng: &mut dyn CryptoRng) -> Self {
        let salt = (rng.next_u64(), rng.next_u64() | 1);
        Self { newer: Table::new(salt), older: Table::new(salt) }
    }

    /// Whether the key opened this encapsulation before.
    #[must_use]
    pub fn contains(&self, enc: EncHash) -> bool {
        self.newer.contains(enc.0) || self.older.contains(enc.0)
    }

    /// Remembers an encapsulation that was opened. [`CreateSet::contains`] was asked before.
    pub fn insert(&mut self, enc: EncHash) {
        if self.newer.entries >= GENERATION {
            let empty = Table::new(self.newer.salt);
            self.older = std::mem::replace(&mut self.newer, empty);
        }
        self.newer.insert(enc.0);
    }

    /// Bytes held for entries: at most 10.5 million when both generations are full, nothing at first.
    #[must_use]
    pub const fn memory(&self) -> usize {
        (self.newer.slots.capacity() + self.older.slots.capacity()) * size_of::<u128>()
    }
}

/// Open addressing over 16-byte entries, 80 % full at most. A zero slot is free; the one entry that is zero itself is
/// kept beside.
#[derive(Debug)]
struct Table {
    slots: Vec<u128>,
    entries: usize,
    holds_zero: bool,
    salt: (u64, u64),
}

impl Table {
    const fn new(salt: (u64, u64)) -> Self {
        Self { slots: Vec::new(), entries: 0, holds_zero: false, salt }
    }

    /// The slots from where the entry may stand on, once around.
    fn probes(&self, entry: u128) -> impl Iterator<Item = usize> + use<> {
        let folded = (entry >> 64) as u64 ^ self.salt.0;
        let mixed = folded.wrapping_mul(self.salt.1) ^ (entry as u64).rotate_left(32);
        let length = self.slots.len();
        let home = ((u128::from(mixed) * length as u128) >> 64) as usize;
        (home..length).chain(0..home)
    }

    fn contains(&self, entry: u128) -> bool {
        if entry == 0 {
            return self.holds_zero;
        }
        let probed = self.probes(entry).map(|at| self.slots.get(at).copied().unwrap_or_default());
        probed.take_while(|slot| *slot != 0).any(|slot| slot == entry)
    }

    fn insert(&mut self, entry: u128) {
        if (self.entries + 1) * 5 > self.slots.len() * 4 {
            self.grow();
        }
        self.entries += 1;
        if entry == 0 {
            self.holds_zero = true;
        } else {
            self.put(entry);
        }
    }

    fn put(&mut self, entry: u128) {
        for at in self.probes(entry) {
            if let Some(slot) = self.slots.get_mut(at).filter(|slot| **slot == 0) {
                *slot = entry;
                return;
            }
        }
    }

    /// Twice as many slots, the last time as many as a full generation needs.
    fn grow(&mut self) {
        let length = (self.slots.len() * 2).clamp(1280, GENERATION / 4 * 5);
        let old = std::mem::replace(&mut self.slots, vec![0; length]);
        old.into_iter().filter(|entry| *entry != 0).for_each(|entry| self.put(entry));
    }
}

/// The openers accepted behind a front within the last 600 s.
#[derive(Debug, Default)]
pub struct OpenerSet {
    known: HashSet<u128>,
    by_age: VecDeque<(Moment, u128)>,
}

impl OpenerSet {
    /// Whether the opener with this encapsulation is new; it is then remembered. A full set takes nothing.
    pub fn admit(&mut self, enc: &[u8; 32], now: Moment) -> bool {
        while let Some((_at, old)) = self.by_age.pop_front_if(|(at, _)| now.since(*at) > OPENER_MEMORY) {
            self.known.remove(&old);
        }
        let EncHash(entry) = EncHash::of(enc);
        if self.by_age.len() >= OPENERS || !self.known.insert(entry) {
            return false;
        }
        self.by_age.push_back((now, entry));
        true
    }
}

#[cfg(test)]
mod tests;
