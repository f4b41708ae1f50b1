//! The server's side of the SOCKS5 handshake, RFC 1928 sections 3 and 4 and RFC 1929, without I/O.
//!
//! The driver checks passwords, and answers the request with [`super::encode_reply`] once it knows the outcome.
//! A client may send everything at once: each message is taken from the buffer when its turn comes, and what is left
//! at the end is payload. Reserved octets are not looked at; clients fill them with all sorts of things.
//!
//! ```text
//! Greeting --Send: no password--> Request --Done--> Over
//!    |                               ^
//!    +--Send: password--> Login --Verify--> Asked --verified--> Answered --Send--+--> Request
//!                                                                                +--> Denied --Error--> Over
//! any --bad bytes--> Over (Error, with its farewell)
//! ```

use super::address::{Address, AddressError};
use super::{Auth, Command, LOGIN_VERSION, Login, NO_METHOD, VERSION};
use bytes::{Buf, BytesMut};
use shoalway_types::{Failure, Retry, Side};

/// Which ways to say who one is a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// Nobody is asked.
    None,
    /// Everybody must log in.
    Password,
    /// Whoever offers a password is asked for it, the others come in without.
    Either,
}

impl Offered {
    fn choose(self, methods: &[u8]) -> Option<Auth> {
        let offers = |auth: Auth| methods.contains(&auth.code()).then_some(auth);
        match self {
            Self::None => offers(Auth::None),
            Self::Password => offers(Auth::Password),
            Self::Either => offers(Auth::Password).or_else(|| offers(Auth::None)),
        }
    }
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Connect, bind or associate.
    pub command: Command,
    /// Where to. The port is never 0 for [`Command::Connect`], and may be for the others.
    pub target: Address,
}

/// The next thing to do. Has no `Debug`: it may hold a password.
pub enum Step {
    /// Read more bytes, then advance again.
    Read,
    /// Send these bytes, then advance again.
    Send([u8; 2]),
    /// Check the log-in, say [`ServerHandshake::verified`], then advance again.
    Verify(Login),
    /// The request is whole. What is left in the buffer is payload.
    Done(Request),
}

/// Takes one client from its greeting to its request.
#[derive(Debug)]
pub struct ServerHandshake {
    offered: Offered,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Login,
    Asked,
    Answered { welcome: bool },
    Denied,
    Request,
    Over,
}

impl ServerHandshake {
    /// A handshake that has seen nothing yet, the version octet included.
    #[must_use]
    pub const fn new(offered: Offered) -> Self {
        Self { offered, state: State::Greeting }
    }

    /// Says what to do next; consumes one whole message from `buf`, or nothing when it is incomplete.
    ///
    /// # Errors
    /// [`ServerError`] when the client breaks the protocol or may not come in. The handshake is then over: send
    /// [`ServerError::farewell`], close.
    pub fn advance(&mut self, buf: &mut BytesMut) -> Result<Step, ServerError> {
        let step = match self.state {
            State::Greeting => self.on_greeting(buf),
            State::Login => self.on_login(buf),
            State::Answered { welcome } => Ok(self.answer(welcome)),
            State::Denied => Err(ServerError::Denied),
            State::Request => self.on_request(buf),
            State::Asked | State::Over => Err(ServerError::OutOfTurn),
        };
        if step.is_err() {
            self.state = State::Over;
        }
        step
    }

    /// The answer to [`Step::Verify`]: whether the log-in is good. The next [`Self::advance`] tells the client; after
    /// a refusal the one behind it ends with [`ServerError::Denied`], since RFC 1929 section 2 has the connection
    /// closed. Says nothing at any other time.
    pub fn verified(&mut self, welcome: bool) {
        if self.state == State::Asked {
            self.state = State::Answered { welcome };
        }
    }

    fn on_greeting(&mut self, buf: &mut BytesMut) -> Result<Step, ServerError> {
        check_version(buf, VERSION, ServerError::GreetingVersion)?;
        let &[_, count, ref rest @ ..] = &buf[..] else { return Ok(Step::Read) };
        let Some(methods) = rest.get(..usize::from(count)) else { return Ok(Step::Read) };
        let auth = self.offered.choose(methods).ok_or(ServerError::NoMethod)?;
        buf.advance(2 + usize::from(count));
        self.state = match auth {
            Auth::None => State::Request,
            Auth::Password => State::Login,
        };
        Ok(Step::Send([VERSION, auth.code()]))
    }

    fn on_login(&mut self, buf: &mut BytesMut) -> Result<Step, ServerError> {
        check_version(buf, LOGIN_VERSION, ServerError::LoginVersion)?;
        let Some((login, used)) = read_login(buf) else { return Ok(Step::Read) };
        buf.advance(used);
        self.state = State::Asked;
        Ok(Step::Verify(login))
    }

