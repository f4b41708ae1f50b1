//! Connections from addresses and ports of the load's own choice.
//!
//! The ports lie below those that the kernel gives to outgoing connections. A closed connection keeps its port for a
//! minute; taken from the kernel's range, the load's would be missing to the proxies that are measured.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_reuseaddr, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::tunnel::PATIENCE;

/// Gives each connection the next pair of address and port.
#[derive(Debug)]
pub(super) struct Sources {
    next: Cell<u64>,
}

const FIRST_PORT: u16 = 10_000;
const PORTS: u64 = 11_000;
/// With so many addresses a pair comes again after more connections than a minute can have.
const ADDRESSES: u64 = 100;

impl Sources {
    /// Starts anywhere, so that one run does not meet the pairs that the run before has just left.
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { next: Cell::new(now.as_micros() as u64 % (PORTS * ADDRESSES)) }
    }

    /// A blocking connection to `to`, with answers expected at once and a limit on the wait for it.
    ///
    /// # Errors
    /// When it is refused, or not accepted within [`PATIENCE`].
    pub(super) fn connect(&self, to: SocketAddrV4) -> anyhow::Result<TcpStream> {
        for _ in 0..ATTEMPTS {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            set_socket_reuseaddr(&socket, true)?;
            set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
            match bind(&socket, &self.take()) {
                Ok(()) => {}
                // Someone listens there on every address.
                Err(Errno::ADDRINUSE) => continue,
                Err(error) => return Err(error).context("bind"),
            }
            match connect(&socket, &to) {
                Ok(()) => {}
                // Another load that runs at the same time is connected from there.
                Err(Errno::ADDRNOTAVAIL) => continue,
                Err(error) => return Err(error).context("connect"),
            }
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
        bail!("no free source port");
    }

    fn take(&self) -> SocketAddrV4 {
        let number = self.next.get();
        self.next.set((number + 1) % (PORTS * ADDRESSES));
        // Ports first: danted asks for the client's own port on its far side.
        let last = u8::try_from(1 + number / PORTS).unwrap_or(1);
        let port = FIRST_PORT + u16::try_from(number % PORTS).unwrap_or(0);
        SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, last), port)
    }
}

/// Pairs tried for one connection.
const ATTEMPTS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_pair_comes_once_and_lies_outside_the_kernels_range() {
        let sources = Sources::new();
        let pairs: HashSet<SocketAddrV4> = (0..PORTS * ADDRESSES).map(|_| sources.take()).collect();
        assert_eq!(pairs.len() as u64, PORTS * ADDRESSES);
        assert!(
            pairs.iter().all(|pair| pair.port() >= 10_000 && pair.port() < 21_000 && pair.ip().is_loopback())
        );
    }
}
