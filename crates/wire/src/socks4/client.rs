//! The client's side of SOCKS4 and SOCKS4a: one request out, one reply in, without I/O.
//!
//! A name is sent as SOCKS4a, so that the far proxy resolves it and nobody here does. Not here: IPv6 addresses, for
//! which the protocol has no room.
//!
//! ```text
//! Start --Send--> Reply --granted--> Over (Done)        any --bad bytes, refusal--> Over (Error)
//! ```

use super::{Command, MAX_TEXT, Reply, VERSION};
use bytes::{Buf, BytesMut};
use shoalway_types::{Failure, Host, Retry, Side, Target};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

/// The next thing to do.
#[derive(PartialEq, Eq)]
pub enum Step {
    /// Send these bytes, then advance again.
    Send(Vec<u8>),
    /// Read more bytes, then advance again.
    Read,
    /// Granted. The address is the server's word, often `0.0.0.0:0` after CONNECT. What is left in the buffer came
    /// from the target.
    Done(SocketAddrV4),
}

/// Asks one upstream proxy for one connection.
pub struct ClientHandshake {
    state: State,
}

enum State {
    Start(Vec<u8>),
    Reply,
    Over,
}

impl ClientHandshake {
    /// Prepares the request. `user` is sent as it is; most servers ignore it.
    ///
    /// # Errors
    /// [`ClientError::Ipv6`] and [`ClientError::User`] for what the protocol cannot say.
    pub fn new(command: Command, target: &Target, user: &[u8]) -> Result<Self, ClientError> {
        Ok(Self { state: State::Start(encode_request(command, target, user)?) })
    }

    /// Says what to do next; consumes a whole reply from `buf`, or nothing when it is incomplete.
    ///
    /// # Errors
    /// [`ClientError`] when the server refuses or breaks the protocol. The handshake is then over.
    pub fn advance(&mut self, buf: &mut BytesMut) -> Result<Step, ClientError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Start(request) => {
                self.state = State::Reply;
                Ok(Step::Send(request))
            }
            State::Reply => match decode_reply(buf)? {
                Some(bound) => Ok(Step::Done(bound)),
                None => {
                    self.state = State::Reply;
                    Ok(Step::Read)
                }
            },
            State::Over => Err(ClientError::OutOfTurn),
        }
    }
}

fn encode_request(command: Command, target: &Target, user: &[u8]) -> Result<Vec<u8>, ClientError> {
    if user.len() > MAX_TEXT || user.contains(&0) {
        return Err(ClientError::User);
    }
    let (ip, name) = match &target.host {
        Host::Ip(IpAddr::V4(ip)) => (*ip, None),
        Host::Ip(IpAddr::V6(_)) => return Err(ClientError::Ipv6),
        Host::Name(name) => (NAME_FOLLOWS, Some(name.as_str())),
    };
    let mut bytes = vec![VERSION, command.code()];
    bytes.extend_from_slice(&target.port.to_be_bytes());
    bytes.extend_from_slice(&ip.octets());
    bytes.extend_from_slice(user);
    bytes.push(0);
    if let Some(name) = name {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
    }
    Ok(bytes)
}

/// Takes one granted reply from `buf`, or nothing when it is incomplete. [`ClientHandshake`] reads the first reply
/// by this; after BIND it reads the second one, which names the peer.
///
/// # Errors
/// [`ClientError`] when the server refuses or breaks the protocol.
pub fn decode_reply(buf: &mut BytesMut) -> Result<Option<SocketAddrV4>, ClientError> {
    match buf.first() {
        Some(0) => {}
        Some(_) => return Err(ClientError::Version),
        None => return Ok(None),
    }
    // A refusal is known by its code; some servers close before the rest of it.
    match buf.get(1) {
        Some(&code) if code != Reply::Granted.code() => return Err(ClientError::Refused { code }),
        Some(_) => {}
        None => return Ok(None),
    }
    let Some(&[_, _, high, low, a, b, c, d]) = buf.first_chunk::<8>() else { return Ok(None) };
    buf.advance(8);
    Ok(Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))))
}

/// The address that announces a name: 0.0.0.x with x not 0.
const NAME_FOLLOWS: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);

/// Why an upstream SOCKS4 proxy gave no connection. No payload has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// SOCKS4 has no room for an IPv6 address.
    #[error("an IPv6 address cannot be asked for through SOCKS4")]
    Ipv6,
    /// The configured user is over 255 octets or holds a zero byte.
    #[error("the user is longer than {MAX_TEXT} octets or holds a zero byte")]
    User,
    /// The reply does not begin with 0.
    #[error("the reply is not SOCKS4")]
    Version,
    /// Any code but 90.
    #[error("the SOCKS4 proxy refused with code {code}")]
    Refused {
        /// As sent; [`Reply::from_code`] names it.
        code: u8,
    },
    /// The driver advanced a handshake that is over.
    #[error("the handshake is already over")]
    OutOfTurn,
}

