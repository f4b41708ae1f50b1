//! What arrives sealed in the overlay: openers, CREATEs, ACCEPT, NODE_AUTH.
//!
//! Promises: no panic; what no key sealed does not open; what opens asks for something that ovl1 has, and says again what
//! was sealed. Plaintexts are sealed here, by keys that everybody knows, so that what lies behind a seal is reached too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeS, PskBundle, Serializable, setup_sender_with_rng};
use rand_core::CryptoRng;
use shoalway_overlay_proto::codec::Reader;
use shoalway_overlay_proto::create::{CreateKey, CreatedTerms, KemKeys, Opened};
use shoalway_overlay_proto::identity::Delegation;
use shoalway_overlay_proto::kdf::{Secret, hash, mac};
use shoalway_overlay_proto::link::terms::LinkTerms;
use shoalway_overlay_proto::opener::secrets::NodeAuth;
use shoalway_overlay_proto::opener::{
    Accept, AcceptFault, Binding, EntryKey, GateKeeper, LinkKeyPair, LinkKind, LinkSecrets, OPENER_TEXT,
    OpenerAsk, Purpose, SessionId, VERSION, seal_opener,
};
use shoalway_overlay_proto::record::Suite;
use shoalway_overlay_proto::xwing::XWing;
use shoalway_overlay_proto::{Malformed, UnixTime};
use shoalway_types::wallet::Address;
use std::time::Duration;

use crate::overlay::Chance;

const NODE: Address = Address([0x11; 20]);

fn network() -> [u8; 32] {
    hash(&[b"vector network"])
}

fn secret(word: &[u8]) -> Secret {
    Secret::from(hash(&[word]))
}

fn link_keys() -> LinkKeyPair {
    let Ok(keys) = LinkKeyPair::from_secret(&secret(b"link key")) else { panic!("32 bytes are a key") };
    keys
}

/// An opener: as a cookie's value, and as the 96 bytes in one. The first byte says how the connection came.
///
/// # Panics
/// When a promise is broken.
pub fn opener(data: &[u8]) {
    let mut chance = Chance(1);
    let (keys, gate) = (link_keys(), secret(b"gate"));
    let mut gates = GateKeeper::new(&mut chance);
    assert!(gates.set(5, gate.clone()), "there is such a slot");
    let Some((&form, plain)) = data.split_first() else { return };
    let binding = if form & 1 == 0 { Binding::Exporter([form; 32]) } else { Binding::Front };
    assert!(gates.admit(data, &binding).is_none(), "a value that nobody made");
    let value = seal_plain(plain, &binding, &keys, &gate, &mut chance);
    let other = Binding::Exporter([form ^ 1; 32]);
    assert!(gates.admit(value.as_bytes(), &other).is_none(), "a value of another connection");
    let Some(gated) = gates.admit(value.as_bytes(), &binding) else {
        assert!(value.len() != OPENER_TEXT, "a gate that was not found");
        return;
    };
    assert!(gated.slot() == 5, "another gate");
    let Ok((asked, secrets)) = gated.open(&keys, &network(), NODE) else { return };
    assert!(asked.version == VERSION && asked.kind() == secrets.kind(), "not what was asked");
    assert!(asked.resume.is_some() == (asked.kind() == LinkKind::Resume), "a claim without a session");
    let session = plain.get(8..24);
    assert!(session == Some(&asked.session.0[..]), "another session");
    let timed = asked.check_time(UnixTime(u64::MAX), UnixTime(u64::MAX)).is_err();
    assert!(timed == (binding == Binding::Front), "a clock is read behind a front alone");
    let forged = asked.resume.is_some_and(|claim| claim.is_proven(secrets.resume_key()));
    assert!(!forged, "a session that nobody had");
    assert!(gated.open(&keys, &network(), Address([0x12; 20])).is_err(), "another node's");
}

/// Any bytes as the plaintext of an opener.
fn seal_plain(
    plain: &[u8],
    binding: &Binding,
    keys: &LinkKeyPair,
    gate: &Secret,
    mut chance: &mut dyn CryptoRng,
) -> String {
    type Lh = X25519HkdfSha256;
    let bind = binding.bytes();
    let info = [b"ovl1 link\0", &network()[..], &NODE.0].concat();
    let psk = PskBundle::new(gate.bytes(), b"ovl1 gate");
    let (Ok(psk), Ok(public)) = (psk, <Lh as Kem>::PublicKey::from_bytes(keys.public())) else {
        panic!("the keys are right")
    };
    let mode = OpModeS::Psk(psk);
    let made = setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, Lh>(&mode, &public, &info, &mut chance);
    let Ok((enc, mut context)) = made else { panic!("the key is right") };
    let enc: [u8; 32] = enc.to_bytes().into();
    let Ok(sealed) = context.seal(plain, &bind) else { panic!("the first of its context") };
    let gate = mac(gate, &[b"ovl1 gate\0", &bind, &enc]);
    let (gate, _) = gate.split_at(16);
    URL_SAFE_NO_PAD.encode([&enc[..], gate, &sealed[..]].concat())
}

