//! The handshake message inside TLS records, RFC 8446 section 5.1.
//!
//! A hello may be cut into records anywhere. Behind it nothing may stand in the same record: a client has nothing to
//! add before it is answered. Each byte is judged when it is there, so that the outcome hangs on the bytes and the
//! limit alone, not on how they arrived.

use super::Error;
use std::borrow::Cow;

/// The handshake message's type.
pub(super) const CLIENT_HELLO: u8 = 1;
const HANDSHAKE: u8 = 22;
const RECORD_HEAD: usize = 5;
const MESSAGE_HEAD: usize = 4;
/// Longest plaintext of a record, 2^14.
const MAX_FRAGMENT: usize = 16_384;

/// The whole message, joined; `None` while it is incomplete. Only the first `limit` bytes are looked at.
pub(super) fn message(bytes: &[u8], limit: usize) -> Result<Option<Cow<'_, [u8]>>, Error> {
    let window = bytes.get(..limit).unwrap_or(bytes);
    match extent(window, limit)? {
        Some(Extent { length, end }) => Ok(Some(join(window.get(..end).unwrap_or_default(), length))),
        None if bytes.len() >= limit => Err(Error::TooLong { limit }),
        None => Ok(None),
    }
}

/// How much of the bytes the hello is.
struct Extent {
    /// Bytes of the message, without records.
    length: usize,
    /// Where its last record ends.
    end: usize,
}

/// Goes through the records without copying; `None` while bytes are missing.
fn extent(bytes: &[u8], limit: usize) -> Result<Option<Extent>, Error> {
    let mut head = Vec::with_capacity(MESSAGE_HEAD);
    let mut seen = 0;
    let mut at = 0;
    loop {
        let Some(announced) = fragment_length(bytes.get(at..).unwrap_or_default())? else { return Ok(None) };
        let start = at + RECORD_HEAD;
        let there = bytes.len().min(start + announced) - start.min(bytes.len());
        let fragment = bytes.get(start..start + there).unwrap_or_default();
        head.extend(fragment.iter().take(MESSAGE_HEAD - head.len()));
        if let [kind, ..] = head[..]
            && kind != CLIENT_HELLO
        {
            return Err(Error::NotClientHello);
        }
        if let [_, a, b, c] = head[..] {
            let length =
                MESSAGE_HEAD + usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
            // What is still to come needs this much room at least.
            if start + (length.saturating_sub(seen)) > limit {
                return Err(Error::TooLong { limit });
            }
            if seen + announced > length {
                return Err(Error::Trailing);
            }
            if seen + there == length {
                return Ok(Some(Extent { length, end: start + announced }));
            }
        }
        if there < announced {
            return Ok(None);
        }
        seen += announced;
        at = start + announced;
    }
}

/// The length in a record's head; `None` while bytes are missing.
fn fragment_length(record: &[u8]) -> Result<Option<usize>, Error> {
    match record {
        [kind, ..] if *kind != HANDSHAKE => Err(Error::NotHandshake),
        [_, major, ..] if *major != 3 => Err(Error::RecordVersion),
        [_, _, _, high, low, ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            0 => Err(Error::EmptyRecord),
            length if length > MAX_FRAGMENT => Err(Error::RecordTooLong),
            length => Ok(Some(length)),
        },
        [..] => Ok(None),
    }
}

/// The fragments of `records`, which are whole, as one message of `length` bytes.
fn join(records: &[u8], length: usize) -> Cow<'_, [u8]> {
    if records.len() == RECORD_HEAD + length {
        return Cow::Borrowed(records.get(RECORD_HEAD..).unwrap_or_default());
    }
    let mut message = Vec::with_capacity(length);
    let mut rest = records;
    while let Some((&[_, _, _, high, low], behind)) = rest.split_first_chunk() {
        let fragment = usize::from(u16::from_be_bytes([high, low]));
        let (fragment, behind) = behind.split_at_checked(fragment).unwrap_or((behind, &[]));
        message.extend_from_slice(fragment);
        rest = behind;
    }
    Cow::Owned(message)
}
