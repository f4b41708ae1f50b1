//! A node: its names and keys, as they stand in descriptors and invitations.

use super::chance::Chance;
use k256::ecdsa::SigningKey;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::create::hop::HopRoles;
use shoalway_overlay_proto::create::{CreateKey, HopKey, KemKeys};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{Delegation, DelegationTerms, Roles, address_of};
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::opener::{EntryKey, GateKeeper, LinkKeyPair};
use shoalway_types::wallet::Address;

/// The network's id.
pub const NETWORK: [u8; 32] = [0x4e; 32];
/// Unix time, which does not pass.
pub const TODAY: UnixTime = UnixTime(1_800_000_000);

/// A node.
pub struct Node {
    pub address: Address,
    pub roles: HopRoles,
    pub kems: KemKeys,
    pub hop: HopKey,
    seed: [u8; 32],
    pub link: LinkKeyPair,
    pub gates: GateKeeper,
    /// Through the gate of invitations, and through the one in the descriptor.
    pub invitation: EntryKey,
    pub descriptor: EntryKey,
    pub signing: SecretKey,
    pub delegation: [u8; 143],
}

impl Node {
    pub fn new(chance: &mut Chance, roles: HopRoles) -> Self {
        let wallet = SigningKey::from_slice(&chance.bytes(32)).unwrap();
        let address = address_of(wallet.verifying_key());
        let seed: [u8; 32] = chance.bytes(32).try_into().unwrap();
        let (kems, hop) = kems(seed, address, chance);
        let link = LinkKeyPair::from_secret(&Secret::random(chance)).unwrap();
        let mut gates = GateKeeper::new(chance);
        let gate = [Secret::random(chance), Secret::random(chance)];
        assert!(gates.set(GateKeeper::LINK_GATE, gate[0].clone()) && gates.set(3, gate[1].clone()));
        let entry = |gate: &Secret| EntryKey {
            network: NETWORK,
            node: address,
            link_key: *link.public(),
            gate: gate.clone(),
        };
        let signing = SecretKey::from_seed(&chance.bytes(32).try_into().unwrap());
        let delegation = delegation(&wallet, signing.public());
        let (descriptor, invitation) = (entry(&gate[0]), entry(&gate[1]));
        Self { address, roles, kems, hop, seed, link, gates, invitation, descriptor, signing, delegation }
    }

    /// What it remembered of CREATEs is lost, as after a restart.
    pub fn forget(&mut self, chance: &mut Chance) {
        (self.kems, _) = kems(self.seed, self.address, chance);
    }
}

fn kems(seed: [u8; 32], node: Address, chance: &mut Chance) -> (KemKeys, HopKey) {
    let key = CreateKey::new(&seed.into(), TODAY, chance).unwrap();
    let hop = HopKey { node, id: key.id(), kem: key.secret().public().clone() };
    let mut kems = KemKeys::default();
    kems.insert(key);
    (kems, hop)
}

fn delegation(wallet: &SigningKey, node_key: [u8; 32]) -> [u8; 143] {
    let terms = DelegationTerms {
        node: address_of(wallet.verifying_key()),
        node_key,
        roles: Roles::ENTRY,
        not_before: TODAY,
        not_after: TODAY.plus(86_400),
        serial: 1,
    };
    let (halves, id) = wallet.sign_prehash_recoverable(&terms.digest(&NETWORK));
    let mut signature = [27 + id.to_byte(); 65];
    signature[..64].copy_from_slice(&halves.to_bytes());
    Delegation { terms, signature }.encode().try_into().unwrap()
}
