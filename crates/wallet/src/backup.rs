//! Whether the words are on paper: what has to be kept to ask for three of them later, without keeping them.
//!
//! For each word four bits are kept: of Keccak-256 over a label, the wallet's key, the position and the word. Without
//! the key they say nothing. Whoever has the key still lacks seven bits for each word, 80 in all for twelve, so they
//! give away no other wallet of the same words. A wrong word passes one time in 16, three wrong ones one time in 4096.

use crate::keys::WalletKey;
use crate::words::{Length, Words};
use sha3::{Digest as _, Keccak256};
use std::fmt;
use std::str::FromStr;

/// What is kept of the words, one digit for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupCheck(Vec<u8>);

/// The text is not a check of 12 or 24 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 12 or 24 hexadecimal digits")]
pub struct NotACheck;

impl BackupCheck {
    /// For the words that a key was made of.
    #[must_use]
    pub fn of(words: &Words, key: &WalletKey) -> Self {
        Self((1..).zip(words.iter()).map(|(position, word)| digit(key, position, word)).collect())
    }

    /// How many words there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether this may be the word at a position from 1, written in any case.
    #[must_use]
    pub fn agrees(&self, key: &WalletKey, position: usize, word: &str) -> bool {
        let kept = position.checked_sub(1).and_then(|index| self.0.get(index));
        kept == Some(&digit(key, position, &word.trim().to_lowercase()))
    }
}

fn digit(key: &WalletKey, position: usize, word: &str) -> u8 {
    let mut hash = Keccak256::new();
    hash.update(b"shoalway backup check\0");
    hash.update(key.secret());
    hash.update((position as u64).to_be_bytes());
    hash.update(word);
    let hash: [u8; 32] = hash.finalize().into();
    let [first, ..] = hash;
    first >> 4
}

impl fmt::Display for BackupCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| write!(f, "{digit:x}"))
    }
}

impl FromStr for BackupCheck {
    type Err = NotACheck;

    fn from_str(text: &str) -> Result<Self, NotACheck> {
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(NotACheck);
        let digits = text.chars().map(digit).collect::<Result<Vec<_>, _>>()?;
        let known = [Length::Twelve, Length::TwentyFour].map(Length::count).contains(&digits.len());
        if known { Ok(Self(digits)) } else { Err(NotACheck) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{JUNK, key};

    #[test]
    fn right_words_pass_at_their_place_and_wrong_ones_rarely() {
        let (words, wallet) = (Words::restore(JUNK).unwrap(), key(JUNK, "", 0));
        let check: BackupCheck = BackupCheck::of(&words, &wallet).to_string().parse().unwrap();
        assert_eq!(check, BackupCheck::of(&words, &wallet));
        assert!((1..=11).all(|position| check.agrees(&wallet, position, " Test\n")));
        assert!(check.agrees(&wallet, 12, "junk"));
        assert!(!check.agrees(&wallet, 0, "test") && !check.agrees(&wallet, 13, "test"));
        let list = bip39::Language::English.word_list();
        let pass = list.iter().filter(|word| check.agrees(&wallet, 12, word)).count();
        assert!((80..=180).contains(&pass), "about 2048 / 16 pass: {pass}");
        assert_ne!(check, BackupCheck::of(&words, &key(JUNK, "", 1)), "it says nothing without the key");
    }

    #[test]
    fn only_12_or_24_digits_are_a_check() {
        for wrong in ["", "0123456789a", "0123456789abc", "0123456789ag"] {
            assert_eq!(wrong.parse::<BackupCheck>(), Err(NotACheck), "{wrong}");
        }
    }
}
