//! The vectors of sections 2 and 3 are read by a second implementation, which computes every outcome again.
//!
//! That one is docs/protocol/vectors/check_directory.py. `.ci/setup` installs the Python that runs it; where it is
//! missing the test fails and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const KINDS: [&str; 6] = ["delegation", "revocation", "descriptor", "network", "snapshot", "invite"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn vectors() -> PathBuf {
    workspace().join("docs/protocol/vectors")
}

fn check(folder: &Path) -> Output {
    let python = workspace().join("target/testvenv/bin/python");
    assert!(python.exists(), "{} is missing: run .ci/setup", python.display());
    let script = vectors().join("check_directory.py");
    Command::new(python).args(["-E", "-B"]).arg(script).arg(folder).output().unwrap()
}

#[test]
fn a_second_implementation_computes_the_same() {
    let output = check(&vectors());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for kind in KINDS {
        let file = fs::read_to_string(vectors().join(format!("{kind}.json"))).unwrap();
        let file: serde_json::Value = serde_json::from_str(&file).unwrap();
        let line = format!("{kind} {}\n", file["cases"].as_array().unwrap().len());
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}

#[test]
fn the_second_implementation_notices_what_is_wrong() {
    for (kind, from, to) in [
        ("delegation", r#""outcome": "expired""#, r#""outcome": "ok""#),
        ("revocation", r#""outcome": "disputed""#, r#""outcome": "ok""#),
        ("descriptor", r#""outcome": "ok""#, r#""outcome": "expired""#),
        ("network", "k = 2", "k = 3"),
        ("snapshot", r#""outcome": "quorum""#, r#""outcome": "ok""#),
        ("invite", r#""outcome": "check""#, r#""outcome": "cut""#),
    ] {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vectors-{kind}"));
        fs::create_dir_all(&folder).unwrap();
        let file = format!("{kind}.json");
        let text = fs::read_to_string(vectors().join(&file)).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is not in {file}");
        fs::write(folder.join(&file), changed).unwrap();
        let output = check(&folder);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("AssertionError"), "{kind}: {said}");
    }
}
