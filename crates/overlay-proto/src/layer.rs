//! The layer that each relay of a path of three hops adds or removes (ovl1 section 6.3): ChaCha20 over the bodies of
//! CREATED and DATA, one nonce a frame.
//!
//! Length stays, and nothing is authenticated, by design: the exit's AEAD finds every change. Not here: which relay
//! has one (`create`), the records inside (`record`).

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

use crate::kdf::Secret;

/// The keys of one relay's layer, exports of its own CREATE context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerKeys {
    /// For frames on their way to the exit.
    pub to_exit: Secret,
    /// For frames on their way to the client.
    pub to_client: Secret,
}

/// One relay's layer in one direction. Adding and removing are the same.
#[derive(Debug, Clone)]
pub struct Layer {
    key: Secret,
    frames: u64,
}

impl Layer {
    /// At the first frame of its direction.
    #[must_use]
    pub const fn new(key: Secret) -> Self {
        Self { key, frames: 0 }
    }

    /// Adds the layer to the body of the next CREATED or DATA, or removes it.
    pub fn apply(&mut self, body: &mut [u8]) {
        let mut nonce = [0; 12];
        nonce.iter_mut().skip(4).zip(self.frames.to_be_bytes()).for_each(|(to, from)| *to = from);
        ChaCha20::new(self.key.bytes().into(), &nonce.into()).apply_keystream(body);
        self.frames += 1;
    }
}

/// Both directions at a relay.
#[derive(Debug, Clone)]
pub struct RelayLayer {
    /// For DATA from the client.
    pub to_exit: Layer,
    /// For CREATED and DATA from the exit.
    pub to_client: Layer,
}

impl RelayLayer {
    /// At the beginning of a circuit.
    #[must_use]
    pub fn new(keys: LayerKeys) -> Self {
        Self { to_exit: Layer::new(keys.to_exit), to_client: Layer::new(keys.to_client) }
    }
}

/// All layers of a path at the client, none for a path of two hops.
#[derive(Debug, Clone, Default)]
pub struct ClientLayers {
    to_exit: Vec<Layer>,
    to_client: Vec<Layer>,
}

impl ClientLayers {
    /// At the beginning of a circuit, one for each relay that has a layer.
    #[must_use]
    pub fn new(relays: Vec<LayerKeys>) -> Self {
        let both = |keys: LayerKeys| (Layer::new(keys.to_exit), Layer::new(keys.to_client));
        let (to_exit, to_client) = relays.into_iter().map(both).unzip();
        Self { to_exit, to_client }
    }

    /// Whether there is nothing to do: a path of two hops.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.to_exit.is_empty()
    }

    /// Adds all layers to a record for the exit.
    pub fn add(&mut self, body: &mut [u8]) {
        self.to_exit.iter_mut().for_each(|layer| layer.apply(body));
    }

    /// Removes all layers from the body of a CREATED or DATA that arrived.
    pub fn remove(&mut self, body: &mut [u8]) {
        self.to_client.iter_mut().for_each(|layer| layer.apply(body));
    }
}

#[cfg(test)]
mod tests;
