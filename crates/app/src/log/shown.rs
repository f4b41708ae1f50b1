//! What of a record a line may tell: the privacy levels, in one place.
//!
//! A form never sees the record itself, so what a level withholds cannot be written by mistake. Not here: how a line
//! looks.

use crate::config::file::LogPrivacy;
use shoalway_types::{Host, Protocol, Record};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Longest path that is written, in bytes before escaping; the rest is left out.
const LONGEST_PATH: usize = 8 << 10;
/// Longest `User-Agent` and `Referer`.
const LONGEST_FIELD: usize = 1 << 10;

/// The client as a line may name it.
#[derive(Clone, Copy)]
pub(super) struct Client {
    /// Its address, or the first one of its network.
    pub(super) ip: IpAddr,
    /// Length of the network's prefix; none when `ip` is the address itself.
    pub(super) prefix: Option<u8>,
}

/// The facts of a record that its line may tell.
pub(super) struct Shown<'a> {
    pub(super) started_ms: u64,
    pub(super) elapsed: Duration,
    pub(super) listener: &'a str,
    pub(super) protocol: Protocol,
    pub(super) client: Option<Client>,
    pub(super) user: Option<&'a str>,
    pub(super) method: &'a str,
    pub(super) host: Option<&'a Host>,
    pub(super) port: u16,
    pub(super) path: &'a [u8],
    pub(super) status: u16,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    pub(super) verb: &'a str,
    pub(super) rule: u32,
    pub(super) upstream: Option<SocketAddr>,
    pub(super) outcome: &'static str,
    pub(super) user_agent: &'a [u8],
    pub(super) referer: &'a [u8],
}

impl<'a> Shown<'a> {
    pub(super) fn of(record: &Record<'a>, privacy: LogPrivacy) -> Self {
        let counts = Self::counts(record);
        match privacy {
            LogPrivacy::Counts => counts,
            LogPrivacy::Masked => {
                let client = Some(network(record.client.ip()));
                Self { client, host: record.host, port: record.port, ..counts }
            }
            LogPrivacy::Full => Self {
                client: Some(Client { ip: record.client.ip(), prefix: None }),
                user: record.user,
                host: record.host,
                port: record.port,
                path: cut(record.path, LONGEST_PATH),
                upstream: record.upstream,
                user_agent: cut(record.user_agent, LONGEST_FIELD),
                referer: cut(record.referer, LONGEST_FIELD),
                ..counts
            },
        }
    }

    fn counts(record: &Record<'a>) -> Self {
        Self {
            started_ms: record.started_ms,
            elapsed: record.elapsed,
            listener: record.listener,
            protocol: record.protocol,
            client: None,
            user: None,
            method: record.method,
            host: None,
            port: 0,
            path: b"",
            status: record.status,
            bytes_up: record.bytes_up,
            bytes_down: record.bytes_down,
            verb: record.verb,
            rule: record.rule,
            upstream: None,
            outcome: record.outcome,
            user_agent: b"",
            referer: b"",
        }
    }

    /// How long it took, in whole milliseconds.
    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// The status as programs that know HTTP alone expect it: SOCKS replies and the ends of streams become 200,
    /// 403 or 502.
    pub(super) fn http_status(&self) -> u16 {
        match self.protocol {
            Protocol::Http | Protocol::Connect | Protocol::Upgrade => self.status,
            Protocol::Socks4
            | Protocol::Socks5
            | Protocol::Udp
            | Protocol::StreamTcp
            | Protocol::StreamTls
            | Protocol::StreamUdp => match (self.outcome, self.verb) {
                (_, "block") => 403,
                ("ok", _) => 200,
                _ => 502,
            },
        }
    }
}

/// The network that stands for a client where its address may not be told.
#[must_use]
pub fn masked(ip: IpAddr) -> String {
    let Client { ip, prefix } = network(ip);
    prefix.map_or_else(|| ip.to_string(), |prefix| format!("{ip}/{prefix}"))
}

/// IPv4 clients as their /24, IPv6 clients as their /48.
fn network(ip: IpAddr) -> Client {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Client { ip: Ipv4Addr::new(a, b, c, 0).into(), prefix: Some(24) }
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Client { ip: Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into(), prefix: Some(48) }
        }
    }
}

fn cut(bytes: &[u8], longest: usize) -> &[u8] {
    bytes.get(..longest).unwrap_or(bytes)
}
