//! What a person is told of their part of the overlay: links, circuits, which exit serves what.
//!
//! A board that the home shard writes and anybody reads. Destinations stand on it for the person at this machine alone
//! and never reach a log. Not here: how it is shown (`app`).

use shoalway_overlay_proto::spread::Why;
use shoalway_types::wallet::Address;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Flows that are remembered.
const RECENT: usize = 256;

/// The board.
#[derive(Default)]
pub struct Board(Mutex<Status>);

/// How the client's part is at one moment.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Entries that are kept, the preferred one first.
    pub entries: Vec<EntryStatus>,
    /// The active exits.
    pub exits: Vec<Address>,
    /// Number of the directory in use; 0: there is none.
    pub directory: u64,
    /// The network is a lab.
    pub lab: bool,
    /// Circuits that stand, bound or in stock.
    pub circuits: usize,
    /// Of those, in stock.
    pub stock: usize,
    /// How many flows there were, those that are forgotten included.
    pub flowed: u64,
    /// The newest flows, oldest first.
    pub flows: VecDeque<FlowStatus>,
    /// Why new flows fail at present, if they do.
    pub trouble: Option<String>,
}

/// An entry that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryStatus {
    /// The node.
    pub node: Address,
    /// Whether a link to it stands.
    pub is_up: bool,
    /// How long a PING took.
    pub round_trip: Option<Duration>,
    /// What went wrong last.
    pub fault: Option<String>,
}

/// A flow and where it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowStatus {
    /// Where to: host and port.
    pub target: String,
    /// Through which exit.
    pub exit: Address,
    /// Through which entry.
    pub entry: Address,
    /// Why through this exit.
    pub why: Why,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

impl Board {
    /// A copy of what stands there.
    #[must_use]
    pub fn read(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what stands there.
    pub fn write(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes a flow.
    pub fn flow(&self, flow: FlowStatus) {
        self.write(|status| {
            if status.flows.len() >= RECENT {
                status.flows.pop_front();
            }
            status.flowed += 1;
            status.flows.push_back(flow);
        });
    }
}
