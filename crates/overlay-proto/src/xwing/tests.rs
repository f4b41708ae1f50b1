//! Both directions against `hpke`'s own X-Wing, which takes stated randomness, and against the draft's vectors.

use super::*;
use crate::vectors::{Stated, named, unhex};
use hpke::kem::XWing as Other;

type OtherPublic = <Other as Kem>::PublicKey;
type OtherSecret = <Other as Kem>::PrivateKey;
type OtherEnc = <Other as Kem>::EncappedKey;

fn nobody() -> Stated {
    Stated::new([])
}

fn secret(word: &str) -> XWingSecret {
    XWingSecret::from_seed(&named(word).into()).unwrap()
}

/// seed, eseed, shared secret, SHA-256 of public key and of encapsulation: draft-connolly-cfrg-xwing-kem, appendix C.
const DRAFT: [[&str; 5]; 3] = [
    [
        "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
        "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2\
         35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
        "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
        "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
        "17cd532d657e44c897ca6583e548a5424fc70bf54f99515a4d2bcf99e3469f33",
    ],
    [
        "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
        "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdef\
         aee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d",
        "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150",
        "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
        "1661ea86d608a1924ba30840cb0a65f13ae051e3aec9cf0f064efc0bc92f2154",
    ],
    [
        "ef58538b8d23f87732ea63b02b4fa0f4873360e2841928cd60dd4cee8cc0d4c9",
        "22a96188d032675c8ac850933c7aff1533b94c834adbb69c6115bad4692d8619\
         f90b0cdf8a7b9c264029ac185b70b83f2801f2f4b3f70c593ea3aeeb613a7f1b",
        "953f7f4e8c5b5049bdc771d1dffada0dd961477d1a2ae0988baa7ea6898d893f",
        "6b080d6b84f095342092fa7a22423e58bd681397ad0ef00eac92bd254db4fa95",
        "d3ca5578500344b5896cffc4fd740c9311946b82951df155e6fd86a7966b43c6",
    ],
];

#[test]
fn vectors_of_the_draft_are_met() {
    for [seed, eseed, shared, public, encapsulation] in DRAFT {
        let seed: [u8; 32] = unhex(seed).try_into().unwrap();
        let secret = XWingSecret::from_seed(&seed.into()).unwrap();
        assert_eq!(crate::kdf::hash(&[secret.public().bytes()])[..], unhex(public)[..]);
        let to = OtherPublic::from_bytes(secret.public().bytes()).unwrap();
        let (theirs, enc) = Other::encap_with_rng(&to, None, &mut Stated::new(unhex(eseed))).unwrap();
        assert_eq!(crate::kdf::hash(&[&enc.to_bytes()])[..], unhex(encapsulation)[..]);
        let enc = Enc::from_bytes(&enc.to_bytes()).unwrap();
        let ours = XWing::decap(&secret, None, &enc).unwrap();
        assert_eq!((&ours.0[..], &theirs.0[..]), (&unhex(shared)[..], &unhex(shared)[..]));
    }
}

#[test]
fn what_we_encapsulate_the_other_implementation_opens() {
    let seed = named("to the other");
    let theirs = OtherSecret::from_bytes(&seed).unwrap();
    let public: [u8; PUBLIC] = Other::sk_to_pk(&theirs).to_bytes().into();
    assert_eq!(&public, secret("to the other").public().bytes());
    let (ours, enc) = XWing::encap_with_rng(&(&public).into(), None, &mut nobody()).unwrap();
    let opened = Other::decap(&theirs, None, &OtherEnc::from_bytes(&enc.to_bytes()).unwrap()).unwrap();
    assert_eq!(ours.0, opened.0);
}

#[test]
fn a_key_without_a_seed_works_as_one_with() {
    let fresh = XWingSecret::generate().unwrap();
    let again = XWingSecret::from_bytes(&fresh.to_bytes()).unwrap();
    assert_eq!(fresh.public(), again.public());
    assert!(bool::from(fresh.ct_eq(&again)));
    assert!(!bool::from(fresh.ct_eq(&secret("another"))));
    let (shared, enc) = XWing::encap_with_rng(fresh.public(), None, &mut nobody()).unwrap();
    for key in [&fresh, &again, &fresh.clone()] {
        assert_eq!(XWing::decap(key, None, &enc).unwrap().0, shared.0);
    }
    assert_ne!(XWing::decap(&secret("another"), None, &enc).unwrap().0, shared.0);
}

#[test]
fn keys_that_are_none_are_refused_when_used() {
    let good = secret("good");
    // The first coefficient is 4095, over the modulus 3329 (FIPS 203 section 7.2).
    let mut over = *good.public().bytes();
    (over[0], over[1]) = (0xff, over[1] | 0x0f);
    // A point of small order makes an X25519 result of zero.
    let mut small = *good.public().bytes();
    small[LATTICE_PUBLIC..].fill(0);
    for wrong in [over, small] {
        assert!(XWing::encap_with_rng(&(&wrong).into(), None, &mut nobody()).is_err());
    }
    let (_shared, enc) = XWing::encap_with_rng(good.public(), None, &mut nobody()).unwrap();
    let mut enc = enc.to_bytes();
    enc[LATTICE_CIPHERTEXT..].fill(0);
    assert!(XWing::decap(&good, None, &Enc::from_bytes(&enc).unwrap()).is_err());
}

#[test]
fn there_is_no_authenticated_form() {
    let key = secret("sender");
    let pair = Some((&key, key.public()));
    assert!(XWing::encap_with_rng(key.public(), pair, &mut nobody()).is_err());
    let (_shared, enc) = XWing::encap_with_rng(key.public(), None, &mut nobody()).unwrap();
    assert!(XWing::decap(&key, Some(key.public()), &enc).is_err());
}

#[test]
fn lengths_off_by_one_are_refused() {
    for off in [PUBLIC - 1, PUBLIC + 1] {
        assert!(XWingPublic::from_bytes(&vec![0; off]).is_err());
    }
    for off in [ENCAPSULATION - 1, ENCAPSULATION + 1] {
        assert!(Enc::from_bytes(&vec![0; off]).is_err());
    }
    for off in [LATTICE_SECRET + 31, LATTICE_SECRET + 33] {
        assert!(XWingSecret::from_bytes(&vec![0; off]).is_err());
    }
}

#[test]
fn derived_pairs_are_those_of_the_other_implementation() {
    let (ours, public) = XWing::derive_keypair(b"some keying material");
    let (_theirs, expected) = Other::derive_keypair(b"some keying material");
    assert_eq!(public.bytes()[..], expected.to_bytes()[..]);
    assert_eq!(ours.public(), &public);
}
