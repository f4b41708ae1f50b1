//! `shoalway key` with a person at a terminal: what is asked, what is shown, and what is not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test reads best so")]

use shoalway_testkit::TempDir;
use shoalway_testkit::real::python;
use shoalway_wallet::{BackupCheck, WalletKey, Words};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");
const PASSWORD: &str = "correct horse battery";
const JUNK: &str = "test test test test test test test test test test test junk";

/// Runs the program on a pseudo-terminal with its standard output in a file. Each pair of the answers waits for a text
/// and types another; `{N}` is the N-th word of those seen before or given. Prints what the terminal showed, what
/// standard output got and the exit code, as JSON.
const PERSON: &str = include_str!("key/person.py");

/// What a person saw.
struct Seen {
    shown: String,
    stdout: String,
    code: i64,
}

#[track_caller]
fn person(dir: &TempDir, words: &str, command: &[&str], answers: &[(&str, &str)]) -> Seen {
    let answers = serde_json::to_string(answers).unwrap();
    let path = dir.path().to_str().unwrap();
    let mut all = vec![BIN, path, &answers, words, "key"];
    all.extend(command);
    all.extend(["--keys", "keys"]);
    let ran = python(PERSON, &all);
    let seen: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"));
    let text = |key: &str| seen[key].as_str().unwrap().replace('\r', "");
    Seen { shown: text("shown"), stdout: text("stdout"), code: seen["code"].as_i64().unwrap() }
}

/// The words among what a terminal showed.
fn words_in(shown: &str) -> Vec<&str> {
    let numbered = |pair: &[&str]| pair[0].strip_suffix('.').is_some_and(|n| n.parse::<u32>().is_ok());
    let all: Vec<&str> = shown.split_whitespace().collect();
    all.windows(2).filter(|pair| numbered(pair)).map(|pair| pair[1]).collect()
}

#[test]
fn words_are_shown_on_the_terminal_alone_and_three_are_asked_back() {
    let dir = TempDir::new();
    let made =
        person(&dir, "", &["new", "--light"], &[("New password.*: ", PASSWORD), ("same again: ", PASSWORD)]);
    assert_eq!(made.code, 0, "{}", made.shown);
    let words = words_in(&made.shown).join(" ");
    assert_eq!(words.split(' ').count(), 12, "{}", made.shown);
    assert!(!made.shown.contains(PASSWORD), "a password is typed unseen");
    assert!(made.stdout.starts_with("0x"), "{}", made.stdout);
    assert!(words_in(&made.stdout).is_empty(), "what goes to a file has no words: {}", made.stdout);

    let ask = (r"word (\d+) of 12: ", "WORD");
    let right = person(&dir, &words, &["verify-backup"], &[("Password: ", PASSWORD), ask, ask, ask]);
    assert_eq!(
        (right.code, &*right.stdout),
        (0, "the words are those of wallet `node`\n"),
        "{}",
        right.shown
    );
    let again = person(&dir, "", &["show"], &[]);
    assert!(again.stdout.contains("backup      proven 20"), "{}", again.stdout);
}

#[test]
fn three_wrong_words_prove_nothing() {
    let dir = TempDir::new();
    let password = [("New password.*: ", PASSWORD), ("same again: ", PASSWORD)];
    let typed = [("word 1: ", JUNK), ("word 13: ", "")];
    let made = person(&dir, "", &["restore", "--light"], &[typed, password].concat());
    assert_eq!(made.code, 0, "{}", made.shown);
    // A wrong word may pass at a position, so that three of them may; these three cannot.
    let key = WalletKey::from_words(&Words::restore(JUNK).unwrap(), "", 0).unwrap();
    let check = BackupCheck::of(&Words::restore(JUNK).unwrap(), &key);
    assert!((1..=12).filter(|position| check.agrees(&key, *position, "zebra")).count() < 3);
    let ask = ("word [0-9]+ of 12: ", "zebra");
    let wrong = person(&dir, "", &["verify-backup"], &[("Password: ", PASSWORD), ask, ask, ask]);
    assert_eq!(wrong.code, 1, "{}", wrong.shown);
    assert!(wrong.shown.contains("K012: not the words of this wallet"), "{}", wrong.shown);
    let all = [("word 1: ", JUNK), ("word 13: ", "")];
    let right = person(&dir, "", &["verify-backup", "--all"], &all);
    assert_eq!(right.code, 0, "{}", right.shown);
}

#[test]
fn a_wrong_word_is_named_at_once_and_typed_again() {
    let dir = TempDir::new();
    let password = [("New password.*: ", PASSWORD), ("same again: ", PASSWORD)];
    let typed = [
        ("word 1: ", "test test test test test test"),
        ("word 7: ", "test tset test"),
        ("did you mean \"test\"\\?\\s+word 8: ", "test test test test junk"),
        ("word 13: ", ""),
    ];
    let made = person(&dir, "", &["restore", "--light"], &[&typed[..], &password].concat());
    assert_eq!(made.code, 0, "{}", made.shown);
    assert!(made.stdout.starts_with("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n"), "{}", made.stdout);
}

#[test]
fn a_password_is_edited_unseen_and_the_question_can_be_ended() {
    let dir = TempDir::new();
    // Typed: a slip that is wiped out, a character of two bytes taken back, then the password.
    let edited = format!("slip\u{15}{PASSWORD}ß\u{7f}");
    let words = ["new", "--light"];
    let made = person(&dir, "", &words, &[("New password.*: ", &edited), ("same again: ", PASSWORD)]);
    assert_eq!(made.code, 0, "{}", made.shown);
    assert!(!made.shown.contains("slip") && !made.shown.contains("correct"), "{}", made.shown);
    let words = ["new", "other", "--light"];
    let differs =
        person(&dir, "", &words, &[("New password.*: ", PASSWORD), ("same again: ", "another one")]);
    assert_eq!(differs.code, 1);
    assert!(differs.shown.contains("K011: the second password is another one"), "{}", differs.shown);
    let ended = person(&dir, "", &words, &[("New password.*: ", "abc\u{3}")]);
    assert_eq!(ended.code, 1);
    assert!(ended.shown.contains("K010: cancelled"), "{}", ended.shown);
    assert!(!dir.join("keys/other.json").exists());
}
