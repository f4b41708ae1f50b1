//! Vectors with a length in front, RFC 8446 section 3.4. Not here: their least and greatest lengths.

/// How many bytes a length takes.
pub(super) struct Width<const N: usize>;

/// Lengths to 255.
pub(super) const U8: Width<1> = Width;
/// Lengths to 65,535.
pub(super) const U16: Width<2> = Width;

impl<const N: usize> Width<N> {
    /// The vector at the start of `bytes`, and what follows it.
    pub(super) fn split(self, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<N>()?;
        rest.split_at_checked(length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    }

    /// The vector that is all of `bytes`, when it has at least one byte.
    pub(super) fn only(self, bytes: &[u8]) -> Option<&[u8]> {
        match self.split(bytes) {
            Some((vector, [])) if !vector.is_empty() => Some(vector),
            _ => None,
        }
    }
}

/// The numbers in `vector`; `None` when there is none, or half of one.
pub(super) fn u16s(vector: &[u8]) -> Option<Vec<u16>> {
    let (pairs, []) = vector.as_chunks::<2>() else { return None };
    (!pairs.is_empty()).then(|| pairs.iter().copied().map(u16::from_be_bytes).collect())
}
