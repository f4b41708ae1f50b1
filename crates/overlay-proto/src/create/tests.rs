//! Whole paths from CREATE to records, what each hop refuses, and that nothing that was changed opens.

mod secrecy;

use super::client::PendingCircuit;
use super::hop::{HopRoles, Neighbour};
use super::*;
use crate::UnixTime;
use crate::kdf::exporter::{Aead, Kdf};
use crate::layer::RelayLayer;
use crate::record::{Last, Opener, Sealer};
use crate::vectors::{Stated, named};
use crate::{Moment, xwing::XWingSecret};
use bytes::BytesMut;
use hpke::{Deserializable, Kem, OpModeS, Serializable};
use proptest::prelude::*;

const NOW: UnixTime = UnixTime(1_800_000_000);
const BOTH: Offer<'_> = Offer { suites: Suites::BOTH, token: b"" };
const TERMS: CreatedTerms = CreatedTerms {
    suite: Suite::Aes256Gcm,
    circuit: CircuitTerms {
        max_streams: 256,
        stream_window: 256 * 1024,
        circuit_window: 1024 * 1024,
        idle: Duration::from_secs(780),
        life: Duration::from_secs(2700),
    },
    directory: (41, [0x41; 32]),
};

fn network() -> [u8; 32] {
    named("network")
}

/// The node that a word stands for: its address, its key for circuits, and a set of keys with this one.
fn hop(word: &str) -> (HopKey, KemKeys) {
    let mut node = Address([0; 20]);
    node.0.copy_from_slice(&named(word)[..20]);
    let key = CreateKey::new(&named(word).into(), NOW, &mut Stated::new(0..16)).unwrap();
    let public = HopKey { node, id: key.id(), kem: key.secret().public().clone() };
    let mut keys = KemKeys::default();
    keys.insert(key);
    (public, keys)
}

fn opened(at: &mut (HopKey, KemKeys), body: &[u8]) -> Result<Opened, CreateFault> {
    at.1.open(&network(), at.0.node, body, NOW)
}

fn relay(at: &mut (HopKey, KemKeys), body: &[u8]) -> RelayRequest {
    match opened(at, body).unwrap() {
        Opened::Relay(relay) => relay,
        Opened::Exit(_) => panic!("a relay's CREATE opened as an exit's"),
    }
}

fn exit(at: &mut (HopKey, KemKeys), body: &[u8]) -> ExitRequest {
    match opened(at, body).unwrap() {
        Opened::Exit(exit) => exit,
        Opened::Relay(_) => panic!("an exit's CREATE opened as a relay's"),
    }
}

fn nobody() -> Stated {
    Stated::new([])
}

fn built(hops: &[&(HopKey, KemKeys)], offer: &Offer<'_>) -> (Vec<u8>, PendingCircuit) {
    let hops: Vec<HopKey> = hops.iter().map(|(key, _keys)| key.clone()).collect();
    build(&network(), &hops, offer, &mut nobody()).unwrap()
}

/// A record each way, through whatever layers there are.
fn assert_flows(mut client: ReadyCircuit, exit: &ExitCircuit, relays: &mut [RelayLayer]) {
    let start = Moment(0);
    let (mut seal, mut open) = (Sealer::new(&client.tx, start), Opener::new(&exit.rx, start));
    for text in [&b"to the exit"[..], b"again"] {
        let (mut record, mut out) = (BytesMut::from(text), BytesMut::new());
        seal.seal(&mut record, 0, Last::Frame, start).unwrap();
        client.layers.add(&mut record);
        relays.iter_mut().for_each(|relay| relay.to_exit.apply(&mut record));
        open.open(&record, &mut out).unwrap();
        assert_eq!(out[..], *text);
    }
    let (mut seal, mut open) = (Sealer::new(&exit.tx, start), Opener::new(&client.rx, start));
    for text in [&b"to the client"[..], b"once more"] {
        let (mut record, mut out) = (BytesMut::from(text), BytesMut::new());
        seal.seal(&mut record, 0, Last::Frame, start).unwrap();
        relays.iter_mut().rev().for_each(|relay| relay.to_client.apply(&mut record));
        client.layers.remove(&mut record);
        open.open(&record, &mut out).unwrap();
        assert_eq!(out[..], *text);
    }
}

