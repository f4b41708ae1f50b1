//! What survives a cut of a client link: the circuits, and the bytes the neighbour did not acknowledge (section 9).
//!
//! Sequenced bytes are those of whole frames with a circuit, heads included, counted from 0 in each direction. What was
//! sent is kept, as it was sent, until it is acknowledged. Not here: the opener of a session (`opener.rs`).

use super::circuits::Circuits;
use super::terms::{CircId, LinkFault, ResumeFault};
use crate::Moment;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// The circuits of a link and what was not acknowledged.
pub struct Session {
    pub(super) circuits: Circuits,
    pub(super) sequence: Sequence,
}

impl Session {
    /// Sequenced bytes received in whole frames: what an opener or ACCEPT says when the session goes on.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.sequence.received
    }

    /// The circuits that stand or are being made.
    pub fn circuits(&self) -> impl Iterator<Item = CircId> + '_ {
        self.circuits.ids()
    }

    /// Bytes that wait in the session, sent or not.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.circuits.cost() + self.sequence.unacknowledged()
    }
}

/// The count of both directions, and what was sent and not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// All that was acknowledged: the count of the first byte in `kept`.
    acked: u64,
    /// Sent on this link and not acknowledged.
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// Sent on an earlier link and not received there: to be sent again, before anything else.
    again: VecDeque<Kept>,
    again_bytes: usize,
    pub(super) received: u64,
    /// What the neighbour knows of `received`.
    told: u64,
    ack_at: Option<Moment>,
    /// Time has come for an ACK.
    ack_due: bool,
}

/// Sequenced bytes as they were sent.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) bytes: Bytes,
    pub(super) then: Then,
}

/// What stands behind sequenced bytes and may not be parted from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// A PAD (`CREATE_PAD`): a CREATE sent again shows no more than at first.
    Pad,
    /// The next bytes, whose head these end with.
    Body,
}

impl Sequence {
    /// How many more sequenced bytes may be sent.
    pub(super) const fn room(&self) -> usize {
        LIMIT.saturating_sub(self.unacknowledged())
    }

    pub(super) const fn unacknowledged(&self) -> usize {
        self.kept_bytes + self.again_bytes
    }

    pub(super) const fn acked(&self) -> u64 {
        self.acked
    }

    /// The count of the next new byte.
    pub(super) const fn sent(&self) -> u64 {
        self.acked + self.unacknowledged() as u64
    }

    /// Keeps what is sent for the first time.
    pub(super) fn keep(&mut self, bytes: Bytes, then: Then) {
        self.kept_bytes += bytes.len();
        self.kept.push_back(Kept { bytes, then });
    }

    /// What is to be sent again; it is kept on.
    pub(super) fn next_again(&mut self) -> Option<Kept> {
        let piece = self.again.pop_front()?;
        self.again_bytes -= piece.bytes.len();
        self.keep(piece.bytes.clone(), piece.then);
        Some(piece)
    }

    pub(super) fn sends_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// A whole sequenced frame came.
    pub(super) fn count(&mut self, frame: usize, now: Moment) -> Result<(), LinkFault> {
        self.received += frame as u64;
        if self.received - self.told > LIMIT as u64 {
            return Err(LinkFault::Window);
        }
        if !self.ack_due {
            self.ack_at.get_or_insert(now + ACK_TIME);
        }
        Ok(())
    }

    /// The count to acknowledge, when it is time.
    pub(super) fn due_ack(&mut self) -> Option<u64> {
        if !self.ack_is_due() {
            return None;
        }
        self.is_told();
        Some(self.received)
    }

    pub(super) const fn ack_is_due(&self) -> bool {
        self.ack_due || self.received - self.told >= ACK_BYTES
    }

    pub(super) fn tick(&mut self, now: Moment) {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
            self.ack_due = true;
        }
    }

    const fn is_told(&mut self) {
        self.told = self.received;
        self.ack_at = None;
        self.ack_due = false;
    }

    pub(super) const fn deadline(&self) -> Option<Moment> {
        self.ack_at
    }

    /// The neighbour has all bytes before this count.
    pub(super) fn on_ack(&mut self, count: u64) -> Result<(), LinkFault> {
        let new = count.checked_sub(self.acked).and_then(|new| usize::try_from(new).ok());
        match new {
            Some(new) if new <= self.kept_bytes => {
                self.drop_front(new);
                Ok(())
            }
            Some(_) | None => Err(LinkFault::Field("ACK")),
        }
    }

    fn drop_front(&mut self, mut bytes: usize) {
        self.acked += bytes as u64;
        self.kept_bytes -= bytes;
        while bytes > 0
            && let Some(first) = self.kept.front_mut()
        {
            if first.bytes.len() > bytes {
                drop(first.bytes.split_to(bytes));
                return;
            }
            bytes -= first.bytes.len();
            self.kept.pop_front();
        }
    }

    /// A new link: what the neighbour does not have is to be sent again.
    pub(super) fn resume(&mut self, received: u64) -> Result<(), ResumeFault> {
        let (from, to) = (self.acked, self.sent());
        // A cut during sending again: what was not sent again stands behind what was.
        self.kept.append(&mut self.again);
        self.kept_bytes += std::mem::take(&mut self.again_bytes);
        self.on_ack(received).map_err(|_not_kept| ResumeFault { received, from, to })?;
        self.again = std::mem::take(&mut self.kept);
        self.again_bytes = std::mem::take(&mut self.kept_bytes);
        // The opener or ACCEPT told our count.
        self.is_told();
        Ok(())
    }
}

/// Unacknowledged bytes of one direction.
pub(super) const LIMIT: usize = 2 * 1024 * 1024;
/// Bytes after which ACK is due.
const ACK_BYTES: u64 = 128 * 1024;
/// Time after which ACK is due.
const ACK_TIME: Duration = Duration::from_secs(1);
