//! What a node offers at present: its short-lived keys, where it is, and what it connects to (ovl1 section 2.2).
//!
//! The node key signs one every hour. A descriptor is first taken apart ([`SignedDescriptor::parse`]) and believed only
//! after [`SignedDescriptor::check`] against the delegation it belongs to. Not here: delegations ([`crate::identity`]),
//! who collects descriptors ([`crate::snapshot`]), which node is chosen ([`crate::path`]).

mod endpoint;
mod form;
mod kem;
mod place;
mod policy;

pub use endpoint::{BindingKind, COOKIE_MOST, Endpoint, EndpointError, PATH_MOST, SNI_MOST};
pub use kem::{KEM_ACCEPTED_SECONDS, KEM_KEY_BYTES, KEM_OFFERED_SECONDS, KemOffer};
pub use policy::PolicyRule;

use crate::codec::Malformed;
use crate::identity::{DelegationTerms, ed25519};
use crate::moment::UnixTime;
use shoalway_types::wallet::Address;
use std::fmt;

/// Longest descriptor, signature included.
pub const DESCRIPTOR_MOST_BYTES: usize = 4096;
/// A descriptor expires at most 30 h after it was published.
pub const DESCRIPTOR_MOST_SECONDS: u64 = 30 * 3600;
/// How far in the future `published` may lie: clocks differ.
pub const PUBLISHED_GRACE_SECONDS: u64 = 600;
/// Keys for circuits in a descriptor.
pub const KEMS_MOST: usize = 2;
/// Nodes of its family that a descriptor may list.
pub const FAMILY_MOST: usize = 16;
/// Endpoints in a descriptor.
pub const ENDPOINTS_MOST: usize = 4;
/// Rules of the policy in a descriptor.
pub const POLICY_MOST: usize = 32;
/// The country of a node that does not say where it is.
pub const NO_COUNTRY: [u8; 2] = *b"ZZ";

const LABEL: &str = "ovl1 descriptor";

/// What a node says about itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The network it is in.
    pub network: [u8; 32],
    /// The node.
    pub node: Address,
    /// Grows with every descriptor of the node.
    pub seq: u64,
    /// When it was made.
    pub published: UnixTime,
    /// To here it is valid: at most 30 h after `published`, and not past the end of the delegation.
    pub expires: UnixTime,
    /// Protocols it speaks, one bit each; bit 0 is ovl1 and always set, others mean nothing to us.
    pub protocols: u16,
    /// Keys for circuits, 1 or 2.
    pub kems: Vec<KemOffer>,
    /// The X25519 key of its links.
    pub link_key: [u8; 32],
    /// The gate of its links between nodes.
    pub link_gate: [u8; 32],
    /// Who runs it: a wallet, its own unless the operator has several nodes. Not zero.
    pub operator: Address,
    /// Nodes that it says belong together with it, at most 16.
    pub family: Vec<Address>,
    /// Two letters of ISO 3166-1, or [`NO_COUNTRY`].
    pub country: [u8; 2],
    /// The number of its network on the Internet, 0 when it does not say.
    pub asn: u32,
    /// What it can carry, in KiB a second.
    pub kibps: u32,
    /// Where links are taken, at most 4; none when it is unlisted.
    pub endpoints: Vec<Endpoint>,
    /// Ports it connects to, at most 32 rules.
    pub policy: Vec<PolicyRule>,
}

/// What a descriptor is checked against.
#[derive(Debug, Clone, Copy)]
pub struct DescriptorChecks<'a> {
    /// The network.
    pub network: &'a [u8; 32],
    /// Whether the network is a lab, which permits endpoints that nobody else reaches.
    pub lab: bool,
    /// What the node's wallet said; checked before.
    pub delegation: &'a DelegationTerms,
    /// What time it is.
    pub now: UnixTime,
}

/// Why a descriptor does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Not the bytes of a descriptor.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Two keys for circuits have one id, so that CREATE could not say which is meant.
    #[error("two keys of the descriptor have the same id")]
    SameKemId,
    /// It ends before it begins, or more than 30 h later.
    #[error("the descriptor does not end within 30 hours after it was published")]
    Lifetime,
    /// It is of another network.
    #[error("the descriptor belongs to another network")]
    Network,
    /// It is another node's than the delegation.
    #[error("the descriptor and the delegation name different nodes")]
    Node,
    /// The wallet withdrew the node.
    #[error("the node was withdrawn")]
    Withdrawn,
    /// The node key of the delegation did not sign it.
    #[error("the descriptor was not signed by the node's key")]
    Signature,
    /// It would outlive the delegation.
    #[error("the descriptor outlives the delegation")]
    Outlives,
    /// An endpoint is where nobody else reaches it.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// It was published over 10 minutes in the future.
    #[error("the descriptor is from the future")]
    NotYet,
    /// Its time is over.
    #[error("the descriptor has expired")]
    Expired,
}

/// A descriptor and its signature, not checked yet.
#[derive(Clone)]
pub struct SignedDescriptor<'a> {
    descriptor: Descriptor,
    signed: &'a [u8],
    signature: [u8; 64],
}

