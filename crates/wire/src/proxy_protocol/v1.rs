//! Version 1: one line of text, PROXY protocol section 2.1.
//!
//! One concession to practice: an IPv6 address may end in dotted IPv4 (`::ffff:192.0.2.1`), since `inet_ntop`, by
//! which most senders write, does that to mapped addresses. It is never written here.

use super::tlv::Tlvs;
use super::{Endpoints, Error, Header, Transport, Version};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;

/// Longest line with its CR LF, section 2.1.
pub const MAX_LINE: usize = 107;

/// What every line begins with.
pub(super) const PREFIX: &[u8] = b"PROXY ";

/// Reads a line whose [`PREFIX`] has been seen.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Header<'_>, usize)>, Error> {
    let Some(end) = line_end(bytes)? else { return Ok(None) };
    let line = bytes.get(PREFIX.len()..end).unwrap_or_default();
    let endpoints = endpoints(line)?;
    Ok(Some((Header { version: Version::V1, endpoints, tlvs: Tlvs::default() }, end + 2)))
}

/// Where the CR LF stands. The first CR or LF decides, so that no two readers see different lines.
fn line_end(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let found = window.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    match found.map(|at| (at, window.get(at..).unwrap_or_default())) {
        Some((at, [b'\r', b'\n', ..])) => Ok(Some(at)),
        Some((_, [b'\r'])) | None if window.len() < MAX_LINE => Ok(None),
        Some((_, [b'\r'])) | None => Err(Error::LineTooLong),
        Some(_) => Err(Error::BareLineEnd),
    }
}

fn endpoints(line: &[u8]) -> Result<Endpoints<'static>, Error> {
    let mut words = line.split(|byte| *byte == b' ');
    let transport = Transport::Stream;
    match words.next() {
        // "The receiver must ignore anything presented before the CRLF."
        Some(b"UNKNOWN") => Ok(Endpoints::Unknown),
        Some(b"TCP4") => {
            let (source, destination) = pair::<Ipv4Addr>(words)?;
            let [source, destination] = [source, destination].map(|(ip, port)| SocketAddrV4::new(ip, port));
            Ok(Endpoints::Inet { transport, source, destination })
        }
        Some(b"TCP6") => {
            let (source, destination) = pair::<Ipv6Addr>(words)?;
            let [source, destination] =
                [source, destination].map(|(ip, port)| SocketAddrV6::new(ip, port, 0, 0));
            Ok(Endpoints::Inet6 { transport, source, destination })
        }
        Some(_) | None => Err(Error::Protocol),
    }
}

type End<Ip> = (Ip, u16);

fn pair<'a, Ip: FromStr>(mut words: impl Iterator<Item = &'a [u8]>) -> Result<(End<Ip>, End<Ip>), Error> {
    let mut word = || words.next().ok_or(Error::Fields);
    let (from, to, from_port, to_port) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Error::Fields);
    }
    let (from, to) = (address(from)?, address(to)?);
    Ok(((from, port(from_port)?), (to, port(to_port)?)))
}

/// The standard library refuses leading zeros in IPv4, and scopes in IPv6.
fn address<Ip: FromStr>(word: &[u8]) -> Result<Ip, Error> {
    str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or(Error::Address)
}

fn port(word: &[u8]) -> Result<u16, Error> {
    // The standard library would take a plus sign and leading zeros.
    if !word.iter().all(u8::is_ascii_digit) || (word.len() > 1 && word.starts_with(b"0")) {
        return Err(Error::Port);
    }
    str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or(Error::Port)
}

/// Appends the line for `endpoints` to `out`.
///
/// Version 1 has a form for TCP only: everything else becomes `UNKNOWN`, which some receivers refuse. A health check
/// therefore better tells the real connection's addresses ([`Endpoints::between`]) than [`Endpoints::Local`].
pub fn encode_v1(endpoints: &Endpoints<'_>, out: &mut Vec<u8>) {
    let line = match endpoints {
        Endpoints::Inet { transport: Transport::Stream, source, destination } => format!(
            "PROXY TCP4 {} {} {} {}\r\n",
            source.ip(),
            destination.ip(),
            source.port(),
            destination.port()
        ),
        Endpoints::Inet6 { transport: Transport::Stream, source, destination } => format!(
            "PROXY TCP6 {} {} {} {}\r\n",
            hexadecimal(*source.ip()),
            hexadecimal(*destination.ip()),
            source.port(),
            destination.port()
        ),
        Endpoints::Local
        | Endpoints::Unknown
        | Endpoints::Inet { transport: Transport::Datagram, .. }
        | Endpoints::Inet6 { transport: Transport::Datagram, .. }
        | Endpoints::Unix { .. } => "PROXY UNKNOWN\r\n".to_owned(),
    };
    out.extend_from_slice(line.as_bytes());
}

/// The address in groups of hexadecimal digits only, as section 2.1 has it.
fn hexadecimal(ip: Ipv6Addr) -> String {
    match (ip.to_ipv4_mapped(), ip.segments()) {
        (Some(_), [.., high, low]) => format!("::ffff:{high:x}:{low:x}"),
        (None, _) => ip.to_string(),
    }
}
