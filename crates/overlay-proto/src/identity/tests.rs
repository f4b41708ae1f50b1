//! Delegations: bytes, digest, signatures, times, and the table of serials.

use super::revocations::{MOST_NODES, REMEMBERED_SECONDS};
use super::*;
use k256::ecdsa::SigningKey;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const NETWORK: [u8; 32] = [0x4e; 32];
const DAY: u64 = 86_400;
const START: UnixTime = UnixTime(1_800_000_000);

fn wallet(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

fn terms(wallet: &SigningKey, serial: u64) -> DelegationTerms {
    DelegationTerms {
        node: address_of(wallet.verifying_key()),
        node_key: [0x33; 32],
        roles: Roles::ENTRY | Roles::EXIT,
        not_before: START,
        not_after: START.plus(30 * DAY),
        serial,
    }
}

fn signed(wallet: &SigningKey, terms: DelegationTerms) -> Delegation {
    let (halves, id) = wallet.sign_prehash_recoverable(&terms.digest(&NETWORK));
    let mut signature = [0; 65];
    signature[..64].copy_from_slice(&halves.to_bytes());
    signature[64] = 27 + id.to_byte();
    Delegation { terms, signature }
}

fn verified(terms: DelegationTerms) -> Verified {
    signed(&wallet(9), terms).verify(&NETWORK).unwrap()
}

#[test]
fn the_address_of_a_known_key_is_the_known_address() {
    let one = SigningKey::from_slice(&[[0; 31].as_slice(), &[1]].concat()).unwrap();
    let address = address_of(one.verifying_key()).to_string();
    assert_eq!(address, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
}

#[test]
fn a_delegation_is_143_bytes_and_reads_back() {
    let delegation = signed(&wallet(9), terms(&wallet(9), 4));
    let bytes = delegation.encode();
    assert_eq!(bytes.len(), DELEGATION_BYTES);
    assert_eq!(Delegation::parse(&bytes), Ok(delegation));
    for end in 0..bytes.len() {
        assert!(Delegation::parse(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert!(Delegation::parse(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
    for bit in 4..16 {
        let mut bent = bytes.clone();
        bent[53 - bit / 8] |= 1 << (bit % 8);
        assert_eq!(Delegation::parse(&bent), Err(Malformed("delegation roles")), "role bit {bit}");
    }
}

#[test]
fn a_delegation_holds_for_its_network_wallet_and_time() {
    let delegation = signed(&wallet(9), terms(&wallet(9), 4));
    let end = START.plus(30 * DAY);
    for (now, wanted) in [
        (START, Ok(())),
        (START.minus(600), Ok(())),
        (START.minus(601), Err(DelegationError::NotYet)),
        (end.plus(600), Ok(())),
        (end.plus(601), Err(DelegationError::Expired)),
    ] {
        assert_eq!(delegation.check(&NETWORK, now).map(|_| ()), wanted, "{now:?}");
    }
    assert_eq!(delegation.check(&[0; 32], START), Err(DelegationError::Signer));
    let mut stolen = delegation;
    stolen.terms.node = address_of(wallet(8).verifying_key());
    assert_eq!(stolen.check(&NETWORK, START), Err(DelegationError::Signer));
}

#[test]
fn every_bit_of_a_delegation_is_covered_by_the_signature() {
    let bytes = signed(&wallet(9), terms(&wallet(9), 4)).encode();
    for bit in 0..bytes.len() * 8 {
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let holds = Delegation::parse(&bent).is_ok_and(|bent| bent.check(&NETWORK, START).is_ok());
        assert!(!holds, "bit {bit}");
    }
}

#[test]
fn terms_that_make_no_sense_are_refused_whoever_signed() {
    let change = |change: fn(&mut DelegationTerms)| {
        let mut changed = terms(&wallet(9), 4);
        change(&mut changed);
        signed(&wallet(9), changed).check(&NETWORK, START).map(|_| ())
    };
    for (result, wanted) in [
        (change(|_| ()), Ok(())),
        (change(|t| t.not_after = START.plus(30 * DAY + 1)), Err(DelegationError::TooLong)),
        (change(|t| t.not_after = START.minus(1)), Err(DelegationError::Backwards)),
        (change(|t| t.roles = Roles::NONE), Err(DelegationError::Half)),
        (change(|t| t.node_key = [0; 32]), Err(DelegationError::Half)),
        (change(|t| *t = DelegationTerms::withdrawal(t.node, 5)), Ok(())),
    ] {
        assert_eq!(result, wanted);
    }
}

#[test]
fn signatures_have_one_form() {
    let delegation = signed(&wallet(9), terms(&wallet(9), 4));
    let digest = delegation.terms.digest(&NETWORK);
    let with = |change: &dyn Fn(&mut [u8; 65])| {
        let mut signature = delegation.signature;
        change(&mut signature);
        recover(&digest, &signature)
    };
    assert_eq!(with(&|_| ()), Ok(delegation.terms.node));
    for v in (0..=255).filter(|v| ![27, 28].contains(v)) {
        assert_eq!(with(&|s| s[64] = v), Err(DelegationError::Signature), "v {v}");
    }
    assert_eq!(with(&|s| s[..32].fill(0)), Err(DelegationError::Signature), "r = 0");
    assert_eq!(with(&|s| s[..32].fill(0xff)), Err(DelegationError::Signature), "r over the order");
    assert_eq!(with(&|s| s[32..64].fill(0)), Err(DelegationError::Signature), "s = 0");
    let upper = |s: &mut [u8; 65]| {
        let halves = Signature::from_slice(&s[..64]).unwrap();
        let (r, low) = halves.split_scalars();
        let high = Signature::from_scalars(r.to_bytes(), (-*low).to_bytes()).unwrap();
        s[..64].copy_from_slice(&high.to_bytes());
        s[64] = 55 - s[64];
    };
    assert_eq!(with(&upper), Err(DelegationError::Signature), "the other s signs as well, and is refused");
}

#[test]
fn the_highest_serial_holds_and_two_of_one_serial_cancel_each_other() {
    let node = |serial, key| DelegationTerms { node_key: [key; 32], ..terms(&wallet(9), serial) };
    let withdrawn = DelegationTerms::withdrawal(terms(&wallet(9), 0).node, 8);
    let mut table = Revocations::new();
    for (terms, wanted, why) in [
        (node(5, 1), Ok(()), "the first"),
        (node(5, 1), Ok(()), "the same again"),
        (node(4, 1), Err(Revoked::Superseded { known: 5 }), "a lower one"),
        (node(5, 2), Err(Revoked::Disputed { serial: 5 }), "another of the same serial"),
        (node(5, 1), Err(Revoked::Disputed { serial: 5 }), "neither of them holds"),
        (node(4, 1), Err(Revoked::Superseded { known: 5 }), "nor an earlier one"),
        (node(6, 1), Ok(()), "a higher one ends it"),
        (withdrawn.clone(), Ok(()), "withdrawn"),
        (node(7, 1), Err(Revoked::Superseded { known: 8 }), "and does not come back"),
        (withdrawn, Ok(()), "still withdrawn"),
    ] {
        assert_eq!(table.admit(&verified(terms), START), wanted, "{why}");
    }
    assert_eq!(table.len(), 1);
}

#[test]
fn a_serial_is_remembered_for_sixty_days() {
    let mut table = Revocations::new();
    table.admit(&verified(terms(&wallet(9), 5)), START).unwrap();
    let low = verified(terms(&wallet(9), 4));
    assert!(table.admit(&low, START.plus(REMEMBERED_SECONDS)).is_err());
    assert!(table.admit(&low, START.plus(REMEMBERED_SECONDS + 1)).is_ok());
}

#[test]
fn the_table_survives_a_restart_whole_or_not_at_all() {
    let mut table = Revocations::new();
    for byte in 1..=3 {
        let delegation = signed(&wallet(byte), terms(&wallet(byte), byte.into()));
        table.admit(&delegation.verify(&NETWORK).unwrap(), START).unwrap();
    }
    let other = DelegationTerms { node_key: [1; 32], ..terms(&wallet(3), 3) };
    let other = signed(&wallet(3), other).verify(&NETWORK).unwrap();
    assert!(table.admit(&other, START).is_err());
    let bytes = table.encode(&NETWORK);
    assert_eq!(Revocations::parse(&bytes, &NETWORK), Ok(table));
    assert!(Revocations::parse(&bytes, &[0; 32]).is_err(), "another network's");
    for end in 0..bytes.len() {
        assert!(Revocations::parse(&bytes[..end], &NETWORK).is_err(), "cut at {end}");
    }
    assert!(Revocations::parse(&[&bytes[..], &[0]].concat(), &NETWORK).is_err(), "a byte too many");
    let mut bent = bytes.clone();
    *bent.last_mut().unwrap() = 2;
    assert!(Revocations::parse(&bent, &NETWORK).is_err(), "neither yes nor no");
    let (head, entries) = bytes.split_at(40);
    let swapped = [head, &entries[69..138], &entries[..69], &entries[138..]].concat();
    assert_eq!(Revocations::parse(&swapped, &NETWORK), Err(Malformed("revocations order")));
}

#[test]
fn the_table_is_bounded_and_forgets_who_was_not_seen_for_longest() {
    let mut bytes = [&b"OVR1"[..], &NETWORK, &u32::try_from(MOST_NODES).unwrap().to_be_bytes()].concat();
    for index in 0..u64::try_from(MOST_NODES).unwrap() {
        bytes.extend([[0; 12].as_slice(), &index.to_be_bytes(), &1u64.to_be_bytes(), &[0; 32]].concat());
        bytes.extend_from_slice(&START.plus(MOST_NODES as u64 - index).0.to_be_bytes());
        bytes.push(0);
    }
    let mut table = Revocations::parse(&bytes, &NETWORK).unwrap();
    table.admit(&verified(terms(&wallet(9), 5)), START.plus(MOST_NODES as u64)).unwrap();
    assert_eq!(table.len(), MOST_NODES);
    let last = (MOST_NODES as u64 - 1).to_be_bytes();
    assert!(!table.encode(&NETWORK).windows(20).any(|node| node[..12] == [0; 12] && node[12..] == last));
}

#[test]
fn a_debug_print_names_neither_wallet_nor_key() {
    let delegation = signed(&wallet(9), terms(&wallet(9), 4));
    let printed = format!("{delegation:?}");
    assert!(printed.contains("serial: 4") && !printed.contains("51, 51"), "{printed}");
    assert!(!printed.to_lowercase().contains(&delegation.terms.node.to_string().to_lowercase()[2..]));
}

proptest! {
    #[test]
    fn whatever_parses_is_written_back_the_same(bytes in proptest::collection::vec(any::<u8>(), 143..=143)) {
        let mut bytes = bytes;
        bytes[52] = 0;
        bytes[53] &= 15;
        let delegation = Delegation::parse(&bytes).unwrap();
        prop_assert_eq!(delegation.encode(), bytes);
        prop_assert!(delegation.check(&NETWORK, START).is_err());
    }

    #[test]
    fn nothing_parses_at_another_length(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(bytes.len() == 143 || Delegation::parse(&bytes).is_err());
        prop_assert!(Revocations::parse(&bytes, &NETWORK).is_err());
    }
}
