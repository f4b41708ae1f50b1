//! What an end of a circuit needs of the protection of records (section 7.1): the seam to `record.rs`.
//!
//! Not here: keys, counters, the ratchet.

use super::terms::CircuitFault;
use crate::Moment;
use bytes::BytesMut;

/// Seals the records of one direction.
pub trait SealRecords {
    /// Whether the next record has to end with KEYUP.
    fn keyup_due(&self, now: Moment) -> bool;

    /// Turns the frames in `record` into a record in place, 16 bytes longer. With `keyup` the last frame is KEYUP and
    /// the next record has a new key.
    ///
    /// # Errors
    /// A key that is used up, or a record of a length that cannot be: nothing was sealed.
    fn seal(&mut self, record: &mut BytesMut, keyup: bool, now: Moment) -> Result<(), CircuitFault>;
}

/// Opens the records of one direction.
pub trait OpenRecords {
    /// Appends the frames of `record` to `out`.
    ///
    /// # Errors
    /// The record is not the next of this direction, or the key should have been renewed.
    fn open(&mut self, record: &[u8], out: &mut BytesMut, now: Moment) -> Result<(), CircuitFault>;

    /// The record just opened ended with KEYUP.
    ///
    /// # Errors
    /// Too early after the last.
    fn keyup(&mut self, now: Moment) -> Result<(), CircuitFault>;
}

/// Both directions of a circuit, as one end has them.
pub struct Protection {
    /// What this end sends.
    pub seal: Box<dyn SealRecords>,
    /// What it receives.
    pub open: Box<dyn OpenRecords>,
}
