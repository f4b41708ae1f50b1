//! Sets of domain names: a million of them in less than 64 MB, asked in less than a microsecond.
//!
//! All names lie behind each other in one arena. A table with open addressing holds, for each, its place there,
//! how much it covers, and 30 bits of its hash. A host is hashed label by label from its end, so one walk yields
//! the hash of every parent; what the table offers is compared with the arena, so there are no false answers.
//! Nothing is allocated by a look-up. Patterns are read in `domain_set/pattern.rs`, lists in `domain_set/list.rs`.
//!
//! Not here: fetching and refreshing lists, names outside ASCII (clients send the `xn--` form, RFC 5890).

mod list;
mod pattern;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

pub use list::ListSummary;
pub use pattern::{DomainPattern, PatternError, Reach};

/// A set of domain names, each for itself, for what is below it, or both.
#[derive(Clone, Default)]
pub struct DomainSet {
    /// Names as `length octet, octets`, in order of arrival.
    arena: Vec<u8>,
    /// A power of two of slots, or none at all.
    slots: Box<[Slot]>,
    entries: usize,
    /// Bit n is set when some name has n labels: parents of other depths need no look.
    depths: u128,
    /// Keyed at random, so that no list can be made to pile up in one place of the table.
    keys: RandomState,
}

impl DomainSet {
    /// Whether `host` is covered, by its own entry or by one of a parent.
    ///
    /// `host` is lower case and has no final dot, as [`shoalway_types::DomainName`] gives it.
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        if self.entries == 0 {
            return false;
        }
        let mut hasher = self.keys.build_hasher();
        let mut start = host.len();
        let mut depth = 0_u32;
        for label in host.rsplit('.') {
            start = start.saturating_sub(label.len() + usize::from(depth > 0));
            depth += 1;
            hash_label(&mut hasher, label);
            if self.depths & depth_bit(depth) == 0 {
                continue;
            }
            let wanted = if start == 0 { Slot::EXACT } else { Slot::BELOW };
            let name = host.get(start..).unwrap_or_default();
            if self.find(hasher.finish(), name.as_bytes()).is_some_and(|(_, slot)| slot.covers(wanted)) {
                return true;
            }
        }
        false
    }

    /// How many different names have an entry.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes held on the heap.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.arena.capacity() + self.slots.len() * size_of::<Slot>()
    }

    /// The slot of a name: its place in the table, or nothing.
    fn find(&self, hash: u64, name: &[u8]) -> Option<(usize, Slot)> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = place(hash, mask);
        loop {
            let slot = *self.slots.get(at)?;
            if slot.is_free() {
                return None;
            }
            if slot.fingerprint() == Slot::fingerprint_of(hash) && self.stored(slot) == Some(name) {
                return Some((at, slot));
            }
            at = (at + 1) & mask;
        }
    }

    fn stored(&self, slot: Slot) -> Option<&[u8]> {
        let (length, rest) = self.arena.get(slot.offset()..)?.split_first()?;
        rest.get(..usize::from(*length))
    }
}

impl fmt::Debug for DomainSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainSet").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<P: std::borrow::Borrow<DomainPattern>> FromIterator<P> for DomainSet {
    fn from_iter<I: IntoIterator<Item = P>>(patterns: I) -> Self {
        let mut builder = DomainSetBuilder::default();
        for pattern in patterns {
            builder.insert(pattern.borrow());
        }
        builder.build()
    }
}

/// Collects names for a [`DomainSet`].
#[derive(Debug, Default)]
pub struct DomainSetBuilder {
    set: DomainSet,
}

impl DomainSetBuilder {
    /// Adds a pattern; the same name again widens what its entry covers.
    ///
    /// Returns whether it is in the set now: names are turned away only when they already fill 4 GiB.
    pub fn insert(&mut self, pattern: &DomainPattern) -> bool {
        self.add(pattern.name(), pattern.reach())
    }

