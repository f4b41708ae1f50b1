//! The server's side of SOCKS4 and SOCKS4a: one request in, without I/O.
//!
//! The driver answers with [`super::encode_reply`] once it knows the outcome. Bytes after the request stay in the
//! buffer: they are payload a client sent ahead.
//!
//! ```text
//! Request --whole request--> Over (Done)        Request --bad bytes--> Over (Error, with its farewell)
//! ```

use super::{Command, MAX_TEXT, VERSION};
use bytes::{Buf, BytesMut};
use shoalway_types::{Failure, Host, HostError, Retry, Sensitive, Side, Target};
use std::net::Ipv4Addr;

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Connect or bind.
    pub command: Command,
    /// Where to, or from where to expect a connection. The port is never 0.
    pub target: Target,
    /// The user as sent: 0 to 255 octets of any value but 0, claimed and not proven.
    pub user: Sensitive<Vec<u8>>,
}

/// The next thing to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read more bytes, then advance again.
    Read,
    /// The request is whole. What is left in the buffer is payload.
    Done(Request),
}

/// Reads one request.
#[derive(Debug)]
pub struct ServerHandshake {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Request,
    Over,
}

impl ServerHandshake {
    /// A handshake that has seen nothing yet, the version byte included.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Request }
    }

    /// Consumes the whole request from `buf`, or nothing when it is incomplete.
    ///
    /// # Errors
    /// [`ServerError`] when the client breaks the protocol. The handshake is then over: send
    /// [`ServerError::farewell`], close.
    pub fn advance(&mut self, buf: &mut BytesMut) -> Result<Step, ServerError> {
        let read = match self.state {
            State::Request => read_request(buf),
            State::Over => Err(ServerError::OutOfTurn),
        };
        match read {
            Ok(None) => Ok(Step::Read),
            Ok(Some((request, used))) => {
                self.state = State::Over;
                buf.advance(used);
                Ok(Step::Done(request))
            }
            Err(error) => {
                self.state = State::Over;
                Err(error)
            }
        }
    }
}

impl Default for ServerHandshake {
    fn default() -> Self {
        Self::new()
    }
}

/// The request and its length. Nothing is judged before all bytes it depends on are there, and the head only
/// after the texts, so that a refusal does not leave half a request unread.
fn read_request(bytes: &[u8]) -> Result<Option<(Request, usize)>, ServerError> {
    if bytes.first().is_some_and(|&version| version != VERSION) {
        return Err(ServerError::Version);
    }
    let Some((&[_, command, high, low, a, b, c, d], rest)) = bytes.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let Some(Text { text: user, mut rest }) = text(rest).map_err(|TooLong| ServerError::UserTooLong)? else {
        return Ok(None);
    };
    let named = (a, b, c) == (0, 0, 0) && d != 0;
    let host = if named {
        let Some(Text { text: name, rest: after }) =
            text(rest).map_err(|TooLong| ServerError::Name(HostError::TooLong))?
        else {
            return Ok(None);
        };
        rest = after;
        let name = str::from_utf8(name).map_err(|_not_text| ServerError::Name(HostError::Character))?;
        Host::parse(name).map_err(ServerError::Name)?
    } else {
        Host::Ip(Ipv4Addr::new(a, b, c, d).into())
    };
    let command = Command::from_code(command).ok_or(ServerError::Command { code: command })?;
    let port = match u16::from_be_bytes([high, low]) {
        0 => return Err(ServerError::Port),
        port => port,
    };
    let request = Request { command, target: Target::new(host, port), user: Sensitive(user.to_vec()) };
    Ok(Some((request, bytes.len() - rest.len())))
}

/// The bytes up to a zero byte and those behind it, or nothing while it is still to come.
fn text(bytes: &[u8]) -> Result<Option<Text<'_>>, TooLong> {
    let window = bytes.get(..=MAX_TEXT).unwrap_or(bytes);
    match memchr::memchr(0, window) {
        Some(end) => {
            let (text, rest) = bytes.split_at(end);
            Ok(rest.split_first().map(|(_, rest)| Text { text, rest }))
        }
        None if window.len() > MAX_TEXT => Err(TooLong),
        None => Ok(None),
    }
}

struct Text<'a> {
    text: &'a [u8],
    rest: &'a [u8],
}

struct TooLong;

/// How a client broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The first byte is not 4.
    #[error("the request does not begin with version 4")]
    Version,
    /// More than 255 octets without a closing zero byte.
    #[error("the user is longer than {MAX_TEXT} octets")]
    UserTooLong,
    /// The name of a SOCKS4a request is none.
    #[error("the name cannot be used: {0}")]
    Name(HostError),
    /// Neither CONNECT nor BIND.
    #[error("command {code} is not known")]
    Command {
        /// As sent.
        code: u8,
    },
    /// Port 0 is no place to connect to or to be called from.
    #[error("the port is 0")]
    Port,
    /// The driver advanced a handshake that is over.
    #[error("the handshake is already over")]
    OutOfTurn,
}

impl ServerError {
    /// What to send before closing; empty when the client would not understand it.
    #[must_use]
    pub const fn farewell(&self) -> &'static [u8] {
        match self {
            Self::Version | Self::OutOfTurn => &[],
            Self::UserTooLong | Self::Name(_) | Self::Command { .. } | Self::Port => {
                &[0, 91, 0, 0, 0, 0, 0, 0]
            }
        }
    }
}

