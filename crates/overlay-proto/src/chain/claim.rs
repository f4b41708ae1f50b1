//! What follows from the snapshot that an exit says it has (ovl1 section 3.2, CREATED).
//!
//! Everybody should see one directory. An exit that names another one proves it, and then it is a fork; or it cannot,
//! and then it is dropped. Not here: fetching the headers through the exit's circuit.

use super::{Chain, Fork, Refusal, Stop};
use crate::network::Network;
use crate::snapshot::SignedHeader;

/// What the number and hash in a CREATED mean to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// We know this snapshot.
    Known,
    /// It is older than what we remember: nothing to compare with.
    Behind,
    /// It is newer: fetch headers through the exit, from this number on.
    Ahead {
        /// The first number to fetch.
        from: u64,
    },
    /// We know another snapshot of this number: fetch headers through the exit, from this number on.
    Contradicts {
        /// The first number to fetch.
        from: u64,
    },
}

/// What the headers that an exit sent prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Its snapshot follows from ours: there is a newer one.
    Follows,
    /// The directory has signed two things.
    Forked(Box<Fork>),
    /// Nothing: the exit is not used.
    Unproven(Refusal),
    /// The headers do not lead to what it claimed: the exit is not used.
    NotClaimed,
}

impl Chain {
    /// Compares what an exit says it has with what we know.
    #[must_use]
    pub fn claim(&self, number: u64, hash: &[u8; 32]) -> Claim {
        let newest = self.fetch_from();
        match self.header(number) {
            Some(known) if known.header.hash() == *hash => Claim::Known,
            Some(_) => Claim::Contradicts { from: number },
            None if number > newest || self.newest().is_none() => Claim::Ahead { from: newest },
            None => Claim::Behind,
        }
    }

    /// Judges the headers that were fetched after [`Claim::Ahead`] or [`Claim::Contradicts`]. A fork is kept.
    pub fn judge(
        &mut self,
        network: &Network,
        number: u64,
        hash: &[u8; 32],
        headers: &[SignedHeader],
    ) -> Proof {
        let upto = headers.iter().filter(|header| header.header.number <= number);
        match self.walk(network, upto) {
            Err(Stop::Fork(fork)) => {
                self.fork = Some(fork.clone());
                Proof::Forked(fork)
            }
            Err(Stop::Refused(why)) => Proof::Unproven(why),
            Ok(new) => {
                let last = new.last().filter(|last| last.header.number == number);
                let claimed = last.is_some_and(|last| last.header.hash() == *hash);
                if claimed { Proof::Follows } else { Proof::NotClaimed }
            }
        }
    }
}
