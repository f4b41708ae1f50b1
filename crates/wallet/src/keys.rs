//! The key of a wallet and its address: BIP-32 along the path of BIP-44 for Ethereum, m/44'/60'/0'/0/n.
//!
//! Not here: what the key signs (`sign`), the file it is kept in (`keystore`).

use crate::words::Words;
use bip32::{ChildNumber, XPrv};
use k256::ecdsa::SigningKey;
use shoalway_overlay_proto::identity::address_of;
use shoalway_types::wallet::Address;
use zeroize::Zeroizing;

/// Purpose, coin, account and change of the path; `true` is hardened. The index is the last step.
const PATH: [(u32, bool); 4] = [(44, true), (60, true), (0, true), (0, false)];

/// The key of a wallet. It has no `Debug` and is erased when dropped.
pub struct WalletKey(pub(crate) SigningKey);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are zero or not below the order of the curve.
    #[error("these 32 bytes are not a key of secp256k1")]
    Range,
    /// The words have no key at this index: above 2^31 - 1, or the one case in 2^127 that BIP-32 names.
    #[error("there is no key at index {0}")]
    Index(u32),
}

impl WalletKey {
    /// The key at an index of the words' wallet. Other wallets of the Ethereum kind find the same one, the first
    /// being 0; the passphrase is empty where there is none.
    ///
    /// # Errors
    /// [`KeyError::Index`].
    pub fn from_words(words: &Words, passphrase: &str, index: u32) -> Result<Self, KeyError> {
        let path = PATH.into_iter().chain([(index, false)]);
        let node = derive(&*words.seed(passphrase), path).ok_or(KeyError::Index(index))?;
        Ok(Self(SigningKey::from(&node)))
    }

    /// A key from its 32 bytes, big-endian.
    ///
    /// # Errors
    /// [`KeyError::Range`].
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let wrong = |_: k256::ecdsa::Error| KeyError::Range;
        SigningKey::from_slice(secret).map(Self).map_err(wrong)
    }

    /// The last 20 bytes of Keccak-256 over the public point (overlay section 2).
    #[must_use]
    pub fn address(&self) -> Address {
        address_of(self.0.verifying_key())
    }

    /// The 32 bytes, for the keystore alone.
    pub(crate) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }
}

fn derive(seed: &[u8], path: impl IntoIterator<Item = (u32, bool)>) -> Option<XPrv> {
    let root = XPrv::new(seed).ok();
    path.into_iter().fold(root, |node, (index, hardened)| {
        node?.derive_child(ChildNumber::new(index, hardened).ok()?).ok()
    })
}

#[cfg(test)]
#[path = "keys/tests.rs"]
pub(crate) mod tests;
