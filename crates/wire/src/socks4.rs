//! SOCKS4 and SOCKS4a: the words of both roles. The machines are [`server`] and [`client`].
//!
//! Follows the memo "SOCKS: A protocol for TCP proxy across firewalls" and its extension "SOCKS 4A", both by
//! Ying-Da Lee. Not here: connecting, binding, asking identd (the user is handed on as sent, nobody vouches for it).
//!
//! ```text
//! request  | 4 | command | port (2) | IPv4 (4) | user .. | 0 |            4a: IPv4 = 0.0.0.x, x not 0,
//! request  | 4 | command | port (2) | 0 0 0 x  | user .. | 0 | name .. | 0 |  and a name follows
//! reply    | 0 | code    | port (2) | IPv4 (4) |
//! ```

pub mod client;
pub mod server;

use std::net::SocketAddr;

/// The version in front of each request.
pub(crate) const VERSION: u8 = 4;

/// Longest user or name, without its closing zero byte. The memo sets no bound; SOCKS5 has the same in its lengths.
pub const MAX_TEXT: usize = 255;

/// What a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Connect to the target.
    Connect,
    /// Wait for one connection from the target. Two replies follow: the bound address, then the peer's.
    Bind,
}

impl Command {
    const fn code(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::Bind => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Connect),
            2 => Some(Self::Bind),
            _ => None,
        }
    }
}

/// What a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// 90: done.
    Granted,
    /// 91: refused or failed; the protocol does not say why.
    Rejected,
    /// 92: no identd on the client's machine answered.
    NoIdentd,
    /// 93: identd named another user.
    OtherUser,
}

impl Reply {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Granted => 90,
            Self::Rejected => 91,
            Self::NoIdentd => 92,
            Self::OtherUser => 93,
        }
    }

    /// The reply of a code, when there is one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            90 => Some(Self::Granted),
            91 => Some(Self::Rejected),
            92 => Some(Self::NoIdentd),
            93 => Some(Self::OtherUser),
            _ => None,
        }
    }
}

/// A whole reply. `bound` is where the server listens (first reply to BIND) or the peer (second); other replies
/// may say `0.0.0.0:0`. An IPv6 address does not fit and is written as `0.0.0.0`.
#[must_use]
pub fn encode_reply(reply: Reply, bound: SocketAddr) -> [u8; 8] {
    let [a, b, c, d] = match bound {
        SocketAddr::V4(addr) => addr.ip().octets(),
        SocketAddr::V6(addr) => addr.ip().to_ipv4_mapped().map_or([0; 4], |ip| ip.octets()),
    };
    let [high, low] = bound.port().to_be_bytes();
    [0, reply.code(), high, low, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_carry_code_port_and_address() {
        for (reply, bound, bytes) in [
            (Reply::Granted, "192.0.2.1:80", [0, 90, 0, 80, 192, 0, 2, 1]),
            (Reply::Rejected, "0.0.0.0:0", [0, 91, 0, 0, 0, 0, 0, 0]),
            (Reply::NoIdentd, "[::ffff:192.0.2.1]:258", [0, 92, 1, 2, 192, 0, 2, 1]),
            (Reply::OtherUser, "[2001:db8::1]:1", [0, 93, 0, 1, 0, 0, 0, 0]),
        ] {
            assert_eq!(encode_reply(reply, bound.parse().unwrap()), bytes, "{bound}");
        }
    }

    #[test]
    fn codes_name_themselves_and_no_other() {
        for code in 0..=255 {
            assert!(Reply::from_code(code).is_none_or(|reply| reply.code() == code));
            assert!(Command::from_code(code).is_none_or(|command| command.code() == code));
        }
        assert_eq!((0..=255).filter_map(Reply::from_code).count(), 4);
        assert_eq!((0..=255).filter_map(Command::from_code).count(), 2);
    }
}
