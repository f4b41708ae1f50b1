//! Bytes as hexadecimal digits, for the files of this crate and those beside them.

use zeroize::Zeroizing;

/// The text is not the bytes that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0} bytes in hexadecimal digits")]
pub struct NotHex(pub usize);

/// Two lower-case digits for each byte. The text is erased when dropped, since it may be a secret.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].into_iter().filter_map(|half| char::from_digit(half.into(), 16)));
    }
    text
}

/// Exactly `N` bytes from digits of either case.
///
/// # Errors
/// [`NotHex`] for another length or another character.
pub fn from_hex<const N: usize>(text: &str) -> Result<Zeroizing<[u8; N]>, NotHex> {
    let mut bytes = Zeroizing::new([0; N]);
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(NotHex(N));
    }
    for (pair, byte) in digits.chunks_exact(2).zip(bytes.iter_mut()) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = *byte << 4 | value.ok_or(NotHex(N))?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_they_are_written() {
        assert_eq!(*to_hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(*from_hex::<3>("001FfF").unwrap(), [0, 0x1f, 0xff]);
        for wrong in ["001ff", "001fff0", "001fffff", "00 1ff", "00+1ff", "0x01ff1", "ä01ff"] {
            assert_eq!(from_hex::<3>(wrong).unwrap_err(), NotHex(3), "{wrong}");
        }
    }
}