    const fn answer(&mut self, welcome: bool) -> Step {
        if welcome {
            self.state = State::Request;
            Step::Send([LOGIN_VERSION, WELCOME])
        } else {
            self.state = State::Denied;
            Step::Send([LOGIN_VERSION, UNWELCOME])
        }
    }

    fn on_request(&mut self, buf: &mut BytesMut) -> Result<Step, ServerError> {
        check_version(buf, VERSION, ServerError::RequestVersion)?;
        let &[_, command, _, ref rest @ ..] = &buf[..] else { return Ok(Step::Read) };
        // The command is judged last: the client has then sent its whole request and reads the refusal.
        let decoded = match Command::from_code(command) {
            Some(Command::UdpAssociate) => Address::decode_sender(rest),
            Some(Command::Connect | Command::Bind) | None => Address::decode(rest),
        };
        let Some((target, used)) = decoded? else { return Ok(Step::Read) };
        let command = Command::from_code(command).ok_or(ServerError::Command { code: command })?;
        if command == Command::Connect && target.port == 0 {
            return Err(ServerError::Port);
        }
        buf.advance(3 + used);
        self.state = State::Over;
        Ok(Step::Done(Request { command, target }))
    }
}

fn check_version(bytes: &[u8], version: u8, error: ServerError) -> Result<(), ServerError> {
    match bytes.first() {
        Some(&first) if first != version => Err(error),
        Some(_) | None => Ok(()),
    }
}

/// The log-in of RFC 1929 section 2 and its length, or nothing when it is incomplete.
fn read_login(bytes: &[u8]) -> Option<(Login, usize)> {
    let (_, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (user, rest) = rest.split_at_checked(usize::from(length))?;
    let (&length, rest) = rest.split_first()?;
    let password = rest.get(..usize::from(length))?;
    let login = Login { user: user.into(), password: password.into() };
    Some((login, 3 + user.len() + password.len()))
}

/// RFC 1929 section 2: 0 is success, anything else a failure.
const WELCOME: u8 = 0;
const UNWELCOME: u8 = 1;

/// How a client broke the protocol, or why it may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The first octet is not 5.
    #[error("the greeting does not begin with version 5")]
    GreetingVersion,
    /// The client offers no method that is taken here, or none at all.
    #[error("the client offers no authentication method that is accepted here")]
    NoMethod,
    /// The log-in's first octet is not 1.
    #[error("the log-in does not begin with version 1")]
    LoginVersion,
    /// User and password are not good. The client has been told.
    #[error("user or password is wrong")]
    Denied,
    /// The request's first octet is not 5.
    #[error("the request does not begin with version 5")]
    RequestVersion,
    /// The request's address cannot be read.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Neither CONNECT, BIND nor UDP ASSOCIATE.
    #[error("command {code} is not known")]
    Command {
        /// As sent.
        code: u8,
    },
    /// CONNECT to port 0, which is no place to connect to.
    #[error("the port is 0")]
    Port,
    /// The driver advanced a handshake that is over, or that waits for [`ServerHandshake::verified`].
    #[error("the handshake was advanced out of turn")]
    OutOfTurn,
}

impl ServerError {
    /// What to send before closing; empty when nothing is left to say.
    #[must_use]
    pub const fn farewell(&self) -> &'static [u8] {
        match self {
            Self::GreetingVersion | Self::Denied | Self::OutOfTurn => &[],
            Self::NoMethod => &[VERSION, NO_METHOD],
            Self::LoginVersion => &[LOGIN_VERSION, UNWELCOME],
            Self::RequestVersion | Self::Port | Self::Address(AddressError::Name(_)) => {
                &[VERSION, 1, 0, 1, 0, 0, 0, 0, 0, 0]
            }
            Self::Command { .. } => &[VERSION, 7, 0, 1, 0, 0, 0, 0, 0, 0],
            Self::Address(AddressError::Type { .. }) => &[VERSION, 8, 0, 1, 0, 0, 0, 0, 0, 0],
        }
    }
}

impl Failure for ServerError {
    fn side(&self) -> Side {
        match self {
            Self::OutOfTurn => Side::Local,
            Self::GreetingVersion
            | Self::NoMethod
            | Self::LoginVersion
            | Self::Denied
            | Self::RequestVersion
            | Self::Address(_)
            | Self::Command { .. }
            | Self::Port => Side::Client,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn word(&self) -> &'static str {
        match self {
            Self::GreetingVersion => "socks5_version",
            Self::NoMethod => "socks5_no_method",
            Self::LoginVersion => "socks5_login_version",
            Self::Denied => "socks5_denied",
            Self::RequestVersion => "socks5_request_version",
            Self::Address(AddressError::Type { .. }) => "socks5_unknown_address_type",
            Self::Address(AddressError::Name(_)) => "socks5_bad_name",
            Self::Command { .. } => "socks5_unknown_command",
            Self::Port => "socks5_bad_port",
            Self::OutOfTurn => "socks5_out_of_turn",
        }
    }
}

#[cfg(test)]
mod tests;