#[test]
fn two_hops_make_a_circuit_without_layers() {
    let (mut first, mut last) = (hop("entry"), hop("exit"));
    let (create, pending) = built(&[&first, &last], &Offer { token: b"a token", ..BOTH });
    assert_eq!(create.len(), CREATE_TWO);
    let asked = relay(&mut first, &create);
    assert_eq!((asked.next, asked.inner.len()), (last.0.node, CREATE_EXIT));
    assert!(asked.layer.is_none());
    let request = exit(&mut last, &asked.inner);
    assert_eq!(request.token[..], b"a token"[..]);
    let (created, at_exit) = request.answer(&TERMS, &mut nobody()).unwrap();
    assert_eq!(created.len(), CREATED);
    let ready = pending.created(&created).unwrap();
    assert_eq!(ready.terms, TERMS);
    assert!(ready.layers.is_empty());
    assert_flows(ready, &at_exit, &mut []);
}

#[test]
fn three_hops_make_a_circuit_with_a_layer_at_each_relay() {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        let (mut first, mut second, mut last) = (hop("entry"), hop("middle"), hop("exit"));
        let (create, pending) = built(&[&first, &second, &last], &BOTH);
        assert_eq!(create.len(), CREATE_THREE);
        let at_entry = relay(&mut first, &create);
        assert_eq!((at_entry.next, at_entry.inner.len()), (second.0.node, CREATE_TWO));
        let at_middle = relay(&mut second, &at_entry.inner);
        assert_eq!((at_middle.next, at_middle.inner.len()), (last.0.node, CREATE_EXIT));
        let request = exit(&mut last, &at_middle.inner);
        let terms = CreatedTerms { suite, ..TERMS };
        let (mut created, at_exit) = request.answer(&terms, &mut nobody()).unwrap();
        let layers = [at_entry.layer.unwrap(), at_middle.layer.unwrap()];
        assert_ne!(layers[0], layers[1]);
        let mut relays = layers.map(RelayLayer::new);
        relays.iter_mut().rev().for_each(|relay| relay.to_client.apply(&mut created));
        let ready = pending.created(&created).unwrap();
        assert_eq!(ready.terms, terms);
        assert_flows(ready, &at_exit, &mut relays);
    }
}

#[test]
fn each_direction_has_a_key_of_its_own() {
    let (mut first, mut last) = (hop("entry"), hop("exit"));
    let (create, pending) = built(&[&first, &last], &BOTH);
    let request = exit(&mut last, &relay(&mut first, &create).inner);
    let (created, at_exit) = request.answer(&TERMS, &mut nobody()).unwrap();
    let ready = pending.created(&created).unwrap();
    assert_eq!((&ready.tx, &ready.rx), (&at_exit.rx, &at_exit.tx));
    assert_ne!(ready.tx, ready.rx);
}

#[test]
fn paths_of_other_lengths_and_tokens_that_are_too_long_are_not_built() {
    let keys: Vec<HopKey> = ["a", "b", "c", "d"].map(|word| hop(word).0).to_vec();
    for count in [0, 1, 4] {
        let fault = build(&network(), &keys[..count], &BOTH, &mut nobody()).unwrap_err();
        assert_eq!(fault, BuildError::Hops(count));
    }
    let longest = [7; MAX_TOKEN];
    let (mut first, mut last) = (hop("a"), hop("b"));
    let (create, _pending) = built(&[&first, &last], &Offer { token: &longest, ..BOTH });
    assert_eq!(exit(&mut last, &relay(&mut first, &create).inner).token[..], longest);
    let long = Offer { token: &[7; MAX_TOKEN + 1], ..BOTH };
    let fault = build(&network(), &keys[..2], &long, &mut nobody()).unwrap_err();
    assert_eq!(fault, BuildError::Token(MAX_TOKEN + 1));
}

#[test]
fn a_key_that_is_none_is_named_by_its_place_in_the_path() {
    for wrong in 0..3 {
        let mut hops: Vec<HopKey> = ["a", "b", "c"].map(|word| hop(word).0).to_vec();
        hops[wrong].kem = (&[0xff; PUBLIC]).into();
        let fault = build(&network(), &hops, &BOTH, &mut nobody()).unwrap_err();
        assert_eq!(fault, BuildError::Key(wrong));
    }
}

