//! `shoalway key` in scripts: from the first words to a signed delegation, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test reads best so")]

#[path = "key/rotation.rs"]
mod rotation;

use shoalway_testkit::TempDir;
use shoalway_testkit::real::{Ran, python};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");
/// The standard cost takes seconds in a debug build.
const PATIENCE: Duration = Duration::from_secs(25);
const PASSWORD: &str = "correct horse battery";
/// The words of every development chain, and the first address that other wallets show for them.
const JUNK: &str = "test test test test test test test test test test test junk";
const JUNK_ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const NETWORK: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// A directory of keys with a file that has the password.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        let dir = TempDir::new();
        dir.write_private("pw", format!("{PASSWORD}\n"));
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join("keys").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `key` with this on standard input, which is then no terminal.
    #[track_caller]
    fn run(&self, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new(BIN);
        command.arg("key").args(words).args(["--keys", "keys"]).current_dir(self.0.path());
        Ran::of(&mut command, input.as_bytes(), PATIENCE)
    }

    #[track_caller]
    fn json(&self, words: &[&str], input: &str) -> serde_json::Value {
        let ran = self.run(&[words, &["--json"]].concat(), input);
        ran.assert_code(0);
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
    }

    #[track_caller]
    fn new_wallet(&self, name: &str) -> (String, String) {
        let made = self.json(&["new", name, "--light", "--password-file", "pw"], "");
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("address"), text("words"))
    }

    #[track_caller]
    fn refused(&self, words: &[&str], input: &str, code: i32, message: &str) {
        let ran = self.run(words, input);
        ran.assert_code(code);
        assert!(ran.stderr.contains(message), "{message} is missing in {ran}");
        assert!(ran.stdout.is_empty(), "{ran}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_wallet_is_made_proven_lost_and_restored() {
    let keys = Keys::new();
    let (address, words) = keys.new_wallet("node");
    assert_eq!(words.split(' ').count(), 12);
    let shown = keys.json(&["show"], "");
    assert_eq!(shown["wallets"][0]["address"], *address);
    assert!(shown["wallets"][0]["backup_proven"].is_null());

    keys.run(&["verify-backup"], &words).assert_code(0);
    assert!(keys.json(&["show"], "")["wallets"][0]["backup_proven"].as_u64() > Some(1_700_000_000));

    fs::remove_dir_all(keys.0.join("keys")).unwrap();
    keys.run(&["restore", "node", "--light", "--password-file", "pw"], &words.to_uppercase()).assert_code(0);
    assert_eq!(keys.run(&["show", "node", "--address-only"], "").text(), format!("{address}\n"));
}

#[test]
fn every_file_is_for_its_owner_alone_and_holds_no_words() {
    let keys = Keys::new();
    // Words that stand in these files for nothing else, as "check" and "index" would.
    let words = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    keys.run(&["restore", "--light", "--password-file", "pw"], words).assert_code(0);
    let ran = keys.run(&["rotate", "--network", NETWORK, "--roles", "exit", "--password-file", "pw"], "");
    ran.assert_code(0);
    let mut names: Vec<_> =
        fs::read_dir(keys.path(".")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let endings: Vec<_> = names.iter().map(|path| path.extension().unwrap().to_str().unwrap()).collect();
    assert_eq!(endings, ["backup", "delegation", "json", "nodekey"]);
    assert_eq!(mode(&keys.path(".")), 0o700);
    for path in names {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        for secret in words.split(' ').filter(|word| word.len() > 4).chain([PASSWORD]) {
            assert!(!text.contains(secret), "{secret} stands in {}", path.display());
        }
    }
}

#[test]
fn known_words_give_the_address_that_other_wallets_show() {
    let keys = Keys::new();
    for (name, index, address) in
        [("first", "0", JUNK_ADDRESS), ("tenth", "9", "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720")]
    {
        let words = ["restore", name, "--light", "--password-file", "pw", "--index", index];
        assert_eq!(keys.json(&words, JUNK)["address"], *address);
    }
    keys.run(&["verify-backup", "tenth"], JUNK).assert_code(0);
    keys.0.write_private("phrase", "and more");
    let words = ["restore", "more", "--light", "--password-file", "pw", "--passphrase-file", "phrase"];
    assert_ne!(keys.json(&words, JUNK)["address"], *JUNK_ADDRESS);
    keys.run(&["verify-backup", "more", "--passphrase-file", "phrase"], JUNK).assert_code(0);
    keys.refused(&["verify-backup", "more"], JUNK, 2, "K010: no terminal to ask for the passphrase");
}

#[test]
fn a_person_without_a_terminal_gets_the_words_with_a_clear_statement() {
    let keys = Keys::new();
    let ran =
        keys.run(&["new", "--words", "24", "--light", "--password-file", "pw", "--out", "my/a.json"], "");
    ran.assert_code(0);
    let text = ran.text();
    assert!(text.contains("shown this once") && text.contains("Whoever has them has the wallet"), "{text}");
    let words: Vec<&str> = text.split_whitespace().skip_while(|word| *word != "1.").collect();
    let words: Vec<&str> = words.chunks(2).take(24).map(|pair| pair[1]).collect();
    let address = text.lines().find(|line| line.starts_with("0x")).unwrap();
    keys.run(&["verify-backup", "my/a.json"], &words.join("\n")).assert_code(0);
    assert_eq!(keys.run(&["show", "./my/a.json", "--address-only"], "").text().trim(), address);
}

#[test]
fn a_wrong_word_is_named_and_other_words_are_refused() {
    let keys = Keys::new();
    keys.new_wallet("node");
    let restore = ["restore", "x", "--light", "--password-file", "pw"];
    for (words, message) in [
        (JUNK.replace("junk", "jnuk"), "K002: word 12 \"jnuk\" is not a BIP-39 word; did you mean \"junk\"?"),
        (JUNK.replace(" junk", ""), "K003: there are 11 words; it must be 12 or 24"),
        (JUNK.replace("junk", "test"), "K003: the checksum is wrong"),
    ] {
        keys.refused(&restore, &words, 1, message);
        keys.refused(&["verify-backup"], &words, 1, message);
    }
    assert!(!keys.path("x.json").exists());
    let message = format!("K012: these are words of another wallet, {JUNK_ADDRESS}");
    keys.refused(&["verify-backup"], JUNK, 1, &message);
    assert!(keys.json(&["show", "node"], "")["wallets"][0]["backup_proven"].is_null());
}

#[test]
fn a_wrong_password_opens_nothing() {
    let keys = Keys::new();
    keys.new_wallet("node");
    keys.0.write_private("wrong", "correct horse batteries");
    let rotate = ["rotate", "--network", NETWORK, "--roles", "exit", "--password-file"];
    keys.refused(&[&rotate[..], &["wrong"]].concat(), "", 1, "K004: keys/node.json: the password is wrong");
    assert!(!keys.path("node.nodekey").exists() && !keys.path("node.delegation").exists());
    keys.0.write_private("short", "1234567");
    let new = ["new", "b", "--light", "--password-file"];
    keys.refused(&[&new[..], &["short"]].concat(), "", 1, "K011: the password has fewer than 8 characters");
    keys.refused(&new[..3], "", 2, "K010: no terminal to ask for a password");
    keys.refused(&[&new[..3], &["--password", PASSWORD]].concat(), "", 2, "unexpected argument '--password'");
    assert!(!keys.path("b.json").exists());
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_remedy() {
    let keys = Keys::new();
    keys.new_wallet("node");
    let rotate = ["rotate", "--network", NETWORK, "--roles", "exit", "--password-file", "pw"];
    keys.run(&rotate, "").assert_code(0);
    for name in ["node.json", "node.backup", "node.delegation"] {
        fs::set_permissions(keys.path(name), fs::Permissions::from_mode(0o640)).unwrap();
        keys.refused(&["show"], "", 77, &format!("chmod 600 keys/{name}"));
        fs::set_permissions(keys.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(keys.0.join("pw"), fs::Permissions::from_mode(0o604)).unwrap();
    keys.refused(&rotate, "", 77, "K006: pw can be read by others (mode 604)");
    keys.run(&["show"], "").assert_code(0);
}

#[test]
fn nothing_is_written_over() {
    let keys = Keys::new();
    keys.new_wallet("node");
    let before = keys.text("node.json");
    keys.refused(&["new", "--light", "--password-file", "pw"], "", 1, "K007: keys/node.json exists");
    keys.refused(&["restore", "--light", "--password-file", "pw"], JUNK, 1, "K007: keys/node.json exists");
    keys.refused(&["export", "--out", "keys/node.backup"], "", 1, "K007: keys/node.backup exists");
    assert_eq!(keys.text("node.json"), before);
    keys.refused(
        &["rotate", "other", "--network", NETWORK],
        "",
        1,
        "K008: there is no wallet keys/other.json",
    );
    keys.refused(&["show", "../x"], "", 2, "K015: `../x` is not the name of a wallet");
}

#[test]
fn what_is_exported_is_the_encrypted_key_and_never_words() {
    let keys = Keys::new();
    keys.new_wallet("node");
    assert_eq!(keys.run(&["export"], "").text(), keys.text("node.json"));
    keys.run(&["export", "--out", "copy.json"], "").assert_code(0);
    assert_eq!(mode(&keys.0.join("copy.json")), 0o600);
    assert_eq!(fs::read_to_string(keys.0.join("copy.json")).unwrap(), keys.text("node.json"));
    let message =
        "the words cannot be had from keys/node.json: they make the key, the key does not make them";
    keys.refused(&["export", "--words"], "", 1, message);
}

#[test]
fn restoring_can_be_held_to_an_address() {
    let keys = Keys::new();
    let restore = ["restore", "--light", "--password-file", "pw", "--address"];
    let to = |address| [&restore[..], &[address]].concat();
    let mistyped = "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let message = format!("K005: {mistyped}: the checksum of the address is wrong: digit 1 should be `f`");
    keys.refused(&to(mistyped), JUNK, 2, &message);
    let message = format!("K012: these are words of another wallet, {JUNK_ADDRESS}");
    keys.refused(&to("0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"), JUNK, 1, &message);
    assert!(!keys.path("node.json").exists());
    keys.run(&to(JUNK_ADDRESS), JUNK).assert_code(0);
}

/// Reads a keystore with other people's scrypt, AES and Keccak, and finds the address with a curve of its own.
const READER: &str = include_str!("key/reader.py");

#[test]
fn an_independent_reader_opens_the_keystore() {
    let keys = Keys::new();
    keys.run(&["restore", "standard", "--password-file", "pw"], JUNK).assert_code(0);
    keys.run(&["restore", "light", "--light", "--password-file", "pw"], JUNK).assert_code(0);
    let secret = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let address = JUNK_ADDRESS.to_lowercase();
    for (name, cost) in [("standard", "262144 8 1"), ("light", "4096 8 6")] {
        let file = keys.path(&format!("{name}.json"));
        let ran = python(READER, &[file.to_str().unwrap(), keys.0.join("pw").to_str().unwrap()]);
        assert_eq!(ran.text(), format!("{cost} {secret} {address}\n"), "{ran}");
    }
}
