//! A snapshot that is still being signed: by several people on several machines, in any order (ovl1 section 3.2).
//!
//! A draft is passed on as the file it will be, with the signatures it has so far. Each signer reads it, which checks
//! everything; signs; and passes it on, or hands it back to be joined. Not here: who decides what stands in it.

use super::body::{Body, Contents, Known};
use super::header::{SignedHeader, SnapshotHeader};
use super::{SNAPSHOT_MOST_BYTES, SnapshotError, VALID_SECONDS};
use crate::codec::{Malformed, Reader};
use crate::identity::ed25519;
use crate::kdf::hash;
use crate::moment::UnixTime;
use crate::network::Network;
use std::fmt;

/// A snapshot whose body was checked, with any number of right signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    header: SignedHeader,
    body: Vec<u8>,
}

impl Draft {
    /// The snapshot of these contents, to be signed by keys of the newest network file. It follows `before`; without,
    /// it is the network's first.
    ///
    /// # Errors
    /// When it would not be taken: an entry that does not hold, a limit, an order. Ask [`super::check_node`] before.
    pub fn new(
        network: &Network,
        before: Option<&SnapshotHeader>,
        published: UnixTime,
        contents: Contents,
    ) -> Result<Self, SnapshotError> {
        let nodes = u32::try_from(contents.nodes.len()).unwrap_or(u32::MAX);
        let body = contents.encode();
        let header = SnapshotHeader {
            network: *network.id(),
            number: before.map_or(1, |before| before.number.saturating_add(1)),
            prev: before.map_or([0; 32], SnapshotHeader::hash),
            published,
            valid_until: published.plus(VALID_SECONDS),
            net_version: network.newest().terms().version,
            nodes,
            body_hash: hash(&[&body]),
        };
        let draft = Self { header: SignedHeader { header, signatures: Vec::new() }, body };
        Self::parse(&draft.encode(), network)
    }

    /// Reads a draft that somebody passed on, and checks everything but how many have signed.
    ///
    /// # Errors
    /// [`SnapshotError`] but for `Quorum`.
    pub fn parse(bytes: &[u8], network: &Network) -> Result<Self, SnapshotError> {
        if bytes.len() > SNAPSHOT_MOST_BYTES {
            return Err(Malformed("snapshot length").into());
        }
        let mut reader = Reader::new(bytes);
        let header = SignedHeader::read(&mut reader)?;
        header.check_signatures(network)?;
        let known = Known { network, published: header.header.published, previous: None };
        let body = reader.rest().to_vec();
        Body::parse(&body, &header.header, &known)?;
        Ok(Self { header, body })
    }

    /// Signs it; a signer first compares [`Self::header`] with the snapshot before. `false` when the key is none of
    /// the network file's version.
    pub fn sign(&mut self, network: &Network, key: &ed25519::SecretKey) -> bool {
        let public = key.public();
        let index = network
            .version(self.header.header.net_version)
            .and_then(|terms| terms.keys.iter().position(|known| *known == public))
            .and_then(|index| u8::try_from(index).ok());
        let Some(index) = index else { return false };
        self.add(index, self.header.header.sign(key));
        true
    }

    /// Takes over the signatures of another copy. `false` when it is a copy of something else.
    pub fn join(&mut self, other: &Self) -> bool {
        if self.header.header != other.header.header {
            return false;
        }
        other.header.signatures.iter().for_each(|(key, signature)| self.add(*key, *signature));
        true
    }

    /// Whether enough have signed.
    #[must_use]
    pub fn is_complete(&self, network: &Network) -> bool {
        self.header.check(network).is_ok()
    }

    /// The header and who has signed it so far.
    #[must_use]
    pub const fn header(&self) -> &SignedHeader {
        &self.header
    }

    /// The file, with the signatures it has.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.encode();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn add(&mut self, key: u8, signature: [u8; 64]) {
        let signatures = &mut self.header.signatures;
        signatures.retain(|(known, _)| *known != key);
        signatures.push((key, signature));
        signatures.sort_unstable_by_key(|(key, _)| *key);
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Draft").field(&self.header).finish()
    }
}
