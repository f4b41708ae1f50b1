//! The client's side of the SOCKS5 handshake, RFC 1928 sections 3 to 6 and RFC 1929, without I/O.
//!
//! A name is sent as a name, so that the far proxy resolves it and nobody here does ("socks5h"). With a log-in both
//! methods are offered, and a server that asks for no password is shown none. Messages are not sent ahead of their
//! turn: some servers drop what arrives too early.
//!
//! ```text
//! Start --Send--> Method --Send: request--------------------> Reply --succeeded--> Over (Done)
//!                    +-----Send: login--> Login --Send: request--^
//! any --bad bytes, refusal--> Over (Error)
//! ```

use super::address::{Address, AddressError};
use super::{Auth, Command, LOGIN_VERSION, Login, NO_METHOD, Reply, VERSION};
use bytes::{Buf, BytesMut};
use shoalway_types::{Failure, Retry, Side};

/// The next thing to do. Has no `Debug`: it may hold a password.
pub enum Step {
    /// Send these bytes, then advance again.
    Send(Vec<u8>),
    /// Read more bytes, then advance again.
    Read,
    /// Succeeded. The address is the server's bound one: for UDP ASSOCIATE where to send datagrams (an unspecified
    /// host means the server's own), for BIND where the peer will connect, for CONNECT of no use. What is left in
    /// the buffer came from the target.
    Done(Address),
}

/// Asks one upstream proxy for one thing.
pub struct ClientHandshake {
    command: Command,
    target: Address,
    state: State,
}

enum State {
    Start(Option<Login>),
    Method(Option<Login>),
    Login,
    Reply,
    Over,
}

impl ClientHandshake {
    /// Prepares a handshake. `login` is for servers that ask for it.
    #[must_use]
    pub const fn new(command: Command, target: Address, login: Option<Login>) -> Self {
        Self { command, target, state: State::Start(login) }
    }

    /// Says what to do next; consumes one whole message from `buf`, or nothing when it is incomplete.
    ///
    /// # Errors
    /// [`ClientError`] when the server refuses or breaks the protocol. The handshake is then over.
    pub fn advance(&mut self, buf: &mut BytesMut) -> Result<Step, ClientError> {
        let (state, step) = match std::mem::replace(&mut self.state, State::Over) {
            State::Start(login) => {
                let greeting = greeting(login.as_ref());
                (State::Method(login), Step::Send(greeting))
            }
            State::Method(login) => self.on_method(login, buf)?,
            State::Login => self.on_login(buf)?,
            State::Reply => match decode_reply(buf)? {
                Some(bound) => (State::Over, Step::Done(bound)),
                None => (State::Reply, Step::Read),
            },
            State::Over => return Err(ClientError::OutOfTurn),
        };
        self.state = state;
        Ok(step)
    }

    fn on_method(&self, login: Option<Login>, buf: &mut BytesMut) -> Result<(State, Step), ClientError> {
        check_version(buf)?;
        let Some(&[_, method]) = buf.first_chunk::<2>() else {
            return Ok((State::Method(login), Step::Read));
        };
        let next = match login {
            _ if method == NO_METHOD => return Err(ClientError::NoMethod),
            _ if method == Auth::None.code() => (State::Reply, Step::Send(self.request())),
            Some(login) if method == Auth::Password.code() => {
                (State::Login, Step::Send(encode_login(&login)))
            }
            Some(_) | None => return Err(ClientError::UnofferedMethod { method }),
        };
        buf.advance(2);
        Ok(next)
    }

    /// The version octet is not looked at: RFC 1929 names none for the reply, and servers differ.
    fn on_login(&self, buf: &mut BytesMut) -> Result<(State, Step), ClientError> {
        match buf.first_chunk::<2>() {
            None => Ok((State::Login, Step::Read)),
            Some([_, 0]) => {
                buf.advance(2);
                Ok((State::Reply, Step::Send(self.request())))
            }
            Some(_) => Err(ClientError::Denied),
        }
    }

    fn request(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.command.code(), 0];
        self.target.encode(&mut bytes);
        bytes
    }
}

fn greeting(login: Option<&Login>) -> Vec<u8> {
    match login {
        None => vec![VERSION, 1, Auth::None.code()],
        Some(_) => vec![VERSION, 2, Auth::None.code(), Auth::Password.code()],
    }
}

fn encode_login(login: &Login) -> Vec<u8> {
    let mut bytes = vec![LOGIN_VERSION];
    for text in [login.user(), login.password()] {
        // A `Login` has 255 octets at most in each part, so nothing is cut off.
        bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        bytes.extend(text.iter().take(usize::from(u8::MAX)));
    }
    bytes
}

