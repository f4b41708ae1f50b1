//! `$apr1$`: the MD5-based hash of Apache's htpasswd, 1000 rounds.
//!
//! The algorithm is the one of crypt(5) `md5crypt` with another magic word; Apache's documentation, "Password
//! Formats", names it. It is weak by today's measure and read only because existing files have it.
//! Not here: making such hashes.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// A parsed `$apr1$` hash.
#[derive(Clone)]
pub(super) struct Apr1 {
    /// 0 to 8 octets.
    salt: Box<[u8]>,
    /// The 22 characters of the digest.
    encoded: [u8; ENCODED],
}

impl Apr1 {
    /// Reads `$apr1$SALT$DIGEST`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (salt, encoded) = text.strip_prefix(MAGIC)?.split_once('$')?;
        let encoded: [u8; ENCODED] = encoded.as_bytes().try_into().ok()?;
        let known = |b: &u8| ALPHABET.contains(b);
        // 16 octets leave 2 bits in the last character.
        let last_fits = encoded.last().is_some_and(|b| ALPHABET.iter().take(4).any(|a| a == b));
        if salt.len() > MAX_SALT
            || !salt.bytes().all(|b| known(&b))
            || !encoded.iter().all(known)
            || !last_fits
        {
            return None;
        }
        Some(Self { salt: salt.as_bytes().into(), encoded })
    }

    /// Whether `password` has this hash; compares in constant time.
    pub(super) fn check(&self, password: &[u8]) -> bool {
        encode(digest(password, &self.salt)).ct_eq(&self.encoded).into()
    }
}

fn digest(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner: [u8; 16] =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut hash = Md5::new().chain_update(password).chain_update(MAGIC).chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        hash.update(inner.get(..chunk.len()).unwrap_or_default());
    }
    // One octet for each bit of the length, from the lowest: zero where it is set, else the first of the password.
    let mut bits = password.len();
    while bits > 0 {
        let first = password.first().copied().unwrap_or_default();
        hash.update([if bits & 1 == 1 { 0 } else { first }]);
        bits >>= 1;
    }
    let mut result: [u8; 16] = hash.finalize().into();
    for round in 0..ROUNDS {
        result = stretch(round, &result, password, salt);
    }
    result
}

/// One round: the order of what is hashed depends on its number.
fn stretch(round: u32, last: &[u8; 16], password: &[u8], salt: &[u8]) -> [u8; 16] {
    let odd = round % 2 == 1;
    let mut hash = Md5::new();
    hash.update(if odd { password } else { last });
    if !round.is_multiple_of(3) {
        hash.update(salt);
    }
    if !round.is_multiple_of(7) {
        hash.update(password);
    }
    hash.update(if odd { last } else { password });
    hash.finalize().into()
}

/// The digest in the order and the alphabet of crypt(3): groups of three octets, six bits at a time, lowest first.
fn encode(digest: [u8; 16]) -> [u8; ENCODED] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = digest;
    let groups = [[a, g, m], [b, h, n], [c, i, o], [d, j, p], [e, k, f], [0, 0, l]];
    let sextets = groups.into_iter().flat_map(|[high, middle, low]| {
        let value = u32::from_be_bytes([0, high, middle, low]);
        (0..4).map(move |at| value >> (6 * at) & 0x3f)
    });
    let mut out = [b'.'; ENCODED];
    for (place, sextet) in out.iter_mut().zip(sextets) {
        *place = ALPHABET.get(sextet as usize).copied().unwrap_or(b'.');
    }
    out
}

const MAGIC: &str = "$apr1$";
const MAX_SALT: usize = 8;
const ENCODED: usize = 22;
const ROUNDS: u32 = 1000;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl passwd -apr1 -salt SALT PASSWORD`.
    const VECTORS: [(&str, &str); 5] = [
        ("password", "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1"),
        ("xyzzy", "$apr1$abcdefgh$4rYeBJdoujzXVbvA8vRr90"),
        ("", "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."),
        (LONG, "$apr1$ab$0AYTQewc4aVe0PetMbKxo/"),
        ("p\u{e4}ssw\u{f6}rd", "$apr1$12345678$0NJU6izOW5MGH4BL2C/sK/"),
    ];
    const LONG: &str =
        "a rather long password of more than sixteen bytes, over one MD5 block even 0123456789";

    #[test]
    fn hashes_made_by_openssl_are_accepted_for_their_password_only() {
        for (password, hash) in VECTORS {
            let parsed = Apr1::parse(hash).unwrap();
            assert!(parsed.check(password.as_bytes()), "{hash}");
            assert!(!parsed.check(format!("{password}x").as_bytes()), "{hash}");
        }
    }

    #[test]
    fn malformed_hashes_are_refused() {
        for text in [
            "",
            "$apr1$",
            "$apr1$abcdefgh",
            "$apr1$abcdefgh$",
            "$apr1$abcdefghi$FBwExRW4dCc8aL.OvjpIE1",
            "$apr1$abc?efgh$FBwExRW4dCc8aL.OvjpIE1",
            "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE",
            "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1x",
            "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpI?1",
            "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIEz",
            "$1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1",
        ] {
            assert!(Apr1::parse(text).is_none(), "{text}");
        }
    }
}
