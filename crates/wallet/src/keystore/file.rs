//! A keystore as JSON: the names of version 3. Unknown keys are left alone, since other programs add their own.

use super::KeystoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The whole file but for its version.
pub(super) struct File {
    pub(super) id: String,
    pub(super) address: Option<String>,
    pub(super) crypto: Crypto,
}

/// What the version-3 definition calls `crypto`.
#[derive(Serialize, Deserialize)]
pub(super) struct Crypto {
    pub(super) cipher: String,
    pub(super) cipherparams: CryptoParams,
    pub(super) ciphertext: String,
    pub(super) kdf: String,
    pub(super) kdfparams: Value,
    pub(super) mac: String,
}

/// Parameters of `aes-128-ctr`.
#[derive(Serialize, Deserialize)]
pub(super) struct CryptoParams {
    pub(super) iv: String,
}

/// With the version first, so that a file of another version is told by it and not by what else differs.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Whole {
    version: u64,
    #[serde(default)]
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    // Some programs write a capital.
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

const VERSION: u64 = 3;

impl File {
    pub(super) fn parse(text: &str) -> Result<Self, KeystoreError> {
        let form = |error: serde_json::Error| KeystoreError::Form(error.to_string());
        let Versioned { version } = serde_json::from_str(text).map_err(form)?;
        if version != VERSION {
            return Err(KeystoreError::Version(version));
        }
        let Whole { version: _, id, address, crypto } = serde_json::from_str(text).map_err(form)?;
        Ok(Self { id, address, crypto })
    }

    pub(super) fn into_json(self) -> String {
        let Self { id, address, crypto } = self;
        let whole = Whole { version: VERSION, id, address, crypto };
        // Strings and numbers under fixed names always are JSON.
        serde_json::to_string_pretty(&whole).map(|text| text + "\n").unwrap_or_default()
    }
}
