//! The decoder against the text's own examples, every mistake by name, every cut, and what was written itself.

mod additions;
mod binary;
mod haproxy;
mod line;
mod round_trip;

use super::{Error, Header, decode_within};

/// The end of reading: nothing while bytes are missing, then a header and its length, or an error.
type Outcome<'a> = Result<Option<(Header<'a>, usize)>, Error>;

/// What is read of `bytes`, and the same at every cut: before the end nothing, from then on always the same.
#[track_caller]
fn read(bytes: &[u8]) -> Outcome<'_> {
    read_within(bytes, super::DEFAULT_LIMIT)
}

#[track_caller]
fn read_within(bytes: &[u8], limit: usize) -> Outcome<'_> {
    let whole = decode_within(bytes, limit);
    let mut decided = false;
    for cut in 0..=bytes.len() {
        let so_far = decode_within(&bytes[..cut], limit);
        assert!(
            so_far == whole || (so_far == Ok(None) && !decided),
            "at {cut}: {so_far:?}, not {whole:?}, of {}",
            bytes.escape_ascii()
        );
        decided |= so_far != Ok(None);
        if let Ok(Some((_, length))) = whole {
            assert_eq!(decided, cut >= length, "at {cut} of {}", bytes.escape_ascii());
        }
    }
    whole
}
