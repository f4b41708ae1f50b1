//! One version of the network file: its text, its terms, its signatures (ovl1 section 3.1).
//!
//! Not here: whether it may follow another one ([`super::Network`]).

use super::lines::{SignatureLine, Signer, parse_hex, parse_lines, to_hex};
use super::{
    KEYS_MOST, LABEL, MIRROR_MOST, MIRRORS_MOST, NAME_MOST, NETWORK_MOST_BYTES, NetworkError, SIGNATURES_LINE,
};
use crate::identity::ed25519;
use crate::kdf::hash;
use serde::Deserialize;
use std::fmt::Write as _;

/// What a version of the network file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkTerms {
    /// Counts from 1.
    pub version: u32,
    /// The hash of the version before; none in version 1.
    pub previous: Option<[u8; 32]>,
    /// What people call the network, 1 to 64 bytes.
    pub name: String,
    /// How many of the keys must sign; more than half.
    pub k: usize,
    /// The keys of the directory, 1 to 32, none twice.
    pub keys: Vec<[u8; 32]>,
    /// Where else its files are served: addresses that begin with `https://`, at most 16.
    pub mirrors: Vec<String>,
    /// Whether loopback and private endpoints, equal operators, equal networks and one machine are permitted.
    pub lab: bool,
}

/// A network file that was taken apart; its own signatures hold, those of the version before are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFile {
    terms: NetworkTerms,
    text: String,
    hash: [u8; 32],
    signatures: Vec<SignatureLine>,
}

/// The TOML as it may be written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    ovl: u32,
    version: u32,
    previous: Option<String>,
    name: String,
    k: u32,
    keys: Vec<String>,
    #[serde(default)]
    mirrors: Vec<String>,
    #[serde(default)]
    lab: bool,
}

impl NetworkTerms {
    /// The text of the file up to the signatures.
    ///
    /// # Errors
    /// [`NetworkError::Value`] when it could not be read back.
    pub fn text(&self) -> Result<String, NetworkError> {
        self.check()?;
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!("ovl = 1\nversion = {}\n", self.version);
        if let Some(previous) = &self.previous {
            text.push_str(&format!("previous = \"{}\"\n", to_hex(previous)));
        }
        text.push_str(&format!("name = {}\nk = {}\nkeys = [\n", quoted(&self.name), self.k));
        self.keys.iter().for_each(|key| text.push_str(&format!("    \"{}\",\n", to_hex(key))));
        text.push_str("]\nmirrors = [\n");
        self.mirrors.iter().for_each(|mirror| text.push_str(&format!("    {},\n", quoted(mirror))));
        text.push_str(&format!("]\nlab = {}\n", self.lab));
        Ok(text)
    }

    fn parse(text: &str) -> Result<Self, NetworkError> {
        let written: Written =
            toml::from_str(text).map_err(|error| NetworkError::Toml(error.message().to_owned()))?;
        if written.ovl != 1 {
            return Err(NetworkError::Value("ovl is not 1"));
        }
        let key = |text: &String| parse_hex(text).ok_or(NetworkError::Value("a key is not 64 digits of hex"));
        let previous = match written.previous {
            None => None,
            Some(text) => {
                Some(parse_hex(&text).ok_or(NetworkError::Value("previous is not 64 digits of hex"))?)
            }
        };
        let terms = Self {
            version: written.version,
            previous,
            name: written.name,
            k: usize::try_from(written.k).unwrap_or(usize::MAX),
            keys: written.keys.iter().map(key).collect::<Result<_, _>>()?,
            mirrors: written.mirrors,
            lab: written.lab,
        };
        terms.check()?;
        Ok(terms)
    }