#[test]
fn every_changed_byte_and_every_truncation_of_a_create_is_refused() {
    let (mut first, mut last) = (hop("entry"), hop("exit"));
    let (create, _pending) = built(&[&first, &last], &BOTH);
    let inner = relay(&mut hop("entry"), &create).inner;
    for (at, body) in [(&mut first, &create), (&mut last, &inner)] {
        for byte in 0..body.len() {
            let mut changed = body.clone();
            changed[byte] ^= 1 << (byte % 8);
            let expected = if byte < KEY_ID { CreateFault::UnknownKey } else { CreateFault::Sealed };
            assert_eq!(opened(at, &changed).unwrap_err(), expected, "byte {byte}");
        }
        for length in (0..body.len()).chain([body.len() + 1]) {
            let cut: Vec<u8> = body.iter().copied().chain([0]).take(length).collect();
            let fault = opened(at, &cut).unwrap_err();
            let expected =
                if length == CREATE_EXIT { CreateFault::Sealed } else { CreateFault::Length(length) };
            assert_eq!(fault, expected, "length {length}");
        }
        assert!(opened(at, body).is_ok());
    }
}

#[test]
fn every_changed_byte_and_every_truncation_of_a_created_is_refused() {
    let (mut first, mut last) = (hop("entry"), hop("exit"));
    let (create, pending) = built(&[&first, &last], &BOTH);
    let request = exit(&mut last, &relay(&mut first, &create).inner);
    let (created, _at_exit) = request.answer(&TERMS, &mut nobody()).unwrap();
    for byte in 0..created.len() {
        let mut changed = created.clone();
        changed[byte] ^= 1 << (byte % 8);
        assert!(pending.clone().created(&changed).is_err(), "byte {byte}");
    }
    for length in (0..CREATED).chain([CREATED + 1]) {
        let cut: Vec<u8> = created.iter().copied().chain([0]).take(length).collect();
        assert!(pending.clone().created(&cut).is_err(), "length {length}");
    }
    assert!(pending.created(&created).is_ok());
}

#[test]
fn a_create_is_for_one_network_node_and_key_and_opens_once() {
    let (mut first, last) = (hop("entry"), hop("exit"));
    let (create, _pending) = built(&[&first, &last], &BOTH);
    let node = first.0.node;
    let elsewhere = first.1.open(&named("another network"), node, &create, NOW);
    assert_eq!(elsewhere.unwrap_err(), CreateFault::Sealed);
    let other_node = first.1.open(&network(), last.0.node, &create, NOW);
    assert_eq!(other_node.unwrap_err(), CreateFault::Sealed);
    assert_eq!(opened(&mut hop("another"), &create).unwrap_err(), CreateFault::UnknownKey);
    let expired = first.1.open(&network(), node, &create, NOW.plus(1));
    assert_eq!(expired.unwrap_err(), CreateFault::UnknownKey);
    assert!(opened(&mut first, &create).is_ok());
    assert_eq!(opened(&mut first, &create).unwrap_err(), CreateFault::Replay);
    first.1.expire(NOW.plus(1));
    assert_eq!(opened(&mut first, &create).unwrap_err(), CreateFault::UnknownKey);
}

#[test]
fn codes_are_those_of_the_protocol() {
    let codes = [
        (CreateFault::Length(1), 1),
        (CreateFault::Sealed, 1),
        (CreateFault::Malformed(Malformed("kind")), 1),
        (CreateFault::UnknownKey, 2),
        (CreateFault::Refused, 6),
        (CreateFault::Replay, 11),
    ];
    for (fault, code) in codes {
        assert_eq!(fault.code() as u8, code, "{fault:?}");
    }
}

/// After a restart the set is empty and the CREATE opens again; the answer is worth nothing to who replayed it.
#[test]
fn the_answer_to_a_replayed_create_opens_for_its_maker_alone() {
    let (mut first, mut last) = (hop("entry"), hop("exit"));
    let (create, pending) = built(&[&first, &last], &BOTH);
    let inner = relay(&mut first, &create).inner;
    let answer = |last: &mut (HopKey, KemKeys)| exit(last, &inner).answer(&TERMS, &mut nobody()).unwrap().0;
    let (once, again) = (answer(&mut last), answer(&mut hop("exit")));
    assert_ne!(once, again);
    let (_create, other) = built(&[&first, &last], &BOTH);
    assert!(other.created(&again).is_err());
    assert!(pending.created(&once).is_ok());
}

