//! What is known about a name besides its certificate: attempts, the last error, when the authority wants it renewed.
//!
//! It outlives the program, so that a restart neither forgets a rate limit nor rehearses again, and `cert list` reads it.

use super::error::CertError;
use super::renewal::Window;
use super::{seconds, storage};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::SystemTime;

/// One name's record. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Not to be tried before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// The staging directory has issued: the set-up is right.
    pub rehearsed: bool,
    /// What went wrong last; none when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Complaint>,
    /// What the authority said about renewal (RFC 9773).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// When the authority is to be asked about renewal again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_again: Option<u64>,
}

/// An error that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Stable code, such as `A009`.
    pub code: String,
    /// What went wrong.
    pub text: String,
    /// What to do about it.
    pub hint: String,
    /// When.
    pub at: u64,
}

impl Record {
    /// Reads a record; a name without one has the default.
    ///
    /// # Errors
    /// [`CertError`] when there is one that cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self, CertError> {
        match storage::read(path)? {
            None => Ok(Self::default()),
            Some(octets) => {
                serde_json::from_slice(&octets).map_err(|error| CertError::damaged(path, error.to_string()))
            }
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), CertError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| CertError::io("write", path, &std::io::Error::other(error)))?;
        text.push(b'\n');
        storage::write(path, &text)
    }

    pub(super) fn complain(&mut self, error: &CertError, now: SystemTime) {
        let (code, text) = (error.code().to_owned(), error.to_string());
        self.error = Some(Complaint { code, text, hint: error.hint(), at: seconds(now) });
    }
}
