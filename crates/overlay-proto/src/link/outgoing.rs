//! What a link sends, in order, and how frames become pieces of the stream (sections 5, 8, 9).
//!
//! Order: control, ACK, what is sent again after a cut, CREATE, CREATED and DESTROY, CREDIT, then records in fair
//! turns. Small frames are gathered in one piece; a large record follows the piece that ends with its head, so that it is
//! not copied, and both together fit one TLS record. Not here: whose turn it is (`fair.rs`), what is kept
//! (`session.rs`).

use super::circuits::{Circuits, Urgent};
use super::dir::DirKind;
use super::fair::Next;
use super::frame::{CREATE_PAD, CREATE_TWO_HOPS, CREATED, FrameType, HEAD, MAX_BODY, MAX_PIECE, put_head};
use super::session::{Sequence, Then};
use super::terms::{CircId, Code, Kind};
use super::{Link, Phase};
use crate::Moment;
use bytes::{BufMut, Bytes, BytesMut};

/// A frame of the link itself.
#[derive(Debug)]
pub(super) enum Control {
    Frame(FrameType, Bytes),
    Pad(usize),
}

/// An answer of the directory on its way.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) kind: DirKind,
    /// What is left of it; nothing while the driver has not answered.
    pub(super) rest: Option<Bytes>,
}

/// Where frames become pieces. One buffer serves all heads and small frames of the link.
#[derive(Debug, Default)]
pub(super) struct Packer {
    buf: BytesMut,
    runs: Vec<Run>,
    /// Sequenced bytes in `buf`.
    sequenced: usize,
}

/// Sequenced bytes in a row, within the buffer.
#[derive(Debug, Clone, Copy)]
struct Run {
    from: usize,
    to: usize,
    then: Then,
}

struct Burst<'a, F> {
    packer: &'a mut Packer,
    /// Nothing on a trunk, where nothing is kept.
    sequence: Option<&'a mut Sequence>,
    out: &'a mut F,
    written: usize,
    budget: usize,
}

impl Link {
    /// Hands out what is to be written, in pieces of 1 to 16,375 bytes, until `budget` bytes are reached (the last
    /// frame may pass it). Returns how many bytes that were.
    pub fn transmit(&mut self, now: Moment, budget: usize, out: &mut impl FnMut(Bytes)) -> usize {
        let mut burst = Burst {
            packer: &mut self.packer,
            sequence: match self.config.kind {
                Kind::Client => Some(&mut self.session.sequence),
                Kind::Trunk => None,
            },
            out,
            written: 0,
            budget,
        };
        while burst.may_write()
            && let Some(control) = self.control.pop_front()
        {
            match control {
                Control::Frame(kind, body) => burst.of_link(kind, &body),
                Control::Pad(length) => burst.pad(length),
            }
        }
        if burst.may_write()
            && let Some(pong) = self.pong.take()
        {
            burst.of_link(FrameType::Pong, &pong);
        }
        if self.phase == Phase::Open && burst.may_write() {
            burst.acknowledge();
            burst.again();
            burst.of_circuits(&mut self.session.circuits, &mut self.answer, now);
        }
        burst.flush();
        let written = burst.written;
        self.check_end(now);
        written
    }

    /// Whether [`transmit`](Self::transmit) has something to hand out. It may turn out to wait for the neighbour.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        if !self.control.is_empty() || self.pong.is_some() {
            return true;
        }
        let sequence = &self.session.sequence;
        self.phase == Phase::Open
            && (self.acknowledges() && sequence.ack_is_due()
                || sequence.sends_again()
                || self.session.circuits.waits() && sequence.room() >= HEAD + MAX_BODY)
    }
}

