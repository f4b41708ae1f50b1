//! The two ends of a circuit (sections 6.4, 7, 8).
//!
//! One [`CircuitEnd`] for the client's and the exit's end. Records go in by [`CircuitEnd::receive`] and come out by
//! [`CircuitEnd::transmit`]; streams are opened, filled, read and ended by the other methods; what happened is told by
//! [`CircuitEnd::next_event`], time by [`CircuitEnd::tick`].
//!
//! ```text
//! exit:   Answered --first valid record--> Open --life over--> Draining --empty, or 1 h--> Closing --> Closed
//! client:                                  Open --life over--> Draining --empty, or 1 h--> Closing --> Closed
//! ```
//! Closing sends CLOSE; a fault, or the loss of the link's circuit, leads to Closed at once. Not here: how the circuit
//! was made (`create.rs`), the layer of longer paths (`layer.rs`), sockets, names.

pub mod frame;
pub mod terms;

mod clock;
pub(crate) mod credit;
mod directory;
mod receive;
mod room;
mod stream;
#[cfg(test)]
mod tests;
mod transmit;

use crate::Moment;
use crate::link::dir::DirGet;
use crate::link::rate::Bucket;
use crate::link::terms::Code;
use crate::record::{Opener, RecordKeys, Sealer};
use bytes::Bytes;
use credit::{ReceiveWindow, SendWindow};
use directory::Directory;
use std::collections::{BTreeMap, VecDeque};
use stream::{MAX_CREDIT, Outgoing, Stream};
use terms::{CircuitEvent, CircuitTerms, Destination, End, OpenRefused, ResetCode, StreamId};

/// One end of a circuit, from CREATED on.
///
/// The driver: `receive` each record, then `next_event` until nothing is left, then `transmit` while the link has
/// place; `tick` at `deadline`.
pub struct CircuitEnd {
    end: End,
    terms: CircuitTerms,
    state: State,
    /// Both directions; nothing when the circuit is closed: the keys are erased.
    protection: Option<(Sealer, Opener)>,
    streams: BTreeMap<u32, Stream>,
    /// Streams that are connecting, and those that stand. A stream that has ended may remain until its bytes are consumed.
    connecting: usize,
    live: usize,
    /// The highest id that was opened.
    last_id: u32,
    send: SendWindow,
    receive: ReceiveWindow,
    /// Streams that have something to send, in turns.
    ring: VecDeque<u32>,
    /// Bytes that wait in all streams.
    queued: usize,
    /// Streams that found the circuit's line full.
    waiting: VecDeque<u32>,
    opens: VecDeque<(StreamId, Destination)>,
    answers: VecDeque<(StreamId, Answer)>,
    resets: VecDeque<(StreamId, ResetCode)>,
    /// Streams that owe a CREDIT, 0 for the circuit.
    credits: VecDeque<u32>,
    credit_due: bool,
    pong: Option<[u8; 8]>,
    /// The PING to be sent, and when the one under way was asked for.
    ping: Option<[u8; 8]>,
    pinged: Option<(Moment, u64)>,
    ping_from: Moment,
    pings: u64,
    /// A record has to go out if only with PAD.
    pad_due: bool,
    sent_any: bool,
    events: VecDeque<CircuitEvent>,
    open_rate: Bucket,
    ping_rate: Bucket,
    dir_rate: Bucket,
    born: Moment,
    /// When a stream was last there.
    busy: Moment,
    /// When streams are next looked at one by one.
    sweep: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Exit: no valid record has come.
    Answered,
    Open,
    Draining,
    /// CLOSE is in line.
    Closing {
        reason: Code,
        by: Moment,
    },
    Closed,
}

/// The exit's answer to OPEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Opened,
    Refused(ResetCode),
}

impl CircuitEnd {
    /// An end right after CREATED was sent or received. `tx` protects what it sends, `rx` what it receives.
    #[must_use]
    pub fn new(end: End, terms: CircuitTerms, tx: &RecordKeys, rx: &RecordKeys, now: Moment) -> Self {
        let window = terms.circuit_window.min(MAX_CIRCUIT_WINDOW);
        let terms =
            CircuitTerms { circuit_window: window, max_streams: terms.max_streams.min(MAX_STREAMS), ..terms };
        Self {
            end,
            terms,
            state: match end {
                End::Client => State::Open,
                End::Exit => State::Answered,
            },
            protection: Some((Sealer::new(tx, now), Opener::new(rx, now))),
            streams: BTreeMap::new(),
            connecting: 0,
            live: 0,
            last_id: 0,
            send: SendWindow::new(window, MAX_CREDIT),
            receive: ReceiveWindow::new(window, MAX_CIRCUIT_WINDOW, now),
            ring: VecDeque::new(),
            queued: 0,
            waiting: VecDeque::new(),
            opens: VecDeque::new(),
            answers: VecDeque::new(),
            resets: VecDeque::new(),
            credits: VecDeque::new(),
            credit_due: false,
            pong: None,
            ping: None,
            pinged: None,
            ping_from: now,
            pings: 0,
            pad_due: false,
            sent_any: false,
            events: VecDeque::new(),
            // An exit sees those that were held up on the way together: twice the burst.
            open_rate: match end {
                End::Client => Bucket::new(64, 20, 1, now),
                End::Exit => Bucket::new(128, 20, 1, now),
            },
            ping_rate: Bucket::new(8, 1, 5, now),
            dir_rate: Bucket::new(60, 60, 3600, now),
            born: now,
            busy: now,
            sweep: now,
        }
    }

