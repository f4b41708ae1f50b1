//! Plain GETs over kept-alive connections, one request under way on each.
//!
//! A proxy that closes after its answer is connected to again, as a client would; the answer counts.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::Instant;

use anyhow::{Context, bail};
use memchr::memmem;
use rustix::event::epoll::EventFlags;

use super::tunnel::{PATIENCE, Via};
use super::{FAILURES, GRACE, Plan, Reuse};
use crate::origin;
use crate::outcome::Outcome;
use crate::reactor::Reactor;
use crate::wire::{TargetForm, get_reply, get_request};

struct Worker {
    stream: TcpStream,
    /// What has come of an answer that is not complete; usually empty, answers come whole.
    partial: Vec<u8>,
}

/// What became of an event.
enum Progress {
    Waiting,
    /// A right answer; the connection may carry the next request, or may not.
    Answered {
        reusable: bool,
    },
}

pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let form = if plan.via == Via::Connect { TargetForm::Absolute } else { TargetForm::Origin };
    let request = get_request(SocketAddrV4::new(origin::address(0), plan.port), form);
    let mut reactor = Reactor::new()?;
    let mut outcome = Outcome::default();
    let mut workers = Vec::new();
    let mut issued = 0;
    for token in 0..plan.workers.min(usize::try_from(plan.count).unwrap_or(usize::MAX)) {
        let mut worker = Worker::connect(plan.proxy, &reactor, token as u64)?;
        worker.stream.write_all(&request)?;
        issued += 1;
        workers.push(Some(worker));
    }
    let mut scratch = vec![0; 16 << 10];
    let mut ready = Vec::with_capacity(256);
    let mut under_way = workers.len();
    while under_way > 0 && Instant::now() < plan.until + GRACE {
        reactor.wait(plan.until + GRACE, &mut ready)?;
        let more = Instant::now() < plan.until && outcome.failed < FAILURES;
        for token in ready.iter().copied() {
            let Some(place) = usize::try_from(token).ok().and_then(|slot| workers.get_mut(slot)) else {
                continue;
            };
            let Some(worker) = place.as_mut() else { continue };
            let reusable = match worker.receive(&mut scratch) {
                Ok(Progress::Waiting) => continue,
                Ok(Progress::Answered { reusable }) => {
                    outcome.done += 1;
                    reusable && plan.reuse == Reuse::UntilToldOtherwise
                }
                Err(error) => {
                    outcome.fail(format_args!("{error:#}"));
                    false
                }
            };
            if !more || issued >= plan.count {
                *place = None;
                under_way -= 1;
                continue;
            }
            issued += 1;
            if let Err(error) = next_request(place, reusable, plan.proxy, &reactor, token, &request) {
                outcome.fail(format_args!("{error:#}"));
                *place = None;
                under_way -= 1;
            }
        }
    }
    for _ in 0..under_way {
        outcome.fail("no answer in time");
    }
    outcome.bytes = outcome.done * 100;
    Ok(outcome)
}

fn next_request(
    place: &mut Option<Worker>,
    reusable: bool,
    proxy: SocketAddrV4,
    reactor: &Reactor,
    token: u64,
    request: &[u8],
) -> anyhow::Result<()> {
    if !reusable {
        *place = None;
        *place = Some(Worker::connect(proxy, reactor, token)?);
    }
    if let Some(worker) = place {
        worker.stream.write_all(request)?;
    }
    Ok(())
}

impl Worker {
    fn connect(proxy: SocketAddrV4, reactor: &Reactor, token: u64) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::V4(proxy), PATIENCE).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        reactor.add(&stream, token, EventFlags::IN)?;
        Ok(Self { stream, partial: Vec::new() })
    }

    fn receive(&mut self, scratch: &mut [u8]) -> anyhow::Result<Progress> {
        let count = match self.stream.read(scratch) {
            Ok(0) => bail!("closed before the answer was complete"),
            Ok(count) => count,
            // The event was for the connection that had this number before.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Waiting),
            Err(error) => return Err(error).context("answer"),
        };
        let read = scratch.get(..count).unwrap_or_default();
        if self.partial.is_empty()
            && let Some(progress) = progress(read)?
        {
            return Ok(progress);
        }
        self.partial.extend_from_slice(read);
        let Some(progress) = progress(&self.partial)? else { return Ok(Progress::Waiting) };
        self.partial.clear();
        Ok(progress)
    }
}

fn progress(buf: &[u8]) -> anyhow::Result<Option<Progress>> {
    let Some(length) = get_reply(buf)? else { return Ok(None) };
    if length != buf.len() {
        bail!("{} bytes after the answer", buf.len() - length);
    }
    let closing = buf.starts_with(b"HTTP/1.0")
        || memmem::find(buf, b"onnection: close").is_some()
        || memmem::find(buf, b"onnection: Close").is_some();
    Ok(Some(Progress::Answered { reusable: !closing }))
}
