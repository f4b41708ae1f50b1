//! The gate: which cookie values are worth opening (ovl1 section 4, server, steps a to d).
//!
//! A guess costs the server 16 MACs whatever it is, and the answer tells nothing: slots that nobody uses hold random
//! keys. Not here: budgets, path and method, and which slot is whose (`overlay`).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::CryptoRng;
use shoalway_types::wallet::Address;
use std::fmt;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{
    Asked, Binding, ENC, GATE, LinkKeyPair, LinkSecrets, OPENER, OPENER_TEXT, Refused, gate_mac, gate_parts,
};
use crate::kdf::{Secret, mac_with};

/// The gates of one node: 16 slots. By custom slot 0 ([`GateKeeper::LINK_GATE`]) is `linkGate` of the descriptor, the
/// others are of invitations.
pub struct GateKeeper {
    slots: [Slot; Self::SLOTS],
}

struct Slot {
    gate: Secret,
    prepared: hmac::Key,
}

impl GateKeeper {
    /// How many gates a node can have at one time.
    pub const SLOTS: usize = 16;
    /// The slot of the gate in the descriptor.
    pub const LINK_GATE: usize = 0;

    /// Nobody is admitted: all slots hold random keys.
    #[must_use]
    pub fn new(rng: &mut dyn CryptoRng) -> Self {
        Self { slots: std::array::from_fn(|_slot| Slot::new(Secret::random(rng))) }
    }

    /// Whoever knows this gate is admitted; who knew the slot's old one is not any more. `false` when there is no such
    /// slot.
    pub fn set(&mut self, slot: usize, gate: Secret) -> bool {
        self.slots.get_mut(slot).map(|held| *held = Slot::new(gate)).is_some()
    }

    /// The slot admits nobody any more.
    pub fn clear(&mut self, slot: usize, rng: &mut dyn CryptoRng) {
        self.set(slot, Secret::random(rng));
    }

    /// Looks at a cookie's value on a connection with this binding. `None` goes the way of every other request; time
    /// depends on nothing in a value of [`OPENER_TEXT`] characters. All other lengths are no openers.
    #[must_use]
    pub fn admit(&self, value: &[u8], binding: &Binding) -> Option<Gated> {
        if value.len() != OPENER_TEXT {
            return None;
        }
        let opener = decode(value);
        let (enc, gate) = (opener.first_chunk::<ENC>()?, opener.get(ENC..ENC + GATE)?);
        let bind = binding.bytes();
        let (mut found, mut slot) = (Choice::from(0), 0u8);
        for (number, held) in (0u8..).zip(&self.slots) {
            let computed = gate_mac(&mac_with(&held.prepared, &gate_parts(&bind, enc)));
            let hit = computed.ct_eq(gate);
            slot.conditional_assign(&number, hit);
            found |= hit;
        }
        let held = self.slots.get(usize::from(slot))?;
        bool::from(found).then(|| Gated {
            opener: Box::new(opener),
            binding: *binding,
            gate: held.gate.clone(),
            slot: usize::from(slot),
        })
    }
}

impl Slot {
    fn new(gate: Secret) -> Self {
        let prepared = hmac::Key::new(hmac::HMAC_SHA256, gate.bytes());
        Self { gate, prepared }
    }
}

impl fmt::Debug for GateKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GateKeeper(..)")
    }
}

/// The bytes of a value, zeros where it is no base64url.
fn decode(value: &[u8]) -> [u8; OPENER] {
    // The decoder wants room for whole groups of three.
    let mut room = [0; OPENER.next_multiple_of(3)];
    let decoded = URL_SAFE_NO_PAD.decode_slice(value, &mut room);
    match (decoded, room.first_chunk::<OPENER>()) {
        (Ok(OPENER), Some(opener)) => *opener,
        _no_opener => [0; OPENER],
    }
}

/// An opener that a gate admitted. Opening it costs an X25519: the budget is asked first.
pub struct Gated {
    opener: Box<[u8; OPENER]>,
    binding: Binding,
    gate: Secret,
    slot: usize,
}

impl Gated {
    /// Through which gate it came. Exits and middles that are no entries refuse clients; an entry that is one of them
    /// too takes clients through any gate but [`GateKeeper::LINK_GATE`].
    #[must_use]
    pub const fn slot(&self) -> usize {
        self.slot
    }

    /// Its encapsulation, for the set of openers seen behind a front.
    #[must_use]
    pub fn enc(&self) -> &[u8; 32] {
        self.opener.first_chunk().unwrap_or(&[0; 32])
    }

    /// Opens it with the node's key. What is asked for is checked further: [`Asked::check_time`] and
    /// [`OpenerSet`](crate::replay::OpenerSet) behind a front, the session (unused, or resumed with proof), the token.
    ///
    /// # Errors
    /// It was not sealed for this node and connection, or asks for what ovl1 does not have.
    pub fn open(
        &self,
        keys: &LinkKeyPair,
        network: &[u8; 32],
        node: Address,
    ) -> Result<(Asked, LinkSecrets), Refused> {
        keys.open((network, node), &self.gate, &self.binding, &self.opener)
    }
}

impl fmt::Debug for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gated").field("slot", &self.slot).finish_non_exhaustive()
    }
}
