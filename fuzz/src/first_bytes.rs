//! Telling protocols apart: decided in time, and for good.

use shoalway_wire::first_bytes::{MOST_BYTES, Verdict, detect};

/// Asks about every beginning of `data`.
pub fn first_bytes(data: &[u8]) {
    let mut decided = Verdict::NeedMore;
    for length in 0..=data.len().min(4 * MOST_BYTES) {
        let now = detect(data.get(..length).unwrap_or_default());
        assert!(now != Verdict::NeedMore || length < MOST_BYTES, "undecided after {length} bytes");
        assert!(decided == Verdict::NeedMore || now == decided, "changed its mind at {length}");
        decided = now;
    }
}
