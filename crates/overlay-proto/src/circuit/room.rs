//! The line of bytes that wait at an end: how much a driver may add, and when it is told that it may again (section 8).
//!
//! A stream's line is never longer than what the other end has granted: one whose reader is slow takes no place from
//! others. Not here: in which order bytes leave (`transmit.rs`).

use super::terms::{CircuitEvent, StreamId};
use super::{CircuitEnd, stream, transmit};
use bytes::Bytes;

impl CircuitEnd {
    /// Takes as many of these bytes as there is room for, from the front; the rest stays in `bytes`.
    pub fn send(&mut self, stream: StreamId, bytes: &mut Bytes) -> usize {
        let taken = self.room(stream).min(bytes.len());
        if taken > 0
            && let Some(found) = self.streams.get_mut(&stream.0)
        {
            found.push(bytes.split_to(taken));
            self.queued += taken;
            self.wake(stream.0);
        }
        taken
    }

    /// How many bytes [`send`](Self::send) takes now. When it is 0, [`CircuitEvent::Writable`] follows once.
    pub fn room(&mut self, stream: StreamId) -> usize {
        let Some(found) = self.streams.get_mut(&stream.0) else { return 0 };
        let room = found.room().min(MAX_QUEUED.saturating_sub(self.queued));
        if room == 0 {
            found.wants = true;
            self.tell_room(stream.0);
        }
        room
    }

    /// A stream that may have become ready takes its place at the end of the line.
    pub(super) fn wake(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.waits
            && stream.ready() != stream::Ready::Nothing
        {
            stream.waits = true;
            stream.deficit = transmit::QUANTUM;
            self.ring.push_back(id);
        }
    }

    /// Tells the driver that a stream has room again, if it asked. Where only the circuit's line is too long, the
    /// stream waits for that.
    pub(super) fn tell_room(&mut self, id: u32) {
        let left = MAX_QUEUED.saturating_sub(self.queued);
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.wants) else { return };
        let room = stream.room();
        let enough = if stream.queued() == 0 { 1 } else { ENOUGH_ROOM };
        if room.min(left) >= enough {
            stream.wants = false;
            self.events.push_back(CircuitEvent::Writable(StreamId(id)));
        } else if room >= enough && !stream.waiting {
            stream.waiting = true;
            self.waiting.push_back(id);
        }
    }

    /// The circuit's line has become shorter: those that found it full are told.
    pub(super) fn wake_waiting(&mut self) {
        if self.queued <= MAX_QUEUED / 2 {
            while let Some(id) = self.waiting.pop_front() {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.waiting = false;
                }
                self.tell_room(id);
            }
        }
    }
}

/// Bytes that wait in all streams of a circuit.
pub(super) const MAX_QUEUED: usize = 256 * 1024;
/// A driver is told about room of this size, or about any when nothing waits.
const ENOUGH_ROOM: usize = 16 * 1024;