#[test]
fn suites_that_were_not_offered_are_neither_chosen_nor_believed() {
    let offers = [(Suite::Aes256Gcm, Suite::ChaCha20Poly1305), (Suite::ChaCha20Poly1305, Suite::Aes256Gcm)];
    for (offered, other) in offers {
        let offer = Offer { suites: Suites::only(offered), ..BOTH };
        for (suite, fits) in [(offered, true), (other, false)] {
            let (mut first, mut last) = (hop("entry"), hop("exit"));
            let (create, _pending) = built(&[&first, &last], &offer);
            let request = exit(&mut last, &relay(&mut first, &create).inner);
            assert_eq!(request.suites, offer.suites);
            let terms = CreatedTerms { suite, ..TERMS };
            assert_eq!(CreatedTerms::decode(&terms.encode(), offer.suites).is_ok(), fits);
            assert_eq!(request.answer(&terms, &mut nobody()).is_ok(), fits);
        }
    }
}

/// What is written where in the plaintext of CREATED, and the field that refuses it.
const WRONG_CREATED: [(usize, &[u8], &str); 13] = [
    (0, &[0], "suite"),
    (0, &[3], "suite"),
    (1, &[0], "suite or version"),
    (1, &[2], "suite or version"),
    (2, &[0, 0], "streams"),
    (2, &[1, 1], "streams"),
    (4, &[0, 0, 0, 0], "stream window"),
    (4, &[0, 0x40, 0, 1], "stream window"),
    (8, &[0, 0x80, 0, 1], "circuit window"),
    (12, &[0, 0], "idle"),
    (14, &[0, 0], "life"),
    (56, &[1], "reserved"),
    (63, &[1], "reserved"),
];

