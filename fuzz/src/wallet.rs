//! What somebody keeps of a wallet: the encrypted file, and words from paper.
//!
//! Promises: no panic; what was read is written and read again as the same. No password is tried: that is slow on
//! purpose, and what a file may ask for is bounded when it is read.

use shoalway_wallet::words::check_word;
use shoalway_wallet::{Keystore, Words, WordsError};

/// The text of a keystore.
///
/// # Panics
/// When a promise is broken.
pub fn keystore(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(keystore) = Keystore::parse(text) else { return };
    let written = keystore.to_json();
    let Ok(again) = Keystore::parse(&written) else { panic!("what was written cannot be read") };
    assert!(again == keystore && again.address() == keystore.address(), "not read back as it was");
    assert!(again.to_json() == written, "not written as it was");
}

/// Words as somebody typed them.
///
/// # Panics
/// When a promise is broken.
pub fn words(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Words::restore(text) {
        Ok(words) => {
            assert!([12, 24].contains(&words.count()), "{} words", words.count());
            assert!(words.iter().all(|word| check_word(1, word).is_ok()), "a word of no list");
            let Ok(again) = Words::restore(&words.text().to_uppercase()) else {
                panic!("what was read cannot be read again")
            };
            assert!(again.text() == words.text(), "not read back as it was");
        }
        Err(WordsError::Unknown { position, word, nearest }) => {
            let lower = text.to_lowercase();
            let there = lower.split_whitespace().nth(position.wrapping_sub(1));
            assert!(there == Some(word.as_str()), "another word is named");
            assert!(nearest != Some(word.as_str()), "a word that is known");
        }
        Err(WordsError::Count(count)) => assert!(count != 12 && count != 24, "{count} words"),
        // The checksum.
        Err(_) => {}
    }
}
