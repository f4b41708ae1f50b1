//! Who is who: roles, and the delegation by which a wallet lets a node key speak for it (ovl1 section 2.1).
//!
//! A wallet signs an EIP-712 message once in at most 30 days; the node key it names signs everything else. A higher
//! serial takes an earlier one back. Not here: making wallet signatures (`wallet`), what the node key signs
//! ([`crate::descriptor`], [`crate::opener`]).

pub mod ed25519;
mod eip712;
pub mod revocations;
pub mod roles;

pub use revocations::{Revocations, Revoked};
pub use roles::Roles;

use crate::codec::{Malformed, Reader};
use crate::moment::UnixTime;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest as _, Keccak256};
use shoalway_types::wallet::Address;
use std::fmt;

/// Bytes of a delegation.
pub const DELEGATION_BYTES: usize = 143;

/// A delegation lasts 30 days at most.
pub const DELEGATION_MOST_SECONDS: u64 = 30 * 24 * 3600;

/// How far a clock may be off at either end of a delegation.
pub const DELEGATION_GRACE_SECONDS: u64 = 600;

/// What a wallet says about its node, before it is signed.
#[derive(Clone, PartialEq, Eq)]
pub struct DelegationTerms {
    /// The wallet, and by its address the node.
    pub node: Address,
    /// The Ed25519 key that speaks for the node; zero in a withdrawal.
    pub node_key: [u8; 32],
    /// What the node may do; none in a withdrawal.
    pub roles: Roles,
    /// Valid from here on.
    pub not_before: UnixTime,
    /// Valid to here, at most 30 days after `not_before`.
    pub not_after: UnixTime,
    /// Counts the wallet's delegations; the highest holds.
    pub serial: u64,
}

impl DelegationTerms {
    /// The terms that withdraw a node: no role, no key, and no time limit that is looked at.
    #[must_use]
    pub const fn withdrawal(node: Address, serial: u64) -> Self {
        Self {
            node,
            node_key: [0; 32],
            roles: Roles::NONE,
            not_before: UnixTime(0),
            not_after: UnixTime(0),
            serial,
        }
    }

    /// Whether they withdraw the node.
    #[must_use]
    pub fn is_withdrawal(&self) -> bool {
        self.roles.is_empty() && self.node_key == [0; 32]
    }

    /// What the wallet signs: the EIP-712 digest, for one network.
    #[must_use]
    pub fn digest(&self, network: &[u8; 32]) -> [u8; 32] {
        eip712::digest(network, self)
    }

    /// Whether the terms make sense, whatever time it is.
    ///
    /// # Errors
    /// A role without a key, a key without a role, ends in the wrong order, or more than 30 days between them.
    pub fn check_shape(&self) -> Result<(), DelegationError> {
        if self.is_withdrawal() {
            return Ok(());
        }
        if self.roles.is_empty() || self.node_key == [0; 32] {
            return Err(DelegationError::Half);
        }
        match self.not_after.0.checked_sub(self.not_before.0) {
            None => Err(DelegationError::Backwards),
            Some(lasts) if lasts > DELEGATION_MOST_SECONDS => Err(DelegationError::TooLong),
            Some(_lasts) => Ok(()),
        }
    }

    /// Whether they hold at this time, with 10 minutes of grace at each end. A withdrawal always holds.
    ///
    /// # Errors
    /// Before or after their time.
    pub fn check_time(&self, now: UnixTime) -> Result<(), DelegationError> {
        if self.is_withdrawal() {
            Ok(())
        } else if now.plus(DELEGATION_GRACE_SECONDS) < self.not_before {
            Err(DelegationError::NotYet)
        } else if now > self.not_after.plus(DELEGATION_GRACE_SECONDS) {
            Err(DelegationError::Expired)
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for DelegationTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelegationTerms")
            .field("node", &self.node)
            .field("roles", &self.roles)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// Terms and the wallet's signature over them, which nobody has checked yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Delegation {
    /// What is said.
    pub terms: DelegationTerms,
    /// `r || s || v` over [`DelegationTerms::digest`], s in the lower half, v 27 or 28.
    pub signature: [u8; 65],
}

/// A delegation whose signature and terms were checked; what time it is still matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    terms: DelegationTerms,
    digest: [u8; 32],
}

/// Why a delegation does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// Not a signature: v is not 27 or 28, a half is zero or too large, or s is in the upper half.
    #[error("the wallet's signature is not one of the permitted form")]
    Signature,
    /// Somebody else signed, or something else was signed (also: for another network).
    #[error("the delegation was not signed by the wallet it names, or not for this network")]
    Signer,
    /// A role without a key, or a key without a role.
    #[error("the delegation names a key without a role, or a role without a key")]
    Half,
    /// It ends before it begins.
    #[error("the delegation ends before it begins")]
    Backwards,
    /// It lasts more than 30 days.
    #[error("the delegation lasts more than 30 days")]
    TooLong,
    /// Its time has not come.
    #[error("the delegation is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("the delegation has expired")]
    Expired,
}

