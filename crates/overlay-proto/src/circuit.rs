//! The two ends of a circuit (sections 6.4, 7, 8).
//!
//! One [`CircuitEnd`] for the client's and the exit's end. Records go in by [`CircuitEnd::receive`] and come out by
//! [`CircuitEnd::transmit`]; streams are opened, filled, read and ended by the other methods; what happened is told by
//! [`CircuitEnd::next_event`]. Not here: how the circuit was made (`create.rs`), the layer of longer paths
//! (`layer.rs`), sockets.

pub mod protection;
pub mod terms;

use crate::Moment;
use crate::link::dir::DirGet;
use crate::link::terms::Code;
use bytes::Bytes;
use protection::Protection;
use terms::{CircuitEvent, CircuitFault, CircuitTerms, Destination, End, OpenRefused, ResetCode, StreamId};

/// One end of a circuit, from CREATED on.
pub struct CircuitEnd {
    end: End,
    terms: CircuitTerms,
    protection: Protection,
}

impl CircuitEnd {
    /// An end right after CREATED was sent or received.
    #[must_use]
    pub fn new(end: End, terms: CircuitTerms, protection: Protection, now: Moment) -> Self {
        let _ = now;
        Self { end, terms, protection }
    }

    /// Client: a stream to a destination. The application is told "connected" at [`CircuitEvent::Opened`] only.
    ///
    /// # Errors
    /// A limit, or a circuit that takes no more.
    pub fn open(&mut self, dest: Destination, now: Moment) -> Result<StreamId, OpenRefused> {
        let _ = (dest, now);
        Err(OpenRefused::Draining)
    }

    /// Client: bytes may be sent on this stream before the exit has answered (`optimistic = true`).
    pub fn optimistic(&mut self, stream: StreamId) {
        let _ = stream;
    }

    /// Exit: the connection to the destination stands.
    pub fn opened(&mut self, stream: StreamId) {
        let _ = stream;
    }

    /// Takes as many of these bytes as there is room for, from the front; the rest stays in `bytes`.
    pub fn send(&mut self, stream: StreamId, bytes: &mut Bytes) -> usize {
        let _ = (stream, bytes);
        0
    }

    /// How many bytes [`send`](Self::send) takes now. When it is 0, [`CircuitEvent::Writable`] follows once.
    pub fn room(&mut self, stream: StreamId) -> usize {
        let _ = stream;
        0
    }

    /// No more bytes will be sent on this stream; those that wait go first.
    pub fn fin(&mut self, stream: StreamId) {
        let _ = stream;
    }

    /// Ends a stream in both directions. No event follows. At an exit, before [`opened`](Self::opened), this is the
    /// answer to OPEN.
    pub fn reset(&mut self, stream: StreamId, code: ResetCode) {
        let _ = (stream, code);
    }

    /// So many bytes of the stream were handed on: they are granted again.
    pub fn consumed(&mut self, stream: StreamId, bytes: usize, now: Moment) {
        let _ = (stream, bytes, now);
    }

    /// Client: asks for a part of the directory on a stream to [`Destination::Directory`] that was opened.
    pub fn dir_get(&mut self, stream: StreamId, get: DirGet) {
        let _ = (stream, get);
    }

    /// Exit: answers [`CircuitEvent::DirGet`]; empty says that it is not had.
    pub fn dir_answer(&mut self, stream: StreamId, body: Bytes) {
        let _ = (stream, body);
    }

    /// Client: asks for a sign of life, at most once in 5 s; `false` when it is too early or one is under way.
    pub fn ping(&mut self, now: Moment) -> bool {
        let _ = now;
        false
    }

    /// Ends the circuit: CLOSE goes out, streams are reset, [`CircuitEvent::Closed`] follows.
    pub fn close(&mut self, code: Code) {
        let _ = code;
    }

    /// The link says that the circuit is gone: streams are reset with code 1, [`CircuitEvent::Closed`] follows.
    pub fn lost(&mut self, code: Code) {
        let _ = code;
    }

    /// One record from the other end.
    ///
    /// # Errors
    /// The circuit is over: keys are gone, streams have been reset, the link's circuit is to be destroyed with code 1.
    pub fn receive(&mut self, record: &[u8], now: Moment) -> Result<(), CircuitFault> {
        let _ = (record, now);
        Ok(())
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<CircuitEvent> {
        None
    }

    /// The next record, of at most `credit` bytes (what [`Link::writable`](crate::link::Link::writable) says).
    pub fn transmit(&mut self, credit: usize, now: Moment) -> Option<Bytes> {
        let _ = (credit, now);
        None
    }

    /// When [`tick`](Self::tick) is due, if nothing comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// Does what time asks for.
    pub fn tick(&mut self, now: Moment) {
        let _ = now;
    }

    /// Streams that are connecting or stand.
    #[must_use]
    pub fn streams(&self) -> usize {
        0
    }

    /// Whether the circuit takes new streams (apart from the limits).
    #[must_use]
    pub fn is_open(&self) -> bool {
        true
    }

    /// Which end this is.
    #[must_use]
    pub const fn end(&self) -> End {
        self.end
    }

    /// What the circuit was made with.
    #[must_use]
    pub const fn terms(&self) -> &CircuitTerms {
        &self.terms
    }
}
