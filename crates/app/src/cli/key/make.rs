//! `key new` and `key restore`: a wallet's files, from words.

use super::error::KeyError;
use super::input;
use super::place::Place;
use super::record::Backup;
use super::terminal::Terminal;
use super::{MakeArgs, NewArgs, PasswordArgs, RestoreArgs, WordCount, chance, files, proof};
use crate::cli::Output;
use crate::config::Request;
use serde_json::{Value, json};
use shoalway_types::wallet::Address;
use shoalway_wallet::{BackupCheck, Cost, Keystore, Length, WalletKey, Words};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// What was made.
struct Made {
    place: Place,
    address: Address,
}

/// What is known of a wallet before it is made.
struct Known {
    /// The address it must have.
    address: Option<Address>,
    /// When its words were proven to be on paper.
    proven: Option<u64>,
}

/// Makes a wallet and shows its words: on the terminal alone, or, where nobody sits at one, on standard output.
pub(super) fn new(args: &NewArgs, request: &Request, output: &Output) -> Result<(), KeyError> {
    let place = free_place(&args.make, || args.wallet.place(request))?;
    let length = match args.words {
        WordCount::Twelve => Length::Twelve,
        WordCount::TwentyFour => Length::TwentyFour,
    };
    let words = Words::new(length, &mut chance());
    let made = make(place, &words, &args.make, &args.password, &Known { address: None, proven: None })?;
    let shown = show_words(&made, &words, output);
    if shown.is_err() {
        // A key whose words nobody saw must not be used.
        files::undo(&[made.place.keystore(), &made.place.backup()]);
    }
    shown
}

/// Makes the files of a wallet from its words.
pub(super) fn restore(args: &RestoreArgs, request: &Request, output: &Output) -> Result<(), KeyError> {
    let place = free_place(&args.make, || args.wallet.place(request))?;
    let address = args.address.as_deref().map(address).transpose()?;
    let words = input::words()?;
    // Whoever types all words has proven that they are on paper.
    let known = Known { address, proven: Some(proof::now()?) };
    let made = make(place, &words, &args.make, &args.password, &known)?;
    if output.is_json() {
        return output.json(&facts(&made)).map_err(KeyError::Answer);
    }
    output
        .text(&format!("{}\nrestored in {}\n", made.address, made.place.keystore().display()))
        .map_err(KeyError::Answer)
}

fn address(text: &str) -> Result<Address, KeyError> {
    text.parse().map_err(|error| KeyError::Address { text: text.to_owned(), error })
}

/// The place of the files, which must not be there yet.
fn free_place(args: &MakeArgs, named: impl FnOnce() -> Result<Place, KeyError>) -> Result<Place, KeyError> {
    let place = match &args.out {
        Some(path) => Place::of_keystore(path)?,
        None => named()?,
    };
    files::check_free(place.keystore())?;
    files::check_free(&place.backup())?;
    Ok(place)
}

fn make(
    place: Place,
    words: &Words,
    args: &MakeArgs,
    password: &PasswordArgs,
    known: &Known,
) -> Result<Made, KeyError> {
    let passphrase = input::new_passphrase(args)?;
    let password = input::new_password(password)?;
    let key = WalletKey::from_words(words, &passphrase, args.index)
        .map_err(|error| KeyError::Terms(error.to_string()))?;
    if known.address.is_some_and(|wanted| wanted != key.address()) {
        return Err(KeyError::Backup(format!("these are words of another wallet, {}", key.address())));
    }
    let cost = if args.light { Cost::LIGHT } else { Cost::STANDARD };
    let keystore = Keystore::lock(&key, &password, cost, &mut chance())
        .map_err(|error| KeyError::Keystore { path: place.keystore().to_owned(), error })?;
    let backup = Backup {
        check: BackupCheck::of(words, &key),
        passphrase: !passphrase.is_empty(),
        index: args.index,
        proven: known.proven,
    };
    files::create(place.keystore(), &keystore.to_json())?;
    if let Err(error) = files::create(&place.backup(), &backup.to_text()) {
        files::undo(&[place.keystore()]);
        return Err(error);
    }
    Ok(Made { address: key.address(), place })
}

fn facts(made: &Made) -> Value {
    json!({
        "ok": true,
        "name": made.place.name(),
        "address": made.address.to_string(),
        "keystore": made.place.keystore(),
    })
}

fn show_words(made: &Made, words: &Words, output: &Output) -> Result<(), KeyError> {
    let place = &made.place;
    let made_it = format!("{}\nwallet `{}` in {}\n", made.address, place.name(), place.keystore().display());
    if let Some(mut terminal) = Terminal::of_person() {
        terminal.say(&paper(words, place))?;
        let answer = if output.is_json() {
            let mut facts = facts(made);
            insert(&mut facts, "words_shown", Value::from("terminal"));
            output.json(&facts)
        } else {
            output.text(&made_it)
        };
        return answer.map_err(KeyError::Answer);
    }
    let answer = if output.is_json() {
        let mut facts = facts(made);
        insert(&mut facts, "words_shown", Value::from("here"));
        insert(&mut facts, "words", Value::from(words.text().as_str()));
        output.json(&facts)
    } else {
        let text = Zeroizing::new(format!("{}{made_it}", *paper(words, place)));
        output.text(&text)
    };
    answer.map_err(KeyError::Answer)
}

fn insert(facts: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = facts {
        map.insert(key.to_owned(), value);
    }
}

/// The words as they are to be copied, and what they are.
fn paper(words: &Words, place: &Place) -> Zeroizing<String> {
    // Longer than it gets, so that it does not move in memory.
    let mut text = Zeroizing::new(String::with_capacity(2048));
    text.push_str("The words of the wallet follow. They are shown this once and are in no file.\n");
    text.push_str("Write them on paper, in this order. Whoever has them has the wallet.\n\n");
    for (position, word) in (1..).zip(words.iter()) {
        let end = if position % 4 == 0 { "\n" } else { "" };
        write!(text, "{position:4}. {word:10}{end}").unwrap_or_default(); // a text takes everything
    }
    text.push_str("\nThen prove that they are on paper: shoalway key verify-backup ");
    text.push_str(&place.argument());
    text.push('\n');
    text
}
