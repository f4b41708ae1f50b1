//! Snapshots: bytes, refusals, signing apart, what is of use. What builds one here serves the tests of chains too.

use super::*;
use crate::descriptor::tests::{START, descriptor, endpoint, node_key};
use crate::descriptor::{DescriptorError, EndpointError};
use crate::identity::{Delegation, DelegationTerms, Revocations, Roles, address_of};
use crate::network::tests::{directory_key, network, signed, terms};
use k256::ecdsa::SigningKey;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

pub(crate) fn testnet() -> Network {
    network(&[1, 2, 3], 2, false)
}

fn wallet(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

pub(crate) fn address(byte: u8) -> Address {
    address_of(wallet(byte).verifying_key())
}

pub(crate) fn delegate(byte: u8, network: &Network, change: impl Fn(&mut DelegationTerms)) -> Delegation {
    let mut terms = DelegationTerms {
        node: address(byte),
        node_key: node_key(byte).public(),
        roles: Roles::EXIT | Roles::MIDDLE,
        not_before: START.minus(DAY),
        not_after: START.plus(20 * DAY),
        serial: 1,
    };
    change(&mut terms);
    let (halves, id) = wallet(byte).sign_prehash_recoverable(&terms.digest(network.id()));
    let mut signature = [0; 65];
    signature[..64].copy_from_slice(&halves.to_bytes());
    signature[64] = 27 + id.to_byte();
    Delegation { terms, signature }
}

fn node(
    byte: u8,
    network: &Network,
    change: impl Fn(&mut crate::descriptor::Descriptor),
) -> (Delegation, Vec<u8>) {
    let mut descriptor = descriptor(address(byte), START.minus(HOUR));
    descriptor.network = *network.id();
    descriptor.endpoints = vec![endpoint([203, 0, 113, byte])];
    change(&mut descriptor);
    (delegate(byte, network, |_| ()), descriptor.sign(&node_key(byte)).unwrap())
}

pub(crate) fn contents(network: &Network, nodes: &[u8]) -> Contents {
    Contents {
        nodes: nodes.iter().map(|byte| node(*byte, network, |_| ())).collect(),
        members: vec![Address([9; 20]), Address([4; 20])],
        affinity: "a.example b.example\nc.example d.example\n".to_owned(),
    }
}

pub(crate) fn file(draft: &Draft, network: &Network, keys: &[u8]) -> Vec<u8> {
    let mut draft = draft.clone();
    keys.iter().for_each(|byte| assert!(draft.sign(network, &directory_key(*byte)), "key {byte}"));
    draft.encode()
}

pub(crate) fn snapshot(
    network: &Network,
    before: Option<&SnapshotHeader>,
    published: UnixTime,
    contents: Contents,
) -> Snapshot {
    let draft = Draft::new(network, before, published, contents).unwrap();
    Snapshot::parse(&file(&draft, network, &[1, 2]), network, None).unwrap()
}

/// Bytes of a file with this header and body, signed by two of three, whatever they say.
fn forged(network: &Network, change: impl Fn(&mut SnapshotHeader), body: &[u8]) -> Vec<u8> {
    let draft = Draft::new(network, None, START, contents(network, &[5, 6, 7])).unwrap();
    let mut header = draft.header().header.clone();
    header.body_hash = crate::kdf::hash(&[body]);
    change(&mut header);
    let signatures = [(0, header.sign(&directory_key(1))), (1, header.sign(&directory_key(2)))];
    let mut bytes = SignedHeader { header, signatures: signatures.to_vec() }.encode();
    bytes.extend_from_slice(body);
    bytes
}

fn body() -> Vec<u8> {
    contents(&testnet(), &[5, 6, 7]).encode()
}

#[test]
fn a_snapshot_of_three_nodes_is_read_back() {
    let network = testnet();
    let draft = Draft::new(&network, None, START, contents(&network, &[7, 5, 6])).unwrap();
    let bytes = file(&draft, &network, &[3, 1]);
    let snapshot = Snapshot::parse(&bytes, &network, None).unwrap();
    assert_eq!((snapshot.number(), snapshot.published()), (1, START));
    assert_eq!(snapshot.header().signers().collect::<Vec<_>>(), [0, 2]);
    let nodes: Vec<Address> = snapshot.nodes().iter().map(|node| node.terms().node).collect();
    assert!(nodes.is_sorted() && nodes.len() == 3);
    assert_eq!(snapshot.members(), [Address([4; 20]), Address([9; 20])], "in order, however they were given");
    assert_eq!(snapshot.affinity().group_of("b.example"), Some("a.example"));
    let node = snapshot.node(&address(6)).unwrap();
    assert_eq!(node.descriptor().unwrap().endpoints, [endpoint([203, 0, 113, 6])]);
    assert!(snapshot.node(&address(8)).is_none());
    let again = Snapshot::parse(&bytes, &network, Some(&snapshot)).unwrap();
    assert_eq!(again.nodes(), snapshot.nodes(), "what the one before spares changes nothing");
}

#[test]
fn signatures_are_by_different_keys_and_enough_of_them() {
    let network = testnet();
    let draft = Draft::new(&network, None, START, contents(&network, &[5])).unwrap();
    let parse = |bytes: &[u8]| Snapshot::parse(bytes, &network, None).map(|_| ());
    assert_eq!(parse(&file(&draft, &network, &[1, 2, 3])), Ok(()));
    assert_eq!(parse(&file(&draft, &network, &[2])), Err(SnapshotError::Quorum { found: 1, needed: 2 }));
    assert_eq!(parse(&file(&draft, &network, &[])), Err(SnapshotError::Quorum { found: 0, needed: 2 }));
    let right = file(&draft, &network, &[1, 2]);
    let change = |at: usize, to: u8| {
        let mut bytes = right.clone();
        bytes[at] = to;
        parse(&bytes)
    };
    assert_eq!(change(132, 33), Err(Malformed("signature count").into()));
    assert_eq!(change(133, 1), Err(Malformed("signature order").into()), "a key twice");
    assert_eq!(change(133 + 65, 0), Err(Malformed("signature order").into()), "a key twice");
    assert_eq!(change(133 + 65, 2), Err(SnapshotError::Signature { key: 2 }), "another key's");
    assert_eq!(change(133 + 65, 3), Err(SnapshotError::Signature { key: 3 }), "nobody's");
    assert_eq!(change(134, right[134] ^ 1), Err(SnapshotError::Signature { key: 0 }), "bent");
    assert!(!draft.clone().sign(&network, &directory_key(9)));
}

#[test]
fn headers_out_of_range_are_refused_even_if_signed() {
    type Change = fn(&mut SnapshotHeader);
    let network = testnet();
    let rows: [(Change, SnapshotError); 9] = [
        (|h| h.network = [0; 32], SnapshotError::Network),
        (|h| h.number = 0, Malformed("snapshot number").into()),
        (|h| h.number = 2, Malformed("snapshot prev").into()),
        (|h| h.prev = [1; 32], Malformed("snapshot prev").into()),
        (|h| h.valid_until = START.plus(36 * HOUR + 1), SnapshotError::Lifetime),
        (|h| h.net_version = 2, SnapshotError::Version(2)),
        (|h| h.nodes = 2049, Malformed("snapshot nodes").into()),
        (|h| h.body_hash = [0; 32], SnapshotError::BodyHash),
        (|h| h.published = UnixTime(u64::MAX), SnapshotError::Lifetime),
    ];
    for (change, wanted) in rows {
        let bytes = forged(&network, change, &body());
        assert_eq!(Snapshot::parse(&bytes, &network, None).map(|_| ()), Err(wanted));
    }
    assert!(Snapshot::parse(&forged(&network, |_| (), &body()), &network, None).is_ok());
}

#[test]
fn one_wrong_node_spoils_the_file() {
    let network = testnet();
    let with = |node: (Delegation, Vec<u8>)| {
        let contents = Contents { nodes: vec![node], ..contents(&network, &[]) };
        match Draft::new(&network, None, START, contents) {
            Ok(_) => Ok(()),
            Err(SnapshotError::Node { index: 0, fault }) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    };
    let live = || node(5, &network, |_| ());
    let descriptor = live().1;
    let delegated = |change: &dyn Fn(&mut DelegationTerms)| (delegate(5, &network, change), live().1);
    let described = |change: &dyn Fn(&mut crate::descriptor::Descriptor)| node(5, &network, change);
    let withdrawn = delegate(5, &network, |terms| *terms = DelegationTerms::withdrawal(terms.node, 2));
    let mut unsigned = live();
    unsigned.0.signature[5] ^= 1;
    let outcome = with(unsigned);
    assert!(matches!(
        outcome,
        Err(NodeFault::Delegation(DelegationError::Signer | DelegationError::Signature))
    ));
    for (node, wanted, why) in [
        (live(), Ok(()), "right"),
        ((withdrawn.clone(), Vec::new()), Ok(()), "withdrawn"),
        ((withdrawn, descriptor), Err(NodeFault::Withdrawn), "withdrawn, with a descriptor"),
        ((live().0, Vec::new()), Err(NodeFault::NoDescriptor), "not withdrawn, without one"),
        ((live().0, vec![1]), Err(Malformed("descriptor length").into()), "no descriptor"),
        (
            delegated(&|t| t.not_after = START.minus(601)),
            Err(DelegationError::Expired.into()),
            "expired by then",
        ),
        (
            delegated(&|t| t.not_before = START.plus(601)),
            Err(DelegationError::NotYet.into()),
            "not valid yet",
        ),
        (delegated(&|t| t.node_key[0] ^= 1), Err(DescriptorError::Signature.into()), "another key"),
        (described(&|d| d.expires = START.minus(1)), Err(DescriptorError::Expired.into()), "expired by then"),
        (
            described(&|d| d.endpoints[0] = endpoint([127, 0, 0, 1])),
            Err(DescriptorError::Endpoint(EndpointError::Place).into()),
            "loopback",
        ),
        (described(&|d| d.network = [0; 32]), Err(DescriptorError::Network.into()), "another network's"),
    ] {
        let checked = check_node(&network, &node.0, &node.1, START).map(|_| ());
        assert_eq!(checked, wanted, "{why}");
        assert_eq!(with(node), wanted, "{why}");
    }
}

impl From<Malformed> for NodeFault {
    fn from(error: Malformed) -> Self {
        Self::Descriptor(DescriptorError::Malformed(error))
    }
}

#[test]
fn nodes_and_members_are_in_order_and_none_twice() {
    let network = testnet();
    let parse = |body: &[u8]| {
        let bytes = forged(&network, |_| (), body);
        Snapshot::parse(&bytes, &network, None).map(|_| ())
    };
    let right = body();
    let entry = (right.len() - 4 - 40 - 4 - 40) / 3;
    let (nodes, tail) = right.split_at(3 * entry);
    assert_eq!(parse(&right), Ok(()));
    let swapped = [&nodes[entry..2 * entry], &nodes[..entry], &nodes[2 * entry..], tail].concat();
    assert_eq!(parse(&swapped), Err(SnapshotError::Order("nodes")));
    let twice = [&nodes[..entry], &nodes[..entry], &nodes[2 * entry..], tail].concat();
    assert_eq!(parse(&twice), Err(SnapshotError::Order("nodes")));
    let (members, affinity) = tail.split_at(44);
    let swapped = [nodes, &members[..4], &members[24..], &members[4..24], affinity].concat();
    assert_eq!(parse(&swapped), Err(SnapshotError::Order("members")));
    let many = [nodes, &8193u32.to_be_bytes(), &members[4..], affinity].concat();
    assert_eq!(parse(&many), Err(Malformed("snapshot members").into()));
    let long = [nodes, members, &262_145u32.to_be_bytes(), &vec![b'\n'; 262_145]].concat();
    assert_eq!(parse(&long), Err(Malformed("snapshot affinity").into()));
    let longest = [nodes, members, &262_144u32.to_be_bytes(), &vec![b'\n'; 262_144]].concat();
    assert_eq!(parse(&longest), Ok(()));
    let upper = [nodes, members, &9u32.to_be_bytes(), b"A.example"].concat();
    assert_eq!(parse(&upper), Err(SnapshotError::Affinity(AffinityError::Domain(1))));
    assert_eq!(parse(&[&right[..], &[0]].concat()), Err(Malformed("trailing bytes").into()));
    for end in [0, entry - 1, 3 * entry, 3 * entry + 23, right.len() - 1] {
        assert!(matches!(parse(&right[..end]), Err(SnapshotError::Malformed(_))), "cut at {end}");
    }
}

#[test]
fn limits_of_nodes_members_and_bytes_hold() {
    let network = testnet();
    let members = |count: u32| Contents {
        members: (0..count)
            .map(|n| Address([&[0; 16], &n.to_be_bytes()[..]].concat().try_into().unwrap()))
            .collect(),
        ..Contents::default()
    };
    assert!(Draft::new(&network, None, START, members(8192)).is_ok());
    assert_eq!(Draft::new(&network, None, START, members(8193)), Err(Malformed("snapshot members").into()));
    let nodes = Contents { nodes: vec![node(5, &network, |_| ()); 2049], ..Contents::default() };
    assert_eq!(Draft::new(&network, None, START, nodes), Err(Malformed("snapshot nodes").into()));
    let long = vec![0; SNAPSHOT_MOST_BYTES + 1];
    assert_eq!(Snapshot::parse(&long, &network, None).map(|_| ()), Err(Malformed("snapshot length").into()));
}

#[test]
fn every_cut_and_every_bent_byte_is_refused() {
    let network = testnet();
    let draft = Draft::new(&network, None, START, contents(&network, &[5])).unwrap();
    let bytes = file(&draft, &network, &[1, 2]);
    for end in 0..bytes.len() {
        assert!(Snapshot::parse(&bytes[..end], &network, None).is_err(), "cut at {end}");
    }
    assert!(Snapshot::parse(&[&bytes[..], &[0]].concat(), &network, None).is_err());
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 0x80;
        assert!(Snapshot::parse(&bent, &network, None).is_err(), "byte {at}");
    }
}

#[test]
fn signers_work_apart_and_are_joined() {
    let network = testnet();
    let draft = Draft::new(&network, None, START, contents(&network, &[5, 6])).unwrap();
    assert!(!draft.is_complete(&network));
    let sign = |byte| {
        let mut copy = Draft::parse(&draft.encode(), &network).unwrap();
        assert!(copy.sign(&network, &directory_key(byte)));
        copy
    };
    let (mut first, third) = (sign(1), sign(3));
    assert!(!first.is_complete(&network) && !third.is_complete(&network));
    assert!(first.join(&third) && first.join(&third));
    assert!(first.is_complete(&network));
    assert_eq!(first.encode(), file(&draft, &network, &[1, 3]));
    let other = Draft::new(&network, None, START.plus(1), contents(&network, &[5, 6])).unwrap();
    assert!(!first.join(&other));
    let mut bent = third.encode();
    bent[140] ^= 1;
    assert_eq!(Draft::parse(&bent, &network), Err(SnapshotError::Signature { key: 2 }));
}

#[test]
fn a_directory_shows_what_is_of_use_at_the_time() {
    let network = testnet();
    let short = |d: &mut crate::descriptor::Descriptor| d.expires = START.plus(HOUR);
    let mut contents = contents(&network, &[5, 6]);
    contents.nodes.push(node(7, &network, short));
    let withdrawn = delegate(8, &network, |terms| *terms = DelegationTerms::withdrawal(terms.node, 2));
    contents.nodes.push((withdrawn, Vec::new()));
    contents.members.push(address(10));
    let snapshot = snapshot(&network, None, START, contents);
    let mut revocations = Revocations::new();
    let later = delegate(6, &network, |terms| terms.serial = 2);
    revocations.admit(&later.verify(network.id()).unwrap(), START).unwrap();
    let mut directory = Directory::new(snapshot.clone(), &mut revocations, START);
    assert_eq!(directory.number_and_hash(), (1, snapshot.header().header.hash()));
    let found = |directory: &Directory, byte, now| directory.lookup(&address(byte), now).is_some();
    for (byte, now, wanted, why) in [
        (5, START, true, "a node"),
        (6, START, false, "a later delegation was seen elsewhere"),
        (7, START.plus(HOUR), true, "still valid"),
        (7, START.plus(HOUR + 1), false, "expired since"),
        (8, START, false, "withdrawn"),
        (9, START, false, "unknown"),
        (10, START, false, "unlisted"),
    ] {
        assert_eq!(found(&directory, byte, now), wanted, "{why}");
        assert_eq!(directory.admits(&address(byte), now), wanted || byte == 10, "{why}");
    }
    let count = |roles| directory.nodes(roles, START).count();
    assert_eq!((count(Roles::EXIT), count(Roles::EXIT | Roles::MIDDLE), count(Roles::ENTRY)), (2, 2, 0));
    assert_eq!(directory.members().len(), 3);
    assert_eq!(directory.affinity().len(), 4);
    directory.revoke(address(5));
    directory.revoke(address(10));
    assert!(!found(&directory, 5, START) && !directory.admits(&address(10), START));
    let printed = format!("{directory:?}");
    assert!(printed.contains("number: 1") && !printed.contains("203"), "{printed}");
    let withdrawn = delegate(8, &network, |_| ()).verify(network.id()).unwrap();
    assert!(revocations.admit(&withdrawn, START).is_err(), "the snapshot's withdrawal was noted");
}

#[test]
fn a_snapshot_ages_in_steps() {
    for (published, now, wanted) in [
        (START, START, Age::Normal),
        (START.plus(600), START, Age::Normal),
        (START.plus(601), START, Age::Future),
        (START, START.plus(12 * HOUR), Age::Normal),
        (START, START.plus(12 * HOUR + 1), Age::Old),
        (START, START.plus(36 * HOUR), Age::Old),
        (START, START.plus(36 * HOUR + 1), Age::TooOld),
    ] {
        assert_eq!(Age::of(published, now), wanted);
    }
}

#[test]
fn in_a_lab_loopback_is_a_place_like_any_other() {
    let lab = Network::begin(
        signed(crate::network::NetworkTerms { lab: true, ..terms(&[1, 2, 3], 2) }, &[1, 2], None).as_bytes(),
    )
    .unwrap();
    let here = node(5, &lab, |d| d.endpoints = vec![endpoint([127, 0, 0, 1])]);
    assert!(check_node(&lab, &here.0, &here.1, START).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let network = testnet();
        prop_assert!(Snapshot::parse(&bytes, &network, None).is_err());
        prop_assert!(SignedHeader::parse(&bytes).is_err());
        let forged = forged(&network, |_| (), &bytes);
        prop_assert!(Snapshot::parse(&forged, &network, None).is_err());
    }

    #[test]
    fn a_header_reads_back(number in 2..u64::MAX, prev in any::<[u8; 32]>(), published in any::<u32>(), nodes in 0..=2048u32) {
        let header = SnapshotHeader {
            network: [7; 32],
            number,
            prev,
            published: UnixTime(published.into()),
            valid_until: UnixTime(0),
            net_version: 1,
            nodes,
            body_hash: prev,
        };
        let signed = SignedHeader { header, signatures: vec![(0, [1; 64]), (31, [2; 64])] };
        prop_assert_eq!(SignedHeader::parse(&signed.encode()), Ok(signed));
    }
}
