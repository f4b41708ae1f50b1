//! The snapshot: every node of the network at one hour, signed by k of the directory's keys (ovl1 section 3.2).
//!
//! ```text
//! file = header b[132] | n u8 x { key u8 | sig b[64] } | body
//! ```
//! A file is wholly right or not taken at all. [`Snapshot`] is one that holds, [`Draft`] one that is still being
//! signed, [`Directory`] what a client or node sees in it. Not here: which snapshot may follow which
//! ([`crate::chain`]), fetching.

mod body;
mod directory;
mod draft;
mod header;

pub use body::{Contents, Node, NodeFault, check_node};
pub use directory::{Age, Directory, Listed};
pub use draft::Draft;
pub use header::{HEADER_BYTES, SignedHeader, SnapshotHeader};

use crate::codec::{Malformed, Reader};
use crate::identity::DelegationError;
use crate::moment::UnixTime;
use crate::network::Network;
use crate::spread::{Affinity, AffinityError};
use body::{Body, Known};
use shoalway_types::wallet::Address;
use std::fmt;

/// Longest file.
pub const SNAPSHOT_MOST_BYTES: usize = 8 << 20;
/// Nodes in a snapshot.
pub const NODES_MOST: usize = 2048;
/// Unlisted relays in a snapshot.
pub const MEMBERS_MOST: usize = 8192;
/// Longest text of the affinity groups.
pub const AFFINITY_MOST_BYTES: usize = 256 << 10;
/// A snapshot is valid for 36 h from `published` on.
pub const VALID_SECONDS: u64 = 36 * 3600;
/// Up to this age it is used without a word.
pub const NORMAL_SECONDS: u64 = 12 * 3600;
/// How far in the future `published` may lie.
pub const FUTURE_GRACE_SECONDS: u64 = 600;

/// Why a snapshot is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not the bytes of a snapshot.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is of another network.
    #[error("the snapshot belongs to another network")]
    Network,
    /// It was signed under a version of the network file that is not known.
    #[error("the snapshot was signed under version {0} of the network file, which is not known")]
    Version(u32),
    /// A signature is wrong, or of a key that the version does not have.
    #[error("the signature of key {key} is wrong")]
    Signature {
        /// The index of the key.
        key: u8,
    },
    /// Too few keys signed.
    #[error("{found} keys signed the snapshot, and it takes {needed}")]
    Quorum {
        /// How many signed.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// `validUntil` is not 36 h after `published`.
    #[error("the snapshot is not valid for 36 hours")]
    Lifetime,
    /// The body is not the one that was signed.
    #[error("the body of the snapshot is not the one that was signed")]
    BodyHash,
    /// Nodes or members are not in order, or there twice.
    #[error("the {0} of the snapshot are not in order")]
    Order(&'static str),
    /// A node's entry is wrong, which spoils the whole file.
    #[error("entry {index} of the snapshot: {fault}")]
    Node {
        /// Which entry, from 0.
        index: usize,
        /// What is wrong with it.
        fault: NodeFault,
    },
    /// The affinity groups are none.
    #[error(transparent)]
    Affinity(#[from] AffinityError),
}

/// A snapshot whose signatures, hashes, orders, limits and entries hold.
#[derive(Clone)]
pub struct Snapshot {
    header: SignedHeader,
    body: Body,
}

impl Snapshot {
    /// Takes a file apart and checks all that one file can be checked for. What time it is and which snapshot came
    /// before is up to [`crate::chain::Chain`].
    ///
    /// Costs two signatures a node, some 0.2 ms each time; delegations that `previous` has already are not checked
    /// again. Not for a shard with the most nodes there may be.
    ///
    /// # Errors
    /// [`SnapshotError`], the first that applies.
    pub fn parse(bytes: &[u8], network: &Network, previous: Option<&Self>) -> Result<Self, SnapshotError> {
        if bytes.len() > SNAPSHOT_MOST_BYTES {
            return Err(Malformed("snapshot length").into());
        }
        let mut reader = Reader::new(bytes);
        let header = SignedHeader::read(&mut reader)?;
        header.check(network)?;
        let known = Known { network, published: header.header.published, previous };
        let body = Body::parse(reader.rest(), &header.header, &known)?;
        Ok(Self { header, body })
    }

    /// Its header and who signed it.
    #[must_use]
    pub const fn header(&self) -> &SignedHeader {
        &self.header
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.header.header.number
    }

    /// When it was published.
    #[must_use]
    pub const fn published(&self) -> UnixTime {
        self.header.header.published
    }

    /// Its nodes, ascending.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.body.nodes
    }

    /// One node, also when it was withdrawn.
    #[must_use]
    pub fn node(&self, node: &Address) -> Option<&Node> {
        let at = self.body.nodes.binary_search_by_key(node, |entry| entry.terms().node).ok()?;
        self.body.nodes.get(at)
    }

    /// Unlisted relays, ascending.
    #[must_use]
    pub fn members(&self) -> &[Address] {
        &self.body.members
    }

    /// Which domains belong together.
    #[must_use]
    pub const fn affinity(&self) -> &Affinity {
        &self.body.affinity
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("number", &self.number()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) mod vectors;
