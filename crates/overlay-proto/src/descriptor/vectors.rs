//! The published vectors of descriptors (ovl1 section 15).

use super::{
    BindingKind, Descriptor, DescriptorChecks, Endpoint, KEM_KEY_BYTES, KemOffer, PolicyRule,
    SignedDescriptor,
};
use crate::identity::DelegationTerms;
use crate::identity::vectors::{HOUR, NOW, node_key, outcome, sign, terms};
use crate::kdf::hash;
use crate::moment::UnixTime;
use crate::vectors::{assert_published, hex, named};
use serde_json::{Value, json};
use shoalway_types::wallet::Address;

/// Bytes of the length of a key, hashed from a name; nobody has the private part.
pub(crate) fn kem(name: &str, not_before: UnixTime) -> KemOffer {
    let block = |n: u8| hash(&[b"vector kem ", name.as_bytes(), &[n]]);
    let key: Vec<u8> = (0..38).flat_map(block).take(KEM_KEY_BYTES).collect();
    KemOffer { not_before, key: key.try_into().unwrap() }
}

pub(crate) fn endpoint(address: &str, binding: BindingKind) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        sni: "cover.example".to_owned(),
        path: "/live".to_owned(),
        cookie: "sid".to_owned(),
        binding,
    }
}

/// A descriptor of the node of this name, with one key and one endpoint.
pub(crate) fn small(name: &str, network: &[u8; 32], published: UnixTime) -> Descriptor {
    Descriptor {
        network: *network,
        node: terms(name).node,
        seq: 1,
        published,
        expires: published.plus(30 * HOUR),
        protocols: 1,
        kems: vec![kem(name, published.minus(HOUR))],
        link_key: named(&format!("link key {name}")),
        link_gate: named(&format!("link gate {name}")),
        operator: terms(name).node,
        family: Vec::new(),
        country: super::NO_COUNTRY,
        asn: 0,
        kibps: 12_500,
        endpoints: vec![endpoint("203.0.113.7:443", BindingKind::Exporter)],
        policy: vec![PolicyRule::ALLOW_ALL],
    }
}

fn full(network: &[u8; 32]) -> Descriptor {
    Descriptor {
        seq: 7,
        kems: vec![kem("now", NOW.minus(HOUR)), kem("next", NOW.plus(23 * HOUR))],
        family: vec![Address([0xfa; 20]), Address([0xfb; 20])],
        country: *b"DE",
        asn: 64_500,
        endpoints: vec![
            endpoint("203.0.113.7:443", BindingKind::Exporter),
            endpoint("[2001:db8::7]:8443", BindingKind::Front),
        ],
        policy: vec![
            PolicyRule { allow: false, low: 25, high: 25 },
            PolicyRule { allow: true, low: 1, high: 1023 },
        ],
        ..small("one", network, NOW)
    }
}

struct Situation {
    network: [u8; 32],
    lab: bool,
    delegation: DelegationTerms,
    now: UnixTime,
}

fn case(name: &str, bytes: &[u8], change: impl Fn(&mut Situation)) -> Value {
    let network = named("network");
    let mut situation = Situation { network, lab: false, delegation: terms("one"), now: NOW };
    change(&mut situation);
    let Situation { network, lab, delegation, now } = situation;
    let wallet = if delegation.node == terms("two").node { "two" } else { "one" };
    let shown = sign(wallet, &network, delegation.clone()).encode();
    let checks = DescriptorChecks { network: &network, lab, delegation: &delegation, now };
    let result = SignedDescriptor::parse(bytes).and_then(|signed| signed.check(&checks));
    let mut case = json!({
        "name": name, "network": hex(network), "lab": lab, "delegation": hex(shown), "now": now.0,
        "descriptor": hex(bytes), "outcome": outcome(&result),
    });
    if let Err(error) = &result {
        case["why"] = error.to_string().into();
    }
    if let Ok(descriptor) = result {
        let ports = [22, 25, 443, 1023, 1024].map(|port| json!([port, descriptor.allows_port(port)]));
        let hours = [0, 22, 23, 59, 60, 83, 84];
        let kems = hours.map(|hour| {
            let at = NOW.plus(hour * HOUR);
            json!([at.0, descriptor.kem(at).map(|kem| hex(kem.id()))])
        });
        case["ports"] = json!(ports);
        case["kem_at"] = json!(kems);
    }
    case
}

/// The bytes of a descriptor, changed and then signed whatever they say.
fn bent(descriptor: &Descriptor, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = descriptor.sign(&node_key("one")).unwrap();
    bytes.truncate(bytes.len() - 64);
    change(&mut bytes);
    let signature = node_key("one").sign(super::LABEL, &bytes);
    bytes.extend_from_slice(&signature);
    bytes
}

