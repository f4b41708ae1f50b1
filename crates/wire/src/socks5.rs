//! SOCKS5: the words of both roles. The machines are [`server`] and [`client`], the addresses [`address`].
//!
//! Follows RFC 1928 sections 3 to 6 and RFC 1929. Not here: datagrams ([`crate::socks5_udp`]), GSSAPI (which
//! section 3 asks for and no client in use needs), checking passwords, connecting.
//!
//! ```text
//! client                                            server
//! | 5 | n | method .. |                     -->
//!                                           <--     | 5 | method |                      0xff: none will do
//! | 1 | length | user | length | password | -->                                         method 2 only,
//!                                           <--     | 1 | status |                      status 0 is success
//! | 5 | command | 0 | address |             -->
//!                                           <--     | 5 | reply | 0 | bound address |
//! ```

pub mod address;
pub mod client;
pub mod server;

use address::Address;
use std::net::SocketAddr;

/// The version in front of every message but those of RFC 1929.
pub(crate) const VERSION: u8 = 5;
/// The version of the log-in, RFC 1929 section 2.
pub(crate) const LOGIN_VERSION: u8 = 1;
/// The method that says no, RFC 1928 section 3.
pub(crate) const NO_METHOD: u8 = 0xff;

/// How a client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// User and password, RFC 1929, in clear.
    Password,
}

impl Auth {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Password => 2,
        }
    }
}

/// User and password of RFC 1929: octets, each 0 to 255 long. Has no `Debug`, so that it can reach no log.
#[derive(Clone)]
pub struct Login {
    user: Box<[u8]>,
    password: Box<[u8]>,
}

impl Login {
    /// A log-in of its parts. Section 2 asks for 1 octet at least; clients do send empty passwords, so these are
    /// left to whoever checks them.
    ///
    /// # Errors
    /// [`LoginError`] when a part is longer than the protocol can say.
    pub fn new(user: &[u8], password: &[u8]) -> Result<Self, LoginError> {
        match (u8::try_from(user.len()), u8::try_from(password.len())) {
            (Ok(_), Ok(_)) => Ok(Self { user: user.into(), password: password.into() }),
            (Err(_), _) => Err(LoginError::User),
            (_, Err(_)) => Err(LoginError::Password),
        }
    }

    /// The user as sent. Sensitive: wrap it before it can meet a log.
    #[must_use]
    pub const fn user(&self) -> &[u8] {
        &self.user
    }

    /// The password as sent. Compare it in constant time only.
    #[must_use]
    pub const fn password(&self) -> &[u8] {
        &self.password
    }
}

/// Why two texts are no log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Over 255 octets.
    #[error("the user is longer than 255 octets")]
    User,
    /// Over 255 octets.
    #[error("the password is longer than 255 octets")]
    Password,
}

/// What a client may ask for, RFC 1928 section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Connect to the target.
    Connect,
    /// Wait for one connection from the target. Two replies follow: the bound address, then the peer's.
    Bind,
    /// Relay datagrams as long as this connection lives. The target is where the client will send from, often
    /// `0.0.0.0:0` for "not known yet".
    UdpAssociate,
}

impl Command {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::Bind => 2,
            Self::UdpAssociate => 3,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Connect),
            2 => Some(Self::Bind),
            3 => Some(Self::UdpAssociate),
            _ => None,
        }
    }
}

/// What a server answers, RFC 1928 section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// 0: done; the far side is connected, or the relay bound.
    Succeeded,
    /// 1: anything the other codes do not name.
    GeneralFailure,
    /// 2: a rule said no.
    NotAllowed,
    /// 3: no route.
    NetworkUnreachable,
    /// 4: no such host, or it does not answer.
    HostUnreachable,
    /// 5: the target refused.
    ConnectionRefused,
    /// 6: the way was too long; also used for a connect that ran out of time.
    TtlExpired,
    /// 7: the command is not known or not offered.
    CommandNotSupported,
    /// 8: the address type is not known or not offered.
    AddressTypeNotSupported,
}

impl Reply {
    /// All replies, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Succeeded,
        Self::GeneralFailure,
        Self::NotAllowed,
        Self::NetworkUnreachable,
        Self::HostUnreachable,
        Self::ConnectionRefused,
        Self::TtlExpired,
        Self::CommandNotSupported,
        Self::AddressTypeNotSupported,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::GeneralFailure => 1,
            Self::NotAllowed => 2,
            Self::NetworkUnreachable => 3,
            Self::HostUnreachable => 4,
            Self::ConnectionRefused => 5,
            Self::TtlExpired => 6,
            Self::CommandNotSupported => 7,
            Self::AddressTypeNotSupported => 8,
        }
    }

    /// The reply of a code, or nothing for the unassigned ones from 9 on.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// A whole reply. `bound` is the relay's own address for CONNECT, BIND (first reply) and UDP ASSOCIATE, the peer's in
/// the second reply to BIND; a failure may say `0.0.0.0:0`.
#[must_use]
pub fn encode_reply(reply: Reply, bound: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(22);
    bytes.extend_from_slice(&[VERSION, reply.code(), 0]);
    Address::from(bound).encode(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_carry_code_and_bound_address() {
        for (reply, bound, bytes) in [
            (Reply::Succeeded, "192.0.2.1:80", &b"\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x50"[..]),
            (Reply::NotAllowed, "0.0.0.0:0", b"\x05\x02\x00\x01\0\0\0\0\0\0"),
            (
                Reply::HostUnreachable,
                "[2001:db8::1]:443",
                b"\x05\x04\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb",
            ),
            (Reply::Succeeded, "[::ffff:192.0.2.1]:1", b"\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x01"),
        ] {
            assert_eq!(encode_reply(reply, bound.parse().unwrap()), bytes, "{bound}");
        }
    }

    #[test]
    fn codes_name_themselves_and_no_other() {
        for code in 0..=255 {
            assert_eq!(Reply::from_code(code).map(Reply::code), (code < 9).then_some(code));
            assert_eq!(Command::from_code(code).map(Command::code), (1..=3).contains(&code).then_some(code));
        }
    }

    #[test]
    fn a_login_holds_what_the_protocol_can_say() {
        assert!(Login::new(&[b'u'; 255], &[b'p'; 255]).is_ok());
        assert!(Login::new(b"", b"").is_ok());
        assert_eq!(Login::new(&[b'u'; 256], b"").err(), Some(LoginError::User));
        assert_eq!(Login::new(b"", &[b'p'; 256]).err(), Some(LoginError::Password));
    }
}
