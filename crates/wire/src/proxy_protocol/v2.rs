//! Version 2: the binary form, PROXY protocol section 2.2.
//!
//! A LOCAL header must be accepted whatever stands in it, and a header with unspecified addresses may be: their
//! additions are told when all are well formed and ignored otherwise; a checksum among well-formed ones must match
//! there, too. A family without a transport, or a transport without a family, is refused, as the text allows.

use super::crc32c::crc32c;
use super::tlv::{self, Tlv, Tlvs};
use super::{EncodeError, Endpoints, Error, Header, Transport, UnixAddress, Version};
use std::net::{SocketAddrV4, SocketAddrV6};

/// What every header begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Family and transport.
#[derive(Clone, Copy)]
enum Form {
    Unspecified,
    Inet(Transport),
    Inet6(Transport),
    Unix(Transport),
}

impl Form {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x00 => Some(Self::Unspecified),
            0x11 => Some(Self::Inet(Transport::Stream)),
            0x12 => Some(Self::Inet(Transport::Datagram)),
            0x21 => Some(Self::Inet6(Transport::Stream)),
            0x22 => Some(Self::Inet6(Transport::Datagram)),
            0x31 => Some(Self::Unix(Transport::Stream)),
            0x32 => Some(Self::Unix(Transport::Datagram)),
            _ => None,
        }
    }

    const fn code(self) -> u8 {
        let (family, transport) = match self {
            Self::Unspecified => return 0x00,
            Self::Inet(transport) => (0x10, transport),
            Self::Inet6(transport) => (0x20, transport),
            Self::Unix(transport) => (0x30, transport),
        };
        match transport {
            Transport::Stream => family | 1,
            Transport::Datagram => family | 2,
        }
    }

    /// How many bytes the addresses take.
    const fn width(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Inet(_) => 12,
            Self::Inet6(_) => 36,
            Self::Unix(_) => 2 * UnixAddress::WIDTH,
        }
    }
}

/// Reads a header whose [`SIGNATURE`] has been seen. Each byte is judged when it is there.
pub(super) fn decode(bytes: &[u8], limit: usize) -> Result<Option<(Header<'_>, usize)>, Error> {
    let Some([command, rest @ ..]) = bytes.get(SIGNATURE.len()..) else { return Ok(None) };
    let proxied = match *command {
        LOCAL => false,
        PROXY => true,
        other if other >> 4 == 2 => return Err(Error::Command(other & 0x0f)),
        other => return Err(Error::Version(other >> 4)),
    };
    let [family, rest @ ..] = rest else { return Ok(None) };
    let form = match Form::from_code(*family) {
        None if proxied => return Err(Error::Family(*family)),
        form => form.unwrap_or(Form::Unspecified),
    };
    let [high, low, rest @ ..] = rest else { return Ok(None) };
    let announced = usize::from(u16::from_be_bytes([*high, *low]));
    if announced > limit {
        return Err(Error::TooLong { announced, limit });
    }
    if proxied && announced < form.width() {
        return Err(Error::TooShort);
    }
    let Some(block) = rest.get(..announced) else { return Ok(None) };

    let (addresses, additions) = block.split_at_checked(form.width()).unwrap_or((block, &[]));
    let endpoints =
        if proxied { endpoints(form, addresses).ok_or(Error::TooShort)? } else { Endpoints::Local };
    let (tlvs, checksum) = match (Tlvs::read(additions), endpoints) {
        (Err(_), Endpoints::Local | Endpoints::Unknown) => (Tlvs::default(), None),
        (read, _) => read?,
    };
    let length = FIXED + announced;
    let header = bytes.get(..length).unwrap_or_default();
    if let Some(at) = checksum {
        verify(header, length - additions.len() + at)?;
    }
    Ok(Some((Header { version: Version::V2, endpoints, tlvs }, length)))
}

