//! One circuit on one link: its state, its hop windows, the records that wait (sections 6.4, 8).
//!
//! Not here: what frames do to it (`circuits.rs`), whose turn it is (`fair.rs`).

use super::terms::{Kind, LinkConfig, LinkTerms, MAX_HOP_WINDOW};
use crate::Moment;
use crate::circuit::credit::{ReceiveWindow, SendWindow};
use bytes::Bytes;
use std::collections::VecDeque;

/// One circuit.
#[derive(Debug)]
pub(super) struct Circuit {
    pub(super) state: State,
    pub(super) group: usize,
    /// Its group is one client, whose memory is bounded.
    pub(super) of_one_client: bool,
    pub(super) send: SendWindow,
    pub(super) receive: ReceiveWindow,
    pub(super) queue: VecDeque<Bytes>,
    pub(super) queued: usize,
    pub(super) deficit: usize,
    /// It stands in the ring of its group.
    pub(super) waits: bool,
    pub(super) credit_due: bool,
    /// Bytes that left and were not told yet.
    pub(super) unreported: usize,
    /// An end found no place and is to be told when there is.
    pub(super) wants: bool,
    /// It stands in the line of those that have something to tell.
    pub(super) tells: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// CREATE went out.
    Creating,
    /// CREATE came in.
    Asked,
    /// CREATED went one way.
    Open,
    /// Ended here; what waits is still sent.
    Leaving,
}

impl Circuit {
    pub(super) fn new(state: State, group: usize, setup: &Setup<'_>) -> Self {
        let (start, most) = (setup.terms.hop_window, setup.config.hop_window_max.min(MAX_HOP_WINDOW));
        Self {
            state,
            group,
            // A trunk does not tell whose circuits its neighbour asks for: the node's bound holds for them.
            of_one_client: setup.config.kind == Kind::Client || state == State::Creating,
            send: SendWindow::new(start, MAX_HOP_WINDOW),
            receive: ReceiveWindow::new(start, most, setup.now),
            queue: VecDeque::new(),
            queued: 0,
            deficit: 0,
            waits: false,
            credit_due: false,
            unreported: 0,
            wants: false,
            tells: false,
        }
    }

    /// The length of the record that can go now.
    pub(super) fn ready(&self) -> Option<usize> {
        let body = self.queue.front()?.len();
        (body <= self.send.left()).then_some(body)
    }

    /// What waits, with what its bookkeeping costs.
    pub(super) fn cost(&self) -> usize {
        self.queued + self.queue.len() * FRAME_COST
    }

    /// Takes the record that can go.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let record = self.queue.pop_front()?;
        self.queued -= record.len();
        self.send.spend(record.len());
        self.unreported += record.len();
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            self.queue = VecDeque::new();
        }
        Some(record)
    }

    /// What an end may put in line.
    pub(super) fn writable(&self) -> usize {
        self.send.left().min(WRITE_AHEAD).saturating_sub(self.queued)
    }
}

/// What a new circuit is made with.
pub(super) struct Setup<'a> {
    pub(super) config: &'a LinkConfig,
    pub(super) terms: LinkTerms,
    pub(super) now: Moment,
}

/// What a waiting frame costs beside its bytes: its place in the queue and its share of an allocation.
pub(super) const FRAME_COST: usize = 64;
/// Places of an empty queue that are kept.
const KEPT_CAPACITY: usize = 64;
/// What an end has in line at most: enough to fill the stream, little enough to wait behind.
const WRITE_AHEAD: usize = 64 * 1024;
