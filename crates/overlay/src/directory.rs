//! What a client or a node knows of its network.
//!
//! Everybody on a process reads it through [`Book`]; [`library::Library`] is the one that learns. Not here: formats and
//! their rules (`overlay-proto`).

pub mod library;

use bytes::Bytes;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::snapshot::Directory;
use std::sync::Arc;

pub use library::{Learned, Library, LibraryError};

/// What is known of the network at present.
pub trait Book: Send + Sync {
    /// The directory in use; none before the first snapshot, and none any more after a fork.
    fn directory(&self) -> Option<Arc<Directory>>;
    /// What a neighbour gets that asks; empty when it is not had. [`DirKind::Own`] is the node's own to answer.
    fn answer(&self, kind: DirKind, number: u64) -> Bytes;
}
