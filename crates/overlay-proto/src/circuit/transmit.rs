//! What an end sends: which frames go into the next record (sections 7.1, 7.2, 8).
//!
//! OPEN and its answers have records of their own of 384 bytes. Other records begin with what is short (PONG, PING,
//! RESET, CREDIT), then streams take turns by deficit round robin with a quantum of 16 KiB; CLOSE and KEYUP are last.

use super::frame::{
    CLOSE, CREDIT, DATA, FIN, HEAD, KEYUP, MAX_DATA, OPENED, PADDED, PING, PONG, RESET, pad_to, put,
    put_head, put_open,
};
use super::stream::{Outgoing, Ready};
use super::terms::StreamId;
use super::{Answer, CircuitEnd, State};
use crate::Moment;
use crate::link::terms::Code;
use crate::record::{Last, MAX_PLAIN, TAG};
use bytes::{Bytes, BytesMut};

impl CircuitEnd {
    /// The next record, of at most `credit` bytes (what [`Link::writable`](crate::link::Link::writable) says). With
    /// less than 512 there is none.
    pub fn transmit(&mut self, credit: usize, now: Moment) -> Option<Bytes> {
        let most = credit.checked_sub(TAG)?.min(MAX_PLAIN);
        if most < LEAST {
            return None;
        }
        let (sealer, _) = self.protection.as_ref()?;
        let keyup = sealer.keyup_due(now);
        let mut out = if keyup && self.has_padded() {
            // KEYUP does not fit beside them, and what stands behind an answer must not come before it.
            padded_record()
        } else {
            self.padded().or_else(|| self.frames(most - HEAD)).or_else(|| self.first())?
        };
        let last = if keyup { Last::Keyup } else { Last::Frame };
        if keyup {
            put(&mut out, KEYUP, 0, &[]);
        }
        let sealed = self.protection.as_mut()?.0.seal(&mut out, 0, last, now);
        if sealed.is_err() {
            // A rule of the sealer that was not kept: no record can follow.
            self.finish(Code::Protocol, Code::Protocol);
            return None;
        }
        self.sent_any = true;
        self.pad_due = false;
        if let State::Closing { reason, .. } = self.state {
            self.finish(reason, Code::Done);
        }
        Some(out.freeze())
    }

