//! What a client or a node knows of its network.
//!
//! Everybody on a process reads it through [`Book`]; [`library::Library`] is the one that learns. What is where:
//!
//! - [`shelf`]: what a library knows, as files; [`refresh`]: how a node learns of a newer directory;
//! - [`publish`]: the directory's own work: collecting descriptors, building and signing snapshots.
//!
//! Not here: formats and their rules (`overlay-proto`), how a client fetches (`client`).

pub mod library;
pub mod publish;
pub mod refresh;
pub mod shelf;

use bytes::Bytes;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::snapshot::Directory;
use shoalway_types::wallet::Address;
use std::sync::Arc;

pub use library::{Learned, Library, LibraryError};

/// What is known of the network at present.
pub trait Book: Send + Sync {
    /// The directory in use; none before the first snapshot, and none any more after a fork.
    fn directory(&self) -> Option<Arc<Directory>>;
    /// What a neighbour gets that asks; empty when it is not had. [`DirKind::Own`] is the node's own to answer.
    fn answer(&self, kind: DirKind, number: u64) -> Bytes;

    /// Whether somebody may speak as this node on a link between nodes: the directory has it.
    fn admits(&self, node: &Address, now: UnixTime) -> bool {
        self.directory().is_some_and(|directory| directory.admits(node, now))
    }

    /// Whether nodes that come are asked for their delegation and descriptor.
    fn collects(&self) -> bool {
        false
    }

    /// What a node answered: `delegation | descriptor v16`, which nobody has checked.
    fn collect(&self, node: Address, entry: Bytes) {
        drop((node, entry));
    }
}
