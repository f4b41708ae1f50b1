//! Large transfers whose every byte is checked: a pattern that says at each place which byte must stand there.

use crate::client::{RawClient, show};
use crate::far::Far;
use crate::wait::PATIENCE;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;

/// Bytes that differ by seed and by place: a block of noise whose first 8 octets are the block's number.
#[derive(Debug)]
struct Pattern {
    block: Vec<u8>,
}

const BLOCK: usize = 64 * 1024;

impl Pattern {
    fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let block = (0..BLOCK).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        });
        Self { block: block.collect() }
    }

    /// Block number `n`.
    fn at(&mut self, n: u64) -> &[u8] {
        self.block[..8].copy_from_slice(&n.to_le_bytes());
        &self.block
    }
}

impl RawClient {
    /// Sends `blocks` blocks of 64 KiB of the pattern with this seed.
    #[track_caller]
    pub fn send_pattern(&mut self, seed: u64, blocks: u64) {
        self.wire.patience(Some(PATIENCE)).expect("time-outs");
        let mut pattern = Pattern::new(seed);
        for n in 0..blocks {
            if let Err(error) = self.wire.write_all(pattern.at(n)) {
                panic!("send block {n} of {blocks}: {error}");
            }
        }
        self.wire.flush().expect("flush");
    }

    /// Receives that many blocks; every byte must be right.
    #[track_caller]
    pub fn expect_pattern(&mut self, seed: u64, blocks: u64) {
        self.wire.patience(Some(PATIENCE)).expect("time-outs");
        let (mut pattern, mut got) = (Pattern::new(seed), vec![0; BLOCK]);
        for n in 0..blocks {
            let early = self.unread.len().min(BLOCK);
            got[..early].copy_from_slice(&self.unread[..early]);
            self.unread.drain(..early);
            if let Err(error) = self.wire.read_exact(&mut got[early..]) {
                panic!("receive block {n} of {blocks}: {error}");
            }
            let wanted = pattern.at(n);
            if got != wanted {
                let at = got.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or_default();
                panic!("block {n} differs at {at}: {}", show(&got[at..]));
            }
        }
    }
}

/// Sends that many blocks of 64 KiB both ways at once between two ends and checks every byte, then ends each direction
/// and sees the end arrive.
#[track_caller]
pub fn exchange(one: RawClient, other: RawClient, blocks: u64) {
    let senders: Vec<_> = [(&one, 1), (&other, 2)]
        .map(|(end, seed)| (end.second_handle(), seed))
        .into_iter()
        .map(|(mut end, seed)| {
            thread::spawn(move || {
                end.send_pattern(seed, blocks);
                end.half_close();
            })
        })
        .collect();
    let receivers: Vec<_> = [(one, 2), (other, 1)]
        .into_iter()
        .map(|(mut end, seed)| {
            thread::spawn(move || {
                end.expect_pattern(seed, blocks);
                end.expect_closed_within(PATIENCE);
            })
        })
        .collect();
    for thread in senders.into_iter().chain(receivers) {
        if let Err(why) = thread.join() {
            std::panic::resume_unwind(why);
        }
    }
}

/// The same through a tunnel that `open` makes to the address it gets.
#[track_caller]
pub fn exchange_far(open: impl FnOnce(SocketAddr) -> RawClient, blocks: u64) {
    let far = Far::listen();
    let client = open(far.addr());
    exchange(client, far.accept(), blocks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::far::{Step, TcpScript};

    #[test]
    fn both_directions_are_carried_and_checked() {
        exchange_far(RawClient::connect, 64);
    }

    #[test]
    #[should_panic(expected = "differs at 9")]
    fn one_wrong_byte_is_found() {
        let mut bytes = Pattern::new(5).at(0).to_vec();
        bytes[9] ^= 1;
        let far = TcpScript::start([Step::Send(bytes), Step::Stall]);
        RawClient::connect(far.addr()).expect_pattern(5, 1);
    }
}
