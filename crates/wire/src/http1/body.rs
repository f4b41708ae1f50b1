//! Reads a body piece by piece without keeping any of it: RFC 9112 sections 6 and 7.
//!
//! ```text
//! Fixed ─────────────────────────────────────────────┐
//! Size ─> (Extension ─> SizeEnd) ─> Chunk ─> ChunkEnd │
//!  ^  └──────── size 0 ─> Trailers ───────────┼──────> Ended
//!  └──────────────────────────────────────────┘       │
//! UntilClose ──────── the peer closes ────────────────┘
//! ```
//! A relay that keeps the framing copies `Data`, `Frame` and (through [`super::trailers`]) `Trailers`, and drops
//! `Skip`; one that wants the content takes `Data` alone. Extensions are dropped, as RFC 9112 section 7.1.1 allows:
//! they are for one hop, and the length of two readers' patience with them differs.

use super::framing::BodyLength;
use super::limits::Limits;
use super::refusal::Refusal;
use super::tokens::{find_from, is_value_byte};
use super::trailers;

/// What the first bytes of the input are. The caller takes that many from the front and asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Nothing can be said yet: read more. The input may hold up to a chunk line or a trailer section that is
    /// not whole, so the buffer must have room for the larger of those two limits.
    NeedBytes,
    /// So many octets of content, at least 1.
    Data(usize),
    /// So many octets of chunk framing, to be copied where the framing is kept.
    Frame(usize),
    /// So many octets of chunk extensions, to be dropped.
    Skip(usize),
    /// The whole trailer section with its empty line, checked: 2 octets when it has no fields.
    Trailers(usize),
    /// The body has ended; the input, if any, is not part of it.
    Done,
}

/// Reads one body.
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    /// Octets at the front of the input that were looked at without a result.
    seen: usize,
    /// Where the line of the trailer section begins that is being looked at.
    line: usize,
    /// Octets of chunk extensions so far.
    extensions: usize,
    /// Octets that the chunks to come may have together.
    most: u64,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many octets are left.
    Fixed(u64),
    UntilClose,
    /// A chunk's size line is at the front.
    Size,
    /// So many octets of a checked extension are at the front, then CRLF and a chunk of `size`.
    Extension {
        octets: usize,
        size: u64,
    },
    /// CRLF is at the front, checked, then a chunk of `size`.
    SizeEnd {
        size: u64,
    },
    /// So many octets of the chunk are left, at least 1.
    Chunk(u64),
    /// CRLF must follow.
    ChunkEnd,
    Trailers,
    Ended,
}

/// All chunk extensions of one body together may have so many octets: a body of them is an attack (CVE-2023-39326 and
/// its like), and the relay would drop them unpaid.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// More hexadecimal digits than this are refused, zeros in front included: 2^64 - 1 has 16.
const MAX_DIGITS: usize = 16;

