//! What time does to an end of a circuit: its first record, its life, streams that are idle (sections 6.2, 6.4, 12).

use super::terms::{CircuitEvent, End, ResetCode};
use super::{CircuitEnd, State};
use crate::Moment;
use crate::link::terms::Code;
use std::time::Duration;

impl CircuitEnd {
    /// When [`tick`](Self::tick) is due, if nothing comes before. Never a moment that `tick` has seen.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        match self.state {
            State::Answered => Some(self.born + UNCONFIRMED),
            State::Closing { by, .. } => Some(by),
            State::Closed => None,
            State::Open | State::Draining => {
                [self.first_due(), Some(self.ends()), self.idles(), self.sweeps()].into_iter().flatten().min()
            }
        }
    }

    /// Does what time asks for; then there may be events, and something to transmit.
    pub fn tick(&mut self, now: Moment) {
        match self.state {
            State::Answered => {
                if self.born + UNCONFIRMED <= now {
                    self.finish(Code::Idle, Code::Idle);
                }
            }
            State::Closing { reason, by } => {
                if by <= now {
                    self.finish(reason, Code::Done);
                }
            }
            State::Closed => {}
            State::Open | State::Draining => self.tick_open(now),
        }
    }

    fn tick_open(&mut self, now: Moment) {
        if self.first_due().is_some_and(|at| at <= now) {
            self.pad_due = true;
        }
        if self.sweeps().is_some_and(|at| at <= now) {
            self.sweep_streams(now);
        }
        if self.live > 0 {
            self.busy = now;
        }
        let over = self.ends() <= now;
        if over && self.state == State::Open {
            self.state = State::Draining;
            self.events.push_back(CircuitEvent::Draining);
        } else if over {
            return self.close(Code::TooOld, now);
        }
        if self.state == State::Draining && self.live == 0 {
            self.close(Code::TooOld, now);
        } else if self.idles().is_some_and(|at| at <= now) {
            self.close(Code::Idle, now);
        }
    }

    /// Client: the first record has to go out within a second.
    fn first_due(&self) -> Option<Moment> {
        let waits = self.end == End::Client && !self.sent_any && !self.pad_due;
        waits.then(|| self.born + FIRST_RECORD)
    }

    /// When the life ends or, in draining, the time for that. The client's ends a little earlier than the exit's: an
    /// OPEN of its last moment is still taken.
    fn ends(&self) -> Moment {
        let life = match self.end {
            End::Client => self.terms.life.saturating_sub(LIFE_MARGIN).max(self.terms.life / 2),
            End::Exit => self.terms.life,
        };
        match self.state {
            State::Draining => self.born + life + DRAIN,
            State::Answered | State::Open | State::Closing { .. } | State::Closed => self.born + life,
        }
    }

    /// When a circuit without streams ends: now in draining, at an exit after its idle time.
    fn idles(&self) -> Option<Moment> {
        if self.live > 0 {
            return None;
        }
        match (self.state, self.end) {
            (State::Draining, _) => Some(self.busy),
            (_, End::Exit) => Some(self.busy + self.terms.idle),
            (_, End::Client) => None,
        }
    }

    fn sweeps(&self) -> Option<Moment> {
        (self.live > 0).then_some(self.sweep)
    }

    /// Looks at all streams: connecting ones each second, others twice a minute.
    fn sweep_streams(&mut self, now: Moment) {
        let client = self.end == End::Client;
        let late: Vec<(u32, ResetCode)> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.is_over())
            .filter_map(|(id, stream)| {
                let silent = now.since(stream.active);
                let (limit, code) = if stream.connecting {
                    (if client { CONNECT_CLIENT } else { CONNECT_EXIT }, ResetCode::TimedOut)
                } else if stream.is_half_closed() {
                    (HALF_CLOSED, ResetCode::Cancelled)
                } else {
                    (IDLE, ResetCode::Cancelled)
                };
                (silent >= limit).then_some((*id, code))
            })
            .collect();
        for (id, code) in late {
            self.expire(id, code);
        }
        self.sweep = now + if self.connecting > 0 { SWEEP_CONNECTING } else { SWEEP };
    }
}

/// How long an exit waits for the client's first record (section 6.1).
const UNCONFIRMED: Duration = Duration::from_secs(10);
/// When the client's first record goes out at the latest: half of what section 6.2 permits.
const FIRST_RECORD: Duration = Duration::from_millis(500);
/// How much earlier a client stops opening streams than the exit stops taking them.
const LIFE_MARGIN: Duration = Duration::from_secs(15);
/// How long a circuit drains.
const DRAIN: Duration = Duration::from_secs(3600);
/// A connection at the exit: names 5 s, connecting 10 s. The driver keeps to these; this is the end of its time.
const CONNECT_EXIT: Duration = Duration::from_secs(16);
/// The same as seen by the client, with the way there and back.
const CONNECT_CLIENT: Duration = Duration::from_secs(20);
/// A stream without bytes.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// A stream without bytes and with one direction.
const HALF_CLOSED: Duration = Duration::from_secs(5 * 60);
/// How often connecting streams are looked at, and others.
pub(super) const SWEEP_CONNECTING: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(30);