/// A CREATE: as it comes, and as what is sealed in one. The first byte says how long that is.
///
/// # Panics
/// When a promise is broken.
pub fn create(data: &[u8]) {
    let Ok(key) = CreateKey::new(&secret(b"kem"), UnixTime(10), &mut Chance(2)) else {
        panic!("memory is short")
    };
    let (id, public) = (key.id(), *key.secret().public().bytes());
    let mut keys = KemKeys::default();
    keys.insert(key);
    assert!(keys.open(&network(), NODE, data, UnixTime(0)).is_err(), "a CREATE that nobody made");
    let Some((&form, plain)) = data.split_first() else { return };
    // Lengths that a CREATE has, and the bytes as they are.
    let length = [1_600, 2_772, 3_944, plain.len()].into_iter().nth(usize::from(form % 4));
    let mut plain = plain.to_vec();
    plain.resize(length.unwrap_or_default(), 0);
    let body = seal_create(&plain, id, &public);
    let Ok(opened) = keys.open(&network(), NODE, &body, UnixTime(0)) else { return };
    match opened {
        Opened::Relay(relay) => {
            let layered = u8::from(relay.layer.is_some());
            let again = [&[0, layered, 0, 0][..], &relay.next.0, &[0; 8], &relay.inner].concat();
            assert!(again == plain, "not what was sealed");
        }
        Opened::Exit(request) => {
            let mut said = Reader::new(&plain);
            let read = (said.take(4, "head"), said.take(1216, "eph"), said.v16(354, "token"));
            assert!(read.2 == Ok(&request.token[..]), "another token");
            assert!(said.zeros(said.rest().len(), "padding").is_ok(), "padding that says something");
            let suites = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305];
            let Some(suite) = suites.into_iter().find(|suite| request.suites.contains(*suite)) else {
                panic!("no suite at all")
            };
            let terms = CreatedTerms { suite, circuit: Default::default(), directory: (1, [0; 32]) };
            if let Ok((created, _keys)) = request.answer(&terms, &mut Chance(3)) {
                assert!(created.len() == 1_200, "a CREATED of {} bytes", created.len());
            }
        }
    }
    assert!(keys.open(&network(), NODE, &body, UnixTime(0)).is_err(), "a replay");
}

fn seal_create(plain: &[u8], id: [u8; 4], public: &[u8; 1216]) -> Vec<u8> {
    let info = [b"ovl1 create\0", &network()[..], &NODE.0, &id].concat();
    let Ok(public) = <XWing as Kem>::PublicKey::from_bytes(public) else { panic!("the key is right") };
    let made = setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        &public,
        &info,
        &mut Chance(4),
    );
    let Ok((enc, mut context)) = made else { panic!("the key is right") };
    let Ok(sealed) = context.seal(plain, &[]) else { panic!("the first of its context") };
    [&id[..], &enc.to_bytes(), &sealed].concat()
}

/// ACCEPT: as it comes, and with a right proof over any fields. The first byte says what was asked for.
///
/// # Panics
/// When a promise is broken.
pub fn accept(data: &[u8]) {
    let Some((&form, body)) = data.split_first() else { return };
    let secrets = asked(form);
    match Accept::check(body, &secrets) {
        Err(AcceptFault::Unproven) => assert!(body.len() == Accept::LENGTH, "a length that was not seen"),
        Err(AcceptFault::Malformed(_)) => assert!(body.len() != Accept::LENGTH, "read before it was proven"),
        Ok(_) => panic!("a proof that nobody made"),
    }
    let Ok(said) = fields(body) else { return };
    let written = said.encode(&secrets);
    let possible = said.version == VERSION && (!said.resumed || secrets.kind() == LinkKind::Resume);
    match Accept::check(&written, &secrets) {
        Ok(read) => assert!(possible && read == said, "not what was written"),
        Err(fault) => assert!(!possible && matches!(fault, AcceptFault::Malformed(_)), "{fault}"),
    }
}

fn asked(form: u8) -> LinkSecrets {
    let keys = link_keys();
    let to = EntryKey { network: network(), node: NODE, link_key: *keys.public(), gate: secret(b"gate") };
    let old = |chance: &mut Chance| {
        let ask =
            OpenerAsk { purpose: Purpose::New, session: SessionId([1; 16]), time: UnixTime(0), token: None };
        seal_opener(&to, &Binding::Front, &ask, chance)
    };
    let Ok((_, before)) = old(&mut Chance(5)) else { panic!("the key is right") };
    let purpose = match form % 3 {
        0 => Purpose::New,
        1 => Purpose::Resume { key: before.resume_key(), received: 7 },
        _ => Purpose::Node,
    };
    let ask = OpenerAsk { purpose, session: SessionId([1; 16]), time: UnixTime(0), token: None };
    let Ok((_, secrets)) = seal_opener(&to, &Binding::Front, &ask, &mut Chance(6)) else {
        panic!("the key is right")
    };
    secrets
}

fn fields(body: &[u8]) -> Result<Accept, Malformed> {
    let mut reader = Reader::new(body);
    let (version, resumed) = (reader.u8("version")?, reader.u8("resumed")? == 1);
    reader.take(32, "mac")?;
    let terms = LinkTerms { max_circuits: reader.u16("circuits")?, hop_window: reader.u32("window")? };
    let session_ttl = Duration::from_secs(reader.u16("session")?.into());
    Ok(Accept { version, resumed, terms, session_ttl, received: reader.u64("received")? })
}

/// NODE_AUTH, and the delegation in it.
///
/// # Panics
/// When a promise is broken.
pub fn node_auth(data: &[u8]) {
    let Ok(auth) = NodeAuth::decode(data) else {
        assert!(data.len() != NodeAuth::LENGTH, "the right length is not read");
        return;
    };
    assert!(auth.encode() == data, "not written back as it was read");
    if let Ok(delegation) = Delegation::parse(&auth.delegation) {
        assert!(delegation.encode() == auth.delegation, "not written back as it was read");
    }
}
