//! The client's side: CREATE out, CREATED in (ovl1 sections 6.1, 6.2).
//!
//! Not here: time-outs and stock (`overlay`), what a hop does (`hop`).

use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use rand_core::CryptoRng;
use shoalway_types::wallet::Address;
use std::fmt;
use zeroize::Zeroizing;

use super::{
    BuildError, CREATED, CreatedTerms, EXIT_PLAIN, HopKey, MAX_TOKEN, Offer, PUBLIC, Suites, XWing,
    create_info, created_info, psk, record_keys,
};
use crate::codec::Put;
use crate::kdf::exporter::{Aead, Exporter, Kdf};
use crate::kdf::{Secret, hash};
use crate::layer::{ClientLayers, LayerKeys};
use crate::record::RecordKeys;
use crate::xwing::{ENCAPSULATION, XWingSecret};

/// A circuit whose CREATE is on its way: what opens the CREATED. Dropping it makes the circuit unusable for ever.
#[cfg_attr(test, derive(Clone))]
pub struct PendingCircuit {
    eph: XWingSecret,
    sealed: SealedPath,
    network: [u8; 32],
    exit: Address,
    offered: Suites,
}

/// What sealing a CREATE leaves behind at the client.
#[cfg_attr(test, derive(Clone))]
struct SealedPath {
    create: Vec<u8>,
    psk: Secret,
    exit_create_hash: [u8; 32],
    layers: Vec<LayerKeys>,
}

/// A circuit that stands. Only its two ends can open it, and no static key of any node helps.
#[derive(Debug)]
pub struct ReadyCircuit {
    /// What the exit says about it.
    pub terms: CreatedTerms,
    /// For records to the exit.
    pub tx: RecordKeys,
    /// For records from the exit.
    pub rx: RecordKeys,
    /// The relays' layers; CREATED is counted already.
    pub layers: ClientLayers,
}

/// The CREATED does not come from the exit, or was changed: DESTROY 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer of the exit does not open")]
pub struct Broken;

/// Builds the CREATE of a path, entry first, and what opens the answer. The KEM draws from aws-lc's generator; `rng` is
/// there for a KEM that takes one.
///
/// # Errors
/// Not 2 or 3 hops, a token that is too long, or a hop whose key is none.
pub fn build(
    network: &[u8; 32],
    hops: &[HopKey],
    offer: &Offer<'_>,
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, PendingCircuit), BuildError> {
    let eph = XWingSecret::generate().map_err(|_no_key| BuildError::NoMemory)?;
    build_with::<XWing>(network, hops, offer, eph, rng)
}

/// As [`build`], with another implementation of X-Wing and a stated key.
pub(super) fn build_with<K: Kem>(
    network: &[u8; 32],
    hops: &[HopKey],
    offer: &Offer<'_>,
    eph: XWingSecret,
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, PendingCircuit), BuildError> {
    let mut sealed = seal_path::<K>(network, hops, eph.public().bytes(), offer, rng)?;
    let create = std::mem::take(&mut sealed.create);
    let exit = hops.last().ok_or(BuildError::Hops(0))?.node;
    Ok((create, PendingCircuit { eph, sealed, network: *network, exit, offered: offer.suites }))
}

/// Seals from the exit outward.
fn seal_path<K: Kem>(
    network: &[u8; 32],
    hops: &[HopKey],
    eph: &[u8; PUBLIC],
    offer: &Offer<'_>,
    rng: &mut dyn CryptoRng,
) -> Result<SealedPath, BuildError> {
    let (exit, relays) = match hops {
        [relays @ .., exit] if (1..=2).contains(&relays.len()) => (exit, relays),
        _other => return Err(BuildError::Hops(hops.len())),
    };
    let plain = exit_plain(eph, offer)?;
    let (mut create, context) =
        seal_hop::<K>(network, exit, &plain, rng).ok_or(BuildError::Key(relays.len()))?;
    let psk = context.exported("ovl1 created psk");
    let exit_create_hash = hash(&[&create]);
    let layered = relays.len() == 2;
    let (mut layers, mut next) = (Vec::new(), exit.node);
    for (number, relay) in relays.iter().enumerate().rev() {
        let plain = relay_plain(layered, next, &create);
        let (outer, context) = seal_hop::<K>(network, relay, &plain, rng).ok_or(BuildError::Key(number))?;
        if layered {
            layers.push(LayerKeys::exported(&context));
        }
        (create, next) = (outer, relay.node);
    }
    Ok(SealedPath { create, psk, exit_create_hash, layers })
}

