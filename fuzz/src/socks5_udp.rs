//! Datagrams of a SOCKS5 association: `data` is one of them, and is a series of fragments.

use crate::socks5::same_again;
use shoalway_wire::socks5::address::Address;
use shoalway_wire::socks5_udp::reassembly::{DropReason, MAX_PAYLOAD, Outcome, Reassembly, TIMER};
use shoalway_wire::socks5_udp::{Datagram, decode, encode_header};
use std::net::SocketAddr;
use std::time::Duration;

/// Takes `data` apart as one datagram, then sends it as fragments.
pub fn socks5_udp(data: &[u8]) {
    if let Ok(read) = decode(data) {
        same_again(&read.target);
        let mut bytes = Vec::new();
        encode_header(&read.target, &mut bytes);
        bytes.extend_from_slice(read.payload);
        let again = decode(&bytes);
        assert!(again == Ok(Datagram { frag: 0, ..read }), "not what was read before");
    }
    fragments(data);
}

/// What was sent and counted, for comparison with what comes out.
struct Sent<'a> {
    position: u8,
    to: u8,
    at: Duration,
    payload: &'a [u8],
}

/// Reads `data` as a series of: pause in tenths of a second (the high bit: to which of two targets), fragment
/// octet, length, payload. A joined payload must be that of the last fragments sent, in turn, to one target, in time.
fn fragments(mut data: &[u8]) {
    let mut queue = Reassembly::new();
    let mut sent: Vec<Sent<'_>> = Vec::new();
    let mut now = Duration::ZERO;
    while let Some((&[pause, frag, length], rest)) = data.split_first_chunk::<3>() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(length)));
        data = rest;
        now += Duration::from_millis(u64::from(pause & 0x7f) * 100);
        let to = pause >> 7;
        let target = Address::from(SocketAddr::from(([192, 0, 2, to], 53)));
        match queue.accept(Datagram { frag, target: target.clone(), payload }, now) {
            Outcome::Whole { target: out, payload: whole } => {
                assert!(out == target && whole.len() <= MAX_PAYLOAD, "another target, or too long");
                sent.push(Sent { position: frag & 0x7f, to, at: now, payload });
                assert!(frag == 0 || frag & 0x80 != 0, "ended by a fragment that is not the last");
                let joined = joined(&sent, frag & 0x7f);
                assert_eq!(joined.as_deref(), Some(&whole[..]), "not what was sent");
                assert_eq!(queue.expires(), None, "nothing is left behind");
            }
            Outcome::Dropped(DropReason::Repeated) => {}
            Outcome::Held | Outcome::Dropped(_) => {
                sent.push(Sent { position: frag & 0x7f, to, at: now, payload });
            }
        }
        assert!(queue.expires().is_none_or(|end| end > now && end <= now + TIMER), "held too long");
    }
}

/// The payload of the last `count` fragments when they are the positions 1 to `count`; of one datagram when it is 0.
fn joined(sent: &[Sent<'_>], count: u8) -> Option<Vec<u8>> {
    let start = sent.len().checked_sub(usize::from(count.max(1)))?;
    let run = sent.get(start..)?;
    let first = run.first()?;
    let mut payload = Vec::new();
    for (turn, part) in (u8::from(count != 0)..).zip(run) {
        let in_time = part.at < first.at + TIMER;
        if part.position != turn || part.to != first.to || !in_time {
            return None;
        }
        payload.extend_from_slice(part.payload);
    }
    Some(payload)
}
