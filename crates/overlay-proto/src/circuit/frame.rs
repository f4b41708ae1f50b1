//! Frames of a record: `type u8 | stream u32 | len u16 | body` (section 7.2).
//!
//! Whoever reads a record gets its frames one after the other; bodies of DATA are parts of the record. Not here: which
//! frame may come when (`receive.rs`).

use super::terms::{CircuitFault, Destination, ResetCode, StreamId};
use crate::codec::{Malformed, Reader};
use crate::link::terms::Code;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use shoalway_types::{Host, Target};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Fills a record.
    Pad,
    /// A stream is wanted; its opener takes so many bytes.
    Open {
        /// Its id.
        stream: StreamId,
        /// Where to.
        dest: Destination,
        /// Bytes the client takes at first.
        window: u32,
    },
    /// It stands; the exit takes so many bytes.
    Opened {
        /// Its id.
        stream: StreamId,
        /// Bytes the exit takes at first.
        window: u32,
    },
    /// Bytes of a stream, 1 to 16,313.
    Data {
        /// Its id.
        stream: StreamId,
        /// The bytes.
        bytes: Bytes,
    },
    /// No more bytes in this direction.
    Fin(StreamId),
    /// The stream is gone.
    Reset {
        /// Its id.
        stream: StreamId,
        /// Why.
        code: ResetCode,
    },
    /// More bytes of a stream may come, or (with no stream) of the circuit.
    Credit {
        /// Which stream; nothing is the circuit.
        stream: Option<StreamId>,
        /// How many.
        bytes: u32,
    },
    /// The next record has a new key. Always the last frame.
    KeyUp,
    /// A sign of life is wanted.
    Ping([u8; 8]),
    /// The sign.
    Pong([u8; 8]),
    /// The circuit ends.
    Close(Code),
    /// A UDP association is wanted: refused in ovl1's first release.
    UdpOpen(StreamId),
    /// A datagram of one.
    Datagram(StreamId),
}

/// The frames of a record, in order.
#[derive(Debug)]
pub struct Frames {
    rest: Bytes,
}

impl Frames {
    /// The frames of an opened record.
    #[must_use]
    pub const fn new(plain: Bytes) -> Self {
        Self { rest: plain }
    }

    fn read(&mut self) -> Result<Frame, CircuitFault> {
        let Some([kind, a, b, c, d, high, low]) = self.rest.first_chunk::<HEAD>().copied() else {
            return Err(CircuitFault::Malformed("head of a frame"));
        };
        let stream = u32::from_be_bytes([a, b, c, d]);
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.rest.len() - HEAD < length {
            return Err(CircuitFault::Malformed("length of a frame"));
        }
        self.rest.advance(HEAD);
        let body = self.rest.split_to(length);
        let frame = parse(kind, stream, body).map_err(|error| CircuitFault::Malformed(error.0))?;
        if frame == Frame::KeyUp && !self.rest.is_empty() {
            return Err(CircuitFault::Order("frames behind KEYUP"));
        }
        Ok(frame)
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, CircuitFault>;

    /// The next frame, or why the bytes are none. Nothing is read behind a fault.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let frame = self.read();
        if frame.is_err() {
            self.rest.clear();
        }
        Some(frame)
    }
}

fn parse(kind: u8, stream: u32, body: Bytes) -> Result<Frame, Malformed> {
    let of_circuit = matches!(kind, PAD | KEYUP | PING | PONG | CLOSE);
    if kind != CREDIT && of_circuit != (stream == 0) {
        return Err(Malformed("stream of a frame"));
    }
    let id = StreamId(stream);
    if kind == DATA {
        return if body.is_empty() {
            Err(Malformed("DATA"))
        } else {
            Ok(Frame::Data { stream: id, bytes: body })
        };
    }
    let mut reader = Reader::new(&body);
    let frame = match kind {
        PAD => return Ok(Frame::Pad),
        OPEN => Frame::Open { stream: id, dest: destination(&mut reader)?, window: reader.u32("window")? },
        OPENED => Frame::Opened { stream: id, window: reader.u32("window")? },
        FIN => Frame::Fin(id),
        RESET => {
            let code = ResetCode::from_u8(reader.u8("reset code")?).ok_or(Malformed("reset code"))?;
            Frame::Reset { stream: id, code }
        }
        CREDIT => Frame::Credit { stream: (stream != 0).then_some(id), bytes: reader.u32("CREDIT")? },
        KEYUP => Frame::KeyUp,
        PING => Frame::Ping(reader.array("PING")?),
        PONG => Frame::Pong(reader.array("PONG")?),
        CLOSE => Frame::Close(Code::from_u8(reader.u8("code")?).ok_or(Malformed("code"))?),
        UDP_OPEN => {
            reader.u8("family")?;
            Frame::UdpOpen(id)
        }
        DATAGRAM => {
            datagram(&mut reader)?;
            Frame::Datagram(id)
        }
        _ => return Err(Malformed("type of a frame")),
    };
    reader.finish()?;
    Ok(frame)
}

