//! How large the parts of a message may be.
//!
//! Not here: deadlines and pace (`http/h1`), limits on whole bodies (policy).

/// Sizes that a message must keep to. Over one of them the message is refused, never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a head, from its first byte to the empty line. Default 64 KiB less one, which is also the most:
    /// positions in a head are 16 bits wide.
    pub head: usize,
    /// Fields in a head or trailer section. Default 128, at most [`MAX_FIELDS`].
    pub fields: usize,
    /// Octets of a request target. Default 16 KiB.
    pub target: usize,
    /// Octets of a chunk's size line with its extensions and CRLF. Default 1 KiB.
    pub chunk_line: usize,
    /// Octets of a trailer section with its empty line. Default 16 KiB.
    pub trailers: usize,
}

/// No head has more fields than this, whatever [`Limits::fields`] says: an index is 8 bits wide.
pub const MAX_FIELDS: usize = 255;

/// No head is longer than this, whatever [`Limits::head`] says.
pub const MAX_HEAD: usize = u16::MAX as usize;

impl Default for Limits {
    fn default() -> Self {
        Self { head: MAX_HEAD, fields: 128, target: 16 * 1024, chunk_line: 1024, trailers: 16 * 1024 }
    }
}

impl Limits {
    pub(crate) fn head_octets(&self) -> usize {
        self.head.min(MAX_HEAD)
    }

    pub(crate) fn field_count(&self) -> usize {
        self.fields.min(MAX_FIELDS)
    }
}
