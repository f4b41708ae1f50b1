//! The addresses of this machine's interfaces, from /proc.
//!
//! Needed where a listener is bound to all addresses: none of them may be reached through the proxy. What cannot be
//! read is left out; loopback need not be listed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses this machine answers on, as far as /proc tells.
pub(super) fn of_this_machine() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").map(|text| local_v4(&text)).unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").map(|text| all_v6(&text)).unwrap_or_default();
    v4.into_iter().map(IpAddr::from).chain(v6.into_iter().map(IpAddr::from)).collect()
}

/// Leaves of the trie that are followed by `/32 host LOCAL`.
fn local_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in trie.lines().map(str::trim_start) {
        if let Some(text) = line.strip_prefix("|-- ") {
            leaf = text.trim().parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The first column: 32 hexadecimal digits.
fn all_v6(table: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| u128::from_str_radix(line.split_whitespace().next()?, 16).ok();
    table.lines().filter_map(address).map(Ipv6Addr::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_read_from_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            \x20    |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.7\n        /32 host LOCAL\n\
            \x20    |-- 192.0.2.255\n        /32 link BROADCAST\nLocal:\n     |-- 192.0.2.7\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::new(192, 0, 2, 7)]);
        let table = "fe800000000000000000000000000001 02 40 20 80 eth0\nodd\n";
        assert_eq!(all_v6(table), ["fe80::1".parse::<Ipv6Addr>().unwrap()]);
    }
}
