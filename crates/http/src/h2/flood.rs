//! Watches the frames that a peer sends by their headers alone: floods, and lengths that no frame of its type has.
//!
//! The `h2` crate bounds what a peer can make it keep; it does not bound how often a peer makes it work for nothing.
//! Each kind of cheap frame has an allowance that grows with time, and for those that belong to traffic with the
//! traffic. No I/O and no clock: bytes and times come in. Bounded by the crate and not here: CONTINUATION frames of one
//! header block, small DATA frames, streams reset before they were accepted.
//! One fault of content is seen here too, since the crate drops it without a word: a pseudo-field at the front of a
//! trailer section (section 8.1). Behind a reference to the dynamic table it stays unseen, and dropped.

use h2::Reason;
use std::time::Duration;

/// Octets of a frame's header, RFC 9113 section 4.1.
const HEADER: usize = 9;

/// How often a peer may send one kind of frame.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: u32,
    most: u32,
    per_second: u32,
    /// When the allowance grew last.
    grown: Duration,
}

impl Allowance {
    const fn new(most: u32, per_second: u32) -> Self {
        Self { left: most, most, per_second, grown: Duration::ZERO }
    }

    /// Takes one; false when there is none left.
    fn take(&mut self, now: Duration) -> bool {
        if self.left == 0 {
            let seconds = now.saturating_sub(self.grown).as_secs();
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            if seconds > 0 {
                self.grown = now;
                self.earn(seconds.saturating_mul(self.per_second));
            }
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }

    fn earn(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }
}

/// Reads the headers of frames as they pass.
#[derive(Debug)]
pub(super) struct Scanner {
    header: [u8; HEADER],
    /// Octets of the header that are here.
    have: usize,
    /// Octets of the frame's payload that are still to come.
    payload: usize,
    first: bool,
    /// A second frame has begun.
    later: bool,
    resets: Allowance,
    pings: Allowance,
    settings: Allowance,
    empty: Allowance,
    idle_talk: Allowance,
    /// The highest stream that a client has opened: its HEADERS up to that are trailers. A server's may be anything.
    opened: Option<u32>,
    /// A header block has begun and not ended.
    in_head: bool,
    /// Header blocks that have ended.
    heads: u64,
    trailers: Option<Front>,
    /// Octets sent to the peer that have not yet earned it anything.
    sent: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            payload: 0,
            first: true,
            later: false,
            resets: Allowance::new(256, 32),
            pings: Allowance::new(128, 16),
            settings: Allowance::new(32, 1),
            empty: Allowance::new(64, 16),
            idle_talk: Allowance::new(1_024, 128),
            opened: None,
            in_head: false,
            heads: 0,
            trailers: None,
            sent: 0,
        }
    }
}

/// The front of a trailer section.
#[derive(Debug, Clone, Copy)]
struct Front {
    /// Octets of padding length and priority before it.
    before: usize,
    octets: [u8; 3],
    have: usize,
}

impl Front {
    const fn new(flags: u8) -> Self {
        let padding = if flags & PADDED != 0 { 1 } else { 0 };
        let priority = if flags & WITH_PRIORITY != 0 { 5 } else { 0 };
        Self { before: padding + priority, octets: [0; 3], have: 0 }
    }

    /// Takes the next octets of the frame. True: a pseudo-field stands there.
    fn is_pseudo(&mut self, octets: &[u8]) -> bool {
        let skipped = self.before.min(octets.len());
        self.before -= skipped;
        for octet in octets.iter().skip(skipped).take(3 - self.have) {
            if let Some(to) = self.octets.get_mut(self.have) {
                *to = *octet;
                self.have += 1;
            }
        }
        match self.octets.get(..self.have).unwrap_or_default() {
            // RFC 7541 section 6 and appendix A: indices 1 to 14 are the pseudo-fields.
            [0x81..=0x8e | 0x41..=0x4e | 0x01..=0x0e | 0x11..=0x1e, ..] => true,
            // A name of its own that begins with a colon, as it is or by Huffman's code.
            [0x40 | 0x00 | 0x10, 1..=0x7f, b':'] | [0x40 | 0x00 | 0x10, 0x81..=0xff, 0xb8 | 0xb9] => true,
            _ => false,
        }
    }
}

impl Scanner {
    /// For frames that a client sends; the default is for those of a server.
    pub(super) fn of_client() -> Self {
        Self { opened: Some(0), ..Self::default() }
    }

