//! One password hash of a file of users: read, bounded in cost, checked.
//!
//! bcrypt `$2a$`, `$2b$`, `$2y$` (crypt(5)), `$argon2id$` and `$argon2i$` in PHC string format (RFC 9106), and
//! `$apr1$`. Costs are bounded when the file is read, so that no line of it can hang the proxy at a log-in.

use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

use super::apr1::Apr1;

/// Longest password bcrypt looks at; what is beyond would not count, so it is refused.
pub(super) const BCRYPT_PASSWORD: usize = 72;
/// 2^16 rounds take about 4 seconds.
const MAX_BCRYPT_COST: u32 = 16;
/// 1 GiB, in KiB.
const MAX_ARGON2_MEMORY: u32 = 1 << 20;
/// Memory times passes, in KiB: about 4 seconds.
const MAX_ARGON2_WORK: u64 = 4 << 20;
const MAX_ARGON2_LANES: u32 = 64;

/// A password hash. No `Debug`: it is half a secret.
pub(super) enum Stored {
    Bcrypt(Box<str>),
    Argon2(Box<Argon2Hash>),
    Apr1(Apr1),
}

/// The parts of a PHC string.
pub(super) struct Argon2Hash {
    context: Argon2<'static>,
    salt: Vec<u8>,
    expected: Vec<u8>,
}

/// Why a hash is refused; the text never repeats the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// No known form: most likely the password itself.
    #[error("the password is in plain text, or in a form that is not known")]
    Plain,
    /// DES, MD5 or SHA crypt(3).
    #[error("crypt hashes are not accepted")]
    Crypt,
    /// `{SHA}`, `{SSHA}` and their kind: one round, hours to try all common passwords of a whole file.
    #[error("{{SHA}} hashes are not accepted: they are too quick to guess")]
    Sha,
    /// `$2x$`, `$2$`, `$argon2d$`: outdated, or not for passwords.
    #[error("this variant of the hash is not accepted")]
    Variant,
    /// It begins like a known form and goes on wrong.
    #[error("the hash is damaged or cut short")]
    Malformed,
    /// It would take too long or too much memory to check.
    #[error("the hash is too costly to check: at most bcrypt cost 16, argon2 m=1048576 and m*t=4194304")]
    Cost,
}

impl Stored {
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        if text.starts_with("$2a$") || text.starts_with("$2b$") || text.starts_with("$2y$") {
            return parse_bcrypt(text);
        }
        if let Some(rest) = text.strip_prefix("$argon2id$") {
            return parse_argon2(Algorithm::Argon2id, rest);
        }
        if let Some(rest) = text.strip_prefix("$argon2i$") {
            return parse_argon2(Algorithm::Argon2i, rest);
        }
        if text.starts_with("$apr1$") {
            return Apr1::parse(text).map(Self::Apr1).ok_or(HashError::Malformed);
        }
        Err(refusal(text))
    }

    /// Whether `password` has this hash. Takes as long for a wrong password as for the right one.
    pub(super) fn check(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => {
                let (counts, beyond) = password.split_at_checked(BCRYPT_PASSWORD).unwrap_or((password, &[]));
                // The work is done first, so that time does not tell which form a user's hash has.
                let equal = bcrypt::verify(counts, hash).unwrap_or(false);
                equal && beyond.is_empty()
            }
            Self::Argon2(hash) => hash.check(password),
            Self::Apr1(hash) => hash.check(password),
        }
    }
}

impl Argon2Hash {
    fn check(&self, password: &[u8]) -> bool {
        let mut out = vec![0; self.expected.len()];
        let done = self.context.hash_password_into(password, &self.salt, &mut out);
        done.is_ok() && bool::from(out.ct_eq(&self.expected))
    }
}

fn parse_bcrypt(text: &str) -> Result<Stored, HashError> {
    bcrypt::HashParts::from_str(text).ok().ok_or(HashError::Malformed)?;
    let cost = text.get(4..6).and_then(number).ok_or(HashError::Malformed)?;
    if cost < 4 {
        return Err(HashError::Malformed);
    }
    if cost > MAX_BCRYPT_COST {
        return Err(HashError::Cost);
    }
    Ok(Stored::Bcrypt(text.into()))
}

/// `[v=19$]m=65536,t=3,p=4$SALT$HASH`; without `v` it is version 16.
fn parse_argon2(algorithm: Algorithm, text: &str) -> Result<Stored, HashError> {
    let (version, rest) = match text.strip_prefix("v=") {
        None => (Version::V0x10, text),
        Some(rest) => match rest.split_once('$') {
            Some(("16", rest)) => (Version::V0x10, rest),
            Some(("19", rest)) => (Version::V0x13, rest),
            Some(_) => return Err(HashError::Variant),
            None => return Err(HashError::Malformed),
        },
    };
    let [costs, salt, expected] = split(rest, '$').ok_or(HashError::Malformed)?;
    let [memory, passes, lanes] = split(costs, ',').ok_or(HashError::Malformed)?;
    let value = |text: &str, key: &str| text.strip_prefix(key).and_then(number).ok_or(HashError::Malformed);
    let (memory, passes, lanes) = (value(memory, "m=")?, value(passes, "t=")?, value(lanes, "p=")?);
    let work = u64::from(memory) * u64::from(passes);
    if memory > MAX_ARGON2_MEMORY || work > MAX_ARGON2_WORK || lanes > MAX_ARGON2_LANES {
        return Err(HashError::Cost);
    }
    let salt = STANDARD_NO_PAD.decode(salt).ok().ok_or(HashError::Malformed)?;
    let expected = STANDARD_NO_PAD.decode(expected).ok().ok_or(HashError::Malformed)?;
    if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&expected.len()) {
        return Err(HashError::Malformed);
    }
    let params = Params::new(memory, passes, lanes, Some(expected.len())).ok().ok_or(HashError::Malformed)?;
    let context = Argon2::new(algorithm, version, params);
    Ok(Stored::Argon2(Box::new(Argon2Hash { context, salt, expected })))
}

/// Exactly three parts.
fn split(text: &str, by: char) -> Option<[&str; 3]> {
    let mut parts = text.split(by);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    if parts.next().is_some() { None } else { Some(three) }
}

/// Digits only: `parse` alone would take a sign, too.
fn number(digits: &str) -> Option<u32> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn refusal(text: &str) -> HashError {
    let begins = |fronts: &[&str]| fronts.iter().any(|front| text.starts_with(front));
    let crypt_alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    if begins(&["{SHA", "{SSHA"]) {
        HashError::Sha
    } else if begins(&["$2", "$argon2"]) {
        HashError::Variant
    } else if begins(&["$1$", "$5$", "$6$", "$y$", "$7$", "{CRYPT}", "_"])
        || (text.len() == 13 && text.bytes().all(crypt_alphabet))
    {
        HashError::Crypt
    } else {
        HashError::Plain
    }
}
