//! Moves bytes both ways between two streams until both directions have ended.
//!
//! Each direction: read, write, and on the peer's end pass the end on (half-close). Where both sides are plain TCP a
//! direction switches to `splice` once it has carried 128 KiB; elsewhere it copies with buffers of 16 to 256 KiB that
//! grow when reads fill them and go back to the pool when nothing is there. One deadline for silence in both
//! directions. A side that breaks (reset, time-out) breaks the other: a truncated stream must not look whole.
//! Not here: bodies of HTTP messages (`http/h1`), which use [`Direction`] for their bulk.

mod gather;
mod parking;

use self::gather::Gather;
use self::parking::Parked;
use crate::buffers::{Buffer, Class};
use crate::deadline::{Deadline, Expiry, Wait};
use crate::pipes::Pipe;
use crate::shard::Shard;
use crate::stream::Stream;
use rustix::pipe::{SpliceFlags, splice};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A direction is spliced after it has carried this much.
pub const SPLICE_AFTER: u64 = 128 << 10;
/// Reads (or splices) of one direction in a row before the other has its turn.
const TURNS: u32 = 16;

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both directions ended by themselves.
    Finished,
    /// Nothing moved for the limit.
    Idle,
    /// Ended from outside: drain, or a rule changed by a reload.
    Ended,
    /// The first stream broke.
    FirstBroke,
    /// The second stream broke.
    SecondBroke,
}

impl End {
    /// A stable word for logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Finished => "ok",
            Self::Idle => "tunnel_idle",
            Self::Ended => "ended",
            Self::FirstBroke => "client_reset",
            Self::SecondBroke => "upstream_reset",
        }
    }
}

/// What a relay moved, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes from the first stream to the second.
    pub up: u64,
    /// Bytes from the second stream to the first.
    pub down: u64,
    /// Why it is over.
    pub end: End,
}

/// Relays between `first` (the client) and `second` (the far side), until `idle` passes in silence.
///
/// Cancel safety: dropping it closes both streams.
pub fn relay<'a>(
    shard: &'a Rc<Shard>,
    first: Stream,
    second: Stream,
    deadline: &'a Deadline,
    idle: Duration,
) -> Relay<'a> {
    deadline.after(idle, Wait::Busy);
    let (up, down) = (Direction::new(), Direction::new());
    Relay { shard, deadline, idle, first, second, up, down, parked: None }
}

/// A relay at work; a future that ends with [`Outcome`]. See [`relay`].
pub struct Relay<'a> {
    shard: &'a Rc<Shard>,
    deadline: &'a Deadline,
    idle: Duration,
    first: Stream,
    second: Stream,
    up: Direction,
    down: Direction,
    parked: Option<Parked>,
}

impl Relay<'_> {
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.unpark(cx) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Pending => return self.expire(cx),
            }
            if let Poll::Ready(end) = self.turn(cx) {
                return Poll::Ready(end);
            }
            if !self.park() {
                return self.expire(cx);
            }
        }
    }

    fn expire(&self, cx: &mut Context<'_>) -> Poll<End> {
        self.deadline.poll(cx).map(|expiry| if expiry == Expiry::Time { End::Idle } else { End::Ended })
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let before = self.up.moved + self.down.moved;
        if let Poll::Ready(Err(side)) = self.up.poll(cx, self.shard, &mut self.first, &mut self.second) {
            return Poll::Ready(if side == Broken::Source { End::FirstBroke } else { End::SecondBroke });
        }
        if let Poll::Ready(Err(side)) = self.down.poll(cx, self.shard, &mut self.second, &mut self.first) {
            return Poll::Ready(if side == Broken::Source { End::SecondBroke } else { End::FirstBroke });
        }
        if self.pass_ends(cx) {
            return Poll::Ready(End::Finished);
        }
        if self.up.moved + self.down.moved != before {
            self.deadline.after(self.idle, Wait::Busy);
        }
        Poll::Pending
    }
}

