//! The header of a snapshot, and the signatures over it (ovl1 section 3.2).
//!
//! Not here: the body, whose hash the header has.

use super::{NODES_MOST, SnapshotError, VALID_SECONDS};
use crate::codec::{Malformed, Reader};
use crate::identity::ed25519;
use crate::kdf::hash;
use crate::moment::UnixTime;
use crate::network::{KEYS_MOST, Network, NetworkTerms};
use std::fmt;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 132;

const MAGIC: &[u8; 4] = b"OVS1";
pub(super) const LABEL: &str = "ovl1 snapshot";

/// What the directory's keys sign.
#[derive(Clone, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The network it is of.
    pub network: [u8; 32],
    /// Counts the snapshots of the network, from 1.
    pub number: u64,
    /// The hash of the header before; zero in the first.
    pub prev: [u8; 32],
    /// When it was made.
    pub published: UnixTime,
    /// 36 h later.
    pub valid_until: UnixTime,
    /// The version of the network file whose keys signed it.
    pub net_version: u32,
    /// Nodes in the body, at most 2048.
    pub nodes: u32,
    /// The hash of the body.
    pub body_hash: [u8; 32],
}

/// A header and the signatures that came with it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedHeader {
    /// The header.
    pub header: SnapshotHeader,
    /// Index of a key and its signature; ascending, no key twice.
    pub(super) signatures: Vec<(u8, [u8; 64])>,
}

impl SnapshotHeader {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.network);
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.prev);
        bytes.extend_from_slice(&self.published.0.to_be_bytes());
        bytes.extend_from_slice(&self.valid_until.0.to_be_bytes());
        bytes.extend_from_slice(&self.net_version.to_be_bytes());
        bytes.extend_from_slice(&self.nodes.to_be_bytes());
        bytes.extend_from_slice(&self.body_hash);
        bytes
    }

    /// The hash by which the next one, and every CREATED, names it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(&[LABEL.as_bytes(), b"\0", &self.encode()])
    }

    /// Signs it with a key of the directory.
    #[must_use]
    pub fn sign(&self, key: &ed25519::SecretKey) -> [u8; 64] {
        key.sign(LABEL, &self.encode())
    }

    /// Whether it is what comes right after `before`: the next number, its hash, later, and no older network file.
    #[must_use]
    pub fn follows(&self, before: &Self) -> bool {
        before.number.checked_add(1) == Some(self.number)
            && self.prev == before.hash()
            && self.published > before.published
            && self.net_version >= before.net_version
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if &reader.array::<4>("snapshot magic")? != MAGIC {
            return Err(Malformed("snapshot magic"));
        }
        let header = Self {
            network: reader.array("snapshot network")?,
            number: reader.u64("snapshot number")?,
            prev: reader.array("snapshot prev")?,
            published: UnixTime(reader.u64("snapshot published")?),
            valid_until: UnixTime(reader.u64("snapshot valid-until")?),
            net_version: reader.u32("snapshot network version")?,
            nodes: reader.u32("snapshot nodes")?,
            body_hash: reader.array("snapshot body hash")?,
        };
        if header.number == 0 {
            return Err(Malformed("snapshot number"));
        }
        if (header.number == 1) != (header.prev == [0; 32]) {
            return Err(Malformed("snapshot prev"));
        }
        if usize::try_from(header.nodes).map_or(true, |nodes| nodes > NODES_MOST) {
            return Err(Malformed("snapshot nodes"));
        }
        Ok(header)
    }
}

impl SignedHeader {
    /// Reads a header with its signatures, as DIR kinds 3 and 5 carry it.
    ///
    /// # Errors
    /// When the bytes are not exactly that.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let header = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(header)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let header = SnapshotHeader::read(reader)?;
        let count = usize::from(reader.u8("signature count")?);
        if count > KEYS_MOST {
            return Err(Malformed("signature count"));
        }
        let mut signatures: Vec<(u8, [u8; 64])> = Vec::with_capacity(count);
        for _ in 0..count {
            let key = reader.u8("signature key")?;
            if signatures.last().is_some_and(|(last, _)| *last >= key) {
                return Err(Malformed("signature order"));
            }
            signatures.push((key, reader.array("signature")?));
        }
        Ok(Self { header, signatures })
    }

    /// The header and its signatures.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.encode();
        bytes.push(u8::try_from(self.signatures.len()).unwrap_or(u8::MAX));
        for (key, signature) in &self.signatures {
            bytes.push(*key);
            bytes.extend_from_slice(signature);
        }
        bytes
    }

    /// Whether enough keys of its version signed it, each signature right.
    ///
    /// # Errors
    /// [`SnapshotError`]: `Network`, `Version`, `Lifetime`, `Signature`, `Quorum`.
    pub fn check(&self, network: &Network) -> Result<(), SnapshotError> {
        let terms = self.check_signatures(network)?;
        let (found, needed) = (self.signatures.len(), terms.k);
        if found < needed { Err(SnapshotError::Quorum { found, needed }) } else { Ok(()) }
    }

    /// As [`Self::check`], but for the count.
    pub(super) fn check_signatures<'a>(
        &self,
        network: &'a Network,
    ) -> Result<&'a NetworkTerms, SnapshotError> {
        let header = &self.header;
        if &header.network != network.id() {
            return Err(SnapshotError::Network);
        }
        let terms = network.version(header.net_version).ok_or(SnapshotError::Version(header.net_version))?;
        if header.published.0.checked_add(VALID_SECONDS) != Some(header.valid_until.0) {
            return Err(SnapshotError::Lifetime);
        }
        let message = header.encode();
        for (index, signature) in &self.signatures {
            let wrong = SnapshotError::Signature { key: *index };
            let Some(key) = terms.keys.get(usize::from(*index)) else { return Err(wrong) };
            ed25519::verify(key, LABEL, &message, signature).map_err(|_wrong| wrong)?;
        }
        Ok(terms)
    }

    /// The indices of the keys that signed.
    pub fn signers(&self) -> impl Iterator<Item = u8> {
        self.signatures.iter().map(|(key, _)| *key)
    }
}

impl fmt::Debug for SnapshotHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotHeader")
            .field("number", &self.number)
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedHeader").field(&self.header).finish()
    }
}
