//! The published vectors of delegations and of the order of serials (ovl1 section 15).

use super::{Delegation, DelegationTerms, Revocations, Roles, address_of};
use crate::identity::ed25519::SecretKey;
use crate::moment::UnixTime;
use crate::vectors::{assert_published, hex, named};
use k256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use std::fmt::Debug;

pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(crate) const HOUR: u64 = 3600;
pub(crate) const DAY: u64 = 24 * HOUR;

/// `ok`, or the name of the error in lower case with hyphens.
pub(crate) fn outcome<T, E: Debug>(result: &Result<T, E>) -> String {
    let Err(error) = result else { return "ok".to_owned() };
    word(&format!("{error:?}"))
}

/// The first word of a debug print, in lower case with hyphens.
pub(crate) fn word(debug: &str) -> String {
    let name: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut word = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

pub(crate) fn wallet(name: &str) -> SigningKey {
    SigningKey::from_slice(&named(&format!("wallet {name}"))).unwrap()
}

pub(crate) fn node_key(name: &str) -> SecretKey {
    SecretKey::from_seed(&named(&format!("node key {name}")))
}

/// What the wallet of this name says about its node: an exit and middle, for 20 days.
pub(crate) fn terms(name: &str) -> DelegationTerms {
    DelegationTerms {
        node: address_of(wallet(name).verifying_key()),
        node_key: node_key(name).public(),
        roles: Roles::EXIT | Roles::MIDDLE,
        not_before: NOW.minus(DAY),
        not_after: NOW.plus(19 * DAY),
        serial: 1,
    }
}

pub(crate) fn sign(name: &str, network: &[u8; 32], terms: DelegationTerms) -> Delegation {
    let (halves, id) = wallet(name).sign_prehash_recoverable(&terms.digest(network));
    let mut signature = [0; 65];
    signature[..64].copy_from_slice(&halves.to_bytes());
    signature[64] = 27 + id.to_byte();
    Delegation { terms, signature }
}

fn case(name: &str, network: &[u8; 32], bytes: &[u8], now: UnixTime) -> Value {
    let parsed = Delegation::parse(bytes);
    let outcome = match &parsed {
        Err(malformed) => outcome::<(), _>(&Err(malformed)),
        Ok(delegation) => outcome(&delegation.check(network, now)),
    };
    let digest = parsed.ok().map(|delegation| hex(delegation.terms.digest(network)));
    json!({
        "name": name, "network": hex(network), "delegation": hex(bytes), "now": now.0,
        "digest": digest, "outcome": outcome,
    })
}

#[test]
fn the_vectors_of_delegations_are_published() {
    let network = named("network");
    let right = sign("one", &network, terms("one"));
    let changed = |change: &dyn Fn(&mut DelegationTerms)| {
        let mut terms = terms("one");
        change(&mut terms);
        sign("one", &network, terms).encode()
    };
    let bent = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = right.encode();
        change(&mut bytes);
        bytes
    };
    let upper = |bytes: &mut Vec<u8>| {
        let (r, low) = Signature::from_slice(&bytes[78..142]).unwrap().split_scalars();
        let high = Signature::from_scalars(r.to_bytes(), (-*low).to_bytes()).unwrap();
        bytes.splice(78..142, high.to_bytes());
        bytes[142] = 55 - bytes[142];
    };
    let (begins, ends) = (right.terms.not_before, right.terms.not_after);
    let at = |name, now| case(name, &network, &right.encode(), now);
    let of = |name, bytes: Vec<u8>| case(name, &network, &bytes, NOW);
    let mut first = at("right", NOW);
    first["wallet"] = hex(named("wallet one")).into();
    first["node_key_seed"] = hex(named("node key one")).into();
    assert_published(
        "delegation",
        "ovl1 section 2.1: bytes of a delegation, its EIP-712 digest, and whether it holds at a time",
        vec![
            first,
            at("first second of grace", begins.minus(600)),
            at("too early", begins.minus(601)),
            at("last second of grace", ends.plus(600)),
            at("too late", ends.plus(601)),
            case("another network", &named("another network"), &right.encode(), NOW),
            of("30 days", changed(&|t| t.not_after = t.not_before.plus(30 * DAY))),
            of("30 days and a second", changed(&|t| t.not_after = t.not_before.plus(30 * DAY + 1))),
            of("ends before it begins", changed(&|t| t.not_after = t.not_before.minus(1))),
            of("a key without a role", changed(&|t| t.roles = Roles::NONE)),
            of("a role without a key", changed(&|t| t.node_key = [0; 32])),
            of("withdrawn", changed(&|t| *t = DelegationTerms::withdrawal(t.node, 2))),
            of("another node", bent(&|b| b[0] ^= 1)),
            of("a role bit that means nothing", bent(&|b| b[53] |= 16)),
            of("another role bit that means nothing", bent(&|b| b[52] |= 128)),
            of("s in the upper half", bent(&upper)),
            of("v of 0", bent(&|b| b[142] -= 27)),
            of("v of 29", bent(&|b| b[142] = 29)),
            of("the other v", bent(&|b| b[142] = 55 - b[142])),
            of("r of 0", bent(&|b| b[78..110].fill(0))),
            of("r over the order", bent(&|b| b[78..110].fill(0xff))),
            of("s of 0", bent(&|b| b[110..142].fill(0))),
            of("a byte too few", bent(&|b| b.truncate(142))),
            of("a byte too many", bent(&|b| b.push(0))),
        ],
    );
}

#[test]
fn the_vectors_of_the_order_of_serials_are_published() {
    let network = named("network");
    let with = |serial, key: &str| {
        let node_key = node_key(key).public();
        sign("one", &network, DelegationTerms { serial, node_key, ..terms("one") })
    };
    let withdrawn = |serial| sign("one", &network, DelegationTerms::withdrawal(terms("one").node, serial));
    let run = |name: &str, steps: Vec<(Delegation, u64)>| {
        let mut table = Revocations::new();
        let steps: Vec<Value> = steps
            .into_iter()
            .map(|(delegation, days)| {
                let now = NOW.plus(days * DAY);
                let admitted = table.admit(&delegation.verify(&network).unwrap(), now);
                json!({
                    "delegation": hex(delegation.encode()), "now": now.0,
                    "outcome": outcome(&admitted), "table": hex(table.encode(&network)),
                })
            })
            .collect();
        json!({ "name": name, "network": hex(network), "steps": steps })
    };
    assert_published(
        "revocation",
        "ovl1 section 2.1: delegations seen one after the other, which of them hold, and the table kept",
        vec![
            run(
                "the highest serial holds",
                vec![(with(5, "one"), 0), (with(4, "one"), 0), (with(6, "two"), 1)],
            ),
            run(
                "two of one serial",
                vec![
                    (with(5, "one"), 0),
                    (with(5, "one"), 1),
                    (with(5, "two"), 1),
                    (with(5, "one"), 1),
                    (with(6, "one"), 2),
                ],
            ),
            run("withdrawn for good", vec![(with(5, "one"), 0), (withdrawn(6), 1), (with(5, "one"), 1)]),
            run(
                "remembered for 60 days",
                vec![(with(5, "one"), 0), (with(4, "one"), 60), (with(4, "one"), 61)],
            ),
            run(
                "two wallets",
                vec![(with(5, "one"), 0), (sign("two", &network, terms("two")), 0), (with(6, "one"), 0)],
            ),
        ],
    );
}