    /// Looks at the next bytes and says how many of them may go on, and why not more.
    pub(super) fn look(&mut self, mut bytes: &[u8], now: Duration) -> (usize, Option<Reason>) {
        let whole = bytes.len();
        while !bytes.is_empty() {
            let (payload, rest) = bytes.split_at_checked(self.payload.min(bytes.len())).unwrap_or_default();
            if self.trailers.as_mut().is_some_and(|front| front.is_pseudo(payload)) {
                // The frame is not whole without these, and means nothing to whoever gets its beginning.
                return (whole - bytes.len(), Some(Reason::PROTOCOL_ERROR));
            }
            self.payload -= payload.len();
            if self.payload == 0 {
                self.trailers = None;
                self.end_frame();
            }
            bytes = rest;
            let begins = whole - bytes.len();
            let have = self.have;
            let some = (HEADER - have).min(bytes.len());
            if some == 0 {
                break;
            }
            let (part, rest) = bytes.split_at_checked(some).unwrap_or_default();
            if let Some(to) = self.header.get_mut(have..have + some) {
                to.copy_from_slice(part);
            }
            self.have += some;
            bytes = rest;
            if self.have == HEADER {
                self.have = 0;
                if let Err(reason) = self.judge(now) {
                    // What came of the header in an earlier piece has gone on: alone it means nothing.
                    return (begins, Some(reason));
                }
                if self.payload == 0 {
                    self.end_frame();
                }
            }
        }
        (whole, None)
    }

    /// How many header blocks have come before the one that is not whole, if there is one.
    pub(super) const fn unfinished_head(&self) -> Option<u64> {
        if self.in_head { Some(self.heads) } else { None }
    }

    /// Whether the first frame was seen whole.
    pub(super) const fn has_first(&self) -> bool {
        !self.first && (self.payload == 0 || self.later)
    }

    /// So many octets were sent to the peer: who is served may ask how long the way is.
    pub(super) fn sent(&mut self, octets: usize) {
        self.sent += octets;
        self.pings.earn(u32::try_from(self.sent / 1_024).unwrap_or(u32::MAX));
        self.sent %= 1_024;
    }

    /// The payload of a frame has come whole.
    const fn end_frame(&mut self) {
        let [_, _, _, kind, flags, ..] = self.header;
        if self.in_head
            && self.have == 0
            && matches!(kind, HEADERS | CONTINUATION)
            && flags & END_HEADERS != 0
        {
            self.in_head = false;
            self.heads += 1;
        }
    }

    /// Judges the frame whose header is complete.
    fn judge(&mut self, now: Duration) -> Result<(), Reason> {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.payload = length;
        let first = std::mem::take(&mut self.first);
        self.later = !first;
        if first && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if !has_its_length(kind, flags, length) {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        self.in_head |= kind == HEADERS;
        if let Some(opened) = &mut self.opened
            && kind == HEADERS
        {
            self.trailers = (stream <= *opened).then_some(Front::new(flags));
            *opened = stream.max(*opened);
        }
        let good = match kind {
            DATA if length == 0 && flags & END_STREAM == 0 => self.empty.take(now),
            HEADERS | DATA => {
                self.pings.earn(1);
                self.idle_talk.earn(2);
                true
            }
            RST_STREAM => self.resets.take(now),
            PING if flags & ACK == 0 => self.pings.take(now),
            SETTINGS if flags & ACK == 0 => self.settings.take(now),
            WINDOW_UPDATE | PUSH_PROMISE | GOAWAY | CONTINUATION => true,
            // PRIORITY, acknowledgements, and types that nobody here knows.
            _ => self.idle_talk.take(now),
        };
        if good { Ok(()) } else { Err(Reason::ENHANCE_YOUR_CALM) }
    }
}

/// Whether a frame of a type with a fixed length has it: RFC 9113 sections 6.3 to 6.9.
const fn has_its_length(kind: u8, flags: u8, length: usize) -> bool {
    match kind {
        PRIORITY => length == 5,
        RST_STREAM | WINDOW_UPDATE => length == 4,
        SETTINGS if flags & ACK != 0 => length == 0,
        SETTINGS => length.is_multiple_of(6),
        PING => length == 8,
        GOAWAY => length >= 8,
        _ => true,
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;

#[cfg(test)]
mod tests;