impl<F: FnMut(Bytes)> Burst<'_, F> {
    const fn may_write(&self) -> bool {
        self.written < self.budget
    }

    /// Sequenced bytes that may be sent now.
    fn room(&self) -> usize {
        self.sequence.as_ref().map_or(usize::MAX, |kept| kept.room().saturating_sub(self.packer.sequenced))
    }

    /// The count behind the last sequenced byte.
    fn mark(&self) -> u64 {
        self.sequence.as_ref().map_or(0, |kept| kept.sent() + self.packer.sequenced as u64)
    }

    fn acknowledge(&mut self) {
        if let Some(count) = self.sequence.as_mut().and_then(|sequence| sequence.due_ack()) {
            self.of_link(FrameType::Ack, &count.to_be_bytes());
        }
    }

    fn again(&mut self) {
        let mut begun = false;
        while (begun || self.may_write())
            && let Some(kept) = self.sequence.as_mut().and_then(|sequence| sequence.next_again())
        {
            // Between a head and its body nothing else may go, not even in the next call.
            begun = kept.then == Then::Body;
            self.written += kept.bytes.len();
            if kept.then == Then::Pad {
                self.reserve(kept.bytes.len() + HEAD + CREATE_PAD);
                self.packer.buf.extend_from_slice(&kept.bytes);
                self.pad(CREATE_PAD);
            } else {
                self.flush();
                (self.out)(kept.bytes);
            }
        }
    }

    /// Whether what was to be sent again has been: new sequenced bytes stand behind it.
    fn in_order(&self) -> bool {
        self.sequence.as_ref().is_none_or(|sequence| !sequence.sends_again())
    }

    fn of_circuits(&mut self, circuits: &mut Circuits, answer: &mut Option<Answer>, now: Moment) {
        loop {
            let before = self.written;
            self.urgent(circuits, now);
            self.credits(circuits);
            self.records(circuits, answer);
            // The last record of a circuit may have put its DESTROY in line.
            if self.written == before || !self.may_write() {
                return;
            }
        }
    }

    fn urgent(&mut self, circuits: &mut Circuits, now: Moment) {
        while self.may_write()
            && self.in_order()
            && circuits.urgent.front().is_some_and(|frame| HEAD + frame.length() <= self.room())
            && let Some(frame) = circuits.urgent.pop_front()
        {
            match frame {
                Urgent::Create(circ, body) => self.create(circ, &body),
                Urgent::Created(circ, body) => self.small(FrameType::Created, circ, &body),
                Urgent::Destroy(circ, code) => {
                    self.small(FrameType::Destroy, circ, &[code as u8]);
                    circuits.gone(circ, now, self.mark());
                }
            }
        }
    }

    fn credits(&mut self, circuits: &mut Circuits) {
        while self.may_write()
            && self.in_order()
            && circuits.urgent.is_empty()
            && self.room() >= HEAD + 4
            && let Some((circ, bytes)) = circuits.next_credit()
        {
            self.small(FrameType::Credit, circ, &bytes.to_be_bytes());
        }
    }

    fn records(&mut self, circuits: &mut Circuits, answer: &mut Option<Answer>) {
        while self.may_write() && self.in_order() && circuits.urgent.is_empty() {
            match circuits.next_record(self.room()) {
                Some(Next::Record(circ, record)) => self.record(circ, record),
                Some(Next::Directory) => {
                    if self.directory(answer) {
                        circuits.fair.directory_waits();
                    }
                }
                None => return,
            }
        }
    }

    /// CREATE; on a client link one of two hops has the size of one of three.
    fn create(&mut self, circ: CircId, body: &[u8]) {
        let padded = body.len() == CREATE_TWO_HOPS && self.sequence.is_some();
        if padded {
            self.reserve(HEAD + body.len() + HEAD + CREATE_PAD);
        }
        self.small(FrameType::Create, circ, body);
        if padded {
            if let Some(run) = self.packer.runs.last_mut() {
                run.then = Then::Pad;
            }
            self.pad(CREATE_PAD);
        }
    }

    fn record(&mut self, circ: CircId, record: Bytes) {
        if record.len() < COPIED {
            self.small(FrameType::Data, circ, &record);
            return;
        }
        self.reserve(HEAD);
        let from = self.packer.buf.len();
        put_head(&mut self.packer.buf, FrameType::Data, circ, record.len());
        self.packer.sequenced(from);
        if let Some(run) = self.packer.runs.last_mut() {
            run.then = Then::Body;
        }
        self.written += HEAD + record.len();
        self.flush();
        if let Some(sequence) = &mut self.sequence {
            sequence.keep(record.clone(), Then::Nothing);
        }
        (self.out)(record);
    }

    /// One part of an answer; whether there are more.
    fn directory(&mut self, answer: &mut Option<Answer>) -> bool {
        let Some(Answer { kind, rest: Some(rest) }) = answer else { return false };
        let part = rest.split_to(rest.len().min(MAX_BODY - 2));
        let last = rest.is_empty();
        self.reserve(HEAD + 2);
        put_head(&mut self.packer.buf, FrameType::DirData, CircId(0), 2 + part.len());
        self.packer.buf.put_u8(*kind as u8);
        self.packer.buf.put_u8(u8::from(last));
        self.written += HEAD + 2 + part.len();
        if !part.is_empty() {
            self.flush();
            (self.out)(part);
        }
        if last {
            *answer = None;
        }
        !last
    }

    /// A sequenced frame that is copied.
    fn small(&mut self, kind: FrameType, circ: CircId, body: &[u8]) {
        self.reserve(HEAD + body.len());
        let from = self.packer.buf.len();
        put_head(&mut self.packer.buf, kind, circ, body.len());
        self.packer.buf.extend_from_slice(body);
        self.packer.sequenced(from);
        self.written += HEAD + body.len();
    }

    fn of_link(&mut self, kind: FrameType, body: &[u8]) {
        self.reserve(HEAD + body.len());
        put_head(&mut self.packer.buf, kind, CircId(0), body.len());
        self.packer.buf.extend_from_slice(body);
        self.written += HEAD + body.len();
    }

    fn pad(&mut self, length: usize) {
        self.reserve(HEAD + length);
        put_head(&mut self.packer.buf, FrameType::Pad, CircId(0), length);
        self.packer.buf.put_bytes(0, length);
        self.written += HEAD + length;
    }

    /// Makes place for bytes that belong together. What is in the buffer goes out first when they do not fit the piece.
    fn reserve(&mut self, bytes: usize) {
        let there = self.packer.buf.len();
        if there + bytes > MAX_PIECE || there + bytes > self.packer.buf.capacity() {
            self.flush();
            if self.packer.buf.capacity() < bytes {
                self.packer.buf.reserve(bytes.max(MAX_PIECE));
            }
        }
    }

    fn flush(&mut self) {
        if self.packer.buf.is_empty() {
            return;
        }
        let piece = self.packer.buf.split().freeze();
        self.packer.sequenced = 0;
        for run in self.packer.runs.drain(..) {
            if let Some(sequence) = &mut self.sequence {
                sequence.keep(piece.slice(run.from..run.to), run.then);
            }
        }
        (self.out)(piece);
    }
}

impl Packer {
    /// The bytes from here to the end of the buffer are sequenced.
    fn sequenced(&mut self, from: usize) {
        let to = self.buf.len();
        self.sequenced += to - from;
        match self.runs.last_mut() {
            Some(run) if run.to == from && run.then == Then::Nothing => run.to = to,
            Some(_) | None => self.runs.push(Run { from, to, then: Then::Nothing }),
        }
    }
}

impl Urgent {
    const fn length(&self) -> usize {
        match self {
            Self::Create(_, body) => body.len(),
            Self::Created(..) => CREATED,
            Self::Destroy(..) => 1,
        }
    }
}

impl Link {
    pub(super) fn say_go_away(&mut self, code: Code, seconds: u16) {
        let [high, low] = seconds.to_be_bytes();
        self.said_go_away = true;
        let body = Bytes::copy_from_slice(&[code as u8, high, low]);
        self.control.push_back(Control::Frame(FrameType::GoAway, body));
    }
}

/// Records shorter than this are copied beside their heads.
const COPIED: usize = 4096;