fn same(_: &mut Situation) {}

/// The small descriptor of wallet one, changed before it is signed.
fn signed(change: impl Fn(&mut Descriptor)) -> Vec<u8> {
    let mut descriptor = small("one", &named("network"), NOW);
    change(&mut descriptor);
    descriptor.sign(&node_key("one")).unwrap()
}

/// The bytes of the small descriptor, changed and then signed whatever they say.
fn forged(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    bent(&small("one", &named("network"), NOW), change)
}

/// Descriptors in their form, which hold or do not by whom, when and where they are shown.
fn shown() -> Vec<Value> {
    let network = named("network");
    let right = signed(|_| ());
    let shortest = signed(|d| {
        d.endpoints.clear();
        d.policy.clear();
    });
    let at_home = signed(|d| d.endpoints = vec![endpoint("192.168.1.1:443", BindingKind::Exporter)]);
    let mut unsigned = right.clone();
    *unsigned.last_mut().unwrap() ^= 1;
    vec![
        case("right", &full(&network).sign(&node_key("one")).unwrap(), same),
        case("right, as short as can be", &shortest, same),
        case("another protocol as well", &signed(|d| d.protocols = 0x8001), same),
        case("its last second", &right, |s| s.now = NOW.plus(30 * HOUR)),
        case("expired", &right, |s| s.now = NOW.plus(30 * HOUR + 1)),
        case("10 minutes early", &right, |s| s.now = NOW.minus(600)),
        case("from the future", &right, |s| s.now = NOW.minus(601)),
        case("wrong network", &right, |s| s.network = named("another network")),
        case("another node's delegation", &right, |s| s.delegation = terms("two")),
        case("another key's delegation", &right, |s| s.delegation.node_key = node_key("two").public()),
        case("a node withdrawn", &right, |s| {
            s.delegation = DelegationTerms::withdrawal(s.delegation.node, 2)
        }),
        case("as long as the delegation", &right, |s| s.delegation.not_after = NOW.plus(30 * HOUR)),
        case("longer than the delegation", &right, |s| s.delegation.not_after = NOW.plus(30 * HOUR - 1)),
        case("a private endpoint", &at_home, same),
        case("a private endpoint in a lab", &at_home, |s| s.lab = true),
        case("a signature bent", &unsigned, same),
    ]
}

/// Descriptors that are none, rightly signed.
fn spoiled() -> Vec<Value> {
    let two =
        Descriptor { kems: vec![kem("one", NOW), kem("two", NOW)], ..small("one", &named("network"), NOW) };
    // Both keys become the first one.
    let same_id = bent(&two, |b| b.copy_within(85..85 + 1236, 85 + 1236));
    let of = |name: &str, at: usize, to: u8| case(name, &forged(|b| b[at] = to), same);
    // Behind the only key: linkKey, linkGate, operator, family, country, asn, kibps, endpoints, policy.
    let tail = 85 + 1236;
    let ports = forged(|b| b[tail + 130..tail + 134].copy_from_slice(&[1, 0, 0, 255]));
    vec![
        case("valid for over 30 hours", &forged(|b| b[79] += 1), same),
        case("ends before it begins", &forged(|b| b[76] = 0), same),
        of("no protocol of ours", 81, 2),
        of("a flag", 82, 128),
        of("another flag", 83, 1),
        of("no key", 84, 0),
        of("three keys", 84, 3),
        case("equal ids", &same_id, same),
        case("an id that is not the key's", &forged(|b| b[85] ^= 1), same),
        case("a key that lasts a second less", &forged(|b| b[104] -= 1), same),
        case("no operator", &forged(|b| b[tail + 64..tail + 84].fill(0)), same),
        of("17 of the family", tail + 84, 17),
        of("a country in lower case", tail + 85, b'z'),
        of("5 endpoints", tail + 95, 5),
        of("an endpoint of kind 5", tail + 96, 5),
        case("port 0", &forged(|b| b[tail + 101..tail + 103].fill(0)), same),
        of("a name with an upper-case letter", tail + 104, b'C'),
        of("a path without its slash", tail + 118, b'l'),
        of("a cookie with a space", tail + 124, b' '),
        of("binding 0", tail + 127, 0),
        of("binding 3", tail + 127, 3),
        of("33 rules", tail + 128, 33),
        of("a verb of 2", tail + 129, 2),
        case("ports in the wrong order", &ports, same),
        case("over 4096 bytes", &forged(|b| b.resize(4033, 0)), same),
    ]
}

#[test]
fn the_vectors_of_descriptors_are_published() {
    assert_published(
        "descriptor",
        "ovl1 section 2.2: descriptors, the delegation they are shown with, and whether they hold; which key is taken",
        [shown(), spoiled()].concat(),
    );
}
