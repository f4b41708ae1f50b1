//! GETs at a fixed rate, whatever the answers do: latency without coordinated omission.
//!
//! Each request has a moment at which it is due. It waits for a free connection when all are busy, and its latency
//! counts from that moment, so that a proxy which stalls is charged for every request that it kept waiting.

use std::collections::VecDeque;
use std::io::Write;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::reply::{Connection, Progress};
use super::{FAILURES, GRACE, Plan};
use crate::outcome::{Latency, Outcome};
use crate::reactor::Reactor;

pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    ensure!(plan.rate >= 1.0, "--rate wants at least 1 a second");
    // The default of 50 us would make every request late.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let (request, body) = plan.request();
    let mut paced = Paced {
        plan,
        request,
        body,
        reactor: Reactor::new()?,
        outcome: Outcome::default(),
        begin: Instant::now(),
        issued: 0,
        due: VecDeque::new(),
        places: Vec::new(),
        free: Vec::new(),
        micros: Vec::new(),
    };
    paced.connect()?;
    paced.begin = Instant::now();
    paced.go()?;
    paced.outcome.latency = Latency::of(&mut paced.micros);
    paced.outcome.bytes = paced.outcome.done * body;
    Ok(paced.outcome)
}

struct Paced<'a> {
    plan: &'a Plan,
    request: Vec<u8>,
    body: u64,
    reactor: Reactor,
    outcome: Outcome,
    begin: Instant,
    /// Requests that have become due.
    issued: u64,
    /// Due and waiting for a connection.
    due: VecDeque<Instant>,
    places: Vec<Place>,
    /// Places without a request under way.
    free: Vec<usize>,
    micros: Vec<u32>,
}

struct Place {
    connection: Connection,
    /// When the request that is under way was due.
    due: Option<Instant>,
}

impl Paced<'_> {
    fn connect(&mut self) -> anyhow::Result<()> {
        for slot in 0..self.plan.workers {
            let connection = Connection::open(self.plan, &self.reactor, slot as u64)?;
            self.places.push(Place { connection, due: None });
            self.free.push(slot);
        }
        Ok(())
    }

    fn go(&mut self) -> anyhow::Result<()> {
        let mut scratch = vec![0; 32 << 10];
        let mut ready = Vec::with_capacity(256);
        loop {
            let now = Instant::now();
            let next = self.make_due(now);
            self.send_due();
            let under_way = self.due.len() + self.places.len() - self.free.len();
            if now >= self.plan.until + GRACE || self.outcome.failed >= FAILURES {
                for _ in 0..under_way {
                    self.outcome.fail("no answer in time");
                }
                return Ok(());
            }
            if next.is_none() && under_way == 0 {
                return Ok(());
            }
            self.reactor.wait_precisely(next.unwrap_or(self.plan.until + GRACE), &mut ready)?;
            let now = Instant::now();
            for token in ready.iter().copied() {
                self.attend(token, now, &mut scratch)?;
            }
        }
    }

    /// Puts what is due by `now` into the queue; the moment of the next one, unless there is none.
    fn make_due(&mut self, now: Instant) -> Option<Instant> {
        while self.issued < self.plan.count && now < self.plan.until {
            let at = self.begin + Duration::from_secs_f64(self.issued as f64 / self.plan.rate);
            if at > now {
                return Some(at);
            }
            self.due.push_back(at);
            self.issued += 1;
        }
        None
    }

    fn send_due(&mut self) {
        while let Some(slot) = self.free.last().copied()
            && let Some(due) = self.due.pop_front()
        {
            let Some(place) = self.places.get_mut(slot) else { return };
            self.free.pop();
            place.due = Some(due);
            // A failure to send is seen again, and counted, when the answer is read.
            if let Err(error) = place.connection.stream.write_all(&self.request) {
                self.outcome.fail(format_args!("send: {error}"));
            }
        }
    }

    /// Takes what has come; `now` is when its readiness was seen, one look at the clock for all that were ready.
    fn attend(&mut self, token: u64, now: Instant, scratch: &mut [u8]) -> anyhow::Result<()> {
        let Ok(slot) = usize::try_from(token) else { return Ok(()) };
        let Some(place) = self.places.get_mut(slot) else { return Ok(()) };
        let progress = place.connection.receive(scratch, self.body);
        let reusable = match progress {
            Ok(Progress::Waiting) => return Ok(()),
            Ok(Progress::Answered { reusable }) => {
                self.outcome.done += 1;
                reusable
            }
            Ok(Progress::Unanswered) => {
                self.outcome.fail("closed before the answer was complete");
                false
            }
            Err(error) => {
                self.outcome.fail(format_args!("{error:#}"));
                false
            }
        };
        if let Some(due) = place.due.take() {
            self.micros
                .push(u32::try_from(now.saturating_duration_since(due).as_micros()).unwrap_or(u32::MAX));
            self.free.push(slot);
        }
        if !reusable {
            place.connection = Connection::open(self.plan, &self.reactor, token)?;
        }
        Ok(())
    }
}