impl BodyReader {
    /// A reader for a body of this length.
    #[must_use]
    pub fn new(length: BodyLength, limits: &Limits) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Ended,
            BodyLength::Length(octets) => State::Fixed(octets),
            BodyLength::Chunked => State::Size,
            BodyLength::UntilClose => State::UntilClose,
        };
        Self { state, seen: 0, line: 0, extensions: 0, most: u64::MAX, limits: *limits }
    }

    /// The same reader, which refuses a chunk that would make the content longer than `octets`. A length that is
    /// announced is for the caller to compare, before anything is read.
    #[must_use]
    pub const fn at_most(mut self, octets: u64) -> Self {
        self.most = octets;
        self
    }

    /// Says what is at the front of `input`, and counts it as taken.
    ///
    /// # Errors
    /// The body breaks the framing; where it ends is then unknown.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, Refusal> {
        match self.state {
            State::Ended => Ok(Piece::Done),
            State::Size => self.size_line(input),
            State::Extension { octets, size } => {
                self.state = State::SizeEnd { size };
                Ok(Piece::Skip(octets))
            }
            State::SizeEnd { size } => {
                self.begin_chunk(size);
                Ok(Piece::Frame(2))
            }
            State::ChunkEnd => self.chunk_end(input),
            State::Trailers => self.trailers(input),
            State::Fixed(_) | State::Chunk(_) | State::UntilClose => Ok(self.data(input)),
        }
    }

    /// Up to so many octets of content may now pass without being looked at: the rest of the length or of this chunk,
    /// `u64::MAX` when the body ends with the connection. 0: ask [`BodyReader::next`].
    #[must_use]
    pub const fn forward(&self) -> u64 {
        match self.state {
            State::Fixed(left) | State::Chunk(left) => left,
            State::UntilClose => u64::MAX,
            State::Size
            | State::Extension { .. }
            | State::SizeEnd { .. }
            | State::ChunkEnd
            | State::Trailers
            | State::Ended => 0,
        }
    }

    /// Reports octets that passed. `octets` is at most what [`BodyReader::forward`] said; more is cut to that.
    pub fn passed(&mut self, octets: u64) {
        match self.state {
            State::Fixed(left) => {
                let left = left.saturating_sub(octets);
                self.state = if left == 0 { State::Ended } else { State::Fixed(left) };
            }
            State::Chunk(left) => {
                let left = left.saturating_sub(octets);
                self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
            }
            State::UntilClose
            | State::Size
            | State::Extension { .. }
            | State::SizeEnd { .. }
            | State::ChunkEnd
            | State::Trailers
            | State::Ended => {}
        }
    }

    /// Reports that the peer has closed and everything it sent was taken.
    ///
    /// # Errors
    /// [`Refusal::Incomplete`] when the body had not ended.
    pub fn at_eof(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::UntilClose | State::Ended => {
                self.state = State::Ended;
                Ok(())
            }
            State::Fixed(_)
            | State::Size
            | State::Extension { .. }
            | State::SizeEnd { .. }
            | State::Chunk(_)
            | State::ChunkEnd
            | State::Trailers => Err(Refusal::Incomplete),
        }
    }

    /// Whether the whole body was taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Ended
    }

    fn data(&mut self, input: &[u8]) -> Piece {
        let octets = usize::try_from(self.forward()).unwrap_or(usize::MAX).min(input.len());
        if octets == 0 {
            return Piece::NeedBytes;
        }
        self.passed(octets as u64);
        Piece::Data(octets)
    }

    fn begin_chunk(&mut self, size: u64) {
        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
    }

    fn size_line(&mut self, input: &[u8]) -> Result<Piece, Refusal> {
        let window = input.get(..self.limits.chunk_line).unwrap_or(input);
        let feed = find_from(b'\n', window, self.seen);
        if self.seen <= MAX_DIGITS {
            check_size(window)?;
        }
        let Some(feed) = feed else {
            self.seen = window.len();
            let full = window.len() >= self.limits.chunk_line;
            return if full { Err(Refusal::ChunkLineTooLong) } else { Ok(Piece::NeedBytes) };
        };
        self.seen = 0;
        let line = window.get(..feed).unwrap_or_default();
        let Some((b'\r', line)) = line.split_last() else { return Err(Refusal::ChunkLine) };
        let (digits, size) = size_of(line);
        self.most = self.most.checked_sub(size).ok_or(Refusal::ContentTooLarge)?;
        let extension = line.get(digits..).unwrap_or_default();
        if extension.is_empty() {
            self.begin_chunk(size);
            return Ok(Piece::Frame(digits + 2));
        }
        self.check_extension(extension)?;
        self.state = State::Extension { octets: extension.len(), size };
        Ok(Piece::Frame(digits))
    }

    fn check_extension(&mut self, extension: &[u8]) -> Result<(), Refusal> {
        if extension.contains(&b'\r') {
            return Err(Refusal::ChunkLine);
        }
        if !extension.iter().all(|byte| is_value_byte(*byte)) {
            return Err(Refusal::ChunkExtension);
        }
        self.extensions += extension.len();
        if self.extensions > MAX_EXTENSIONS { Err(Refusal::ChunkLineTooLong) } else { Ok(()) }
    }

    fn chunk_end(&mut self, input: &[u8]) -> Result<Piece, Refusal> {
        match input {
            [b'\r', b'\n', ..] => {
                self.state = State::Size;
                Ok(Piece::Frame(2))
            }
            [] | [b'\r'] => Ok(Piece::NeedBytes),
            _ => Err(Refusal::ChunkEnd),
        }
    }

    fn trailers(&mut self, input: &[u8]) -> Result<Piece, Refusal> {
        let window = input.get(..self.limits.trailers).unwrap_or(input);
        while let Some(feed) = find_from(b'\n', window, self.seen) {
            self.seen = feed + 1;
            match window.get(self.line..feed) {
                Some([b'\r']) => return self.end_trailers(window, feed + 1),
                Some([.., b'\r']) => self.line = feed + 1,
                _ => return Err(Refusal::BareLf),
            }
        }
        self.seen = window.len();
        let full = window.len() >= self.limits.trailers;
        if full { Err(Refusal::TrailersTooLarge) } else { Ok(Piece::NeedBytes) }
    }

    fn end_trailers(&mut self, window: &[u8], octets: usize) -> Result<Piece, Refusal> {
        trailers::check(window.get(..octets).unwrap_or_default(), &self.limits)?;
        self.state = State::Ended;
        Ok(Piece::Trailers(octets))
    }
}

/// Refuses what begins no size line, as soon as it is there. CR and LF are left to the check of the whole line.
fn check_size(line: &[u8]) -> Result<(), Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    match (digits, line.get(digits)) {
        (0, None) => Ok(()),
        (1..=MAX_DIGITS, None | Some(b'\r' | b'\n' | b';')) => Ok(()),
        _ => Err(Refusal::ChunkSize),
    }
}

/// The number of digits and the size of a line that [`check_size`] let pass.
fn size_of(line: &[u8]) -> (usize, u64) {
    let mut digits = 0;
    let mut size = 0_u64;
    for digit in line.iter().map_while(|byte| char::from(*byte).to_digit(16)) {
        digits += 1;
        size = size << 4 | u64::from(digit);
    }
    (digits, size)
}
