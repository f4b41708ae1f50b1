//! Takes a source off the runtime while its wake-ups would be for nothing.
//!
//! A fast source is woken for each little part that comes. That is in vain while bytes gather (`gather`), and while the
//! sink is full: the pipe holds what it will take first. A source whose sink is full comes back when the sink takes
//! something, and also when the sink's own bytes come, since those are for the source. Nothing is lost meanwhile: what
//! has happened on a socket is told when it comes back. Not here: when bytes gather.

use super::gather::Gather;
use super::{Direction, End, Relay, State};
use crate::buffers::Buffer;
use crate::stream::Stream;
use std::task::{Context, Poll, ready};

/// Which source is off the runtime, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parked {
    /// Its bytes gather.
    Gathering(Source),
    /// Its sink is full.
    Blocked(Source),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    First,
    Second,
}

impl Relay<'_> {
    /// Parks a source, if there is reason to.
    pub(super) fn park(&mut self) -> bool {
        let parked = if self.down.gathers() {
            Parked::Gathering(Source::Second)
        } else if self.up.gathers() {
            Parked::Gathering(Source::First)
        } else if self.down.is_blocked() && self.up.is_quiet() {
            Parked::Blocked(Source::Second)
        } else if self.up.is_blocked() && self.down.is_quiet() {
            Parked::Blocked(Source::First)
        } else {
            return false;
        };
        let (Parked::Gathering(source) | Parked::Blocked(source)) = parked;
        let is_parked = match source {
            Source::First => self.first.park(),
            Source::Second => self.second.park(),
        };
        self.parked = is_parked.then_some(parked);
        is_parked
    }

    /// Waits until a parked source is wanted again, and brings it back.
    pub(super) fn unpark(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let Some(parked) = self.parked else { return Poll::Ready(None) };
        let (Parked::Gathering(source) | Parked::Blocked(source)) = parked;
        let (stream, direction, sink, back, broken) = match source {
            Source::First => (&mut self.first, &mut self.up, &self.second, &self.down, End::FirstBroke),
            Source::Second => (&mut self.second, &mut self.down, &self.first, &self.up, End::SecondBroke),
        };
        match parked {
            Parked::Gathering(_) => ready!(direction.poll_gathered(cx)),
            Parked::Blocked(_) => {
                ready!(poll_wanted(cx, sink, back));
                direction.fresh = true;
            }
        }
        self.parked = None;
        Poll::Ready(stream.unpark().err().map(|_gone| broken))
    }

    /// Brings back what is parked, at the end: a socket that is closed must be there to be reset.
    pub(super) fn bring_back(&mut self) {
        if self.parked.take().is_some() {
            // One that does not come back is gone, and needs no reset.
            drop(self.first.unpark());
            drop(self.second.unpark());
        }
    }
}

/// Ready when the sink takes something, or has something for the parked source in the direction `back`.
fn poll_wanted(cx: &mut Context<'_>, sink: &Stream, back: &Direction) -> Poll<()> {
    let Some(sink) = sink.plain_tcp() else { return Poll::Ready(()) };
    let takes = sink.poll_write_ready(cx).is_ready();
    // The end of a stream stays readable for ever.
    let has = !back.has_ended() && sink.poll_read_ready(cx).is_ready();
    if takes || has { Poll::Ready(()) } else { Poll::Pending }
}

impl Direction {
    /// Whether the source has run dry and was so fast that it should be left alone for a moment.
    fn gathers(&mut self) -> bool {
        let moved = self.moved;
        std::mem::take(&mut self.dry)
            && self.gather.get_or_insert_with(|| Box::new(Gather::new(moved))).begin(moved)
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.gather.as_mut().map_or(Poll::Ready(()), |gather| gather.poll_end(cx))
    }

    /// Whether the sink is full.
    fn is_blocked(&mut self) -> bool {
        std::mem::take(&mut self.blocked)
    }

    /// Whether nothing of this direction waits for its sink.
    fn is_quiet(&self) -> bool {
        self.state != State::Ending
            && self.buffer.as_ref().is_none_or(Buffer::is_empty)
            && self.pipe.as_ref().is_none_or(|pipe| pipe.held() == 0)
    }
}
