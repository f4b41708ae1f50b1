//! Who listens on an address that we wanted: name and process id, as far as /proc tells.
//!
//! Processes of other users can be seen by root alone; then nobody is named. Not here: opening listeners.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// State of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its short name, printable.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// The process that listens on `addr`, or on all addresses with the same port.
#[must_use]
pub fn find(addr: SocketAddr) -> Option<Holder> {
    let sockets: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening_on(&table, addr))
        .collect();
    let links: Vec<String> = sockets.iter().map(|inode| format!("socket:[{inode}]")).collect();
    if links.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    });
    let mut holders = processes.filter(|(_, dir)| holds(dir, &links));
    let (pid, dir) = holders.next()?;
    let name = fs::read_to_string(dir.join("comm")).unwrap_or_default();
    let name = name.trim().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    Some(Holder { name, pid })
}

fn holds(process: &Path, links: &[String]) -> bool {
    let Ok(entries) = fs::read_dir(process.join("fd")) else { return false };
    entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| links.iter().any(|wanted| wanted == link)))
}

/// The inodes of the listening sockets in a table that `addr` collides with.
fn listening_on(table: &str, addr: SocketAddr) -> Vec<u64> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let local = address(words.next()?)?;
        let (state, inode) = (words.nth(1)?, words.nth(5)?.parse().ok()?);
        let same = local.ip() == addr.ip() || local.ip().is_unspecified() || addr.ip().is_unspecified();
        (state == LISTEN && local.port() == addr.port() && same).then_some(inode)
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// `0100007F:0C38`: each 32-bit word of the address in this machine's byte order, the port as it is written.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |n: usize| u32::from_str_radix(ip.get(n * 8..n * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (n, part) in octets.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(n)?);
            }
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_found_by_name() {
        let sockets = shoalway_net::listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let addr = sockets[0].local_addr().unwrap();
        let holder = find(addr).unwrap();
        assert_eq!(holder.pid, std::process::id());
        assert!(!holder.name.is_empty());
        assert!(find(SocketAddr::new("127.0.0.2".parse().unwrap(), addr.port())).is_none());
        assert!(find(SocketAddr::new("0.0.0.0".parse().unwrap(), addr.port())).is_some());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn tables_of_the_kernel_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n\
            \x20  1: 0100007F:0C38 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n\
            \x20  2: garbage\n";
        assert_eq!(listening_on(table, "127.0.0.1:3128".parse().unwrap()), [4711]);
        assert_eq!(listening_on(table, "127.0.0.1:3129".parse().unwrap()), [0; 0]);
        let six = "00000000000000000000000001000000:0C38";
        assert_eq!(address(six), Some("[::1]:3128".parse().unwrap()));
    }
}
