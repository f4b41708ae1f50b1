//! Tests of links: two ends joined by a pipe.

use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

/// A generator for tests: SplitMix64, the same for the same seed.
pub(crate) struct TestRng(u64);

pub(crate) const fn rng(seed: u64) -> TestRng {
    TestRng(seed)
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = self.try_next_u64()?.to_be_bytes();
        Ok(u32::from_be_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            [*byte, ..] = self.try_next_u64()?.to_be_bytes();
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}