impl Relay<'_> {
    /// Passes on the end of each direction that has one. True when both are over: then plain sockets are closed at
    /// once, which says the end as well and saves a call.
    fn pass_ends(&mut self, cx: &mut Context<'_>) -> bool {
        let last = self.up.has_ended() && self.down.has_ended();
        if !(last && self.second.is_plain()) {
            self.up.pass_end(cx, &mut self.second);
        }
        if !(last && self.first.is_plain()) {
            self.down.pass_end(cx, &mut self.first);
        }
        let over = |direction: &Direction, sink: &Stream| direction.is_over() || last && sink.is_plain();
        over(&self.up, &self.second) && over(&self.down, &self.first)
    }
}

impl Future for Relay<'_> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let relay = self.get_mut();
        let end = ready!(relay.run(cx));
        relay.bring_back();
        if end != End::Finished {
            relay.first.reset_on_close();
            relay.second.reset_on_close();
        }
        Poll::Ready(Outcome { up: relay.up.moved, down: relay.down.moved, end })
    }
}

/// Which side of a direction broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Reading failed.
    Source,
    /// Writing failed.
    Sink,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    /// The source ended and everything was written; the end must be passed on.
    Ending,
    Over,
}

/// One direction of a relay.
pub struct Direction {
    state: State,
    class: Class,
    short_reads: u8,
    buffer: Option<Buffer>,
    pipe: Option<Pipe>,
    moved: u64,
    /// The source of a spliced direction has nothing more for now.
    dry: bool,
    /// The sink takes nothing more for now, and the pipe holds something for it.
    blocked: bool,
    /// The source has just come back to the runtime, which does not know yet whether there is something.
    fresh: bool,
    gather: Option<Box<Gather>>,
}

impl Default for Direction {
    fn default() -> Self {
        Self::new()
    }
}

impl Direction {
    /// A direction that has carried nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Flowing,
            class: Class::Medium,
            short_reads: 0,
            buffer: None,
            pipe: None,
            moved: 0,
            dry: false,
            blocked: false,
            fresh: false,
            gather: None,
        }
    }

    /// Bytes written to the sink so far.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether the end was passed on.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the source has ended and all it sent was written.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state != State::Flowing
    }

    /// Passes the source's end on, when it has ended.
    pub fn pass_end(&mut self, cx: &mut Context<'_>, sink: &mut Stream) {
        // A sink that is gone by now has everything: no reason to break the other direction.
        if self.state == State::Ending && sink.poll_end(cx).is_ready() {
            self.state = State::Over;
        }
    }

    /// Moves what can be moved now. Ready when the source has ended and all was written, or when a side broke.
    ///
    /// # Errors
    /// Which side broke.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Rc<Shard>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..TURNS {
            if self.has_ended() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.flow(cx, shard, source, sink))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn flow(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Rc<Shard>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        if let Some(buffer) = &mut self.buffer
            && !buffer.is_empty()
        {
            return Self::drain_buffer(cx, buffer, sink, &mut self.moved);
        }
        if self.moved >= SPLICE_AFTER
            && let (Some(from), Some(to)) = (source.plain_tcp(), sink.plain_tcp())
        {
            if self.pipe.is_none() && ready!(from.poll_read_ready(cx)).is_ok() {
                self.pipe = shard.pipes().take();
            }
            if let Some(pipe) = &mut self.pipe {
                self.buffer = None;
                let step = splice_step(cx, pipe, from, to, u64::MAX);
                return self.after_splice(step, shard);
            }
        }
        self.fill_buffer(cx, shard, source, sink)
    }

    fn after_splice(
        &mut self,
        step: Poll<Result<Spliced, Broken>>,
        shard: &Rc<Shard>,
    ) -> Poll<Result<(), Broken>> {
        match step {
            Poll::Ready(Ok(Spliced::Moved(n))) => {
                self.moved += n;
                self.blocked = false;
                shard.counters().spliced_bytes.add(n);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(Spliced::End)) => {
                self.pipe = None;
                self.state = State::Ending;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(side)) => Poll::Ready(Err(side)),
            Poll::Pending => {
                // An empty pipe goes back while nothing is there to move.
                if self.pipe.as_ref().is_some_and(|pipe| pipe.held() == 0) {
                    self.pipe = None;
                    self.dry = !std::mem::take(&mut self.fresh);
                } else {
                    self.blocked = true;
                }
                Poll::Pending
            }
        }
    }

    fn fill_buffer(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Rc<Shard>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        let mut buffer = match self.buffer.take() {
            Some(buffer) if buffer.class() == self.class => buffer,
            _ => shard.buffers().take(self.class),
        };
        let room = buffer.space().len();
        match source.poll_fill(cx, buffer.space()) {
            Poll::Pending => {
                // What the sink holds back must go out before we wait; the buffer goes back to the pool.
                drop(buffer);
                match sink.poll_push(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::Sink)),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                }
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::Source)),
            Poll::Ready(Ok(0)) => {
                self.state = State::Ending;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(n)) => {
                buffer.commit(n);
                self.adapt(n, room);
                let buffer = self.buffer.insert(buffer);
                Self::drain_buffer(cx, buffer, sink, &mut self.moved)
            }
        }
    }

    fn drain_buffer(
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        sink: &mut Stream,
        moved: &mut u64,
    ) -> Poll<Result<(), Broken>> {
        while !buffer.is_empty() {
            match ready!(sink.poll_send(cx, buffer.filled())) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Sink)),
                Ok(n) => {
                    buffer.consume(n);
                    *moved += n as u64;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Larger when a read filled the buffer, smaller after eight that left most of it empty.
    fn adapt(&mut self, read: usize, room: usize) {
        if read == room {
            self.class = self.class.larger();
            self.short_reads = 0;
        } else if read * 4 < room && self.class > Class::Medium {
            self.short_reads += 1;
            if self.short_reads >= 8 {
                self.class = self.class.smaller();
                self.short_reads = 0;
            }
        }
    }
}

