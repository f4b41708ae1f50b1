//! From password to 32 bytes: scrypt (RFC 7914) or PBKDF2 (RFC 8018), and how much of it a file may ask for.

use super::KeystoreError;
use crate::hex::to_hex;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Most that 128 * n * r * p of a file may be, in bytes: memory where p is 1, and in any case time.
pub const MOST_MEMORY: u64 = 1 << 30;
/// Most rounds of PBKDF2.
pub const MOST_ROUNDS: u32 = 10_000_000;

/// How much work scrypt makes of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// n is 2 to the power of this: 1 to 23.
    pub log_n: u8,
    /// Size of a block, from 1.
    pub r: u32,
    /// Blocks one after the other, from 1.
    pub p: u32,
}

impl Cost {
    /// n = 2^18, r = 8, p = 1: 256 MiB and about a second. The default.
    pub const STANDARD: Self = Self { log_n: 18, r: 8, p: 1 };
    /// n = 2^12, r = 8, p = 6: 4 MiB, for small machines. A password is guessed ten times faster.
    pub const LIGHT: Self = Self { log_n: 12, r: 8, p: 6 };

    fn checked(self) -> Result<scrypt::Params, KeystoreError> {
        let Self { log_n, r, p } = self;
        let too_much = || KeystoreError::Cost(format!("scrypt with n = 2^{log_n}, r = {r}, p = {p}"));
        let block = 1u64.checked_shl(log_n.into()).and_then(|n| n.checked_mul(128));
        let bytes = block.and_then(|block| block.checked_mul(r.into())?.checked_mul(p.into()));
        match bytes {
            Some(1..=MOST_MEMORY) if log_n > 0 => {
                scrypt::Params::new(log_n, r, p).map_err(|_invalid| too_much())
            }
            Some(_) | None => Err(too_much()),
        }
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// The method of a file with its parameters, which are within the bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kdf {
    Scrypt { cost: Cost, salt: Vec<u8> },
    Pbkdf2 { rounds: u32, salt: Vec<u8> },
}

#[derive(Deserialize)]
struct ScryptParams {
    dklen: u64,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

#[derive(Deserialize)]
struct Pbkdf2Params {
    dklen: u64,
    c: u32,
    prf: String,
    salt: String,
}

impl Kdf {
    pub(super) fn parse(name: &str, params: Value) -> Result<Self, KeystoreError> {
        let form = |error: serde_json::Error| KeystoreError::Form(error.to_string());
        match name {
            "scrypt" => {
                let ScryptParams { dklen, n, r, p, salt } = serde_json::from_value(params).map_err(form)?;
                if !n.is_power_of_two() {
                    return Err(KeystoreError::Cost(format!("scrypt with n = {n}")));
                }
                let log_n = u8::try_from(n.trailing_zeros()).unwrap_or(u8::MAX);
                let cost = Cost { log_n, r, p };
                cost.checked()?;
                Ok(Self::Scrypt { cost, salt: salt_of(dklen, &salt)? })
            }
            "pbkdf2" => {
                let Pbkdf2Params { dklen, c, prf, salt } = serde_json::from_value(params).map_err(form)?;
                if prf != "hmac-sha256" {
                    return Err(KeystoreError::Method { what: "prf", name: prf });
                }
                if !(1..=MOST_ROUNDS).contains(&c) {
                    return Err(KeystoreError::Cost(format!("{c} rounds of PBKDF2")));
                }
                Ok(Self::Pbkdf2 { rounds: c, salt: salt_of(dklen, &salt)? })
            }
            other => Err(KeystoreError::Method { what: "kdf", name: other.to_owned() }),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Scrypt { .. } => "scrypt",
            Self::Pbkdf2 { .. } => "pbkdf2",
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Scrypt { cost: Cost { log_n, r, p }, salt } => {
                json!({ "dklen": 32, "n": 1u64 << log_n, "r": r, "p": p, "salt": *to_hex(salt) })
            }
            Self::Pbkdf2 { rounds, salt } => {
                json!({ "dklen": 32, "c": rounds, "prf": "hmac-sha256", "salt": *to_hex(salt) })
            }
        }
    }

    /// 32 bytes from the password.
    pub(super) fn derive(&self, password: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let mut out = Zeroizing::new([0; 32]);
        match self {
            Self::Scrypt { cost, salt } => {
                let length = |_| KeystoreError::Cost("a key of another length".to_owned());
                scrypt::scrypt(password.as_bytes(), salt, &cost.checked()?, &mut *out).map_err(length)?;
            }
            Self::Pbkdf2 { rounds, salt } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, *rounds, &mut *out);
            }
        }
        Ok(out)
    }
}

/// The salt, where the length of the derived key is the one that cipher and MAC need.
fn salt_of(dklen: u64, digits: &str) -> Result<Vec<u8>, KeystoreError> {
    if dklen != 32 {
        return Err(KeystoreError::Cost(format!("a derived key of {dklen} bytes, not 32")));
    }
    let wrong = || KeystoreError::Form("`salt` is not what it should be".to_owned());
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() > 128 {
        return Err(wrong());
    }
    let octet = |pair: &[u8]| {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        u8::try_from(digit(0)? << 4 | digit(1)?).ok()
    };
    digits.as_bytes().chunks_exact(2).map(octet).collect::<Option<_>>().ok_or_else(wrong)
}
