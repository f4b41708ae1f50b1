//! Protection of records, and the ratchet of their keys (ovl1 section 7.1). The records of a link behind a front
//! (section 4, binding 2) are in [`link`].
//!
//! ```text
//! S --> key, iv, next      nonce = iv XOR (0^4 || u64 counter)      S' = next after the record that ends in KEYUP
//! ```
//! A sealer ends a record with KEYUP where the rules ask for it, by itself. An opener is told of the KEYUP by whoever
//! reads the frames. Not here: the frames in a record (`circuit/frame.rs`), where the secrets come from (`create`).

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

/// Why a record was not sealed. Both are errors of the caller, who keeps to [`Sealer::room`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Nothing to seal: a record has a byte at least.
    #[error("an empty record")]
    Empty,
    /// More than a record holds.
    #[error("{0} bytes are more than a record holds")]
    TooLong(usize),
}

/// Why a record ends its circuit (section 6.4: DESTROY 1, keys erased).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Shorter than 17 bytes or longer than [`MAX_RECORD`].
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

    /// Protects `buf` from `start` on, in place, and adds the tag.
    fn seal(&mut self, buf: &mut BytesMut, start: usize) -> Result<(), SealFault> {
        let length = buf.len();
        let plain = buf.get_mut(start..).unwrap_or_default();
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(), Aad::empty(), plain)
            .map_err(|_unspecified| SealFault::TooLong(length))?;
        buf.extend_from_slice(tag.as_ref());
        self.counter += 1;
        Ok(())
    }

    /// Opens a record into `out`, which afterwards holds what was in it and nothing else.
    fn open(&mut self, record: &[u8], out: &mut BytesMut) -> Result<(), RecordFault> {
        let length = RecordFault::Length(record.len());
        let (sealed, tag) = record.split_last_chunk::<TAG>().ok_or(length)?;
        out.resize(sealed.len(), 0);
        let opened = self.key.open_separate_gather(self.nonce(), Aad::empty(), sealed, tag, out);
        if opened.is_err() {
            out.clear();
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

    /// Whether the next record ends in KEYUP. Who must keep a record's exact length (384 bytes around OPEN) sends one
    /// that holds KEYUP alone first, by sealing an empty one.
    #[must_use]
    pub fn keyup_due(&self, now: Moment) -> bool {
        self.0.counter >= RECORDS_OF_A_KEY - 1 || now.since(self.0.since) > TIME_OF_A_KEY
    }

    /// How many bytes of frames the next record takes: [`MAX_PLAIN`], less a KEYUP if one is due.
    #[must_use]
    pub fn room(&self, now: Moment) -> usize {
        if self.keyup_due(now) { MAX_PLAIN - KEYUP_FRAME.len() } else { MAX_PLAIN }
    }

    /// Turns the frames in `buf` from `start` on into a record, in place; what stands before `start` stays, for a
    /// header that goes with it. Adds KEYUP when one is due, and then goes on to the next key. `buf` grows by [`TAG`]
    /// and perhaps the 7 bytes of KEYUP: with that much capacity left nothing is copied.
    ///
    /// # Errors
    /// When there are no frames (and no KEYUP is due) or more than [`Sealer::room`]; `buf` is then as it was.
    pub fn seal(&mut self, buf: &mut BytesMut, start: usize, now: Moment) -> Result<(), SealFault> {
        let length = buf.len().saturating_sub(start);
        let due = self.keyup_due(now);
        if length > self.room(now) {
            return Err(SealFault::TooLong(length));
        }
        if length == 0 && !due {
            return Err(SealFault::Empty);
        }
        if due {
            buf.extend_from_slice(&KEYUP_FRAME);
        }
        self.0.seal(buf, start)?;
        if due {
            self.0.step(now);
        }
        Ok(())
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

    /// Opens the next record straight into `out`, which afterwards holds its frames and nothing else. If their last
    /// one is KEYUP, [`Opener::keyup`] comes before the next record.
    ///
    /// # Errors
    /// The circuit is over; `out` is empty.
    pub fn open(&mut self, record: &[u8], out: &mut BytesMut) -> Result<(), RecordFault> {
        out.clear();
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
        if self.0.counter < FEWEST && now.since(self.0.since) < SOONEST {
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