/// `None` when `addresses` is not as long as the form says.
fn endpoints(form: Form, addresses: &[u8]) -> Option<Endpoints<'_>> {
    let (client, server) = match form {
        Form::Unspecified => return Some(Endpoints::Unknown),
        Form::Unix(transport) => {
            let (source, destination) = addresses.split_at_checked(UnixAddress::WIDTH)?;
            let (source, destination) = (UnixAddress::new(source)?, UnixAddress::new(destination)?);
            return Some(Endpoints::Unix { transport, source, destination });
        }
        Form::Inet(_) | Form::Inet6(_) => {
            let (_, &[a, b, c, d]) = addresses.split_last_chunk()?;
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
    };
    match form {
        Form::Inet(transport) => {
            let (&from, rest) = addresses.split_first_chunk::<4>()?;
            let (&to, _) = rest.split_first_chunk::<4>()?;
            let source = SocketAddrV4::new(from.into(), client);
            Some(Endpoints::Inet { transport, source, destination: SocketAddrV4::new(to.into(), server) })
        }
        Form::Inet6(transport) => {
            let (&from, rest) = addresses.split_first_chunk::<16>()?;
            let (&to, _) = rest.split_first_chunk::<16>()?;
            let source = SocketAddrV6::new(from.into(), client, 0, 0);
            let destination = SocketAddrV6::new(to.into(), server, 0, 0);
            Some(Endpoints::Inet6 { transport, source, destination })
        }
        Form::Unspecified | Form::Unix(_) => None,
    }
}

/// Section 2.2.3: the checksum is over the whole header, its own four bytes being zero.
fn verify(header: &[u8], at: usize) -> Result<(), Error> {
    let (before, rest) = header.split_at_checked(at).ok_or(Error::Checksum)?;
    let (&sent, after) = rest.split_first_chunk::<4>().ok_or(Error::Checksum)?;
    let right = crc32c(&[before, &[0; 4], after]) == u32::from_be_bytes(sent);
    if right { Ok(()) } else { Err(Error::Checksum) }
}

/// Whether a header carries a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// None.
    Without,
    /// CRC32C, as the last addition.
    Crc32c,
}

/// Appends a header to `out`. What is written, [`super::decode_within`] reads when its limit is large enough.
///
/// # Errors
/// [`EncodeError`]; `out` is then as it was.
pub fn encode_v2(
    endpoints: &Endpoints<'_>,
    tlvs: &[Tlv<'_>],
    checksum: Checksum,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut block = Vec::with_capacity(64);
    let (command, form) = put_addresses(endpoints, &mut block);
    let addresses = block.len();
    for addition in tlvs {
        let (kind, value) = addition.parts();
        if kind == tlv::CRC32C {
            return Err(EncodeError::Checksum);
        }
        put(kind, value, &mut block)?;
    }
    Tlvs::read(block.get(addresses..).unwrap_or_default()).map_err(EncodeError::Tlv)?;
    if checksum == Checksum::Crc32c {
        put(tlv::CRC32C, &[0; 4], &mut block)?;
    }
    let length = u16::try_from(block.len()).ok().ok_or(EncodeError::TooLong)?;

    let [high, low] = length.to_be_bytes();
    let fixed = [SIGNATURE, &[command, form.code(), high, low]].concat();
    if checksum == Checksum::Crc32c {
        let sum = crc32c(&[&fixed, &block]);
        block.truncate(block.len() - 4);
        block.extend_from_slice(&sum.to_be_bytes());
    }
    out.extend_from_slice(&fixed);
    out.extend_from_slice(&block);
    Ok(())
}

fn put(kind: u8, value: &[u8], block: &mut Vec<u8>) -> Result<(), EncodeError> {
    let length = u16::try_from(value.len()).ok().ok_or(EncodeError::TooLong)?;
    block.push(kind);
    block.extend_from_slice(&length.to_be_bytes());
    block.extend_from_slice(value);
    Ok(())
}

fn put_addresses(endpoints: &Endpoints<'_>, block: &mut Vec<u8>) -> (u8, Form) {
    match endpoints {
        Endpoints::Local => (LOCAL, Form::Unspecified),
        Endpoints::Unknown => (PROXY, Form::Unspecified),
        Endpoints::Inet { transport, source, destination } => {
            block.extend_from_slice(&source.ip().octets());
            block.extend_from_slice(&destination.ip().octets());
            block.extend_from_slice(&source.port().to_be_bytes());
            block.extend_from_slice(&destination.port().to_be_bytes());
            (PROXY, Form::Inet(*transport))
        }
        Endpoints::Inet6 { transport, source, destination } => {
            block.extend_from_slice(&source.ip().octets());
            block.extend_from_slice(&destination.ip().octets());
            block.extend_from_slice(&source.port().to_be_bytes());
            block.extend_from_slice(&destination.port().to_be_bytes());
            (PROXY, Form::Inet6(*transport))
        }
        Endpoints::Unix { transport, source, destination } => {
            for name in [source, destination] {
                let end = block.len() + UnixAddress::WIDTH;
                block.extend_from_slice(name.as_bytes());
                block.resize(end, 0);
            }
            (PROXY, Form::Unix(*transport))
        }
    }
}
