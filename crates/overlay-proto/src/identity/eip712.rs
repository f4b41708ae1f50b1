//! The digest that a wallet signs (EIP-712; ovl1 section 2.1).
//!
//! Not here: what the terms must keep to, and the signature.

use super::DelegationTerms;
use sha3::{Digest as _, Keccak256};

const DOMAIN_TYPE: &[u8] = b"EIP712Domain(string name,string version,bytes32 salt)";
const DELEGATION_TYPE: &[u8] =
    b"Delegation(address node,bytes32 nodeKey,uint16 roles,uint64 notBefore,uint64 notAfter,uint64 serial)";
const NAME: &[u8] = b"Shoalway Node";
const VERSION: &[u8] = b"1";

/// `keccak(19 01 || domain separator || struct hash)`; the network is the domain's salt.
pub(super) fn digest(network: &[u8; 32], terms: &DelegationTerms) -> [u8; 32] {
    let domain = keccak(&[&keccak(&[DOMAIN_TYPE]), &keccak(&[NAME]), &keccak(&[VERSION]), network]);
    let message = keccak(&[
        &keccak(&[DELEGATION_TYPE]),
        &[0; 12],
        &terms.node.0,
        &terms.node_key,
        &word(terms.roles.bits().into()),
        &word(terms.not_before.0),
        &word(terms.not_after.0),
        &word(terms.serial),
    ]);
    keccak(&[&[0x19, 0x01], &domain, &message])
}

/// An integer as the 32 bytes of its encoding.
fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    for (byte, from) in word.iter_mut().skip(24).zip(number.to_be_bytes()) {
        *byte = from;
    }
    word
}

fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}
