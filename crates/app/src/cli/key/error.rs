//! Why a command about keys fails, in words, each with a stable code and what to do about it.
//!
//! `docs/errors.md` explains the codes. No text here holds a secret but a mistyped word, which its owner has to see.

use crate::cli::Exit;
use shoalway_types::wallet::AddressError;
use shoalway_wallet::{KeystoreError, WordsError};
use std::io;
use std::path::{Path, PathBuf};

/// Why it failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// A file or directory cannot be read or written.
    #[error("cannot {action} {}: {error}", path.display())]
    File { action: &'static str, path: PathBuf, error: io::Error },
    /// Not the address of a wallet.
    #[error("{text}: {error}")]
    Address { text: String, error: AddressError },
    /// Others than the owner can read or change a file.
    #[error("{} can be read by others (mode {mode:03o})", path.display())]
    Readable { path: PathBuf, mode: u32 },
    /// The words are not the words of a wallet.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The wallet's file cannot be opened.
    #[error("{}: {error}", path.display())]
    Keystore { path: PathBuf, error: KeystoreError },
    /// One of the files beside it is not what it should be.
    #[error("{} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: &'static str },
    /// The file is there already.
    #[error("{} exists, and is not written over", path.display())]
    Exists { path: PathBuf },
    /// There is no such wallet.
    #[error("there is no wallet {}", path.display())]
    Missing { path: PathBuf },
    /// Not a name of a wallet.
    #[error("`{name}` is not the name of a wallet")]
    Name { name: String },
    /// A secret is needed, and there is nobody to ask.
    #[error("no terminal to ask for {what}")]
    NoTerminal { what: &'static str, flag: &'static str },
    /// The password is too short, or was typed differently the second time.
    #[error("{0}")]
    Password(&'static str),
    /// The words belong to another wallet.
    #[error("{0}")]
    Backup(String),
    /// Words do not come out of an encrypted key.
    #[error("the words cannot be had from {}: they make the key, the key does not make them", path.display())]
    NoWords { path: PathBuf },
    /// A delegation cannot be made as asked.
    #[error("{0}")]
    Terms(String),
    /// Somebody ended the question.
    #[error("cancelled")]
    Cancelled,
    /// The answer cannot be written: for the caller of all commands.
    #[error("answer")]
    Answer(#[source] io::Error),
}

impl KeyError {
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { action, path: path.to_owned(), error }
    }

    /// The stable code.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::File { .. } | Self::Answer(_) => "K001",
            Self::Words(WordsError::Unknown { .. }) => "K002",
            Self::Words(_) => "K003",
            Self::Keystore { error: KeystoreError::Password, .. } => "K004",
            Self::Address { .. } => "K005",
            Self::Readable { .. } => "K006",
            Self::Exists { .. } => "K007",
            Self::Missing { .. } => "K008",
            Self::Keystore { .. } | Self::Damaged { .. } => "K009",
            Self::NoTerminal { .. } | Self::Cancelled => "K010",
            Self::Password(_) => "K011",
            Self::Backup(_) => "K012",
            Self::NoWords { .. } => "K013",
            Self::Terms(_) => "K014",
            Self::Name { .. } => "K015",
        }
    }

    /// What to do about it; may be empty.
    pub(super) fn hint(&self) -> String {
        let text = match self {
            Self::Readable { path, .. } => return format!("chmod 600 {}", path.display()),
            Self::NoTerminal { flag, .. } => return format!("give it with {flag}"),
            Self::File { .. } | Self::Answer(_) => "the directory must be yours; --keys DIR names another",
            Self::Address { .. } => "copy it again; do not retype it",
            Self::Words(WordsError::Unknown { .. }) => "look at the paper again; capitals do not matter",
            Self::Words(_) => "compare word by word with the paper",
            Self::Keystore { error: KeystoreError::Password, .. } => {
                "type it again; with the words, `shoalway key restore` sets another"
            }
            Self::Exists { .. } => "take another name, or move the file away first: it may be the only one",
            Self::Missing { .. } => "`shoalway key show` lists them, `shoalway key new` makes one",
            Self::Keystore { .. } | Self::Damaged { .. } => "`shoalway key restore` makes the files anew",
            Self::Password(_) => "whoever gets the file can try passwords at leisure: take a long one",
            Self::Backup(_) => "find the right paper; while this wallet still opens, move to a new one",
            Self::NoWords { .. } => "without the paper, make a new wallet",
            Self::Terms(_) => "`shoalway key rotate --help` says what it takes",
            Self::Name { .. } => {
                "letters, digits, `-` and `_`, at most 64; a path has a slash and ends in .json"
            }
            Self::Cancelled => "nothing has changed",
        };
        text.to_owned()
    }

    /// How a command ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::File { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            Self::Readable { .. } => Exit::NotPermitted,
            Self::Address { .. } | Self::Name { .. } | Self::NoTerminal { .. } | Self::Terms(_) => {
                Exit::Usage
            }
            Self::File { .. }
            | Self::Words(_)
            | Self::Keystore { .. }
            | Self::Damaged { .. }
            | Self::Exists { .. }
            | Self::Missing { .. }
            | Self::Password(_)
            | Self::Backup(_)
            | Self::NoWords { .. }
            | Self::Cancelled
            | Self::Answer(_) => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once() {
        let page = include_str!("../../../../../docs/errors.md");
        let path = || PathBuf::from("x");
        let all = [
            KeyError::File { action: "read", path: path(), error: io::ErrorKind::Other.into() },
            KeyError::Words(WordsError::Unknown { position: 1, word: "x".to_owned(), nearest: None }),
            KeyError::Words(WordsError::Checksum),
            KeyError::Keystore { path: path(), error: KeystoreError::Password },
            KeyError::Address { text: "x".to_owned(), error: AddressError::Prefix },
            KeyError::Readable { path: path(), mode: 0o644 },
            KeyError::Exists { path: path() },
            KeyError::Missing { path: path() },
            KeyError::Damaged { path: path(), why: "it is empty" },
            KeyError::NoTerminal { what: "the password", flag: "--password-file FILE" },
            KeyError::Password("too short"),
            KeyError::Backup("not these".to_owned()),
            KeyError::NoWords { path: path() },
            KeyError::Terms("no role".to_owned()),
            KeyError::Name { name: "..".to_owned() },
        ];
        for error in &all {
            assert_eq!(page.matches(&format!("\n## {}: ", error.code())).count(), 1, "{}", error.code());
            assert!(!error.hint().is_empty());
        }
    }
}
