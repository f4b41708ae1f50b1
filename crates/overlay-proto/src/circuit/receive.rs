//! What an end makes of the records that come: which frame may come when, windows, limits (sections 6.4, 7, 8).
//!
//! Frames for a stream that is gone are late and dropped; for one that never was they are a fault.

use super::directory::{Directory, Outcome};
use super::frame::{Frame, Frames, PADDED};
use super::stream::{MAX_CREDIT, Stream};
use super::terms::{CircuitEvent, CircuitFault, Destination, End, ResetCode, StreamId};
use super::{Answer, CircuitEnd, MAX_CONNECTING, State, credit::SendWindow, next_id};
use crate::Moment;
use crate::link::terms::Code;
use bytes::{Bytes, BytesMut};

impl CircuitEnd {
    /// One record from the other end.
    ///
    /// # Errors
    /// The circuit is over: keys are gone, streams have been reset, the link's circuit is to be destroyed with code 1.
    pub fn receive(&mut self, record: &[u8], now: Moment) -> Result<(), CircuitFault> {
        let Some((_, opener)) = self.protection.as_mut() else { return Err(CircuitFault::Closed) };
        let mut plain = BytesMut::with_capacity(record.len());
        let opened = opener.open(record, &mut plain).map_err(|_fault| CircuitFault::Record);
        let done = opened.and_then(|()| self.on_record(plain.freeze(), now));
        if done.is_err() {
            self.finish(Code::Protocol, Code::Protocol);
        }
        done
    }

