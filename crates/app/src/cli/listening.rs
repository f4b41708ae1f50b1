//! Whether anybody listens on an address of this computer, without connecting to it.
//!
//! Reads the kernel's table of TCP sockets (proc(5), `/proc/net/tcp` and `/proc/net/tcp6`). Where it cannot be
//! read the answer is yes: the program that is started then finds out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// TCP_LISTEN of the kernel's `tcp_states.h`.
const LISTEN: &str = "0A";

/// Whether a connection to this address would find a listener.
pub(super) fn anyone(addr: SocketAddr) -> bool {
    let tables: Vec<String> = TABLES.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    tables.is_empty()
        || tables.iter().flat_map(|table| listeners(table)).any(|listener| takes(listener, addr))
}

fn takes(listener: SocketAddr, addr: SocketAddr) -> bool {
    let wide = listener.ip().is_unspecified() && (listener.is_ipv6() || addr.is_ipv4());
    let same = listener.ip().to_canonical() == addr.ip().to_canonical();
    listener.port() == addr.port() && (same || wide || addr.ip().is_unspecified())
}

fn listeners(table: &str) -> impl Iterator<Item = SocketAddr> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        (fields.nth(1)? == LISTEN).then(|| address(local))?
    })
}

/// `0100007F:0C38`: each 32 bits of the address as the machine keeps them, in hex; the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (chunk, at) in octets.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     \x20  0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000\n\
                     \x20  1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000\n\
                     \x20  2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0\n\
                     \x20  3: broken\n";
        let found: Vec<String> = listeners(table).map(|addr| addr.to_string()).collect();
        assert_eq!(found, ["127.0.0.1:3128", "[::1]:80"]);
    }

    #[test]
    fn a_wide_listener_takes_every_address_of_its_family() {
        for (listener, addr, takes_it) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("127.0.0.1:1", "0.0.0.0:1", true),
        ] {
            assert_eq!(
                takes(listener.parse().unwrap(), addr.parse().unwrap()),
                takes_it,
                "{listener} {addr}"
            );
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a listener of its own")]
    fn an_open_listener_is_seen_and_a_closed_one_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        assert!(anyone(addr));
        drop(listener);
        assert!(!anyone(addr));
    }
}