    /// Client: a stream to a destination. The application is told "connected" at [`CircuitEvent::Opened`] only.
    ///
    /// # Errors
    /// A limit, or a circuit that takes no more.
    pub fn open(&mut self, dest: Destination, now: Moment) -> Result<StreamId, OpenRefused> {
        if self.end == End::Exit {
            return Err(OpenRefused::NotClient);
        }
        if self.state != State::Open {
            return Err(OpenRefused::Draining);
        }
        if !frame::can_be_sent(&dest) {
            return Err(OpenRefused::Name);
        }
        if self.live >= usize::from(self.terms.max_streams) {
            return Err(OpenRefused::Streams);
        }
        if self.connecting >= MAX_CONNECTING {
            return Err(OpenRefused::Connecting);
        }
        let id = next_id(self.last_id).ok_or(OpenRefused::Draining)?;
        if !self.open_rate.take(now) {
            return Err(OpenRefused::Rate);
        }
        let mut stream = Stream::new(self.terms.stream_window, self.terms.stream_window, now);
        stream.directory = (dest == Destination::Directory).then(Directory::asks);
        self.add(id, stream, now);
        self.opens.push_back((StreamId(id), dest));
        Ok(StreamId(id))
    }

    fn add(&mut self, id: u32, stream: Stream, now: Moment) {
        self.streams.insert(id, stream);
        self.last_id = id;
        self.live += 1;
        self.connecting += 1;
        self.busy = now;
        self.sweep = self.sweep.max(now).min(now + clock::SWEEP_CONNECTING);
    }

    /// Client: bytes may be sent on this stream before the exit has answered (`optimistic = true`).
    pub fn optimistic(&mut self, stream: StreamId) {
        if let Some(stream) = self.streams.get_mut(&stream.0) {
            stream.optimistic = true;
        }
    }

    /// Exit: the connection to the destination stands.
    pub fn opened(&mut self, stream: StreamId) {
        if self.end == End::Exit
            && let Some(found) = self.streams.get_mut(&stream.0)
            && found.connecting
        {
            found.connecting = false;
            self.connecting -= 1;
            self.answers.push_back((stream, Answer::Opened));
        }
    }

    /// No more bytes will be sent on this stream; those that wait go first.
    pub fn fin(&mut self, stream: StreamId) {
        if let Some(found) = self.streams.get_mut(&stream.0)
            && found.outgoing == Outgoing::Open
        {
            found.outgoing = Outgoing::Ending;
            found.wants = false;
            self.wake(stream.0);
        }
    }

    /// Ends a stream in both directions. No event follows. At an exit, before [`opened`](Self::opened), this is the
    /// answer to OPEN.
    pub fn reset(&mut self, stream: StreamId, code: ResetCode) {
        let Some(removed) = self.remove(stream.0) else { return };
        if self.end == End::Exit && removed.connecting {
            self.answers.push_back((stream, Answer::Refused(code)));
            return;
        }
        let unsent = self.opens.iter().position(|(id, _)| *id == stream);
        match unsent {
            Some(place) => drop(self.opens.remove(place)),
            None if removed.is_over() => {}
            None => self.resets.push_back((stream, code)),
        }
    }

    /// So many bytes of the stream were handed on: they are granted again.
    pub fn consumed(&mut self, stream: StreamId, bytes: usize, now: Moment) {
        let Some(found) = self.streams.get_mut(&stream.0) else { return };
        let bytes = bytes.min(found.receive.held());
        let due = found.receive.release(bytes, now) && !found.fin_received && !found.credit_due;
        if due {
            found.credit_due = true;
            self.credits.push_back(stream.0);
        }
        let over = found.is_over() && found.receive.held() == 0;
        let due = self.receive.release(bytes, now);
        self.owe_circuit(due);
        if over {
            self.streams.remove(&stream.0);
        }
    }

    /// Bytes of the circuit were dropped with their stream.
    fn reclaim(&mut self, bytes: usize) {
        let due = self.receive.reclaim(bytes);
        self.owe_circuit(due);
    }

    fn owe_circuit(&mut self, due: bool) {
        if due && !self.credit_due {
            self.credit_due = true;
            self.credits.push_back(0);
        }
    }

