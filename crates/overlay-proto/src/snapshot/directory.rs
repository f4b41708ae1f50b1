//! What a client or node sees in a snapshot: the nodes that are of use at this time, and who may speak as a node.
//!
//! Not here: accepting snapshots ([`crate::chain`]), choosing nodes ([`crate::path`]), publishing and watching
//! (`overlay`).

use super::{FUTURE_GRACE_SECONDS, NORMAL_SECONDS, Node, Snapshot, VALID_SECONDS};
use crate::descriptor::Descriptor;
use crate::identity::{DelegationTerms, Revocations, Roles};
use crate::moment::UnixTime;
use crate::spread::Affinity;
use shoalway_types::wallet::Address;
use std::collections::BTreeSet;

/// How old a snapshot is, and therefore how it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Published over 10 minutes in the future: somebody's clock is wrong, and it is not accepted.
    Future,
    /// Up to 12 h: used.
    Normal,
    /// Up to 36 h: used, with a warning, and a new one is asked for every 5 minutes.
    Old,
    /// Older: no new circuits.
    TooOld,
}

/// A snapshot, seen by somebody who knows which delegations were taken back.
#[derive(Debug, Clone)]
pub struct Directory {
    snapshot: Snapshot,
    hash: [u8; 32],
    revoked: BTreeSet<Address>,
}

/// A node that is of use.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// What its wallet said.
    pub terms: &'a DelegationTerms,
    /// What it offers.
    pub descriptor: &'a Descriptor,
}

impl Age {
    /// The age of what was published then.
    #[must_use]
    pub const fn of(published: UnixTime, now: UnixTime) -> Self {
        if published.0 > now.plus(FUTURE_GRACE_SECONDS).0 {
            return Self::Future;
        }
        match now.0.saturating_sub(published.0) {
            0..=NORMAL_SECONDS => Self::Normal,
            age if age <= VALID_SECONDS => Self::Old,
            _ => Self::TooOld,
        }
    }
}

impl Directory {
    /// The view of a snapshot. Its delegations are noted; those that do not hold any more are of no use.
    #[must_use]
    pub fn new(snapshot: Snapshot, revocations: &mut Revocations, now: UnixTime) -> Self {
        let hash = snapshot.header().header.hash();
        let refused = |node: &&Node| revocations.admit(node.verified(), now).is_err();
        let revoked = snapshot.nodes().iter().filter(refused).map(|node| node.terms().node).collect();
        Self { snapshot, hash, revoked }
    }

    /// The snapshot itself.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Its number and hash, as CREATED carries them.
    #[must_use]
    pub const fn number_and_hash(&self) -> (u64, [u8; 32]) {
        (self.snapshot.number(), self.hash)
    }

    /// How old it is.
    #[must_use]
    pub const fn age(&self, now: UnixTime) -> Age {
        Age::of(self.snapshot.published(), now)
    }

    /// A node, if it is of use at this time.
    #[must_use]
    pub fn lookup(&self, node: &Address, now: UnixTime) -> Option<Listed<'_>> {
        self.listed(self.snapshot.node(node)?, now)
    }

    /// All nodes of use at this time that have these roles, ascending.
    pub fn nodes(&self, roles: Roles, now: UnixTime) -> impl Iterator<Item = Listed<'_>> {
        let nodes = self.snapshot.nodes().iter();
        nodes
            .filter_map(move |node| self.listed(node, now))
            .filter(move |node| node.terms.roles.contains(roles))
    }

    /// Whether somebody may speak as this node on a link between nodes: it is of use, or an unlisted relay.
    #[must_use]
    pub fn admits(&self, node: &Address, now: UnixTime) -> bool {
        self.lookup(node, now).is_some() || self.is_member(node)
    }

    /// Whether it is an unlisted relay that was not taken back.
    #[must_use]
    pub fn is_member(&self, node: &Address) -> bool {
        self.snapshot.members().binary_search(node).is_ok() && !self.revoked.contains(node)
    }

    /// Unlisted relays, ascending.
    #[must_use]
    pub fn members(&self) -> &[Address] {
        self.snapshot.members()
    }

    /// Which domains belong together.
    #[must_use]
    pub const fn affinity(&self) -> &Affinity {
        self.snapshot.affinity()
    }

    /// A later delegation of this node was seen elsewhere: what the snapshot says about it is of no use any more.
    pub fn revoke(&mut self, node: Address) {
        self.revoked.insert(node);
    }

    fn listed<'a>(&self, node: &'a Node, now: UnixTime) -> Option<Listed<'a>> {
        let (terms, descriptor) = (node.terms(), node.descriptor()?);
        let in_time = terms.check_time(now).is_ok() && descriptor.check_time(now).is_ok();
        (in_time && !self.revoked.contains(&terms.node)).then_some(Listed { terms, descriptor })
    }
}
