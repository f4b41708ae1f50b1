//! The chain as it is kept on disk: what was accepted is not forgotten by a restart, nor is a fork.
//!
//! `"OVC1" | network b[32] | n u8 x { header with signatures v16 } | fork v16 (0 = none)`. Not here: the file.

use super::fork::SIGNED_HEADER_MOST;
use super::{Chain, Fork, KEPT_HEADERS};
use crate::codec::{Malformed, Put as _, Reader};
use crate::network::Network;
use crate::snapshot::SignedHeader;
use std::collections::VecDeque;

const MAGIC: &[u8; 4] = b"OVC1";

impl Chain {
    /// The chain as it is kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.network);
        bytes.push(u8::try_from(self.kept.len()).unwrap_or(u8::MAX));
        self.kept.iter().for_each(|header| bytes.put_v16(&header.encode()));
        bytes.put_v16(&self.fork.as_deref().map(Fork::encode).unwrap_or_default());
        bytes
    }

    /// Reads a chain back and checks all of it again: a state that cannot be read is no empty state.
    ///
    /// # Errors
    /// When it is of another network, not rightly signed, or does not hang together.
    pub fn parse(bytes: &[u8], network: &Network) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if &reader.array::<4>("chain magic")? != MAGIC {
            return Err(Malformed("chain magic"));
        }
        let id = reader.array::<32>("chain network")?;
        if &id != network.id() {
            return Err(Malformed("chain network"));
        }
        let count = usize::from(reader.u8("chain count")?);
        if count > KEPT_HEADERS {
            return Err(Malformed("chain count"));
        }
        let mut kept: VecDeque<SignedHeader> = VecDeque::with_capacity(count);
        for _ in 0..count {
            let header = SignedHeader::parse(reader.v16(SIGNED_HEADER_MOST, "chain header")?)?;
            let follows = kept.back().is_none_or(|last| header.header.follows(&last.header));
            if !follows || header.check(network).is_err() {
                return Err(Malformed("chain header"));
            }
            kept.push_back(header);
        }
        let fork = match reader.v16(2 * SIGNED_HEADER_MOST + 8, "chain fork")? {
            [] => None,
            fork => Some(Box::new(Fork::parse(fork, network)?)),
        };
        reader.finish()?;
        Ok(Self { network: id, kept, fork })
    }
}
