//! Proof that the directory has signed two different snapshots under one number (ovl1 section 3.2).
//!
//! Kept for ever in the state file, and told to the user with the keys that signed both. Not here: how a fork is found
//! ([`super::Chain`]).

use crate::codec::{Malformed, Put as _, Reader};
use crate::network::Network;
use crate::snapshot::SignedHeader;

const MAGIC: &[u8; 4] = b"OVF1";
/// A header with 32 signatures.
pub(super) const SIGNED_HEADER_MOST: usize = 132 + 1 + 32 * 65;

/// Two different headers of one number, each signed by enough keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    known: SignedHeader,
    other: SignedHeader,
}

impl Fork {
    pub(super) const fn new(known: SignedHeader, other: SignedHeader) -> Self {
        Self { known, other }
    }

    /// The number that both have.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.known.header.number
    }

    /// The header that was known first, and the one that contradicts it.
    #[must_use]
    pub const fn headers(&self) -> (&SignedHeader, &SignedHeader) {
        (&self.known, &self.other)
    }

    /// The keys that signed both: whoever holds them has lied to somebody.
    #[must_use]
    pub fn signers_of_both(&self, network: &Network) -> Vec<[u8; 32]> {
        let mut both = keys(network, &self.known);
        let other = keys(network, &self.other);
        both.retain(|key| other.contains(key));
        both
    }

    /// `"OVF1" | known v16 | other v16`, each a header with its signatures.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_v16(&self.known.encode());
        bytes.put_v16(&self.other.encode());
        bytes
    }

    /// Reads a proof and checks it: anybody may be shown it.
    ///
    /// # Errors
    /// When it is none for this network.
    pub fn parse(bytes: &[u8], network: &Network) -> Result<Self, Malformed> {
        let fork = Self::read(bytes)?;
        let proven = fork.known.check(network).is_ok()
            && fork.other.check(network).is_ok()
            && fork.known.header.number == fork.other.header.number
            && fork.known.header != fork.other.header;
        if proven { Ok(fork) } else { Err(Malformed("fork")) }
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if &reader.array::<4>("fork magic")? != MAGIC {
            return Err(Malformed("fork magic"));
        }
        let known = SignedHeader::parse(reader.v16(SIGNED_HEADER_MOST, "fork header")?)?;
        let other = SignedHeader::parse(reader.v16(SIGNED_HEADER_MOST, "fork header")?)?;
        reader.finish()?;
        Ok(Self { known, other })
    }
}

fn keys(network: &Network, header: &SignedHeader) -> Vec<[u8; 32]> {
    let terms = network.version(header.header.net_version);
    let key = |index| terms?.keys.get(usize::from(index)).copied();
    header.signers().filter_map(key).collect()
}
