//! One direction of a byte stream: a socket's buffer, a rate, a delay, and a reader that may stop reading.

use bytes::Bytes;
use shoalway_overlay_proto::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// How long bytes are on their way, and how many a second.
#[derive(Clone, Copy)]
pub struct Way {
    pub delay: Duration,
    pub rate: u64,
}

/// Delay in milliseconds, rate in bytes a second.
pub const fn way(delay: u64, rate: u64) -> Way {
    Way { delay: Duration::from_millis(delay), rate }
}

/// The direction.
pub struct Pipe {
    way: Way,
    /// When the last byte that was written has left.
    free_at: Moment,
    on_way: VecDeque<(Moment, Bytes)>,
    bytes: usize,
    /// The other end does not read: what is on its way stays there, and fills it.
    pub stopped: bool,
}

impl Pipe {
    pub const fn new(way: Way) -> Self {
        Self { way, free_at: Moment(0), on_way: VecDeque::new(), bytes: 0, stopped: false }
    }

    /// Bytes the writer's socket takes now.
    pub fn room(&self, now: Moment) -> usize {
        let waiting = self.free_at.since(now).as_micros() as u64 * self.way.rate / 1_000_000;
        SOCKET.saturating_sub(waiting as usize).min(WINDOW.saturating_sub(self.bytes))
    }

    pub fn write(&mut self, bytes: Bytes, now: Moment) {
        let taken = Duration::from_micros(bytes.len() as u64 * 1_000_000 / self.way.rate);
        self.free_at = self.free_at.max(now) + taken;
        self.bytes += bytes.len();
        self.on_way.push_back((self.free_at + self.way.delay, bytes));
    }

    /// The next bytes that have arrived, if they are read.
    pub fn read(&mut self, now: Moment) -> Option<Bytes> {
        let (_, bytes) = self.on_way.pop_front_if(|(at, _)| *at <= now && !self.stopped)?;
        self.bytes -= bytes.len();
        Some(bytes)
    }

    /// When the next bytes arrive.
    pub fn arrives(&self) -> Option<Moment> {
        self.on_way.front().map(|(at, _)| *at).filter(|_| !self.stopped)
    }

    /// When the socket takes bytes again, if only time is in the way.
    pub fn drains(&self, now: Moment) -> Option<Moment> {
        let half = Duration::from_micros((SOCKET as u64 / 2) * 1_000_000 / self.way.rate);
        (self.room(now) == 0 && self.bytes < WINDOW).then(|| self.free_at - half)
    }

    /// What is on its way is lost.
    pub fn lose(&mut self) {
        self.on_way.clear();
        self.bytes = 0;
        self.free_at = Moment(0);
    }
}

/// What a writer's socket holds.
pub const SOCKET: usize = 64 * 1024;
/// What may be on its way or unread: more than a session may have unacknowledged.
const WINDOW: usize = 8 * 1024 * 1024;
