//! What passes on a link, as tcpdump tells it: one line a packet, kept whole.
//!
//! Not here: opening what is inside.

use crate::wait::{PATIENCE, eventually};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The first line of tcpdump's words: addresses, ports, flags.
    pub head: String,
    /// Its octets from the link layer on.
    pub octets: Vec<u8>,
}

impl Packet {
    /// Whether these octets stand anywhere in it.
    #[must_use]
    pub fn holds(&self, needle: &[u8]) -> bool {
        memchr::memmem::find(&self.octets, needle).is_some()
    }
}

/// A capture at work.
pub struct LinkCapture {
    child: Child,
    packets: Arc<Mutex<Vec<Packet>>>,
}

impl LinkCapture {
    /// Begins; returns when tcpdump listens. `command` says where and on which interface.
    #[track_caller]
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command
            .args(["-n", "-nn", "-t", "-l", "-xx", "--immediate-mode", "-s", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start tcpdump: {error}: run .ci/setup"));
        let packets = Arc::new(Mutex::new(Vec::new()));
        let (stdout, record) = (child.stdout.take().expect("standard output"), Arc::clone(&packets));
        thread::spawn(move || read(BufReader::new(stdout), &record));
        let stderr = BufReader::new(child.stderr.take().expect("standard error"));
        let capture = Self { child, packets };
        let mut said = Vec::new();
        let listens = stderr.lines().map_while(Result::ok).any(|line| {
            let listens = line.contains("listening on");
            said.push(line);
            listens
        });
        assert!(listens, "tcpdump does not capture (it takes root): {said:?}");
        capture
    }

    /// All packets so far.
    #[must_use]
    pub fn packets(&self) -> Vec<Packet> {
        self.packets.lock().expect("packets").clone()
    }

    /// Waits until a packet was seen whose head has this text, so that what came before it is there too.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> Vec<Packet> {
        eventually(PATIENCE, &format!("{text:?} in a capture"), || {
            let all = self.packets();
            all.iter().any(|packet| packet.head.contains(text)).then_some(all)
        })
    }
}

impl Drop for LinkCapture {
    fn drop(&mut self) {
        drop(self.child.kill()); // it may have ended
        drop(self.child.wait());
    }
}

/// `HEAD`, then lines of `0xOFFSET:  XXXX XXXX`.
fn read(lines: impl std::io::BufRead, record: &Mutex<Vec<Packet>>) {
    for line in lines.lines().map_while(Result::ok) {
        let mut packets = record.lock().expect("packets");
        match line.trim_start().strip_prefix("0x") {
            Some(row) => {
                let digits = row.split_once(':').map_or("", |(_offset, digits)| digits);
                let Some(packet) = packets.last_mut() else { continue };
                let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
                let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                packet.octets.extend(digits.chunks(2).filter_map(octet));
            }
            None => packets.push(Packet { head: line, octets: Vec::new() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_octets_of_tcpdump_are_read() {
        let text = "IP 10.1.0.1.5 > 10.2.0.1.443: Flags [S], length 0\n\t0x0000:  0011 2233 4455\n\t0x0010:  66\nARP, Request\n";
        let record = Mutex::new(Vec::new());
        read(text.as_bytes(), &record);
        let packets = record.into_inner().unwrap();
        assert_eq!(packets.len(), 2);
        assert_eq!(packets[0].octets, [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
        assert!(packets[0].holds(&[0x33, 0x44]) && !packets[0].holds(&[0x44, 0x33]));
        assert_eq!(packets[1].head, "ARP, Request");
    }
}