    fn check(&self) -> Result<(), NetworkError> {
        let twice = |key: &[u8; 32]| self.keys.iter().filter(|other| *other == key).count() > 1;
        let mirror = |mirror: &String| {
            mirror.len() <= MIRROR_MOST
                && mirror.starts_with("https://")
                && mirror.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let rules = [
            (self.version > 0, "version counts from 1"),
            (self.previous.is_some() == (self.version > 1), "previous is there from version 2 on"),
            (!self.name.is_empty() && self.name.len() <= NAME_MOST, "name has 1 to 64 bytes"),
            (!self.name.chars().any(char::is_control), "name has a control character"),
            ((1..=KEYS_MOST).contains(&self.keys.len()), "there are 1 to 32 keys"),
            (self.keys.iter().all(ed25519::is_key), "a key is none of Ed25519"),
            (!self.keys.iter().any(twice), "a key is there twice"),
            (self.k <= self.keys.len() && self.k > self.keys.len() / 2, "k is more than half of the keys"),
            (self.mirrors.len() <= MIRRORS_MOST, "there are at most 16 mirrors"),
            (self.mirrors.iter().all(mirror), "a mirror is no https address of at most 256 characters"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(NetworkError::Value(rule)),
        }
    }
}

impl NetworkFile {
    /// Takes a network file apart and checks the signatures of its own keys: all of them, and at least `k`.
    ///
    /// # Errors
    /// [`NetworkError`]; nothing of it is to be believed then.
    pub fn parse(bytes: &[u8]) -> Result<Self, NetworkError> {
        let file = Self::parse_unsigned(bytes)?;
        file.check_own()?;
        Ok(file)
    }

    /// As [`Self::parse`], but signatures may be missing: a file that is still being signed.
    ///
    /// # Errors
    /// [`NetworkError`]; signatures that are there are right.
    pub fn parse_draft(bytes: &[u8]) -> Result<Self, NetworkError> {
        let file = Self::parse_unsigned(bytes)?;
        file.count_own()?;
        Ok(file)
    }

    /// A file with these terms and no signature yet.
    ///
    /// # Errors
    /// [`NetworkError::Value`] when the terms are out of range.
    pub fn draft(terms: NetworkTerms) -> Result<Self, NetworkError> {
        let text = terms.text()?;
        let hash = hash_of(&text);
        Ok(Self { terms, text, hash, signatures: Vec::new() })
    }

    /// Signs with a key of this version, or with one of the version before that is no longer among them.
    /// `false` when the key is in neither.
    pub fn sign(&mut self, key: &ed25519::SecretKey, before: Option<&NetworkTerms>) -> bool {
        let public = key.public();
        let own = self.terms.keys.iter().position(|own| *own == public).map(Signer::Own);
        let former = || before?.keys.iter().position(|former| *former == public).map(Signer::Former);
        let Some(signer) = own.or_else(former) else { return false };
        let signature = key.sign(LABEL, self.text.as_bytes());
        self.signatures.retain(|line| line.signer != signer);
        self.signatures.push(SignatureLine { signer, signature });
        self.signatures.sort_by_key(|line| line.signer);
        true
    }

    /// Takes over the signatures of another copy of the same draft. `false` when its text differs.
    pub fn join(&mut self, other: &Self) -> bool {
        if self.text != other.text {
            return false;
        }
        for line in &other.signatures {
            if !self.signatures.iter().any(|known| known.signer == line.signer) {
                self.signatures.push(line.clone());
            }
        }
        self.signatures.sort_by_key(|line| line.signer);
        true
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{}{SIGNATURES_LINE}\n", self.text);
        for line in &self.signatures {
            // Writing to a text does not fail.
            let _written = writeln!(text, "{line}");
        }
        text
    }

    /// What it says.
    #[must_use]
    pub const fn terms(&self) -> &NetworkTerms {
        &self.terms
    }

    /// `H` of the signed bytes: of version 1 the name of the network, of others what the next one follows.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// How many keys of the version before signed it.
    ///
    /// # Errors
    /// [`NetworkError::Signature`] when a signature made in their name is wrong.
    pub(super) fn count_former(&self, before: &NetworkTerms) -> Result<usize, NetworkError> {
        let mut signed = 0;
        for line in &self.signatures {
            match line.signer {
                // Checked already; it counts when its key was there before.
                Signer::Own(index) => {
                    let key = self.terms.keys.get(index);
                    signed += usize::from(key.is_some_and(|key| before.keys.contains(key)));
                }
                Signer::Former(index) => {
                    let key = before.keys.get(index).filter(|key| !self.terms.keys.contains(*key));
                    self.verify(key, line)?;
                    signed += 1;
                }
            }
        }
        Ok(signed)
    }

    fn parse_unsigned(bytes: &[u8]) -> Result<Self, NetworkError> {
        if bytes.len() > NETWORK_MOST_BYTES {
            return Err(NetworkError::TooLong);
        }
        let all = str::from_utf8(bytes).map_err(|_not_utf8| NetworkError::NoSignaturesLine)?;
        let at = all
            .match_indices(&format!("{SIGNATURES_LINE}\n"))
            .map(|(at, _)| at)
            .find(|at| *at == 0 || all.get(..*at).is_some_and(|before| before.ends_with('\n')))
            .ok_or(NetworkError::NoSignaturesLine)?;
        let (text, rest) = all.split_at_checked(at).ok_or(NetworkError::NoSignaturesLine)?;
        let lines = rest.get(SIGNATURES_LINE.len() + 1..).unwrap_or_default();
        let terms = NetworkTerms::parse(text)?;
        let signatures = parse_lines(lines)?;
        Ok(Self { terms, text: text.to_owned(), hash: hash_of(text), signatures })
    }

    fn check_own(&self) -> Result<(), NetworkError> {
        let (found, needed) = (self.count_own()?, self.terms.k);
        if found < needed { Err(NetworkError::Quorum { found, needed }) } else { Ok(()) }
    }

    fn count_own(&self) -> Result<usize, NetworkError> {
        let mut signed = 0;
        for line in &self.signatures {
            match line.signer {
                Signer::Own(index) => {
                    self.verify(self.terms.keys.get(index), line)?;
                    signed += 1;
                }
                // Nobody came before the first.
                Signer::Former(_) if self.terms.version == 1 => {
                    return Err(NetworkError::Signature { index: line.signer.to_string() });
                }
                Signer::Former(_) => {}
            }
        }
        Ok(signed)
    }

    fn verify(&self, key: Option<&[u8; 32]>, line: &SignatureLine) -> Result<(), NetworkError> {
        let wrong = || NetworkError::Signature { index: line.signer.to_string() };
        let key = key.ok_or_else(wrong)?;
        ed25519::verify(key, LABEL, self.text.as_bytes(), &line.signature).map_err(|_wrong| wrong())
    }
}

fn hash_of(text: &str) -> [u8; 32] {
    hash(&[LABEL.as_bytes(), b"\0", text.as_bytes()])
}
