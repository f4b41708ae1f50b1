//! Which snapshot is accepted after which, and what proves that the directory says two things (ovl1 section 3.2).
//!
//! [`Chain`] holds the newest header accepted and those before it. A new snapshot is accepted when a chain of signed
//! headers leads to it from the newest known. Two headers of one number, each rightly signed, are a [`Fork`]: it is kept
//! for ever and the directory not used again. Not here: fetching headers and files, which nodes are dropped.

mod claim;
mod fork;
mod state;

pub use claim::{Claim, Proof};
pub use fork::Fork;

use crate::moment::UnixTime;
use crate::network::Network;
use crate::snapshot::{Age, SignedHeader, Snapshot, SnapshotError};
use std::collections::VecDeque;

/// Headers kept, the newest accepted among them: two and a half days of one an hour.
pub const KEPT_HEADERS: usize = 64;

/// The snapshots accepted so far, as far as they are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    network: [u8; 32],
    /// Each follows the one before it; the last is the newest accepted.
    kept: VecDeque<SignedHeader>,
    fork: Option<Box<Fork>>,
}

/// What became of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the newest now.
    Accepted,
    /// It is the newest already.
    Same,
    /// The directory has signed two things: tell the user, and stop using it.
    Forked(Box<Fork>),
    /// It is not taken, and nothing has changed.
    Refused(Refusal),
}

/// Why a snapshot or a header is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A fork is known: nothing is taken any more.
    #[error("the directory has signed two different snapshots; it is not used any more")]
    Forked,
    /// It is older than the newest accepted.
    #[error("snapshot {found} is older than snapshot {known}, which is known")]
    Older {
        /// The newest accepted.
        known: u64,
        /// Its number.
        found: u64,
    },
    /// It was signed under an older network file than the newest.
    #[error("the snapshot was signed under version {found} of the network file; version {known} is known")]
    OldVersion {
        /// The newest version.
        known: u32,
        /// The version it was signed under.
        found: u32,
    },
    /// It was published over 10 minutes in the future.
    #[error("the snapshot is from the future: a clock is wrong")]
    Future,
    /// A header is missing: they must lead from the newest known to the new one.
    #[error("the header of snapshot {missing} is missing")]
    Gap {
        /// The number of the one that is missing.
        missing: u64,
    },
    /// A header does not follow the one before it.
    #[error("snapshot {number} does not follow the one before it")]
    Broken {
        /// The number of the one that does not.
        number: u64,
    },
    /// A header is not rightly signed.
    #[error("header: {0}")]
    Header(SnapshotError),
}

/// Why a walk along headers ended.
enum Stop {
    Fork(Box<Fork>),
    Refused(Refusal),
}

impl Chain {
    /// Nothing accepted yet.
    #[must_use]
    pub const fn new(network: [u8; 32]) -> Self {
        Self { network, kept: VecDeque::new(), fork: None }
    }

    /// The newest header accepted.
    #[must_use]
    pub fn newest(&self) -> Option<&SignedHeader> {
        self.kept.back()
    }

    /// The header of this number, if it is remembered.
    #[must_use]
    pub fn header(&self, number: u64) -> Option<&SignedHeader> {
        let first = self.kept.front()?.header.number;
        self.kept.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// The fork that was found, if any.
    #[must_use]
    pub fn fork(&self) -> Option<&Fork> {
        self.fork.as_deref()
    }

    /// From which number on headers are to be fetched: the newest known, which they then contain, so that a directory
    /// that says something else under that number has proven it. 1 when nothing is known.
    #[must_use]
    pub fn fetch_from(&self) -> u64 {
        self.newest().map_or(1, |newest| newest.header.number)
    }

    /// Takes a snapshot that holds by itself, if `headers` lead to it from the newest known ([`Self::fetch_from`]; its
    /// own may be among them). The first one needs none.
    ///
    /// An old one is taken too; whether it is used, its [`Age`] says.
    pub fn accept(
        &mut self,
        network: &Network,
        next: &Snapshot,
        headers: &[SignedHeader],
        now: UnixTime,
    ) -> Verdict {
        let header = next.header();
        let number = header.header.number;
        match self.walk(network, headers.iter().filter(|one| one.header.number < number).chain([header])) {
            Err(Stop::Fork(fork)) => {
                self.fork = Some(fork.clone());
                Verdict::Forked(fork)
            }
            Err(Stop::Refused(why)) => Verdict::Refused(why),
            Ok(new) => self.finish(network, header, new, now),
        }
    }

    fn finish(
        &mut self,
        network: &Network,
        next: &SignedHeader,
        new: Vec<SignedHeader>,
        now: UnixTime,
    ) -> Verdict {
        let known = self.newest().map_or(0, |newest| newest.header.number);
        let found = next.header.number;
        if found < known {
            return Verdict::Refused(Refusal::Older { known, found });
        }
        if found == known {
            return Verdict::Same;
        }
        let (known, found) = (network.newest().terms().version, next.header.net_version);
        if found < known {
            return Verdict::Refused(Refusal::OldVersion { known, found });
        }
        if Age::of(next.header.published, now) == Age::Future {
            return Verdict::Refused(Refusal::Future);
        }
        self.kept.extend(new);
        while self.kept.len() > KEPT_HEADERS {
            self.kept.pop_front();
        }
        Verdict::Accepted
    }

    /// Goes along headers from what is known; gives those that are new. Nothing changes.
    ///
    /// Headers from before what is remembered say nothing and are passed over.
    fn walk<'a>(
        &self,
        network: &Network,
        headers: impl Iterator<Item = &'a SignedHeader>,
    ) -> Result<Vec<SignedHeader>, Stop> {
        if self.fork.is_some() {
            return Err(Stop::Refused(Refusal::Forked));
        }
        let mut new: Vec<SignedHeader> = Vec::new();
        for header in headers {
            header.check(network).map_err(|error| Stop::Refused(Refusal::Header(error)))?;
            let number = header.header.number;
            if let Some(known) = self.header(number).or_else(|| find(&new, number)) {
                if known.header == header.header {
                    continue;
                }
                return Err(Stop::Fork(Box::new(Fork::new(known.clone(), header.clone()))));
            }
            let Some(last) = new.last().or_else(|| self.newest()) else {
                new.push(header.clone());
                continue;
            };
            if number < last.header.number {
                continue;
            }
            let missing = last.header.number.saturating_add(1);
            if number != missing {
                return Err(Stop::Refused(Refusal::Gap { missing }));
            }
            if !header.header.follows(&last.header) {
                return Err(Stop::Refused(Refusal::Broken { number }));
            }
            new.push(header.clone());
        }
        Ok(new)
    }
}

fn find(headers: &[SignedHeader], number: u64) -> Option<&SignedHeader> {
    headers.iter().find(|header| header.header.number == number)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
