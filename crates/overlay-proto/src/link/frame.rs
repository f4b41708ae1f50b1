//! Frames of a link: their types and lengths, and the decoder that finds them in chunks of the stream (section 5).
//!
//! A body that lies in one chunk is handed out as a part of it, without copying. Small bodies are copied, so that a
//! few bytes that wait do not keep a large chunk in memory; so are bodies cut by the end of a chunk. Bodies of PAD
//! are dropped as they come. Not here: what a frame means in its place (`receive.rs`).

use super::terms::{CircId, LinkFault};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// Dropped.
    Pad = 0x00,
    /// The acceptor's proof and terms.
    Accept = 0x01,
    /// Who the dialer of a trunk is.
    NodeAuth = 0x02,
    /// The link will end.
    GoAway = 0x03,
    /// The dialer asks for a sign of life.
    Ping = 0x04,
    /// The sign.
    Pong = 0x05,
    /// Sequenced bytes received.
    Ack = 0x06,
    /// A question for the directory.
    DirGet = 0x07,
    /// A part of the answer.
    DirData = 0x08,
    /// A circuit is wanted.
    Create = 0x10,
    /// It stands.
    Created = 0x11,
    /// One record.
    Data = 0x12,
    /// More bytes may come.
    Credit = 0x13,
    /// The circuit is gone.
    Destroy = 0x14,
}

impl FrameType {
    /// All types.
    pub const ALL: [Self; 14] = [
        Self::Pad,
        Self::Accept,
        Self::NodeAuth,
        Self::GoAway,
        Self::Ping,
        Self::Pong,
        Self::Ack,
        Self::DirGet,
        Self::DirData,
        Self::Create,
        Self::Created,
        Self::Data,
        Self::Credit,
        Self::Destroy,
    ];

    /// The type of this number, if there is one.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0x00 => Some(Self::Pad),
            0x01 => Some(Self::Accept),
            0x02 => Some(Self::NodeAuth),
            0x03 => Some(Self::GoAway),
            0x04 => Some(Self::Ping),
            0x05 => Some(Self::Pong),
            0x06 => Some(Self::Ack),
            0x07 => Some(Self::DirGet),
            0x08 => Some(Self::DirData),
            0x10 => Some(Self::Create),
            0x11 => Some(Self::Created),
            0x12 => Some(Self::Data),
            0x13 => Some(Self::Credit),
            0x14 => Some(Self::Destroy),
            _ => None,
        }
    }

    /// Whether it belongs to a circuit: it is then sequenced on a client link, and its circuit is not zero.
    #[must_use]
    pub const fn of_circuit(self) -> bool {
        match self {
            Self::Create | Self::Created | Self::Data | Self::Credit | Self::Destroy => true,
            Self::Pad
            | Self::Accept
            | Self::NodeAuth
            | Self::GoAway
            | Self::Ping
            | Self::Pong
            | Self::Ack
            | Self::DirGet
            | Self::DirData => false,
        }
    }

    /// Whether a body may have this length.
    #[must_use]
    pub const fn permits(self, length: u16) -> bool {
        let length = length as usize;
        match self {
            Self::Pad => length <= MAX_BODY,
            Self::Accept => length == ACCEPT,
            Self::NodeAuth => length == NODE_AUTH,
            Self::GoAway => length == 3,
            Self::Ping | Self::Pong | Self::Ack => length == 8,
            Self::DirGet => length == 9,
            Self::DirData => length >= 2 && length <= MAX_BODY,
            Self::Create => is_create(length),
            Self::Created => length == CREATED,
            Self::Data => length >= MIN_RECORD && length <= MAX_BODY,
            Self::Credit => length == 4,
            Self::Destroy => length == 1,
        }
    }
}

/// Whether a CREATE may have this length: at an exit, or one or two relays before it.
#[must_use]
pub const fn is_create(length: usize) -> bool {
    length == CREATE_EXIT || length == CREATE_TWO_HOPS || length == CREATE_THREE_HOPS
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: FrameType,
    /// Its circuit: zero exactly when the type belongs to none.
    pub circ: CircId,
    /// Its body, of a length the type permits. Empty for PAD.
    pub body: Bytes,
}

/// Appends the head of a frame. `length` is at most [`MAX_BODY`].
pub fn put_head(out: &mut BytesMut, kind: FrameType, circ: CircId, length: usize) {
    out.put_u8(kind as u8);
    out.put_u32(circ.0);
    out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
}