type SenderContext<K> = hpke::aead::AeadCtxS<Aead, Kdf, K>;

/// `id | enc | seal(plain)`; nothing when the hop's key is none.
fn seal_hop<K: Kem>(
    network: &[u8; 32],
    hop: &HopKey,
    plain: &[u8],
    mut rng: &mut dyn CryptoRng,
) -> Option<(Vec<u8>, SenderContext<K>)> {
    let key = K::PublicKey::from_bytes(hop.kem.bytes()).ok()?;
    let info = create_info(network, hop.node, hop.id);
    let (enc, mut context) =
        setup_sender_with_rng::<Aead, Kdf, K>(&OpModeS::Base, &key, &info, &mut rng).ok()?;
    let sealed = context.seal(plain, &[]).ok()?;
    Some(([&hop.id[..], &enc.to_bytes()[..], &sealed[..]].concat(), context))
}

fn exit_plain(eph: &[u8; PUBLIC], offer: &Offer<'_>) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    if offer.token.len() > MAX_TOKEN {
        return Err(BuildError::Token(offer.token.len()));
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(EXIT_PLAIN));
    plain.extend([1, offer.suites.0, 0, 0]);
    plain.extend(eph);
    plain.put_v16(offer.token);
    plain.resize(EXIT_PLAIN, 0);
    Ok(plain)
}

fn relay_plain(layered: bool, next: Address, inner: &[u8]) -> Vec<u8> {
    [&[0, u8::from(layered), 0, 0][..], &next.0[..], &[0; 8][..], inner].concat()
}

impl LayerKeys {
    /// The layer of a relay, from its CREATE context.
    pub(super) fn exported(context: &impl Exporter) -> Self {
        Self { to_exit: context.exported("ovl1 layer c2x"), to_client: context.exported("ovl1 layer x2c") }
    }
}

impl PendingCircuit {
    /// Opens the body of the CREATED that arrived. The circuit's own key is erased, whatever the outcome.
    ///
    /// # Errors
    /// It is not the exit's answer to this CREATE.
    pub fn created(self, body: &[u8]) -> Result<ReadyCircuit, Broken> {
        let mut body: [u8; CREATED] = body.try_into().map_err(|_length| Broken)?;
        let mut layers = ClientLayers::new(self.sealed.layers);
        layers.remove(&mut body);
        let (enc, sealed) = body.split_first_chunk::<ENCAPSULATION>().ok_or(Broken)?;
        let enc = <XWing as Kem>::EncappedKey::from_bytes(enc).map_err(|_length| Broken)?;
        let info = created_info(&self.network, self.exit, &self.sealed.exit_create_hash);
        let mode = OpModeR::Psk(psk(&self.sealed.psk));
        let mut context =
            setup_receiver::<Aead, Kdf, XWing>(&mode, &self.eph, &enc, &info).map_err(|_no_key| Broken)?;
        let plain = context.open(sealed, &[]).map_err(|_sealed| Broken)?;
        let terms = CreatedTerms::decode(&plain, self.offered).map_err(|_malformed| Broken)?;
        let (tx, rx) = record_keys(&context, terms.suite);
        Ok(ReadyCircuit { terms, tx, rx, layers })
    }
}

impl fmt::Debug for PendingCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingCircuit(..)")
    }
}