    fn on_record(&mut self, plain: Bytes, now: Moment) -> Result<(), CircuitFault> {
        match self.state {
            State::Answered => self.state = State::Open,
            State::Open | State::Draining => {}
            // What still comes is of no use, and the keys end with the circuit.
            State::Closing { .. } | State::Closed => return Ok(()),
        }
        let length = plain.len();
        let mut alone = Alone::default();
        for frame in Frames::new(plain) {
            let frame = frame?;
            alone.see(&frame, length)?;
            self.on_frame(frame, length, now)?;
            if self.state == State::Closed {
                return Ok(());
            }
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame, length: usize, now: Moment) -> Result<(), CircuitFault> {
        match frame {
            Frame::Pad => Ok(()),
            Frame::Open { stream, dest, window } => self.on_open(stream, dest, window, now),
            Frame::Opened { stream, window } => self.on_opened(stream, window, length, now),
            Frame::Data { stream, bytes } => self.on_data(stream, bytes, length, now),
            Frame::Fin(stream) => self.on_fin(stream, now),
            Frame::Reset { stream, code } => self.on_reset(stream, code, length),
            Frame::Credit { stream, bytes } => self.on_credit(stream, bytes),
            Frame::KeyUp => match self.protection.as_mut() {
                Some((_, opener)) => opener.keyup(now).map_err(|_early| CircuitFault::Record),
                None => Err(CircuitFault::Closed),
            },
            Frame::Ping(number) => self.on_ping(number, now),
            Frame::Pong(number) => self.on_pong(number, now),
            Frame::Close(code) => {
                self.finish(code, Code::Done);
                Ok(())
            }
            Frame::UdpOpen(stream) => {
                self.new_id(stream)?;
                self.answer(stream, Answer::Refused(ResetCode::NotSupported))
            }
            Frame::Datagram(stream) => self.known(stream).map(|_found| ()),
        }
    }

    /// A stream that is there; nothing when it is gone.
    fn known(&mut self, stream: StreamId) -> Result<Option<&mut Stream>, CircuitFault> {
        if stream.0 > self.last_id || stream.0.is_multiple_of(2) {
            return Err(CircuitFault::Stream);
        }
        Ok(self.streams.get_mut(&stream.0))
    }

    /// A new id of the client.
    fn new_id(&mut self, stream: StreamId) -> Result<(), CircuitFault> {
        if self.end == End::Client {
            return Err(CircuitFault::Order("OPEN to a client"));
        }
        if stream.0.is_multiple_of(2) || stream.0 <= self.last_id || next_id(self.last_id).is_none() {
            return Err(CircuitFault::Stream);
        }
        self.last_id = stream.0;
        Ok(())
    }

    /// An answer to OPEN that the driver does not give.
    fn answer(&mut self, stream: StreamId, answer: Answer) -> Result<(), CircuitFault> {
        if self.answers.len() >= MAX_ANSWERS {
            return Err(CircuitFault::Rate("OPEN without reading the answers"));
        }
        self.answers.push_back((stream, answer));
        Ok(())
    }

    fn on_open(
        &mut self,
        id: StreamId,
        dest: Destination,
        window: u32,
        now: Moment,
    ) -> Result<(), CircuitFault> {
        self.new_id(id)?;
        if window > MAX_CREDIT {
            return Err(CircuitFault::Credit("stream"));
        }
        let full = self.live >= usize::from(self.terms.max_streams) || self.connecting >= MAX_CONNECTING;
        if full || self.state != State::Open || !self.open_rate.take(now) {
            return self.answer(id, Answer::Refused(ResetCode::Limit));
        }
        let mut stream = Stream::new(window, self.terms.stream_window, now);
        stream.directory = (dest == Destination::Directory).then(Directory::answers);
        self.add(id.0, stream, now);
        if dest == Destination::Directory {
            self.opened(id);
        } else {
            self.events.push_back(CircuitEvent::Open { stream: id, dest });
        }
        Ok(())
    }

    fn on_opened(
        &mut self,
        id: StreamId,
        window: u32,
        length: usize,
        now: Moment,
    ) -> Result<(), CircuitFault> {
        if self.end == End::Exit {
            return Err(CircuitFault::Order("OPENED to an exit"));
        }
        if length != PADDED {
            return Err(CircuitFault::Order("OPENED in a record that is not padded"));
        }
        let granted = self.terms.stream_window;
        let Some(stream) = self.known(id)? else { return Ok(()) };
        if !stream.connecting {
            return Err(CircuitFault::Order("OPENED twice"));
        }
        if window > MAX_CREDIT {
            return Err(CircuitFault::Credit("stream"));
        }
        stream.connecting = false;
        stream.active = now;
        // What was sent before the answer is part of what the exit takes.
        let early = granted.saturating_sub(u32::try_from(stream.send.left()).unwrap_or(u32::MAX));
        stream.send = SendWindow::new(window.saturating_sub(early), MAX_CREDIT);
        self.connecting -= 1;
        self.events.push_back(CircuitEvent::Opened(id));
        self.wake(id.0);
        self.tell_room(id.0);
        Ok(())
    }

    fn on_data(
        &mut self,
        id: StreamId,
        bytes: Bytes,
        record: usize,
        now: Moment,
    ) -> Result<(), CircuitFault> {
        let client = self.end == End::Client;
        if !self.receive.receive(bytes.len()) {
            return Err(CircuitFault::Window("circuit"));
        }
        let Some(stream) = self.known(id)? else {
            self.reclaim(bytes.len());
            return Ok(());
        };
        if stream.fin_received {
            return Err(CircuitFault::Order("DATA behind FIN"));
        }
        if client && stream.connecting {
            return Err(CircuitFault::Order("DATA before OPENED"));
        }
        if !stream.receive.receive(bytes.len()) {
            return Err(CircuitFault::Window("stream"));
        }
        stream.active = now;
        if stream.directory.is_some() {
            return self.on_directory(id, bytes, now);
        }
        // A few bytes that wait must not keep a whole record in memory.
        let small = bytes.len() < COPIED && bytes.len() * 4 < record;
        let bytes = if small { Bytes::copy_from_slice(&bytes) } else { bytes };
        self.events.push_back(CircuitEvent::Data { stream: id, bytes });
        Ok(())
    }

    fn on_directory(&mut self, id: StreamId, mut bytes: Bytes, now: Moment) -> Result<(), CircuitFault> {
        let count = bytes.len();
        while !bytes.is_empty()
            && let Some(directory) = self.known(id)?.and_then(|stream| stream.directory.as_mut())
        {
            match directory.receive(&mut bytes)? {
                Outcome::Nothing => {}
                Outcome::Answered(body) => {
                    self.events.push_back(CircuitEvent::DirData { stream: id, body });
                }
                Outcome::Asked(get) if self.dir_rate.take(now) => {
                    self.events.push_back(CircuitEvent::DirGet { stream: id, get });
                }
                Outcome::Asked(_) => self.dir_answer(id, Bytes::new()),
            }
        }
        self.consumed(id, count, now);
        Ok(())
    }

    fn on_fin(&mut self, id: StreamId, now: Moment) -> Result<(), CircuitFault> {
        let client = self.end == End::Client;
        let Some(stream) = self.known(id)? else { return Ok(()) };
        if stream.fin_received {
            return Err(CircuitFault::Order("FIN twice"));
        }
        if client && stream.connecting {
            return Err(CircuitFault::Order("FIN before OPENED"));
        }
        stream.fin_received = true;
        stream.active = now;
        let (over, held) = (stream.is_over(), stream.receive.held());
        self.events.push_back(CircuitEvent::Fin(id));
        if over {
            self.leaves(false);
            if held == 0 {
                self.streams.remove(&id.0);
            }
        }
        Ok(())
    }

    fn on_reset(&mut self, id: StreamId, code: ResetCode, length: usize) -> Result<(), CircuitFault> {
        let client = self.end == End::Client;
        if let Some(stream) = self.known(id)?
            && !stream.is_over()
        {
            if client && stream.connecting && length != PADDED {
                return Err(CircuitFault::Order("an answer to OPEN in a record that is not padded"));
            }
            self.remove(id.0);
            self.events.push_back(CircuitEvent::Reset { stream: id, code });
        }
        Ok(())
    }

    fn on_credit(&mut self, id: Option<StreamId>, bytes: u32) -> Result<(), CircuitFault> {
        let Some(id) = id else {
            return if self.send.grant(bytes) { Ok(()) } else { Err(CircuitFault::Credit("circuit")) };
        };
        let Some(stream) = self.known(id)? else { return Ok(()) };
        if stream.connecting {
            return Err(CircuitFault::Order("CREDIT before OPENED"));
        }
        if !stream.send.grant(bytes) {
            return Err(CircuitFault::Credit("stream"));
        }
        self.wake(id.0);
        self.tell_room(id.0);
        Ok(())
    }

    fn on_ping(&mut self, number: [u8; 8], now: Moment) -> Result<(), CircuitFault> {
        if self.end == End::Client {
            return Err(CircuitFault::Order("PING to a client"));
        }
        if !self.ping_rate.take(now) {
            return Err(CircuitFault::Rate("PING"));
        }
        self.pong = Some(number);
        Ok(())
    }

    fn on_pong(&mut self, number: [u8; 8], now: Moment) -> Result<(), CircuitFault> {
        match self.pinged.take() {
            Some((asked, sent)) if sent.to_be_bytes() == number && self.ping.is_none() => {
                self.events.push_back(CircuitEvent::Pong(now.since(asked)));
                Ok(())
            }
            Some(_) | None => Err(CircuitFault::Order("PONG without PING")),
        }
    }
}

/// OPEN is alone in its record but for PAD, and the record has one length.
#[derive(Debug, Default)]
struct Alone {
    open: bool,
    other: bool,
}

impl Alone {
    fn see(&mut self, frame: &Frame, length: usize) -> Result<(), CircuitFault> {
        match frame {
            Frame::Pad => return Ok(()),
            Frame::Open { .. } if self.open || length != PADDED => {
                return Err(CircuitFault::Order("OPEN in a record that is not its own"));
            }
            Frame::Open { .. } => self.open = true,
            Frame::Opened { .. }
            | Frame::Data { .. }
            | Frame::Fin(_)
            | Frame::Reset { .. }
            | Frame::Credit { .. }
            | Frame::KeyUp
            | Frame::Ping(_)
            | Frame::Pong(_)
            | Frame::Close(_)
            | Frame::UdpOpen(_)
            | Frame::Datagram(_) => self.other = true,
        }
        if self.open && self.other {
            return Err(CircuitFault::Order("OPEN in a record that is not its own"));
        }
        Ok(())
    }
}

/// Answers that wait for a client that does not read.
const MAX_ANSWERS: usize = 1024;
/// Bytes of a stream that are copied out of a record of more than four times their size.
const COPIED: usize = 2048;