/// What one splice step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spliced {
    /// This many bytes reached the sink.
    Moved(u64),
    /// The source ended, and the pipe is empty.
    End,
}

/// Fills the pipe from `from` (at most `at_most` bytes) when it is empty, else empties it into `to`.
///
/// # Errors
/// Which side broke.
pub fn splice_step(
    cx: &mut Context<'_>,
    pipe: &mut Pipe,
    from: &TcpStream,
    to: &TcpStream,
    at_most: u64,
) -> Poll<Result<Spliced, Broken>> {
    if pipe.held() == 0 {
        let want = usize::try_from(at_most).unwrap_or(usize::MAX).min(crate::pipes::SIZE);
        match ready!(pull(cx, pipe, from, want)) {
            Ok(0) => return Poll::Ready(Ok(Spliced::End)),
            Ok(n) => pipe.filled(n),
            Err(_) => return Poll::Ready(Err(Broken::Source)),
        }
    }
    match push(cx, pipe, to) {
        Poll::Ready(Ok(n)) if n > 0 => {
            pipe.drained(n);
            Poll::Ready(Ok(Spliced::Moved(n as u64)))
        }
        Poll::Ready(_) => Poll::Ready(Err(Broken::Sink)),
        Poll::Pending => Poll::Pending,
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

fn pull(cx: &mut Context<'_>, pipe: &Pipe, from: &TcpStream, want: usize) -> Poll<io::Result<usize>> {
    loop {
        ready!(from.poll_read_ready(cx))?;
        let Some((_, input)) = pipe.ends() else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let result = from.try_io(Interest::READABLE, || Ok(splice(from, None, input, None, want, FLAGS)?));
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}

fn push(cx: &mut Context<'_>, pipe: &Pipe, to: &TcpStream) -> Poll<io::Result<usize>> {
    loop {
        ready!(to.poll_write_ready(cx))?;
        let Some((output, _)) = pipe.ends() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let result =
            to.try_io(Interest::WRITABLE, || Ok(splice(output, None, to, None, pipe.held(), FLAGS)?));
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}

#[cfg(test)]
#[path = "relay/tests.rs"]
mod tests;
