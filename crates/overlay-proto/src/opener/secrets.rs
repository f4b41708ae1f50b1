//! What both ends of a link know once an opener was accepted (ovl1 sections 4 and 9): the exports of its context, and
//! what is proven with them.
//!
//! Not here: the fields of ACCEPT (`opener/accept.rs`), signatures of nodes (`identity`), sessions (`link/session.rs`).

use std::fmt;

use super::{ENC, LinkKind};
use crate::codec::{Malformed, Reader};
use crate::kdf::exporter::Exporter;
use crate::kdf::{Secret, equal, mac};
use crate::record::link::{LinkOpener, LinkSealer};

/// The secrets of one link.
pub struct LinkSecrets {
    accept: Secret,
    node: Secret,
    to_server: Secret,
    to_client: Secret,
    resume: ResumeKey,
    pad: Secret,
    bind: [u8; 33],
    kind: LinkKind,
}

/// What proves, after a cut, that the session's latest opener was one's own. Kept in memory with the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeKey(pub(super) Secret);

impl LinkSecrets {
    pub(super) fn exported(context: &impl Exporter, bind: [u8; 33], kind: LinkKind) -> Self {
        Self {
            accept: context.exported("ovl1 accept"),
            node: context.exported("ovl1 node"),
            to_server: context.exported("ovl1 link c2s"),
            to_client: context.exported("ovl1 link s2c"),
            resume: ResumeKey(context.exported("ovl1 resume")),
            pad: context.exported("ovl1 pad"),
            bind,
            kind,
        }
    }

    /// What the opener asked for.
    #[must_use]
    pub const fn kind(&self) -> LinkKind {
        self.kind
    }

    /// What a node that dialled signs with its key, and the acceptor checks: `"ovl1 node\0" || bind || export`.
    #[must_use]
    pub fn node_auth_bytes(&self) -> Vec<u8> {
        [b"ovl1 node\0", &self.bind[..], &self.node.bytes()[..]].concat()
    }

    /// For the next opener of this session, if the link is cut.
    #[must_use]
    pub const fn resume_key(&self) -> &ResumeKey {
        &self.resume
    }

    /// The seed of the padding machines of this link.
    #[must_use]
    pub const fn pad_seed(&self) -> &Secret {
        &self.pad
    }

    /// Behind a front, at the client: what protects the link's bytes on their way out and in.
    #[must_use]
    pub fn client_link_keys(&self) -> (LinkSealer, LinkOpener) {
        (LinkSealer::new(&self.to_server), LinkOpener::new(&self.to_client))
    }

    /// Behind a front, at the server: what protects the link's bytes on their way out and in.
    #[must_use]
    pub fn server_link_keys(&self) -> (LinkSealer, LinkOpener) {
        (LinkSealer::new(&self.to_client), LinkOpener::new(&self.to_server))
    }

    pub(super) fn accept_mac(&self, other_fields: &[&[u8]]) -> [u8; 32] {
        let label: &[u8] = b"ovl1 accept\0";
        mac(&self.accept, &[&[label], other_fields].concat())
    }
}

impl fmt::Debug for LinkSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSecrets").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What an opener of kind resume claims.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeClaim {
    /// Sequenced bytes that the client received.
    pub received: u64,
    pub(super) mac: [u8; 16],
    pub(super) bind: [u8; 33],
    pub(super) enc: [u8; ENC],
}

impl ResumeClaim {
    /// Whether it comes from who holds the session: `key` is of the session's latest accepted opener.
    #[must_use]
    pub fn is_proven(&self, key: &ResumeKey) -> bool {
        equal(&self.mac, &resume_mac(key, &self.bind, &self.enc, self.received))
    }
}

impl fmt::Debug for ResumeClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeClaim").field("received", &self.received).finish_non_exhaustive()
    }
}

/// `resumeMac` of section 9.
pub(super) fn resume_mac(key: &ResumeKey, bind: &[u8; 33], enc: &[u8; ENC], received: u64) -> [u8; 16] {
    super::gate_mac(&mac(&key.0, &[b"ovl1 resume\0", bind, enc, &received.to_be_bytes()]))
}

/// NODE_AUTH: the dialling node's delegation, and its signature over [`LinkSecrets::node_auth_bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAuth {
    /// As its wallet signed it (section 2.1).
    pub delegation: [u8; 143],
    /// Ed25519 by the delegated key.
    pub sig: [u8; 64],
}

impl NodeAuth {
    /// Bytes of the frame's body.
    pub const LENGTH: usize = 207;

    /// The frame's body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.delegation[..], &self.sig[..]].concat()
    }

    /// Takes a frame's body apart; nothing is checked yet.
    ///
    /// # Errors
    /// Any other length.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let auth = Self { delegation: reader.array("delegation")?, sig: reader.array("signature")? };
        reader.finish()?;
        Ok(auth)
    }
}
