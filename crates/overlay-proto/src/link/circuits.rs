//! The circuits of a link: their states, windows and queues (sections 5, 6.4, 8).
//!
//! ```text
//! own:         Creating --CREATED--> Open ----+--> Leaving (what waits is sent) --> gone
//! neighbour's: Asked ----created()--> Open ---+--> gone
//! ```
//! A frame that does not fit the state is a fault of that circuit: DESTROY 1. A frame for an id that was never there
//! is a fault of the link; for one that is gone it is dropped. Not here: how frames come and go (`receive.rs`,
//! `outgoing.rs`), how many circuits may be asked for (`link.rs`).

use super::fair::{Fair, Next};
use super::frame::MIN_RECORD;
use super::hop::{Circuit, FRAME_COST, Setup, State};
use super::table::{IdTable, Known};
use super::terms::{CircId, Code, LinkEvent, LinkFault, MAX_HOP_WINDOW, NotTaken};
use crate::Moment;
use bytes::Bytes;
use rand_core::CryptoRng;
use std::collections::VecDeque;
use std::time::Duration;

/// What happened, in order.
pub(super) type Events = VecDeque<LinkEvent>;

/// A frame of a circuit that goes before all records.
#[derive(Debug)]
pub(super) enum Urgent {
    Create(CircId, Bytes),
    Created(CircId, Bytes),
    Destroy(CircId, Code),
}

/// All circuits of a link, and what of them is to be sent and told.
pub(super) struct Circuits {
    table: IdTable<Circuit>,
    pub(super) fair: Fair,
    pub(super) urgent: VecDeque<Urgent>,
    /// Circuits that owe a CREDIT.
    credits: VecDeque<CircId>,
    /// Circuits that have something to tell.
    reports: VecDeque<CircId>,
    /// Own circuits, and when they have waited too long.
    creating: VecDeque<(Moment, CircId)>,
    /// Circuits that leave, and when they have done so too long.
    leaving: VecDeque<(Moment, CircId)>,
    gone: VecDeque<Gone>,
    cost: usize,
}

/// An id whose late frames are dropped.
#[derive(Debug)]
struct Gone {
    id: CircId,
    until: Moment,
    /// The count of sequenced bytes behind our DESTROY: before the neighbour has these, its frames are late, however
    /// slow the link is.
    mark: u64,
}

