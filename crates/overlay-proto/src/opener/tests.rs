//! From the client's cookie to ACCEPT and back, and that nothing else gets further than the gate.

use super::*;
use crate::codec::Malformed;
use crate::kdf::{derive, hash};
use crate::link::terms::LinkTerms;
use crate::vectors::{Stated, assert_published, hex, named};
use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const EXPORTED: Binding = Binding::Exporter([0x5e; 32]);
const NODE: Address = Address([0x11; 20]);
const NOW: UnixTime = UnixTime(1_800_000_000);
const STARTED: UnixTime = UnixTime(1_799_999_900);

/// Bytes that a seed stands for, as many as are asked for.
fn chance(seed: &str) -> Stated {
    let block = |number: u8| hash(&[seed.as_bytes(), &[number]]);
    Stated::new((0..=255).flat_map(block))
}

fn network() -> [u8; 32] {
    named("network")
}

fn link_key() -> LinkKeyPair {
    LinkKeyPair::from_secret(&named("link key").into()).unwrap()
}

fn entry() -> EntryKey {
    let link_key = *link_key().public();
    EntryKey { network: network(), node: NODE, link_key, gate: named("gate").into() }
}

fn keeper() -> GateKeeper {
    let mut keeper = GateKeeper::new(&mut chance("slots"));
    assert!(keeper.set(3, named("gate").into()));
    keeper
}

