//! Plain GETs over kept-alive connections, one request under way on each.
//!
//! A proxy that closes after its answer is connected to again, as a client would; the answer counts.

use std::io::Write;
use std::time::Instant;

use super::reply::{Connection, Progress};
use super::{FAILURES, GRACE, Plan, Reuse, Unanswered};
use crate::outcome::Outcome;
use crate::reactor::Reactor;

pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let (request, body) = plan.request();
    let mut gets =
        Gets { plan, request, body, reactor: Reactor::new()?, outcome: Outcome::default(), issued: 0 };
    let mut places: Vec<Option<Connection>> = Vec::new();
    for token in 0..plan.workers as u64 {
        places.push(gets.next(None, token));
    }
    let mut scratch = vec![0; 32 << 10];
    let mut ready = Vec::with_capacity(256);
    let mut under_way = places.iter().flatten().count();
    while under_way > 0 && Instant::now() < plan.until + GRACE {
        gets.reactor.wait(plan.until + GRACE, &mut ready)?;
        for token in ready.iter().copied() {
            let Some(place) = usize::try_from(token).ok().and_then(|slot| places.get_mut(slot)) else {
                continue;
            };
            gets.attend(place, token, &mut scratch);
            under_way -= usize::from(place.is_none());
        }
    }
    for _ in 0..under_way {
        gets.outcome.fail("no answer in time");
    }
    gets.outcome.bytes = gets.outcome.done * gets.body;
    Ok(gets.outcome)
}

struct Gets<'a> {
    plan: &'a Plan,
    request: Vec<u8>,
    body: u64,
    reactor: Reactor,
    outcome: Outcome,
    issued: u64,
}

impl Gets<'_> {
    /// Takes what has come for one place, and sends its next request when the answer is complete.
    fn attend(&mut self, place: &mut Option<Connection>, token: u64, scratch: &mut [u8]) {
        let Some(connection) = place.as_mut() else { return };
        let reusable = match connection.receive(scratch, self.body) {
            Ok(Progress::Waiting) => return,
            Ok(Progress::Answered { reusable }) => {
                self.outcome.done += 1;
                reusable && self.plan.reuse == Reuse::UntilToldOtherwise
            }
            Ok(Progress::Unanswered) => {
                self.unanswered();
                false
            }
            Err(error) => {
                self.outcome.fail(format_args!("{error:#}"));
                false
            }
        };
        let kept = place.take().filter(|_| reusable);
        *place = self.next(kept, token);
    }

    /// The connection closed under its request, which then fails or is issued once more.
    fn unanswered(&mut self) {
        match self.plan.unanswered {
            Unanswered::Fails => self.outcome.fail("closed before the answer was complete"),
            Unanswered::IsSentAgain => {
                self.outcome.again += 1;
                self.issued -= 1;
            }
        }
    }

    /// Sends the next request on `kept` or on a new connection, unless all were sent; one that cannot be sent is
    /// counted and the next is tried.
    fn next(&mut self, mut kept: Option<Connection>, token: u64) -> Option<Connection> {
        while self.issued < self.plan.count
            && Instant::now() < self.plan.until
            && self.outcome.failed < FAILURES
        {
            self.issued += 1;
            let reused = kept.is_some();
            match self.send(kept.take(), token) {
                Ok(connection) => return Some(connection),
                Err(_) if reused && self.plan.unanswered == Unanswered::IsSentAgain => self.unanswered(),
                Err(error) => self.outcome.fail(format_args!("{error:#}")),
            }
        }
        None
    }

    fn send(&self, kept: Option<Connection>, token: u64) -> anyhow::Result<Connection> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.plan, &self.reactor, token)?,
        };
        connection.stream.write_all(&self.request)?;
        Ok(connection)
    }
}
