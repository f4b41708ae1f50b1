//! A name server on 127.0.0.1 over UDP: answers by table, fails, or says nothing; and remembers what it was asked.
//!
//! RFC 1035 section 4, just enough of it: one question a message, A and AAAA answers, no compression but the pointer
//! to the question.

mod encrypted;

pub use encrypted::EncryptedDns;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running name server.
#[derive(Debug)]
pub struct Dns {
    socket: UdpSocket,
    asked: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    manner: Arc<Mutex<Manner>>,
}

#[derive(Debug)]
enum Manner {
    /// Addresses by name, and their TTL in seconds.
    Table(HashMap<String, Vec<IpAddr>>, u8),
    Code(u8),
    Silent,
    Garbage,
}

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

impl Dns {
    /// Knows these names, each with one address, for 60 s; every other name does not exist.
    #[must_use]
    pub fn knowing(names: &[(&str, &str)]) -> Self {
        Self::start(Manner::table(names, 60))
    }

    /// Answers SERVFAIL to everything.
    #[must_use]
    pub fn failing() -> Self {
        Self::start(Manner::Code(SERVFAIL))
    }

    /// Answers nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self::start(Manner::Silent)
    }

    /// Answers with octets that are no message.
    #[must_use]
    pub fn garbage() -> Self {
        Self::start(Manner::Garbage)
    }

    /// From now on it knows these names, for a second each.
    pub fn now_knows(&self, names: &[(&str, &str)]) {
        self.set(Manner::table(names, 1));
    }

    /// From now on it answers SERVFAIL to everything.
    pub fn now_fails(&self) {
        self.set(Manner::Code(SERVFAIL));
    }

    /// From now on it answers nothing.
    pub fn now_is_silent(&self) {
        self.set(Manner::Silent);
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().expect("manner") = manner;
    }

    fn start(manner: Manner) -> Self {
        let manner = Arc::new(Mutex::new(manner));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP socket");
        let (asked, stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (ours, record, stop) =
            (socket.try_clone().expect("clone a socket"), Arc::clone(&asked), Arc::clone(&stopped));
        let how = Arc::clone(&manner);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok((n, from)) = ours.recv_from(&mut bytes) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Some((name, kind, question)) = question(&bytes[..n]) else { continue };
                record.lock().expect("questions").push(name.clone());
                let answer = how.lock().expect("manner").answer(&bytes[..2], &name, kind, question);
                if let Some(answer) = answer {
                    drop(ours.send_to(&answer, from)); // the asker may have gone
                }
            }
        });
        Self { socket, asked, stopped, manner }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("own address")
    }

    /// Every name asked for so far, in small letters.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("questions").clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(self.socket.send_to(&[], self.addr())); // wakes the thread, which then ends
    }
}

impl Manner {
    fn table(names: &[(&str, &str)], ttl: u8) -> Self {
        let mut table: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for (name, addr) in names {
            table.entry((*name).to_owned()).or_default().push(addr.parse().expect("an address"));
        }
        Self::Table(table, ttl)
    }

    fn answer(&self, id: &[u8], name: &str, kind: u16, question: &[u8]) -> Option<Vec<u8>> {
        let (code, addrs, ttl) = match self {
            Self::Silent => return None,
            Self::Garbage => return Some(vec![0xff; 40]),
            Self::Code(code) => (*code, &[][..], 0),
            Self::Table(table, ttl) => match table.get(name) {
                Some(addrs) => (0, &addrs[..], *ttl),
                None => (NXDOMAIN, &[][..], 0),
            },
        };
        let records: Vec<Vec<u8>> = addrs.iter().filter_map(|addr| record(kind, *addr, ttl)).collect();
        let count = u8::try_from(records.len()).expect("few addresses");
        // Response, authoritative, recursion desired and available; one question, `count` answers.
        let header = [&[id[0], id[1], 0x85, 0x80 | code][..], &[0, 1, 0, count, 0, 0, 0, 0]].concat();
        Some([header, question.to_vec(), records.concat()].concat())
    }
}

/// Name, type and the octets of the question section.
fn question(message: &[u8]) -> Option<(String, u16, &[u8])> {
    let mut rest = message.get(12..)?;
    let start = rest;
    let mut labels = Vec::new();
    while let [length @ 1..=63, tail @ ..] = rest {
        let (label, tail) = tail.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = tail;
    }
    let [0, high, low, _, _, rest @ ..] = rest else { return None };
    let question = &start[..start.len() - rest.len()];
    Some((labels.join("."), u16::from_be_bytes([*high, *low]), question))
}

fn record(kind: u16, addr: IpAddr, ttl: u8) -> Option<Vec<u8>> {
    let data = match (kind, addr) {
        (1, IpAddr::V4(ip)) => ip.octets().to_vec(),
        (28, IpAddr::V6(ip)) => ip.octets().to_vec(),
        _ => return None,
    };
    let length = u8::try_from(data.len()).expect("4 or 16");
    Some(
        [&[0xc0, 12, 0, u8::try_from(kind).expect("1 or 28"), 0, 1, 0, 0, 0, ttl, 0, length][..], &data]
            .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{PATIENCE, millis};

    /// Asks for an A record as `dig` does.
    fn ask(server: &Dns, name: &str) -> Option<Vec<u8>> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 1, 0, 1]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(if name == "silent" { millis(50) } else { PATIENCE })).unwrap();
        socket.send_to(&message, server.addr()).unwrap();
        let mut answer = [0; 512];
        socket.recv(&mut answer).ok().map(|n| answer[..n].to_vec())
    }

    #[test]
    fn it_answers_by_its_table_and_remembers() {
        let server = Dns::knowing(&[("a.test", "127.0.0.1")]);
        let known = ask(&server, "A.test").unwrap();
        assert_eq!((&known[..4], &known[known.len() - 4..]), (&[7, 9, 0x85, 0x80][..], &[127, 0, 0, 1][..]));
        assert_eq!(ask(&server, "b.test").unwrap()[3] & 15, NXDOMAIN);
        assert_eq!(server.asked(), ["a.test", "b.test"]);
    }

    #[test]
    fn it_fails_as_told() {
        assert_eq!(ask(&Dns::failing(), "a").unwrap()[3] & 15, SERVFAIL);
        assert_eq!(ask(&Dns::garbage(), "a").unwrap()[0], 0xff);
        assert_eq!(ask(&Dns::silent(), "silent"), None);
        let server = Dns::failing();
        server.now_knows(&[("a", "127.0.0.9")]);
        assert!(ask(&server, "a").unwrap().ends_with(&[127, 0, 0, 9]));
        server.now_fails();
        assert_eq!(ask(&server, "a").unwrap()[3] & 15, SERVFAIL);
        server.now_is_silent();
        assert_eq!(ask(&server, "silent"), None);
    }
}
