//! JA4, the fingerprint of a TLS client by FoxIO ("JA4: TLS Client Fingerprinting", technical details), for TLS over
//! TCP. GREASE values count nowhere. Not here: the forms in original order, and the other members of the family, which
//! are under another licence.

use super::ClientHello;
use super::extensions::{ALPN, SERVER_NAME};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The digest of nothing is written so, that it be seen.
const NOTHING: &str = "000000000000";

pub(super) fn fingerprint(hello: &ClientHello) -> String {
    format!("{}_{}_{}", first(hello), digest(&ciphers(hello)), digest(&extensions(hello)))
}

pub(super) fn raw(hello: &ClientHello) -> String {
    format!("{}_{}_{}", first(hello), ciphers(hello), extensions(hello))
}

/// The part for people: version, whether there is a name, how many ciphers and extensions, first protocol.
fn first(hello: &ClientHello) -> String {
    let named = if hello.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
    let ciphers = without_grease(&hello.cipher_suites).count().min(99);
    let extensions = without_grease(&hello.extensions).count().min(99);
    let [start, end] = protocol(hello.alpn.first().map_or(&[], |name| name));
    format!("t{}{named}{ciphers:02}{extensions:02}{start}{end}", version(hello))
}

fn version(hello: &ClientHello) -> &'static str {
    let best = without_grease(&hello.supported_versions).max();
    // An extension with GREASE values only is there, and offers nothing known.
    let offered = if hello.supported_versions.is_empty() { Some(hello.legacy_version) } else { best };
    match offered {
        Some(0x0304) => "13",
        Some(0x0303) => "12",
        Some(0x0302) => "11",
        Some(0x0301) => "10",
        Some(0x0300) => "s3",
        Some(0x0002) => "s2",
        Some(_) | None => "00",
    }
}

/// First and last character of a name; of its hexadecimal form, when one of them is no ASCII letter or digit.
fn protocol(name: &[u8]) -> [char; 2] {
    let (Some(&start), Some(&end)) = (name.first(), name.last()) else { return ['0', '0'] };
    if start.is_ascii_alphanumeric() && end.is_ascii_alphanumeric() {
        return [char::from(start), char::from(end)];
    }
    [start >> 4, end & 0x0f].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
}

fn ciphers(hello: &ClientHello) -> String {
    let mut ciphers: Vec<u16> = without_grease(&hello.cipher_suites).collect();
    ciphers.sort_unstable();
    list(ciphers)
}

/// Extensions, sorted, less the two that the first part tells of; then the signature schemes as sent, if any.
fn extensions(hello: &ClientHello) -> String {
    let mut types: Vec<u16> =
        without_grease(&hello.extensions).filter(|kind| ![SERVER_NAME, ALPN].contains(kind)).collect();
    types.sort_unstable();
    let schemes = list(without_grease(&hello.signature_algorithms));
    if schemes.is_empty() { list(types) } else { list(types) + "_" + &schemes }
}

fn list(values: impl IntoIterator<Item = u16>) -> String {
    values.into_iter().map(|value| format!("{value:04x}")).collect::<Vec<_>>().join(",")
}

/// The first 12 hexadecimal digits of the SHA-256 of `text`.
fn digest(text: &str) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    let mut short = String::with_capacity(NOTHING.len());
    for byte in Sha256::digest(text).iter().take(NOTHING.len() / 2) {
        // Writing to a string cannot fail.
        write!(short, "{byte:02x}").unwrap_or_default();
    }
    short
}

fn without_grease(values: &[u16]) -> impl Iterator<Item = u16> {
    values.iter().copied().filter(|value| !is_grease(*value))
}

/// The values of RFC 8701 section 2: 0x0a0a, 0x1a1a, to 0xfafa.
const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_is_told_by_two_characters() {
        // The examples of the text.
        for (name, told) in [
            (&b""[..], "00"),
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"\x30\xab", "3b"),
            (b"\x30\x31\xab\xcd", "3d"),
            (b"\x30\xab\xcd\x31", "01"),
            (b"-a", "21"),
        ] {
            assert_eq!(protocol(name).iter().collect::<String>(), told, "{name:?}");
        }
    }

    #[test]
    fn sixteen_values_are_grease() {
        let grease: Vec<u16> = (0..=u16::MAX).filter(|value| is_grease(*value)).collect();
        assert_eq!(grease.len(), 16);
        assert_eq!((grease[0], grease[1], grease[15]), (0x0a0a, 0x1a1a, 0xfafa));
    }

    #[test]
    fn digests_are_those_of_the_text() {
        for (listed, short) in [
            ("002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9", "8daaf6152771"),
            ("0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01", "6d807ffa2a79"),
            ("", "000000000000"),
        ] {
            assert_eq!(digest(listed), short);
        }
    }
}
