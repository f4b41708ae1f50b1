//! What applications do: bytes in both directions of a stream, written and read at stated speeds.
//!
//! The bytes are a pattern that differs at every place of every direction, so that one that is lost, doubled or out of
//! order is found where it arrives.

use bytes::Bytes;
use shoalway_overlay_proto::Moment;
use shoalway_overlay_proto::circuit::terms::{ResetCode, StreamId};
use std::collections::VecDeque;
use std::time::Duration;

/// One direction of a flow.
pub struct Course {
    shift: u64,
    pub total: u64,
    pub sent: u64,
    pub got: u64,
    pub fin_sent: bool,
    pub fin_got: bool,
    /// So many bytes each time, not all at once.
    pub pace: Option<(Duration, u64)>,
    pub write_at: Moment,
    pub reading: Reading,
    pub read_at: Moment,
    /// Arrived and not read by the application.
    pub held: usize,
    written: VecDeque<(u64, Moment)>,
    /// How long each paced write was on its way.
    pub delays: Vec<Duration>,
}

/// How an application reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    AtOnce,
    Never,
    Slowly { every: Duration, bytes: usize },
}

impl Course {
    pub const fn new(total: u64, shift: u64) -> Self {
        Self {
            shift,
            total,
            sent: 0,
            got: 0,
            fin_sent: false,
            fin_got: false,
            pace: None,
            write_at: Moment(0),
            reading: Reading::AtOnce,
            read_at: Moment(0),
            held: 0,
            written: VecDeque::new(),
            delays: Vec::new(),
        }
    }

    /// How much the application wants to write now.
    pub fn wants(&self, now: Moment) -> u64 {
        let left = self.total - self.sent;
        match self.pace {
            Some((_, bytes)) if self.write_at <= now => left.min(bytes),
            Some(_) => 0,
            None => left.min(256 * 1024),
        }
    }

    pub fn wrote(&mut self, bytes: u64, now: Moment) {
        self.sent += bytes;
        if let Some((every, _)) = self.pace {
            self.write_at = now + every;
            self.written.push_back((self.sent, now));
        }
    }

    /// The bytes from here on.
    pub fn pattern(&self, at: u64, length: usize, table: &Bytes) -> Bytes {
        let start = ((at + self.shift) % PERIOD) as usize;
        table.slice(start..start + length)
    }

    /// Bytes arrived: they are the next ones.
    pub fn arrived(&mut self, bytes: &Bytes, now: Moment, table: &Bytes) {
        assert!(!self.fin_got, "bytes behind the end");
        assert!(self.got + bytes.len() as u64 <= self.sent, "bytes that nobody sent");
        assert!(*bytes == self.pattern(self.got, bytes.len(), table), "other bytes than were sent");
        self.got += bytes.len() as u64;
        self.held += bytes.len();
        while let Some((_, at)) = self.written.pop_front_if(|(end, _)| *end <= self.got) {
            self.delays.push(now.since(at));
        }
    }

    /// How much the application reads now.
    pub fn reads(&mut self, now: Moment) -> usize {
        let bytes = match self.reading {
            Reading::AtOnce => self.held,
            Reading::Never => 0,
            Reading::Slowly { every, bytes } if self.read_at <= now && self.held > 0 => {
                self.read_at = now + every;
                bytes.min(self.held)
            }
            Reading::Slowly { .. } => 0,
        };
        self.held -= bytes;
        bytes
    }

    pub fn next_at(&self) -> Option<Moment> {
        let write = (self.pace.is_some() && self.sent < self.total).then_some(self.write_at);
        let reads = matches!(self.reading, Reading::Slowly { .. }) && self.held > 0;
        write.into_iter().chain(reads.then_some(self.read_at)).min()
    }

    pub const fn is_complete(&self) -> bool {
        self.fin_got && self.got == self.total
    }
}

/// What the exit's side does when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Accepts,
    Refuses(ResetCode),
    Silent,
}

/// A stream as the two applications see it.
pub struct Flow {
    /// The ports of the client and, once asked, of the exit; with the stream.
    pub client: usize,
    pub exit: Option<usize>,
    pub stream: StreamId,
    pub server: Server,
    pub opened: bool,
    pub up: Course,
    pub down: Course,
    /// How it ended otherwise than by both ends' FIN: at the client, at the exit.
    pub reset: [Option<ResetCode>; 2],
}

impl Flow {
    pub fn is_complete(&self) -> bool {
        self.up.is_complete() && self.down.is_complete()
    }

    /// Both ends know how it ended.
    pub fn is_over(&self) -> bool {
        self.is_complete() || self.reset[0].is_some()
    }
}

/// The table that patterns are taken from: longer than a period by the longest write.
pub fn table() -> Bytes {
    let mut state = 1u64;
    let period: Vec<u8> = (0..PERIOD)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        })
        .collect();
    Bytes::from(period.iter().copied().cycle().take(PERIOD as usize + 512 * 1024).collect::<Vec<_>>())
}

/// A prime, so that no window, record or quantum fits into it.
const PERIOD: u64 = 65_521;