fn destination(reader: &mut Reader<'_>) -> Result<Destination, Malformed> {
    let atyp = reader.u8("atyp")?;
    let host = match atyp {
        IPV4 => Some(Host::from(IpAddr::from(Ipv4Addr::from(reader.array::<4>("IPv4 address")?)))),
        IPV6 => Some(Host::from(IpAddr::from(Ipv6Addr::from(reader.array::<16>("IPv6 address")?)))),
        NAME => Some(name(reader.v8(MAX_NAME, "name")?)?),
        DIRECTORY => None,
        _ => return Err(Malformed("atyp")),
    };
    let port = reader.u16("port")?;
    match host {
        Some(host) => Ok(Destination::Target(Target::new(host, port))),
        None if port == 0 => Ok(Destination::Directory),
        None => Err(Malformed("port")),
    }
}

/// A name as it may stand in OPEN: letters, digits and hyphens, lower-case, no final dot, not an address.
fn name(bytes: &[u8]) -> Result<Host, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_not_text| Malformed("name"))?;
    match Host::parse(text) {
        Ok(host) if host.name() == Some(text) && is_ldh(text) => Ok(host),
        Ok(_) | Err(_) => Err(Malformed("name")),
    }
}

fn is_ldh(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.')
}

fn datagram(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    if let Destination::Directory = destination(reader)? {
        return Err(Malformed("atyp"));
    }
    let payload = reader.rest().len();
    if payload > MAX_DATAGRAM {
        return Err(Malformed("payload"));
    }
    reader.take(payload, "payload").map(|_payload| ())
}

/// Whether a destination can be sent: a name may hold an underscore elsewhere, here it may not.
#[must_use]
pub fn can_be_sent(dest: &Destination) -> bool {
    match dest {
        Destination::Target(target) => {
            target.host.name().is_none_or(|text| is_ldh(text) && name(text.as_bytes()).is_ok())
        }
        Destination::Directory => true,
    }
}

/// Appends the head of a frame.
pub(super) fn put_head(out: &mut BytesMut, kind: u8, stream: u32, length: usize) {
    out.put_u8(kind);
    out.put_u32(stream);
    out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
}

/// Appends a frame with this body.
pub(super) fn put(out: &mut BytesMut, kind: u8, stream: u32, body: &[u8]) {
    put_head(out, kind, stream, body.len());
    out.extend_from_slice(body);
}

/// Appends OPEN.
pub(super) fn put_open(out: &mut BytesMut, stream: StreamId, dest: &Destination, window: u32) {
    let mut body = Vec::with_capacity(PADDED);
    match dest {
        Destination::Target(target) => {
            match &target.host {
                Host::Ip(IpAddr::V4(ip)) => {
                    body.push(IPV4);
                    body.extend(ip.octets());
                }
                Host::Ip(IpAddr::V6(ip)) => {
                    body.push(IPV6);
                    body.extend(ip.octets());
                }
                Host::Name(name) => {
                    body.push(NAME);
                    crate::codec::Put::put_v8(&mut body, name.as_str().as_bytes());
                }
            }
            body.extend(target.port.to_be_bytes());
        }
        Destination::Directory => body.extend([DIRECTORY, 0, 0]),
    }
    body.extend(window.to_be_bytes());
    put(out, OPEN, stream.0, &body);
}

/// Fills a record with PAD to a length. What is left is nothing or at least a head.
pub(super) fn pad_to(out: &mut BytesMut, length: usize) {
    if let Some(body) = length.checked_sub(out.len() + HEAD) {
        put_head(out, PAD, 0, body);
        out.put_bytes(0, body);
    }
}

/// Bytes of a head.
pub const HEAD: usize = 7;
/// Plaintext of every record that holds OPEN or answers one.
pub const PADDED: usize = 384;
/// Longest body of DATA.
pub const MAX_DATA: usize = 16_313;
/// Longest payload of a datagram.
const MAX_DATAGRAM: usize = 1400;
const MAX_NAME: usize = 253;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const DIRECTORY: u8 = 5;

