//! What the client's part is configured to do, and the one of it that a process has.
//!
//! Not here: reading it from a file (`app`), doing it (`home`).

use super::status::Board;
use super::way::OverlayWay;
use crate::directory::Library;
use crate::link::dial::Dialing;
use shoalway_net::connect::Outbound;
use shoalway_overlay_proto::invite::InvitedEntry;
use shoalway_overlay_proto::path::{Entries, ExitWish};
use shoalway_overlay_proto::spread::Spread;
use std::path::PathBuf;
use std::sync::Arc;

/// The configuration of the client's part.
pub struct OverlayPlan {
    /// Hops of a path: 2, or 3.
    pub hops: u8,
    /// How flows are spread over exits.
    pub spread: Spread,
    /// Which exits, and how many at once, where no rule asks for others.
    pub exits: ExitWish,
    /// Entries that one was invited to.
    pub invited: Vec<InvitedEntry>,
    /// What is known of the network.
    pub library: Arc<Library>,
    /// How links are opened.
    pub dialing: Dialing,
    /// The folder in which the kept entries are written down; none: they are not, which is for tests and labs.
    pub state: Option<PathBuf>,
    /// The entries that were kept before, from [`super::fetch::read_entries`].
    pub kept: Entries,
    /// Says "connected" before the exit has said so.
    pub optimistic: bool,
    /// Circuits kept ready, default 8.
    pub stock: usize,
    /// The shard on which links and circuits live.
    pub home: usize,
}

/// The client's part of a process. Cheap to clone.
#[derive(Clone)]
pub struct Overlay(Arc<Shared>);

/// What all shards share of it.
pub struct Shared {
    /// What it is configured to do.
    pub plan: OverlayPlan,
    /// What it tells.
    pub board: Board,
}

impl Overlay {
    /// With this configuration. Nothing is opened before [`super::home::Home::start`].
    #[must_use]
    pub fn new(plan: OverlayPlan) -> Self {
        Self(Arc::new(Shared { plan, board: Board::default() }))
    }

    /// A way out through exits of this wish.
    #[must_use]
    pub fn way(&self, wish: ExitWish) -> Arc<dyn Outbound> {
        Arc::new(OverlayWay::new(Arc::clone(&self.0), wish))
    }

    /// What all shards share.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}
