//! Sticky sessions: a cookie that names an endpoint without telling which.
//!
//! The value is a keyed BLAKE2b (RFC 7693) of upstream and endpoint, cut to 64 bits: from outside it cannot be computed
//! from a guessed address, it is the same on every proxy that shares the secret, and it survives reloads and restarts. A
//! cookie that names nobody usable is as good as none. Not here: the cookie's name, attributes, and when it is set
//! (the site's business).

use crate::upstream::{Endpoint, EndpointKey};
use blake2::digest::Digest;
use blake2::digest::consts::U8;
use std::fmt;

/// What sticky cookies are computed with: 32 octets by chance, kept by the operator or made at the start.
#[derive(Clone, PartialEq, Eq)]
pub struct StickySecret([u8; 32]);

impl StickySecret {
    /// A secret of these octets.
    #[must_use]
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }
}

impl fmt::Debug for StickySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// The value of a sticky cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StickyId(u64);

impl StickyId {
    /// The value for an endpoint. Fields are led by their length, so that no two pairs read alike.
    pub(crate) fn of(secret: &StickySecret, upstream: &str, key: &EndpointKey) -> Self {
        let mut hash = blake2::Blake2b::<U8>::new();
        hash.update(secret.0);
        hash.update((upstream.len() as u64).to_le_bytes());
        hash.update(upstream.as_bytes());
        hash.update(key.scheme.word().as_bytes());
        hash.update(key.to_string().as_bytes());
        Self(u64::from_le_bytes(hash.finalize().into()))
    }

    /// Reads 16 hexadecimal digits; anything else is no value of ours.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u64::from_str_radix(text, 16).ok()?;
        digits.then_some(Self(value))
    }
}

impl fmt::Display for StickyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// From cookie values to places in a set.
#[derive(Debug)]
pub(crate) struct StickyTable {
    /// Sorted by value.
    places: Box<[(StickyId, usize)]>,
}

impl StickyTable {
    pub(crate) fn of(endpoints: &[Endpoint]) -> Self {
        let value = |(place, endpoint): (usize, &Endpoint)| Some((endpoint.sticky_id()?, place));
        let mut places: Vec<_> = endpoints.iter().enumerate().filter_map(value).collect();
        places.sort_unstable();
        Self { places: places.into() }
    }

    pub(crate) fn find(&self, id: StickyId) -> Option<usize> {
        let at = self.places.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.places.get(at).map(|(_, place)| *place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{EndpointSpec, Scheme};

    #[test]
    fn values_are_read_back_and_nothing_else_is() {
        let key = EndpointSpec::parse("http://192.0.2.1", Scheme::Http).unwrap().key;
        let secret = StickySecret::new([7; 32]);
        let id = StickyId::of(&secret, "app", &key);
        assert_eq!(StickyId::parse(id.to_string().as_bytes()), Some(id));
        for text in ["", "0", "+123456789abcdef", "0123456789abcdeg", "00123456789abcdef", "\u{fc}"] {
            assert_eq!(StickyId::parse(text.as_bytes()), None, "{text}");
        }
        assert_ne!(id, StickyId::of(&StickySecret::new([8; 32]), "app", &key));
        assert_ne!(id, StickyId::of(&secret, "other", &key));
        assert_eq!(format!("{secret:?}"), "[hidden]");
    }
}
