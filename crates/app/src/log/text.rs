//! Pieces of a line: numbers, addresses, and values escaped so that no byte of a client can end or fake a line.
//!
//! Nothing allocates but the line's own buffer. Not here: which pieces make a line.

use shoalway_types::Host;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A number in decimal digits.
pub(super) fn number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        // A digit is below 10.
        *place = b'0' + (n % 10) as u8;
        used += 1;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// A number below 1,000 in exactly three digits.
pub(super) fn three_digits(out: &mut Vec<u8>, n: u64) {
    out.extend([n / 100 % 10, n / 10 % 10, n % 10].map(|digit| b'0' + digit as u8));
}

/// An address without brackets or port.
pub(super) fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            number(out, a.into());
            for part in [b, c, d] {
                out.push(b'.');
                number(out, part.into());
            }
        }
        IpAddr::V6(ip) => display(out, ip),
    }
}

/// An address and its port, IPv6 in brackets.
pub(super) fn socket(out: &mut Vec<u8>, addr: SocketAddr) {
    bracketed(out, addr.ip());
    out.push(b':');
    number(out, addr.port().into());
}

/// A host as it stands in a URL.
pub(super) fn host(out: &mut Vec<u8>, host: &Host) {
    match (host.ip(), host.name()) {
        (Some(ip), _) => bracketed(out, ip),
        (None, name) => percent(out, name.unwrap_or_default().as_bytes()),
    }
}

fn bracketed(out: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(_) => ip(out, addr),
        IpAddr::V6(_) => {
            out.push(b'[');
            ip(out, addr);
            out.push(b']');
        }
    }
}

/// Writing into a Vec has no way to fail.
fn display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").unwrap_or_default();
}

/// The inside of a JSON string (RFC 8259 section 7): control characters as `\u00xx`, what is no UTF-8 as U+FFFD.
pub(super) fn json(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        return out.extend_from_slice(value);
    }
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend([b'\\', c as u8]),
                // All control characters are below U+00A0.
                c if c.is_control() => {
                    out.extend_from_slice(b"\\u00");
                    hex(out, c as u8);
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// What may stand between the quotes of the combined form: quotes, backslashes and all but printable ASCII as `\xhh`.
pub(super) fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => {
                out.extend_from_slice(b"\\x");
                hex(out, *byte);
            }
        }
    }
}

/// A value between spaces: spaces, quotes, backslashes and all but printable ASCII as `%hh`.
pub(super) fn percent(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'"' | b'\\' => escape_percent(out, *byte),
            b'!'..=b'~' => out.push(*byte),
            _ => escape_percent(out, *byte),
        }
    }
}

fn escape_percent(out: &mut Vec<u8>, byte: u8) {
    out.push(b'%');
    hex(out, byte);
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        out.extend(HEX.get(usize::from(nibble)));
    }
}
