//! The encrypted file of a key: Web3 Secret Storage, version 3, as other Ethereum programs read and write it.
//!
//! It holds the 32 bytes of one key and no words: words make the key, but the key does not make the words, so the
//! words stay on paper. Written with scrypt; read with scrypt or PBKDF2. What a file may ask of the reader is bounded.
//! Not here: where the file lies and who may read it (the program), passwords (from whoever calls).

mod file;
mod kdf;

pub use kdf::{Cost, MOST_MEMORY, MOST_ROUNDS};

use crate::hex::{from_hex, to_hex};
use crate::keys::WalletKey;
use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use file::{Crypto, CryptoParams, File};
use kdf::Kdf;
use rand_core::CryptoRng;
use sha3::{Digest as _, Keccak256};
use shoalway_types::wallet::Address;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// No keystore is longer, in bytes of text.
const LONGEST: usize = 16 * 1024;

/// A locked key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keystore {
    id: String,
    address: Option<Address>,
    iv: [u8; 16],
    kdf: Kdf,
    ciphertext: [u8; 32],
    mac: [u8; 32],
}

/// Why a keystore cannot be read or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// It is not JSON of the right form.
    #[error("not a keystore: {0}")]
    Form(String),
    /// It is a keystore of another version than 3.
    #[error("a keystore of version {0}; only version 3 is read")]
    Version(u64),
    /// It names a method that is not known.
    #[error("the keystore uses {what} `{name}`, which is not known")]
    Method {
        /// `cipher`, `kdf` or `prf`.
        what: &'static str,
        /// What stands there.
        name: String,
    },
    /// It asks for more work than [`MOST_MEMORY`] or [`MOST_ROUNDS`], or for what no program writes.
    #[error("the keystore asks for {0}")]
    Cost(String),
    /// The password is wrong, or the file was changed.
    #[error("the password is wrong")]
    Password,
    /// The key inside is none, or not that of the address beside it.
    #[error("the keystore is damaged: {0}")]
    Damaged(&'static str),
}

impl Keystore {
    /// Locks a key with a password. Slow on purpose, by `cost`.
    ///
    /// # Errors
    /// [`KeystoreError::Cost`] when the cost is one that would not be read again.
    pub fn lock(
        key: &WalletKey,
        password: &str,
        cost: Cost,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, KeystoreError> {
        let (mut salt, mut iv, mut id) = ([0; 32], [0; 16], [0; 16]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut iv);
        rng.fill_bytes(&mut id);
        let kdf = Kdf::Scrypt { cost, salt: salt.to_vec() };
        let derived = Derived::of(&kdf, password)?;
        let mut ciphertext = *key.secret();
        derived.crypt(&iv, &mut ciphertext);
        let mac = derived.mac(&ciphertext);
        Ok(Self { id: uuid(id), address: Some(key.address()), iv, kdf, ciphertext, mac })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`KeystoreError`], all but `Password` and `Damaged`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        if text.len() > LONGEST {
            return Err(KeystoreError::Form("it is too long".to_owned()));
        }
        let File { id, address, crypto } = File::parse(text)?;
        if crypto.cipher != "aes-128-ctr" {
            return Err(KeystoreError::Method { what: "cipher", name: crypto.cipher });
        }
        let wrong = |what: &str| KeystoreError::Form(format!("`{what}` is not what it should be"));
        let address = match address.as_deref() {
            None | Some("") => None,
            Some(text) => {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                Some(Address(*from_hex(digits).map_err(|_not_hex| wrong("address"))?))
            }
        };
        Ok(Self {
            id,
            address,
            iv: *from_hex(&crypto.cipherparams.iv).map_err(|_not_hex| wrong("iv"))?,
            kdf: Kdf::parse(&crypto.kdf, crypto.kdfparams)?,
            ciphertext: *from_hex(&crypto.ciphertext).map_err(|_not_hex| wrong("ciphertext"))?,
            mac: *from_hex(&crypto.mac).map_err(|_not_hex| wrong("mac"))?,
        })
    }

    /// The text of the file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let crypto = Crypto {
            cipher: "aes-128-ctr".to_owned(),
            cipherparams: CryptoParams { iv: to_hex(&self.iv).to_string() },
            ciphertext: to_hex(&self.ciphertext).to_string(),
            kdf: self.kdf.name().to_owned(),
            kdfparams: self.kdf.to_value(),
            mac: to_hex(&self.mac).to_string(),
        };
        let address = self.address.map(|address| to_hex(&address.0).to_string());
        File { id: self.id.clone(), address, crypto }.into_json()
    }

    /// The address beside the key; readable without the password, and not proven before [`Keystore::open`].
    #[must_use]
    pub const fn address(&self) -> Option<Address> {
        self.address
    }

    /// The key. Slow on purpose.
    ///
    /// # Errors
    /// [`KeystoreError::Password`], also when the file was changed; [`KeystoreError::Damaged`] when the address beside
    /// the key is another's.
    pub fn open(&self, password: &str) -> Result<WalletKey, KeystoreError> {
        let derived = Derived::of(&self.kdf, password)?;
        if !bool::from(derived.mac(&self.ciphertext).ct_eq(&self.mac)) {
            return Err(KeystoreError::Password);
        }
        let mut secret = Zeroizing::new(self.ciphertext);
        derived.crypt(&self.iv, &mut secret);
        let no_key = |_| KeystoreError::Damaged("what is inside is not a key");
        let key = WalletKey::from_secret(&secret).map_err(no_key)?;
        match self.address {
            Some(address) if address != key.address() => {
                Err(KeystoreError::Damaged("the address in it is not that of the key"))
            }
            Some(_) | None => Ok(key),
        }
    }
}

/// What the password makes: the cipher's key and that of the MAC.
struct Derived {
    cipher: Zeroizing<[u8; 16]>,
    mac: Zeroizing<[u8; 16]>,
}

impl Derived {
    fn of(kdf: &Kdf, password: &str) -> Result<Self, KeystoreError> {
        let bytes = kdf.derive(password)?;
        let half = |half: Option<&[u8; 16]>| Zeroizing::new(half.copied().unwrap_or_default());
        Ok(Self { cipher: half(bytes.first_chunk()), mac: half(bytes.last_chunk()) })
    }

    /// AES-128 in counter mode, which is its own inverse.
    fn crypt(&self, iv: &[u8; 16], bytes: &mut [u8; 32]) {
        Ctr128BE::<Aes128>::new((&*self.cipher).into(), iv.into()).apply_keystream(bytes);
    }

    fn mac(&self, ciphertext: &[u8; 32]) -> [u8; 32] {
        let mut hash = Keccak256::new();
        hash.update(*self.mac);
        hash.update(ciphertext);
        hash.finalize().into()
    }
}

/// A random UUID, RFC 9562 section 5.4.
fn uuid(mut bytes: [u8; 16]) -> String {
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    let digits = to_hex(&bytes);
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
#[path = "keystore/tests.rs"]
mod tests;