/// Takes one successful reply from `buf`, or nothing when it is incomplete. [`ClientHandshake`] reads the first reply
/// by this; after BIND it reads the second one, which names the peer.
///
/// # Errors
/// [`ClientError`] when the server refuses or breaks the protocol.
pub fn decode_reply(buf: &mut BytesMut) -> Result<Option<Address>, ClientError> {
    check_version(buf)?;
    // A refusal is known by its code; some servers close before the rest of it.
    match buf.get(1) {
        Some(&code) if code != Reply::Succeeded.code() => return Err(ClientError::Refused { code }),
        Some(_) => {}
        None => return Ok(None),
    }
    let Some((bound, used)) = Address::decode(buf.get(3..).unwrap_or_default())? else { return Ok(None) };
    buf.advance(3 + used);
    Ok(Some(bound))
}

fn check_version(bytes: &[u8]) -> Result<(), ClientError> {
    match bytes.first() {
        Some(&first) if first != VERSION => Err(ClientError::Version),
        Some(_) | None => Ok(()),
    }
}

/// Why an upstream SOCKS5 proxy gave no connection. No payload has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A message does not begin with 5.
    #[error("the reply is not SOCKS5")]
    Version,
    /// The server takes none of the methods offered; mostly it wants a log-in that is not configured.
    #[error("the SOCKS5 proxy accepts none of the authentication methods offered")]
    NoMethod,
    /// The server chose what was not offered.
    #[error("the SOCKS5 proxy chose authentication method {method}, which was not offered")]
    UnofferedMethod {
        /// As sent.
        method: u8,
    },
    /// User or password is wrong.
    #[error("the SOCKS5 proxy refused user and password")]
    Denied,
    /// Any code but 0.
    #[error("the SOCKS5 proxy refused with code {code}")]
    Refused {
        /// As sent; [`ClientError::reply`] names it.
        code: u8,
    },
    /// The bound address cannot be read.
    #[error("bound address: {0}")]
    Address(#[from] AddressError),
    /// The driver advanced a handshake that is over.
    #[error("the handshake is already over")]
    OutOfTurn,
}

impl ClientError {
    /// The server's reply, when it sent one that RFC 1928 names. Good to be passed on to a client that speaks SOCKS5.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        match self {
            Self::Refused { code } => Reply::from_code(*code),
            Self::Version
            | Self::NoMethod
            | Self::UnofferedMethod { .. }
            | Self::Denied
            | Self::Address(_)
            | Self::OutOfTurn => None,
        }
    }
}

impl Failure for ClientError {
    fn side(&self) -> Side {
        match self {
            Self::OutOfTurn => Side::Local,
            Self::Version
            | Self::NoMethod
            | Self::UnofferedMethod { .. }
            | Self::Denied
            | Self::Refused { .. }
            | Self::Address(_) => Side::Upstream,
        }
    }

    /// A target that could not be reached may be reached at another try, as nothing was sent to it.
    fn retry(&self) -> Retry {
        match self.reply() {
            Some(
                Reply::GeneralFailure
                | Reply::NetworkUnreachable
                | Reply::HostUnreachable
                | Reply::ConnectionRefused
                | Reply::TtlExpired,
            ) => Retry::Safe,
            Some(
                Reply::Succeeded
                | Reply::NotAllowed
                | Reply::CommandNotSupported
                | Reply::AddressTypeNotSupported,
            )
            | None => Retry::Never,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Version => "socks5_upstream_version",
            Self::NoMethod => "socks5_upstream_no_method",
            Self::UnofferedMethod { .. } => "socks5_upstream_unoffered_method",
            Self::Denied => "socks5_upstream_denied",
            Self::Refused { .. } => refusal_word(self.reply()),
            Self::Address(_) => "socks5_upstream_bad_address",
            Self::OutOfTurn => "socks5_upstream_out_of_turn",
        }
    }
}

const fn refusal_word(reply: Option<Reply>) -> &'static str {
    match reply {
        Some(Reply::GeneralFailure) => "socks5_upstream_failure",
        Some(Reply::NotAllowed) => "socks5_upstream_not_allowed",
        Some(Reply::NetworkUnreachable) => "socks5_upstream_network_unreachable",
        Some(Reply::HostUnreachable) => "socks5_upstream_host_unreachable",
        Some(Reply::ConnectionRefused) => "socks5_upstream_connection_refused",
        Some(Reply::TtlExpired) => "socks5_upstream_ttl_expired",
        Some(Reply::CommandNotSupported) => "socks5_upstream_command_not_supported",
        Some(Reply::AddressTypeNotSupported) => "socks5_upstream_address_type_not_supported",
        Some(Reply::Succeeded) | None => "socks5_upstream_unknown_reply",
    }
}

#[cfg(test)]
mod tests;