pub(super) const PAD: u8 = 0x00;
pub(super) const OPEN: u8 = 0x01;
pub(super) const OPENED: u8 = 0x02;
pub(super) const DATA: u8 = 0x03;
pub(super) const FIN: u8 = 0x04;
pub(super) const RESET: u8 = 0x05;
pub(super) const CREDIT: u8 = 0x06;
pub(super) const KEYUP: u8 = 0x07;
pub(super) const PING: u8 = 0x08;
pub(super) const PONG: u8 = 0x09;
pub(super) const CLOSE: u8 = 0x0a;
pub(super) const UDP_OPEN: u8 = 0x0b;
pub(super) const DATAGRAM: u8 = 0x0c;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Frame>, CircuitFault> {
        Frames::new(Bytes::copy_from_slice(bytes)).collect()
    }

    fn one(kind: u8, stream: u32, body: &[u8]) -> Result<Frame, CircuitFault> {
        let mut out = BytesMut::new();
        put(&mut out, kind, stream, body);
        read(&out).map(|mut frames| frames.remove(0))
    }

    fn target(text: &str) -> Destination {
        Destination::Target(Target::parse(text, None).unwrap())
    }

    #[test]
    fn each_frame_is_read_as_it_is_written() {
        let id = StreamId(9);
        let table: &[(u8, u32, &[u8], Frame)] = &[
            (PAD, 0, &[0, 0], Frame::Pad),
            (PAD, 0, &[], Frame::Pad),
            (OPENED, 9, &[0, 4, 0, 0], Frame::Opened { stream: id, window: 262_144 }),
            (DATA, 9, b"x", Frame::Data { stream: id, bytes: Bytes::from_static(b"x") }),
            (FIN, 9, &[], Frame::Fin(id)),
            (RESET, 9, &[10], Frame::Reset { stream: id, code: ResetCode::DestinationReset }),
            (CREDIT, 9, &[0, 0, 0, 1], Frame::Credit { stream: Some(id), bytes: 1 }),
            (CREDIT, 0, &[0, 0, 0, 0], Frame::Credit { stream: None, bytes: 0 }),
            (KEYUP, 0, &[], Frame::KeyUp),
            (PING, 0, &[1, 2, 3, 4, 5, 6, 7, 8], Frame::Ping([1, 2, 3, 4, 5, 6, 7, 8])),
            (PONG, 0, &[8; 8], Frame::Pong([8; 8])),
            (CLOSE, 0, &[11], Frame::Close(Code::Replay)),
            (UDP_OPEN, 9, &[4], Frame::UdpOpen(id)),
            (DATAGRAM, 9, &[1, 127, 0, 0, 1, 0, 53, 7], Frame::Datagram(id)),
        ];
        for (kind, stream, body, frame) in table {
            assert_eq!(one(*kind, *stream, body).as_ref(), Ok(frame));
            // With a stream where none belongs, or none where one does.
            if *kind != CREDIT {
                let other = if *stream == 0 { 9 } else { 0 };
                assert_eq!(
                    one(*kind, other, body),
                    Err(CircuitFault::Malformed("stream of a frame")),
                    "{kind}"
                );
            }
            // One byte more, one byte less.
            if ![PAD, DATA, DATAGRAM].contains(kind) {
                let longer = [body, &[0][..]].concat();
                assert!(one(*kind, *stream, &longer).is_err(), "{kind} longer");
                if let Some((_, shorter)) = body.split_last() {
                    assert!(one(*kind, *stream, shorter).is_err(), "{kind} shorter");
                }
            }
        }
    }

    #[test]
    fn every_destination_is_read_as_it_is_written_and_fits_the_padded_record() {
        let longest =
            format!("{}:65535", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."));
        for dest in [
            target("192.0.2.1:80"),
            target("[2001:db8::1]:443"),
            target("example.org:443"),
            target("xn--bcher-kva.example:1"),
            target(&longest),
            Destination::Directory,
        ] {
            assert!(can_be_sent(&dest));
            let mut out = BytesMut::new();
            put_open(&mut out, StreamId(5), &dest, 77);
            pad_to(&mut out, PADDED);
            assert_eq!(out.len(), PADDED);
            let frames = read(&out).unwrap();
            assert_eq!(frames, [Frame::Open { stream: StreamId(5), dest, window: 77 }, Frame::Pad]);
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        let name = |text: &str| {
            let mut body = vec![3, u8::try_from(text.len()).unwrap()];
            body.extend(text.as_bytes());
            body.extend([1, 187, 0, 0, 0, 1]);
            body
        };
        for text in [
            "",
            "Example.org",
            "example.org.",
            "a_b.org",
            "-a.org",
            "a b",
            "ex..org",
            "1.2.3.4",
            "0x7f",
            "2130706433",
            "[::1]",
            "bücher",
        ] {
            assert!(one(OPEN, 1, &name(text)).is_err(), "{text}");
        }
        assert!(one(OPEN, 1, &name("example.org")).is_ok());
        assert!(one(OPEN, 1, &[5, 0, 1, 0, 0, 0, 1]).is_err(), "a directory has no port");
        assert!(one(OPEN, 1, &[2, 0, 0, 0, 0, 0, 1]).is_err(), "no such atyp");
        assert!(!can_be_sent(&target("a_b.example:1")));
        let mut long = vec![4, 5, 6, 7, 8, 0, 53];
        long[0] = 1;
        long.extend([0; 1400]);
        assert!(one(DATAGRAM, 1, &long).is_ok());
        long.push(0);
        assert!(one(DATAGRAM, 1, &long).is_err());
    }

    #[test]
    fn a_record_that_is_cut_or_goes_on_behind_keyup_is_refused() {
        let mut out = BytesMut::new();
        put(&mut out, PING, 0, &[1; 8]);
        put(&mut out, KEYUP, 0, &[]);
        assert_eq!(read(&out).unwrap().len(), 2);
        for cut in 1..out.len() {
            assert_eq!(read(&out[..cut]).is_ok(), cut == HEAD + 8, "cut at {cut}");
        }
        put(&mut out, PAD, 0, &[]);
        assert_eq!(read(&out), Err(CircuitFault::Order("frames behind KEYUP")));
        for kind in 0x0d..=0xff {
            assert!(one(kind, 0, &[]).is_err() && one(kind, 1, &[]).is_err());
        }
    }
}
