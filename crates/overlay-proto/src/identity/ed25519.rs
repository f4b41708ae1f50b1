//! Ed25519 as ovl1 section 1 wants it: canonical encodings, no small-order points, no cofactor.
//!
//! Every signature of the protocol is over a label, which ends in a zero byte, and then the message; so no signature
//! made for one purpose serves another. Not here: wallets, which sign with secp256k1.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::fmt;

/// The key of a node or of a directory, made from 32 random bytes. Erased when dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// The signature was not made by this key over this message, or one of them is not in its permitted form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is wrong")]
pub struct WrongSignature;

impl SecretKey {
    /// The key of this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message under its label.
    #[must_use]
    pub fn sign(&self, label: &str, message: &[u8]) -> [u8; 64] {
        self.0.sign(&labelled(label, message)).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([hidden])")
    }
}

/// Whether `key` signed this message under this label.
///
/// # Errors
/// [`WrongSignature`], also when the key is not canonical or of small order.
pub fn verify(
    key: &[u8; 32],
    label: &str,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), WrongSignature> {
    let key = public_key(key).ok_or(WrongSignature)?;
    key.verify_strict(&labelled(label, message), &Signature::from_bytes(signature))
        .map_err(|_wrong| WrongSignature)
}

/// Whether these bytes are a key that signatures can be checked with: canonical and not of small order.
#[must_use]
pub fn is_key(key: &[u8; 32]) -> bool {
    public_key(key).is_some()
}

/// Decompressing alone would accept a y of p or more and a sign on x = 0; what was read is therefore written again.
fn public_key(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    let canonical = key.to_edwards().compress().to_bytes() == *bytes;
    (canonical && !key.is_weak()).then_some(key)
}

fn labelled(label: &str, message: &[u8]) -> Vec<u8> {
    [label.as_bytes(), b"\0", message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "ovl1 test";

    #[test]
    fn a_signature_holds_for_its_key_label_and_message_only() {
        let key = SecretKey::from_seed(&[7; 32]);
        let other = SecretKey::from_seed(&[8; 32]);
        let signature = key.sign(LABEL, b"message");
        assert_eq!(verify(&key.public(), LABEL, b"message", &signature), Ok(()));
        assert_eq!(verify(&other.public(), LABEL, b"message", &signature), Err(WrongSignature));
        assert_eq!(verify(&key.public(), "ovl1 tes", b"tmessage", &signature), Err(WrongSignature));
        assert_eq!(verify(&key.public(), LABEL, b"Message", &signature), Err(WrongSignature));
        for bit in 0..512 {
            let mut bent = signature;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&key.public(), LABEL, b"message", &bent), Err(WrongSignature), "bit {bit}");
        }
    }

    #[test]
    fn an_s_over_the_order_of_the_group_is_refused() {
        let order: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = SecretKey::from_seed(&[7; 32]);
        let mut signature = key.sign(LABEL, b"message");
        let mut carry = 0u16;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert_eq!(verify(&key.public(), LABEL, b"message", &signature), Err(WrongSignature));
    }

    #[test]
    fn keys_of_small_order_or_of_two_spellings_are_none() {
        let small = |first: u8, middle: u8, last: u8| {
            let mut key = [middle; 32];
            key[0] = first;
            key[31] = last;
            key
        };
        for (key, why) in [
            (small(0, 0, 0), "y = 0 is of order 4"),
            (small(1, 0, 0), "the neutral element"),
            (small(1, 0, 0x80), "the neutral element with a sign"),
            (small(0xec, 0xff, 0x7f), "y = -1 is of order 2"),
            (small(0xed, 0xff, 0x7f), "y = p is another spelling of 0"),
            (small(0xee, 0xff, 0x7f), "y = p + 1 is another spelling of 1"),
            (small(0xf0, 0xff, 0x7f), "y = p + 3 is another spelling of 3, which is on the curve"),
            (small(2, 0, 0), "y = 2 is not on the curve"),
        ] {
            assert!(!is_key(&key), "{why}");
            assert_eq!(verify(&key, LABEL, b"", &[0; 64]), Err(WrongSignature), "{why}");
        }
        assert!(is_key(&small(3, 0, 0)), "y = 3 is on the curve and of large order");
        assert_eq!(format!("{:?}", SecretKey::from_seed(&[7; 32])), "SecretKey([hidden])");
    }
}
