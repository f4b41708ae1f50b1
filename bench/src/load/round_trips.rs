//! Small exchanges through tunnels that stand, one at a time: how long each takes. And how long a new tunnel takes to its first byte.
//!
//! Blocking on purpose: nothing else is under way, so that what is measured is waiting and not queueing.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::tunnel::{PATIENCE, open};
use super::{FAILURES, Plan};
use crate::origin;
use crate::outcome::{Latency, Outcome};

/// What goes there and back.
const PING: [u8; 64] = [b'p'; 64];

/// Opens one tunnel and sends `plan.count` times 64 bytes through it and back.
///
/// # Errors
/// When the tunnel does not open.
pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut stream = begin(plan, 0)?;
    let mut micros = Vec::new();
    while outcome.done < plan.count && Instant::now() < plan.until {
        let begin = Instant::now();
        if let Err(error) = exchange(&mut stream) {
            outcome.fail(format_args!("{error:#}"));
            break;
        }
        micros.push(since(begin));
        outcome.done += 1;
    }
    outcome.latency = Latency::of(&mut micros);
    outcome.bytes = outcome.done * PING.len() as u64;
    Ok(outcome)
}

/// Opens `plan.count` tunnels, one after the other, and times each from its connection to the end of its first exchange.
///
/// # Errors
/// None: what goes wrong is counted.
pub(super) fn first_byte(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut micros = Vec::new();
    // Kept open: a tunnel that closes is work for the next one's time.
    let mut held = Vec::new();
    for index in 0..plan.count {
        if Instant::now() >= plan.until || outcome.failed >= FAILURES {
            break;
        }
        let start = Instant::now();
        let opened = begin(plan, index).and_then(|mut stream| exchange(&mut stream).map(|()| stream));
        match opened {
            Ok(stream) => {
                micros.push(since(start));
                held.push(stream);
                outcome.done += 1;
            }
            Err(error) => outcome.fail(format_args!("{error:#}")),
        }
    }
    outcome.latency = Latency::of(&mut micros);
    Ok(outcome)
}

fn begin(plan: &Plan, index: u64) -> anyhow::Result<TcpStream> {
    let mut stream = plan.sources.connect(plan.proxy)?;
    open(&mut stream, plan.via(index), SocketAddrV4::new(origin::address(index), plan.port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(&PING).context("exchange")?;
    let mut back = [0; PING.len()];
    stream.read_exact(&mut back).context("exchange")?;
    ensure!(back == PING, "other bytes came back");
    Ok(())
}

fn since(begin: Instant) -> u32 {
    u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX)
}
