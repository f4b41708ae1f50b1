//! The KEM keys that a node holds: which one a CREATE names, and what each has opened before (ovl1 sections 2.2, 6.1).
//!
//! Not here: when keys are made, how they are stored (`overlay`).

use rand_core::CryptoRng;
use shoalway_types::wallet::Address;

use super::hop::{self, Opened};
use super::{CreateFault, KEY_ID};
use crate::UnixTime;
use crate::kdf::{Secret, hash};
use crate::replay::{CreateSet, EncHash};
use crate::xwing::{BadKey, XWingSecret};

/// One key, expanded, with its replay set.
#[derive(Debug)]
pub struct CreateKey {
    id: [u8; KEY_ID],
    secret: XWingSecret,
    not_after: UnixTime,
    seen: CreateSet,
}

impl CreateKey {
    /// The key of a stored seed, accepted until `not_after`.
    ///
    /// # Errors
    /// Only when memory is short.
    pub fn new(seed: &Secret, not_after: UnixTime, rng: &mut dyn CryptoRng) -> Result<Self, BadKey> {
        let secret = XWingSecret::from_seed(seed)?;
        let [a, b, c, d, ..] = hash(&[b"ovl1 kem\0", secret.public().bytes()]);
        Ok(Self { id: [a, b, c, d], secret, not_after, seen: CreateSet::new(rng) })
    }

    /// The key's name in descriptors and CREATE.
    #[must_use]
    pub const fn id(&self) -> [u8; KEY_ID] {
        self.id
    }

    /// Its private part.
    #[must_use]
    pub const fn secret(&self) -> &XWingSecret {
        &self.secret
    }
}

/// All keys of a node that are not erased yet, at most a few.
#[derive(Debug, Default)]
pub struct KemKeys {
    keys: Vec<CreateKey>,
}

impl KemKeys {
    /// Takes a key, in the place of one of the same name.
    pub fn insert(&mut self, key: CreateKey) {
        self.keys.retain(|held| held.id != key.id);
        self.keys.push(key);
    }

    /// Erases keys that are not accepted any more. Whoever stores their seeds erases those too.
    pub fn expire(&mut self, now: UnixTime) {
        self.keys.retain(|key| now <= key.not_after);
    }

    /// Opens a CREATE for this node: the key it names, the key's replay set, the seal, in this order. A CREATE that
    /// opened does not open again.
    ///
    /// # Errors
    /// The circuit ends with [`CreateFault::code`].
    pub fn open(
        &mut self,
        network: &[u8; 32],
        node: Address,
        body: &[u8],
        now: UnixTime,
    ) -> Result<Opened, CreateFault> {
        let (id, enc, _sealed) = hop::parts(body)?;
        let named = |key: &&mut CreateKey| key.id == id && now <= key.not_after;
        let key = self.keys.iter_mut().find(named).ok_or(CreateFault::UnknownKey)?;
        let enc = EncHash::of(enc);
        if key.seen.contains(enc) {
            return Err(CreateFault::Replay);
        }
        let opened = hop::open(network, node, &key.secret, body)?;
        key.seen.insert(enc);
        Ok(opened)
    }
}