impl Delegation {
    /// Takes a delegation apart; nothing of it is believed yet.
    ///
    /// # Errors
    /// When the bytes are not exactly a delegation, or roles are set that do not exist.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let delegation = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(delegation)
    }

    /// Reads a delegation that stands inside something else.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let terms = DelegationTerms {
            node: Address(reader.array("delegation node")?),
            node_key: reader.array("delegation node key")?,
            roles: Roles::from_bits(reader.u16("delegation roles")?).ok_or(Malformed("delegation roles"))?,
            not_before: UnixTime(reader.u64("delegation not-before")?),
            not_after: UnixTime(reader.u64("delegation not-after")?),
            serial: reader.u64("delegation serial")?,
        };
        Ok(Self { terms, signature: reader.array("delegation signature")? })
    }

    /// The bytes of it: [`DELEGATION_BYTES`] of them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DELEGATION_BYTES);
        let terms = &self.terms;
        bytes.extend_from_slice(&terms.node.0);
        bytes.extend_from_slice(&terms.node_key);
        bytes.extend_from_slice(&terms.roles.bits().to_be_bytes());
        for number in [terms.not_before.0, terms.not_after.0, terms.serial] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Whether the wallet signed it for this network, and its terms make sense. The time is not looked at.
    ///
    /// # Errors
    /// [`DelegationError`] but for `NotYet` and `Expired`.
    pub fn verify(&self, network: &[u8; 32]) -> Result<Verified, DelegationError> {
        self.terms.check_shape()?;
        let digest = self.terms.digest(network);
        if recover(&digest, &self.signature)? != self.terms.node {
            return Err(DelegationError::Signer);
        }
        Ok(Verified { terms: self.terms.clone(), digest })
    }

    /// Whether it holds: signed by the wallet for this network, sensible, and in its time.
    ///
    /// A withdrawal holds too: the caller asks [`DelegationTerms::is_withdrawal`], and [`Revocations`] whether a
    /// higher serial is known.
    ///
    /// # Errors
    /// [`DelegationError`], the first that applies.
    pub fn check(&self, network: &[u8; 32], now: UnixTime) -> Result<Verified, DelegationError> {
        let verified = self.verify(network)?;
        self.terms.check_time(now)?;
        Ok(verified)
    }
}

impl fmt::Debug for Delegation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delegation").field(&self.terms).finish()
    }
}

impl Verified {
    /// What the wallet said.
    #[must_use]
    pub const fn terms(&self) -> &DelegationTerms {
        &self.terms
    }

    /// The digest that was signed; two delegations of equal digest say the same.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// The wallet that signed a digest.
///
/// # Errors
/// [`DelegationError::Signature`] when it is no signature of the permitted form.
pub fn recover(digest: &[u8; 32], signature: &[u8; 65]) -> Result<Address, DelegationError> {
    let (halves, v) = signature.split_at(64);
    let odd = match v {
        [27] => false,
        [28] => true,
        _ => return Err(DelegationError::Signature),
    };
    let signature = Signature::from_slice(halves).map_err(|_no_scalars| DelegationError::Signature)?;
    if signature.normalize_s() != signature {
        return Err(DelegationError::Signature);
    }
    let key = VerifyingKey::recover_from_prehash(digest, &signature, RecoveryId::new(odd, false))
        .map_err(|_no_point| DelegationError::Signature)?;
    Ok(address_of(&key))
}

/// The address of a wallet's public key: the last 20 bytes of the Keccak-256 of its point.
#[must_use]
pub fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false);
    let coordinates = point.as_bytes().get(1..).unwrap_or_default();
    let hash: [u8; 32] = Keccak256::digest(coordinates).into();
    let mut address = [0; 20];
    for (byte, from) in address.iter_mut().zip(hash.into_iter().skip(12)) {
        *byte = from;
    }
    Address(address)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;
