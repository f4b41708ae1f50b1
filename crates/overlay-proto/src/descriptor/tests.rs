//! Descriptors: bytes, refusals, who is family. What builds one here serves the tests of snapshots too.

use super::*;
use crate::identity::Roles;
use crate::identity::ed25519::SecretKey;
use proptest::prelude::{any, prop_assert_eq, proptest};

pub(crate) const NETWORK: [u8; 32] = [0x4e; 32];
pub(crate) const START: UnixTime = UnixTime(1_800_000_000);
const HOUR: u64 = 3600;

pub(crate) fn node_key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

pub(crate) fn kem(byte: u8, not_before: UnixTime) -> KemOffer {
    KemOffer { not_before, key: Box::new([byte; KEM_KEY_BYTES]) }
}

pub(crate) fn endpoint(ip: [u8; 4]) -> Endpoint {
    Endpoint {
        address: (ip, 443).into(),
        sni: "example.org".to_owned(),
        path: "/live".to_owned(),
        cookie: "sid".to_owned(),
        binding: BindingKind::Exporter,
    }
}

pub(crate) fn descriptor(node: Address, published: UnixTime) -> Descriptor {
    Descriptor {
        network: NETWORK,
        node,
        seq: 7,
        published,
        expires: published.plus(30 * HOUR),
        protocols: 1,
        kems: vec![kem(1, published.minus(HOUR)), kem(2, published.plus(23 * HOUR))],
        link_key: [0x4c; 32],
        link_gate: [0x47; 32],
        operator: node,
        family: vec![Address([0xfa; 20])],
        country: *b"DE",
        asn: 64_500,
        kibps: 12_500,
        endpoints: vec![endpoint([203, 0, 113, 7])],
        policy: vec![PolicyRule { allow: false, low: 25, high: 25 }, PolicyRule::ALLOW_ALL],
    }
}

fn delegation() -> DelegationTerms {
    DelegationTerms {
        node: Address([9; 20]),
        node_key: node_key(3).public(),
        roles: Roles::ENTRY,
        not_before: START.minus(HOUR),
        not_after: START.plus(48 * HOUR),
        serial: 1,
    }
}

fn example() -> Descriptor {
    descriptor(Address([9; 20]), START)
}

/// Signs a changed example and checks it against a changed situation.
fn outcome(
    change: impl Fn(&mut Descriptor),
    situation: impl Fn(&mut DelegationTerms, &mut bool, &mut UnixTime),
) -> Result<(), DescriptorError> {
    let mut changed = example();
    change(&mut changed);
    let bytes = changed.sign(&node_key(3))?;
    let (mut delegation, mut lab, mut now) = (delegation(), false, START);
    situation(&mut delegation, &mut lab, &mut now);
    let checks = DescriptorChecks { network: &NETWORK, lab, delegation: &delegation, now };
    let read = SignedDescriptor::parse(&bytes)?.check(&checks)?;
    assert_eq!(read, changed);
    Ok(())
}

#[test]
fn a_descriptor_reads_back_and_holds() {
    assert_eq!(outcome(|_| (), |_, _, _| ()), Ok(()));
    let least = |d: &mut Descriptor| {
        d.kems.truncate(1);
        d.family.clear();
        d.endpoints.clear();
        d.policy.clear();
    };
    assert_eq!(outcome(least, |_, _, _| ()), Ok(()), "nothing that may be missing");
}

