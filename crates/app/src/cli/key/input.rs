//! Passwords, passphrases and words: from the terminal, from a file, from standard input; never from an argument.

use super::error::KeyError;
use super::terminal::Terminal;
use super::{MakeArgs, PasswordArgs, files};
use shoalway_wallet::words::check_word;
use shoalway_wallet::{Length, Words};
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// A new password has at least this many characters: the file may be tried at leisure.
const SHORTEST: usize = 8;
const PASSWORD_FLAG: &str = "--password-file FILE";
const PASSPHRASE_FLAG: &str = "--passphrase-file FILE";

/// The password of a wallet that exists.
pub(super) fn password(args: &PasswordArgs) -> Result<Zeroizing<String>, KeyError> {
    match &args.password_file {
        Some(path) => from_file(path),
        None => terminal("the password", PASSWORD_FLAG)?.ask_hidden("Password: "),
    }
}

/// The password for a new file, asked for twice.
pub(super) fn new_password(args: &PasswordArgs) -> Result<Zeroizing<String>, KeyError> {
    let password = match &args.password_file {
        Some(path) => from_file(path)?,
        None => {
            let mut terminal = terminal("a password", PASSWORD_FLAG)?;
            let password = terminal.ask_hidden("New password (at least 8 characters): ")?;
            if terminal.ask_hidden("The same again: ")? != password {
                return Err(KeyError::Password("the second password is another one"));
            }
            password
        }
    };
    if password.chars().count() < SHORTEST {
        return Err(KeyError::Password("the password has fewer than 8 characters"));
    }
    Ok(password)
}

/// The passphrase a wallet is to be made with; empty where none is wanted.
pub(super) fn new_passphrase(args: &MakeArgs) -> Result<Zeroizing<String>, KeyError> {
    if let Some(path) = &args.passphrase_file {
        return from_file(path);
    }
    if !args.passphrase {
        return Ok(Zeroizing::default());
    }
    let mut terminal = terminal("the passphrase", PASSPHRASE_FLAG)?;
    let passphrase = terminal.ask_hidden("Passphrase (part of the wallet, and not on the paper): ")?;
    if terminal.ask_hidden("The same again: ")? != passphrase {
        return Err(KeyError::Password("the second passphrase is another one"));
    }
    Ok(passphrase)
}

/// The passphrase of a wallet that has one.
pub(super) fn passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, KeyError> {
    match file {
        Some(path) => from_file(path),
        None => terminal("the passphrase", PASSPHRASE_FLAG)?.ask_hidden("Passphrase: "),
    }
}

/// All words: typed one by one or by the line, or piped in.
pub(super) fn words() -> Result<Words, KeyError> {
    let Some(mut terminal) = Terminal::of_person() else {
        let text = files::read_text(io::stdin().lock()).map_err(KeyError::file("read", "-".as_ref()))?;
        return Ok(Words::restore(&text)?);
    };
    terminal.say("The words, one or several at a time; an empty line after the last.\n")?;
    let most = Length::TwentyFour.count();
    // Longer than 24 words of 8 letters, so that it does not move in memory.
    let mut all = Zeroizing::new(String::with_capacity(4 * 1024));
    loop {
        let count = all.split_whitespace().count();
        let line =
            if count < most { terminal.ask(&format!("word {}: ", count + 1))? } else { Zeroizing::default() };
        if line.trim().is_empty() {
            return Ok(Words::restore(&all)?);
        }
        for (position, word) in (count + 1..).zip(line.split_whitespace()).take(most - count) {
            let word = Zeroizing::new(word.to_lowercase());
            if let Err(error) = check_word(position, &word) {
                terminal.say(&format!("{error}\n"))?;
                break;
            }
            all.push_str(&word);
            all.push(' ');
        }
    }
}

/// The first line of a file.
fn from_file(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let missing = || KeyError::file("read", path)(io::ErrorKind::NotFound.into());
    let text = files::read(path)?.ok_or_else(missing)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn terminal(what: &'static str, flag: &'static str) -> Result<Terminal, KeyError> {
    Terminal::of_person().ok_or(KeyError::NoTerminal { what, flag })
}
