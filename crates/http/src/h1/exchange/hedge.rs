//! A second try beside one that is slow: the same request to another upstream, and the answer that begins first counts.
//!
//! ```text
//! decided -> nothing of an answer after the service's time -> hedge: a connection, the same bytes
//!            the first has answered meanwhile               -> the second is closed
//!            the second answers first                       -> it becomes the exchange's connection, the first is closed
//!            the first fails                                -> the second is the only one from here on
//!            the second fails                               -> the first goes on
//! ```
//! Nothing of an answer was read when connections change places, so there is one parser and one answer. A connection that has
//! lost is closed and never kept: an answer may be on its way on it. Only whole requests are sent twice. Not here: how
//! long, whom to, whether there may be another (`service`); that the method may be carried out twice is the service's to see.

use super::{Exchange, Stage, Way, acquire, request_view};
use crate::h1::exchange::Around;
use crate::pool::UpstreamConnection;
use crate::service::{Failed, Hedged};
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::clock;
use shoalway_net::connect::{ConnectError, LocalFuture};
use shoalway_net::shard::Shard;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::time::{Sleep, sleep_until};

/// The second try of an exchange, and its clock. The wheel's deadlines are too coarse for it.
#[derive(Default)]
pub(super) struct Hedge {
    clock: Option<Pin<Box<Sleep>>>,
    armed: bool,
    running: Option<Box<Running>>,
}

impl Hedge {
    /// Whether it is to be polled.
    pub(super) const fn is_on(&self) -> bool {
        self.armed || self.running.is_some()
    }

    /// Forgets a try that is over; keeps the clock.
    pub(super) fn clear(&mut self) {
        self.armed = false;
        self.running = None;
    }
}

struct Running {
    way: Way,
    run: Run,
}

enum Run {
    Connecting(LocalFuture<'static, Result<UpstreamConnection, ConnectError>>),
    Open { connection: UpstreamConnection, sent: usize },
}

/// Why a second try came to nothing.
enum Lost {
    Failed(Failed),
    /// A kept connection was dead, which says nothing about the upstream.
    Stale,
}

impl Exchange {
    /// Sets the clock, where the service wants a second try.
    pub(super) fn arm_hedge(&mut self, around: &Around<'_>) {
        let Some(after) = around.service.hedge_after() else { return };
        let at = clock::now() + after;
        match &mut self.hedge.clock {
            Some(clock) => clock.as_mut().reset(at),
            None => self.hedge.clock = Some(Box::pin(sleep_until(at))),
        }
        self.hedge.armed = true;
    }

    /// Whatever is due for the second try. True: the exchange goes on with its connection.
    pub(super) fn poll_hedge(&mut self, cx: &mut Context<'_>, around: &mut Around<'_>) -> bool {
        let waits = matches!(self.stage, Stage::Connecting(_) | Stage::Flowing);
        if !waits || self.down.buffer.is_some() || !self.is_repeatable() {
            self.hedge.armed = false;
            if self.hedge.running.take().is_some() {
                around.service.hedge_over(Hedged::Lost);
            }
            return false;
        }
        if self.hedge.armed
            && self.hedge.clock.as_mut().is_some_and(|clock| clock.as_mut().poll(cx).is_ready())
        {
            self.hedge.armed = false;
            self.begin_hedge(around);
        }
        let Some(mut running) = self.hedge.running.take() else { return false };
        match running.poll(cx, around.shard, &self.up_out.bytes) {
            Poll::Pending => {
                self.hedge.running = Some(running);
                false
            }
            Poll::Ready(Ok(answer)) => {
                around.service.hedge_over(Hedged::Won);
                self.replace(*running);
                self.down.buffer = Some(answer);
                true
            }
            Poll::Ready(Err(lost)) => {
                around.service.hedge_over(match &lost {
                    Lost::Failed(failed) => Hedged::Failed(failed),
                    Lost::Stale => Hedged::Lost,
                });
                false
            }
        }
    }

    fn begin_hedge(&mut self, around: &mut Around<'_>) {
        let sent = self.up_over || matches!(self.stage, Stage::Connecting(_));
        if !sent || self.up_broken || !self.up.is_read() {
            return;
        }
        let Some(view) = request_view(&self.request, around.head.as_ref(), self.head_len) else { return };
        let Some((upstream, connect)) = around.service.hedge(around.shard, view) else { return };
        let service = &*around.service;
        let run = match upstream.take(around.shard, |addr| service.permits(addr)) {
            Some(connection) => Run::Open { connection, sent: 0 },
            None => Run::Connecting(Box::pin(acquire::open(
                Rc::clone(around.shard),
                Rc::clone(&connect),
                service.session(),
            ))),
        };
        self.hedge.running = Some(Box::new(Running { way: Way { upstream, connect }, run }));
    }

    /// The first try has failed: the second is the only one from here on, if there is one.
    pub(super) fn goes_on_with_hedge(&mut self, around: &mut Around<'_>, failure: &Failed) -> bool {
        if !self.is_repeatable() {
            return false;
        }
        let Some(running) = self.hedge.running.take() else { return false };
        around.service.hedge_over(Hedged::Alone(failure));
        self.down.reset();
        self.replace(*running);
        true
    }

    /// Puts the second try in the first one's place, whose connection closes.
    fn replace(&mut self, Running { way, run }: Running) {
        self.hedge.armed = false;
        self.connection = None;
        self.renewed = 0;
        self.rewind();
        self.response.clear();
        self.edits.clear();
        self.way = Some(way);
        // It waits anew, even where the same bytes were sent to the one before.
        self.moved = 0;
        match run {
            Run::Connecting(work) => self.stage = Stage::Connecting(work),
            Run::Open { connection, sent } => {
                self.flow_over(connection);
                self.up_out.sent = sent;
            }
        }
    }
}

impl Running {
    /// Connects, sends the request, and waits for the first bytes of an answer.
    fn poll(&mut self, cx: &mut Context<'_>, shard: &Shard, request: &[u8]) -> Poll<Result<Buffer, Lost>> {
        let closed = |reused: bool| match reused {
            true => Lost::Stale,
            false => Lost::Failed(Failed::UpstreamClosed),
        };
        loop {
            match &mut self.run {
                Run::Connecting(work) => match ready!(work.as_mut().poll(cx)) {
                    Ok(connection) => self.run = Run::Open { connection, sent: 0 },
                    Err(error) => return Poll::Ready(Err(Lost::Failed(Failed::Connect(error)))),
                },
                Run::Open { connection, sent } => {
                    let rest = request.get(*sent..).unwrap_or_default();
                    if !rest.is_empty() {
                        match ready!(connection.stream.poll_send(cx, rest)) {
                            Ok(n) if n > 0 => *sent += n,
                            Ok(_) | Err(_) => return Poll::Ready(Err(closed(connection.reused))),
                        }
                        continue;
                    }
                    if ready!(connection.stream.poll_push(cx)).is_err() {
                        return Poll::Ready(Err(closed(connection.reused)));
                    }
                    let mut buffer = shard.buffers().take(Class::Medium);
                    return Poll::Ready(match ready!(connection.stream.poll_fill(cx, buffer.space())) {
                        Ok(n) if n > 0 => {
                            buffer.commit(n);
                            Ok(buffer)
                        }
                        Ok(_) | Err(_) => Err(closed(connection.reused)),
                    });
                }
            }
        }
    }
}