#[test]
fn a_descriptor_is_refused_by_what_it_says() {
    type Change = fn(&mut Descriptor);
    let malformed = |field| Err(DescriptorError::Malformed(Malformed(field)));
    let rows: [(Change, Result<(), DescriptorError>); 17] = [
        (|d| d.kems.clear(), malformed("kem count")),
        (|d| d.kems.push(kem(3, START)), malformed("kem count")),
        (|d| d.kems[1].key = d.kems[0].key.clone(), Err(DescriptorError::SameKemId)),
        (|d| d.family = vec![Address([1; 20]); 16], Ok(())),
        (|d| d.family = vec![Address([1; 20]); 17], malformed("family count")),
        (|d| d.endpoints = vec![endpoint([203, 0, 113, 1]); 4], Ok(())),
        (|d| d.endpoints = vec![endpoint([203, 0, 113, 1]); 5], malformed("endpoint count")),
        (|d| d.policy = vec![PolicyRule::ALLOW_ALL; 32], Ok(())),
        (|d| d.policy = vec![PolicyRule::ALLOW_ALL; 33], malformed("policy count")),
        (|d| d.policy[0].low = 26, malformed("policy ports")),
        (|d| d.protocols = 2, malformed("descriptor protocols")),
        (|d| d.protocols = 0x8001, Ok(())),
        (|d| d.operator = Address([0; 20]), malformed("descriptor operator")),
        (|d| d.country = *b"de", malformed("descriptor country")),
        (|d| d.expires = START.plus(30 * HOUR + 1), Err(DescriptorError::Lifetime)),
        (|d| d.expires = START.minus(1), Err(DescriptorError::Lifetime)),
        (|d| d.endpoints[0].path.clear(), Err(DescriptorError::Endpoint(EndpointError::Path))),
    ];
    for (index, (change, wanted)) in rows.into_iter().enumerate() {
        assert_eq!(outcome(change, |_, _, _| ()), wanted, "row {index}");
    }
}

#[test]
fn a_descriptor_is_refused_by_where_and_when_it_is_shown() {
    type Change = fn(&mut Descriptor);
    type Situation = fn(&mut DelegationTerms, &mut bool, &mut UnixTime);
    let same: Change = |_| ();
    let at_home: Change = |d| d.endpoints[0] = endpoint([192, 168, 1, 1]);
    let rows: [(Change, Situation, Result<(), DescriptorError>, &str); 11] = [
        (|d| d.network = [0; 32], |_, _, _| (), Err(DescriptorError::Network), "another network"),
        (same, |d, _, _| d.node = Address([8; 20]), Err(DescriptorError::Node), "another node"),
        (same, |d, _, _| d.node_key = node_key(4).public(), Err(DescriptorError::Signature), "another key"),
        (
            same,
            |d, _, _| *d = DelegationTerms::withdrawal(d.node, 2),
            Err(DescriptorError::Withdrawn),
            "a node withdrawn",
        ),
        (same, |d, _, _| d.not_after = START.plus(30 * HOUR), Ok(()), "as long as the delegation"),
        (
            same,
            |d, _, _| d.not_after = START.plus(30 * HOUR - 1),
            Err(DescriptorError::Outlives),
            "longer than the delegation",
        ),
        (same, |_, _, now| *now = START.plus(30 * HOUR), Ok(()), "its last second"),
        (same, |_, _, now| *now = START.plus(30 * HOUR + 1), Err(DescriptorError::Expired), "expired"),
        (same, |_, _, now| *now = START.minus(601), Err(DescriptorError::NotYet), "from the future"),
        (at_home, |_, _, _| (), Err(DescriptorError::Endpoint(EndpointError::Place)), "a private endpoint"),
        (at_home, |_, lab, _| *lab = true, Ok(()), "a private endpoint in a lab"),
    ];
    for (change, situation, wanted, why) in rows {
        assert_eq!(outcome(change, situation), wanted, "{why}");
    }
}

#[test]
fn over_4096_bytes_nothing_is_signed_or_read() {
    let mut long = example();
    long.family = vec![Address([1; 20]); 16];
    long.endpoints = vec![endpoint([203, 0, 113, 1]); 4];
    for endpoint in &mut long.endpoints {
        endpoint.sni = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    }
    let refused = Err(DescriptorError::Malformed(Malformed("descriptor length")));
    assert_eq!(long.sign(&node_key(3)), refused);
    let bytes = vec![0; 4097];
    assert_eq!(SignedDescriptor::parse(&bytes).map(|_| Vec::new()), refused);
}

