//! Opens WebSockets and sends a frame on each of them again and again, until told to end: which of them are cut meanwhile?
//!
//! Done are the frames that were answered, failed the WebSockets that ended or fell silent. RFC 6455.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Plan;
use super::tunnel::PATIENCE;
use crate::outcome::Outcome;
use crate::wire::{CLIENT_FRAME, SERVER_FRAME, websocket_reply, websocket_request};

/// Opens `plan.workers` WebSockets, says `ready`, and exchanges frames until standard input closes or time is over.
pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut open = Vec::new();
    for _ in 0..plan.workers {
        open.push(Some(upgrade(plan)?));
    }
    writeln!(io::stdout(), "ready {}", open.len())?;
    io::stdout().flush()?;
    loop {
        for place in &mut open {
            let Some(stream) = place else { continue };
            match exchange(stream) {
                Ok(()) => outcome.done += 1,
                Err(error) => {
                    outcome.fail(format_args!("{error:#}"));
                    *place = None;
                }
            }
        }
        if told_to_end()? || Instant::now() >= plan.until {
            return Ok(outcome);
        }
    }
}

fn upgrade(plan: &Plan) -> anyhow::Result<TcpStream> {
    let mut stream = plan.sources.connect(plan.proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&websocket_request(&plan.host))?;
    let mut answer = Vec::new();
    let mut byte = [0];
    // Byte by byte, so that nothing that follows the head is taken with it.
    loop {
        stream.read_exact(&mut byte).context("upgrade")?;
        answer.extend_from_slice(&byte);
        if let Some(length) = websocket_reply(&answer)? {
            ensure!(length == answer.len(), "bytes after the upgrade");
            return Ok(stream);
        }
    }
}

fn exchange(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(&CLIENT_FRAME).context("frame")?;
    let mut back = [0; SERVER_FRAME.len()];
    stream.read_exact(&mut back).context("frame")?;
    ensure!(back == SERVER_FRAME, "another frame came back");
    Ok(())
}

/// Whether standard input has closed; waits for it a moment, which is the pause between frames.
fn told_to_end() -> anyhow::Result<bool> {
    let pause = Timespec { tv_sec: 0, tv_nsec: i64::try_from(PAUSE.as_nanos())? };
    let stdin = io::stdin();
    Ok(poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&pause))? > 0)
}

/// Between two frames of a WebSocket.
const PAUSE: Duration = Duration::from_millis(50);
