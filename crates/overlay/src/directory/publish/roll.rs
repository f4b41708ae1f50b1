//! The roll: which wallets take part in a network, as the directory's operator writes them down.
//!
//! A line is an address (0x...), or `withdrawn ` and the 286 digits of a wallet's withdrawal; `#` begins a remark. Not
//! here: what a node says of itself.

use crate::keys::files::FileError;
use crate::keys::gates::from_hex;
use shoalway_overlay_proto::identity::{DELEGATION_BYTES, Delegation};
use shoalway_types::wallet::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Who takes part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// Wallets.
    pub wallets: BTreeSet<Address>,
    /// Wallets that have withdrawn their node, with what they signed.
    pub withdrawn: BTreeMap<Address, Delegation>,
}

impl Roll {
    /// Reads the file, which is no secret.
    ///
    /// # Errors
    /// [`FileError`] with the line.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read_to_string(path).map_err(|source| FileError::System {
            what: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|(line, why)| FileError::damaged(path, format!("line {line}: {why}")))
    }

    /// Reads its text.
    ///
    /// # Errors
    /// Which line, from 1, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut roll = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match line.strip_prefix("withdrawn ") {
                Some(digits) => {
                    let withdrawal = withdrawal(digits.trim()).ok_or((number, "no withdrawal".to_owned()))?;
                    roll.withdrawn.insert(withdrawal.terms.node, withdrawal);
                }
                None => {
                    let wallet = line.parse().map_err(|error| (number, format!("{error}")))?;
                    roll.wallets.insert(wallet);
                }
            }
        }
        let Self { wallets, withdrawn } = &mut roll;
        wallets.retain(|wallet| !withdrawn.contains_key(wallet));
        Ok(roll)
    }
}

fn withdrawal(digits: &str) -> Option<Delegation> {
    let bytes = from_hex::<DELEGATION_BYTES>(digits)?;
    Delegation::parse(&*bytes).ok().filter(|delegation| delegation.terms.is_withdrawal())
}
