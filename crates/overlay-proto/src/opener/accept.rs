//! ACCEPT (ovl1 section 4): the server's first frame, by which it proves that it opened the opener.
//!
//! ```text
//! ver u8 | resumed u8 | mac b[32] | maxCircuits u16 | hopWindow u32 | sessionTtl u16 | received u64
//! ```
//! Not here: what the numbers do (`link`).

use std::time::Duration;

use super::{LinkKind, LinkSecrets, VERSION};
use crate::codec::{Malformed, Reader};
use crate::kdf::equal;
use crate::link::terms::LinkTerms;

/// What an ACCEPT says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accept {
    /// The version that is spoken.
    pub version: u8,
    /// The session of before goes on, from `received`.
    pub resumed: bool,
    /// Circuits and windows, for both directions.
    pub terms: LinkTerms,
    /// How long a session survives a cut, in whole seconds: 60 by default and at most.
    pub session_ttl: Duration,
    /// Sequenced bytes that the server received in this session.
    pub received: u64,
}

/// Why an ACCEPT is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcceptFault {
    /// The MAC is wrong: whoever answered did not open the opener (`O104`).
    #[error("the entry did not prove its key; interception?")]
    Unproven,
    /// It is proven, and breaks the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Accept {
    /// Bytes of the frame's body.
    pub const LENGTH: usize = 50;

    /// The frame's body, proven by the link's secrets.
    #[must_use]
    pub fn encode(&self, secrets: &LinkSecrets) -> Vec<u8> {
        let (head, tail) = self.fields();
        let mac = secrets.accept_mac(&[&head, &tail]);
        [&head[..], &mac[..], &tail[..]].concat()
    }

    /// Checks a frame's body: first the MAC, then what it says.
    ///
    /// # Errors
    /// The connection is to be closed, and the entry marked if it is [`AcceptFault::Unproven`].
    pub fn check(body: &[u8], secrets: &LinkSecrets) -> Result<Self, AcceptFault> {
        let mut reader = Reader::new(body);
        let head: [u8; 2] = reader.array("version")?;
        let mac: [u8; 32] = reader.array("mac")?;
        let tail: [u8; 16] = reader.array("terms")?;
        reader.finish()?;
        if !equal(&mac, &secrets.accept_mac(&[&head, &tail])) {
            return Err(AcceptFault::Unproven);
        }
        let [version, resumed] = head;
        Ok(Self::read(version, resumed, &tail, secrets.kind())?)
    }

    fn read(version: u8, resumed: u8, tail: &[u8], kind: LinkKind) -> Result<Self, Malformed> {
        if version != VERSION {
            return Err(Malformed("version"));
        }
        let resumed = match (resumed, kind) {
            (0, LinkKind::New | LinkKind::Resume | LinkKind::Node) => false,
            (1, LinkKind::Resume) => true,
            _not_asked_for => return Err(Malformed("resumed")),
        };
        let mut reader = Reader::new(tail);
        let terms =
            LinkTerms { max_circuits: reader.u16("circuits")?, hop_window: reader.u32("hop window")? };
        let session_ttl = Duration::from_secs(u64::from(reader.u16("session")?));
        Ok(Self { version, resumed, terms, session_ttl, received: reader.u64("received")? })
    }

    fn fields(&self) -> ([u8; 2], Vec<u8>) {
        let ttl = u16::try_from(self.session_ttl.as_secs()).unwrap_or(u16::MAX);
        let mut tail = self.terms.max_circuits.to_be_bytes().to_vec();
        tail.extend(self.terms.hop_window.to_be_bytes());
        tail.extend(ttl.to_be_bytes());
        tail.extend(self.received.to_be_bytes());
        ([self.version, u8::from(self.resumed)], tail)
    }
}