impl Circuits {
    pub(super) fn new(rng: &mut dyn CryptoRng) -> Self {
        Self {
            table: IdTable::new(rng),
            fair: Fair::default(),
            urgent: VecDeque::new(),
            credits: VecDeque::new(),
            reports: VecDeque::new(),
            creating: VecDeque::new(),
            leaving: VecDeque::new(),
            gone: VecDeque::new(),
            cost: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = CircId> + '_ {
        self.table.iter().map(|(id, _)| CircId(id))
    }

    pub(super) fn known(&self, id: CircId) -> Known {
        self.table.known(id.0)
    }

    /// An own circuit: CREATE is in line.
    pub(super) fn create(&mut self, id: CircId, body: Bytes, group: u32, setup: &Setup<'_>) {
        self.insert(id, State::Creating, group, setup);
        self.creating.push_back((setup.now + setup.config.create_timeout, id));
        self.urgent.push_back(Urgent::Create(id, body));
    }

    /// The neighbour's circuit.
    pub(super) fn asked(&mut self, id: CircId, setup: &Setup<'_>) {
        self.insert(id, State::Asked, 0, setup);
    }

    /// The neighbour's circuit that is not had: DESTROY is in line.
    pub(super) fn refuse(&mut self, id: CircId, code: Code) {
        self.table.bury(id.0);
        self.urgent.push_back(Urgent::Destroy(id, code));
    }

    fn insert(&mut self, id: CircId, state: State, group: u32, setup: &Setup<'_>) {
        let circuit = Circuit::new(state, self.fair.join(group), setup);
        self.table.insert(id.0, circuit);
    }

    /// CREATED to a circuit that waits for it.
    pub(super) fn created(&mut self, id: CircId, body: Bytes) -> Result<(), NotTaken> {
        let circuit = self.table.get_mut(id.0).ok_or(NotTaken::Unknown)?;
        if circuit.state != State::Asked {
            return Err(NotTaken::Unknown);
        }
        circuit.state = State::Open;
        self.urgent.push_back(Urgent::Created(id, body));
        Ok(())
    }

    pub(super) fn on_created(&mut self, id: CircId, body: Bytes, out: &mut Events) -> Result<(), LinkFault> {
        let Some(circuit) = self.live(id)? else { return Ok(()) };
        match circuit.state {
            State::Creating => {
                circuit.state = State::Open;
                out.push_back(LinkEvent::Created { circ: id, body });
            }
            State::Asked | State::Open => self.end(id, Code::Protocol, out),
            State::Leaving => {}
        }
        Ok(())
    }

    pub(super) fn on_data(&mut self, id: CircId, record: Bytes, out: &mut Events) -> Result<(), LinkFault> {
        let Some(circuit) = self.live(id)? else { return Ok(()) };
        match circuit.state {
            State::Open if circuit.receive.receive(record.len()) => {
                out.push_back(LinkEvent::Data { circ: id, record });
            }
            State::Creating | State::Asked | State::Open => self.end(id, Code::Protocol, out),
            State::Leaving => {}
        }
        Ok(())
    }

    pub(super) fn on_credit(&mut self, id: CircId, bytes: u32, out: &mut Events) -> Result<(), LinkFault> {
        let Some(circuit) = self.live(id)? else { return Ok(()) };
        match circuit.state {
            State::Open | State::Leaving if circuit.send.grant(bytes) => {
                self.wake(id);
                self.tell(id);
            }
            State::Leaving => self.vanish(id),
            State::Creating | State::Asked | State::Open => self.end(id, Code::Protocol, out),
        }
        Ok(())
    }

    pub(super) fn on_destroy(
        &mut self,
        id: CircId,
        code: Option<Code>,
        now: Moment,
        out: &mut Events,
    ) -> Result<(), LinkFault> {
        let Some(circuit) = self.live(id)? else { return Ok(()) };
        let told = circuit.state == State::Leaving;
        self.remove(id);
        self.gone(id, now, 0);
        if !told {
            // A code that does not exist breaks the circuit's rules, which ends it as well.
            out.push_back(LinkEvent::Destroyed { circ: id, code: code.unwrap_or(Code::Protocol) });
        }
        Ok(())
    }

    /// The circuit of a frame; nothing when it is gone.
    fn live(&mut self, id: CircId) -> Result<Option<&mut Circuit>, LinkFault> {
        if self.table.known(id.0) == Known::Free {
            return Err(LinkFault::Id("a circuit that is not there"));
        }
        Ok(self.table.get_mut(id.0))
    }

    /// Puts a record in line.
    pub(super) fn push(
        &mut self,
        id: CircId,
        record: Bytes,
        limit: usize,
        out: &mut Events,
    ) -> Result<(), NotTaken> {
        if record.len() < MIN_RECORD || record.len() > super::frame::MAX_BODY {
            return Err(NotTaken::Length);
        }
        let circuit = self.table.get_mut(id.0).ok_or(NotTaken::Unknown)?;
        if circuit.state != State::Open {
            return Err(NotTaken::Unknown);
        }
        if circuit.queued + record.len() > MAX_HOP_WINDOW as usize {
            return Err(NotTaken::Full);
        }
        let cost = record.len() + FRAME_COST;
        circuit.queued += record.len();
        circuit.queue.push_back(record);
        self.cost += cost;
        let (group, bounded) = (circuit.group, circuit.of_one_client);
        self.fair.wake(id, circuit);
        if self.fair.charge(group, cost) > limit && bounded {
            self.shed(Some(group), out);
        }
        Ok(())
    }

    /// Ends the circuit in which most waits, of one client or of all. Returns what became free.
    pub(super) fn shed(&mut self, group: Option<usize>, out: &mut Events) -> usize {
        let largest = self
            .table
            .iter()
            .filter(|(_, circuit)| group.is_none_or(|group| circuit.group == group) && circuit.queued > 0)
            .max_by_key(|(_, circuit)| circuit.cost())
            .map(|(id, circuit)| (CircId(id), circuit.cost()));
        largest.map_or(0, |(id, cost)| {
            self.end(id, Code::Busy, out);
            cost
        })
    }

    /// Ends a circuit for the driver.
    pub(super) fn destroy(&mut self, id: CircId, code: Code, now: Moment) {
        let Some(circuit) = self.table.get_mut(id.0) else { return };
        match circuit.state {
            State::Open if code == Code::Done && !circuit.queue.is_empty() => {
                circuit.state = State::Leaving;
                self.leaving.push_back((now + LEAVING, id));
            }
            State::Creating | State::Asked | State::Open => self.end_silently(id, code),
            State::Leaving if code != Code::Done => self.end_silently(id, code),
            State::Leaving => {}
        }
    }

    /// Ends a circuit with DESTROY and an event.
    fn end(&mut self, id: CircId, code: Code, out: &mut Events) {
        let told = self.table.get(id.0).is_none_or(|circuit| circuit.state == State::Leaving);
        self.end_silently(id, code);
        if !told {
            out.push_back(LinkEvent::Destroyed { circ: id, code });
        }
    }

    fn end_silently(&mut self, id: CircId, code: Code) {
        self.remove(id);
        self.urgent.push_back(Urgent::Destroy(id, code));
    }

    /// A circuit that leaves has broken the rules, or has waited too long.
    fn vanish(&mut self, id: CircId) {
        self.end_silently(id, Code::Done);
    }

    fn remove(&mut self, id: CircId) {
        if let Some(circuit) = self.table.remove(id.0) {
            self.cost -= circuit.cost();
            self.fair.leave(id, &circuit);
        }
    }

    /// Bytes were handed on.
    pub(super) fn released(&mut self, id: CircId, bytes: usize, now: Moment) {
        let Some(circuit) = self.table.get_mut(id.0) else { return };
        if circuit.receive.release(bytes, now) && !circuit.credit_due {
            circuit.credit_due = true;
            self.credits.push_back(id);
        }
    }

    /// What an end may put in line; when it is less than a record, it is told when it is more.
    pub(super) fn writable(&mut self, id: CircId) -> usize {
        let Some(circuit) = self.table.get_mut(id.0).filter(|circuit| circuit.state == State::Open) else {
            return 0;
        };
        let writable = circuit.writable();
        circuit.wants = writable < super::frame::MAX_BODY;
        writable
    }

    /// The next CREDIT that is owed.
    pub(super) fn next_credit(&mut self) -> Option<(CircId, u32)> {
        while let Some(id) = self.credits.pop_front() {
            let Some(circuit) = self.table.get_mut(id.0) else { continue };
            circuit.credit_due = false;
            let bytes = circuit.receive.grant();
            if bytes > 0 {
                return Some((id, bytes));
            }
        }
        None
    }

    /// The next record, or a turn of the directory.
    pub(super) fn next_record(&mut self, room: usize) -> Option<Next> {
        let next = self.fair.next(&mut self.table, room)?;
        if let Next::Record(id, record) = &next {
            self.cost -= record.len() + FRAME_COST;
            let left = self
                .table
                .get(id.0)
                .is_some_and(|circuit| circuit.state == State::Leaving && circuit.queue.is_empty());
            if left {
                self.end_silently(*id, Code::Done);
            } else {
                self.tell(*id);
            }
        }
        Some(next)
    }

    /// The next thing a circuit has to tell.
    pub(super) fn next_report(&mut self) -> Option<LinkEvent> {
        while let Some(id) = self.reports.front().copied() {
            let Some(circuit) = self.table.get_mut(id.0).filter(|circuit| circuit.tells) else {
                self.reports.pop_front();
                continue;
            };
            let bytes = std::mem::take(&mut circuit.unreported);
            if bytes > 0 && circuit.state != State::Leaving {
                return Some(LinkEvent::Sent { circ: id, bytes });
            }
            circuit.tells = false;
            self.reports.pop_front();
            if circuit.wants && circuit.state == State::Open && circuit.writable() >= WRITABLE {
                circuit.wants = false;
                return Some(LinkEvent::Writable(id));
            }
        }
        None
    }

    fn tell(&mut self, id: CircId) {
        if let Some(circuit) = self.table.get_mut(id.0)
            && !circuit.tells
        {
            circuit.tells = true;
            self.reports.push_back(id);
        }
    }

    fn wake(&mut self, id: CircId) {
        if let Some(circuit) = self.table.get_mut(id.0) {
            self.fair.wake(id, circuit);
        }
    }

    /// Whether frames of circuits are in line (for records: may be).
    pub(super) fn waits(&self) -> bool {
        !self.urgent.is_empty() || !self.credits.is_empty() || self.fair.waits()
    }

    /// An id is gone from now on.
    pub(super) fn gone(&mut self, id: CircId, now: Moment, mark: u64) {
        if self.gone.len() >= MAX_GONE
            && let Some(oldest) = self.gone.pop_front()
        {
            self.table.forget(oldest.id.0);
        }
        self.gone.push_back(Gone { id, until: now + LATE, mark });
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let creating = self.creating.front().map(|(at, _)| *at);
        let leaving = self.leaving.front().map(|(at, _)| *at);
        creating.into_iter().chain(leaving).min()
    }

    /// Ends what has waited too long, and forgets the ids that are gone long enough. `acked` is what the neighbour
    /// said it has; on a trunk, which has no such count, the largest number.
    pub(super) fn tick(&mut self, now: Moment, acked: u64, out: &mut Events) {
        while let Some((at, id)) = self.creating.front().copied() {
            let waits = self.state(id) == Some(State::Creating);
            if waits && at > now {
                break;
            }
            self.creating.pop_front();
            if waits {
                self.end_silently(id, Code::Done);
                out.push_back(LinkEvent::Destroyed { circ: id, code: Code::NextUnreachable });
            }
        }
        while let Some((at, id)) = self.leaving.front().copied() {
            let leaves = self.state(id) == Some(State::Leaving);
            if leaves && at > now {
                break;
            }
            self.leaving.pop_front();
            if leaves {
                self.vanish(id);
            }
        }
        while self.gone.front().is_some_and(|gone| gone.until <= now && gone.mark <= acked) {
            if let Some(gone) = self.gone.pop_front() {
                self.table.forget(gone.id.0);
            }
        }
    }

    fn state(&self, id: CircId) -> Option<State> {
        self.table.get(id.0).map(|circuit| circuit.state)
    }
}

/// An end is told when it may put so much in line.
const WRITABLE: usize = 16 * 1024;
/// How long what waits in a circuit may take to leave.
const LEAVING: Duration = Duration::from_secs(10);
/// How long frames of a circuit that is gone are late (section 5, row 14).
const LATE: Duration = Duration::from_secs(10);
/// Ids that are remembered as gone, at most.
const MAX_GONE: usize = 65_536;