/// Finds frames in the chunks of a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The part of a head that came in an earlier chunk.
    head: [u8; HEAD],
    head_length: usize,
    /// The head that was read, its body not yet.
    pending: Option<Head>,
    /// Bytes of a PAD that are still to be dropped.
    skip: usize,
    /// Where bodies that are cut are put together.
    joined: BytesMut,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    kind: FrameType,
    circ: CircId,
    length: usize,
}

impl Decoder {
    /// The next whole frame in `chunk`, whose front is taken off; nothing when it holds no end of a frame any more.
    ///
    /// # Errors
    /// A head that cannot be. It is told before the body has come.
    pub fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Frame>, LinkFault> {
        if self.skip > 0 {
            let skipped = self.skip.min(chunk.len());
            chunk.advance(skipped);
            self.skip -= skipped;
            if self.skip > 0 {
                return Ok(None);
            }
        }
        let Some(head) = (match self.pending {
            Some(head) => Some(head),
            None => self.read_head(chunk)?,
        }) else {
            return Ok(None);
        };
        if head.kind == FrameType::Pad {
            self.pending = None;
            let here = head.length.min(chunk.len());
            chunk.advance(here);
            self.skip = head.length - here;
            return Ok(Some(Frame { kind: head.kind, circ: head.circ, body: Bytes::new() }));
        }
        let Some(body) = self.read_body(head.length, chunk) else {
            self.pending = Some(head);
            return Ok(None);
        };
        self.pending = None;
        Ok(Some(Frame { kind: head.kind, circ: head.circ, body }))
    }

    fn read_head(&mut self, chunk: &mut Bytes) -> Result<Option<Head>, LinkFault> {
        if self.head_length == 0
            && let Some(head) = chunk.first_chunk::<HEAD>()
        {
            let head = parse_head(*head)?;
            chunk.advance(HEAD);
            return Ok(Some(head));
        }
        let taken = chunk.split_to(chunk.len().min(HEAD - self.head_length));
        for (place, byte) in self.head.iter_mut().skip(self.head_length).zip(&taken) {
            *place = *byte;
        }
        self.head_length += taken.len();
        if self.head_length < HEAD {
            return Ok(None);
        }
        self.head_length = 0;
        parse_head(self.head).map(Some)
    }

    fn read_body(&mut self, length: usize, chunk: &mut Bytes) -> Option<Bytes> {
        if self.joined.is_empty() && chunk.len() >= length {
            let body = chunk.split_to(length);
            // A record that waits keeps its chunk in memory: at most four times its own size, then.
            return Some(if length < SLICED { Bytes::copy_from_slice(&body) } else { body });
        }
        if self.joined.is_empty() {
            // Small bodies each have an allocation of their own, large ones share.
            if length < SLICED {
                self.joined = BytesMut::with_capacity(length);
            } else if self.joined.capacity() < length {
                self.joined.reserve(JOINED);
            }
        }
        let taken = chunk.split_to(chunk.len().min(length - self.joined.len()));
        self.joined.extend_from_slice(&taken);
        if self.joined.len() < length {
            return None;
        }
        if length < SLICED {
            return Some(std::mem::take(&mut self.joined).freeze());
        }
        Some(self.joined.split().freeze())
    }
}

fn parse_head(head: [u8; HEAD]) -> Result<Head, LinkFault> {
    let [kind, a, b, c, d, high, low] = head;
    let circ = u32::from_be_bytes([a, b, c, d]);
    let length = u16::from_be_bytes([high, low]);
    let kind = FrameType::from_u8(kind).ok_or(LinkFault::Type(kind))?;
    if !kind.permits(length) {
        return Err(LinkFault::Length { kind: kind as u8, length });
    }
    if kind.of_circuit() && circ == 0 {
        return Err(LinkFault::Id("a frame of a circuit without one"));
    }
    if !kind.of_circuit() && circ != 0 {
        return Err(LinkFault::Id("a circuit in a frame of the link"));
    }
    Ok(Head { kind, circ: CircId(circ), length: usize::from(length) })
}

