//! `key verify-backup`: whether the words are on paper, before they are needed.

use super::error::KeyError;
use super::record::{self, Backup};
use super::terminal::Terminal;
use super::{VerifyArgs, chance, files, input};
use crate::cli::Output;
use crate::config::Request;
use rand_core::Rng as _;
use serde_json::json;
use shoalway_types::wallet::Address;
use shoalway_wallet::{BackupCheck, WalletKey};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// How many words are asked for on a terminal.
const ASKED: usize = 3;

/// Asks for words and writes down that they were answered.
pub(super) fn verify(args: &VerifyArgs, request: &Request, output: &Output) -> Result<(), KeyError> {
    let place = args.wallet.place(request)?;
    let backup = Backup::read(&place)?;
    let keystore = record::keystore(&place)?;
    let asked = match (Terminal::of_person(), &backup) {
        (Some(terminal), Some(backup)) if !args.all => {
            let key = record::open(&keystore, &place, &input::password(&args.password)?)?;
            ask_some(terminal, &backup.check, &key)?;
            ASKED
        }
        (Some(_) | None, _) => {
            let address = match keystore.address() {
                Some(address) => address,
                None => record::open(&keystore, &place, &input::password(&args.password)?)?.address(),
            };
            ask_all(args, backup.as_ref(), address)?
        }
    };
    if let Some(backup) = backup {
        let proven = Backup { proven: Some(now()?), ..backup };
        files::replace(&place.backup(), &proven.to_text())?;
    }
    let answer = if output.is_json() {
        output.json(&json!({ "ok": true, "name": place.name(), "words": asked }))
    } else {
        output.text(&format!("the words are those of wallet `{}`\n", place.name()))
    };
    answer.map_err(KeyError::Answer)
}

/// Three words at random positions, in ascending order.
fn ask_some(mut terminal: Terminal, check: &BackupCheck, key: &WalletKey) -> Result<(), KeyError> {
    let mut wrong = Vec::new();
    for position in positions(check.count(), &mut || chance().next_u32()) {
        let word = terminal.ask(&format!("word {position} of {}: ", check.count()))?;
        if !check.agrees(key, position, &word) {
            wrong.push(position.to_string());
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    // All are asked first, so that nobody finds a word by trying.
    Err(KeyError::Backup(format!("not the words of this wallet (asked: {})", wrong.join(", "))))
}

fn positions(count: usize, random: &mut impl FnMut() -> u32) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::with_capacity(ASKED);
    while chosen.len() < ASKED.min(count) {
        // 2^32 is so much more than 24 that no position is preferred noticeably.
        let position = 1 + usize::try_from(random()).unwrap_or_default() % count;
        if !chosen.contains(&position) {
            chosen.push(position);
        }
    }
    chosen.sort_unstable();
    chosen
}

/// All words; they must make the wallet's address.
fn ask_all(args: &VerifyArgs, backup: Option<&Backup>, address: Address) -> Result<usize, KeyError> {
    let words = input::words()?;
    let file = args.passphrase_file.as_deref();
    let passphrase = if backup.is_some_and(|backup| backup.passphrase) || file.is_some() {
        input::passphrase(file)?
    } else {
        Zeroizing::default()
    };
    let index = backup.map_or(0, |backup| backup.index);
    let key = WalletKey::from_words(&words, &passphrase, index)
        .map_err(|error| KeyError::Terms(error.to_string()))?;
    if key.address() == address {
        return Ok(words.count());
    }
    Err(KeyError::Backup(format!("these are words of another wallet, {}", key.address())))
}

/// The time, in Unix seconds.
pub(super) fn now() -> Result<u64, KeyError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_before| KeyError::Terms("the clock is before 1970".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_different_positions_are_asked_in_order() {
        let mut numbers = [11, 11, 23, 0, 12, 5].into_iter();
        assert_eq!(positions(12, &mut || numbers.next().unwrap()), [1, 6, 12]);
    }
}
