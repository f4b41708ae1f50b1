//! Chance and hashing without secrets: what a pick draws with, and how keys become places on a ring.
//!
//! SplitMix64 (Steele, Lea and Flood, 2014) and FNV-1a with its finaliser: fast, and the same in every build, so that
//! several proxies in front of the same endpoints agree. Clients may steer these hashes; what that can do is bounded
//! by the load bound of `balance/consistent_hash.rs`. Never for secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// A shard's own source of chance. Not shared: each shard, or each test, has one.
#[derive(Debug)]
pub struct Dice(Cell<u64>);

impl Dice {
    /// Dice that always fall alike for one seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Dice seeded by the system.
    #[must_use]
    pub fn from_system() -> Self {
        Self::new(RandomState::new().hash_one(0x5eed_u64))
    }

    /// 64 bits by chance.
    pub fn roll(&self) -> u64 {
        let state = self.0.get().wrapping_add(GOLDEN);
        self.0.set(state);
        finish(state)
    }
}

/// Another 64 bits from some: the `n`th draw of one pick.
#[must_use]
pub(crate) const fn draw(random: u64, n: u64) -> u64 {
    finish(random.wrapping_add(n.wrapping_mul(GOLDEN)))
}

/// A number below `bound` from 64 random bits; 0 when `bound` is 0.
#[must_use]
pub(crate) fn below(random: u64, bound: usize) -> usize {
    let wide = u128::from(random) * (bound as u128);
    usize::try_from(wide >> 64).unwrap_or_default()
}

/// A stable 64-bit hash of octets, for [`crate::balance::PickKey::hash`] and ring places.
#[must_use]
pub fn stable_hash(octets: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let fnv = octets.iter().fold(OFFSET, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(PRIME));
    finish(fnv)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads every bit over all: FNV alone is weak in its upper bits.
const fn finish(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_rolls_and_they_are_spread() {
        let (one, two) = (Dice::new(7), Dice::new(7));
        let mut counts = [0u32; 8];
        for _ in 0..8_000 {
            let roll = one.roll();
            assert_eq!(roll, two.roll());
            counts[below(roll, 8)] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert_eq!((below(u64::MAX, 8), below(u64::MAX, 0)), (7, 0));
    }

    #[test]
    fn hashes_do_not_change_from_build_to_build() {
        assert_eq!(stable_hash(b""), finish(0xcbf2_9ce4_8422_2325));
        assert_ne!(stable_hash(b"a") >> 32, stable_hash(b"b") >> 32);
        assert_ne!(draw(1, 1), draw(1, 2));
    }
}