impl Failure for ClientError {
    fn side(&self) -> Side {
        match self {
            Self::Ipv6 | Self::User | Self::OutOfTurn => Side::Local,
            Self::Version | Self::Refused { .. } => Side::Upstream,
        }
    }

    /// A refusal may mean a rule or a target that is down; as nothing was sent, another try does no harm.
    fn retry(&self) -> Retry {
        match self {
            Self::Refused { code: 91 } => Retry::Safe,
            Self::Ipv6 | Self::User | Self::Version | Self::Refused { .. } | Self::OutOfTurn => Retry::Never,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Ipv6 => "socks4_upstream_ipv6",
            Self::User => "socks4_upstream_bad_user",
            Self::Version => "socks4_upstream_version",
            Self::Refused { .. } => "socks4_upstream_refused",
            Self::OutOfTurn => "socks4_upstream_out_of_turn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::same_at_every_cut;
    use crate::socks4::server;

    fn target(text: &str) -> Target {
        Target::parse(text, None).unwrap()
    }

    /// The steps of a CONNECT to `192.0.2.1:80` for what the server says, and what was left in the buffer.
    fn outcome(input: &[u8]) -> (Vec<String>, Vec<u8>) {
        same_at_every_cut(input, || {
            let mut handshake =
                ClientHandshake::new(Command::Connect, &target("192.0.2.1:80"), b"me").unwrap();
            let mut over = false;
            move |buf: &mut BytesMut| {
                if over {
                    return None;
                }
                match handshake.advance(buf) {
                    Ok(Step::Read) => None,
                    Ok(Step::Send(bytes)) => Some(format!("send {}", bytes.escape_ascii())),
                    Ok(Step::Done(bound)) => {
                        over = true;
                        Some(format!("done {bound}"))
                    }
                    Err(error) => {
                        over = true;
                        Some(error.word().to_owned())
                    }
                }
            }
        })
    }

    #[test]
    fn replies_are_read_at_every_cut_and_payload_is_left() {
        for (input, end, left) in [
            (&b"\x00\x5a\x00\x50\xc0\x00\x02\x01"[..], "done 192.0.2.1:80", &b""[..]),
            (b"\x00\x5a\x00\x00\x00\x00\x00\x00SSH-2.0", "done 0.0.0.0:0", b"SSH-2.0"),
            (
                b"\x00\x5b\x00\x00\x00\x00\x00\x00",
                "socks4_upstream_refused",
                b"\x00\x5b\x00\x00\x00\x00\x00\x00",
            ),
            (b"\x00\x5d", "socks4_upstream_refused", b"\x00\x5d"),
            (b"\x05\x00", "socks4_upstream_version", b"\x05\x00"),
        ] {
            let (steps, rest) = outcome(input);
            assert_eq!(steps, [r"send \x04\x01\x00P\xc0\x00\x02\x01me\x00", end], "{input:?}");
            assert_eq!(rest, left, "{input:?}");
        }
        assert_eq!(outcome(b"\x00\x5a\x00").0.len(), 1, "half a reply ends nothing");
    }

    #[test]
    fn our_server_reads_what_our_client_sends() {
        for (command, to, user) in [
            (Command::Connect, "192.0.2.1:80", &b"me"[..]),
            (Command::Bind, "192.0.2.1:21", b""),
            (Command::Connect, "host.example:443", b"\xff\x01"),
        ] {
            let mut client = ClientHandshake::new(command, &target(to), user).unwrap();
            let Ok(Step::Send(bytes)) = client.advance(&mut BytesMut::new()) else { panic!("{to}") };
            let read = server::ServerHandshake::new().advance(&mut BytesMut::from(&bytes[..])).unwrap();
            let server::Step::Done(request) = read else { panic!("{to}") };
            assert_eq!(
                (request.command, request.target.to_string(), &request.user.0[..]),
                (command, to.into(), user)
            );
        }
    }

    #[test]
    fn what_the_protocol_cannot_say_is_refused_before_sending() {
        for (to, user, error) in [
            ("[2001:db8::1]:80", &b""[..], ClientError::Ipv6),
            ("a.example:80", b"a\x00b", ClientError::User),
            ("a.example:80", &[b'u'; 256], ClientError::User),
        ] {
            assert_eq!(ClientHandshake::new(Command::Connect, &target(to), user).err(), Some(error), "{to}");
        }
    }

    #[test]
    fn only_a_plain_refusal_is_worth_another_try() {
        assert_eq!(ClientError::Refused { code: 91 }.retry(), Retry::Safe);
        assert_eq!(ClientError::Refused { code: 93 }.retry(), Retry::Never);
        assert_eq!(ClientError::Version.side(), Side::Upstream);
    }
}
