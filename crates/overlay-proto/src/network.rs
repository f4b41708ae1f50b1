//! The network file: who signs the directory, in versions that follow one another (ovl1 section 3.1).
//!
//! A network is named by the hash of its first file, for ever; a client pins that name and follows the versions one by
//! one, never back. [`NetworkFile`] is one file, [`Network`] the versions followed so far. Not here: fetching, the
//! snapshot that the keys sign ([`crate::snapshot`]).

mod file;
mod lines;
mod steps;

pub use file::{NetworkFile, NetworkTerms};
pub use steps::Network;

/// Longest network file, signatures included.
pub const NETWORK_MOST_BYTES: usize = 32 << 10;
/// Keys of the directory in one version.
pub const KEYS_MOST: usize = 32;
/// Mirrors in one version.
pub const MIRRORS_MOST: usize = 16;
/// Longest address of a mirror.
pub const MIRROR_MOST: usize = 256;
/// Longest name of a network, in bytes.
pub const NAME_MOST: usize = 64;

/// The line between what is signed and the signatures.
pub const SIGNATURES_LINE: &str = "# --- signatures ---";

const LABEL: &str = "ovl1 network";

/// Why a network file is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Over 32 KiB.
    #[error("the network file is over {NETWORK_MOST_BYTES} bytes")]
    TooLong,
    /// Not UTF-8, or the line before the signatures is missing.
    #[error("the network file is not text with the line `{SIGNATURES_LINE}`")]
    NoSignaturesLine,
    /// No TOML, an unknown key, or a value of a wrong kind.
    #[error("the network file is not as it should be: {0}")]
    Toml(String),
    /// A value out of its range.
    #[error("the network file is not as it should be: {0}")]
    Value(&'static str),
    /// A line of the signatures is no signature, not in order, or there twice.
    #[error("line {line} of the signatures is not one, or not in its place")]
    SignatureLine {
        /// Which line after the one that begins them, from 1.
        line: usize,
    },
    /// A signature is wrong.
    #[error("the signature {index} of the network file is wrong")]
    Signature {
        /// Its name in the file: the index of a key, with a `p` before it for one of the predecessor.
        index: String,
    },
    /// Fewer keys of this version signed than its `k`.
    #[error("{found} keys of the network file signed it, and it takes {needed}")]
    Quorum {
        /// How many signed.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Fewer keys of the version before signed than its `k`.
    #[error("{found} keys of the version before signed the network file, and it takes {needed}")]
    FormerQuorum {
        /// How many signed.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// It is not the first version of the network that was asked for.
    #[error("the network file is not that of the network in the invitation")]
    OtherNetwork,
    /// It is not the version that comes next.
    #[error("version {found} of the network file cannot follow version {known}")]
    Version {
        /// The newest version followed.
        known: u32,
        /// The version of the file.
        found: u32,
    },
    /// It names another predecessor than the file we have: somebody has signed two.
    #[error("the network file follows another file than the one known")]
    Previous,
    /// A lab stays a lab, and no network becomes one.
    #[error("a network cannot become a lab, nor cease to be one")]
    Lab,
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) mod vectors;
