//! A hop's side: what a CREATE asks of it, and the exit's answer (ovl1 sections 6.1, 6.2).
//!
//! Not here: which keys a node holds (`keys`), whether the next node may be forwarded to, budgets (`overlay`).

use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use rand_core::CryptoRng;
use shoalway_types::wallet::Address;
use zeroize::Zeroizing;

use super::{
    CREATE_EXIT, CREATE_THREE, CREATE_TWO, CREATED, CreateFault, CreatedTerms, KEY_ID, MAX_TOKEN, PUBLIC,
    Suites, XWing, XWingPublic, create_info, created_info, psk, record_keys,
};
use crate::codec::{Malformed, Reader};
use crate::kdf::exporter::{Aead, Exporter, Kdf};
use crate::kdf::{Secret, hash};
use crate::layer::LayerKeys;
use crate::record::RecordKeys;
use crate::xwing::{BadKey, ENCAPSULATION, XWingSecret};

/// What a CREATE asks of the hop that opened it.
#[derive(Debug)]
pub enum Opened {
    /// To forward what is inside.
    Relay(RelayRequest),
    /// To be the exit.
    Exit(ExitRequest),
}

/// A relay's part of a circuit.
#[derive(Debug)]
pub struct RelayRequest {
    /// The next node; it must be in the relay's own directory, and is not it, its family or where this came from.
    pub next: Address,
    /// The layer to add and remove, in a path of three hops.
    pub layer: Option<LayerKeys>,
    /// The CREATE for the next node, to be sent unchanged.
    pub inner: Vec<u8>,
}

/// An exit's part of a circuit, before its answer.
#[derive(Debug)]
pub struct ExitRequest {
    /// What the client takes.
    pub suites: Suites,
    /// A token, or nothing.
    pub token: Zeroizing<Vec<u8>>,
    eph: XWingPublic,
    psk: Secret,
    info: Vec<u8>,
}

/// The exit's keys of a circuit that it answered.
#[derive(Debug)]
pub struct ExitCircuit {
    /// For records to the client.
    pub tx: RecordKeys,
    /// For records from the client.
    pub rx: RecordKeys,
}

/// What the node is, and whom the CREATE came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The roles it has in the snapshot.
    pub role: HopRoles,
    /// The neighbour.
    pub from: Neighbour,
}

/// Which parts of a path a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopRoles {
    /// First after a client.
    pub entry: bool,
    /// Between two nodes.
    pub middle: bool,
    /// Last.
    pub exit: bool,
}

/// Who sent a CREATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// A client, over its own link.
    Client,
    /// A node, over a trunk.
    Node,
}

impl Opened {
    /// Whether it fits what the node is and whom it came from: nobody is entry and exit of one path, and the length and
    /// layer are those of a path of 2 or 3 hops.
    ///
    /// # Errors
    /// [`CreateFault::Refused`] for a role, [`CreateFault::Length`] for a path that cannot be.
    pub fn fits(&self, standing: Standing) -> Result<(), CreateFault> {
        let roles = standing.role;
        let (permitted, possible, length) = match (self, standing.from) {
            (Self::Exit(_), Neighbour::Client) => (false, true, CREATE_EXIT),
            (Self::Exit(_), Neighbour::Node) => (roles.exit, true, CREATE_EXIT),
            (Self::Relay(relay), Neighbour::Client) => {
                let layered = relay.inner.len() == CREATE_TWO;
                (roles.entry, layered == relay.layer.is_some(), relay.inner.len())
            }
            (Self::Relay(relay), Neighbour::Node) => {
                let last = relay.inner.len() == CREATE_EXIT;
                (roles.middle, last && relay.layer.is_some(), relay.inner.len())
            }
        };
        match (permitted, possible) {
            (false, _) => Err(CreateFault::Refused),
            (true, false) => Err(CreateFault::Length(length)),
            (true, true) => Ok(()),
        }
    }
}

/// A CREATE: the key's name, the encapsulation, what is sealed.
type Parts<'a> = ([u8; KEY_ID], &'a [u8; ENCAPSULATION], &'a [u8]);

/// Takes a CREATE of a permitted length apart.
pub(super) fn parts(body: &[u8]) -> Result<Parts<'_>, CreateFault> {
    let length = CreateFault::Length(body.len());
    if ![CREATE_EXIT, CREATE_TWO, CREATE_THREE].contains(&body.len()) {
        return Err(length);
    }
    let (id, rest) = body.split_first_chunk::<KEY_ID>().ok_or(length)?;
    let (enc, sealed) = rest.split_first_chunk::<ENCAPSULATION>().ok_or(length)?;
    Ok((*id, enc, sealed))
}