    /// Client: asks for a part of the directory on a stream to [`Destination::Directory`] that was opened; `false`
    /// when it is no such stream, or a question is under way.
    pub fn dir_get(&mut self, stream: StreamId, get: DirGet) -> bool {
        let Some(found) = self.streams.get_mut(&stream.0) else { return false };
        let asked = !found.connecting
            && found.outgoing == Outgoing::Open
            && found.directory.as_mut().is_some_and(|directory| directory.ask(get));
        if asked {
            found.push(Bytes::copy_from_slice(&get.encode()));
            self.queued += DirGet::LENGTH;
            self.wake(stream.0);
        }
        asked
    }

    /// Exit: answers [`CircuitEvent::DirGet`]; empty says that it is not had.
    pub fn dir_answer(&mut self, stream: StreamId, body: Bytes) {
        if let Some(found) = self.streams.get_mut(&stream.0)
            && let Some(directory) = found.directory.as_mut()
            && directory.answer(body)
        {
            self.pump(stream.0);
        }
    }

    /// Puts the next part of a directory's answer in line when the one before has gone.
    fn pump(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.queued() == 0
            && let Some((head, part)) = stream.directory.as_mut().and_then(Directory::next_part)
        {
            self.queued += head.len() + part.len();
            stream.push(head);
            if !part.is_empty() {
                stream.push(part);
            }
            self.wake(id);
        }
    }

    /// Client: asks for a sign of life, at most once in 5 s; `false` when it is too early or one is under way.
    pub fn ping(&mut self, now: Moment) -> bool {
        let open = matches!(self.state, State::Open | State::Draining);
        if self.end == End::Exit || !open || self.pinged.is_some() || now < self.ping_from {
            return false;
        }
        // A number, not a time: no clock of the client is ever sent.
        let number = self.pings;
        self.pings += 1;
        self.ping = Some(number.to_be_bytes());
        self.pinged = Some((now, number));
        self.ping_from = now + PING_EVERY;
        true
    }

    /// Ends the circuit: CLOSE goes out, streams are reset, [`CircuitEvent::Closed`] follows.
    pub fn close(&mut self, code: Code, now: Moment) {
        match self.state {
            // No record may come before the client's first one has.
            State::Answered => self.finish(code, code),
            State::Open | State::Draining => {
                self.end_streams();
                self.state = State::Closing { reason: code, by: now + CLOSE_WAIT };
            }
            State::Closing { .. } | State::Closed => {}
        }
    }

    /// The link says that the circuit is gone: streams are reset with code 1, [`CircuitEvent::Closed`] follows.
    pub fn lost(&mut self, code: Code) {
        self.finish(code, code);
    }

    /// The circuit is over: keys are erased, streams have their events.
    fn finish(&mut self, reason: Code, destroy: Code) {
        if self.state == State::Closed {
            return;
        }
        self.end_streams();
        self.state = State::Closed;
        self.protection = None;
        self.events.push_back(CircuitEvent::Closed { reason, destroy });
    }

    fn end_streams(&mut self) {
        for (id, stream) in std::mem::take(&mut self.streams) {
            if !stream.is_over() {
                let event = CircuitEvent::Reset { stream: StreamId(id), code: ResetCode::CircuitLost };
                self.events.push_back(event);
            }
        }
        (self.live, self.connecting, self.queued) = (0, 0, 0);
        self.ring.clear();
        self.waiting.clear();
        self.opens.clear();
        self.answers.clear();
        self.resets.clear();
        self.credits.clear();
        self.pong = None;
        self.ping = None;
    }

    /// Takes a stream out, with what waits in it; what was not consumed is the circuit's again.
    fn remove(&mut self, id: u32) -> Option<Stream> {
        let stream = self.streams.remove(&id)?;
        self.queued -= stream.queued();
        if !stream.is_over() {
            self.leaves(stream.connecting);
        }
        if stream.waits {
            self.ring.retain(|waiting| *waiting != id);
        }
        self.reclaim(stream.receive.held());
        Some(stream)
    }

    /// A stream does not count any more.
    fn leaves(&mut self, connecting: bool) {
        self.live -= 1;
        if connecting {
            self.connecting -= 1;
        }
        self.wake_waiting();
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<CircuitEvent> {
        self.events.pop_front()
    }

    /// Streams that are connecting or stand.
    #[must_use]
    pub const fn streams(&self) -> usize {
        self.live
    }

    /// Whether the circuit takes new streams (apart from the limits).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
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

/// The odd id behind this one.
fn next_id(last: u32) -> Option<u32> {
    if last == 0 { Some(1) } else { last.checked_add(2) }
}

/// Streams at one time.
const MAX_STREAMS: u16 = 256;
/// Streams that are connecting at one time.
const MAX_CONNECTING: usize = 64;
/// A circuit's window has at most so many bytes (section 8).
const MAX_CIRCUIT_WINDOW: u32 = 8 * 1024 * 1024;
/// PING at most this often.
const PING_EVERY: std::time::Duration = std::time::Duration::from_secs(5);
/// How long CLOSE may wait for the link.
const CLOSE_WAIT: std::time::Duration = std::time::Duration::from_secs(10);
