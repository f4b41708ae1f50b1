//! Opens many tunnels, uses each once, holds them until told to end.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Instant;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::tunnel::open;
use super::{FAILURES, Plan};
use crate::origin;
use crate::outcome::Outcome;
use crate::wire::PAYLOAD;

/// Opens `plan.count` tunnels, says `ready`, and keeps them until standard input closes or time is over.
pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut held = Vec::new();
    for index in 0..plan.count {
        if Instant::now() >= plan.until || outcome.failed >= FAILURES {
            break;
        }
        match tunnel(plan, index) {
            Ok(stream) => {
                outcome.done += 1;
                held.push(stream);
            }
            Err(error) => outcome.fail(format_args!("tunnel {index}: {error:#}")),
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

fn tunnel(plan: &Plan, index: u64) -> anyhow::Result<TcpStream> {
    let mut stream = plan.sources.connect(plan.proxy)?;
    open(&mut stream, plan.via, SocketAddrV4::new(origin::address(index), plan.port))?;
    stream.write_all(&PAYLOAD)?;
    let mut back = [0; PAYLOAD.len()];
    stream.read_exact(&mut back).context("exchange")?;
    ensure!(back == PAYLOAD, "other bytes came back");
    Ok(stream)
}
