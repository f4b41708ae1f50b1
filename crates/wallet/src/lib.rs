//! What the owner of a node keeps offline: words on paper, the key they stand for, the encrypted file, and the one
//! thing the key signs.
//!
//! - [`words`]: BIP-39 words; [`keys`]: the key and address they stand for (BIP-32, BIP-44);
//! - [`keystore`]: the encrypted file (Web3 Secret Storage, version 3); [`backup`]: whether the words are on paper;
//! - [`sign`]: delegations, and nothing else.
//!
//! Pure: chance comes in as a generator, nothing is read, written or logged. Secrets have no `Debug` and are erased
//! when dropped. Not here: files and terminals (the program), what a delegation says (`overlay-proto`).

pub mod words;

pub mod keys;
pub mod sign;

pub mod backup;
pub mod keystore;

mod hex;

pub use backup::BackupCheck;
pub use hex::{NotHex, from_hex, to_hex};
pub use keys::WalletKey;
pub use keystore::{Cost, Keystore, KeystoreError};
pub use words::{Length, Words, WordsError};
