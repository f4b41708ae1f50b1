//! Directory parts asked for over a link or a circuit: DIR_GET and DIR_DATA (section 5, rows 07 and 08).
//!
//! An answer comes in parts that are joined up to the limit of its kind. Not here: what the parts mean (`network.rs`,
//! `snapshot.rs`, `descriptor.rs`).

use super::terms::LinkEvent;
use crate::codec::{Malformed, Reader};
use bytes::Bytes;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DirKind {
    /// Network files from a version on: items as v32.
    Networks = 1,
    /// The node's own delegation and descriptor.
    Own = 2,
    /// Headers and signatures of snapshots from a number on: items as v32.
    Headers = 3,
    /// The newest snapshot, whole.
    Snapshot = 4,
    /// The newest header and its signatures: one v32.
    Newest = 5,
}

impl DirKind {
    /// The kind of this number, if there is one.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Networks),
            2 => Some(Self::Own),
            3 => Some(Self::Headers),
            4 => Some(Self::Snapshot),
            5 => Some(Self::Newest),
            _ => None,
        }
    }

    /// The most bytes an answer may have, all parts together.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::Networks => 1024 * 1024,
            // A delegation, a length and a descriptor.
            Self::Own => 143 + 2 + 4096,
            Self::Headers | Self::Snapshot => 8 * 1024 * 1024,
            // A length, a header, and 32 signatures behind their number.
            Self::Newest => 4 + 132 + 1 + 32 * 65,
        }
    }
}

/// The body of DIR_GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirGet {
    /// What is asked for.
    pub kind: DirKind,
    /// From where on, for [`DirKind::Networks`] and [`DirKind::Headers`]; zero otherwise.
    pub number: u64,
}

impl DirGet {
    /// The length of the body.
    pub const LENGTH: usize = 9;

    /// The body of the frame.
    #[must_use]
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let [a, b, c, d, e, f, g, h] = self.number.to_be_bytes();
        [self.kind as u8, a, b, c, d, e, f, g, h]
    }

    /// Reads the body of the frame.
    ///
    /// # Errors
    /// Another length, or a kind that does not exist.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let kind = DirKind::from_u8(reader.u8("kind")?).ok_or(Malformed("kind"))?;
        let number = reader.u64("number")?;
        reader.finish()?;
        Ok(Self { kind, number })
    }
}

/// A question under way: the parts of its answer so far.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) kind: DirKind,
    got: Vec<u8>,
    /// Its asker has been told that there is no answer; what still comes is dropped.
    pub(crate) given_up: bool,
}

impl Question {
    pub(crate) const fn new(kind: DirKind) -> Self {
        Self { kind, got: Vec::new(), given_up: false }
    }

    /// Joins a part; whether it was the last one.
    ///
    /// # Errors
    /// `last` is neither 0 nor 1, an empty part that is not the last, or an answer over the limit of its kind.
    pub(crate) fn take(&mut self, last: u8, part: &[u8]) -> Result<bool, Malformed> {
        let last = match last {
            0 if part.is_empty() => return Err(Malformed("empty part")),
            0 => false,
            1 => true,
            _ => return Err(Malformed("last")),
        };
        if self.got.len() + part.len() > self.kind.limit() {
            return Err(Malformed("length of an answer"));
        }
        self.got.extend_from_slice(part);
        Ok(last)
    }

    /// The whole answer, unless nobody waits for it.
    pub(crate) fn into_body(self) -> Option<Bytes> {
        (!self.given_up).then(|| Bytes::from(self.got))
    }

    pub(super) fn answered(self) -> Option<LinkEvent> {
        let kind = self.kind;
        self.into_body().map(|body| LinkEvent::DirData { kind, body })
    }
}
