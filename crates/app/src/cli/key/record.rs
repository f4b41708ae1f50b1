//! The files beside a keystore: how its words are asked for, the delegation, the node key.

use super::error::KeyError;
use super::files;
use super::place::Place;
use serde::{Deserialize, Serialize};
use shoalway_overlay_proto::identity::{DELEGATION_BYTES, Delegation};
use shoalway_wallet::{BackupCheck, Keystore, WalletKey, from_hex, to_hex};
use std::path::Path;
use zeroize::Zeroizing;

/// What is kept of the words: nothing without the key, and not the words with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    /// How three words are checked.
    pub(super) check: BackupCheck,
    /// Whether the words need a passphrase.
    pub(super) passphrase: bool,
    /// Which key of the words it is.
    pub(super) index: u32,
    /// When the words were last answered, in Unix seconds.
    pub(super) proven: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupFile {
    version: u32,
    check: String,
    passphrase: bool,
    index: u32,
    proven: Option<u64>,
}

const VERSION: u32 = 1;

impl Backup {
    pub(super) fn to_text(&self) -> String {
        let Self { check, passphrase, index, proven } = self;
        let (check, passphrase, index, proven) = (check.to_string(), *passphrase, *index, *proven);
        let file = BackupFile { version: VERSION, check, passphrase, index, proven };
        // Strings and numbers under fixed names always are JSON.
        serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
    }

    pub(super) fn read(place: &Place) -> Result<Option<Self>, KeyError> {
        let path = place.backup();
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let parsed = serde_json::from_str(&text).ok().filter(|file: &BackupFile| file.version == VERSION);
        let found = parsed.and_then(|BackupFile { version: _, check, passphrase, index, proven }| {
            Some(Self { check: check.parse().ok()?, passphrase, index, proven })
        });
        found.map(Some).ok_or(KeyError::Damaged { path, why: "it is not what `key new` wrote" })
    }
}

/// The encrypted key.
pub(super) fn keystore(place: &Place) -> Result<Keystore, KeyError> {
    let path = place.keystore();
    let text = files::read(path)?.ok_or_else(|| KeyError::Missing { path: path.to_owned() })?;
    Keystore::parse(&text).map_err(|error| KeyError::Keystore { path: path.to_owned(), error })
}

/// The key itself.
pub(super) fn open(keystore: &Keystore, place: &Place, password: &str) -> Result<WalletKey, KeyError> {
    let failed = |error| KeyError::Keystore { path: place.keystore().to_owned(), error };
    keystore.open(password).map_err(failed)
}

/// The delegation, if there is one. It is not checked: for which network it is does not stand in it.
pub(super) fn delegation(place: &Place) -> Result<Option<Delegation>, KeyError> {
    let path = place.delegation();
    let bytes = digits::<DELEGATION_BYTES>(&path)?;
    let wrong = |_| KeyError::Damaged { path, why: "it is not a delegation" };
    bytes.map(|bytes| Delegation::parse(&*bytes)).transpose().map_err(wrong)
}

/// What stands in the file of a delegation or a node key.
pub(super) fn line(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len() + 1));
    text.push_str(&to_hex(bytes));
    text.push('\n');
    text
}

fn digits<const N: usize>(path: &Path) -> Result<Option<Zeroizing<[u8; N]>>, KeyError> {
    let Some(text) = files::read(path)? else { return Ok(None) };
    let wrong = |_| KeyError::Damaged { path: path.to_owned(), why: "it is not one line of digits" };
    from_hex(text.trim_end()).map(Some).map_err(wrong)
}
