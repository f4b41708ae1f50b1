//! The body of a snapshot: nodes, unlisted relays, affinity groups (ovl1 section 3.2).
//!
//! One wrong entry spoils the whole file: everybody must see the same nodes. Not here: whether a node is of use at
//! present ([`super::Directory`]).

use super::{
    AFFINITY_MOST_BYTES, Affinity, DelegationError, MEMBERS_MOST, NODES_MOST, Snapshot, SnapshotError,
    SnapshotHeader,
};
use crate::codec::{Malformed, Put as _, Reader};
use crate::descriptor::{
    DESCRIPTOR_MOST_BYTES, Descriptor, DescriptorChecks, DescriptorError, SignedDescriptor,
};
use crate::identity::{Delegation, DelegationTerms, Verified};
use crate::kdf::hash;
use crate::moment::UnixTime;
use crate::network::Network;
use shoalway_types::wallet::Address;

/// A node as the snapshot has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    delegation: Delegation,
    verified: Verified,
    descriptor: Option<Box<Descriptor>>,
}

/// What is wrong with a node's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    /// The delegation does not hold, or did not when the snapshot was published.
    #[error(transparent)]
    Delegation(#[from] DelegationError),
    /// The descriptor does not hold, or did not when the snapshot was published.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// A node that was not withdrawn has no descriptor.
    #[error("a node that was not withdrawn has no descriptor")]
    NoDescriptor,
    /// A node that was withdrawn has a descriptor.
    #[error("a node that was withdrawn has a descriptor")]
    Withdrawn,
}

/// What a snapshot is made of.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Delegation and descriptor of each node, in any order; no descriptor for a node that was withdrawn.
    pub nodes: Vec<(Delegation, Vec<u8>)>,
    /// Unlisted relays, in any order.
    pub members: Vec<Address>,
    /// Which domains belong together: one group a line, separated by spaces.
    pub affinity: String,
}

/// What entries are checked against.
pub(super) struct Known<'a> {
    pub(super) network: &'a Network,
    pub(super) published: UnixTime,
    pub(super) previous: Option<&'a Snapshot>,
}

#[derive(Clone)]
pub(super) struct Body {
    pub(super) nodes: Vec<Node>,
    pub(super) members: Vec<Address>,
    pub(super) affinity: Affinity,
}

impl Node {
    /// What its wallet said.
    #[must_use]
    pub const fn terms(&self) -> &DelegationTerms {
        self.verified.terms()
    }

    /// The delegation, as others are shown it.
    #[must_use]
    pub const fn delegation(&self) -> &Delegation {
        &self.delegation
    }

    /// The delegation, as [`crate::identity::Revocations`] takes it.
    #[must_use]
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }

    /// What it offers; nothing when it was withdrawn.
    #[must_use]
    pub fn descriptor(&self) -> Option<&Descriptor> {
        self.descriptor.as_deref()
    }
}

/// Whether a node could stand in a snapshot published at this time: what the directory asks of what it is sent.
///
/// # Errors
/// [`NodeFault`].
pub fn check_node(
    network: &Network,
    delegation: &Delegation,
    descriptor: &[u8],
    published: UnixTime,
) -> Result<Node, NodeFault> {
    Known { network, published, previous: None }.check(delegation.clone(), descriptor)
}

impl Known<'_> {
    fn check(&self, delegation: Delegation, descriptor: &[u8]) -> Result<Node, NodeFault> {
        let network = self.network.id();
        let seen = self.previous.and_then(|snapshot| snapshot.node(&delegation.terms.node));
        let verified = match seen.filter(|node| node.delegation == delegation) {
            Some(node) => node.verified.clone(),
            None => delegation.verify(network)?,
        };
        let terms = verified.terms();
        terms.check_time(self.published)?;
        let descriptor = match (terms.is_withdrawal(), descriptor) {
            (true, []) => None,
            (true, _) => return Err(NodeFault::Withdrawn),
            (false, []) => return Err(NodeFault::NoDescriptor),
            (false, bytes) => {
                let checks = DescriptorChecks {
                    network,
                    lab: self.network.is_lab(),
                    delegation: terms,
                    now: self.published,
                };
                Some(Box::new(SignedDescriptor::parse(bytes)?.check(&checks)?))
            }
        };
        Ok(Node { delegation, verified, descriptor })
    }
}

impl Body {
    pub(super) fn parse(
        bytes: &[u8],
        header: &SnapshotHeader,
        known: &Known<'_>,
    ) -> Result<Self, SnapshotError> {
        if hash(&[bytes]) != header.body_hash {
            return Err(SnapshotError::BodyHash);
        }
        let mut reader = Reader::new(bytes);
        let count = usize::try_from(header.nodes).unwrap_or(usize::MAX).min(NODES_MOST);
        let mut nodes: Vec<Node> = Vec::new();
        for index in 0..count {
            let delegation = Delegation::read(&mut reader)?;
            let descriptor = reader.v16(DESCRIPTOR_MOST_BYTES, "snapshot descriptor")?;
            if nodes.last().is_some_and(|last| last.terms().node >= delegation.terms.node) {
                return Err(SnapshotError::Order("nodes"));
            }
            let node = known.check(delegation, descriptor);
            nodes.push(node.map_err(|fault| SnapshotError::Node { index, fault })?);
        }
        let members = read_members(&mut reader)?;
        let affinity = reader.v32(AFFINITY_MOST_BYTES, "snapshot affinity")?;
        reader.finish()?;
        let affinity = str::from_utf8(affinity).map_err(|_not_utf8| Malformed("snapshot affinity"))?;
        Ok(Self { nodes, members, affinity: Affinity::parse(affinity)? })
    }
}

fn read_members(reader: &mut Reader<'_>) -> Result<Vec<Address>, SnapshotError> {
    let count = usize::try_from(reader.u32("snapshot members")?).unwrap_or(usize::MAX);
    if count > MEMBERS_MOST {
        return Err(Malformed("snapshot members").into());
    }
    let mut members: Vec<Address> = Vec::new();
    for _ in 0..count {
        let member = Address(reader.array("snapshot member")?);
        if members.last().is_some_and(|last| *last >= member) {
            return Err(SnapshotError::Order("members"));
        }
        members.push(member);
    }
    Ok(members)
}

impl Contents {
    /// The bytes of a body, everything in its order. Limits are checked when it is read back.
    pub(super) fn encode(mut self) -> Vec<u8> {
        self.nodes.sort_by_key(|(delegation, _)| delegation.terms.node);
        self.members.sort_unstable();
        let mut bytes = Vec::new();
        for (delegation, descriptor) in &self.nodes {
            bytes.extend_from_slice(&delegation.encode());
            bytes.put_v16(descriptor);
        }
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&members.to_be_bytes());
        self.members.iter().for_each(|member| bytes.extend_from_slice(&member.0));
        bytes.put_v32(self.affinity.as_bytes());
        bytes
    }
}
