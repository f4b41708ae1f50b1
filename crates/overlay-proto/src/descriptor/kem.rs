//! The keys for circuits that a node offers, and which of them a client takes (ovl1 section 2.2).
//!
//! Not here: the key encapsulation itself ([`crate::xwing`]).

use crate::codec::{Malformed, Reader};
use crate::kdf::hash;
use crate::moment::UnixTime;
use std::fmt;

/// Bytes of a public key.
pub const KEM_KEY_BYTES: usize = 1216;
/// A key is put into new descriptors for 24 h from its `not_before` on.
pub const KEM_OFFERED_SECONDS: u64 = 24 * 3600;
/// A key is accepted for 60 h from its `not_before` on, then erased.
pub const KEM_ACCEPTED_SECONDS: u64 = 60 * 3600;

/// One key, and from when to when it serves.
#[derive(Clone, PartialEq, Eq)]
pub struct KemOffer {
    /// Serves from here on, for 60 h.
    pub not_before: UnixTime,
    /// The X-Wing public key.
    pub key: Box<[u8; KEM_KEY_BYTES]>,
}

impl KemOffer {
    /// How CREATE names the key: the first bytes of its hash.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = hash(&[b"ovl1 kem\0", self.key.as_slice()]);
        [a, b, c, d]
    }

    /// The last second at which the node takes it.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_before.plus(KEM_ACCEPTED_SECONDS)
    }

    /// Whether the node puts it into new descriptors: until 24 h after `not_before`, and beforehand as the next one.
    #[must_use]
    pub fn is_offered(&self, now: UnixTime) -> bool {
        now <= self.not_before.plus(KEM_OFFERED_SECONDS)
    }

    /// Whether the node still holds it and takes what was sealed to it; afterwards it is erased. A key whose time has
    /// not come is taken too: the client's clock may be fast.
    #[must_use]
    pub fn is_accepted(&self, now: UnixTime) -> bool {
        now <= self.not_after()
    }

    /// Whether a client may seal to it.
    #[must_use]
    pub fn is_usable(&self, now: UnixTime) -> bool {
        self.not_before <= now && now <= self.not_after()
    }

    /// The key a client takes of these: the usable one with the latest `not_before`.
    #[must_use]
    pub fn choose(offers: &[Self], now: UnixTime) -> Option<&Self> {
        offers.iter().filter(|offer| offer.is_usable(now)).max_by_key(|offer| offer.not_before)
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.id());
        bytes.extend_from_slice(&self.not_before.0.to_be_bytes());
        bytes.extend_from_slice(&self.not_after().0.to_be_bytes());
        bytes.extend_from_slice(self.key.as_slice());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = reader.array::<4>("kem id")?;
        let not_before = UnixTime(reader.u64("kem not-before")?);
        let not_after = UnixTime(reader.u64("kem not-after")?);
        let offer = Self { not_before, key: Box::new(reader.array("kem key")?) };
        if offer.not_after() != not_after {
            return Err(Malformed("kem not-after"));
        }
        if offer.id() != id {
            return Err(Malformed("kem id"));
        }
        Ok(offer)
    }
}

impl fmt::Debug for KemOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KemOffer").field("not_before", &self.not_before).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime(1_800_000_000);
    const HOUR: u64 = 3600;

    fn offer(not_before: UnixTime) -> KemOffer {
        KemOffer { not_before, key: Box::new([0x4b; KEM_KEY_BYTES]) }
    }

    #[test]
    fn a_client_takes_the_latest_key_that_is_not_in_its_future() {
        let offers = [offer(NOON), offer(NOON.plus(24 * HOUR))];
        let chosen = |now| KemOffer::choose(&offers, now).map(|offer| offer.not_before);
        for (now, wanted, why) in [
            (NOON.minus(1), None, "both are in the future"),
            (NOON, Some(NOON), "the first has come"),
            (NOON.plus(24 * HOUR - 1), Some(NOON), "the second has not"),
            (NOON.plus(24 * HOUR), Some(NOON.plus(24 * HOUR)), "now it has"),
            (NOON.plus(84 * HOUR), Some(NOON.plus(24 * HOUR)), "its last second"),
            (NOON.plus(84 * HOUR + 1), None, "both are over"),
        ] {
            assert_eq!(chosen(now), wanted, "{why}");
        }
    }

    #[test]
    fn a_node_offers_for_a_day_and_takes_for_two_and_a_half() {
        let offer = offer(NOON);
        for (now, offered, accepted) in [
            (NOON.minus(HOUR), true, true),
            (NOON.plus(24 * HOUR), true, true),
            (NOON.plus(24 * HOUR + 1), false, true),
            (NOON.plus(60 * HOUR), false, true),
            (NOON.plus(60 * HOUR + 1), false, false),
        ] {
            assert_eq!((offer.is_offered(now), offer.is_accepted(now)), (offered, accepted), "{now:?}");
        }
    }
}
