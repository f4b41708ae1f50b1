//! Opens many tunnels or connections, uses each once, holds them until told to end.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Instant;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::tunnel::{PATIENCE, open};
use super::{FAILURES, Plan};
use crate::origin;
use crate::outcome::Outcome;
use crate::wire::{PAYLOAD, get_reply};

/// Opens `plan.count` of what `open` opens, says `ready`, and keeps them until standard input closes or time is over.
pub(super) fn run(plan: &Plan, open: Open) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut held = Vec::new();
    for index in 0..plan.count {
        if Instant::now() >= plan.until || outcome.failed >= FAILURES {
            break;
        }
        match open(plan, index) {
            Ok(stream) => {
                outcome.done += 1;
                held.push(stream);
            }
            Err(error) => outcome.fail(format_args!("number {index}: {error:#}")),
        }
    }
    writeln!(io::stdout(), "ready {}", held.len())?;
    io::stdout().flush()?;
    let left = plan.until.saturating_duration_since(Instant::now());
    let limit = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: 0 };
    let stdin = io::stdin();
    poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&limit))?;
    Ok(outcome)
}

/// Opens the connection of this number and uses it once.
type Open = fn(&Plan, u64) -> anyhow::Result<TcpStream>;

/// A kept-alive connection that has carried one GET.
///
/// # Errors
/// When it is refused or the answer is wrong.
pub(super) fn page(plan: &Plan, _: u64) -> anyhow::Result<TcpStream> {
    let mut stream = plan.sources.connect(plan.proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (request, body) = plan.request();
    stream.write_all(&request)?;
    let (mut answer, mut scratch) = (Vec::new(), [0; 4096]);
    while get_reply(&answer, body)?.is_none() {
        let count = stream.read(&mut scratch).context("answer")?;
        ensure!(count > 0, "closed before the answer was complete");
        answer.extend_from_slice(scratch.get(..count).unwrap_or_default());
    }
    Ok(stream)
}

/// A tunnel that has carried one exchange.
///
/// # Errors
/// When it is refused or other bytes come back.
pub(super) fn tunnel(plan: &Plan, index: u64) -> anyhow::Result<TcpStream> {
    let mut stream = plan.sources.connect(plan.proxy)?;
    open(&mut stream, plan.via(index), SocketAddrV4::new(origin::address(index), plan.port))?;
    stream.write_all(&PAYLOAD)?;
    let mut back = [0; PAYLOAD.len()];
    stream.read_exact(&mut back).context("exchange")?;
    ensure!(back == PAYLOAD, "other bytes came back");
    Ok(stream)
}
