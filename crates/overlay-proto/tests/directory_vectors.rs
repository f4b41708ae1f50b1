//! The second reader of the vectors of sections 2 and 3 notices a wrong one of each kind.
//!
//! It is docs/protocol/vectors/check_directory.py; that it agrees with what is published, `second_reader.rs` tests.
//! `.ci/setup` installs the Python that runs it; where it is missing the test fails and says so.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
