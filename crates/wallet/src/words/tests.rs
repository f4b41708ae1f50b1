//! Words against the vectors that BIP-39 points to (entropy, words, seed with the passphrase `TREZOR`), and what is
//! said about wrong ones.

use super::*;
use crate::hex::{from_hex, to_hex};
use crate::keys::tests::Bytes;
use proptest::prelude::*;

const VECTORS: &[(&str, &str, &str)] = &[
    (
        "00000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607",
    ),
    (
        "80808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
        "d71de856f81a8acc65e6fc851a38d4d7ec216fd0796d0a6827a3ad6ed5511a30fa280f12eb2e47ed2ac03b5c462a0358d18d69fe4f985ec81778c1b370b652a8",
    ),
    (
        "ffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
        "ac27495480225222079d7be181583751e86f571027b0497b5b5d11218e0a8a13332572917f0f8e5a589620c6f15b11c61dee327651a14c34e18231052e48c069",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title",
        "bc09fca1804f7e69da93c2f2028eb238c227f2e9dda30cd63699232578480a4021b146ad717fbb7e451ce9eb835f43620bf5c514db0f8add49f5d121449d3e87",
    ),
    (
        "8080808080808080808080808080808080808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
        "c0c519bd0e91a2ed54357d9d1ebef6f5af218a153624cf4f2da911a0ed8f7a09e2ef61af0aca007096df430022f7a2b6fb91661a9589097069720d015e4e982f",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
        "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
    ),
    (
        "00ac97c48106f0aeb8ba061e0250a559b3251dc35854e694780ba51d53a50120",
        "absent gorilla van acoustic humor firm title dolphin bulk barely citizen recall crane moment aspect appear track phrase actual enforce steel spoon afraid benefit",
        "2e3c58340e28b1e70f1bec7393459fd4c16058aacd6c87d99439616742daf02f9d18d919fe7c74a34a2a9d2b417e9a9021fcc8f820e257e355762cbbece5eea2",
    ),
    (
        "5baf069620eff15c71dd97c9a6ee328f",
        "forum join pitch dove yellow purchase shuffle real situate danger million bunker",
        "eed313b15e2b092e3ffd91f3b7d4a0f2168657db0f9824fe723b574f994c9bf292e1518ea6c492ac7e5942eaffde5b70d8553cb3ebc36975e600da2537f881c5",
    ),
    (
        "63deb1e7f0c3de56f4ab43c9d2ae6c86",
        "glow void ketchup thunder digital clock sport half six nice open artefact",
        "13427e168b3da8627cfafea664a727883c92334e8d1ccffc74bdd886d6fa78565510fc46c93f03f0495823222b6e439ed7e72000b133cf50f9589a42464d1391",
    ),
    (
        "911fec0fbd88029f6fa99164896c18d898c9232af18bdcca3e42d53b86493104",
        "much youth advance kitchen lens exile salt cram goose enter alert raise milk muscle profit cousin system faint mouse price reveal cause series long",
        "31967e467505da9f485d216245cdeb3682e116e4fa744bb20468cda6e3e3f18a7875661f84a900437416dfd83937d43513302a0d335a12fbde52f32fd1c12446",
    ),
];

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn error(text: &str) -> WordsError {
    Words::restore(text).err().expect("an error")
}

#[test]
fn the_vectors_of_bip_39_come_out() {
    for (entropy, text, seed) in VECTORS {
        let (length, bytes) = match entropy.len() {
            32 => (Length::Twelve, from_hex::<16>(entropy).unwrap().to_vec()),
            _ => (Length::TwentyFour, from_hex::<32>(entropy).unwrap().to_vec()),
        };
        let words = Words::new(length, &mut Bytes::of(&bytes));
        assert_eq!(*words.text(), *text);
        assert_eq!(words.count(), length.count());
        assert!(Words::restore(text).unwrap() == words);
        assert_eq!(*to_hex(&*words.seed("TREZOR")), *seed);
        assert_ne!(words.seed(""), words.seed("TREZOR"), "a passphrase makes another wallet");
    }
}

#[test]
fn words_may_be_written_in_any_case_and_on_several_lines() {
    let sloppy = format!("  {}\n", WORDS.to_uppercase().replace(' ', "\n\t "));
    assert_eq!(*Words::restore(&sloppy).unwrap().text(), WORDS);
}

#[test]
fn a_wrong_word_is_named_with_its_position_and_the_nearest() {
    for (wrong, message) in [
        ("wortg", "word 7 \"wortg\" is not a BIP-39 word; did you mean \"worth\"?"),
        ("obtian", "word 7 \"obtian\" is not a BIP-39 word; did you mean \"obtain\"?"),
        ("xxxxxxxx", "word 7 \"xxxxxxxx\" is not a BIP-39 word"),
        ("wörth", "word 7 \"wörth\" is not a BIP-39 word; did you mean \"worth\"?"),
    ] {
        assert_eq!(error(&WORDS.replace("worth", wrong)).to_string(), message);
    }
    let long = "a".repeat(1000);
    let expected = WordsError::Unknown { position: 7, word: long.clone(), nearest: None };
    assert_eq!(error(&WORDS.replace("worth", &long)), expected);
}

#[test]
fn a_missing_word_and_a_wrong_checksum_are_told_apart() {
    for (text, expected) in [
        (String::new(), WordsError::Count(0)),
        (WORDS.replace(" worth", ""), WordsError::Count(11)),
        (format!("{WORDS} zoo zoo zoo"), WordsError::Count(15)),
        (format!("{WORDS} {WORDS} zoo"), WordsError::Count(25)),
        (WORDS.replace("yellow", "year"), WordsError::Checksum),
        (WORDS.replace("winner thank year", "thank winner year"), WordsError::Checksum),
    ] {
        assert_eq!(error(&text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_words_or_an_error(text in ".{0,200}") {
        drop(Words::restore(&text));
    }

    #[test]
    fn what_is_made_is_restored(bytes in any::<[u8; 32]>()) {
        for length in [Length::Twelve, Length::TwentyFour] {
            let words = Words::new(length, &mut Bytes::of(&bytes));
            prop_assert!(Words::restore(&words.text()).unwrap() == words);
        }
    }
}
