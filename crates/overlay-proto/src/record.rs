//! Protection of records, and the ratchet of their keys (ovl1 section 7.1). The records of a link behind a front
//! (section 4, binding 2) are in [`link`].
//!
//! ```text
//! S --> key, iv, next      nonce = iv XOR (0^4 || u64 counter)      S' = next after the record that ends in KEYUP
//! ```
//! Whoever writes and reads the frames says where a KEYUP stands; when one must and when none may stand is decided here.
//! Not here: the frames in a record (`circuit`), where the secrets come from (`create`).

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use bytes::BytesMut;
use std::time::Duration;
use zeroize::Zeroizing;

use crate::kdf::{Secret, derive, expand};
use crate::{Malformed, Moment};

pub mod link;

/// Bytes that protection adds to a record.
pub const TAG: usize = 16;
/// The most bytes of frames in a record; the least is 1.
pub const MAX_PLAIN: usize = 16_320;
/// The most bytes of a record.
pub const MAX_RECORD: usize = MAX_PLAIN + TAG;
/// The frame that ends the last record of a key: type 7, stream 0, no body.
pub const KEYUP_FRAME: [u8; 7] = [7, 0, 0, 0, 0, 0, 0];
/// A key protects at most so many records.
pub const RECORDS_OF_A_KEY: u64 = 65_536;
/// The first record sent longer than this after the last rekey ends in KEYUP.
pub const TIME_OF_A_KEY: Duration = Duration::from_mins(10);
/// A KEYUP within so many records **and** [`SOONEST`] of the last one is a fault. Either alone is not: quiet circuits
/// rekey after few records, fast ones within a second.
pub const FEWEST: u64 = 256;
/// See [`FEWEST`].
pub const SOONEST: Duration = Duration::from_secs(1);

/// How records are protected. Both are mandatory; the exit chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// R1: AES-256-GCM.
    Aes256Gcm,
    /// R2: ChaCha20-Poly1305.
    ChaCha20Poly1305,
}

impl Suite {
    /// The number that stands in CREATED.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    /// The suite of a number.
    ///
    /// # Errors
    /// When there is none.
    pub const fn numbered(number: u8) -> Result<Self, Malformed> {
        match number {
            1 => Ok(Self::Aes256Gcm),
            2 => Ok(Self::ChaCha20Poly1305),
            _unknown => Err(Malformed("suite")),
        }
    }

    fn key(self, bytes: &[u8; 32]) -> LessSafeKey {
        let algorithm = match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        #[expect(clippy::expect_used, reason = "both take keys of 32 bytes")]
        let key = UnboundKey::new(algorithm, bytes).expect("a key of 32 bytes");
        LessSafeKey::new(key)
    }
}

/// What protects one direction of a circuit: the suite, and `Sc` or `Sx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKeys {
    /// The suite that the exit chose.
    pub suite: Suite,
    /// `Sc` towards the exit, `Sx` from it.
    pub secret: Secret,
}

/// How the frames of a record end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Any frame but KEYUP.
    Frame,
    /// KEYUP: the next record has a new key.
    Keyup,
}

/// Why a record was not sealed. All are errors of the caller; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// A record holds 1 to [`MAX_PLAIN`] bytes.
    #[error("a record of {0} bytes")]
    Length(usize),
    /// [`Sealer::keyup_due`], and the frames do not end in KEYUP.
    #[error("a key used for too long")]
    NoKeyup,
    /// KEYUP within 256 records and 1 s of the last.
    #[error("a new key too soon")]
    EarlyKeyup,
}

/// Why a record ends its circuit (section 6.4: DESTROY 1, keys erased).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Shorter than 17 bytes or longer than [`MAX_RECORD`]; in a link's record see [`link::MAX_LINK_PLAIN`].
    #[error("a record of {0} bytes")]
    Length(usize),
    /// It was changed, replayed, reordered or made with another key.
    #[error("a record that does not open")]
    Sealed,
    /// 65,536 records and no KEYUP.
    #[error("a key used for too long")]
    NoKeyup,
    /// KEYUP within 256 records and 1 s of the last.
    #[error("a new key too soon")]
    EarlyKeyup,
}

/// One direction's key, and the one after it.
struct Chain {
    suite: Suite,
    key: LessSafeKey,
    iv: Zeroizing<[u8; 12]>,
    next: Secret,
    counter: u64,
    since: Moment,
}

impl Chain {
    fn new(suite: Suite, secret: &Secret, now: Moment) -> Self {
        let key = suite.key(derive(secret, "key").bytes());
        let (iv, next) = (expand(secret, "iv"), derive(secret, "next"));
        Self { suite, key, iv, next, counter: 0, since: now }
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = *self.iv;
        let counted = nonce.iter_mut().skip(4);
        counted.zip(self.counter.to_be_bytes()).for_each(|(byte, count)| *byte ^= count);
        Nonce::assume_unique_for_key(nonce)
    }