/// Opens one layer of a CREATE with the key that it names.
pub(super) fn open(
    network: &[u8; 32],
    node: Address,
    key: &XWingSecret,
    body: &[u8],
) -> Result<Opened, CreateFault> {
    let (id, enc, sealed) = parts(body)?;
    let enc = <XWing as Kem>::EncappedKey::from_bytes(enc).map_err(|_length| CreateFault::Sealed)?;
    let info = create_info(network, node, id);
    let mut context = setup_receiver::<Aead, Kdf, XWing>(&OpModeR::Base, key, &enc, &info)
        .map_err(|_no_key| CreateFault::Sealed)?;
    let plain = Zeroizing::new(context.open(sealed, &[]).map_err(|_sealed| CreateFault::Sealed)?);
    let mut reader = Reader::new(&plain);
    let opened = match reader.u8("kind")? {
        0 => Opened::Relay(read_relay(reader, &context)?),
        1 => Opened::Exit(read_exit(reader, body, &context, |hash| created_info(network, node, hash))?),
        _unknown => return Err(Malformed("kind").into()),
    };
    Ok(opened)
}

fn read_relay(mut reader: Reader<'_>, context: &impl Exporter) -> Result<RelayRequest, CreateFault> {
    let layer = match reader.u8("layer")? {
        0 => None,
        1 => Some(LayerKeys::exported(context)),
        _unknown => return Err(Malformed("layer").into()),
    };
    reader.zeros(2, "reserved")?;
    let next = Address(reader.array("next")?);
    reader.zeros(8, "reserved")?;
    let inner = reader.rest();
    if inner.len() != CREATE_EXIT && inner.len() != CREATE_TWO {
        return Err(CreateFault::Length(inner.len()));
    }
    Ok(RelayRequest { next, layer, inner: inner.to_vec() })
}

fn read_exit(
    mut reader: Reader<'_>,
    body: &[u8],
    context: &impl Exporter,
    info: impl FnOnce(&[u8; 32]) -> Vec<u8>,
) -> Result<ExitRequest, CreateFault> {
    if body.len() != CREATE_EXIT {
        return Err(CreateFault::Length(body.len()));
    }
    let suites = Suites::read(reader.u8("suites")?)?;
    reader.zeros(2, "reserved")?;
    let eph = XWingPublic::from(&reader.array::<PUBLIC>("eph")?);
    let token = Zeroizing::new(reader.v16(MAX_TOKEN, "token")?.to_vec());
    reader.zeros(reader.rest().len(), "padding")?;
    let psk = context.exported("ovl1 created psk");
    Ok(ExitRequest { suites, token, eph, psk, info: info(&hash(&[body])) })
}

impl ExitRequest {
    /// The exit's answer: the body of CREATED, and the keys of the circuit. All that stood for it is erased; the
    /// circuit is worth nothing to anybody but the holder of the client's key.
    ///
    /// # Errors
    /// The client's key is none, or the suite in `terms` was not offered: the circuit ends with code 1.
    pub fn answer(
        self,
        terms: &CreatedTerms,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Vec<u8>, ExitCircuit), BadKey> {
        self.answer_with::<XWing>(terms, rng)
    }

    pub(super) fn answer_with<K: Kem>(
        self,
        terms: &CreatedTerms,
        mut rng: &mut dyn CryptoRng,
    ) -> Result<(Vec<u8>, ExitCircuit), BadKey> {
        if !self.suites.contains(terms.suite) {
            return Err(BadKey);
        }
        let eph = K::PublicKey::from_bytes(self.eph.bytes()).map_err(|_no_key| BadKey)?;
        let mode = OpModeS::Psk(psk(&self.psk));
        let (enc, mut context) = setup_sender_with_rng::<Aead, Kdf, K>(&mode, &eph, &self.info, &mut rng)
            .map_err(|_no_key| BadKey)?;
        let sealed = context.seal(&terms.encode(), &[]).map_err(|_too_many| BadKey)?;
        let mut body = Vec::with_capacity(CREATED);
        body.extend_from_slice(&enc.to_bytes());
        body.extend_from_slice(&sealed);
        let (rx, tx) = record_keys(&context, terms.suite);
        Ok((body, ExitCircuit { tx, rx }))
    }
}
