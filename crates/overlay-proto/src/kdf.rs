//! Hashes, key derivation, MACs and comparison (ovl1 section 1), and how a secret is held.
//!
//! `H` is SHA-256; `X(secret, label, n)` is HKDF-Expand of it under `"ovl1 " || label`. Not here: HPKE and its exports
//! (`opener`, `create`), which keys are derived when.

use aws_lc_rs::{digest, hkdf, hmac};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

pub(crate) mod exporter;

/// 32 secret bytes: a key, a pre-shared key, an export. Held at one place of the heap, so that moving the value leaves
/// no copy behind; overwritten when dropped; never printed; compared in constant time.
#[derive(Clone)]
pub struct Secret(Box<[u8; 32]>);

impl Secret {
    /// Takes the bytes, and overwrites the place they came from.
    #[must_use]
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let secret = Self(Box::new(*bytes));
        bytes.zeroize();
        secret
    }

    /// A secret with bytes that `fill` writes straight into place.
    #[must_use]
    pub fn filled(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        fill(&mut secret.0);
        secret
    }

    /// A secret drawn by chance.
    #[must_use]
    pub fn random(rng: &mut dyn rand_core::CryptoRng) -> Self {
        Self::filled(|bytes| rng.fill_bytes(bytes))
    }

    /// The bytes, for the one call that needs them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Secret {
    fn from(mut bytes: [u8; 32]) -> Self {
        Self::take(&mut bytes)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0[..], &other.0[..])
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// `H`: SHA-256 of the parts, one after the other.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    // SHA-256 has 32 bytes; zip cannot lose any.
    out.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// `X(secret, label, N)`: HKDF-Expand over SHA-256 of the secret, under `"ovl1 " || label`.
#[must_use]
pub fn expand<const N: usize>(secret: &Secret, label: &str) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    expand_into(secret, label, &mut out[..]);
    out
}

/// `X(secret, label, 32)`, held as a secret of its own.
#[must_use]
pub fn derive(secret: &Secret, label: &str) -> Secret {
    Secret::filled(|out| expand_into(secret, label, out))
}

fn expand_into(secret: &Secret, label: &str, out: &mut [u8]) {
    let key = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret.bytes());
    let info = [b"ovl1 ".as_slice(), label.as_bytes()];
    #[expect(
        clippy::expect_used,
        reason = "lengths here are 12 and 32; HKDF-Expand gives up to 8,160 bytes"
    )]
    key.expand(&info, Length(out.len())).and_then(|okm| okm.fill(out)).expect("a short expansion");
}

/// How many bytes HKDF is asked for.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HMAC-SHA256 of the parts, one after the other.
#[must_use]
pub fn mac(key: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    mac_with(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes()), parts)
}

/// HMAC-SHA256 with a key that was prepared once.
#[must_use]
pub(crate) fn mac_with(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// Whether two strings of bytes are equal, in time that depends on their lengths alone.
#[must_use]
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn hash_and_mac_are_those_of_the_standards() {
        let abc = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash(&[b"a", b"bc"])[..], abc[..]);
        // RFC 4231, case 2, has a key of 4 bytes; HMAC pads keys with zeros, so 32 bytes give the same.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(mac(&key.into(), &[b"what do ya want ", b"for nothing?"])[..], expected[..]);
    }

    #[test]
    fn expansion_is_hkdf_under_a_label_of_the_protocol() {
        let secret = Secret::from([7; 32]);
        // T(1) = HMAC(secret, info || 1), RFC 5869 section 2.3.
        let first = mac(&secret, &[b"ovl1 key", &[1]]);
        assert_eq!(expand::<32>(&secret, "key")[..], first[..]);
        assert_eq!(expand::<12>(&secret, "key")[..], first[..12]);
        assert_eq!(derive(&secret, "key").bytes()[..], first[..]);
        assert_ne!(expand::<32>(&secret, "iv")[..], first[..]);
    }

    #[test]
    fn a_secret_is_not_printed_and_the_place_it_came_from_is_overwritten() {
        let mut bytes = [9; 32];
        let secret = Secret::take(&mut bytes);
        assert_eq!(bytes, [0; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret, Secret::from([9; 32]));
        assert_ne!(secret, Secret::from([8; 32]));
    }
}
