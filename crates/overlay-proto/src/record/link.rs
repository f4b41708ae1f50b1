//! Link bytes behind a front, which ends TLS (ovl1 section 4, binding 2): `len u16 | AEAD` with suite R2.
//!
//! Key, iv and nonce are those of records. A link frame that could carry KEYUP does not exist, so both sides go on to
//! the next key after [`RECORDS_OF_A_KEY`] records, without a word. Boundaries mean nothing: what comes out is the
//! byte stream of link frames. Not here: those frames (`crate::link`), and binding 1, which needs none of this.

use bytes::{Buf, BytesMut};

use super::{Chain, RECORDS_OF_A_KEY, RecordFault, Suite, TAG};
use crate::Moment;
use crate::kdf::Secret;

/// The most link bytes in a record: with its length, tag, a WebSocket header of 8 and an HTTP/2 header of 9 bytes it
/// fills one TLS record of 16,384.
pub const MAX_LINK_PLAIN: usize = 16_349;

const LENGTH: usize = 2;

/// Protects link bytes in one direction.
pub struct LinkSealer(Chain);

/// Opens link bytes of one direction.
pub struct LinkOpener(Chain);

impl LinkSealer {
    /// From the export of that direction.
    #[must_use]
    pub fn new(export: &Secret) -> Self {
        Self(Chain::new(Suite::ChaCha20Poly1305, export, Moment::default()))
    }

    /// Appends the bytes to `out`, protected, in as many records as they need.
    pub fn seal(&mut self, bytes: &[u8], out: &mut BytesMut) {
        for piece in bytes.chunks(MAX_LINK_PLAIN) {
            let start = out.len() + LENGTH;
            let length = u16::try_from(piece.len() + TAG).unwrap_or(u16::MAX);
            out.reserve(LENGTH + piece.len() + TAG);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(piece);
            self.0.seal(out, start);
            step_when_used_up(&mut self.0);
        }
    }
}

impl LinkOpener {
    /// From the export of that direction.
    #[must_use]
    pub fn new(export: &Secret) -> Self {
        Self(Chain::new(Suite::ChaCha20Poly1305, export, Moment::default()))
    }

    /// Takes the next whole record from `received` and appends what is in it to `out`; `false` when more bytes must
    /// come first.
    ///
    /// # Errors
    /// The link is over: a length out of bounds, or a record that does not open.
    pub fn open(&mut self, received: &mut BytesMut, out: &mut BytesMut) -> Result<bool, RecordFault> {
        let Some((length, rest)) = received.split_first_chunk::<LENGTH>() else { return Ok(false) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length <= TAG || length > MAX_LINK_PLAIN + TAG {
            return Err(RecordFault::Length(length));
        }
        let Some(record) = rest.get(..length) else { return Ok(false) };
        self.0.open(record, out)?;
        received.advance(LENGTH + length);
        step_when_used_up(&mut self.0);
        Ok(true)
    }
}

fn step_when_used_up(chain: &mut Chain) {
    if chain.counter >= RECORDS_OF_A_KEY {
        chain.step(Moment::default());
    }
}

impl std::fmt::Debug for LinkSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSealer(..)")
    }
}

impl std::fmt::Debug for LinkOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkOpener(..)")
    }
}
