//! The signatures of a network file: one a line, `INDEX:HEX`, in order (ovl1 section 3.1).
//!
//! The index is that of a key of the same version; `pINDEX` is a key of the version before that is not in this one.
//! Not here: whether they are right.

use super::{KEYS_MOST, NetworkError};
use std::fmt;

/// Whose signature a line is. In the file the own ones come first, each kind ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signer {
    /// The key of this index in the same version.
    Own(usize),
    /// The key of this index in the version before.
    Former(usize),
}

/// One line.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SignatureLine {
    pub(super) signer: Signer,
    pub(super) signature: [u8; 64],
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(index) => write!(f, "{index}"),
            Self::Former(index) => write!(f, "p{index}"),
        }
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.signer, to_hex(&self.signature))
    }
}

impl fmt::Debug for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureLine({})", self.signer)
    }
}

/// All lines, each with its end, in order and none twice.
pub(super) fn parse_lines(text: &str) -> Result<Vec<SignatureLine>, NetworkError> {
    let mut lines: Vec<SignatureLine> = Vec::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let wrong = NetworkError::SignatureLine { line: at + 1 };
        let Some(line) = line.strip_suffix('\n').and_then(parse_line) else { return Err(wrong) };
        if lines.last().is_some_and(|last| last.signer >= line.signer) {
            return Err(wrong);
        }
        lines.push(line);
    }
    Ok(lines)
}

fn parse_line(line: &str) -> Option<SignatureLine> {
    let (name, signature) = line.split_once(':')?;
    let signer = match name.strip_prefix('p') {
        Some(index) => Signer::Former(parse_index(index)?),
        None => Signer::Own(parse_index(name)?),
    };
    Some(SignatureLine { signer, signature: parse_hex(signature)? })
}

/// 0 to 31, in its one spelling.
fn parse_index(text: &str) -> Option<usize> {
    let index: usize = text.parse().ok()?;
    (index < KEYS_MOST && index.to_string() == text).then_some(index)
}

/// Exactly so many bytes, in digits of lower case.
pub(super) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Bytes in digits of lower case.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|n| char::from_digit(n.into(), 16))
        .collect()
}