#[test]
fn fields_of_created_that_ovl1_does_not_have_are_refused() {
    let good = TERMS.encode();
    assert_eq!(CreatedTerms::decode(&good, Suites::BOTH), Ok(TERMS));
    for (at, bytes, field) in WRONG_CREATED {
        let mut plain = good.clone();
        plain[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(CreatedTerms::decode(&plain, Suites::BOTH), Err(Malformed(field)), "byte {at}");
    }
    assert!(CreatedTerms::decode(&good[..CREATED_PLAIN - 1], Suites::BOTH).is_err());
    assert!(CreatedTerms::decode(&[&good[..], &[0]].concat(), Suites::BOTH).is_err());
}

/// A CREATE with such a plaintext for the node of the word, sealed as a client would.
fn with_plain(word: &str, plain: &[u8]) -> Vec<u8> {
    let (to, _keys) = hop(word);
    let key = <XWing as Kem>::PublicKey::from_bytes(to.kem.bytes()).unwrap();
    let info = create_info(&network(), to.node, to.id);
    let (enc, mut context) =
        hpke::setup_sender_with_rng::<Aead, Kdf, XWing>(&OpModeS::Base, &key, &info, &mut nobody()).unwrap();
    [&to.id[..], &enc.to_bytes()[..], &context.seal(plain, &[]).unwrap()[..]].concat()
}

fn exit_plain() -> Vec<u8> {
    let eph = XWingSecret::from_seed(&named("eph").into()).unwrap();
    let mut plain = [&[1, 3, 0, 0][..], eph.public().bytes(), &[0, 2, 0xaa, 0xbb]].concat();
    plain.resize(EXIT_PLAIN, 0);
    plain
}

fn relay_plain(inner: usize) -> Vec<u8> {
    [&[0, 1, 0, 0][..], &[0x22; 20], &[0; 8], &vec![9; inner]].concat()
}

#[test]
fn plaintexts_that_ovl1_does_not_have_are_refused_though_sealed() {
    let at_token = 4 + PUBLIC;
    let wrong_exit: [(usize, &[u8], &str); 9] = [
        (0, &[2], "kind"),
        (0, &[0xff], "kind"),
        (1, &[0], "suites"),
        (1, &[4], "suites"),
        (2, &[1], "reserved"),
        (3, &[1], "reserved"),
        (at_token, &[1, 0x63], "token"),
        (at_token + 4, &[1], "padding"),
        (EXIT_PLAIN - 1, &[1], "padding"),
    ];
    let wrong_relay: [(usize, &[u8], &str); 5] = [
        (1, &[2], "layer"),
        (2, &[1], "reserved"),
        (3, &[1], "reserved"),
        (24, &[1], "reserved"),
        (31, &[1], "reserved"),
    ];
    let relay = relay_plain(CREATE_EXIT);
    assert!(opened(&mut hop("x"), &with_plain("x", &exit_plain())).is_ok());
    assert!(opened(&mut hop("x"), &with_plain("x", &relay)).is_ok());
    let exits = wrong_exit.map(|wrong| (exit_plain(), wrong));
    let relays = wrong_relay.map(|wrong| (relay.clone(), wrong));
    for (mut plain, (at, bytes, field)) in exits.into_iter().chain(relays) {
        plain[at..at + bytes.len()].copy_from_slice(bytes);
        let fault = opened(&mut hop("x"), &with_plain("x", &plain)).unwrap_err();
        assert_eq!(fault, CreateFault::Malformed(Malformed(field)), "byte {at}");
    }
}

#[test]
fn a_kind_of_another_length_is_refused_though_sealed() {
    let mut short_relay = relay_plain(0);
    short_relay.resize(EXIT_PLAIN, 9);
    let mut long_exit = exit_plain();
    long_exit.resize(RELAY_HEAD + CREATE_EXIT, 0);
    for (plain, length) in [(short_relay, EXIT_PLAIN - RELAY_HEAD), (long_exit, CREATE_TWO)] {
        let fault = opened(&mut hop("x"), &with_plain("x", &plain)).unwrap_err();
        assert_eq!(fault, CreateFault::Length(length));
    }
}

#[test]
fn what_a_node_is_asked_fits_its_roles_and_its_neighbour() {
    let exit = || opened(&mut hop("x"), &with_plain("x", &exit_plain())).unwrap();
    let relay = |layer: u8, inner: usize| {
        let mut plain = relay_plain(inner);
        plain[1] = layer;
        opened(&mut hop("x"), &with_plain("x", &plain)).unwrap()
    };
    let all = HopRoles { entry: true, middle: true, exit: true };
    let (client, node) = (Neighbour::Client, Neighbour::Node);
    let refused = Err(CreateFault::Refused);
    let odd = |length| Err(CreateFault::Length(length));
    let cases = [
        (exit(), client, all, refused),
        (exit(), node, all, Ok(())),
        (exit(), node, HopRoles { exit: false, ..all }, refused),
        (relay(0, CREATE_EXIT), client, all, Ok(())),
        (relay(1, CREATE_TWO), client, all, Ok(())),
        (relay(1, CREATE_TWO), client, HopRoles { entry: false, ..all }, refused),
        (relay(1, CREATE_EXIT), client, all, odd(CREATE_EXIT)),
        (relay(0, CREATE_TWO), client, all, odd(CREATE_TWO)),
        (relay(1, CREATE_EXIT), node, all, Ok(())),
        (relay(1, CREATE_EXIT), node, HopRoles { middle: false, ..all }, refused),
        (relay(0, CREATE_EXIT), node, all, odd(CREATE_EXIT)),
        (relay(1, CREATE_TWO), node, all, odd(CREATE_TWO)),
    ];
    for (number, (opened, from, role, expected)) in cases.into_iter().enumerate() {
        assert_eq!(opened.fits(Standing { role, from }), expected, "case {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn bytes_nobody_sealed_never_open(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            proptest::collection::vec(any::<u8>(), CREATE_EXIT),
            proptest::collection::vec(any::<u8>(), CREATE_TWO),
        ],
        named_key: bool,
    ) {
        let mut at = hop("exit");
        let mut body = body;
        if let Some(id) = body.get_mut(..KEY_ID).filter(|_id| named_key) {
            id.copy_from_slice(&at.0.id);
        }
        prop_assert!(opened(&mut at, &body).is_err());
    }

    #[test]
    fn any_plaintext_of_an_exit_is_read_or_refused(start: [u8; 4], token in proptest::collection::vec(any::<u8>(), 0..380)) {
        let mut plain = [&start[..], &[3; PUBLIC], &token].concat();
        plain.resize(EXIT_PLAIN, 0);
        let taken = opened(&mut hop("x"), &with_plain("x", &plain));
        if let Ok(Opened::Exit(exit)) = taken {
            prop_assert!(start[0] == 1 && exit.token.len() <= MAX_TOKEN);
        }
    }
}
