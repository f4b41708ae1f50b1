//! Moves the bytes of a link: chunks of the stream into the machine, its pieces into the stream, its deadlines.
//!
//! One task a link. Credit of the stream goes back at once, since the windows of the circuits bound what waits here. A
//! turn is bounded too, so that one busy link does not hold its shard. Not here: what the events mean (`handle`).

use super::handle::{Afterwards, LinkHandle, LinkOwner, Parting};
use crate::time;
use bytes::Bytes;
use shoalway_http::h2::duplex::{Carrier, Duplex, DuplexError, ResetCode};
use shoalway_net::deadline::{Deadline, Wait};
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::link::terms::{Code, LinkEvent};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Chunks read in one turn.
const CHUNKS: usize = 32;
/// Bytes of one turn: with the heads of their frames they fill the 64 KiB that a connection sends at once. A few more would
/// leave by themselves, as a record of TLS and a call of the system of their own.
const BURST: usize = 63 << 10;
/// How long the last words of a link may take to leave.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long a link whose connection leaves may take.
const LEAVE_SECONDS: u16 = 30;

/// Drives a link over a stream until that ends; a task of the shard.
pub fn spawn(
    shard: &Rc<Shard>,
    link: &Rc<LinkHandle>,
    owner: Rc<dyn LinkOwner>,
    duplex: Duplex,
    carrier: Carrier,
) {
    let driver = Driver {
        link: Rc::clone(link),
        owner,
        duplex,
        carrier: Some(carrier),
        deadline: shard.deadline(),
        pieces: VecDeque::new(),
        last: None,
        ending: false,
        stream: link.stream(),
    };
    shard.tasks().spawn(driver);
}

struct Driver {
    link: Rc<LinkHandle>,
    owner: Rc<dyn LinkOwner>,
    duplex: Duplex,
    /// None once the connection has said that it leaves.
    carrier: Option<Carrier>,
    deadline: Deadline,
    /// Taken out of the machine, not yet taken by the stream.
    pieces: VecDeque<Bytes>,
    /// The link is over when the pieces are out.
    last: Option<Parting>,
    /// The deadline is that of the last words.
    ending: bool,
    /// Which stream of the link this is.
    stream: u32,
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.link.stream() != this.stream {
            // The session went on elsewhere.
            this.duplex.sending().reset(ResetCode::Cancelled);
            return Poll::Ready(());
        }
        this.link.drive_with(cx.waker());
        match this.turn(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(why) => {
                this.part(why);
                Poll::Ready(())
            }
        }
    }
}

impl Driver {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Parting> {
        if self.link.asked_to_end() {
            return Poll::Ready(Parting::Fault);
        }
        if self.last.is_none() {
            self.leaving(cx);
            self.time();
            if let Err(why) = self.read(cx) {
                return Poll::Ready(why);
            }
        }
        match self.write(cx) {
            Poll::Ready(Err(_gone)) => return Poll::Ready(Parting::Lost),
            Poll::Ready(Ok(())) if self.last.is_some() => {
                return Poll::Ready(self.last.unwrap_or(Parting::Finished));
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match self.last {
            // What was told while writing may have changed when the machine wants to be woken.
            None => self.wait(cx),
            Some(why) => return self.goodbye(why, cx),
        }
        Poll::Pending
    }

    /// The last words wait for a neighbour that may read no more.
    fn goodbye(&mut self, why: Parting, cx: &Context<'_>) -> Poll<Parting> {
        if !self.ending {
            self.ending = true;
            self.deadline.after(GOODBYE, Wait::Busy);
        }
        self.deadline.poll(cx).map(|_expiry| why)
    }

    /// The connection is being drained: the neighbour is told to go elsewhere.
    fn leaving(&mut self, cx: &Context<'_>) {
        if self.carrier.as_mut().is_some_and(|carrier| carrier.poll_leaving(cx).is_ready()) {
            self.carrier = None;
            self.link.go_away(Code::ShuttingDown, LEAVE_SECONDS);
        }
    }

    fn time(&mut self) {
        let now = time::moment();
        let due = self.link.quiet().deadline().is_some_and(|at| at <= now);
        if due {
            self.link.quiet().tick(now);
            self.tell();
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Parting> {
        for _ in 0..CHUNKS {
            if self.link.is_frozen() {
                return Ok(());
            }
            match self.duplex.receiving().poll_chunk(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(chunk))) => {
                    self.duplex.receiving().release(chunk.len());
                    let received = self.link.quiet().receive(chunk, time::moment());
                    self.tell();
                    if received.is_err() {
                        self.last = Some(Parting::Fault);
                        return Ok(());
                    }
                    if self.last.is_some() {
                        return Ok(());
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Err(Parting::Lost),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Ready when nothing is left to write.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        let mut left = BURST;
        loop {
            if self.pieces.is_empty() && !self.link.quiet().wants_transmit() {
                return Poll::Ready(Ok(()));
            }
            if left == 0 {
                // Behind the connection, which was woken by what was sent.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let room = std::task::ready!(self.duplex.sending().poll_room(cx))?.min(left);
            if self.pieces.is_empty() {
                let pieces = &mut self.pieces;
                let taken =
                    self.link.quiet().transmit(time::moment(), room, &mut |piece| pieces.push_back(piece));
                self.tell();
                if taken == 0 {
                    return Poll::Ready(Ok(()));
                }
            }
            left -= room - self.send(room)?;
        }
    }

    /// Gives the stream as many pieces as there is room for; what of it is left.
    fn send(&mut self, mut room: usize) -> Result<usize, DuplexError> {
        while room > 0 {
            let Some(piece) = self.pieces.front_mut() else { break };
            let part = if piece.len() <= room { self.pieces.pop_front() } else { Some(piece.split_to(room)) };
            let Some(part) = part else { break };
            room -= part.len();
            self.duplex.sending().send(part)?;
        }
        Ok(room)
    }

    fn tell(&mut self) {
        loop {
            let event = self.link.quiet().next_event();
            match event {
                None => return,
                Some(LinkEvent::Dead) => self.last = Some(Parting::Lost),
                Some(LinkEvent::Finished) => self.last = Some(Parting::Finished),
                Some(event) => self.link.tell(event, &*self.owner),
            }
        }
    }

    /// Sets the deadline of the machine; when it has passed already the task is woken at once.
    fn wait(&self, cx: &Context<'_>) {
        let Some(at) = self.link.quiet().deadline() else {
            self.deadline.clear();
            return;
        };
        let wait = time::until(at);
        if wait == Duration::ZERO {
            cx.waker().wake_by_ref();
            return;
        }
        self.deadline.after(wait, Wait::Busy);
        if self.deadline.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn part(&mut self, why: Parting) {
        match why {
            Parting::Finished => self.duplex.sending().finish(),
            // The web connection itself stays (section 5).
            Parting::Fault => self.duplex.sending().reset(ResetCode::Done),
            Parting::Lost => self.duplex.sending().reset(ResetCode::Cancelled),
        }
        self.link.fell();
        match self.owner.parted(&self.link, why) {
            Afterwards::Wait => {}
            Afterwards::End => self.link.forsake(Code::LinkLost),
        }
    }
}
