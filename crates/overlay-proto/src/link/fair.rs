//! Whose turn it is: deficit round robin over clients, then over their circuits (section 8).
//!
//! A quantum is 16 KiB, which is more than the longest frame: whoever has a turn sends at least one. Parts of a
//! directory's answer take turns as one more client. Not here: frames that go before all records.

use super::frame::HEAD;
use super::hop::Circuit;
use super::table::IdTable;
use super::terms::CircId;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Clients and circuits that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Fair {
    groups: Vec<Option<Group>>,
    free: Vec<usize>,
    names: BTreeMap<u32, usize>,
    ring: VecDeque<Turn>,
}

/// All circuits of one client.
#[derive(Debug)]
struct Group {
    name: u32,
    circuits: usize,
    /// What waits, with what its bookkeeping costs.
    cost: usize,
    deficit: usize,
    waits: bool,
    ring: VecDeque<CircId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Group(usize),
    Directory,
}

/// What goes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A record; its circuit has been charged for it.
    Record(CircId, Bytes),
    /// A part of a directory's answer. [`Fair::directory_waits`] again when there is more.
    Directory,
}

impl Fair {
    /// One more circuit of the client `name`; returns the place of the client.
    pub(super) fn join(&mut self, name: u32) -> usize {
        if let Some(slot) = self.names.get(&name).copied()
            && let Some(group) = self.group(slot)
        {
            group.circuits += 1;
            return slot;
        }
        let group = Group { name, circuits: 1, cost: 0, deficit: 0, waits: false, ring: VecDeque::new() };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            self.groups.len() - 1
        });
        if let Some(place) = self.groups.get_mut(slot) {
            *place = Some(group);
        }
        self.names.insert(name, slot);
        slot
    }

    /// A circuit that is gone from the table.
    pub(super) fn leave(&mut self, id: CircId, circuit: &Circuit) {
        let Some(group) = self.group(circuit.group) else { return };
        if circuit.waits {
            group.ring.retain(|waiting| *waiting != id);
        }
        group.cost -= circuit.cost();
        group.circuits -= 1;
        if group.circuits > 0 {
            return;
        }
        let (name, waits) = (group.name, group.waits);
        self.names.remove(&name);
        if let Some(place) = self.groups.get_mut(circuit.group) {
            *place = None;
            self.free.push(circuit.group);
        }
        if waits {
            self.ring.retain(|turn| *turn != Turn::Group(circuit.group));
        }
    }

    /// More waits in a circuit of the client at `slot`; returns what now waits for the client.
    pub(super) fn charge(&mut self, slot: usize, cost: usize) -> usize {
        self.group(slot).map_or(0, |group| {
            group.cost += cost;
            group.cost
        })
    }

    /// A circuit that may have become ready takes its place at the end of the line.
    pub(super) fn wake(&mut self, id: CircId, circuit: &mut Circuit) {
        if circuit.waits || circuit.ready().is_none() {
            return;
        }
        let Some(group) = self.groups.get_mut(circuit.group).and_then(Option::as_mut) else { return };
        circuit.waits = true;
        circuit.deficit = QUANTUM;
        group.ring.push_back(id);
        if !group.waits {
            group.waits = true;
            group.deficit = QUANTUM;
            self.ring.push_back(Turn::Group(circuit.group));
        }
    }

    /// A directory's answer takes its place at the end of the line. The caller knows that it has none.
    pub(super) fn directory_waits(&mut self) {
        self.ring.push_back(Turn::Directory);
    }

    /// A link is gone, and with it the question.
    pub(super) fn directory_leaves(&mut self) {
        self.ring.retain(|turn| *turn != Turn::Directory);
    }

    /// Whether someone may be ready.
    pub(super) fn waits(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Takes what goes next, if it goes into `room` bytes of sequenced frames.
    pub(super) fn next(&mut self, table: &mut IdTable<Circuit>, room: usize) -> Option<Next> {
        loop {
            let Turn::Group(slot) = *self.ring.front()? else {
                self.ring.pop_front();
                return Some(Next::Directory);
            };
            let Some(group) = self.groups.get_mut(slot).and_then(Option::as_mut) else {
                self.ring.pop_front();
                continue;
            };
            let Some(id) = group.ring.front().copied() else {
                group.waits = false;
                self.ring.pop_front();
                continue;
            };
            let Some((circuit, length)) = ready(table, id) else {
                group.ring.pop_front();
                continue;
            };
            if circuit.deficit < length {
                circuit.deficit += QUANTUM;
                group.ring.rotate_left(1);
                continue;
            }
            if group.deficit < length {
                group.deficit += QUANTUM;
                self.ring.rotate_left(1);
                continue;
            }
            if length > room {
                return None;
            }
            circuit.deficit -= length;
            group.deficit -= length;
            let before = circuit.cost();
            let record = circuit.pop()?;
            group.cost -= before - circuit.cost();
            return Some(Next::Record(id, record));
        }
    }

    fn group(&mut self, slot: usize) -> Option<&mut Group> {
        self.groups.get_mut(slot).and_then(Option::as_mut)
    }
}

/// The circuit and the length of its next frame; a circuit that is not ready no longer waits.
fn ready(table: &mut IdTable<Circuit>, id: CircId) -> Option<(&mut Circuit, usize)> {
    let circuit = table.get_mut(id.0)?;
    match circuit.ready() {
        Some(body) => Some((circuit, HEAD + body)),
        None => {
            circuit.waits = false;
            None
        }
    }
}

/// Bytes of frames a client, and a circuit, may send in one turn.
pub(super) const QUANTUM: usize = 16 * 1024;
