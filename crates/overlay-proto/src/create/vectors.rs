//! The published CREATEs and CREATEDs: sealed by `hpke`'s own X-Wing, which takes stated randomness, read by ours.

use super::client::build_with;
use super::{CreateKey, CreatedTerms, HopKey, KemKeys, Offer, Opened, RelayRequest, Suites};
use crate::UnixTime;
use crate::circuit::terms::CircuitTerms;
use crate::kdf::hash;
use crate::layer::{LayerKeys, RelayLayer};
use crate::record::Suite;
use crate::vectors::{Stated, assert_published, hex, named};
use crate::xwing::XWingSecret;
use hpke::kem::XWing as Stately;
use serde_json::{Value, json};
use shoalway_types::wallet::Address;
use std::time::Duration;

const TOKEN: &[u8] = b"a token for the exit";

struct Node {
    word: &'static str,
    key: HopKey,
    keys: KemKeys,
}

fn node(word: &'static str) -> Node {
    let key = CreateKey::new(&named(word).into(), UnixTime(1), &mut Stated::new(0..16)).unwrap();
    let mut address = Address([0; 20]);
    address.0.copy_from_slice(&hash(&[b"address of ", word.as_bytes()])[..20]);
    let public = HopKey { node: address, id: key.id(), kem: key.secret().public().clone() };
    let mut keys = KemKeys::default();
    keys.insert(key);
    Node { word, key: public, keys }
}

fn opened(at: &mut Node, body: &[u8]) -> Opened {
    at.keys.open(&named("network"), at.key.node, body, UnixTime(0)).unwrap()
}

fn terms(suite: Suite) -> CreatedTerms {
    let circuit = CircuitTerms {
        max_streams: 256,
        stream_window: 256 * 1024,
        circuit_window: 1024 * 1024,
        idle: Duration::from_secs(780),
        life: Duration::from_secs(2700),
    };
    CreatedTerms { suite, circuit, directory: (4711, named("a snapshot")) }
}

/// 64 bytes for an encapsulation.
fn randomness(word: &str) -> [u8; 64] {
    let (first, second) = (named(word), named(&format!("{word}, second half")));
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&first);
    bytes[32..].copy_from_slice(&second);
    bytes
}

/// What came of a path: a case of create.json and one of created.json.
struct Published {
    create: Value,
    created: Value,
}

fn relay_case(at: &Node, body: &[u8], relay: &RelayRequest) -> Value {
    let layer = relay.layer.as_ref().map(
        |layer: &LayerKeys| json!({ "c2x": hex(layer.to_exit.bytes()), "x2c": hex(layer.to_client.bytes()) }),
    );
    json!({
        "role": "relay", "node": hex(at.key.node.0), "seed": hex(named(at.word)), "id": hex(at.key.id),
        "encapsulation_randomness": hex(randomness(at.word)), "create": hex(body),
        "next": hex(relay.next.0), "layer": layer, "inner": hex(&relay.inner),
    })
}

fn path(words: &[&'static str], suite: Suite) -> Published {
    let mut nodes: Vec<Node> = words.iter().map(|word| node(word)).collect();
    let hops: Vec<HopKey> = nodes.iter().map(|node| node.key.clone()).collect();
    // Sealed from the exit outward, so the randomness is taken in that order.
    let mut chance = Stated::new(words.iter().rev().flat_map(|word| randomness(word)));
    let eph = XWingSecret::from_seed(&named("eph").into()).unwrap();
    let offer = Offer { suites: Suites::BOTH, token: TOKEN };
    let (create, pending) =
        build_with::<Stately>(&named("network"), &hops, &offer, eph, &mut chance).unwrap();
    let (mut body, mut cases, mut layers, mut keys) = (create, Vec::new(), Vec::new(), Vec::new());
    let mut exit = nodes.pop().unwrap();
    for at in &mut nodes {
        let Opened::Relay(relay) = opened(at, &body) else { panic!("{} is a relay", at.word) };
        cases.push(relay_case(at, &body, &relay));
        keys.extend(relay.layer.as_ref().map(|layer| hex(layer.to_client.bytes())));
        layers.extend(relay.layer.map(RelayLayer::new));
        body = relay.inner;
    }
    let Opened::Exit(request) = opened(&mut exit, &body) else { panic!("the last is the exit") };
    cases.push(json!({
        "role": "exit", "node": hex(exit.key.node.0), "seed": hex(named(exit.word)), "id": hex(exit.key.id),
        "encapsulation_randomness": hex(randomness(exit.word)), "create": hex(&body),
        "suites": 3, "token": hex(&request.token[..]), "eph_seed": hex(named("eph")),
    }));
    let mut chance = Stated::new(randomness("created"));
    let (created, at_exit) = request.answer_with::<Stately>(&terms(suite), &mut chance).unwrap();
    let mut arrived = created.clone();
    layers.iter_mut().rev().for_each(|layer| layer.to_client.apply(&mut arrived));
    let ready = pending.created(&arrived).unwrap();
    assert_eq!((&ready.tx, &ready.rx, ready.terms), (&at_exit.rx, &at_exit.tx, terms(suite)));
    let created = json!({
        "network": hex(named("network")), "exit": hex(exit.key.node.0), "exit_seed": hex(named(exit.word)),
        "create_at_exit": hex(&body), "eph_seed": hex(named("eph")),
        "encapsulation_randomness": hex(randomness("created")), "created": hex(&created),
        "layers_x2c": keys, "created_with_layers": hex(&arrived), "suite": suite.number(), "version": 1,
        "max_streams": 256, "stream_window": 256 * 1024, "circuit_window": 1024 * 1024,
        "idle": 780, "life": 2700, "dir_number": 4711, "dir_hash": hex(named("a snapshot")),
        "sc": hex(ready.tx.secret.bytes()), "sx": hex(ready.rx.secret.bytes()),
    });
    Published { create: json!({ "network": hex(named("network")), "hops": cases }), created }
}

#[test]
fn published_creates_and_createds_are_these() {
    let two = path(&["entry", "exit"], Suite::Aes256Gcm);
    let three = path(&["entry", "middle", "exit"], Suite::ChaCha20Poly1305);
    let about = "CREATE of 2 and 3 hops (section 6.1), entry first. A seed is an X-Wing private key; \
                 encapsulation_randomness is that of draft-connolly-cfrg-xwing-kem, 5.4.1.";
    assert_published("create", about, vec![two.create, three.create]);
    let about = "CREATED, Sc and Sx (section 6.2) of the two paths in create.json.";
    assert_published("created", about, vec![two.created, three.created]);
}
