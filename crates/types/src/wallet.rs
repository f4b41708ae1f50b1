//! The address of a wallet: 20 bytes, written as EIP-55 says.
//!
//! The case of the letters is a checksum over the digits; an address in one case has none and is accepted, a wrong
//! case is refused and the digit named. Not here: keys (`wallet`), which addresses are nodes (`overlay-proto`).

use sha3::{Digest, Keccak256};
use std::fmt;
use std::str::FromStr;

/// The address of a wallet. `Debug` prints it shortened, since it names somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not begin with `0x`.
    #[error("an address begins with 0x")]
    Prefix,
    /// It has not 40 digits.
    #[error("an address has 40 digits after 0x, not {0}")]
    Length(usize),
    /// A character is no hexadecimal digit.
    #[error("`{character}`, digit {digit} of the address, is not a hexadecimal digit")]
    Digit {
        /// Which digit, from 1.
        digit: usize,
        /// What stands there.
        character: char,
    },
    /// A letter has the wrong case: there is a typing error somewhere (EIP-55).
    #[error(
        "the checksum of the address is wrong: digit {digit} should be `{expected}`; a digit was mistyped"
    )]
    Checksum {
        /// Which digit, from 1.
        digit: usize,
        /// What the checksum asks for, if all other digits are right.
        expected: char,
    },
}

impl Address {
    /// The digits in the case that EIP-55 gives them, without `0x`.
    fn digits(&self) -> [char; 40] {
        let mut digits = ['0'; 40];
        let mut lower = [0u8; 40];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        for (octet, digit) in lower.iter_mut().zip(digits) {
            *octet = u8::try_from(digit).unwrap_or_default();
        }
        let hash = Keccak256::digest(lower);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                if nibble >= 8 {
                    *digit = digit.to_ascii_uppercase();
                }
            }
        }
        digits
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.digits().iter().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(f, "0x{first:02x}{second:02x}...")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix("0x").ok_or(AddressError::Prefix)?;
        let count = digits.chars().count();
        if count != 40 {
            return Err(AddressError::Length(count));
        }
        let mut bytes = [0; 20];
        for (index, character) in digits.chars().enumerate() {
            let value = character
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(AddressError::Digit { digit: index + 1, character })?;
            if let Some(byte) = bytes.get_mut(index / 2) {
                *byte = *byte << 4 | value;
            }
        }
        let address = Self(bytes);
        let one_case = !digits.chars().any(|c| c.is_ascii_uppercase())
            || !digits.chars().any(|c| c.is_ascii_lowercase());
        if !one_case {
            let expected = address.digits();
            let wrong = digits.chars().zip(expected).position(|(found, expected)| found != expected);
            if let Some(index) = wrong {
                let expected = expected.get(index).copied().unwrap_or('0');
                return Err(AddressError::Checksum { digit: index + 1, expected });
            }
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_eip_55_are_printed_as_they_were_read() {
        for text in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_address_is_told_apart_by_what_is_wrong() {
        let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        for (text, error) in [
            ("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", AddressError::Prefix),
            ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", AddressError::Length(39)),
            ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", AddressError::Digit { digit: 40, character: 'g' }),
            (
                "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                AddressError::Checksum { digit: 3, expected: 'A' },
            ),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        let lower: Address = right.to_lowercase().parse().unwrap();
        assert_eq!(lower.to_string(), right, "one case carries no checksum");
        assert_eq!(format!("{lower:?}"), "0x5aae...", "a debug print does not name the wallet");
    }
}
