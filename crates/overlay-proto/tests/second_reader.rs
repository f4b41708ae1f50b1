//! The published vectors are read by a second implementation too, in Python (ovl1 section 15): every case is computed
//! again there, and a file in which one digit was changed is refused.

#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn vectors() -> PathBuf {
    workspace().join("docs/protocol/vectors")
}

fn check(folder: &Path) -> Output {
    let python = workspace().join("target/testvenv/bin/python");
    assert!(python.exists(), "{} is missing: run .ci/setup", python.display());
    Command::new(python).args(["-E", "-B"]).arg(vectors().join("check.py")).arg(folder).output().unwrap()
}

/// The file with the first hex digit behind `field` changed.
fn with_a_changed_digit(text: &str, field: &str) -> String {
    let field = format!("\"{field}\": \"");
    let at = text.find(&field).unwrap() + field.len() + 1;
    let digit = if text[at..].starts_with('0') { "1" } else { "0" };
    format!("{}{digit}{}", &text[..at], &text[at + 1..])
}

#[test]
fn every_published_case_is_what_the_second_reader_computes() {
    let output = check(&vectors());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.lines().count(), 14, "{out}");
}

#[test]
fn the_second_reader_finds_one_changed_digit_in_any_file() {
    let fields = [
        ("accept", "accept"),
        ("create", "inner"),
        ("create", "encapsulation_randomness"),
        ("created", "created"),
        ("created", "sx"),
        ("delegation", "digest"),
        ("layer", "layered"),
        ("opener", "gate_key"),
        ("opener", "enc_randomness"),
        ("records", "record"),
        ("records", "secret"),
        ("resume", "resume_mac"),
        ("spread", "unit"),
        ("spread", "pinned"),
        ("spread", "secret"),
    ];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-changed-digit");
    for (kind, field) in fields {
        std::fs::create_dir_all(&folder).unwrap();
        let text = std::fs::read_to_string(vectors().join(format!("{kind}.json"))).unwrap();
        let file = folder.join(format!("{kind}.json"));
        std::fs::write(&file, with_a_changed_digit(&text, field)).unwrap();
        let output = check(&folder);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && err.contains(&format!("{kind}.json, case 0")), "{field}: {err}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
