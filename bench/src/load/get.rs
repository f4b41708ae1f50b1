//! Plain GETs over kept-alive connections, one request under way on each.
//!
//! A proxy that closes after its answer is connected to again, as a client would; the answer counts.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Instant;

use anyhow::{Context, bail};
use memchr::memmem;
use rustix::event::epoll::EventFlags;

use super::tunnel::Via;
use super::{FAILURES, GRACE, Plan, Reuse};
use crate::origin;
use crate::outcome::Outcome;
use crate::reactor::Reactor;
use crate::wire::{BODY, TargetForm, get_reply, get_request};

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
    let mut gets = Gets { plan, request, reactor: Reactor::new()?, outcome: Outcome::default(), issued: 0 };
    let mut places: Vec<Option<Worker>> = Vec::new();
    for token in 0..plan.workers as u64 {
        places.push(gets.next(None, token));
    }
    let mut scratch = vec![0; 16 << 10];
    let mut ready = Vec::with_capacity(256);
    let mut under_way = places.iter().flatten().count();
    while under_way > 0 && Instant::now() < plan.until + GRACE {
        gets.reactor.wait(plan.until + GRACE, &mut ready)?;
        for token in ready.iter().copied() {
            let Some(place) = usize::try_from(token).ok().and_then(|slot| places.get_mut(slot)) else {
                continue;
            };
            let Some(worker) = place.as_mut() else { continue };
            let reusable = match worker.receive(&mut scratch) {
                Ok(Progress::Waiting) => continue,
                Ok(Progress::Answered { reusable }) => {
                    gets.outcome.done += 1;
                    reusable && plan.reuse == Reuse::UntilToldOtherwise
                }
                Err(error) => {
                    gets.outcome.fail(format_args!("{error:#}"));
                    false
                }
            };
            let kept = place.take().filter(|_| reusable);
            *place = gets.next(kept, token);
            under_way -= usize::from(place.is_none());
        }
    }
    for _ in 0..under_way {
        gets.outcome.fail("no answer in time");
    }
    gets.outcome.bytes = gets.outcome.done * BODY.len() as u64;
    Ok(gets.outcome)
}

struct Gets<'a> {
    plan: &'a Plan,
    request: Vec<u8>,
    reactor: Reactor,
    outcome: Outcome,
    issued: u64,
}

impl Gets<'_> {
    /// Sends the next request on `kept` or on a new connection, unless all were sent; one that cannot be sent is
    /// counted and the next is tried.
    fn next(&mut self, mut kept: Option<Worker>, token: u64) -> Option<Worker> {
        while self.issued < self.plan.count
            && Instant::now() < self.plan.until
            && self.outcome.failed < FAILURES
        {
            self.issued += 1;
            match self.send(kept.take(), token) {
                Ok(worker) => return Some(worker),
                Err(error) => self.outcome.fail(format_args!("{error:#}")),
            }
        }
        None
    }

    fn send(&self, kept: Option<Worker>, token: u64) -> anyhow::Result<Worker> {
        let mut worker = match kept {
            Some(worker) => worker,
            None => Worker::connect(self.plan, &self.reactor, token)?,
        };
        worker.stream.write_all(&self.request)?;
        Ok(worker)
    }
}

impl Worker {
    fn connect(plan: &Plan, reactor: &Reactor, token: u64) -> anyhow::Result<Self> {
        let stream = plan.sources.connect(plan.proxy)?;
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
