//! Downloads through a tunnel, one after the other, one tunnel each; the length is checked, and the first bytes.

use std::io::{Read, Write};
use std::net::SocketAddrV4;
use std::time::Instant;

use anyhow::{Context, ensure};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};

use super::tunnel::open;
use super::{FAILURES, Plan};
use crate::origin;
use crate::outcome::Outcome;
use crate::wire::FILL;

pub(super) fn run(plan: &Plan) -> Outcome {
    let mut outcome = Outcome::default();
    let mut room = Vec::with_capacity(1 << 20);
    for index in 0..plan.count {
        if Instant::now() >= plan.until || outcome.failed >= FAILURES {
            break;
        }
        let target = SocketAddrV4::new(origin::address(index), plan.port);
        match download(plan, target, &mut room) {
            Ok(()) => {
                outcome.done += 1;
                outcome.bytes += plan.bytes;
            }
            Err(error) => outcome.fail(format_args!("{error:#}")),
        }
    }
    outcome
}

fn download(plan: &Plan, target: SocketAddrV4, room: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut stream = plan.sources.connect(plan.proxy)?;
    open(&mut stream, plan.via(0), target)?;
    stream.write_all(&plan.bytes.to_be_bytes())?;
    let mut first = vec![0; usize::try_from(plan.bytes.min(64 << 10)).unwrap_or(0)];
    stream.read_exact(&mut first).context("first bytes")?;
    ensure!(first.iter().all(|byte| *byte == FILL), "other bytes than the origin sent");
    let mut received = first.len() as u64;
    while received < plan.bytes {
        ensure!(Instant::now() < plan.until, "out of time after {received} of {} bytes", plan.bytes);
        room.clear();
        // TRUNC discards in the kernel: the copy a client would make is not what is measured, and it
        // would take the core from the origin.
        let (_, count) = recv(&stream, spare_capacity(room), RecvFlags::TRUNC).context("download")?;
        ensure!(count > 0, "closed after {received} of {} bytes", plan.bytes);
        received += count as u64;
    }
    ensure!(received == plan.bytes, "{received} bytes instead of {}", plan.bytes);
    ensure!(stream.read(&mut [0])? == 0, "bytes after the end");
    Ok(())
}