/// Bytes of a head.
pub const HEAD: usize = 7;
/// Longest body.
pub const MAX_BODY: usize = 16_352;
/// Longest piece a sender hands to HTTP/2 as one DATA frame: with its head of nine bytes it fills a TLS record.
pub const MAX_PIECE: usize = 16_375;
/// Body of ACCEPT.
pub const ACCEPT: usize = 50;
/// Body of NODE_AUTH.
pub const NODE_AUTH: usize = 207;
/// Body of CREATED.
pub const CREATED: usize = 1200;
/// CREATE as an exit gets it.
pub const CREATE_EXIT: usize = 2740;
/// CREATE as the entry of a path of two hops gets it.
pub const CREATE_TWO_HOPS: usize = 3912;
/// CREATE as the entry of a path of three hops gets it.
pub const CREATE_THREE_HOPS: usize = 5084;
/// Body of the PAD that makes the first two of the same size on a client link.
pub const CREATE_PAD: usize = 1165;
/// Shortest record: one byte and its tag.
pub const MIN_RECORD: usize = 17;
/// Bodies shorter than this are copied. A chunk of HTTP/2 has at most 16 KiB.
const SLICED: usize = 4096;
/// What is allocated for large bodies that are cut by the end of a chunk.
const JOINED: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(kind: u8, circ: u32, length: u16) -> Bytes {
        let mut out = vec![kind];
        out.extend(circ.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend((0..length).map(|at| at.to_le_bytes()[0]));
        Bytes::from(out)
    }

    fn fault(kind: u8, circ: u32, length: u16) -> Option<LinkFault> {
        // The head alone: a fault is told before the body has come.
        Decoder::default().next(&mut encoded(kind, circ, length).slice(..HEAD)).err()
    }

    #[test]
    fn each_type_has_its_lengths_and_its_place() {
        // Type, lengths that are right, lengths that are not, whether it has a circuit.
        let table: &[(u8, &[u16], &[u16], bool)] = &[
            (0x00, &[0, 1, 1165, 16_352], &[16_353, 65_535], false),
            (0x01, &[50], &[0, 49, 51], false),
            (0x02, &[207], &[206, 208], false),
            (0x03, &[3], &[2, 4], false),
            (0x04, &[8], &[7, 9], false),
            (0x05, &[8], &[7, 9], false),
            (0x06, &[8], &[7, 9], false),
            (0x07, &[9], &[8, 10], false),
            (0x08, &[2, 16_352], &[0, 1, 16_353], false),
            (0x10, &[2740, 3912, 5084], &[0, 2739, 2741, 3911, 3913, 5083, 5085, 6256], true),
            (0x11, &[1200], &[1199, 1201], true),
            (0x12, &[17, 16_352], &[0, 16, 16_353], true),
            (0x13, &[4], &[3, 5], true),
            (0x14, &[1], &[0, 2], true),
        ];
        for (kind, right, wrong, of_circuit) in table {
            let (circ, other) = if *of_circuit { (9, 0) } else { (0, 9) };
            for length in *right {
                let frame = Decoder::default().next(&mut encoded(*kind, circ, *length)).unwrap().unwrap();
                assert_eq!((frame.kind as u8, frame.circ.0), (*kind, circ));
                assert_eq!(frame.body.len(), if *kind == 0 { 0 } else { usize::from(*length) });
                assert!(matches!(fault(*kind, other, *length), Some(LinkFault::Id(_))), "{kind:#x}");
            }
            for length in *wrong {
                let expected = LinkFault::Length { kind: *kind, length: *length };
                assert_eq!(fault(*kind, circ, *length), Some(expected));
            }
        }
        let known: Vec<u8> = table.iter().map(|(kind, ..)| *kind).collect();
        for kind in (0..=255).filter(|kind| !known.contains(kind)) {
            assert_eq!(fault(kind, 0, 0), Some(LinkFault::Type(kind)));
        }
    }

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_cut() {
        let mut stream = Vec::new();
        for (kind, circ, length) in
            [(0x12, 5, 17), (0x00, 0, 40), (0x12, 6, 5000), (0x14, 5, 1), (0x12, 7, 9000), (0x00, 0, 0)]
        {
            stream.extend(encoded(kind, circ, length));
        }
        let stream = Bytes::from(stream);
        let read = |cuts: &[usize]| {
            let (mut decoder, mut frames, mut from) = (Decoder::default(), Vec::new(), 0);
            for to in cuts.iter().copied().chain([stream.len()]) {
                let mut chunk = stream.slice(from..to);
                while let Some(frame) = decoder.next(&mut chunk).unwrap() {
                    frames.push(frame);
                }
                assert!(chunk.is_empty());
                from = to;
            }
            frames
        };
        let whole = read(&[]);
        assert_eq!(whole.len(), 6);
        for cut in 0..stream.len() {
            assert_eq!(read(&[cut]), whole, "cut at {cut}");
        }
        assert_eq!(read(&(1..stream.len()).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn a_large_body_in_one_chunk_is_a_part_of_it_and_a_small_one_is_not() {
        for (length, sliced) in [(16_352_u16, true), (4096, true), (4095, false), (17, false)] {
            let mut chunk = encoded(0x12, 3, length);
            let there = chunk.as_ptr().addr() + HEAD;
            let body = Decoder::default().next(&mut chunk).unwrap().unwrap().body;
            assert_eq!(body.as_ptr().addr() == there, sliced, "{length}");
        }
    }
}