impl Failure for ServerError {
    fn side(&self) -> Side {
        match self {
            Self::OutOfTurn => Side::Local,
            Self::Version | Self::UserTooLong | Self::Name(_) | Self::Command { .. } | Self::Port => {
                Side::Client
            }
        }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Version => "socks4_version",
            Self::UserTooLong => "socks4_user_too_long",
            Self::Name(_) => "socks4_bad_name",
            Self::Command { .. } => "socks4_unknown_command",
            Self::Port => "socks4_bad_port",
            Self::OutOfTurn => "socks4_out_of_turn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::same_at_every_cut;
    use crate::socks4::{Reply, encode_reply};

    /// One line that says how the request ended, and what was left in the buffer.
    fn outcome(input: &[u8]) -> (String, Vec<u8>) {
        let (steps, left) = same_at_every_cut(input, || {
            let mut handshake = ServerHandshake::new();
            let mut over = false;
            move |buf: &mut BytesMut| {
                if over {
                    return None;
                }
                let step = handshake.advance(buf);
                over = !matches!(step, Ok(Step::Read));
                match step {
                    Ok(Step::Read) => None,
                    Ok(Step::Done(request)) => {
                        let user = String::from_utf8_lossy(&request.user.0).into_owned();
                        Some(format!("{:?} {} {user}", request.command, request.target))
                    }
                    Err(error) => Some(error.word().to_owned()),
                }
            }
        });
        (steps.join(", "), left)
    }

    #[test]
    fn requests_are_read_whole_at_every_cut_and_payload_is_left() {
        for (input, said, left) in [
            (&b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00"[..], "Connect 192.0.2.1:80 ", &b""[..]),
            (b"\x04\x01\x01\xbb\xc0\x00\x02\x01bob\x00GET /", "Connect 192.0.2.1:443 bob", b"GET /"),
            (b"\x04\x02\x00\x15\xc0\x00\x02\x01bob\x00", "Bind 192.0.2.1:21 bob", b""),
            (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00Host.Example\x00", "Connect host.example:80 ", b""),
            (
                b"\x04\x01\x00\x50\x00\x00\x00\xffme\x00a.example\x00\x16\x03",
                "Connect a.example:80 me",
                b"\x16\x03",
            ),
            (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00192.0.2.7\x00", "Connect 192.0.2.7:80 ", b""),
            (b"\x04\x01\x00\x50\x00\x00\x00\x00\x00", "Connect 0.0.0.0:80 ", b""),
            (
                b"\x04\x01\x00\x50\xc0\x00\x02\x01unfinished",
                "",
                b"\x04\x01\x00\x50\xc0\x00\x02\x01unfinished",
            ),
        ] {
            assert_eq!(outcome(input), (said.to_owned(), left.to_vec()), "{input:?}");
        }
    }

    #[test]
    fn bad_requests_are_refused_with_a_word() {
        for (input, word) in [
            (&b"\x05"[..], "socks4_version"),
            (b"GET / HTTP/1.1", "socks4_version"),
            (b"\x04\x03\x00\x50\xc0\x00\x02\x01\x00", "socks4_unknown_command"),
            (b"\x04\x01\x00\x00\xc0\x00\x02\x01\x00", "socks4_bad_port"),
            (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00", "socks4_bad_name"),
            (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00b\xc3\xbccher.example\x00", "socks4_bad_name"),
            (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00\xff\xfe\x00", "socks4_bad_name"),
            (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00a b\x00", "socks4_bad_name"),
        ] {
            assert_eq!(outcome(input).0, word, "{input:?}");
        }
    }

    #[test]
    fn texts_have_a_bound() {
        let head = b"\x04\x01\x00\x50\x00\x00\x00\x01";
        let user = |length: usize| [head, &b"u".repeat(length)[..], b"\x00a.example\x00"].concat();
        assert!(outcome(&user(MAX_TEXT)).0.starts_with("Connect a.example:80 uuu"));
        assert_eq!(outcome(&user(MAX_TEXT + 1)).0, "socks4_user_too_long");
        let name = [&head[..], b"\x00", &b"a.".repeat(128), b"\x00"].concat();
        assert_eq!(outcome(&name).0, "socks4_bad_name");
    }

    #[test]
    fn a_refusal_is_answered_where_the_client_can_read_it() {
        let rejected = encode_reply(Reply::Rejected, ([0, 0, 0, 0], 0).into());
        assert_eq!(ServerError::Command { code: 9 }.farewell(), rejected);
        assert_eq!(ServerError::Name(HostError::Empty).farewell(), rejected);
        assert!(ServerError::Version.farewell().is_empty());
    }

    #[test]
    fn an_ended_handshake_says_so() {
        let mut handshake = ServerHandshake::new();
        let mut buf = BytesMut::from(&b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00\x04"[..]);
        assert!(matches!(handshake.advance(&mut buf), Ok(Step::Done(_))));
        assert_eq!(handshake.advance(&mut buf), Err(ServerError::OutOfTurn));
        assert_eq!(ServerError::OutOfTurn.side(), Side::Local);
    }

    #[test]
    fn debug_output_tells_neither_user_nor_target() {
        let mut buf = BytesMut::from(&b"\x04\x01\x00\x50\xc0\x00\x02\x01bob\x00"[..]);
        let step = ServerHandshake::new().advance(&mut buf).unwrap();
        let shown = format!("{step:?}");
        assert!(!shown.contains("bob") && !shown.contains("192") && shown.contains("[hidden]"), "{shown}");
    }
}