    /// On to the next key; the old one is erased as it goes.
    fn step(&mut self, now: Moment) {
        let next = self.next.clone();
        *self = Self::new(self.suite, &next, now);
    }

    /// Whether a KEYUP would come sooner than the rules permit.
    fn is_young(&self, now: Moment) -> bool {
        self.counter < FEWEST && now.since(self.since) < SOONEST
    }

    /// Protects `buf` from `start` on, in place, and adds the tag. What is there is checked for its length.
    fn seal(&mut self, buf: &mut BytesMut, start: usize) {
        let plain = buf.get_mut(start..).unwrap_or_default();
        #[expect(clippy::expect_used, reason = "one nonce protects 64 GiB; records have 16 KiB")]
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(), Aad::empty(), plain)
            .expect("a record of a permitted length");
        buf.extend_from_slice(tag.as_ref());
        self.counter += 1;
    }

    /// Appends what is in a record to `out`; nothing when it does not open.
    fn open(&mut self, record: &[u8], out: &mut BytesMut) -> Result<(), RecordFault> {
        let length = RecordFault::Length(record.len());
        let (sealed, tag) = record.split_last_chunk::<TAG>().ok_or(length)?;
        let start = out.len();
        out.resize(start + sealed.len(), 0);
        let to = out.get_mut(start..).unwrap_or_default();
        if self.key.open_separate_gather(self.nonce(), Aad::empty(), sealed, tag, to).is_err() {
            out.truncate(start);
            return Err(RecordFault::Sealed);
        }
        self.counter += 1;
        Ok(())
    }
}

/// Protects the records of one direction.
pub struct Sealer(Chain);

impl Sealer {
    /// From the first record on.
    #[must_use]
    pub fn new(keys: &RecordKeys, now: Moment) -> Self {
        Self(Chain::new(keys.suite, &keys.secret, now))
    }

    /// Whether the next record must end in KEYUP: it is the last of its key, or the key is 10 min old.
    #[must_use]
    pub fn keyup_due(&self, now: Moment) -> bool {
        self.0.counter >= RECORDS_OF_A_KEY - 1 || now.since(self.0.since) > TIME_OF_A_KEY
    }

    /// Turns the frames in `buf` from `start` on into a record, in place; what stands before `start` stays, for a
    /// header that goes with it. `buf` grows by [`TAG`]: with that much capacity left nothing is copied. After
    /// [`Last::Keyup`] the next record has a new key, and the old one is erased.
    ///
    /// # Errors
    /// A length that no record has, or a KEYUP that is missing or too early; `buf` is as it was.
    pub fn seal(
        &mut self,
        buf: &mut BytesMut,
        start: usize,
        last: Last,
        now: Moment,
    ) -> Result<(), SealFault> {
        let length = buf.len().saturating_sub(start);
        if !(1..=MAX_PLAIN).contains(&length) {
            return Err(SealFault::Length(length));
        }
        match last {
            Last::Frame if self.keyup_due(now) => Err(SealFault::NoKeyup),
            Last::Keyup if self.0.is_young(now) => Err(SealFault::EarlyKeyup),
            Last::Frame => {
                self.0.seal(buf, start);
                Ok(())
            }
            Last::Keyup => {
                self.0.seal(buf, start);
                self.0.step(now);
                Ok(())
            }
        }
    }
}

/// Opens the records of one direction.
pub struct Opener(Chain);

impl Opener {
    /// From the first record on.
    #[must_use]
    pub fn new(keys: &RecordKeys, now: Moment) -> Self {
        Self(Chain::new(keys.suite, &keys.secret, now))
    }

    /// Opens the next record: its frames are written straight to the end of `out`. If the last of them is KEYUP,
    /// [`Opener::keyup`] comes before the next record.
    ///
    /// # Errors
    /// The circuit is over; `out` is as it was.
    pub fn open(&mut self, record: &[u8], out: &mut BytesMut) -> Result<(), RecordFault> {
        if record.len() <= TAG || record.len() > MAX_RECORD {
            return Err(RecordFault::Length(record.len()));
        }
        if self.0.counter >= RECORDS_OF_A_KEY {
            return Err(RecordFault::NoKeyup);
        }
        self.0.open(record, out)
    }

    /// The record opened last ended in KEYUP: on to the next key.
    ///
    /// # Errors
    /// When it came within [`FEWEST`] records and [`SOONEST`] of the last; the circuit is over.
    pub fn keyup(&mut self, now: Moment) -> Result<(), RecordFault> {
        if self.0.is_young(now) {
            return Err(RecordFault::EarlyKeyup);
        }
        self.0.step(now);
        Ok(())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("suite", &self.0.suite).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("suite", &self.0.suite).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
