//! A node's keys through hours, days and months.

use super::*;
use crate::keys::store::tests::Folder;
use shoalway_overlay_proto::descriptor::{
    DescriptorChecks, KEM_ACCEPTED_SECONDS, NO_COUNTRY, SignedDescriptor,
};
use std::fs;

const NOW: UnixTime = UnixTime(1_800_000_000);
const NETWORK: [u8; 32] = [7; 32];
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

fn facts() -> NodeFacts {
    NodeFacts {
        operator: None,
        family: Vec::new(),
        country: NO_COUNTRY,
        asn: 0,
        kibps: 1_024,
        endpoints: Vec::new(),
        listed: None,
        policy: vec![PolicyRule::ALLOW_ALL],
    }
}

/// Signs a delegation in, as the wallet of the tests; the signature is the published one of the protocol's vectors no
/// more than any other, so it is made here.
fn sign_in(folder: &Folder, seed: u8, from: UnixTime) -> NodeFiles {
    let files = NodeFiles {
        delegation: folder.0.join("node.delegation"),
        node_key: folder.0.join("node.nodekey"),
        keys: folder.0.join("keys"),
    };
    let wallet = shoalway_wallet::WalletKey::from_secret(&[9; 32]).unwrap();
    let terms = DelegationTerms {
        node: wallet.address(),
        node_key: SecretKey::from_seed(&[seed; 32]).public(),
        roles: Roles::ENTRY,
        not_before: from,
        not_after: from.plus(30 * DAY),
        serial: from.0,
    };
    let signed = wallet.delegate(&NETWORK, terms).unwrap();
    let line = |bytes: &[u8]| format!("{}\n", *crate::keys::gates::to_hex(bytes));
    files::replace(&files.node_key, line(&[seed; 32]).as_bytes()).unwrap();
    files::replace(&files.delegation, line(&signed.encode()).as_bytes()).unwrap();
    files
}

fn open(files: &NodeFiles, now: UnixTime) -> Result<Arc<NodeLife>, LifeError> {
    NodeLife::open(NETWORK, true, facts(), files.clone(), now)
}

fn read(life: &NodeLife, now: UnixTime) -> Descriptor {
    let keys = life.keys.load_full();
    let terms = life.terms();
    let checks = DescriptorChecks { network: &NETWORK, lab: true, delegation: &terms, now };
    SignedDescriptor::parse(&keys.descriptor).unwrap().check(&checks).unwrap()
}

#[test]
fn a_descriptor_is_newer_every_hour_and_always_holds() {
    let folder = Folder::new("life-hours");
    let files = sign_in(&folder, 1, NOW);
    let life = open(&files, NOW).unwrap();
    let mut last = read(&life, NOW);
    for hour in 1..=70 {
        let now = NOW.plus(hour * HOUR);
        life.turn(now).unwrap();
        let next = read(&life, now);
        assert!(next.seq > last.seq && next.kem(now).is_some(), "hour {hour}");
        // Whoever reads the old one now seals to a key that is still taken.
        let key = last.kem(now).unwrap();
        assert!(key.is_accepted(now.plus(30 * HOUR)), "hour {hour}");
        last = next;
    }
}

#[test]
fn keys_that_are_over_are_no_longer_in_the_folder() {
    let folder = Folder::new("life-erase");
    let files = sign_in(&folder, 1, NOW);
    let life = open(&files, NOW).unwrap();
    for hour in 1..=100 {
        let now = NOW.plus(hour * HOUR);
        life.turn(now).unwrap();
        for path in files::list(&files.keys, "kem-", ".key").unwrap() {
            let digits = path.file_stem().unwrap().to_str().unwrap().trim_start_matches("kem-");
            let made: u64 = digits.parse().unwrap();
            assert!(now.0 <= made + KEM_ACCEPTED_SECONDS, "hour {hour}");
        }
    }
}

