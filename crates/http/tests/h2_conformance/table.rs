//! Rows of the battery: steps, and what has to come of them.

use crate::frames::{DATA, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, ping};
use crate::peer::{Frame, Peer};
use shoalway_net::shard::Shard;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) const PROTOCOL: &[u32] = &[PROTOCOL_ERROR];
pub(crate) const SIZE: &[u32] = &[FRAME_SIZE_ERROR];
pub(crate) const CALM: &[u32] = &[ENHANCE_YOUR_CALM];
pub(crate) const FLOW: &[u32] = &[FLOW_CONTROL_ERROR];
pub(crate) const CLOSED: &[u32] = &[STREAM_CLOSED];
/// RFC 9113 section 4.3 names COMPRESSION_ERROR, the `h2` crate says PROTOCOL_ERROR of some faults of HPACK.
pub(crate) const COMPRESSION: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];
/// Section 6.5.2 names FLOW_CONTROL_ERROR for a window too large, the crate says PROTOCOL_ERROR of any setting.
pub(crate) const FLOW_OR_PROTOCOL: &[u32] = &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR];
/// Section 5.1 names STREAM_CLOSED, and PROTOCOL_ERROR for a number that is not new; the crate ends the connection with
/// the second one.
pub(crate) const CLOSED_OR_PROTOCOL: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];

/// One step of a case.
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Reads until the answer on this stream is over.
    Answered(u32),
}

impl From<Vec<u8>> for Step {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Send(bytes)
    }
}

/// What has to come.
#[derive(Clone, Copy)]
pub(crate) enum Expect {
    /// 200 on this stream, to its end.
    Answer(u32),
    /// This status on this stream.
    Status(u32, u16),
    /// GOAWAY with one of the codes, and the end of the connection.
    Connection(&'static [u32]),
    /// RST_STREAM on the stream or GOAWAY, with one of the codes: section 5.4.1 lets an endpoint choose.
    Stream(u32, &'static [u32]),
    /// Nothing but that the connection goes on.
    Alive,
    /// An acknowledged PING with this content.
    Pong([u8; 8]),
    /// One more acknowledgement of SETTINGS.
    SettingsAck,
    /// The first DATA frame of the answer has so many octets.
    FirstData(u32, usize),
}

/// A section, what is done, the steps, and what has to come.
pub(crate) type Row = (&'static str, &'static str, Vec<Step>, Expect);

/// A row.
pub(crate) fn row<const N: usize>(
    section: &'static str,
    what: &'static str,
    steps: [Step; N],
    expect: Expect,
) -> Row {
    (section, what, steps.into_iter().collect(), expect)
}

/// A row whose steps are frames sent at once.
pub(crate) fn sent<const N: usize>(
    section: &'static str,
    what: &'static str,
    frames: [Vec<u8>; N],
    expect: Expect,
) -> Row {
    (section, what, vec![Step::Send(frames.into_iter().flatten().collect())], expect)
}

/// Runs all rows, each on a connection of its own on which both sides have agreed; tells all that fail.
pub(crate) fn run(rows: Vec<Row>) {
    let mut failed = Vec::new();
    for (section, what, steps, expect) in rows {
        let mut said = None;
        Shard::test(async |shard| {
            let mut peer = Peer::greeted(&shard).await;
            said = Some(play(&mut peer, steps, expect).await);
        });
        if let Err(frames) = said.unwrap() {
            failed.push(format!("{section}: {what}: {frames:x?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

async fn play(peer: &mut Peer, steps: Vec<Step>, expect: Expect) -> Result<(), Vec<Frame>> {
    for step in steps {
        match step {
            Step::Send(bytes) => peer.send(&bytes).await,
            Step::Answered(stream) => {
                let ends = |frame: &Frame| {
                    (frame.is(DATA, stream) || frame.is(HEADERS, stream)) && frame.has(END_STREAM)
                };
                drop(peer.until(ends).await);
            }
        }
    }
    let mut frames = match expect {
        Expect::Alive => Vec::new(),
        _ => peer.until(|frame| is_it(expect, frame)).await,
    };
    let found = frames.last().is_some_and(|frame| is_it(expect, frame));
    let good = match expect {
        Expect::Alive => {
            peer.send(&ping(*b"alive? 1")).await;
            let more = peer.until(|frame| frame.is(PING, 0) && frame.payload == b"alive? 1").await;
            let alive = !peer.closed && !frames.iter().chain(&more).any(|frame| frame.kind == GOAWAY);
            frames.extend(more);
            alive
        }
        Expect::Connection(_) => {
            let more = peer.until(|_| false).await;
            frames.extend(more);
            found && peer.closed
        }
        Expect::Answer(stream) => {
            let begins = frames.iter().find(|frame| frame.is(HEADERS, stream));
            found && begins.is_some_and(|frame| frame.status() == 200)
        }
        Expect::FirstData(stream, octets) => {
            let first = frames.iter().find(|frame| frame.is(DATA, stream));
            first.is_some_and(|frame| frame.payload.len() == octets)
        }
        Expect::Status(..) | Expect::Stream(..) | Expect::Pong(_) | Expect::SettingsAck => found,
    };
    if good { Ok(()) } else { Err(frames) }
}

/// Whether a frame is the last one that is waited for.
fn is_it(expect: Expect, frame: &Frame) -> bool {
    match expect {
        Expect::Alive => false,
        Expect::Answer(stream) => {
            (frame.is(DATA, stream) || frame.is(HEADERS, stream)) && frame.has(END_STREAM)
        }
        Expect::Status(stream, status) => frame.is(HEADERS, stream) && frame.status() == status,
        Expect::Connection(codes) => frame.kind == GOAWAY && codes.contains(&frame.code()),
        Expect::Stream(stream, codes) => {
            (frame.is(RST_STREAM, stream) || frame.kind == GOAWAY) && codes.contains(&frame.code())
        }
        Expect::Pong(content) => frame.is(PING, 0) && frame.flags == 1 && frame.payload == content,
        Expect::SettingsAck => frame.is(SETTINGS, 0) && frame.flags == 1,
        Expect::FirstData(stream, _) => frame.is(DATA, stream),
    }
}
