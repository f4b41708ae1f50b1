//! A client that sends bytes and reads frames.

use crate::frames::{ACK, END_HEADERS, GOAWAY, SETTINGS, frame, settings};
use crate::origin::Answers;
use shoalway_http::h1::ServerConfig;
use shoalway_http::h2::{Form, ServerH2};
use shoalway_net::admission::Admitted;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn is(&self, kind: u8, stream: u32) -> bool {
        self.kind == kind && self.stream == stream
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The error code of a GOAWAY or RST_STREAM.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status of an answer. The server's first field is always the status, indexed or literal.
    pub(crate) fn status(&self) -> u16 {
        assert!(self.has(END_HEADERS));
        match self.payload[..] {
            [0x88, ..] => 200,
            [0x89, ..] => 204,
            [0x8b, ..] => 304,
            [0x8c, ..] => 400,
            [0x8d, ..] => 404,
            [0x8e, ..] => 500,
            [0x48, 3, ref digits @ ..] => {
                digits[..3].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
            }
            [0x48, length @ 0x81..=0x83, ref coded @ ..] => digits(&coded[..usize::from(length & 0x7f)]),
            _ => panic!("no status at the front of {:x?}", self.payload),
        }
    }
}

/// Three digits in Huffman's code, RFC 7541 appendix B: 0 to 2 have five bits, the others six.
fn digits(coded: &[u8]) -> u16 {
    let mut bits =
        coded.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (32 - 8 * coded.len());
    let mut number = 0;
    for _ in 0..3 {
        let (digit, length) = match bits >> 27 {
            short @ 0..=2 => (short, 5),
            _ => ((bits >> 26) - 0b01_1001 + 3, 6),
        };
        number = number * 10 + u16::try_from(digit).unwrap();
        bits <<= length;
    }
    number
}

pub(crate) struct Peer {
    stream: DuplexStream,
    /// The server has ended the connection.
    pub(crate) closed: bool,
}

impl Peer {
    /// A connection on which nothing was sent.
    pub(crate) fn new(shard: &Rc<Shard>) -> Self {
        let (ours, theirs) = duplex(1 << 18);
        let own = Rc::clone(shard);
        let make = Box::new(move || -> Box<dyn shoalway_http::service::Service> {
            Box::new(Answers(Rc::clone(&own)))
        });
        let config = Rc::new(ServerConfig::default());
        let stream = Stream::other(ours);
        let admitted = Admitted::uncounted();
        shard.tasks().spawn(ServerH2::new(Rc::clone(shard), config, stream, Form::Origin, make, admitted));
        Self { stream: theirs, closed: false }
    }

    /// A connection on which both sides have agreed.
    pub(crate) async fn greeted(shard: &Rc<Shard>) -> Self {
        let mut peer = Self::new(shard);
        peer.send(PREFACE).await;
        peer.send(&settings(&[])).await;
        let first = peer.next().await.unwrap();
        assert!(first.is(SETTINGS, 0) && !first.has(ACK), "the server begins with its SETTINGS");
        peer.send(&frame(SETTINGS, ACK, 0, &[])).await;
        peer.until(|frame| frame.is(SETTINGS, 0) && frame.has(ACK)).await;
        peer
    }

    /// Sends bytes; what a server that has gone does not take is lost.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        drop(soon(self.stream.write_all(bytes)).await);
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        if soon(self.stream.read_exact(&mut head)).await.is_err() {
            self.closed = true;
            return None;
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        soon(self.stream.read_exact(&mut payload)).await.unwrap();
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload })
    }

    /// Frames up to the first that fits, which is the last of them. Without that one when the connection ended before.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            let found = fits(&frame);
            frames.push(frame);
            if found {
                break;
            }
        }
        frames
    }

    /// Frames that come within a second.
    pub(crate) async fn within_a_second(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_secs(1), self.next()).await {
            frames.push(frame);
        }
        frames
    }
}

/// Waits, but not for ever; time is paused, so that it costs nothing.
async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(500), work).await.expect("nothing happens any more")
}