    /// Whether [`transmit`](Self::transmit) has something to send, credit permitting.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        let closing = matches!(self.state, State::Closing { .. });
        self.protection.is_some()
            && (self.has_padded()
                || self.has_short()
                || closing
                || self.pad_due
                || !self.ring.is_empty() && self.send.left() > 0)
    }

    fn has_padded(&self) -> bool {
        !self.opens.is_empty() || !self.answers.is_empty()
    }

    fn has_short(&self) -> bool {
        self.pong.is_some() || self.ping.is_some() || !self.resets.is_empty() || !self.credits.is_empty()
    }

    /// OPEN, or an answer to it.
    fn padded(&mut self) -> Option<BytesMut> {
        if !self.has_padded() {
            return None;
        }
        let mut out = BytesMut::with_capacity(PADDED + TAG);
        if let Some((stream, dest)) = self.opens.pop_front() {
            put_open(&mut out, stream, &dest, self.terms.stream_window);
        } else if let Some((stream, answer)) = self.answers.pop_front() {
            match answer {
                Answer::Opened => put(&mut out, OPENED, stream.0, &self.terms.stream_window.to_be_bytes()),
                Answer::Refused(code) => put(&mut out, RESET, stream.0, &[code as u8]),
            }
        } else {
            return None;
        }
        pad_to(&mut out, PADDED);
        Some(out)
    }

    /// The client's first record, when there is nothing else.
    fn first(&self) -> Option<BytesMut> {
        self.pad_due.then(padded_record)
    }

    /// What is short, and bytes of streams: at most `most`.
    fn frames(&mut self, most: usize) -> Option<BytesMut> {
        let closing = matches!(self.state, State::Closing { .. });
        if !self.has_short() && !closing && (self.ring.is_empty() || self.send.left() == 0) {
            return None;
        }
        let short = (HEAD + 8) * (3 + self.resets.len() + self.credits.len() + self.ring.len());
        let mut out = BytesMut::with_capacity((short + self.queued).min(most) + HEAD + TAG);
        self.short(&mut out, most);
        self.turns(&mut out, most);
        if let State::Closing { reason, .. } = self.state {
            put(&mut out, CLOSE, 0, &[reason as u8]);
        }
        (!out.is_empty()).then_some(out)
    }

    fn short(&mut self, out: &mut BytesMut, most: usize) {
        if let Some(number) = self.pong.take() {
            put(out, PONG, 0, &number);
        }
        if let Some(number) = self.ping.take() {
            put(out, PING, 0, &number);
        }
        while out.len() + HEAD + 4 <= most
            && let Some((stream, code)) = self.resets.pop_front()
        {
            put(out, RESET, stream.0, &[code as u8]);
        }
        while out.len() + HEAD + 4 <= most
            && let Some(id) = self.credits.pop_front()
        {
            self.put_credit(out, id);
        }
    }

    fn put_credit(&mut self, out: &mut BytesMut, id: u32) {
        let window = if id == 0 {
            self.credit_due = false;
            &mut self.receive
        } else if let Some(stream) = self.streams.get_mut(&id) {
            stream.credit_due = false;
            &mut stream.receive
        } else {
            return;
        };
        let bytes = window.grant();
        if bytes > 0 {
            put(out, CREDIT, id, &bytes.to_be_bytes());
        }
    }

    /// Streams take turns until the record is full.
    fn turns(&mut self, out: &mut BytesMut, most: usize) {
        while out.len() + HEAD < most
            && let Some(id) = self.ring.front().copied()
        {
            let Some(stream) = self.streams.get_mut(&id) else {
                self.ring.pop_front();
                continue;
            };
            match stream.ready() {
                Ready::Nothing => {
                    stream.waits = false;
                    self.ring.pop_front();
                }
                Ready::Fin => {
                    stream.waits = false;
                    self.ring.pop_front();
                    put(out, FIN, id, &[]);
                    self.ended(id);
                }
                Ready::Bytes(_) if stream.deficit == 0 => {
                    stream.deficit = QUANTUM;
                    self.ring.rotate_left(1);
                }
                Ready::Bytes(ready) => {
                    let place = most - out.len() - HEAD;
                    let bytes = ready.min(stream.deficit).min(self.send.left()).min(place).min(MAX_DATA);
                    if bytes == 0 || bytes < ready.min(stream.deficit).min(SLIVER) && bytes == place {
                        return;
                    }
                    put_head(out, DATA, id, bytes);
                    stream.pop_into(out, bytes);
                    stream.deficit -= bytes;
                    self.send.spend(bytes);
                    self.queued -= bytes;
                    self.sent(id);
                }
            }
        }
    }

    /// Bytes of a stream went out: there may be room again.
    fn sent(&mut self, id: u32) {
        self.pump(id);
        self.tell_room(id);
        self.wake_waiting();
    }

    /// FIN of a stream went out.
    fn ended(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.outgoing = Outgoing::Ended;
        let (over, held) = (stream.is_over(), stream.receive.held());
        if over {
            self.leaves(false);
            if held == 0 {
                self.streams.remove(&id);
            }
        }
    }

    /// Resets a stream for the rules, not for the driver, who gets the event.
    pub(super) fn expire(&mut self, id: u32, code: super::terms::ResetCode) {
        let stream = StreamId(id);
        self.reset(stream, code);
        self.events.push_back(super::terms::CircuitEvent::Reset { stream, code });
    }
}

/// A record with nothing in it that looks like the one of an OPEN (with KEYUP behind it, a head longer).
fn padded_record() -> BytesMut {
    let mut out = BytesMut::with_capacity(PADDED + HEAD + TAG);
    pad_to(&mut out, PADDED);
    out
}

/// Bytes a stream may send in one turn.
pub(super) const QUANTUM: usize = 16 * 1024;
/// Room in a record that is not worth a part of a longer piece.
const SLIVER: usize = 256;
/// Every record must be able to hold an OPEN and KEYUP.
const LEAST: usize = 496;
