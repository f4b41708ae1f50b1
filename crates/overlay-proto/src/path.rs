//! Which nodes make a path: the entries one keeps, the exits one uses, and who may stand beside whom (section 11).
//!
//! [`candidate`] says what is known of a node and which two must not be in one path; [`entries`] keeps the few entries
//! a person goes through for months; [`exits`] the active set of exits. Not here: which exit serves what
//! ([`crate::spread`]), how nodes are found ([`crate::snapshot`]).

pub mod candidate;
pub mod entries;
pub mod exits;

pub use candidate::{Candidate, Clash, Rules};
pub use entries::{Entries, EntriesError, Entry};
pub use exits::{ActiveExits, ExitWish};

use rand_core::Rng;
use shoalway_types::wallet::Address;

/// A random element of those that are there.
pub(crate) fn any<'a, T>(from: &'a [T], rng: &mut dyn Rng) -> Option<&'a T> {
    let count = u64::try_from(from.len()).ok().filter(|count| *count > 0)?;
    from.get(usize::try_from(below(count, rng)).ok()?)
}

/// A random number under `limit`, each as likely as any other; 0 when the limit is 0.
pub(crate) fn below(limit: u64, rng: &mut dyn Rng) -> u64 {
    if limit == 0 {
        return 0;
    }
    // Numbers past the last whole multiple of the limit would make the small ones likelier.
    let whole = u64::MAX - u64::MAX % limit;
    loop {
        let number = rng.next_u64();
        if number < whole {
            return number % limit;
        }
    }
}

/// The middle node of a path of three hops: any that may stand beside both ends.
#[must_use]
pub fn middle(
    candidates: &[Candidate],
    entry: &Candidate,
    exit: &Candidate,
    rules: Rules,
    rng: &mut dyn Rng,
) -> Option<Address> {
    let fitting: Vec<Address> = candidates
        .iter()
        .filter(|candidate| candidate.middle)
        .filter(|candidate| candidate.beside(entry, rules).is_ok() && candidate.beside(exit, rules).is_ok())
        .map(|candidate| candidate.node)
        .collect();
    any(&fitting, rng).copied()
}

#[cfg(test)]
mod tests {
    use super::candidate::candidate;
    use super::*;
    use rand_core::TryRng;
    use std::convert::Infallible;

    /// Numbers that look random and are the same in every run (SplitMix64).
    pub(super) struct Counting(pub(super) u64);

    impl TryRng for Counting {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.try_next_u64().map(|number| (number >> 32) as u32)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Ok(mixed ^ (mixed >> 31))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            for chunk in bytes.chunks_mut(8) {
                let number = self.try_next_u64()?.to_be_bytes();
                chunk.copy_from_slice(&number[..chunk.len()]);
            }
            Ok(())
        }
    }

    #[test]
    fn every_number_under_the_limit_is_as_likely() {
        let mut rng = Counting(3);
        let mut count = [0u32; 7];
        for _ in 0..7_000 {
            count[usize::try_from(below(7, &mut rng)).unwrap()] += 1;
        }
        assert!(count.iter().all(|count| count.abs_diff(1_000) < 150), "{count:?}");
        assert_eq!(below(0, &mut rng), 0);
        assert_eq!(any::<u8>(&[], &mut rng), None);
    }

    #[test]
    fn a_middle_has_nothing_in_common_with_either_end() {
        let mut all: Vec<Candidate> = (1..=6).map(candidate).collect();
        all[2].middle = false;
        all[3].operator = all[0].operator;
        all[4].ips = vec![std::net::IpAddr::from([2, 1, 9, 9])];
        for seed in 0..50 {
            let chosen = middle(&all, &all[0], &all[1], Rules::default(), &mut Counting(seed));
            assert_eq!(chosen, Some(Address([6; 20])));
        }
        assert_eq!(middle(&all[..2], &all[0], &all[1], Rules::default(), &mut Counting(1)), None);
    }
}
