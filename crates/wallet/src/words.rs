//! The words of a wallet, BIP-39 in English: 12 or 24 of them, new or restored.
//!
//! The last word carries a checksum. A word that is not in the list is named with its position and the nearest one
//! that is; a wrong checksum cannot say which word is wrong. Not here: the key they stand for (`keys`).

use bip39::{Language, Mnemonic};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// How many words; 12 are 128 bits, 24 are 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Length {
    /// 12: as strong as the curve the key lives on, and the default.
    #[default]
    Twelve,
    /// 24.
    TwentyFour,
}

impl Length {
    /// The number.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Twelve => 12,
            Self::TwentyFour => 24,
        }
    }
}

/// The words of a wallet. Whoever has them has the wallet. Erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(Mnemonic);

/// Why a text is not the words of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordsError {
    /// There are neither 12 nor 24.
    #[error("there are {0} words; it must be 12 or 24")]
    Count(usize),
    /// A word is not in the list.
    #[error("word {position} \"{word}\" is not a BIP-39 word{}", did_you_mean(*nearest))]
    Unknown {
        /// Which word, from 1.
        position: usize,
        /// What stands there, in lower case.
        word: String,
        /// The nearest word of the list, if one is near.
        nearest: Option<&'static str>,
    },
    /// All words are in the list, but the last does not fit the others.
    #[error("the checksum is wrong: a word is another one of the list, or two have changed places")]
    Checksum,
}

fn did_you_mean(nearest: Option<&'static str>) -> String {
    nearest.map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default()
}

impl Words {
    /// New words from a generator, which must be one for secrets.
    pub fn new(length: Length, rng: &mut dyn CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        let used = match length {
            Length::Twelve => entropy.first_chunk_mut::<16>().map(<[u8; 16]>::as_mut_slice),
            Length::TwentyFour => Some(entropy.as_mut_slice()),
        };
        let used = used.unwrap_or_default();
        rng.fill_bytes(used);
        #[expect(clippy::expect_used, reason = "16 and 32 octets are lengths that BIP-39 takes")]
        Self(Mnemonic::from_entropy_in(Language::English, used).expect("a length of BIP-39"))
    }

    /// Words as somebody wrote them down: in any case, with any white space between.
    ///
    /// # Errors
    /// [`WordsError`], which names the first wrong word.
    pub fn restore(text: &str) -> Result<Self, WordsError> {
        let text = Zeroizing::new(text.to_lowercase());
        let unknown = |(at, word): (usize, &str)| check_word(at + 1, word).err();
        if let Some(error) = text.split_whitespace().enumerate().find_map(unknown) {
            return Err(error);
        }
        let count = text.split_whitespace().count();
        if count != Length::Twelve.count() && count != Length::TwentyFour.count() {
            return Err(WordsError::Count(count));
        }
        // Number and words were checked above, so only the checksum is left to be wrong.
        let wrong = |_: bip39::Error| WordsError::Checksum;
        Mnemonic::parse_in_normalized(Language::English, &text).map(Self).map_err(wrong)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.word_count()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.words()
    }

    /// All of them on one line.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.count() * 9));
        for word in self.iter() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The seed of BIP-39: PBKDF2 over the words with a passphrase, which is empty where there is none.
    #[must_use]
    pub fn seed(&self, passphrase: &str) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_seed(passphrase))
    }
}

/// Checks one word, in lower case, that stands at a position from 1.
///
/// # Errors
/// [`WordsError::Unknown`].
pub fn check_word(position: usize, word: &str) -> Result<(), WordsError> {
    if Language::English.find_word(word).is_some() {
        return Ok(());
    }
    Err(WordsError::Unknown { position, word: word.to_owned(), nearest: nearest(word) })
}

/// The word of the list that is the fewest slips away, if it is at most two.
fn nearest(word: &str) -> Option<&'static str> {
    let list = Language::English.word_list();
    // Nobody writes a word of 30 letters by a slip; what is longer is not compared.
    let word = Some(word).filter(|word| word.len() <= 30)?;
    let near = list.iter().map(|known| (strsim::damerau_levenshtein(word, known), *known));
    near.filter(|(slips, _)| *slips <= 2).min_by_key(|(slips, _)| *slips).map(|(_, known)| known)
}

#[cfg(test)]
#[path = "words/tests.rs"]
mod tests;
