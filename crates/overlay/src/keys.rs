//! What a node is and holds at present: its delegation, its keys, its gates, the descriptor it publishes.
//!
//! An immutable value that all shards read; whoever rotates keys puts a new one in its place. Keys for circuits stand
//! apart, since what was seen under them outlives that. What is where:
//!
//! - [`files`]: files that nobody else may read; [`store`]: a node's keys in its folder; [`gates`]: who is let in;
//! - [`rotation`]: which keys are due, by their ages; [`life`]: makes, publishes and erases them in time.
//!
//! Not here: what others are told of them (`directory`).

pub mod files;
pub mod gates;
pub mod life;
pub mod rotation;
pub mod store;

use arc_swap::ArcSwap;
use bytes::Bytes;
use shoalway_overlay_proto::create::KemKeys;
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::opener::{GateKeeper, LinkKeyPair};
use shoalway_types::wallet::Address;
use std::sync::{Arc, Mutex};

/// A node's keys as everybody on it shares them.
pub type SharedKeys = Arc<ArcSwap<NodeKeys>>;

/// A node's keys for circuits. Held for one CREATE at a time, which is some 0.1 ms.
pub type SharedKems = Arc<Mutex<KemKeys>>;

/// A node at present.
pub struct NodeKeys {
    /// The network it is in.
    pub network: [u8; 32],
    /// Whether that is a lab, where everything may be on one machine.
    pub lab: bool,
    /// Its wallet.
    pub node: Address,
    /// What it does.
    pub roles: Roles,
    /// What its wallet signed.
    pub delegation: [u8; 143],
    /// The key that the wallet delegated to.
    pub node_key: SecretKey,
    /// For openers.
    pub link: LinkKeyPair,
    /// The one before, for those who still have it from an invitation or an older descriptor.
    pub former_link: Option<LinkKeyPair>,
    /// Who is let in.
    pub gates: GateKeeper,
    /// The descriptor, signed. Empty before the first one.
    pub descriptor: Bytes,
}

impl NodeKeys {
    /// The answer to a question for the node's own delegation and descriptor: `delegation | descriptor v16`.
    #[must_use]
    pub fn own_entry(&self) -> Bytes {
        let length = u16::try_from(self.descriptor.len()).unwrap_or(0);
        [&self.delegation[..], &length.to_be_bytes(), &self.descriptor[..]].concat().into()
    }
}
