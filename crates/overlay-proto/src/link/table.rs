//! Circuits by the ids a link has for them: slots for the values, a keyed hash for the ids.
//!
//! Half of the ids are chosen by the neighbour. The hash is multiply-and-shift with a random multiplier and summand
//! (Dietzfelbinger 1996), for which no set of ids chosen beforehand is bad, and a few times cheaper than SipHash. An id
//! that is gone stays known until it is forgotten: late frames for it are no fault.

use rand_core::CryptoRng;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// Values by id. An id is free, used, or gone.
pub(crate) struct IdTable<T> {
    index: HashMap<u32, u32, Keyed>,
    slots: Vec<Option<(u32, T)>>,
    free: Vec<u32>,
    used: usize,
}

/// What a table knows of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Never seen, or forgotten.
    Free,
    /// It stands for a value.
    Used,
    /// It stood for one not long ago.
    Gone,
}

impl<T> IdTable<T> {
    pub(crate) fn new(rng: &mut dyn CryptoRng) -> Self {
        let keyed = Keyed { multiplier: rng.next_u64() | 1, summand: rng.next_u64() };
        Self { index: HashMap::with_hasher(keyed), slots: Vec::new(), free: Vec::new(), used: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn known(&self, id: u32) -> Known {
        match self.index.get(&id) {
            None => Known::Free,
            Some(&GONE) => Known::Gone,
            Some(_) => Known::Used,
        }
    }

    /// Puts a value in. The caller knows that the id is free, and that there are fewer than `u32::MAX` values.
    pub(crate) fn insert(&mut self, id: u32, value: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(GONE)
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some((id, value));
            self.index.insert(id, slot);
            self.used += 1;
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        let slot = *self.index.get(&id)?;
        self.slots.get(slot as usize)?.as_ref().map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let slot = *self.index.get(&id)?;
        self.slots.get_mut(slot as usize)?.as_mut().map(|(_, value)| value)
    }

    /// Takes a value out; its id is gone until it is forgotten.
    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let slot = self.index.get_mut(&id)?;
        let (_, value) = self.slots.get_mut(*slot as usize)?.take()?;
        self.free.push(*slot);
        *slot = GONE;
        self.used -= 1;
        Some(value)
    }

    /// An id without a value that is treated as gone.
    pub(crate) fn bury(&mut self, id: u32) {
        self.index.entry(id).or_insert(GONE);
    }

    /// A gone id is free again.
    pub(crate) fn forget(&mut self, id: u32) {
        if self.index.get(&id) == Some(&GONE) {
            self.index.remove(&id);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().flatten().map(|(id, value)| (*id, value))
    }
}

#[derive(Debug, Clone)]
struct Keyed {
    multiplier: u64,
    summand: u64,
}

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { keys: self.clone(), hash: 0 }
    }
}

#[derive(Debug)]
struct KeyedHasher {
    keys: Keyed,
    hash: u64,
}

impl Hasher for KeyedHasher {
    fn finish(&self) -> u64 {
        // The map takes a place from the lowest bits and a mark from the highest: both are of the good half.
        let good = self.hash >> 32;
        good << 32 | good
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte) ^ (self.hash >> 32) as u32);
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.hash = self.keys.multiplier.wrapping_mul(u64::from(id)).wrapping_add(self.keys.summand);
    }
}

/// The slot of an id that is gone. There are never so many slots.
const GONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::rng;

    #[test]
    fn an_id_is_free_then_used_then_gone_then_free() {
        let mut table = IdTable::new(&mut rng(1));
        assert_eq!(table.known(7), Known::Free);
        table.insert(7, "seven");
        table.insert(8, "eight");
        assert_eq!((table.known(7), table.get(7), table.len()), (Known::Used, Some(&"seven"), 2));
        table.forget(7);
        assert_eq!(table.known(7), Known::Used);
        assert_eq!(table.remove(7), Some("seven"));
        assert_eq!((table.known(7), table.get(7)), (Known::Gone, None));
        assert_eq!(table.remove(7), None);
        table.insert(9, "nine");
        assert_eq!(table.slots.len(), 2);
        table.forget(7);
        table.bury(6);
        assert_eq!((table.known(7), table.known(6), table.len()), (Known::Free, Known::Gone, 2));
        assert_eq!(table.iter().map(|(id, _)| id).collect::<Vec<_>>(), [9, 8]);
    }

    #[test]
    fn ids_in_a_row_and_ids_with_equal_low_bits_spread_over_the_places_of_the_map() {
        for step in [1_u32, 1 << 16, 1 << 24] {
            let keyed = IdTable::<()>::new(&mut rng(u64::from(step))).index.hasher().clone();
            let mut places = [0_u32; 64];
            for count in 0..4096_u32 {
                let hash = keyed.hash_one(count.wrapping_mul(step));
                places[(hash & 63) as usize] += 1;
            }
            let distinct = 4096.min(u64::from(u32::MAX) / u64::from(step) + 1);
            let fullest = f64::from(*places.iter().max().unwrap()) / 4096.0;
            assert!(fullest < 0.25 || distinct < 4096, "step {step}: {fullest}");
        }
    }
}
