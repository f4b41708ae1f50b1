//! The published vectors (ovl1 section 15): what tests compute stands in docs/protocol/vectors, byte for byte.
//!
//! A file is `{"kind": .., "about": .., "cases": [..]}` with bytes in hex and all inputs. `SHOALWAY_WRITE_VECTORS=1`
//! writes the files; else a test fails where they differ. A second implementation reads them: check.py beside them.
//! Not here: which vectors there are (tests of each module).

use rand_core::{TryCryptoRng, TryRng, utils};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::Path;

/// The file `name`.json holds exactly these cases.
#[track_caller]
pub(crate) fn assert_published(name: &str, about: &str, cases: Vec<Value>) {
    let file = json!({ "kind": name, "about": about, "cases": Value::Array(cases) });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/vectors");
    let path = folder.join(format!("{name}.json"));
    let text = format!("{}\n", serde_json::to_string_pretty(&file).unwrap());
    if std::env::var_os("SHOALWAY_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == text, "{name}.json differs from what is computed; ovl1 is frozen by its vectors");
}

/// Bytes in hex.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hex.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// 32 bytes that a word stands for: its SHA-256.
pub(crate) fn named(word: &str) -> [u8; 32] {
    crate::kdf::hash(&[b"vector ", word.as_bytes()])
}

/// A generator that gives the stated bytes, and fails the test when asked for more.
pub(crate) struct Stated(pub(crate) std::collections::VecDeque<u8>);

impl Stated {
    pub(crate) fn new(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self(bytes.into_iter().collect())
    }
}

impl TryRng for Stated {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        assert!(
            out.len() <= self.0.len(),
            "{} random bytes are stated, {} asked for",
            self.0.len(),
            out.len()
        );
        let taken = self.0.drain(..out.len());
        out.iter_mut().zip(taken).for_each(|(to, from)| *to = from);
        Ok(())
    }
}

impl TryCryptoRng for Stated {}