    /// Adds a checked, lower-case name.
    fn add(&mut self, name: &str, reach: Reach) -> bool {
        let flags = match reach {
            Reach::Exact => Slot::EXACT,
            Reach::Below => Slot::BELOW,
            Reach::Tree => Slot::EXACT | Slot::BELOW,
        };
        let set = &mut self.set;
        let mut hasher = set.keys.build_hasher();
        let mut depth = 0;
        for label in name.rsplit('.') {
            depth += 1;
            hash_label(&mut hasher, label);
        }
        let hash = hasher.finish();
        if let Some((at, slot)) = set.find(hash, name.as_bytes()) {
            if let Some(place) = set.slots.get_mut(at) {
                *place = slot.widened(flags);
            }
            return true;
        }
        let (Ok(offset), Ok(length)) = (u32::try_from(set.arena.len()), u8::try_from(name.len())) else {
            return false;
        };
        if (set.entries + 1) * 10 > set.slots.len() * 7 {
            set.grow();
        }
        set.arena.push(length);
        set.arena.extend_from_slice(name.as_bytes());
        set.occupy(hash, Slot::new(hash, flags, offset));
        set.entries += 1;
        set.depths |= depth_bit(depth);
        true
    }

    /// The finished set, without spare room.
    #[must_use]
    pub fn build(mut self) -> DomainSet {
        self.set.arena.shrink_to_fit();
        self.set
    }
}

impl DomainSet {
    /// Twice the slots. A slot keeps only part of its hash, so the names are hashed again.
    fn grow(&mut self) {
        let room = (self.slots.len() * 2).max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Slot::FREE; room].into_boxed_slice());
        for slot in old.into_iter().filter(|slot| !slot.is_free()) {
            let mut hasher = self.keys.build_hasher();
            for label in self.stored(slot).unwrap_or_default().rsplit(|octet| *octet == b'.') {
                hash_octets(&mut hasher, label);
            }
            self.occupy(hasher.finish(), slot);
        }
    }

    /// Puts a slot in the first free place at or after where its hash points; there is always one.
    fn occupy(&mut self, hash: u64, slot: Slot) {
        let Some(mask) = self.slots.len().checked_sub(1) else { return };
        let mut at = place(hash, mask);
        while let Some(found) = self.slots.get_mut(at) {
            if found.is_free() {
                *found = slot;
                return;
            }
            at = (at + 1) & mask;
        }
    }
}

fn hash_label(hasher: &mut impl Hasher, label: &str) {
    hash_octets(hasher, label.as_bytes());
}

/// A label and its end; labels are hashed from the last to the first.
fn hash_octets(hasher: &mut impl Hasher, label: &[u8]) {
    hasher.write(label);
    hasher.write_u8(b'.');
}

/// Bit of a depth. A name of 253 octets has at most 127 labels.
fn depth_bit(depth: u32) -> u128 {
    1_u128.checked_shl(depth).unwrap_or(0)
}

/// Where to begin looking: the low bits of the hash; its high ones are the fingerprint.
fn place(hash: u64, mask: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "only the bits under the mask are wanted")]
    let low = hash as usize;
    low & mask
}

const MIN_SLOTS: usize = 8;

/// A place in the table: offset into the arena (32 bits), what is covered (2), fingerprint (30). Zero is free,
/// since every name covers something.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot(u64);

impl Slot {
    const FREE: Self = Self(0);
    /// The name itself is in the set.
    const EXACT: u64 = 1 << 32;
    /// All names below it are.
    const BELOW: u64 = 1 << 33;
    const FINGERPRINT: u64 = u64::MAX << 34;

    fn new(hash: u64, flags: u64, offset: u32) -> Self {
        Self(Self::fingerprint_of(hash) | flags | u64::from(offset))
    }

    const fn is_free(self) -> bool {
        self.0 == 0
    }

    const fn covers(self, wanted: u64) -> bool {
        self.0 & wanted != 0
    }

    const fn widened(self, flags: u64) -> Self {
        Self(self.0 | flags)
    }

    const fn fingerprint(self) -> u64 {
        Self::fingerprint_of(self.0)
    }

    const fn fingerprint_of(hash: u64) -> u64 {
        hash & Self::FINGERPRINT
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the offset")]
    const fn offset(self) -> usize {
        self.0 as u32 as usize
    }
}

#[cfg(test)]
mod tests;