#[test]
fn a_key_for_links_is_taken_for_thirty_days_after_the_next_was_made() {
    let folder = Folder::new("life-links");
    let files = sign_in(&folder, 1, NOW);
    let life = open(&files, NOW).unwrap();
    let first = *life.keys.load().link.public();
    for (day, is_used, is_taken) in
        [(59, true, true), (60, false, true), (90, false, true), (91, false, false)]
    {
        let now = NOW.plus(day * DAY);
        sign_in(&folder, 1, now.minus(DAY));
        life.turn(now).unwrap();
        let keys = life.keys.load_full();
        let used = *keys.link.public() == first;
        let former = keys.former_link.as_ref().is_some_and(|link| *link.public() == first);
        assert_eq!((used, used || former), (is_used, is_taken), "day {day}");
        assert_eq!(read(&life, now).link_key, *keys.link.public());
    }
}

#[test]
fn a_new_delegation_is_taken_up_and_a_bad_one_leaves_everything_in_force() {
    let folder = Folder::new("life-delegation");
    let files = sign_in(&folder, 1, NOW);
    let life = open(&files, NOW).unwrap();
    let before = life.keys.load().descriptor.clone();
    files::replace(&files.node_key, format!("{}\n", "ab".repeat(32)).as_bytes()).unwrap();
    assert!(matches!(life.turn(NOW.plus(HOUR)), Err(LifeError::OtherKey { .. })));
    assert_eq!(life.keys.load().descriptor, before);
    assert!(life.trouble().is_some());
    sign_in(&folder, 2, NOW.plus(HOUR));
    life.turn(NOW.plus(2 * HOUR)).unwrap();
    assert_eq!(life.terms().serial, NOW.0 + HOUR);
    assert!(life.trouble().is_none());
    read(&life, NOW.plus(2 * HOUR));
}

#[test]
fn a_node_without_a_valid_delegation_does_not_start_and_is_told_why() {
    let folder = Folder::new("life-refuse");
    let files = sign_in(&folder, 1, NOW);
    for (at, wanted) in [(NOW.plus(31 * DAY), "has expired"), (NOW.minus(DAY), "not valid yet")] {
        let error = open(&files, at).err().unwrap().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    fs::remove_file(&files.delegation).unwrap();
    let error = open(&files, NOW).err().unwrap().to_string();
    assert!(error.contains("node.delegation is not there"), "{error}");
}

#[test]
fn an_unlisted_entry_publishes_no_place() {
    let folder = Folder::new("life-unlisted");
    let files = sign_in(&folder, 1, NOW);
    let endpoint = Endpoint {
        address: "203.0.113.7:443".parse().unwrap(),
        sni: "example.org".to_owned(),
        path: "/live".to_owned(),
        cookie: "sid".to_owned(),
        binding: shoalway_overlay_proto::descriptor::BindingKind::Exporter,
    };
    for (listed, wanted) in [(Some(true), 1), (Some(false), 0), (None, 0)] {
        let facts = NodeFacts { endpoints: vec![endpoint.clone()], listed, ..facts() };
        let life = NodeLife::open(NETWORK, false, facts, files.clone(), NOW).unwrap();
        assert_eq!(read(&life, NOW).endpoints.len(), wanted);
    }
}

#[test]
fn a_gate_that_another_program_adds_is_taken_up_at_once() {
    let folder = Folder::new("life-gates");
    let files = sign_in(&folder, 1, NOW);
    let life = open(&files, NOW).unwrap();
    assert!(!life.look_at_gates(NOW).unwrap());
    let path = files.keys.join("gates");
    let mut gates = crate::keys::gates::Gates::read(&path).unwrap().unwrap();
    gates.for_guest("aunt", Some(NOW.plus(9)), NOW, &mut chance::rng()).unwrap();
    gates.write(&path).unwrap();
    let before = life.keys.load().descriptor.clone();
    assert!(life.look_at_gates(NOW).unwrap());
    assert_eq!(life.keys.load().descriptor, before);
    assert!(life.look_at_gates(NOW.plus(10)).unwrap(), "the guest's time is over");
}
