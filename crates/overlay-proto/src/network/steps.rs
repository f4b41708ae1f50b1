//! The versions of a network file, followed one by one from the first (ovl1 section 3.1).
//!
//! Not here: fetching them, and keeping them in a file.

use super::{NetworkError, NetworkFile, NetworkTerms};

/// A network as it is known: all versions, from the first to the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    first: NetworkFile,
    later: Vec<NetworkFile>,
}

impl Network {
    /// The network that begins with this file, whatever its name: for whoever founds it.
    ///
    /// # Errors
    /// When the file is not right, or not of version 1.
    pub fn begin(file: &[u8]) -> Result<Self, NetworkError> {
        let first = NetworkFile::parse(file)?;
        match first.terms().version {
            1 => Ok(Self { first, later: Vec::new() }),
            found => Err(NetworkError::Version { known: 0, found }),
        }
    }

    /// The network of this name, from its first file.
    ///
    /// # Errors
    /// As [`Self::begin`], and when it is another network's.
    pub fn pinned(id: &[u8; 32], file: &[u8]) -> Result<Self, NetworkError> {
        let network = Self::begin(file)?;
        if network.id() == id { Ok(network) } else { Err(NetworkError::OtherNetwork) }
    }

    /// The network of this name, from all its files in order.
    ///
    /// # Errors
    /// As [`Self::pinned`] and [`Self::follow`]; without a file it is another network.
    pub fn from_files<'a>(
        id: &[u8; 32],
        files: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, NetworkError> {
        let mut files = files.into_iter();
        let mut network = Self::pinned(id, files.next().ok_or(NetworkError::OtherNetwork)?)?;
        files.try_for_each(|file| network.follow(file))?;
        Ok(network)
    }

    /// Takes the next version, which k keys of the newest and k of its own have signed.
    ///
    /// # Errors
    /// [`NetworkError`]; nothing has changed then.
    pub fn follow(&mut self, file: &[u8]) -> Result<(), NetworkError> {
        let next = NetworkFile::parse(file)?;
        self.check_next(&next)?;
        self.later.push(next);
        Ok(())
    }

    /// The name of the network: the hash of its first file.
    #[must_use]
    pub const fn id(&self) -> &[u8; 32] {
        self.first.hash()
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> &NetworkFile {
        self.later.last().unwrap_or(&self.first)
    }

    /// What a version says, if it is known.
    #[must_use]
    pub fn version(&self, version: u32) -> Option<&NetworkTerms> {
        self.files_from(version).next().map(NetworkFile::terms).filter(|terms| terms.version == version)
    }

    /// The files from a version on, in order; all of them from 0 or 1.
    pub fn files_from(&self, version: u32) -> impl Iterator<Item = &NetworkFile> {
        let skip = usize::try_from(version.saturating_sub(1)).unwrap_or(usize::MAX);
        std::iter::once(&self.first).chain(&self.later).skip(skip)
    }

    /// Whether it is a lab.
    #[must_use]
    pub const fn is_lab(&self) -> bool {
        self.first.terms().lab
    }

    fn check_next(&self, next: &NetworkFile) -> Result<(), NetworkError> {
        let newest = self.newest();
        let (known, found) = (newest.terms().version, next.terms().version);
        if known.checked_add(1) != Some(found) {
            return Err(NetworkError::Version { known, found });
        }
        if next.terms().previous.as_ref() != Some(newest.hash()) {
            return Err(NetworkError::Previous);
        }
        if next.terms().lab != self.is_lab() {
            return Err(NetworkError::Lab);
        }
        let (found, needed) = (next.count_former(newest.terms())?, newest.terms().k);
        if found < needed { Err(NetworkError::FormerQuorum { found, needed }) } else { Ok(()) }
    }
}