impl<'a> SignedDescriptor<'a> {
    /// Takes a descriptor apart.
    ///
    /// # Errors
    /// When the bytes are not a descriptor, whoever signed it: `Malformed`, `SameKemId`, `Lifetime`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DescriptorError> {
        if bytes.len() > DESCRIPTOR_MOST_BYTES {
            return Err(Malformed("descriptor length").into());
        }
        let (signed, signature) = bytes.split_last_chunk::<64>().ok_or(Malformed("descriptor length"))?;
        let descriptor = form::parse(signed)?;
        descriptor.check_form()?;
        Ok(Self { descriptor, signed, signature: *signature })
    }

    /// Believes the descriptor, if the node key signed it and it holds at this time.
    ///
    /// # Errors
    /// [`DescriptorError`], the first that applies.
    pub fn check(self, against: &DescriptorChecks<'_>) -> Result<Descriptor, DescriptorError> {
        let Self { descriptor, signed, signature } = self;
        if descriptor.network != *against.network {
            return Err(DescriptorError::Network);
        }
        if descriptor.node != against.delegation.node {
            return Err(DescriptorError::Node);
        }
        if against.delegation.is_withdrawal() {
            return Err(DescriptorError::Withdrawn);
        }
        ed25519::verify(&against.delegation.node_key, LABEL, signed, &signature)
            .map_err(|_wrong| DescriptorError::Signature)?;
        if descriptor.expires > against.delegation.not_after {
            return Err(DescriptorError::Outlives);
        }
        for endpoint in &descriptor.endpoints {
            endpoint.check_place(against.lab)?;
        }
        descriptor.check_time(against.now)?;
        Ok(descriptor)
    }

    /// What it says, which nobody has checked yet.
    #[must_use]
    pub const fn unchecked(&self) -> &Descriptor {
        &self.descriptor
    }
}

impl Descriptor {
    /// The bytes of it, signed by the node key.
    ///
    /// # Errors
    /// When it could not be read back: a list too long, a value out of its range, over 4096 bytes.
    pub fn sign(&self, key: &ed25519::SecretKey) -> Result<Vec<u8>, DescriptorError> {
        self.check_form()?;
        let mut bytes = Vec::with_capacity(DESCRIPTOR_MOST_BYTES);
        form::put(self, &mut bytes);
        let signature = key.sign(LABEL, &bytes);
        bytes.extend_from_slice(&signature);
        SignedDescriptor::parse(&bytes)?;
        Ok(bytes)
    }

    /// Whether it holds at this time: not from the future (10 minutes of grace), not expired.
    ///
    /// # Errors
    /// `NotYet`, `Expired`.
    pub fn check_time(&self, now: UnixTime) -> Result<(), DescriptorError> {
        if self.published > now.plus(PUBLISHED_GRACE_SECONDS) {
            Err(DescriptorError::NotYet)
        } else if now > self.expires {
            Err(DescriptorError::Expired)
        } else {
            Ok(())
        }
    }

    /// The key that a client seals a circuit to.
    #[must_use]
    pub fn kem(&self, now: UnixTime) -> Option<&KemOffer> {
        KemOffer::choose(&self.kems, now)
    }

    /// Whether the policy lets a port through; a hint.
    #[must_use]
    pub fn allows_port(&self, port: u16) -> bool {
        PolicyRule::allows(&self.policy, port)
    }

    /// Whether two nodes belong together: one operator, or each lists the other.
    #[must_use]
    pub fn is_family_of(&self, other: &Self) -> bool {
        self.operator == other.operator
            || (self.family.contains(&other.node) && other.family.contains(&self.node))
    }

    /// What depends on nothing but the descriptor itself.
    fn check_form(&self) -> Result<(), DescriptorError> {
        let lengths = [
            ((1..=KEMS_MOST).contains(&self.kems.len()), "kem count"),
            (self.family.len() <= FAMILY_MOST, "family count"),
            (self.endpoints.len() <= ENDPOINTS_MOST, "endpoint count"),
            (self.policy.len() <= POLICY_MOST, "policy count"),
            (self.protocols & 1 == 1, "descriptor protocols"),
            (self.operator.0 != [0; 20], "descriptor operator"),
            (self.country.iter().all(u8::is_ascii_uppercase), "descriptor country"),
        ];
        if let Some((_, field)) = lengths.iter().find(|(fits, _)| !fits) {
            return Err(Malformed(field).into());
        }
        for endpoint in &self.endpoints {
            endpoint.check_form()?;
        }
        if let [first, second] = self.kems.as_slice()
            && first.id() == second.id()
        {
            return Err(DescriptorError::SameKemId);
        }
        match self.expires.0.checked_sub(self.published.0) {
            Some(0..=DESCRIPTOR_MOST_SECONDS) => Ok(()),
            _ => Err(DescriptorError::Lifetime),
        }
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor")
            .field("node", &self.node)
            .field("seq", &self.seq)
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedDescriptor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedDescriptor").field(&self.descriptor).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) mod vectors;
