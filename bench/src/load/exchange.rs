//! Tunnel, small exchange, close; the next one at once on the same worker.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::event::epoll::EventFlags;

use super::tunnel::{Handshake, Step, Via};
use super::{FAILURES, GRACE, Plan};
use crate::origin;
use crate::outcome::Outcome;
use crate::reactor::Reactor;
use crate::wire::{EXCHANGE, PAYLOAD};

/// One tunnel from its first byte to its last.
struct Tunnel {
    stream: TcpStream,
    handshake: Handshake,
    buf: Vec<u8>,
    open: bool,
}

pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut exchanges = Exchanges { plan, reactor: Reactor::new()?, outcome: Outcome::default(), issued: 0 };
    let mut places: Vec<Option<Tunnel>> = Vec::new();
    for token in 0..plan.workers as u64 {
        places.push(exchanges.next(token));
    }
    let mut scratch = vec![0; 4096];
    let mut ready = Vec::with_capacity(256);
    while places.iter().any(Option::is_some) && Instant::now() < plan.until + GRACE {
        exchanges.reactor.wait(plan.until + GRACE, &mut ready)?;
        for token in ready.iter().copied() {
            let Some(place) = usize::try_from(token).ok().and_then(|slot| places.get_mut(slot)) else {
                continue;
            };
            let Some(tunnel) = place.as_mut() else { continue };
            match tunnel.receive(&mut scratch) {
                Ok(false) => continue,
                Ok(true) => exchanges.outcome.done += 1,
                Err(error) => exchanges.outcome.fail(format_args!("{error:#}")),
            }
            *place = None;
            *place = exchanges.next(token);
        }
    }
    for _ in places.iter().flatten() {
        exchanges.outcome.fail("no answer in time");
    }
    exchanges.outcome.bytes = exchanges.outcome.done * EXCHANGE as u64;
    Ok(exchanges.outcome)
}

struct Exchanges<'a> {
    plan: &'a Plan,
    reactor: Reactor,
    outcome: Outcome,
    issued: u64,
}

impl Exchanges<'_> {
    /// Starts the next tunnel, unless all were started; one that cannot start is counted and the next is tried.
    fn next(&mut self, token: u64) -> Option<Tunnel> {
        while self.issued < self.plan.count
            && Instant::now() < self.plan.until
            && self.outcome.failed < FAILURES
        {
            let target = SocketAddrV4::new(origin::address(self.issued), self.plan.port);
            let via = self.plan.via(self.issued);
            self.issued += 1;
            match Tunnel::start(self.plan, via, target, &self.reactor, token) {
                Ok(tunnel) => return Some(tunnel),
                Err(error) => self.outcome.fail(format_args!("{error:#}")),
            }
        }
        None
    }
}

impl Tunnel {
    fn start(
        plan: &Plan,
        via: Via,
        target: SocketAddrV4,
        reactor: &Reactor,
        token: u64,
    ) -> anyhow::Result<Self> {
        let mut stream = plan.sources.connect(plan.proxy)?;
        stream.set_nonblocking(true)?;
        reactor.add(&stream, token, EventFlags::IN)?;
        let (handshake, first) = Handshake::start(via, target);
        stream.write_all(&first)?;
        let mut tunnel = Self { stream, handshake, buf: Vec::new(), open: false };
        tunnel.advance()?;
        Ok(tunnel)
    }

    /// Takes what has come. True when the exchange is complete and right.
    fn receive(&mut self, scratch: &mut [u8]) -> anyhow::Result<bool> {
        let count = match self.stream.read(scratch) {
            Ok(0) => bail!("closed {}", if self.open { "in the exchange" } else { "in the handshake" }),
            Ok(count) => count,
            // The event was for the connection that had this number before.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("receive"),
        };
        self.buf.extend_from_slice(scratch.get(..count).unwrap_or_default());
        self.advance()?;
        if !self.open || self.buf.len() < EXCHANGE {
            return Ok(false);
        }
        ensure!(self.buf == PAYLOAD, "other bytes came back");
        Ok(true)
    }

    fn advance(&mut self) -> anyhow::Result<()> {
        while !self.open {
            match self.handshake.advance(&mut self.buf)? {
                Step::Read => return Ok(()),
                Step::Send(bytes) => self.stream.write_all(&bytes)?,
                Step::Open => {
                    self.open = true;
                    self.stream.write_all(&PAYLOAD)?;
                }
            }
        }
        Ok(())
    }
}
