//! Large bodies over kept-alive connections, one download under way on each; heads, lengths and first bytes are checked.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::EventFlags;
use rustix::net::{RecvFlags, recv};

use super::reply::closes;
use super::{FAILURES, GRACE, Plan};
use crate::outcome::Outcome;
use crate::reactor::Reactor;
use crate::wire::{BODY_FILL, get_reply_head};

pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let (request, body) = plan.request();
    let mut bodies =
        Bodies { plan, request, body, reactor: Reactor::new()?, outcome: Outcome::default(), issued: 0 };
    let mut places: Vec<Option<Download>> = Vec::new();
    for token in 0..plan.workers as u64 {
        places.push(bodies.next(None, token));
    }
    let mut room = Vec::with_capacity(1 << 20);
    let mut ready = Vec::with_capacity(256);
    while places.iter().any(Option::is_some) && Instant::now() < plan.until + GRACE {
        bodies.reactor.wait(plan.until + GRACE, &mut ready)?;
        for token in ready.iter().copied() {
            let Some(place) = usize::try_from(token).ok().and_then(|slot| places.get_mut(slot)) else {
                continue;
            };
            bodies.attend(place, token, &mut room);
        }
    }
    for _ in places.iter().flatten() {
        bodies.outcome.fail("no answer in time");
    }
    bodies.outcome.bytes = bodies.outcome.done * body;
    Ok(bodies.outcome)
}

struct Bodies<'a> {
    plan: &'a Plan,
    request: Vec<u8>,
    body: u64,
    reactor: Reactor,
    outcome: Outcome,
    issued: u64,
}

/// One connection and how far its download is.
struct Download {
    stream: TcpStream,
    /// The head and what came with it, until the head is complete.
    head: Vec<u8>,
    /// Bytes of the body that are still to come; nothing before the head is complete.
    left: Option<u64>,
    reusable: bool,
}

impl Bodies<'_> {
    fn attend(&mut self, place: &mut Option<Download>, token: u64, room: &mut Vec<u8>) {
        let Some(download) = place.as_mut() else { return };
        let kept = match download.receive(room, self.body) {
            Ok(false) => return,
            Ok(true) => {
                self.outcome.done += 1;
                place.take().filter(|download| download.reusable)
            }
            Err(error) => {
                self.outcome.fail(format_args!("{error:#}"));
                *place = None;
                None
            }
        };
        *place = self.next(kept, token);
    }

    /// Starts the next download on `kept` or a new connection, unless all were started.
    fn next(&mut self, mut kept: Option<Download>, token: u64) -> Option<Download> {
        while self.issued < self.plan.count
            && Instant::now() < self.plan.until
            && self.outcome.failed < FAILURES
        {
            self.issued += 1;
            match self.start(kept.take(), token) {
                Ok(download) => return Some(download),
                Err(error) => self.outcome.fail(format_args!("{error:#}")),
            }
        }
        None
    }

    fn start(&self, kept: Option<Download>, token: u64) -> anyhow::Result<Download> {
        let mut download = match kept {
            Some(kept) => Download { left: None, ..kept },
            None => {
                let stream = self.plan.sources.connect(self.plan.proxy)?;
                stream.set_nonblocking(true)?;
                self.reactor.add(&stream, token, EventFlags::IN)?;
                Download { stream, head: Vec::new(), left: None, reusable: true }
            }
        };
        download.stream.write_all(&self.request)?;
        Ok(download)
    }
}

impl Download {
    /// Takes what has come. True when the body is complete.
    fn receive(&mut self, room: &mut Vec<u8>, body: u64) -> anyhow::Result<bool> {
        let Some(left) = self.left else { return self.receive_head(body) };
        room.clear();
        // TRUNC discards in the kernel: the copy a client would make is not what is measured, and it would take
        // the core from the origin.
        let count = match recv(&self.stream, spare_capacity(room), RecvFlags::TRUNC) {
            Ok((_, count)) => count as u64,
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error).context("body"),
        };
        ensure!(count > 0, "closed with {left} of {body} bytes still to come");
        ensure!(count <= left, "{} bytes after the answer", count - left);
        self.left = Some(left - count);
        Ok(count == left)
    }

    fn receive_head(&mut self, body: u64) -> anyhow::Result<bool> {
        let mut scratch = [0; 16 << 10];
        let count = match self.stream.read(&mut scratch) {
            Ok(0) => bail!("closed before the head was complete"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("head"),
        };
        self.head.extend_from_slice(scratch.get(..count).unwrap_or_default());
        let Some(end) = get_reply_head(&self.head, body)? else { return Ok(false) };
        let (head, first) = self.head.split_at(end);
        ensure!(first.iter().all(|byte| *byte == BODY_FILL), "other bytes than the origin sent");
        self.reusable = !closes(head);
        let left = body.checked_sub(first.len() as u64).context("bytes after the answer")?;
        self.left = Some(left);
        self.head.clear();
        Ok(left == 0)
    }
}
