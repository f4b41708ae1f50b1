//! Keystores against the vectors of the definition, and what is refused.

use super::*;
use crate::keys::tests::{Bytes, JUNK, key};
use proptest::prelude::*;

/// The vectors of the Web3 Secret Storage Definition: the password is `testpassword`.
const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,
    "dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
/// With the capital and the keys that some programs add. The parameters are the unusual ones of the first definition;
/// a later edition of its page has other numbers, which do not fit together (OpenSSL's scrypt says so too).
const SCRYPT: &str = r#"{"Crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},
    "ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c","kdf":"scrypt","kdfparams":{"dklen":32,
    "n":262144,"r":1,"p":8,"salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
    "mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3,"x-other":{"client":"another"}}"#;

/// As little work as there is.
const QUICK: Cost = Cost { log_n: 1, r: 8, p: 1 };

fn locked() -> Keystore {
    Keystore::lock(&key(JUNK, "", 0), "pass wörd", QUICK, &mut Bytes::of(&[0xa5, 1, 0xff, 7])).unwrap()
}

fn failure(text: &str) -> String {
    Keystore::parse(text).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn the_vectors_of_the_definition_open() {
    let secret = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
    let address: Address = "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b".parse().unwrap();
    for text in [PBKDF2, SCRYPT] {
        let keystore = Keystore::parse(text).unwrap();
        let opened = keystore.open("testpassword").unwrap();
        assert_eq!(*to_hex(&*opened.secret()), *secret);
        assert_eq!((opened.address(), keystore.address()), (address, None));
        assert_eq!(Keystore::parse(&keystore.to_json()), Ok(keystore));
    }
}

/// Salt and password of a published file, the answer by OpenSSL.
#[test]
fn scrypt_of_the_standard_cost_is_that_of_others() {
    let salt = from_hex::<32>("25710c2ccd7c610b24d068af83b959b7a0e5f40641f0c82daeb1345766191034").unwrap();
    let kdf = Kdf::Scrypt { cost: Cost::STANDARD, salt: salt.to_vec() };
    let answer = "b4130dc81619f55f01a84b16c68f54fc0a166a2ca5903d9b24d2262dbd0420ec";
    assert_eq!(*to_hex(&*kdf.derive("testpassword").unwrap()), *answer);
}

#[test]
fn what_is_locked_opens_with_its_password_alone() {
    let keystore = locked();
    let again = Keystore::parse(&keystore.to_json()).unwrap();
    assert_eq!(again, keystore);
    assert_eq!(again.address(), Some(key(JUNK, "", 0).address()));
    assert_eq!(again.open("pass wörd").unwrap().secret(), key(JUNK, "", 0).secret());
    for wrong in ["", "pass word", "pass wörd "] {
        assert_eq!(again.open(wrong).err(), Some(KeystoreError::Password));
    }
    let text = keystore.to_json();
    assert!(!text.contains("ac0974bec39a17e3"), "the key does not stand in the file");
    assert!(text.contains("-4") && text.contains("\"address\": \"f39fd6e5"), "{text}");
}

#[test]
fn a_changed_file_does_not_open() {
    let keystore = locked();
    for changed in [
        Keystore { ciphertext: keystore.ciphertext.map(|byte| byte ^ 1), ..keystore.clone() },
        Keystore { mac: keystore.mac.map(|byte| byte ^ 1), ..keystore.clone() },
        Keystore { kdf: Kdf::Pbkdf2 { rounds: 1, salt: vec![1] }, ..keystore.clone() },
    ] {
        assert_eq!(changed.open("pass wörd").err(), Some(KeystoreError::Password));
    }
    // The MAC does not cover these two.
    for changed in [
        Keystore { address: Some(Address([7; 20])), ..keystore.clone() },
        Keystore { iv: keystore.iv.map(|byte| byte ^ 1), ..keystore.clone() },
    ] {
        let error = changed.open("pass wörd").err();
        assert_eq!(error, Some(KeystoreError::Damaged("the address in it is not that of the key")));
    }
}

#[test]
fn a_file_cannot_ask_for_more_than_the_bounds() {
    let scrypt = |n: &str, r: &str, p: &str| {
        let params = format!("\"n\":{n},\"r\":{r},\"p\":{p},");
        SCRYPT.replace("\"n\":262144,\"r\":1,\"p\":8,", &params)
    };
    for (text, message) in [
        (scrypt("1048576", "8", "2"), "the keystore asks for scrypt with n = 2^20, r = 8, p = 2"),
        (scrypt("2097152", "8", "1"), "the keystore asks for scrypt with n = 2^21, r = 8, p = 1"),
        (scrypt("9223372036854775808", "8", "1"), "the keystore asks for scrypt with n = 2^63, r = 8, p = 1"),
        (
            scrypt("4", "4294967295", "4294967295"),
            "the keystore asks for scrypt with n = 2^2, r = 4294967295, p = 4294967295",
        ),
        (scrypt("262144", "0", "1"), "the keystore asks for scrypt with n = 2^18, r = 0, p = 1"),
        (scrypt("1", "8", "1"), "the keystore asks for scrypt with n = 2^0, r = 8, p = 1"),
        (scrypt("262143", "8", "1"), "the keystore asks for scrypt with n = 262143"),
        (scrypt("0", "8", "1"), "the keystore asks for scrypt with n = 0"),
        (PBKDF2.replace("262144", "10000001"), "the keystore asks for 10000001 rounds of PBKDF2"),
        (PBKDF2.replace("262144", "0"), "the keystore asks for 0 rounds of PBKDF2"),
        (
            PBKDF2.replace("\"dklen\":32", "\"dklen\":64"),
            "the keystore asks for a derived key of 64 bytes, not 32",
        ),
    ] {
        assert_eq!(failure(&text), message, "{text}");
    }
    for text in [scrypt("1048576", "8", "1"), PBKDF2.replace("262144", "10000000")] {
        assert_eq!(failure(&text), "", "the bounds themselves are within");
    }
}

#[test]
fn what_is_not_a_keystore_is_told_apart() {
    for (text, message) in [
        (SCRYPT.replace("\"version\":3", "\"version\":1"), "a keystore of version 1; only version 3 is read"),
        (
            SCRYPT.replace("aes-128-ctr", "aes-128-cbc"),
            "the keystore uses cipher `aes-128-cbc`, which is not known",
        ),
        (
            SCRYPT.replace("\"kdf\":\"scrypt\"", "\"kdf\":\"argon\""),
            "the keystore uses kdf `argon`, which is not known",
        ),
        (PBKDF2.replace("hmac-sha256", "hmac-sha1"), "the keystore uses prf `hmac-sha1`, which is not known"),
        (SCRYPT.replace("83dbcc", "83dbcx"), "not a keystore: `iv` is not what it should be"),
        (
            SCRYPT.replace("79c\",\"kdf\"", "79\",\"kdf\""),
            "not a keystore: `ciphertext` is not what it should be",
        ),
        (SCRYPT.replace("2103ac", "3ac"), "not a keystore: `mac` is not what it should be"),
        (SCRYPT.replace("ab0c7876", "ab0c787"), "not a keystore: `salt` is not what it should be"),
        (
            SCRYPT.replace("\"version\":3", "\"address\":\"0x12\",\"version\":3"),
            "not a keystore: `address` is not what it should be",
        ),
        (format!("{SCRYPT}{}", " ".repeat(LONGEST)), "not a keystore: it is too long"),
    ] {
        assert_eq!(failure(&text), message, "{text}");
    }
    for text in ["", "{}", "[3]", "legal winner thank", "{\"version\":\"3\"}"] {
        assert!(failure(text).starts_with("not a keystore: "), "{text}");
    }
    let costly = Cost { log_n: 30, r: 8, p: 1 };
    let refused = Keystore::lock(&key(JUNK, "", 0), "x", costly, &mut Bytes::of(&[1]));
    assert!(matches!(refused, Err(KeystoreError::Cost(_))), "what would not be read is not written");
}

proptest! {
    #[test]
    fn any_text_is_a_keystore_or_an_error(at in 0..SCRYPT.len(), length in 0..20usize, text in "[ -~]{0,9}") {
        let mut changed = SCRYPT.to_owned();
        let end = changed.len().min(at + length);
        changed.replace_range(at..end, &text);
        drop(Keystore::parse(&changed));
    }
}
