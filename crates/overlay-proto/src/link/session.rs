//! What survives a cut of a client link: the circuits, and the bytes the neighbour did not acknowledge (section 9).

use super::terms::CircId;

/// The circuits of a link and what was not acknowledged.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Sequenced bytes received in whole frames: what an opener or ACCEPT says when the session goes on.
    #[must_use]
    pub const fn received(&self) -> u64 {
        0
    }

    /// The circuits that stand or are being made.
    pub fn circuits(&self) -> impl Iterator<Item = CircId> + '_ {
        std::iter::empty()
    }
}