#[test]
fn every_cut_every_byte_more_and_every_bit_bent_is_refused() {
    let bytes = example().sign(&node_key(3)).unwrap();
    for end in 0..bytes.len() {
        assert!(SignedDescriptor::parse(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert!(SignedDescriptor::parse(&[&bytes[..], &[0]].concat()).is_err());
    let delegation = delegation();
    let checks = DescriptorChecks { network: &NETWORK, lab: true, delegation: &delegation, now: START };
    // Every bit outside the keys, and one of each 16 bytes within them.
    for at in (0..bytes.len()).filter(|at| !(105..2561).contains(at) || at % 16 == 0) {
        for bit in 0..8 {
            let mut bent = bytes.clone();
            bent[at] ^= 1 << bit;
            let holds = SignedDescriptor::parse(&bent).and_then(|bent| bent.check(&checks));
            assert!(holds.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_reserved_bit_is_refused_even_if_signed() {
    let signed = |at: usize, bit: u8| {
        let mut bytes = example().sign(&node_key(3)).unwrap();
        bytes.truncate(bytes.len() - 64);
        bytes[at] ^= 1 << bit;
        let signature = node_key(3).sign(LABEL, &bytes);
        bytes.extend_from_slice(&signature);
        SignedDescriptor::parse(&bytes).map(|_| ())
    };
    for bit in 0..16 {
        let refused = signed(82 + usize::from(bit / 8), bit % 8);
        assert_eq!(refused, Err(DescriptorError::Malformed(Malformed("descriptor flags"))), "flag {bit}");
    }
    for (at, field) in [(85, "kem id"), (104, "kem not-after"), (105, "kem id")] {
        assert_eq!(signed(at, 0), Err(DescriptorError::Malformed(Malformed(field))), "{at}");
    }
}

#[test]
fn family_is_one_operator_or_two_that_list_each_other() {
    let (mut one, mut other) = (descriptor(Address([1; 20]), START), descriptor(Address([2; 20]), START));
    assert!(!one.is_family_of(&other));
    one.family = vec![other.node];
    assert!(!one.is_family_of(&other) && !other.is_family_of(&one), "one alone cannot claim it");
    other.family = vec![one.node];
    assert!(one.is_family_of(&other) && other.is_family_of(&one));
    other.family.clear();
    other.operator = one.operator;
    assert!(one.is_family_of(&other) && other.is_family_of(&one));
}

#[test]
fn ports_and_keys_are_chosen_by_the_descriptor() {
    let descriptor = example();
    assert!(descriptor.allows_port(443) && !descriptor.allows_port(25));
    assert_eq!(descriptor.kem(START), Some(&kem(1, START.minus(HOUR))));
    assert_eq!(descriptor.kem(START.plus(23 * HOUR)), Some(&kem(2, START.plus(23 * HOUR))));
    let printed = format!("{descriptor:?}");
    assert!(!printed.contains("203") && !printed.contains("example"), "{printed}");
}

proptest! {
    #[test]
    fn what_is_signed_reads_back(
        seq in any::<u64>(),
        lasts in 0..=30 * HOUR,
        asn in any::<u32>(),
        family in proptest::collection::vec(any::<[u8; 20]>(), 0..=16),
        policy in proptest::collection::vec((any::<bool>(), any::<u16>(), any::<u16>()), 0..=32),
        ips in proptest::collection::vec(any::<[u8; 4]>(), 0..=4),
    ) {
        let mut wanted = example();
        wanted.seq = seq;
        wanted.asn = asn;
        wanted.expires = START.plus(lasts);
        wanted.family = family.into_iter().map(Address).collect();
        wanted.policy = policy
            .into_iter()
            .map(|(allow, a, b)| PolicyRule { allow, low: a.min(b), high: a.max(b) })
            .collect();
        wanted.endpoints = ips.into_iter().map(endpoint).collect();
        let bytes = wanted.sign(&node_key(3)).unwrap();
        let delegation = delegation();
        let checks = DescriptorChecks { network: &NETWORK, lab: true, delegation: &delegation, now: START };
        prop_assert_eq!(SignedDescriptor::parse(&bytes).unwrap().check(&checks), Ok(wanted));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        prop_assert_eq!(SignedDescriptor::parse(&bytes).is_ok(), false);
        let named = [&b"OVD1"[..], &bytes].concat();
        prop_assert_eq!(SignedDescriptor::parse(&named).is_ok(), false);
    }
}