fn ask(purpose: Purpose<'_>) -> OpenerAsk<'_> {
    OpenerAsk { purpose, session: SessionId([0x77; 16]), time: NOW, token: None }
}

fn sealed(binding: &Binding, purpose: Purpose<'_>) -> (String, LinkSecrets) {
    seal_opener(&entry(), binding, &ask(purpose), &mut chance("enc")).unwrap()
}

fn opened(value: &str, binding: &Binding) -> Result<(Asked, LinkSecrets), Refused> {
    let gated = keeper().admit(value.as_bytes(), binding).ok_or(Refused)?;
    gated.open(&link_key(), &network(), NODE)
}

/// An opener with such a plaintext, sealed and gated as a client would.
fn with_plain(plain: &[u8], binding: &Binding) -> String {
    type Lh = X25519HkdfSha256;
    let (to, bind) = (entry(), binding.bytes());
    let key = <Lh as Kem>::PublicKey::from_bytes(&to.link_key).unwrap();
    let (mode, info) = (OpModeS::Psk(psk(&to.gate)), info(&to.network, to.node));
    let (enc, mut context) =
        hpke::setup_sender_with_rng::<Aead, Kdf, Lh>(&mode, &key, &info, &mut chance("plain")).unwrap();
    let enc: [u8; 32] = enc.to_bytes().into();
    let gate = gate_mac(&mac(&to.gate, &gate_parts(&bind, &enc)));
    let sealed = context.seal(plain, &bind).unwrap();
    URL_SAFE_NO_PAD.encode([&enc[..], &gate[..], &sealed[..]].concat())
}

fn plain_of(purpose: Purpose<'_>, binding: &Binding) -> Vec<u8> {
    Plain::of(&ask(purpose), binding, &binding.bytes(), &[0; 32]).encode().to_vec()
}

#[test]
fn what_a_client_asks_for_arrives_and_both_know_the_same_secrets() {
    let token = Secret::from(named("token"));
    for binding in [EXPORTED, Binding::Front] {
        for token in [None, Some(&token)] {
            let asked = OpenerAsk { token, ..ask(Purpose::New) };
            let (value, client) = seal_opener(&entry(), &binding, &asked, &mut chance("enc")).unwrap();
            assert_eq!(value.len(), OPENER_TEXT);
            let gated = keeper().admit(value.as_bytes(), &binding).unwrap();
            assert_eq!(gated.slot(), 3);
            let (got, server) = gated.open(&link_key(), &network(), NODE).unwrap();
            assert_eq!((got.version, got.kind(), got.session), (1, LinkKind::New, asked.session));
            assert_eq!((got.token.as_ref(), got.resume), (token, None));
            assert_eq!(client.node_auth_bytes(), server.node_auth_bytes());
            assert_eq!(client.resume_key(), server.resume_key());
            assert_eq!(client.pad_seed(), server.pad_seed());
            let ((mut to_server, mut from_server), (mut to_client, mut from_client)) =
                (client.client_link_keys(), server.server_link_keys());
            for (seal, open) in [(&mut to_server, &mut from_client), (&mut to_client, &mut from_server)] {
                let (mut wire, mut out) = (BytesMut::new(), BytesMut::new());
                seal.seal(b"a link frame", &mut wire);
                assert_eq!(open.open(&mut wire, &mut out), Ok(true));
                assert_eq!(out[..], b"a link frame"[..]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_session_and_count_arrive(session: [u8; 16], received: u64, token: Option<[u8; 32]>, time: u32) {
        let key = ResumeKey(named("resume").into());
        let token = token.map(Secret::from);
        let asked = OpenerAsk {
            purpose: Purpose::Resume { key: &key, received },
            session: SessionId(session),
            time: UnixTime(time.into()),
            token: token.as_ref(),
        };
        let (value, _secrets) = seal_opener(&entry(), &Binding::Front, &asked, &mut chance("any")).unwrap();
        let (got, _secrets) = opened(&value, &Binding::Front).unwrap();
        prop_assert_eq!((got.kind(), got.session, got.token), (LinkKind::Resume, SessionId(session), token));
        let claim = got.resume.unwrap();
        prop_assert!(claim.received == received && claim.is_proven(&key));
    }

    #[test]
    fn values_nobody_sealed_stop_at_the_gate(value in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(keeper().admit(&value, &EXPORTED).is_none());
        let text = URL_SAFE_NO_PAD.encode(&value);
        prop_assert!(keeper().admit(text.as_bytes(), &EXPORTED).is_none());
    }
}

#[test]
fn every_changed_bit_and_every_truncation_is_refused() {
    let (value, _secrets) = sealed(&EXPORTED, Purpose::New);
    let bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
    let (keeper, key) = (keeper(), link_key());
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let gated = keeper.admit(URL_SAFE_NO_PAD.encode(&changed).as_bytes(), &EXPORTED);
        // The gate covers enc; only changes behind it get as far as the key.
        assert_eq!(gated.is_some(), bit / 8 >= ENC + GATE, "bit {bit}");
        assert!(gated.is_none_or(|gated| gated.open(&key, &network(), NODE).is_err()), "bit {bit}");
    }
    for length in 0..value.len() {
        assert!(keeper.admit(&value.as_bytes()[..length], &EXPORTED).is_none());
    }
    assert!(keeper.admit(format!("{value}A").as_bytes(), &EXPORTED).is_none());
}

#[test]
fn a_value_that_is_no_base64url_is_refused_like_any_other() {
    let (value, _secrets) = sealed(&EXPORTED, Purpose::New);
    // The last character holds two bits; the other four are zero in the one spelling that counts.
    let respelled = format!("{}{}", &value[..213], if value.ends_with('A') { 'B' } else { 'z' });
    for wrong in [value.replacen(|_any| true, "=", 1), value.replacen(|_any| true, "+", 1), respelled] {
        assert_eq!(wrong.len(), OPENER_TEXT);
        assert!(keeper().admit(wrong.as_bytes(), &EXPORTED).is_none(), "{wrong}");
    }
}

#[test]
fn an_opener_is_for_one_connection_node_network_key_and_gate() {
    let (value, _secrets) = sealed(&EXPORTED, Purpose::New);
    for elsewhere in [Binding::Exporter([0x5f; 32]), Binding::Front] {
        assert!(keeper().admit(value.as_bytes(), &elsewhere).is_none());
    }
    let (front, _secrets) = sealed(&Binding::Front, Purpose::New);
    assert!(keeper().admit(front.as_bytes(), &Binding::Exporter([0; 32])).is_none());
    let gated = keeper().admit(value.as_bytes(), &EXPORTED).unwrap();
    let other = LinkKeyPair::from_secret(&named("another link key").into()).unwrap();
    assert!(gated.open(&other, &network(), NODE).is_err());
    assert!(gated.open(&link_key(), &named("another network"), NODE).is_err());
    assert!(gated.open(&link_key(), &network(), Address([0x12; 20])).is_err());
    assert!(gated.open(&link_key(), &network(), NODE).is_ok());
}

#[test]
fn each_of_the_sixteen_slots_admits_what_it_holds_and_no_longer() {
    let (value, _secrets) = sealed(&EXPORTED, Purpose::New);
    for slot in 0..GateKeeper::SLOTS {
        let mut keeper = GateKeeper::new(&mut chance("slots"));
        assert!(keeper.admit(value.as_bytes(), &EXPORTED).is_none());
        assert!(keeper.set(slot, named("gate").into()));
        assert_eq!(keeper.admit(value.as_bytes(), &EXPORTED).unwrap().slot(), slot);
        keeper.clear(slot, &mut chance("later"));
        assert!(keeper.admit(value.as_bytes(), &EXPORTED).is_none());
        assert!(!keeper.set(GateKeeper::SLOTS, named("gate").into()));
    }
}

#[test]
fn a_key_of_small_order_is_no_link_key() {
    let to = EntryKey { link_key: [0; 32], ..entry() };
    assert!(seal_opener(&to, &EXPORTED, &ask(Purpose::New), &mut chance("enc")).is_err());
}

#[test]
fn a_resumption_is_proven_by_the_key_of_the_latest_opener_only() {
    let (_value, latest) = sealed(&EXPORTED, Purpose::New);
    let purpose = Purpose::Resume { key: latest.resume_key(), received: 123_456 };
    let elsewhere = Binding::Exporter([0x60; 32]);
    let (value, next) = seal_opener(&entry(), &elsewhere, &ask(purpose), &mut chance("next")).unwrap();
    let (asked, _secrets) = opened(&value, &elsewhere).unwrap();
    assert_eq!(asked.kind(), LinkKind::Resume);
    let claim = asked.resume.unwrap();
    assert_eq!(claim.received, 123_456);
    assert!(claim.is_proven(latest.resume_key()));
    assert!(!claim.is_proven(next.resume_key()));
    for changed in [
        ResumeClaim { received: 123_457, ..claim.clone() },
        ResumeClaim { bind: EXPORTED.bytes(), ..claim.clone() },
        ResumeClaim { enc: [0; 32], ..claim.clone() },
        ResumeClaim { mac: [0; 16], ..claim.clone() },
    ] {
        assert!(!changed.is_proven(latest.resume_key()));
    }
}

#[test]
fn clocks_are_compared_behind_a_front_only() {
    let cases: [(u64, u64, bool); 6] = [
        (NOW.0, 0, true),
        (NOW.0 - CLOCK_TOLERANCE, 0, true),
        (NOW.0 + CLOCK_TOLERANCE, 0, true),
        (NOW.0 - CLOCK_TOLERANCE - 1, 0, false),
        (NOW.0 + CLOCK_TOLERANCE + 1, 0, false),
        (STARTED.0 - 1, STARTED.0, false),
    ];
    for (time, started, permitted) in cases {
        let asked = OpenerAsk { time: UnixTime(time), ..ask(Purpose::New) };
        let (value, _secrets) = seal_opener(&entry(), &Binding::Front, &asked, &mut chance("t")).unwrap();
        let (got, _secrets) = opened(&value, &Binding::Front).unwrap();
        assert_eq!(got.check_time(NOW, UnixTime(started)).is_ok(), permitted, "{time} {started}");
        let (value, _secrets) = seal_opener(&entry(), &EXPORTED, &asked, &mut chance("t")).unwrap();
        let (got, _secrets) = opened(&value, &EXPORTED).unwrap();
        assert_eq!(got.check_time(NOW, UnixTime(started)), Ok(()));
    }
}

/// What is written where in the plaintext, and the field that refuses it under binding 1.
const WRONG: [(usize, &[u8], &str); 13] = [
    (0, &[2, 2], "version"),
    (0, &[0, 0], "version"),
    (0, &[2, 1], "version"),
    (2, &[3], "kind"),
    (2, &[255], "kind"),
    (3, &[1], "reserved"),
    (7, &[1], "time"),
    (24, &[1], "resume mac"),
    (47, &[1], "resume mac"),
    (48, &[2], "token type"),
    (49, &[1], "token type"),
    (81, &[1], "padding"),
    (95, &[1], "padding"),
];

#[test]
fn fields_that_ovl1_does_not_have_are_refused_though_sealed() {
    let good = plain_of(Purpose::New, &EXPORTED);
    assert_eq!(good.len(), Plain::LENGTH);
    assert!(opened(&with_plain(&good, &EXPORTED), &EXPORTED).is_ok());
    for (at, bytes, field) in WRONG {
        let mut plain = good.clone();
        plain[at..at + bytes.len()].copy_from_slice(bytes);
        let why = Asked::decode(&plain, &EXPORTED, &EXPORTED.bytes(), &[0; 32]).unwrap_err();
        assert_eq!(why, Malformed(field), "byte {at}");
        assert!(opened(&with_plain(&plain, &EXPORTED), &EXPORTED).is_err(), "byte {at}");
    }
    for length in [0, Plain::LENGTH - 1] {
        assert!(Asked::decode(&good[..length], &EXPORTED, &EXPORTED.bytes(), &[0; 32]).is_err());
    }
    let longer = [&good[..], &[0]].concat();
    assert!(Asked::decode(&longer, &EXPORTED, &EXPORTED.bytes(), &[0; 32]).is_err());
    // A later version among those offered is no hindrance.
    let mut later = good;
    (later[0], later[1]) = (0, 9);
    assert_eq!(opened(&with_plain(&later, &EXPORTED), &EXPORTED).unwrap().0.version, 1);
}

const ACCEPT: Accept = Accept {
    version: 1,
    resumed: false,
    terms: LinkTerms { max_circuits: 256, hop_window: 256 * 1024 },
    session_ttl: Duration::from_secs(60),
    received: 0,
};

#[test]
fn accept_is_believed_from_who_opened_the_opener_and_from_nobody_else() {
    let (value, client) = sealed(&EXPORTED, Purpose::New);
    let (_asked, server) = opened(&value, &EXPORTED).unwrap();
    let body = ACCEPT.encode(&server);
    assert_eq!(body.len(), Accept::LENGTH);
    assert_eq!(Accept::check(&body, &client), Ok(ACCEPT));
    for bit in 0..body.len() * 8 {
        let mut changed = body.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Accept::check(&changed, &client), Err(AcceptFault::Unproven));
    }
    for length in 0..body.len() {
        assert!(matches!(Accept::check(&body[..length], &client), Err(AcceptFault::Malformed(_))));
    }
    let longer = [&body[..], &[0]].concat();
    assert!(matches!(Accept::check(&longer, &client), Err(AcceptFault::Malformed(_))));
    let (_value, another) =
        seal_opener(&entry(), &EXPORTED, &ask(Purpose::New), &mut chance("other")).unwrap();
    assert_eq!(Accept::check(&body, &another), Err(AcceptFault::Unproven));
}

#[test]
fn accept_says_only_what_was_asked_for() {
    let key = ResumeKey(named("resume").into());
    let resumed = Accept { resumed: true, received: 9, ..ACCEPT };
    let (_value, resume) = sealed(&EXPORTED, Purpose::Resume { key: &key, received: 5 });
    assert_eq!(Accept::check(&resumed.encode(&resume), &resume), Ok(resumed));
    assert_eq!(Accept::check(&ACCEPT.encode(&resume), &resume), Ok(ACCEPT));
    for purpose in [Purpose::New, Purpose::Node] {
        let (_value, secrets) = sealed(&EXPORTED, purpose);
        let fault = Accept::check(&resumed.encode(&secrets), &secrets);
        assert_eq!(fault, Err(AcceptFault::Malformed(Malformed("resumed"))));
        let later = Accept { version: 2, ..ACCEPT };
        let fault = Accept::check(&later.encode(&secrets), &secrets);
        assert_eq!(fault, Err(AcceptFault::Malformed(Malformed("version"))));
    }
}

#[test]
fn node_auth_is_a_delegation_and_a_signature() {
    let auth = NodeAuth { delegation: [1; 143], sig: [2; 64] };
    let body = auth.encode();
    assert_eq!(NodeAuth::decode(&body), Ok(auth));
    assert!(NodeAuth::decode(&body[1..]).is_err());
    assert!(NodeAuth::decode(&[&body[..], &[0]].concat()).is_err());
}

#[test]
fn nothing_here_prints_a_secret() {
    let (value, secrets) = sealed(&EXPORTED, Purpose::New);
    let gated = keeper().admit(value.as_bytes(), &EXPORTED).unwrap();
    let (asked, _secrets) = opened(&value, &EXPORTED).unwrap();
    let shown = format!("{:?} {secrets:?} {gated:?} {asked:?} {:?} {:?}", entry().gate, link_key(), keeper());
    for word in ["gate", "link key", "token"] {
        let bytes = named(word);
        assert!(!shown.contains(&hex(bytes)) && !shown.contains(&format!("{bytes:?}")));
    }
    assert!(!shown.contains("119, 119"), "{shown}");
}

fn vector_of(name: &str, binding: Binding, purpose: Purpose<'_>, token: Option<&Secret>) -> Value {
    let kind = purpose.kind();
    let resume = match purpose {
        Purpose::Resume { key, received } => json!({ "key": hex(key.0.bytes()), "received": received }),
        Purpose::New | Purpose::Node => Value::Null,
    };
    let asked = OpenerAsk { token, ..ask(purpose) };
    let (value, secrets) = seal_opener(&entry(), &binding, &asked, &mut chance(name)).unwrap();
    let (got, _secrets) = opened(&value, &binding).unwrap();
    assert_eq!(got.kind(), kind);
    let enc_randomness: Vec<u8> = chance(name).0.into_iter().take(32).collect();
    json!({
        "name": name, "network": hex(network()), "node": hex(NODE.0), "gate_key": hex(named("gate")),
        "link_secret": hex(named("link key")), "link_key": hex(link_key().public()),
        "enc_randomness": hex(enc_randomness), "bind": hex(binding.bytes()),
        "version": 1, "opener_kind": match kind { LinkKind::New => 0, LinkKind::Resume => 1, LinkKind::Node => 2 },
        "time": if binding == Binding::Front { NOW.0 } else { 0 }, "session": hex(asked.session.0),
        "resume": resume, "token": token.map(|token| hex(token.bytes())), "opener": value,
        "exports": {
            "ovl1 node": hex(&secrets.node_auth_bytes()[10 + 33..]),
            "ovl1 resume": hex(secrets.resume_key().0.bytes()),
            "ovl1 pad": hex(secrets.pad_seed().bytes()),
        },
        "accept_first_of_link": first_link_bytes(&secrets),
    })
}

/// What the server sends behind a front when its first link bytes are those of the word.
fn first_link_bytes(secrets: &LinkSecrets) -> Value {
    let mut wire = BytesMut::new();
    let (mut sealer, _opener) = secrets.server_link_keys();
    sealer.seal(b"first bytes", &mut wire);
    let mut back = BytesMut::new();
    let (mut sealer, _opener) = secrets.client_link_keys();
    sealer.seal(b"first bytes", &mut back);
    json!({ "stream": hex(b"first bytes"), "s2c": hex(&wire), "c2s": hex(&back) })
}

#[test]
fn published_openers_are_these() {
    let (key, token) = (ResumeKey(named("resume").into()), Secret::from(named("token")));
    let resume = Purpose::Resume { key: &key, received: 0x0102_0304_0506_0708 };
    let cases = vec![
        vector_of("exporter, new", EXPORTED, Purpose::New, None),
        vector_of("exporter, new, token", EXPORTED, Purpose::New, Some(&token)),
        vector_of("front, new", Binding::Front, Purpose::New, None),
        vector_of("exporter, resume", EXPORTED, resume, None),
        vector_of("exporter, node", EXPORTED, Purpose::Node, None),
    ];
    let about = "Openers (section 4). enc_randomness is the input of DeriveKeyPair of DHKEM(X25519, HKDF-SHA256) \
                 that gives the ephemeral key.";
    assert_published("opener", about, cases);
}

#[test]
fn published_accepts_are_these() {
    let (value, secrets) = sealed(&EXPORTED, Purpose::New);
    let key = ResumeKey(named("resume").into());
    let (resumed_value, resumed) = sealed(&EXPORTED, Purpose::Resume { key: &key, received: 5 });
    let again = Accept { resumed: true, received: 77, ..ACCEPT };
    let case = |value: &str, secrets: &LinkSecrets, accept: Accept| {
        json!({
            "network": hex(network()), "node": hex(NODE.0), "gate_key": hex(named("gate")),
            "link_secret": hex(named("link key")), "bind": hex(EXPORTED.bytes()), "opener": value,
            "version": accept.version, "resumed": u8::from(accept.resumed),
            "max_circuits": accept.terms.max_circuits, "hop_window": accept.terms.hop_window,
            "session_ttl": accept.session_ttl.as_secs(), "received": accept.received,
            "accept": hex(accept.encode(secrets)), "node_auth_bytes": hex(secrets.node_auth_bytes()),
        })
    };
    let cases = vec![case(&value, &secrets, ACCEPT), case(&resumed_value, &resumed, again)];
    let about = "ACCEPT and what NODE_AUTH signs (section 4), from the exports of an opener.";
    assert_published("accept", about, cases);
}

#[test]
fn published_resume_macs_are_these() {
    let key = ResumeKey(derive(&named("resume").into(), "key"));
    let case = |received: u64, binding: Binding| {
        let enc = named("an enc");
        let mac = secrets::resume_mac(&key, &binding.bytes(), &enc, received);
        json!({
            "resume": hex(key.0.bytes()), "bind": hex(binding.bytes()), "enc": hex(enc),
            "received": received, "resume_mac": hex(mac),
        })
    };
    let cases = vec![case(0, EXPORTED), case(2 << 20, EXPORTED), case(7, Binding::Front)];
    assert_published("resume", "resumeMac (section 9).", cases);
}
