//! Which delegation of a wallet holds: the one of the highest serial (ovl1 section 2.1).
//!
//! Whoever reads delegations keeps this table, also on disk: a node that was withdrawn must not come back because an
//! old delegation is shown again. Not here: signatures and time limits, which [`Verified`] has behind it.

use super::{Address, UnixTime, Verified};
use crate::codec::{Malformed, Reader};
use std::collections::BTreeMap;

/// A serial is remembered for 60 days after it was last seen: twice as long as a lower one can be valid.
pub const REMEMBERED_SECONDS: u64 = 60 * 24 * 3600;

/// Nodes in the table; over it, the one not seen for longest is forgotten.
pub const MOST_NODES: usize = 16_384;

const MAGIC: &[u8; 4] = b"OVR1";
const ENTRY_BYTES: usize = 20 + 8 + 32 + 8 + 1;

/// The highest serial known of each node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revocations {
    nodes: BTreeMap<Address, Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    serial: u64,
    digest: [u8; 32],
    seen: UnixTime,
    /// Two different delegations of this serial were seen: neither holds.
    disputed: bool,
}

/// Why a delegation does not hold although its signature does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// A later delegation of this wallet is known.
    #[error("the wallet has signed a later delegation, serial {known}")]
    Superseded {
        /// The highest serial known.
        known: u64,
    },
    /// The wallet signed two different delegations of this serial: neither holds until a higher comes.
    #[error("the wallet has signed two different delegations of serial {serial}")]
    Disputed {
        /// The serial both have.
        serial: u64,
    },
}

impl Revocations {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { nodes: BTreeMap::new() }
    }

    /// Notes a delegation and says whether it holds among those seen so far.
    ///
    /// # Errors
    /// [`Revoked`]; a second delegation of the same serial is noted all the same.
    pub fn admit(&mut self, delegation: &Verified, now: UnixTime) -> Result<(), Revoked> {
        let (node, serial, digest) =
            (delegation.terms().node, delegation.terms().serial, *delegation.digest());
        let known = self.nodes.get_mut(&node).filter(|known| !known.is_old(now));
        let Some(known) = known.filter(|known| known.serial >= serial) else {
            self.insert(node, Known { serial, digest, seen: now, disputed: false }, now);
            return Ok(());
        };
        if known.serial > serial {
            return Err(Revoked::Superseded { known: known.serial });
        }
        known.seen = known.seen.max(now);
        known.disputed |= known.digest != digest;
        if known.disputed { Err(Revoked::Disputed { serial }) } else { Ok(()) }
    }

    /// How many nodes it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it knows no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn insert(&mut self, node: Address, known: Known, now: UnixTime) {
        if self.nodes.len() >= MOST_NODES && !self.nodes.contains_key(&node) {
            self.forget(now);
        }
        self.nodes.insert(node, known);
    }

    /// Forgets what is old; where nothing is, the node not seen for longest.
    fn forget(&mut self, now: UnixTime) {
        self.nodes.retain(|_, known| !known.is_old(now));
        if self.nodes.len() >= MOST_NODES {
            let oldest = self.nodes.iter().min_by_key(|(_, known)| known.seen).map(|(node, _)| *node);
            oldest.and_then(|node| self.nodes.remove(&node));
        }
    }

    /// The table as it is kept on disk: `"OVR1" | network b[32] | n u32 | n x { node b[20] | serial u64 | digest b[32]
    /// | seen u64 | disputed u8 }`, nodes ascending.
    #[must_use]
    pub fn encode(&self, network: &[u8; 32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40 + self.nodes.len() * ENTRY_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(network);
        let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        for (node, known) in &self.nodes {
            bytes.extend_from_slice(&node.0);
            bytes.extend_from_slice(&known.serial.to_be_bytes());
            bytes.extend_from_slice(&known.digest);
            bytes.extend_from_slice(&known.seen.0.to_be_bytes());
            bytes.push(u8::from(known.disputed));
        }
        bytes
    }

    /// Reads the table of this network back.
    ///
    /// # Errors
    /// When it is of another network, cut, too long, or not in order: a table that cannot be read is no empty table.
    pub fn parse(bytes: &[u8], network: &[u8; 32]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if &reader.array::<4>("revocations")? != MAGIC {
            return Err(Malformed("revocations"));
        }
        if &reader.array::<32>("revocations network")? != network {
            return Err(Malformed("revocations network"));
        }
        let count = usize::try_from(reader.u32("revocations count")?).unwrap_or(usize::MAX);
        if count > MOST_NODES || reader.rest().len() != count * ENTRY_BYTES {
            return Err(Malformed("revocations count"));
        }
        let mut nodes = BTreeMap::new();
        for _ in 0..count {
            let (node, known) = Known::read(&mut reader)?;
            if nodes.last_key_value().is_some_and(|(last, _)| *last >= node) {
                return Err(Malformed("revocations order"));
            }
            nodes.insert(node, known);
        }
        reader.finish()?;
        Ok(Self { nodes })
    }
}

impl Known {
    const fn is_old(&self, now: UnixTime) -> bool {
        self.seen.plus(REMEMBERED_SECONDS).0 < now.0
    }

    fn read(reader: &mut Reader<'_>) -> Result<(Address, Self), Malformed> {
        let node = Address(reader.array("revocations node")?);
        let serial = reader.u64("revocations serial")?;
        let digest = reader.array("revocations digest")?;
        let seen = UnixTime(reader.u64("revocations seen")?);
        let disputed = match reader.u8("revocations disputed")? {
            0 => false,
            1 => true,
            _ => return Err(Malformed("revocations disputed")),
        };
        Ok((node, Self { serial, digest, seen, disputed }))
    }
}
